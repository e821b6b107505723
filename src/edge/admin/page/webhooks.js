// The events of a connection that its receiver does not have, in a dialog.

/** @import { Webhook } from "./types.js" */

import { ask, at } from "./broker.js";
import { open, say } from "./dialogs.js";
import { done } from "./known.js";
import { paint } from "./list.js";
import { $, copyOf, put, time } from "./nodes.js";
import { keep } from "./reading.js";
import { count, many } from "./words.js";

/** @type {Record<string, string>} */
const OUTCOMES = {
  refused: "the receiver answered",
  gone: "the receiver answered",
  timeout: "the receiver was too slow",
  unreachable: "the receiver was not reached",
  unopened: "the stored event does not open: its sealing key is gone",
  misconfigured: "the webhook was not configured correctly",
};

/**
 * The connection whose webhooks are shown, where each list goes on, and which are being asked for.
 * @typedef {{ id: string, after: Record<string, string>, sending: Set<string> }} Hooks
 */

/** @type {Hooks | undefined} */
let hooks;

/** @param {string} id @param {HTMLElement} button */
export function openHooks(id, button) {
  hooks = { id, after: {}, sending: new Set() };
  put(/** @type {Element} */ ($("hooks-title").querySelector("bdi")), id);
  put($("hooks-said"));
  listBoth();
  open($("hooks"), button);
}

function listBoth() {
  for (const state of ["failed", "pending"]) listEvents(state, true);
}

/** @param {string} state */
async function listEvents(state, isFirst = false) {
  const mine = hooks;
  if (!mine) return;
  const moreButton = /** @type {HTMLElement} */ (document.querySelector(`[data-more=${state}]`));
  const title = state === "failed" ? "Failed for good" : "Pending";
  if (isFirst) {
    $(state).replaceChildren();
    mine.after[state] = "";
    put($(`${state}-title`), `${title}: asking…`);
  }
  if (mine.sending.has(state)) return;
  mine.sending.add(state);
  try {
    const after = mine.after[state] && `&after=${encodeURIComponent(mine.after[state])}`;
    /** @type {{ webhooks: Webhook[], next: string | null }} */
    const page = await ask("GET", at(mine.id, `/webhooks?state=${state}${after}`));
    if (hooks !== mine) return;
    $(state).append(...page.webhooks.map((event) => eventOf(mine, event)));
    mine.after[state] = page.next ?? "";
    moreButton.hidden = !page.next;
    const n = $(state).childElementCount;
    put($(`${state}-title`), n ? `${title}: ${page.next ? "the first " : ""}${count(n)}` : `${title}: none`);
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
  const ended = outcome && (Object.hasOwn(OUTCOMES, outcome) ? OUTCOMES[outcome] : outcome);
  put(code, id);
  put(
    text,
    "accepted ",
    time(accepted),
    `, ${many(attempts, "attempt")}`,
    ended ? `; ${ended}${status === null ? "" : ` ${status}`}` : "",
    following ? "; next " : "",
    following ? time(following) : "",
  );
  button.hidden = state !== "failed";
  button.setAttribute("aria-label", `Send again: ${id}`);
  button.onclick = () =>
    sendEvents(mine, `/${encodeURIComponent(id)}`, button, "Sent again", `Event ${id} is on its way again.`);
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
    await ask("POST", at(mine.id, `/webhooks${path}/send`));
    if (hooks === mine) {
      if (path) button.textContent = button.ariaLabel = label;
      say(said);
    }
  } catch (error) {
    button.ariaDisabled = "false";
    if (hooks === mine) say(`Not sent. ${messageOf(error)}`);
    return;
  }
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
  await sendEvents(mine, "", $("send-all"), "", "All failed events are on their way again.");
  if (hooks === mine) listBoth();
  $("send-all").ariaDisabled = "false";
};
/** @type {NodeListOf<HTMLElement>} */
const moreButtons = document.querySelectorAll("[data-more]");
for (const button of moreButtons) button.onclick = () => listEvents(/** @type {string} */ (button.dataset.more));
