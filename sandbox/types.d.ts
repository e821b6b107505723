// The types of the sandbox's providers.

import type { IncomingHttpHeaders, IncomingMessage, OutgoingHttpHeaders } from "node:http";

/** A provider's secrets by their names. */
export type Credentials = Record<string, string>;

/** The account that the tokens of a grant belong to. */
export type Account = {
  username: string;
  client_id: string;
  /** What the person allowed, where the provider asks them. */
  consent?: Consent;
};

/** What a person allowed a client. */
export interface Consent {
  scope: string[];
  /** The person's session at the provider. */
  sid: string;
  /** When the person signed in there, in Unix seconds. */
  auth_time: number;
  nonce?: string;
}

/** An answer; a body other than a string is sent as JSON. */
export interface Answer {
  status?: number;
  headers?: OutgoingHttpHeaders;
  body?: unknown;
}

/** A request to the API whose path matches a route. */
export interface ApiCall {
  /** The parts of the path that match the route's `:name`s. */
  params: Record<string, string>;
  query: URLSearchParams;
  /** The body, an object with any members; a GET has none. */
  json: Record<string, unknown>;
  account: Account | undefined;
}

/** Answers a call; undefined if the object of the call does not exist. */
export type Handler = (call: ApiCall) => Answer | undefined | Promise<Answer | undefined>;

/** A provider's records of its tokens. */
export interface Tokens {
  /** Whether the refresh token is valid; a reused token revokes its family. */
  present(refreshToken: string): boolean;
  accountOf(token: string | undefined): Account | undefined;
  /** Revokes all tokens of the grant that a token comes from. */
  revoke(token: string | undefined): void;
}

/** A request to an address that needs no access token. */
export interface OpenCall {
  params: Record<string, string>;
  query: URLSearchParams;
  body: Buffer;
  headers: IncomingHttpHeaders;
  rawHeaders: string[];
  url: string;
  store: Tokens;
  credentials: Credentials;
}

/** A kind of grant; it gets all of its parameters, and throws an OAuthError to refuse. */
export interface Grant {
  /** The parameters besides grant_type, all required. */
  parameters: string[];
  grant(
    parameters: Record<string, string>,
    provider: { credentials: Credentials; store: Tokens },
  ): {
    /** The refresh token that was presented. */
    presented?: string;
    /** Further members of the answer. */
    members?: Record<string, unknown>;
    account?: Account;
    /** Learns of the answer as the client gets it. */
    granted?(answer: Record<string, unknown>): void;
  };
}

export interface TokenEndpoint {
  path: string;
  encoding: "json" | "form";
  /** The grants, by grant_type. */
  grants: Record<string, Grant>;
  /** Whether unknown parameters are ignored, as RFC 6749 section 3.2 has it; else they are refused. */
  ignoresUnknown?: boolean;
}

/** A number of calls in a period. */
export interface Limit {
  most: number;
  seconds: number;
}

/** The state of a limit after a call. */
export interface Window {
  most: number;
  /** The calls left; negative once the window is full. */
  left: number;
  /** Seconds until the window ends. */
  wait: number;
  /** The end, in Unix seconds. */
  endsAt: number;
}

/** The limits of a provider. */
export interface Limits {
  /** Calls to the API with one token. */
  calls: Limit;
  /** The header fields that report the limit on every answer. */
  told?: (window: Window) => OutgoingHttpHeaders;
  refused: Answer;
  /** The answer to a duplicate of a call in flight, if the provider refuses duplicates. */
  identical?: Answer;
  /** The password grants for one user name before the account is blocked, and the error of a grant after that. */
  logins?: Limit & { error: string; description: string };
}

export interface Options {
  /** How long an access token lives, in seconds. */
  expiresIn: number;
  refreshToken: boolean;
  /** Whether a refresh yields a new refresh token. */
  rotation: boolean;
  /** Whether a refresh token that is used twice revokes its family. */
  reuseDetection: boolean;
  /** Whether a refresh revokes the earlier access tokens. */
  revokeOnRefresh: boolean;
  /** How many requests the provider records. */
  recordLimit: number;
  /** Whether the provider enforces its limits. */
  limits: boolean;
}

