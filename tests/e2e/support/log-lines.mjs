// The log lines that docs/reference/logs.md documents, and those that the code writes.

import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("../../../", import.meta.url));

/**
 * The page's sections with examples: { title, examples: [text], members: Set }; the members include those of every
 * line.
 */
export function sections() {
  const all = readFileSync(join(root, "docs/reference/logs.md"), "utf8")
    .split(/^## /m)
    .slice(1)
    .map((text) => ({
      title: text.slice(0, text.indexOf("\n")),
      examples: [...text.matchAll(/^```json\n(.*?)^```/gms)].flatMap(([, lines]) => lines.trim().split("\n")),
      members: new Set(membersOf(text)),
    }));
  const common = all.find(({ title }) => title === "Every line")?.members;
  if (!common) throw new Error("docs/reference/logs.md does not say what stands on every line");
  return all
    .filter(({ examples }) => examples.length > 0)
    .map((section) => ({ ...section, own: section.members, members: section.members.union(common) }));
}

/**
 * The names in the first column of the tables with the heading `member`.
 *
 * @param {string} text
 */
function membersOf(text) {
  return [...text.matchAll(/^\| member \|.*\n\|[-|]+\n((?:\|.*\n)+)/gm)].flatMap(([, rows]) =>
    rows
      .trim()
      .split("\n")
      .flatMap((row) => [...row.split("|")[1].matchAll(/`(\w+)`/g)].map(([, name]) => name)),
  );
}

/**
 * The parts of the parsed `lines` that the page does not document.
 *
 * @param {import("./broker.mjs").LogLine[]} lines
 */
export function undocumented(lines) {
  /** @type {Map<string, Set<string>>} */
  const known = new Map();
  for (const { examples, members } of sections()) {
    for (const example of examples) known.set(JSON.parse(example).event, members);
  }
  return lines.flatMap((line) => {
    const members = known.get(line.event);
    if (members === undefined) return [`the event ${line.event}`];
    return Object.keys(line)
      .filter((name) => !members.has(name))
      .map((name) => `${name} of ${line.event}`);
  });
}

/** Every event that the code writes, found by the value after the word `event`, in Rust and in JavaScript. */
export function eventsInCode() {
  /** @type {Set<string>} */
  const events = new Set();
  for (const entry of readdirSync(join(root, "src"), { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath, entry.name);
    if (!/\.(?:rs|js)$/.test(entry.name) || /\/(?:tests|simulation)[/.]/.test(path)) continue;
    const [code] = readFileSync(path, "utf8").split("#[cfg(test)]\nmod tests {");
    for (const [, quoted, value] of code.matchAll(/(\\?")?\bevent(?:\\?"(?:, &|:)|:) ?([^\n]+)/g)) {
      const names = /^if .+ \{ "(\w+)" \} else \{ "(\w+)" \}/.exec(value) ?? /^\\?"(\w+)/.exec(value);
      if (names) for (const name of names.slice(1)) events.add(name);
      else if (quoted) throw new Error(`${path}: the event ${value} is no word that stands there`);
    }
  }
  return events;
}
