// The Worker of the broker, for a Worker of one's own.

/** What the broker is called with: the bindings `TOKENS` and `KEEPER`, the variables and the secrets. */
export interface PorteiroEnv {
  TOKENS: unknown;
  KEEPER: unknown;
  [name: string]: unknown;
}

/** What a request may go on with after its answer. */
export interface PorteiroContext {
  waitUntil(promise: Promise<unknown>): void;
  passThroughOnException?(): void;
}

declare const porteiro: {
  /** Answers a request to an address below `BASE_PATH`. */
  fetch(request: Request, env: PorteiroEnv, ctx: PorteiroContext): Promise<Response>;
};

export default porteiro;

/** The class of the binding `KEEPER`, which a Worker exports. */
export class Keeper {
  constructor(state: unknown, env: unknown);
  fetch(request: Request): Promise<Response>;
  alarm(): Promise<void>;
}
