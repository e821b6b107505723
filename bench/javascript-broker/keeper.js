// The only writer of a connection's token: runs one password grant for all waiting callers.
import { DurableObject } from "cloudflare:workers";
import { configuration } from "./config.js";
import { open, seal } from "./seal.js";
import { recordName } from "./tokens.js";

const TOKEN_TIMEOUT_MS = 10_000;
const SHORTEST_KV_LIFE = 60;

export class Keeper extends DurableObject {
  #token;
  #renewal;

  /** A token of a generation other than the refused one. */
  async token(id, refused) {
    const config = await configuration(this.env);
    const connection = config.connections.get(id);
    this.#token ??= await this.#load(config, connection);
    const isGood = this.#token !== undefined && Date.now() < this.#token.staleAt && this.#token.generation !== refused;
    if (isGood) return { ...this.#token, granted: false };
    this.#renewal ??= this.#renew(config, connection).finally(() => (this.#renewal = undefined));
    return { ...(await this.#renewal), granted: true };
  }

  async #load({ sealingKey }, connection) {
    const record = await this.ctx.storage.get("state");
    return record && open(record, recordName(connection), sealingKey);
  }

  async #renew({ sealingKey }, connection) {
    const obtainedAt = Date.now();
    const response = await fetch(connection.tokenUrl, {
      method: "POST",
      headers: { "content-type": "application/json", accept: "application/json", "user-agent": "porteiro" },
      body: JSON.stringify({ grant_type: "password", ...connection.credentials }),
      redirect: "manual",
      cache: "no-store",
      signal: AbortSignal.timeout(TOKEN_TIMEOUT_MS),
    });
    if (!response.ok) throw new Error(`the token endpoint answered ${response.status}`);
    const { access_token, expires_in } = await response.json();
    const token = { value: access_token, generation: obtainedAt, ...lifetime(obtainedAt, expires_in * 1000) };
    const record = await seal(token, recordName(connection), sealingKey);
    await this.ctx.storage.put("state", record);
    await this.ctx.storage.sync();
    const expirationTtl = Math.max(Math.floor(expires_in), SHORTEST_KV_LIFE);
    this.ctx.waitUntil(this.env.TOKENS.put(recordName(connection), record, { expirationTtl }));
    return (this.#token = token);
  }
}

function lifetime(obtainedAt, life) {
  const expiresAt = obtainedAt + life;
  const staleAt = expiresAt - Math.min(60_000, life / 10);
  const lead = Math.min(life / 5, 6 * 3_600_000) * (0.75 + Math.random() / 2);
  return { refreshAt: Math.min(expiresAt - lead, staleAt), staleAt, expiresAt };
}
