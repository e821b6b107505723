// What an operator does to a connection.

/** @import { Action } from "./rows.js" */

import { ask, at, Failure, now } from "./broker.js";
import { say, sure } from "./dialogs.js";
import { doing, done, entries, outcomes, view } from "./known.js";
import { phrase, words } from "./language.js";
import { paint } from "./list.js";
import { $ } from "./nodes.js";
import { keep } from "./reading.js";
import { rows, show } from "./rows.js";
import { openHooks } from "./webhooks.js";
import { clock } from "./words.js";

/**
 * Does something to a connection, and tells how it ended.
 * @param {string} id @param {keyof typeof words.ended} name @param {string} method @param {string} path
 */
async function act(id, name, method, path) {
  const ended = words.ended[name];
  doing.set(id, name);
  outcomes.delete(id);
  show(id);
  try {
    const entry = await ask(method, path);
    if (name === "remove") entries.delete(id);
    else keep(entry?.id === id ? entry : await ask("GET", at(id)), Date.now());
    outcomes.set(id, { text: phrase(words.endedAt, { ended, time: clock.format(now()) }), at: now() });
    say(`${id}: ${ended}.`);
  } catch (error) {
    fail(id, `${words.failed[name]} `, error);
  }
  done.set(id, Date.now());
  doing.delete(id);
  paint();
}

/**
 * Makes a link by which somebody connects the account, and uses it.
 * @param {string} id @param {"connect" | "copyLink"} name @param {(url: string) => Promise<void> | void} use
 */
async function withLink(id, name, use) {
  doing.set(id, name);
  outcomes.delete(id);
  show(id);
  let url = "";
  try {
    const link = await ask("POST", at(id, "/connect-link"));
    url = link.url;
    await use(url);
    const text = phrase(words.links[name], { until: clock.format(new Date(link.expires_at)) });
    outcomes.set(id, { text, at: now() });
    say(`${id}: ${text}`);
  } catch (error) {
    // The browser may refuse what the broker granted: the operator copies the address by hand.
    if (url) outcomes.set(id, { what: `${words.failed[name]} `, text: url });
    else fail(id, `${words.failed[name]} `, error);
  }
  doing.delete(id);
  show(id);
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
  refresh: (id) => act(id, "refresh", "POST", at(id, "/refresh")),
  async connect(id) {
    // A browser opens a tab for a click, and not for what comes later.
    const tab = window.open("", "_blank");
    let isOpen = false;
    await withLink(id, "connect", (url) => {
      if (!tab) throw new Error("no tab");
      tab.opener = null;
      tab.location.replace(url);
      isOpen = true;
    });
    if (!isOpen) tab?.close();
  },
  copyLink: (id) => withLink(id, "copyLink", (url) => navigator.clipboard.writeText(url)),
  webhooks: openHooks,
  async drop(id, button) {
    const text = entries.get(id)?.grant === "refresh_token" ? words.dropRefresh : words.dropText;
    if (!(await sure(button, phrase(words.dropTitle, { id }), text, words.dropYes))) return;
    await act(id, "drop", "DELETE", at(id, "/token"));
  },
  async remove(id, button) {
    if (!(await sure(button, phrase(words.removeTitle, { id }), words.removeText, words.removeYes))) return;
    const row = rows.get(id)?.node;
    const place = row ? rowsInOrder().indexOf(row) : 0;
    await act(id, "remove", "DELETE", at(id));
    if (!entries.has(id)) focusAt(place);
  },
};

/** @returns {HTMLElement[]} */
const rowsInOrder = () => [...document.querySelectorAll(/** @type {"div"} */ (".row"))];

/** The row that is now the one at `place`, or else the search. @param {number} place */
function focusAt(place) {
  /** @type {HTMLElement | null | undefined} */
  const button = rowsInOrder()[Math.max(0, place)]?.querySelector("button:not([hidden])");
  (button ?? $("q")).focus();
}
