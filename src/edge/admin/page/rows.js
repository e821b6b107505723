// The row of a connection.

/** @import { Entry, Row } from "./types.js" */
/** @typedef {keyof typeof words.labels} Action */

import { advice } from "./advice.js";
import { now } from "./broker.js";
import { doing, entries, isBad, isCurrent, outcomes, STATES } from "./known.js";
import { fill, named, phrase, words } from "./language.js";
import { copyOf, make, put, time } from "./nodes.js";
import { RUNBOOK, SECTIONS } from "./runbook.js";
import { ago, count, countdown, instant, many, span } from "./words.js";

/** @param {string} state */
const shapeOf = (state) => (STATES.includes(state) ? state : "cold");

/** Whether each person has a token set of their own. @param {Entry["subject"]} subject */
const isOfPeople = (subject) => subject === "user" || subject === "caller";

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
  const { provider, grant, subject, source, state, obtained_at: obtained, webhooks } = entry;
  const isStatic = grant === "static";
  const isService = grant !== null && !isOfPeople(subject);
  const isConsented = isService && grant === "authorization_code";
  node.dataset.state = shapeOf(state);
  node.querySelector("use")?.setAttribute("href", `#${shapeOf(state)}`);
  put(is.id, id);
  put(
    is.kind,
    [provider, grant, isOfPeople(subject) && words.people, named(words.sources, source)].filter(Boolean).join(" · "),
  );
  put(is.state, named(words.states, state));
  put(is.wait, ...wait(entry, isStatic));
  showToken(is, entry, isStatic);
  put(is.facts, ...facts(entry, isService && !isStatic));
  put(is.notes, ...notes(entry));
  const offered = {
    connect: isConsented,
    copyLink: isConsented,
    refresh: isService && state !== "disconnected",
    webhooks: webhooks !== null,
    drop: isService && !isStatic && obtained !== null,
    remove: source === "registry",
  };
  const had = buttons.find((button) => button === document.activeElement);
  for (const button of buttons) {
    const name = /** @type {Action} */ (button.dataset.do);
    const label = words.labels[name] + (doing.get(id) === name ? "…" : "");
    button.hidden = !offered[name];
    button.setAttribute("aria-disabled", String(doing.has(id)));
    button.setAttribute("aria-label", `${label}: ${id}`);
    put(button, label);
  }
  // A button that goes leaves the focus in its row.
  if (had?.hidden) buttons.find((button) => !button.hidden)?.focus();
}

/** When the token endpoint is asked next. @param {Entry} entry @param {boolean} isStatic */
function wait({ state, retry_at: retry, last_error: error }, isStatic) {
  const left = instant(retry) - now();
  if (left > 0) return fill(words.nextTry, { left: countdown(left), time: time(retry) });
  // When the wait is over nothing is sent until there is a call.
  const isTried = retry !== null || (state === "rejected" && error?.code === "credentials_rejected");
  return isTried && !isStatic ? [words.nextCall] : [];
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
  if (isOver) put(is.age, ...fill(words.over, { time: time(expires), ago: ago(expires) }));
  else if (life > 0)
    put(
      is.age,
      make("span", "", phrase(words.age, { age: span(age), life: span(life, true) })),
      make("span", "", ...fill(words.until, { time: time(expires) })),
    );
  else if (obtained) put(is.age, ...fill(words.obtained, { time: time(obtained), ago: ago(obtained) }));
  else put(is.age, isStatic ? words.static : isOfPeople(subject) ? words.each : words.none);
}

/** @param {Entry} entry @param {boolean} isGranted */
function facts({ grants, sealing_key: key, webhooks }, isGranted) {
  const found = [];
  if (isGranted || key !== null) {
    const sealed = key === null ? "" : phrase(words.key, { key });
    found.push(make("p", "", phrase(many(words.grants, grants), { n: count(grants) }), sealed));
  }
  if (webhooks) {
    const failed = phrase(words.hooksFailed, { n: count(webhooks.failed) });
    const values = { failed: make("span", webhooks.failed > 0 ? "bad" : "", failed), pending: count(webhooks.pending) };
    found.push(make("p", "", ...fill(words.hooksNow, values)));
  }
  return found;
}

/** @param {Entry} entry */
function notes(entry) {
  const { id, state, last_error: error, webhooks, problems } = entry;
  const found = [];
  const told = error ? tell(error) : [];
  const says = advice(entry);
  if (isCurrent(entry)) found.push(make("p", "note", ...told, " ", says), ...leadsTo(error?.code));
  else {
    if (says && isBad(entry)) found.push(make("p", "note", says));
    if (problems?.length) found.push(make("ul", "note", ...problems.map(problemOf)));
    found.push(...leadsTo(state));
    if (error) found.push(make("p", "past", ...fill(words.before, { told })));
  }
  if (webhooks && webhooks.failed > 0) {
    const failed = phrase(many(words.eventsFailed, webhooks.failed), { n: count(webhooks.failed) });
    found.push(make("p", "note", make("strong", "", failed), words.eventsLook), ...leadsTo("webhooks"));
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

/** What failed, when, and what the token endpoint answered. @param {NonNullable<Entry["last_error"]>} error */
function tell({ code, at, reason, status }) {
  const what = make("strong", "", named(words.codes, code));
  const because = reason && Object.hasOwn(words.reasons, reason) ? ` (${words.reasons[reason]})` : "";
  const answer = `${[status, reason].filter(Boolean).join(" ")}${because}`;
  return [
    ...fill(words.told, { what: isKnown(code) ? link(code, what) : what, time: time(at), ago: ago(at) }),
    answer && phrase(words.answer, { answer }),
  ];
}

/** The broker's own page about an error code. @param {string} code @param {Node} text */
function link(code, text) {
  const node = make("a", "", text);
  node.href = `../problems/${code}`;
  node.title = words.means;
  return node;
}

const isKnown = (/** @type {string | undefined} */ name) => name !== undefined && Object.hasOwn(SECTIONS, name);

/** The runbook's section. @param {string} [name] */
const leadsTo = (name) =>
  name && isKnown(name) ? [make("p", "", `${words.runbook} `, make("code", "", `${RUNBOOK}#${SECTIONS[name]}`))] : [];

/** @param {NonNullable<Entry["problems"]>[number]} problem */
const problemOf = ({ field, message }) => make("li", "", make("code", "", field), ` ${message}`);
