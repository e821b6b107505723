// Helpers for the page's nodes.

/** @typedef {string | Node | undefined | null} Child */

/**
 * Makes a node with attributes and listeners: `true` sets an empty attribute, `false` none, and names that begin with
 * "on" are listeners. Strings become text nodes, never HTML.
 * @template {keyof HTMLElementTagNameMap} T
 * @param {T} tag
 * @param {Record<string, string | boolean | undefined | ((event: any) => unknown)>} properties a listener's event has
 * the type that belongs to the listener's name
 * @param {(Child | Child[])[]} children
 * @returns {HTMLElementTagNameMap[T]}
 */
export function el(tag, properties = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined || value === false) continue;
    if (typeof value === "function") node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.flat().filter((child) => child !== undefined && child !== null));
  return node;
}

/** @param {string} text */
export const chip = (text, kind = "") => el("span", { class: `chip ${kind}`.trim() }, text);

/** The element with this id in index.html. @param {string} id */
export const byId = (id) => /** @type {HTMLElement} */ (document.getElementById(id));

/** @param {HTMLElement} button */
export const isBusy = (button) => button.getAttribute("aria-busy") === "true";
