// The Worker of the broker, for a Worker of one's own.

/** What the broker is called with: these bindings, and its variables and secrets. There may be others. */
export interface PorteiroEnv {
  TOKENS: unknown;
  KEEPER: unknown;
}

/** The context of the request: the broker goes on after its answer, to renew a token, for example. */
export interface PorteiroContext {
  waitUntil(promise: Promise<unknown>): void;
}

declare const porteiro: {
  /** Answers a request to an address below `BASE_PATH`. */
  fetch(request: Request, env: PorteiroEnv, ctx: PorteiroContext): Promise<Response>;
};

export default porteiro;

/** The class of the binding `KEEPER`, which a Worker exports. */
export class Keeper {
  // By this the types of the runtime know the class of a Durable Object.
  readonly __DURABLE_OBJECT_BRAND: never;
  constructor(state: unknown, env: unknown);
  fetch(request: Request): Promise<Response>;
  alarm(): Promise<void>;
}
