// The list of connections, its filters, and the line at its end.

/** @import { Block, Entry, Kept } from "./types.js" */

import { skew } from "./broker.js";
import { opener } from "./dialogs.js";
import { entries, FILTERS, needsYou, STATES, view } from "./known.js";
import { $, make, put, shape, time } from "./nodes.js";
import { rowOf, rows } from "./rows.js";
import { count, many, words } from "./words.js";

/** How many rows are made and thrown away together. */
const BLOCK = 40;

// Only blocks near the screen have their rows; the others keep their height.
const nearness = new IntersectionObserver(
  (changes) => {
    for (const { target, isIntersecting } of changes) {
      const block = /** @type {Block} */ (target);
      block.isNear = isIntersecting;
      fill(block);
    }
    sweep();
  },
  { rootMargin: "1000px 0px" },
);

/** @param {Block} block */
function fill(block) {
  const isKept = block.isNear || block.contains(document.activeElement) || block.contains(opener);
  if (!isKept) {
    const { length } = block.ids;
    if (block.childElementCount) block.style.setProperty("height", `${block.offsetHeight}px`);
    else if (block.sizedFor !== length) block.style.setProperty("height", `${length * rowHeight()}px`);
    block.sizedFor = length;
    block.replaceChildren();
    return;
  }
  block.style.removeProperty("height");
  const wanted = block.ids.map(rowOf);
  const stays = new Set(/** @type {Element[]} */ (wanted));
  for (const node of [...block.children]) stays.has(node) || node.remove();
  let place = block.firstElementChild;
  for (const node of wanted) {
    if (node === place) place = place.nextElementSibling;
    else block.insertBefore(node, place);
  }
}

const rowHeight = () => /** @type {HTMLElement | null} */ (document.querySelector(".row"))?.offsetHeight ?? 64;

function sweep() {
  for (const [id, { node }] of rows) node.isConnected || rows.delete(id);
}

/** @param {string} name @param {string} title @param {string[]} ids */
function fillSection(name, title, ids) {
  const list = /** @type {Element} */ ($(name).querySelector(".list"));
  const blocks = /** @type {HTMLCollectionOf<Block>} */ (list.children);
  const wanted = Math.ceil(ids.length / BLOCK);
  while (blocks.length > wanted) {
    const last = blocks[blocks.length - 1];
    nearness.unobserve(last);
    last.remove();
  }
  while (blocks.length < wanted) {
    const block = Object.assign(make("div", "block"), { isNear: !blocks.length, ids: [] });
    list.append(block);
    nearness.observe(block);
  }
  [...blocks].forEach((block, i) => {
    block.ids = ids.slice(i * BLOCK, (i + 1) * BLOCK);
    fill(block);
  });
  $(name).hidden = !ids.length;
  put($(`${name}-title`), title, make("span", "", count(ids.length)));
}

/** The ids of the rows that are seen. */
export const onScreen = () =>
  [...rows]
    .filter(([, { node }]) => {
      const { top, bottom } = node.getBoundingClientRect();
      return bottom > 0 && top < innerHeight;
    })
    .map(([id]) => id);

/** Brings everything that is seen to what is known now. */
export function paint() {
  const focused = /** @type {HTMLElement} */ (document.activeElement);
  const { filter, trouble, reading, readAt, starts } = view;
  const all = [...entries.values()].sort((a, b) => (a.id < b.id ? -1 : 1));
  const isFirst = (/** @type {Kept} */ { placed }) => filter === "all" && placed.includes("attention");
  const shown = all.filter(({ placed }) => filter === "all" || placed.includes(filter));
  const ids = (/** @type {Kept[]} */ some) => some.map(({ id }) => id);
  const first = shown.filter(isFirst);
  fillSection("first", words("attention"), ids(first));
  fillSection(
    "rest",
    filter !== "all" ? words(filter) : first.length ? "The others" : "Connections",
    ids(shown.filter((entry) => !isFirst(entry))),
  );
  sweep();
  if (focused !== document.activeElement && focused.isConnected) focused.focus({ preventScroll: true });
  paintFilters(all);
  paintEnd(all.length, shown.length);
  const oldest = all.reduce((least, entry) => Math.min(least, entry.at), readAt);
  put(
    $("as-of"),
    ...(readAt
      ? [
          reading && starts.length > 1 ? "asking… " : "",
          "as of ",
          time(readAt + skew),
          ...(readAt - oldest > 90_000 ? [", the oldest of ", time(oldest + skew)] : []),
        ]
      : []),
  );
  $("reload").setAttribute("aria-disabled", String(Boolean(reading)));
  $("trouble").hidden = !trouble;
  put(
    $("trouble"),
    ...(trouble ? [trouble.message, ...(readAt ? [" Shown is the state of ", time(readAt + skew), "."] : [])] : []),
  );
}

/** @param {string} name @returns {(entry: Entry) => boolean} */
const inState = (name) => (entry) => name === "all" || (name === "attention" ? needsYou(entry) : entry.state === name);

/** @param {Kept[]} all */
function paintFilters(all) {
  for (const name of FILTERS) {
    const button = $(`filter-${name}`);
    const n = all.filter(inState(name)).length;
    button.dataset.n = String(n);
    button.setAttribute("aria-pressed", String(name === view.filter));
    put(button, STATES.includes(name) ? shape(name) : "", words(name), " ", make("span", "", count(n)));
  }
  const n = all.filter(needsYou).length;
  document.title = `${n ? `(${n}) ` : ""}Porteiro: connections`;
}

/** @param {number} loaded @param {number} shown */
function paintEnd(loaded, shown) {
  const { filter, q, next, reading, isStopped } = view;
  const isAll = next === null;
  const isWalking = reading && filter !== "all" && typeof next === "string" && !isStopped;
  const where = q ? ` with “${q}” in ${loaded === 1 ? "its" : "their"} id` : "";
  let text = `${many(loaded, "connection")}${where} loaded, and there are more.`;
  if (next === undefined) text = reading ? "Asking the broker…" : "";
  else if (isAll && !loaded)
    text = q
      ? `No connection has “${q}” in its id.`
      : "There is no connection yet: configure one in CONNECTIONS, or register one.";
  else if (isAll)
    text = `${loaded === 1 ? "The one connection" : `All ${count(loaded)} connections`}${where} looked through.`;
  else if (filter !== "all")
    text = `${many(loaded, "connection")}${where} looked through${isWalking ? ", and going on." : "; there are more."}`;
  if (next !== undefined && loaded && !shown) text += ` None${isAll ? "" : " so far"} is under “${words(filter)}”.`;
  put($("end"), text);
  $("more").hidden = typeof next !== "string";
  put($("more"), isWalking ? "Stop" : filter === "all" ? "Load more" : "Go on");
}
