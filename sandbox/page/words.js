// The page's words: Portuguese where the browser prefers it, else English.

import { en } from "./en.js";
import { pt } from "./pt.js";

/** The browser's first language of the two, as the broker reads it from Accept-Language; for times and counts, too. */
export const locale = navigator.languages.find((tag) => /^(en|pt)(-|$)/i.test(tag)) ?? "en-GB";
const isPortuguese = /^pt/i.test(locale);

export const words = isPortuguese ? pt : en;

/**
 * The text, with nodes or other texts in it.
 * @template T
 * @param {string} text
 * @param {...T} values
 * @returns {(T | string)[]}
 */
export function parts(text, ...values) {
  const [first, ...rest] = text.split("{}");
  return [first, ...rest.flatMap((part, i) => [values[i], part])];
}

/** The text, with the values in it. @param {string} text @param {...(string | number)} values */
export const put = (text, ...values) => parts(text, ...values).join("");

/** Writes the words into the elements that name one in `data-word` or, as their label, in `data-label`. */
export function fill() {
  document.documentElement.lang = isPortuguese ? "pt-BR" : "en";
  const word = (/** @type {string | undefined} */ name) => {
    const found = Object.entries(words).find(([key]) => key === name)?.[1];
    return typeof found === "string" ? found : "";
  };
  for (const node of /** @type {NodeListOf<HTMLElement>} */ (document.querySelectorAll("[data-word]")))
    node.replaceChildren(...parts(word(node.dataset.word), ...node.children));
  for (const node of /** @type {NodeListOf<HTMLElement>} */ (document.querySelectorAll("[data-label]")))
    node.ariaLabel = word(node.dataset.label);
}
