// The language that a person reads, as src/http/language.rs reads it; the examples in tests/data/languages.json hold
// both to it.

// The languages that the broker writes, by primary subtag (RFC 5646 §2.2.1).
const TAGS = new Map([
  ["en", "en"],
  ["pt", "pt-BR"],
]);

/** The tag of the language that this value of `Accept-Language` prefers. @param {string} acceptLanguage */
export function preferredLanguage(acceptLanguage) {
  let preferred = "en";
  let most = 0;
  for (const item of acceptLanguage.split(",")) {
    const [range, ...parameters] = item.split(";").map((part) => part.trim());
    const tag = TAGS.get(range.split("-")[0].toLowerCase());
    const weights = parameters.map((parameter) => Number(/^q\s*=\s*([\d.]+)$/i.exec(parameter)?.[1]));
    const weight = weights.find((weight) => !Number.isNaN(weight)) ?? 1;
    if (tag !== undefined && weight > most) [preferred, most] = [tag, weight];
  }
  return preferred;
}
