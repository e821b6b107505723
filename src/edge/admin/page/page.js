// The operators' page: how each connection does, and what to do about it.

/** @import { Action } from "./rows.js" */

import { ACTIONS } from "./actions.js";
import { now } from "./broker.js";
import { say } from "./dialogs.js";
import { readEvents } from "./events.js";
import { doing, entries, FILTERS, outcomes, placesOf, view } from "./known.js";
import { paint } from "./list.js";
import { $, make } from "./nodes.js";
import { goOn, more, reload, restart } from "./reading.js";
import { rows, show } from "./rows.js";

function remember() {
  const { filter, q } = view;
  const hash = new URLSearchParams({ ...(filter === "all" ? {} : { state: filter }), ...(q ? { q } : {}) });
  history.replaceState(null, "", hash.size ? `#${hash}` : location.pathname);
}

function recall() {
  const hash = new URLSearchParams(location.hash.slice(1));
  const state = hash.get("state") ?? "";
  view.filter = FILTERS.includes(state) ? state : "all";
  view.q = $("q").value = hash.get("q") ?? "";
  restart();
}

for (const name of FILTERS) {
  const button = make("button");
  button.type = "button";
  button.id = `filter-${name}`;
  button.onclick = () => {
    view.filter = name;
    view.isStopped = false;
    for (const entry of entries.values()) entry.placed = placesOf(entry);
    remember();
    paint();
    goOn();
  };
  $("filters").append(button);
}

/** @type {number | undefined} */
let typed;
$("q").oninput = () => {
  clearTimeout(typed);
  typed = setTimeout(() => {
    const q = $("q").value.trim();
    if (q === view.q) return;
    view.q = q;
    remember();
    restart().then(() => say($("end").textContent));
  }, 250);
};
$("reload").onclick = () => {
  readEvents();
  reload(true);
};
$("more").onclick = () => {
  view.isStopped = $("more").dataset.walks === "true";
  if (view.isStopped) paint();
  else if (view.filter === "all") more();
  else goOn();
};

// The buttons of the rows, which come and go.
$("main").onclick = ({ target }) => {
  /** @type {HTMLElement | null} */
  const button = /** @type {Element} */ (target).closest("[data-do]");
  /** @type {HTMLElement | null | undefined} */
  const row = button?.closest(".row");
  const id = row?.dataset.id;
  if (button && id && !doing.has(id)) ACTIONS[/** @type {Action} */ (button.dataset.do)](id, button);
};

document.onvisibilitychange = () => goOn();
window.onhashchange = recall;
new IntersectionObserver(() => goOn(), { rootMargin: "800px 0px" }).observe($("end"));

let ticks = 0;
setInterval(() => {
  if (document.hidden) return;
  ticks += 1;
  if (ticks % 30 === 0) readEvents();
  for (const [id, { at: when }] of outcomes) if (when !== undefined && now() - when > 20_000) outcomes.delete(id);
  for (const id of rows.keys()) if (ticks % 10 === 0 || outcomes.has(id) || entries.get(id)?.retry_at) show(id);
}, 1_000);

recall();
readEvents();
