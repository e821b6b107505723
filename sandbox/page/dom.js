// The page's nodes.

/** @typedef {string | Node | undefined | null} Child */

/**
 * Makes a node: with attributes, where `true` is an empty one and `false` none, and listeners, whose names begin
 * with "on". Text goes in as text, never as HTML.
 * @template {keyof HTMLElementTagNameMap} T
 * @param {T} tag
 * @param {Record<string, string | boolean | undefined | ((event: any) => unknown)>} properties an event is as the
 *   listener's name has it
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

/** The element with this id, which index.html has. @param {string} id */
export const byId = (id) => /** @type {HTMLElement} */ (document.getElementById(id));

/** @param {HTMLElement} button */
export const isBusy = (button) => button.getAttribute("aria-busy") === "true";
