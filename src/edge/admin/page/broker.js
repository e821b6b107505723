// Asking the broker, and what time it is there.

import { phrase, words } from "./language.js";

const PATIENCE_MS = 60_000;

// An address with a password in it is none that fetch takes.
const HERE = location.origin + location.pathname;

/** How far the broker's clock is ahead. */
export let skew = 0;

export const now = () => Date.now() + skew;

/** What an operator is told of a request that failed. */
export class Failure extends Error {
  /** @param {string} text @param {number} [status] */
  constructor(text, status) {
    super(text);
    this.status = status;
  }
}

/**
 * The answer, which is JSON, or undefined where it is empty.
 * @param {string} method @param {string} path @param {AbortSignal} [signal] @returns {Promise<any>}
 */
export async function ask(method, path, signal) {
  const late = AbortSignal.timeout(PATIENCE_MS);
  let response, body;
  try {
    response = await fetch(new URL(path, HERE), {
      method,
      cache: "no-store",
      redirect: "error",
      signal: signal ? AbortSignal.any([signal, late]) : late,
    });
    body = await response.text();
  } catch {
    throw new Failure(late.aborted ? words.late : words.unreached);
  }
  const date = Date.parse(response.headers.get("Date") ?? "");
  // The field has whole seconds only.
  if (date) skew = Math.abs(date - Date.now()) > 2_000 ? date - Date.now() : 0;
  if (response.ok && !body) return undefined;
  let json;
  try {
    json = JSON.parse(body);
  } catch {}
  if (response.status === 401) throw new Failure(words.signedOut, 401);
  if (!response.ok) {
    const { title, detail, request_id: request } = json ?? {};
    const said = [
      title ?? phrase(words.answerWas, { status: String(response.status) }),
      detail?.replace(/\.$/, ""),
      request && phrase(words.request, { id: request }),
    ];
    throw new Failure(`${said.filter(Boolean).join(". ")}.`, response.status);
  }
  if (typeof json !== "object") throw new Failure(words.strange);
  return json;
}

/** Where the connection `id` is. @param {string} id */
export const at = (id, rest = "") => `connections/${encodeURIComponent(id)}${rest}`;