/** The definition of a provider. */
export interface Definition {
  name: string;
  /** The prefix of its tokens. */
  prefix: string;
  /** The base path of the API, if any. */
  basePath?: string;
  credentials: Credentials;
  options?: Partial<Options>;
  tokenEndpoint?: TokenEndpoint;
  /** Instead of a token endpoint: the accepted token, from the credentials. */
  staticToken?: (credentials: Credentials) => string;
  /** The handlers by method and path: "GET /path/:id". */
  routes: Record<string, Handler>;
  /** The handlers of the addresses that need no access token, by method and path. */
  open?: Record<string, (call: OpenCall) => Answer | Promise<Answer>>;
  /** The limits that `options.limits` turns on. */
  limits?: Limits;
  /** Whether the provider uses Laravel, which sends unauthenticated calls to a login page unless they ask for JSON. */
  laravel?: boolean;
  /** The bodies of refusals. */
  errors: Record<"unauthorized" | "notFound" | "methodNotAllowed" | "tooLarge" | "badBody", unknown>;
}

/** The settings of a provider at its start. */
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

/** A fault of the next request, or of the next `times`. */
export interface Fault {
  target: "token" | "api";
  kind: "status" | "delay" | "hang" | "reset" | "reset-after" | "malformed" | "members" | "unauthorized";
  times?: number;
  /** The length of a delay. */
  ms?: number;
  /** The status of a fault of that kind. */
  status?: number;
  headers?: OutgoingHttpHeaders;
  body?: unknown;
  /** The changed members of the token response. */
  set?: Record<string, unknown>;
  remove?: string[];
}

/** The record of a request. */
export interface Recorded {
  at: number;
  method: string;
  path: string;
  headers: IncomingHttpHeaders;
  rawHeaders: string[];
  body: string;
  fault?: string;
  /** The grant type of a token request. */
  grant_type?: string;
  /** The outcome of a token request: "ok", a fault, or an error code. */
  outcome?: string;
  /** The status of an API request. */
  status?: number;
  /** The person's user name, for an API request. */
  account?: string;
}

/** A running provider. */
export interface Provider {
  name: string;
  url: string;
  baseUrl: string;
  /** The address of the token endpoint, if any. */
  tokenUrl: string | undefined;
  credentials: Credentials;
  tokenRequests: Recorded[];
  apiRequests: Recorded[];
  /** The requests to addresses that need no access token. */
  openRequests: Recorded[];
  /** Every token issued. */
  issued: string[];
  readonly maxConcurrentTokenRequests: number;
  arm(fault: Fault): void;
  disarm(): void;
  /** Resets every limit, as `POST /sandbox/limits` does. */
  resetLimits(): void;
  revokeAccessTokens(): void;
  revokeEverything(): void;
  close(): Promise<void>;
}

/** A request as a server gets it: with a method and an address. */
export type Request = IncomingMessage & { method: string; url: string };

export type Person = { username: string; password: string };

export interface Hubsoft extends Provider {
  people: Person[];
  peopleClient: { client_id: string; client_secret: string };
  /** The services of disconnected customers. */
  disconnected: number[];
}

export interface HubsoftSettings extends Settings {
  people?: Person[];
  /** The client with which people sign in. */
  peopleClient?: { client_id?: string; client_secret?: string };
}

/** A person of the agenda. */
export interface AgendaPerson {
  sub: string;
  name: string;
  email: string;
}

/** A client as the agenda knows it. */
export interface AgendaClient {
  client_id: string;
  client_secret: string;
  name: string;
  redirect_uris: string[];
  post_logout_redirect_uris: string[];
  backchannel_logout_uri?: string;
}

export interface Agenda extends Provider {
  people: AgendaPerson[];
  /** The clients, which a test may change: that of the connection for people, and that of the shared one. */
  clients: AgendaClient[];
  /** A person's appointments, as the API answers them. */
  appointmentsOf(sub: string): { id: string; starts_at: string; title: string; place: string }[];
}

export interface AgendaSettings extends Settings {
  people?: AgendaPerson[];
  sharedClient?: { client_id?: string; client_secret?: string };
  /** The broker's address, below which its redirect addresses are. */
  broker?: string;
  /** Where a person may be sent after signing out. */
  homes?: string[];
  /** How long a code lives. */
  codeSeconds?: number;
}

export interface Guru extends Provider {
  /** The address that its events are sent to. */
  webhookUrl: string;
}
