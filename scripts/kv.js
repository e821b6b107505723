// Workers KV for bare workerd, which has none: the worker behind a `kvNamespace` binding. It keeps the records on disk,
// deletes what has expired, and is as strict as KV: a test that passes here must not fail on Cloudflare.
//
// https://developers.cloudflare.com/kv/platform/limits/

const KEY_BYTES = 512;
const VALUE_BYTES = 25 * 1024 * 1024;
const METADATA_BYTES = 1024;
const SHORTEST_LIFE_SECONDS = 60;
const SHORTEST_CACHE_SECONDS = 30;

/** @param {number} status @param {string} problem */
const refusal = (status, problem) => new Response(`KV: ${problem}`, { status, statusText: problem });

/** A number of seconds in the binding's form, or NaN. @param {string} text */
const seconds = (text) => (/^\d+$/.test(text) ? Number(text) : NaN);

/**
 * A record.
 *
 * @typedef {{ value: ArrayBuffer, expiration: number | null, metadata: string | null }} Row
 */

/** @typedef {{ exec: (statement: string, ...values: unknown[]) => { toArray: () => any[] } }} Sql */

/** One namespace: a Durable Object. */
export class Namespace {
  /** @param {{ storage: { sql: Sql } }} state */
  constructor({ storage }) {
    this.sql = storage.sql;
    this.sql.exec(
      "CREATE TABLE IF NOT EXISTS records (key TEXT PRIMARY KEY, value BLOB NOT NULL, expiration INTEGER, metadata TEXT)",
    );
    this.sql.exec("CREATE INDEX IF NOT EXISTS ends ON records (expiration) WHERE expiration IS NOT NULL");
  }

  /** @param {Request} request */
  async fetch(request) {
    const { pathname, searchParams } = new URL(request.url);
    const key = searchParams.get("urlencoded") === "true" ? decodeURIComponent(pathname.slice(1)) : pathname.slice(1);
    if (key === "" || key === "." || key === "..") return refusal(400, "no such key");
    if (new TextEncoder().encode(key).length > KEY_BYTES) return refusal(414, "the key is too long");
    switch (request.method) {
      case "GET":
        return this.#get(key, searchParams.get("cache_ttl"));
      case "PUT":
        return this.#put(key, searchParams, request.headers.get("CF-KV-Metadata"), await request.arrayBuffer());
      case "DELETE":
        this.sql.exec("DELETE FROM records WHERE key = ?", key);
        return new Response();
      default:
        return refusal(405, `no ${request.method} here`);
    }
  }

  /** @param {string} key @param {string | null} cache */
  #get(key, cache) {
    if (cache !== null && !(seconds(cache) >= SHORTEST_CACHE_SECONDS)) return refusal(400, "cache_ttl is too short");
    /** @type {Row[]} */
    const [row] = this.sql.exec("SELECT value, expiration, metadata FROM records WHERE key = ?", key).toArray();
    if (!row || (row.expiration !== null && row.expiration <= Date.now() / 1000)) return refusal(404, "no record");
    const headers = new Headers();
    if (row.expiration !== null) headers.set("CF-Expiration", String(row.expiration));
    if (row.metadata !== null) headers.set("CF-KV-Metadata", row.metadata);
    return new Response(row.value, { headers });
  }

  /** @param {string} key @param {URLSearchParams} parameters @param {string | null} metadata @param {ArrayBuffer} value */
  #put(key, parameters, metadata, value) {
    const now = Math.floor(Date.now() / 1000);
    const [life, until] = [parameters.get("expiration_ttl"), parameters.get("expiration")];
    const expiration = life !== null ? now + seconds(life) : until !== null ? seconds(until) : null;
    if (expiration !== null && !(expiration >= now + SHORTEST_LIFE_SECONDS)) return refusal(400, "it expires too soon");
    if (value.byteLength > VALUE_BYTES) return refusal(413, "the value is too long");
    if (metadata !== null && metadata.length > METADATA_BYTES) return refusal(413, "the metadata is too long");
    this.sql.exec("DELETE FROM records WHERE expiration <= ?", now);
    this.sql.exec("INSERT OR REPLACE INTO records VALUES (?, ?, ?, ?)", key, value, expiration, metadata);
    return new Response();
  }
}

export default {
  /** @param {Request} request @param {{ NAMESPACE: any }} env */
  fetch: (request, { NAMESPACE }) => NAMESPACE.get(NAMESPACE.idFromName("tokens")).fetch(request),
};
