// What wasm-bindgen makes of this crate, as far as the shim uses it: `entry.rs`, `durable_object.rs`, and the function
// that its option --experimental-reset-state-function adds. `scripts/build.mjs` puts the module in place of "broker".

declare module "broker" {
  import type { Call } from "./call.js";

  /** Makes the module's first instance, or another where the last one was aborted. */
  export function __worker_init_state(): { readonly instanceId: number };

  /** The header fields of every answer, a line each. */
  export function commonFields(): string;

  export function begin(id: number, call: Call, head: string, now: number): string;

  export function resume(id: number, head: string, now: number): string | undefined;

  export class BrokerObject {
    constructor(state: DurableObjectState, env: Env);
    answer(message: string): Promise<string>;
    alarm(): Promise<void>;
  }
}

/** The module as a whole, which a call is handed. */
type Broker = typeof import("broker");

/** What wrangler.toml binds, and beside it whatever variables and secrets there are. */
interface Env {
  TOKENS: KVNamespace;
  KEEPER: DurableObjectNamespace;
  ANALYTICS?: AnalyticsEngineDataset;
  BASE_PATH?: unknown;
  [name: string]: unknown;
}
