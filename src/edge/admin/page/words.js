// Numbers and spans of time as a person would write them.

import { now } from "./broker.js";
import { locale, phrase, words } from "./language.js";

/** The symbols are those of both languages. @type {[number, string][]} */
const UNITS = [
  [86_400_000, "d"],
  [3_600_000, "h"],
  [60_000, "min"],
  [1_000, "s"],
];

/** "12 min", "1 h 30 min", "30 d": two units at most, the second only where `isExact`. @param {number} ms */
export function span(ms, isExact = false) {
  let i = UNITS.findIndex(([size]) => ms >= size);
  if (i < 0) return "0 s";
  if (i === 0 && ms < 2 * UNITS[0][0]) i = 1;
  const [size, name] = UNITS[i];
  const [smaller, smallerName] = UNITS[i + 1] ?? [size];
  const rest = Math.floor((ms % size) / smaller);
  return `${Math.floor(ms / size)} ${name}${isExact && rest && smallerName ? ` ${rest} ${smallerName}` : ""}`;
}

/** "0:42", "1:02:05" @param {number} ms */
export function countdown(ms) {
  const s = Math.max(0, Math.ceil(ms / 1_000));
  const two = (/** @type {number} */ n) => String(Math.floor(n)).padStart(2, "0");
  return s < 3_600
    ? `${Math.floor(s / 60)}:${two(s % 60)}`
    : `${Math.floor(s / 3_600)}:${two((s % 3_600) / 60)}:${two(s % 60)}`;
}

export const clock = new Intl.DateTimeFormat(locale, { hour: "2-digit", minute: "2-digit", second: "2-digit" });
export const date = new Intl.DateTimeFormat(locale, {
  day: "numeric",
  month: "short",
  hour: "2-digit",
  minute: "2-digit",
});
const number = new Intl.NumberFormat(locale);
const natural = new Intl.Collator(locale, { numeric: true });

/** The order of ids: shop-2 before shop-10. @param {string} a @param {string} b */
export const order = (a, b) => natural.compare(a, b) || (a < b ? -1 : 1);

/** An instant as milliseconds; NaN where there is none. @param {string | null} text */
export const instant = (text) => Date.parse(text ?? "");

/** @param {string | null} text */
export const ago = (text) => phrase(words.ago, { span: span(Math.max(0, now() - instant(text))) });
/** @param {number} n */
export const count = (n) => (Number.isFinite(n) ? number.format(n) : String(n));
/** What is said of `n`. @param {string[]} pair @param {number} n */
export const many = ([one, others], n) => (n === 1 ? one : others);
