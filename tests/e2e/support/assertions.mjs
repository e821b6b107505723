// Common assertions about answers.

import assert from "node:assert/strict";

/** @import { Answer } from "./client.mjs" */

/**
 * The parts of an answer that assertions read, from any client.
 *
 * @typedef {{ status: number, headers: { [name: string]: string }, text: string, json: () => any }} Told
 */

/**
 * Checks a problem by RFC 9457 and the broker's own rules; returns its body.
 *
 * @param {Told} answer
 * @param {number} status
 * @param {string} code
 * @param {{ [member: string]: unknown }} [members]
 */
export function assertProblem(answer, status, code, members = {}) {
  const said = `${answer.status} ${answer.text.slice(0, 300)}`;
  assert.equal(answer.status, status, `expected ${status} ${code}, got ${said}`);
  assert.match(answer.headers["content-type"] ?? "", /^application\/problem\+json\b/, said);
  const body = answer.json();
  assert.equal(body.code, code, said);
  assert.equal(body.status, status, said);
  assert.ok(body.title && typeof body.title === "string", said);
  assert.ok(body.detail && typeof body.detail === "string", said);
  assert.ok(new URL(body.type).pathname.endsWith(`/problems/${code}`), said);
  assert.ok(body.request_id, said);
  assert.equal(answer.headers["x-request-id"], body.request_id, said);
  for (const [name, value] of Object.entries(members)) assert.deepEqual(body[name], value, said);
  return body;
}

/**
 * Checks that a proxied call succeeded with `status`; returns the answer.
 *
 * @template {Pick<Told, "status" | "text">} T
 * @param {T} answer
 */
export function assertStatus(answer, status = 200) {
  assert.equal(answer.status, status, `${answer.status} ${answer.text.slice(0, 300)}`);
  return answer;
}

/**
 * Checks the fields of every answer of the broker.
 *
 * @param {Answer} answer
 * @param {string} what
 */
export function assertEveryAnswer(answer, what) {
  assert.ok(answer.headers["x-request-id"], `${what}: X-Request-Id`);
  assert.equal(answer.headers["cache-control"], "no-store", `${what}: Cache-Control`);
  assert.equal(answer.headers["x-content-type-options"], "nosniff", `${what}: X-Content-Type-Options`);
  assert.ok(varies(answer), `${what}: Vary: ${answer.headers.vary}`);
}

/**
 * Whether `Vary` says that the answer depends on Origin.
 *
 * @param {Pick<Answer, "headers">} answer
 */
export const varies = (answer) => list(answer.headers.vary).includes("origin");

/** The members of a comma-separated field, in lower case. */
export const list = (value = "") =>
  value
    .split(",")
    .map((item) => item.trim().toLowerCase())
    .filter(Boolean);
