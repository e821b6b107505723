// Reading the list, page by page, and again.

/** @import { Entry } from "./types.js" */

import { ask, Failure } from "./broker.js";
import { opener } from "./dialogs.js";
import { doing, done, entries, placesOf, view } from "./known.js";
import { words } from "./language.js";
import { onScreen, paint } from "./list.js";
import { $ } from "./nodes.js";
import { rows } from "./rows.js";
import { order } from "./words.js";

const RELOAD_MS = 30_000;
const PAGE = 100;
/** So many pages are reloaded by themselves; of more, those on the screen, the oldest first. */
const RELOADED_PAGES = 5;

/** @type {number | undefined} */
let timer;

/**
 * Asks for the page behind `after`, and gives where the one behind it begins.
 * @param {string} after @param {AbortSignal} signal @returns {Promise<string | null>}
 */
async function read(after, signal, isFirst = false) {
  const asked = Date.now();
  const query = new URLSearchParams({ limit: String(PAGE) });
  if (after) query.set("after", after);
  if (view.q) query.set("q", view.q);
  const page = await ask("GET", `connections?${query}`, signal);
  if (!Array.isArray(page?.connections)) throw new Failure(words.strange);
  if (isFirst) entries.clear();
  /** @type {{ connections: Entry[], next: string | null }} */
  const { connections, next: end } = page;
  const ids = new Set(connections.map(({ id }) => id));
  for (const id of entries.keys()) {
    if (id > after && (end === null || id <= end) && !ids.has(id) && !doing.has(id)) entries.delete(id);
  }
  for (const entry of connections) if (!((done.get(entry.id) ?? 0) > asked)) keep(entry, asked);
  view.readAt = Date.now();
  // Whatever is answered, the way through all of them ends.
  return end !== null && end > after ? end : null;
}

/** Keeps what the broker said of a connection when it was `asked`. @param {Entry} entry @param {number} asked */
export function keep(entry, asked) {
  const old = entries.get(entry.id);
  const row = rows.get(entry.id)?.node;
  // What is under the pointer or has the focus does not jump away.
  const isHeld = old && row && (row.matches(":hover, :focus-within") || row.contains(opener));
  entries.set(entry.id, {
    ...entry,
    at: asked,
    placed: isHeld ? old.placed : placesOf(entry),
  });
}

/**
 * Does `work` unless another reading is under way, and then what is to be done next.
 * @param {(signal: AbortSignal) => Promise<void>} work
 */
async function readWith(work) {
  if (view.reading) return;
  const mine = new AbortController();
  view.reading = mine;
  clearTimeout(timer);
  paint();
  try {
    await work(mine.signal);
    view.trouble = undefined;
  } catch (error) {
    if (mine.signal.aborted) return;
    if (!(error instanceof Failure)) console.error(error);
    view.trouble = /** @type {Error} */ (error);
  }
  if (view.reading !== mine) return;
  view.reading = undefined;
  paint();
  goOn();
}

export const more = () =>
  readWith(async (signal) => {
    const start = view.next ?? "";
    const end = lastId();
    view.next = await read(start, signal);
    view.starts.push(start);
    // The broker's pages come in the order of bytes. What is scrolled to goes on by itself only as
    // long as more comes at its end: what belongs in between would not be seen, page after page.
    if (view.filter === "all" && lastId() === end) view.isStopped = true;
  });

/** The last id in the order of the list. */
const lastId = () => [...entries.keys()].reduce((last, id) => (order(last, id) > 0 ? last : id), "");

/** Asks anew for what is loaded; of very much for what is seen, unless it is to be the whole. */
export const reload = (isWhole = false) =>
  readWith(async (signal) => {
    const { starts, next } = view;
    if (!isWhole && starts.length > RELOADED_PAGES) {
      const age = (/** @type {string} */ id) => entries.get(id)?.at ?? 0;
      const ids = onScreen().sort((a, b) => age(a) - age(b));
      const seen = new Set(ids.map((id) => starts.findLastIndex((start) => start < id)));
      for (const i of [...seen].slice(0, RELOADED_PAGES)) {
        const end = await read(starts[i], signal);
        // More than a page is there now: what no longer fits is read with the next reload.
        if (end !== null && end < (starts[i + 1] ?? next ?? end)) starts.splice(i + 1, 0, end);
      }
      return;
    }
    const walked = [];
    /** @type {string | null} */
    let after = "";
    do {
      walked.push(after);
      after = await read(after, signal, next === undefined);
      if (walked.length % 5 === 0) paint();
    } while (after !== null && (next === null || (next !== undefined && after < next)));
    view.starts = walked;
    view.next = after;
  });

/** Begins anew: another part of an id is looked for. */
export function restart() {
  view.reading?.abort();
  Object.assign(view, { reading: undefined, next: undefined, starts: [], isStopped: false });
  return reload();
}

/** Whether the rest is wanted: a filter looks through all, a list through what is scrolled to. */
const wantsMore = () =>
  typeof view.next === "string" &&
  !view.isStopped &&
  (view.filter !== "all" || $("end").getBoundingClientRect().top < innerHeight + 800);

/** Reads on where more is wanted, and else again after a while. */
export function goOn() {
  const { trouble, reading, readAt } = view;
  clearTimeout(timer);
  if (document.hidden || trouble?.status === 401 || reading) return;
  if (!trouble && wantsMore()) return more();
  timer = setTimeout(reload, Math.max(1_000, trouble ? RELOAD_MS : readAt + RELOAD_MS - Date.now()));
}
