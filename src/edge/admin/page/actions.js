// What an operator does to a connection.

/** @import { Action } from "./rows.js" */

import { ask, at, Failure, now } from "./broker.js";
import { say, sure } from "./dialogs.js";
import { doing, done, entries, outcomes, view } from "./known.js";
import { onScreen, paint } from "./list.js";
import { $ } from "./nodes.js";
import { keep } from "./reading.js";
import { LABELS, show } from "./rows.js";
import { openHooks } from "./webhooks.js";
import { clock } from "./words.js";

/**
 * Does something to a connection, and tells how it ended.
 * @param {string} id @param {Action} name @param {string} method @param {string} path @param {string} ended
 */
async function act(id, name, method, path, ended) {
  doing.set(id, name);
  outcomes.delete(id);
  show(id);
  try {
    const entry = await ask(method, path);
    if (name === "remove") entries.delete(id);
    else keep(entry?.id === id ? entry : await ask("GET", at(id)), Date.now());
    outcomes.set(id, { text: `${ended} at ${clock.format(now())}.`, at: now() });
    say(`${id}: ${ended}.`);
  } catch (error) {
    fail(id, `${LABELS[name]} failed. `, error);
  }
  done.set(id, Date.now());
  doing.delete(id);
  paint();
}

/** @param {string} id @param {string} what @param {unknown} error */
function fail(id, what, error) {
  if (!(error instanceof Failure)) console.error(error);
  const { message, status } = /** @type {Failure} */ (error);
  if (status === 401) view.trouble = { message, status };
  outcomes.set(id, { what, text: message });
  say(`${id}: ${what}${message}`);
}

/** @type {Record<Action, (id: string, button: HTMLElement) => unknown>} */
export const ACTIONS = {
  refresh: (id) => act(id, "refresh", "POST", at(id, "/refresh"), "Refreshed"),
  webhooks: openHooks,
  async drop(id, button) {
    const text =
      entries.get(id)?.grant === "refresh_token"
        ? "The token set is deleted, with the newest refresh token. The next call needs the one in the secret, which must still be valid."
        : "The token set is deleted. The next call obtains a new one, and waits for it.";
    if (await sure(button, `Drop the token of ${id}?`, text, "Drop the token")) {
      await act(id, "drop", "DELETE", at(id, "/token"), "Token dropped");
    }
  },
  async remove(id, button) {
    const text =
      "The broker forgets the connection, its secrets and its token. Calls to it are answered 404 from then on. This cannot be undone.";
    if (!(await sure(button, `Remove ${id}?`, text, "Remove the connection"))) return;
    const place = onScreen().indexOf(id);
    await act(id, "remove", "DELETE", at(id), "Removed");
    if (!entries.has(id)) focusAt(place);
  },
};

/** The row that is now the one at `place`, or else the search. @param {number} place */
function focusAt(place) {
  /** @type {HTMLElement | null | undefined} */
  const button = document.querySelectorAll(".row")[Math.max(0, place)]?.querySelector("button:not([hidden])");
  (button ?? $("q")).focus();
}
