// The row of a connection.

/** @import { Entry, Row } from "./types.js" */
/** @typedef {keyof typeof LABELS} Action */

import { now } from "./broker.js";
import { advice, doing, entries, isBad, isCurrent, outcomes, STATES } from "./known.js";
import { copyOf, make, put, time } from "./nodes.js";
import { ago, count, countdown, instant, many, span, words } from "./words.js";

/** What an operator may do, and what the buttons say. */
export const LABELS = { refresh: "Refresh", webhooks: "Webhooks", drop: "Drop token", remove: "Remove" };

/** @type {Record<string, string>} */
const SOURCES = { configuration: "configured", registry: "registered" };

/** @param {string} state */
const shapeOf = (state) => (STATES.includes(state) ? state : "cold");

/** Those that were made, by the connection's id. @type {Map<string, Row>} */
export const rows = new Map();

/** The row of `id` as it is to be seen now. @param {string} id */
export function rowOf(id) {
  const row = rows.get(id) ?? newRow(id);
  show(id);
  return row.node;
}

/** @param {string} id */
function newRow(id) {
  const node = copyOf("row");
  /** @type {NodeListOf<HTMLElement>} */
  const parts = node.querySelectorAll("[data-is]");
  const is = Object.fromEntries([...parts].map((part) => [part.dataset.is, part]));
  const row = { node, is, buttons: [...node.querySelectorAll("button")] };
  node.dataset.id = id;
  rows.set(id, row);
  return row;
}

/** Brings the row of `id`, where there is one, to what is known now. @param {string} id */
export function show(id) {
  const entry = entries.get(id);
  const row = rows.get(id);
  if (!entry || !row) return;
  const { node, is, buttons } = row;
  const { provider, grant, subject, source, state, retry_at: retry, sealing_key: key, webhooks } = entry;
  const isStatic = grant === "static";
  const isService = grant !== null && subject !== "user";
  node.dataset.state = shapeOf(state);
  node.querySelector("use")?.setAttribute("href", `#${shapeOf(state)}`);
  put(is.id, id);
  put(
    is.kind,
    [provider, grant, subject === "user" && "for people", SOURCES[source] ?? source].filter(Boolean).join(" · "),
  );
  put(is.state, words(state));
  put(is.wait, ...wait(retry));
  showToken(is, entry, isStatic);
  put(
    is.facts,
    (isService && !isStatic) || key !== null
      ? make("p", "", many(entry.grants, "grant"), key === null ? "" : ` · key ${key}`)
      : "",
    webhooks
      ? make(
          "p",
          "",
          "webhooks ",
          make("span", webhooks.failed > 0 ? "bad" : "", `${count(webhooks.failed)} failed`),
          `, ${count(webhooks.pending)} pending`,
        )
      : "",
  );
  put(is.notes, ...notes(entry));
  const offered = {
    refresh: isService,
    webhooks: webhooks !== null,
    drop: (isService && !isStatic) || (state === "misconfigured" && key !== null),
    remove: source === "registry",
  };
  for (const button of buttons) {
    const name = /** @type {Action} */ (button.dataset.do);
    const label = LABELS[name] + (doing.get(id) === name ? "…" : "");
    button.hidden = !offered[name];
    button.setAttribute("aria-disabled", String(doing.has(id)));
    button.setAttribute("aria-label", `${label}: ${id}`);
    put(button, label);
  }
}

/** @param {string | null} retry */
function wait(retry) {
  if (!retry) return [];
  const left = instant(retry) - now();
  return left > 0 ? ["until ", time(retry), ` (in ${countdown(left)})`] : ["the wait is over"];
}

/** @param {Row["is"]} is @param {Entry} entry @param {boolean} isStatic */
function showToken(is, { obtained_at: obtained, expires_at: expires, subject }, isStatic) {
  const life = instant(expires) - instant(obtained);
  const age = Math.max(0, now() - instant(obtained));
  const isOver = instant(expires) <= now();
  is.bar.hidden = !(life > 0);
  if (life > 0) {
    is.bar.style.setProperty("--age", Math.min(1, age / life).toFixed(3));
    is.bar.dataset.age = isOver ? "over" : age / life > 0.8 ? "old" : "young";
  }
  if (isOver) put(is.age, "ended ", time(expires), `, ${ago(expires)}`);
  else if (life > 0)
    put(is.age, make("span", "", `${span(age)} of ${span(life, true)}`), make("span", "", "until ", time(expires)));
  else if (obtained) put(is.age, "obtained ", time(obtained), `, ${ago(obtained)}`);
  else put(is.age, isStatic ? "static token" : subject === "user" ? "each person has their own" : "no token");
}

/** @param {Entry} entry */
function notes(entry) {
  const { id, last_error: error, webhooks } = entry;
  const found = [];
  const told = error ? [make("strong", "", words(error.code)), " at ", time(error.at), `, ${ago(error.at)}. `] : [];
  const says = advice(entry);
  if (isCurrent(entry)) found.push(make("p", "note", ...told, says));
  else {
    if (says && isBad(entry)) found.push(make("p", "note", says));
    if (error) found.push(make("p", "past", "Before: ", ...told));
  }
  if (webhooks && webhooks.failed > 0) {
    found.push(
      make(
        "p",
        "note",
        make("strong", "", `${many(webhooks.failed, "event")} failed for good.`),
        " Look under Webhooks what the receiver answered, and send them again.",
      ),
    );
  }
  const outcome = outcomes.get(id);
  if (outcome)
    found.push(
      outcome.what
        ? make("p", "note", make("strong", "", outcome.what), outcome.text)
        : make("p", "good", outcome.text),
    );
  return found;
}
