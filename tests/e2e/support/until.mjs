// Waiting for a condition: the only way in which a test of tests/e2e/ waits.

import { setTimeout as sleep } from "node:timers/promises";

/** How long an expected event may take on a slow machine. */
export const PATIENCE = 60_000;

/**
 * Calls `look` again and again until it returns a truthy value, and returns that.
 *
 * @template T
 * @param {() => T | Promise<T>} look
 * @param {string} what
 * @param {number} [limit] in milliseconds
 * @returns {Promise<Exclude<T, undefined | null | false | 0 | "">>}
 */
export async function until(look, what, limit = PATIENCE) {
  for (const end = Date.now() + limit; ; await sleep(10)) {
    const found = await look();
    if (found) return /** @type {Exclude<T, undefined | null | false | 0 | "">} */ (found);
    if (Date.now() > end) throw new Error(`${what} did not come within ${limit} ms`);
  }
}

/**
 * Waits until `millis` are over: for tests of what lasts for a time, such as a window, a lease or a copy.
 *
 * @param {number} millis
 */
export async function passed(millis) {
  const end = Date.now() + millis;
  await until(() => Date.now() >= end, `${millis} ms`);
}
