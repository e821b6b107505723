// The shapes of the sandbox's providers.

import type { IncomingHttpHeaders, IncomingMessage, OutgoingHttpHeaders } from "node:http";

/** A provider's secrets by their names. */
export type Credentials = Record<string, string>;

/** Whom the tokens of a grant speak for. */
export type Account = { username: string; client_id: string };

/** What is answered: a body that is no string goes as JSON. */
export interface Answer {
  status?: number;
  headers?: OutgoingHttpHeaders;
  body?: unknown;
}

/** A request to the API, whose path a route has. */
export interface ApiCall {
  /** What stands in the path where the route has `:name`. */
  params: Record<string, string>;
  query: URLSearchParams;
  /** The body, an object; of a GET none. Its members are whatever was sent. */
  json: Record<string, unknown>;
  account: Account | undefined;
}

/** Answers a call; nothing where there is no such thing. */
export type Handler = (call: ApiCall) => Answer | undefined | Promise<Answer | undefined>;

/** What a provider keeps of its tokens. */
export interface Tokens {
  /** Whether the refresh token is good; one that was used before ends its family. */
  present(refreshToken: string): boolean;
  accountOf(token: string | undefined): Account | undefined;
}

/** How a grant is made, of parameters that are all there; it throws an OAuthError where it is refused. */
export interface Grant {
  /** The parameters beside grant_type, all required. */
  parameters: string[];
  grant(
    parameters: Record<string, string>,
    provider: { credentials: Credentials; store: Tokens },
  ): {
    /** The refresh token that was presented. */
    presented?: string;
    /** Members of the answer, beside those that every answer has. */
    members?: Record<string, unknown>;
    account?: Account;
  };
}

export interface TokenEndpoint {
  path: string;
  encoding: "json" | "form";
  /** By grant_type. */
  grants: Record<string, Grant>;
}

export interface Options {
  /** How long an access token lives, in seconds. */
  expiresIn: number;
  refreshToken: boolean;
  /** Whether a refresh gives another refresh token. */
  rotation: boolean;
  /** Whether a refresh token that is used twice ends its family. */
  reuseDetection: boolean;
  /** Whether a refresh ends the access tokens before it. */
  revokeOnRefresh: boolean;
  /** How many requests are kept. */
  recordLimit: number;
}

/** What makes a provider the one that it is. */
export interface Definition {
  name: string;
  /** Of its tokens. */
  prefix: string;
  /** Of the API, where it has one. */
  basePath?: string;
  credentials: Credentials;
  options?: Partial<Options>;
  tokenEndpoint?: TokenEndpoint;
  /** Instead: the accepted token, from the credentials. */
  staticToken?: (credentials: Credentials) => string;
  /** By method and path: "GET /path/:id". */
  routes: Record<string, Handler>;
  /** The bodies of refusals. */
  errors: Record<"unauthorized" | "notFound" | "methodNotAllowed" | "tooLarge" | "badBody", unknown>;
}

/** What whoever starts a provider may choose. */
export interface Settings {
  port?: number;
  credentials?: Credentials;
  options?: Partial<Options>;
  log?: (line: LogLine) => void;
}

export interface LogLine {
  provider: string;
  method: string;
  path: string;
  status: number;
}

/** What is to go wrong, with the next request or the next `times`. */
export interface Fault {
  target: "token" | "api";
  kind: "status" | "delay" | "hang" | "reset" | "reset-after" | "malformed" | "members" | "unauthorized";
  times?: number;
  /** Of a delay. */
  ms?: number;
  /** Of a status. */
  status?: number;
  headers?: OutgoingHttpHeaders;
  body?: unknown;
  /** Of members. */
  set?: Record<string, unknown>;
  remove?: string[];
}

/** What is kept of a request. */
export interface Recorded {
  at: number;
  method: string;
  path: string;
  headers: IncomingHttpHeaders;
  rawHeaders: string[];
  body: string;
  fault?: string;
  /** Of a token request. */
  grant_type?: string;
  /** Of a token request: "ok", a fault, or an error code. */
  outcome?: string;
  /** Of an API request. */
  status?: number;
  /** Of an API request: the person's user name. */
  account?: string;
}

/** A provider that runs. */
export interface Provider {
  name: string;
  url: string;
  baseUrl: string;
  /** Where there is a token endpoint. */
  tokenUrl: string | undefined;
  credentials: Credentials;
  tokenRequests: Recorded[];
  apiRequests: Recorded[];
  /** Every token that was given out. */
  issued: string[];
  readonly maxConcurrentTokenRequests: number;
  arm(fault: Fault): void;
  disarm(): void;
  revokeAccessTokens(): void;
  revokeEverything(): void;
  close(): Promise<void>;
}

/** A request as a server has it: with a method and an address. */
export type Request = IncomingMessage & { method: string; url: string };

export type Person = { username: string; password: string };

export interface Hubsoft extends Provider {
  people: Person[];
  peopleClient: { client_id: string; client_secret: string };
}

export interface HubsoftSettings extends Settings {
  people?: Person[];
  /** The client that people sign in with. */
  peopleClient?: { client_id?: string; client_secret?: string };
}

export interface Guru extends Provider {
  /** Which its events go to. */
  webhookUrl: string;
}
