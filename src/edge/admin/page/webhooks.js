// The events of a connection, or the operator's own, that the receiver does not have, in a dialog.

/** @import { Webhook } from "./types.js" */

import { ask, at } from "./broker.js";
import { open, say } from "./dialogs.js";
import { done } from "./known.js";
import { fill, named, phrase, words } from "./language.js";
import { paint } from "./list.js";
import { $, copyOf, put, time } from "./nodes.js";
import { keep } from "./reading.js";
import { count, many } from "./words.js";

/**
 * The connection whose webhooks are shown, none for the operator's events, where each list goes on, and which are being asked for.
 * @typedef {{ id: string, after: Record<string, string>, sending: Set<string> }} Hooks
 */

/** @type {Hooks | undefined} */
let hooks;

/** @param {string} id @param {HTMLElement} button */
export function openHooks(id, button) {
  hooks = { id, after: {}, sending: new Set() };
  const [of, name] = $("hooks-title").children;
  /** @type {HTMLElement} */ (of).hidden = !id;
  put(name, id || words.eventsTitle);
  put($("hooks-said"));
  listBoth();
  open($("hooks"), button);
}

/** Where the events of these are. @param {Hooks} mine */
const placeOf = ({ id }) => `${id ? at(id) : "events"}/webhooks`;

function listBoth() {
  for (const state of ["failed", "pending"]) listEvents(state, true);
}

/** @param {string} state */
async function listEvents(state, isFirst = false) {
  const mine = hooks;
  if (!mine) return;
  const moreButton = /** @type {HTMLElement} */ (document.querySelector(`[data-more=${state}]`));
  const title = words.events[state];
  if (isFirst) {
    $(state).replaceChildren();
    mine.after[state] = "";
    put($(`${state}-title`), phrase(words.eventsAsking, { title }));
  }
  if (mine.sending.has(state)) return;
  mine.sending.add(state);
  try {
    const after = mine.after[state] && `&after=${encodeURIComponent(mine.after[state])}`;
    /** @type {{ webhooks: Webhook[], next: string | null }} */
    const page = await ask("GET", `${placeOf(mine)}?state=${state}${after}`);
    if (hooks !== mine) return;
    $(state).append(...page.webhooks.map((event) => eventOf(mine, event)));
    mine.after[state] = page.next ?? "";
    moreButton.hidden = !page.next;
    const n = $(state).childElementCount;
    const tell = n ? (page.next ? words.eventsFirst : "{title}: {n}") : words.eventsNone;
    put($(`${state}-title`), phrase(tell, { title, n: count(n) }));
    if (state === "failed") $("send-all").hidden = !n;
  } catch (error) {
    if (hooks === mine) put($(`${state}-title`), `${title}: ${messageOf(error)}`);
  } finally {
    mine.sending.delete(state);
  }
}

/** @param {Hooks} mine @param {Webhook} event */
function eventOf(mine, { id, state, accepted_at: accepted, attempts, outcome, status, next_at: following }) {
  const node = copyOf("event");
  const [code, text, button] = /** @type {HTMLCollectionOf<HTMLElement>} */ (node.children);
  put(code, id);
  put(
    text,
    ...fill(many(words.accepted, attempts), { time: time(accepted), n: count(attempts) }),
    outcome ? `; ${named(words.outcomes, outcome)}${status === null ? "" : ` ${status}`}` : "",
    ...(following ? fill(words.nextAttempt, { time: time(following) }) : []),
  );
  button.hidden = state !== "failed";
  put(button, words.sendAgain);
  button.setAttribute("aria-label", `${words.sendAgain}: ${id}`);
  button.onclick = () =>
    sendEvents(mine, `/${encodeURIComponent(id)}`, button, words.sentAgain, phrase(words.onItsWay, { id }));
  return node;
}

/**
 * Sends failed events again: the one at `path`, or all.
 * @param {Hooks} mine @param {string} path @param {HTMLElement} button @param {string} label @param {string} said
 */
async function sendEvents(mine, path, button, label, said) {
  if (button.ariaDisabled === "true") return;
  button.ariaDisabled = "true";
  try {
    await ask("POST", `${placeOf(mine)}${path}/send`);
    if (hooks === mine) {
      if (path) button.textContent = button.ariaLabel = label;
      say(said);
    }
  } catch (error) {
    button.ariaDisabled = "false";
    if (hooks === mine) say(phrase(words.notSent, { why: messageOf(error) }));
    return;
  }
  if (!mine.id) return;
  try {
    const entry = await ask("GET", at(mine.id));
    keep(entry, Date.now());
    done.set(mine.id, Date.now());
    paint();
  } catch {
    // The next reload tells.
  }
}

/** @param {unknown} error */
const messageOf = (error) => /** @type {Error} */ (error).message;

$("hooks-close").onclick = () => $("hooks").close();
$("send-all").onclick = async () => {
  const mine = hooks;
  if (!mine) return;
  await sendEvents(mine, "", $("send-all"), "", words.allOnTheirWay);
  if (hooks === mine) listBoth();
  $("send-all").ariaDisabled = "false";
};
/** @type {NodeListOf<HTMLElement>} */
const moreButtons = document.querySelectorAll("[data-more]");
for (const button of moreButtons) button.onclick = () => listEvents(/** @type {string} */ (button.dataset.more));
