// The access tokens of an isolate: from memory, else KV, else the keeper.
import { Problem } from "./problem.js";
import { open } from "./seal.js";

const BEHIND_MS = 15_000;

const held = new Map();
const askedBehind = new Map();

/** A token for a new call, and its source. */
export async function currentToken(config, connection, env, ctx) {
  const now = Date.now();
  const remembered = held.get(connection.id);
  if (remembered !== undefined && now < remembered.staleAt) {
    renewBehind(connection, remembered, now, env, ctx);
    return { token: remembered, source: "memory" };
  }
  const record = await env.TOKENS.get(recordName(connection));
  const cached = record === null ? undefined : await open(record, recordName(connection), config.sealingKey);
  if (cached !== undefined && Date.now() < cached.staleAt) {
    held.set(connection.id, cached);
    return { token: cached, source: "kv" };
  }
  return askKeeper(connection, env, undefined);
}

/** Another token, after the upstream refused `refused`. */
export async function tokenAfterRefusal(connection, refused, env) {
  const newer = held.get(connection.id);
  if (newer !== undefined && newer.generation > refused.generation) return { token: newer, source: "memory" };
  held.delete(connection.id);
  return askKeeper(connection, env, refused.generation);
}

export const recordName = ({ id }) => `access-token/${id}`;

async function askKeeper({ id }, env, refused) {
  try {
    const { granted, ...token } = await env.KEEPER.getByName(id).token(id, refused);
    held.set(id, token);
    return { token, source: granted ? "grant" : "keeper" };
  } catch {
    throw new Problem("connection_unavailable");
  }
}

function renewBehind({ id }, { refreshAt, generation }, now, env, ctx) {
  if (now < refreshAt || now < (askedBehind.get(id) ?? 0) + BEHIND_MS) return;
  askedBehind.set(id, now);
  const renewed = env.KEEPER.getByName(id)
    .token(id, generation)
    .then(({ granted, ...token }) => held.set(id, token));
  ctx.waitUntil(renewed.catch(() => {}));
}
