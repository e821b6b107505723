// The list of connections, its filters, and the line at its end.

/** @import { Block, Entry, Kept } from "./types.js" */

import { skew } from "./broker.js";
import { opener } from "./dialogs.js";
import { entries, FILTERS, needsYou, STATES, view } from "./known.js";
import { fill as fillIn, named, phrase, words } from "./language.js";
import { $, make, put, shape, time } from "./nodes.js";
import { rowOf, rows } from "./rows.js";
import { count, many, order } from "./words.js";

/** How many rows are made and thrown away together. */
const BLOCK = 40;

const TITLE = document.title;

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
  const all = [...entries.values()].sort((a, b) => order(a.id, b.id));
  const isFirst = (/** @type {Kept} */ { placed }) => filter === "all" && placed.includes("attention");
  const shown = all.filter(({ placed }) => filter === "all" || placed.includes(filter));
  const ids = (/** @type {Kept[]} */ some) => some.map(({ id }) => id);
  const first = shown.filter(isFirst);
  fillSection("first", words.states.attention, ids(first));
  fillSection(
    "rest",
    filter !== "all" ? words.states[filter] : first.length ? words.others : words.connections,
    ids(shown.filter((entry) => !isFirst(entry))),
  );
  sweep();
  if (focused !== document.activeElement && focused.isConnected) focused.focus({ preventScroll: true });
  paintFilters(all);
  paintEnd(all, shown.length);
  const oldest = all.reduce((least, entry) => Math.min(least, entry.at), readAt);
  put(
    $("as-of"),
    ...(readAt
      ? [
          reading && starts.length > 1 ? words.rereading : "",
          ...fillIn(words.asOf, { time: time(readAt + skew) }),
          ...(readAt - oldest > 90_000 ? fillIn(words.oldest, { time: time(oldest + skew) }) : []),
        ]
      : []),
  );
  $("reload").setAttribute("aria-disabled", String(Boolean(reading)));
  $("trouble").hidden = !trouble;
  put(
    $("trouble"),
    ...(trouble ? [trouble.message, ...(readAt ? fillIn(words.shown, { time: time(readAt + skew) }) : [])] : []),
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
    put(button, STATES.includes(name) ? shape(name) : "", words.states[name], " ", make("span", "", count(n)));
  }
  const n = all.filter(needsYou).length;
  document.title = `${n ? `(${n}) ` : ""}${TITLE}`;
}

/** @param {Kept[]} all @param {number} shown */
function paintEnd(all, shown) {
  const { filter, q, next, reading, isStopped } = view;
  const n = all.length;
  const isAll = next === null;
  const isWalking = reading && filter !== "all" && typeof next === "string" && !isStopped;
  const having = q ? phrase(many(words.having, n), { q }) : "";
  const tell = (/** @type {string} */ text) => phrase(text, { n: count(n), having });
  let text = reading ? words.asking : "";
  if (isAll && !n) text = q ? phrase(words.noneHas, { q }) : words.noneYet;
  else if (isAll) text = tell(many(words.all, n));
  else if (next !== undefined && filter !== "all") text = tell(isWalking ? words.going : words.paused);
  else if (next !== undefined) {
    text = tell(words.loaded);
    // The broker's pages come in the order of bytes, which these ids show to be another one.
    if (all.some(({ id }, i) => i > 0 && id < all[i - 1].id)) text += words.between;
  }
  if (next !== undefined && n && !shown)
    text += phrase(isAll ? words.noneUnder : words.noneSoFar, { state: named(words.states, filter) });
  put($("end"), text);
  $("more").hidden = typeof next !== "string";
  $("more").dataset.walks = String(Boolean(isWalking));
  put($("more"), isWalking ? words.stop : filter === "all" ? words.more : words.goOn);
}
