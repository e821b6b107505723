// The words of the document's language, and how they are filled in.

import { WORDS as ENGLISH } from "./english.js";
import { WORDS as PORTUGUESE } from "./portuguese.js";

/** @typedef {string | Node} Part */

// The broker chooses the language, by Accept-Language.
const { lang } = document.documentElement;

export const words = lang === "pt-BR" ? PORTUGUESE : ENGLISH;

/** The document's language as the browser's own settings have it, such as en-GB; for numbers, times and order. */
export const locale = navigator.languages.find((one) => one.slice(0, 2) === lang.slice(0, 2)) ?? lang;

/**
 * `text` in parts, with these `values` where their names stand.
 * @param {string} text @param {Record<string, Part | Part[]>} values @returns {Part[]}
 */
export const fill = (text, values) =>
  text.split(/\{(\w+)\}/).flatMap((part, i) => (i % 2 ? (values[part] ?? "") : part));

/** `text` with these `values` where their names stand. @param {string} text @param {Record<string, string>} values */
export const phrase = (text, values) => fill(text, values).join("");

/** What `table` has for `name`, or the name. @param {Record<string, string>} table @param {string} name */
export const named = (table, name) => (Object.hasOwn(table, name) ? table[name] : String(name));
