// Nodes: found, made, and brought to what they are to hold. What comes from the broker goes in
// as text, never as markup.

/** @import { Elements } from "./types.js" */

import { now } from "./broker.js";
import { clock, date } from "./words.js";

/**
 * The element with this id, which index.html has.
 * @template {string} I @param {I} id
 */
export const $ = (id) =>
  /** @type {I extends keyof Elements ? Elements[I] : HTMLElement} */ (document.getElementById(id));

/** What a template has. @param {"row" | "event"} id */
export const copyOf = (id) => /** @type {HTMLElement} */ ($(id).content.firstElementChild?.cloneNode(true));

/** @template {keyof HTMLElementTagNameMap} T @param {T} tag @param {(Node | string)[]} children */
export function make(tag, kind = "", ...children) {
  const node = document.createElement(tag);
  if (kind) node.className = kind;
  node.append(...children.filter((child) => child !== ""));
  return node;
}

/**
 * Lets `node` hold these children; what is the same already is left alone.
 * @param {Element} node @param {(Node | string)[]} children
 */
export function put(node, ...children) {
  const wanted = /** @type {Element} */ (node.cloneNode());
  wanted.append(...children.filter((child) => child !== ""));
  if (!wanted.isEqualNode(node)) node.replaceChildren(...wanted.childNodes);
}

/** The shape of a state. @param {string} state */
export function shape(state) {
  const svg = /** @type {Element} */ ($("row").content.querySelector(".shape")?.cloneNode(true));
  svg.firstElementChild?.setAttribute("href", `#${state}`);
  return svg;
}

/** An instant in the operator's own time. @param {string | number | null} text */
export function time(text) {
  const when = new Date(text ?? "");
  if (Number.isNaN(when.getTime())) return String(text);
  const isToday = when.toDateString() === new Date(now()).toDateString();
  const node = make("time", "", (isToday ? clock : date).format(when));
  node.dateTime = node.title = typeof text === "string" ? text : when.toISOString();
  return node;
}
