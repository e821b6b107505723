// The views of an answer.

/** @import { Answered, Failed, Result } from "./calls.js" */

import { BROKER, holdsToken, isSuccess, receivedText, serverTiming } from "./calls.js";
import { chip, el } from "./dom.js";
import { locale, parts, put, words } from "./words.js";

/**
 * @typedef {[main: string, detail: string, value: string, state: string, kind?: string]} Row
 * @typedef {{ heads: string[], rows: Row[], note: (shown: number) => string, lang?: string }} Table
 */

const ROWS_SHOWN = 5;
const BODY_SHOWN = 1200;

export const money = new Intl.NumberFormat(locale, { style: "currency", currency: "BRL" });
const count = new Intl.NumberFormat(locale);
/** @param {string | number} value */
export const ms = (value) =>
  `${Number(value).toLocaleString(locale, { maximumFractionDigits: Number(value) < 10 ? 1 : 0 })} ms`;

/** The outcome of this call, and of the previous ones. @param {Result} result @param {string[]} previous */
export function outcomeView(result, previous) {
  if (result.failed) return [chip(words.noAnswer, "bad status")];
  const timing = serverTiming(result.header("server-timing"));
  const kind = result.status < 300 ? "good" : result.status < 400 ? "warn" : "bad";
  const chips = [chip(String(result.status), `${kind} status`), chip(put(words.inTotal, ms(result.duration)))];
  if (timing.token) {
    const { desc, dur } = timing.token;
    const known = ["memory", "kv", "keeper", "grant", "static"].includes(desc);
    chips.push(chip(`token: ${desc ?? "?"}${dur ? ` ${ms(dur)}` : ""}`, known ? `source-${desc}` : ""));
  }
  if (timing.upstream?.dur) chips.push(chip(put(words.upstream, ms(timing.upstream.dur))));
  const id = result.header("x-request-id");
  if (id) chips.push(el("p", { class: "meta" }, "X-Request-Id ", el("code", {}, id)));
  if (previous.length) {
    const earlier = previous.map((text, i) => [i ? " · " : "", el("span", { class: "whole" }, text)]);
    chips.push(el("p", { class: "meta" }, words.before, earlier.flat()));
  }
  return chips;
}

/** @param {Failed | Pick<Answered, "failed" | "status" | "header" | "body">} result */
export function problemView(result) {
  if (result.failed) {
    return el(
      "div",
      { class: "problem" },
      el("strong", {}, words.brokerSilent),
      el("p", {}, parts(words.brokerSilentWhy, el("code", {}, BROKER))),
    );
  }
  const problem = result.header("content-type")?.startsWith("application/problem+json") ? result.body : undefined;
  if (!problem) {
    return el(
      "div",
      { class: "problem" },
      el("strong", {}, put(words.providerAnswered, result.status)),
      el("p", {}, words.providerAnsweredWhy),
    );
  }
  return el(
    "div",
    { class: "problem" },
    el("strong", {}, problem.title ?? words.refused),
    el("p", {}, el("code", {}, `${problem.status} ${problem.code}`), problem.cause ? ` (${problem.cause})` : ""),
    problem.detail ? el("p", {}, problem.detail) : undefined,
    problem.request_id ? el("p", {}, parts(words.request, el("code", {}, problem.request_id))) : undefined,
  );
}

/** @param {Table} table */
export function tableView({ heads, rows, note, lang }) {
  return [
    el(
      "table",
      {},
      el(
        "thead",
        {},
        el(
          "tr",
          {},
          heads.map((head) => el("th", { scope: "col" }, head)),
        ),
      ),
      el(
        "tbody",
        { lang },
        rows
          .slice(0, ROWS_SHOWN)
          .map(([main, detail, value, state, kind]) =>
            el(
              "tr",
              {},
              el("td", {}, main, el("small", {}, detail)),
              el("td", {}, value, el("small", { class: kind }, state)),
            ),
          ),
      ),
    ),
    el("p", { class: "more" }, note(Math.min(rows.length, ROWS_SHOWN))),
  ];
}

/**
 * The nodes that `view` makes of the body of a successful answer.
 * @param {Result} result
 * @param {(body: any) => Node[]} view throws on a body of an unknown form
 */
export function shown(result, view) {
  if (!isSuccess(result)) return [problemView(result)];
  try {
    return view(result.body);
  } catch {
    return [el("p", { class: "notice" }, words.noTable)];
  }
}

/** Whether the browser received a token. @param {Answered} result */
export function verdictView(result) {
  const text = receivedText(result);
  return holdsToken(text)
    ? el("p", { class: "verdict alarm", role: "alert" }, el("span", {}, words.tokenArrived))
    : el(
        "p",
        { class: "verdict" },
        el("span", {}, words.noTokenArrived, el("small", {}, put(words.searched, count.format(text.length)))),
      );
}

/** @param {Answered} result @param {boolean} open */
export function receivedView(result, open) {
  const pretty = result.body === undefined ? result.text : JSON.stringify(result.body, null, 2);
  const body = el("pre", { tabindex: "0", "aria-label": words.responseBody });
  const cut = pretty.length > BODY_SHOWN;
  body.textContent = cut ? `${pretty.slice(0, BODY_SHOWN)}\n…` : pretty || words.empty;
  const all = cut
    ? el(
        "button",
        {
          type: "button",
          class: "plain",
          onclick: () => {
            body.textContent = pretty;
            body.focus();
            all?.remove();
          },
        },
        put(words.showAll, count.format(pretty.length)),
      )
    : undefined;
  return el(
    "details",
    { open },
    el("summary", {}, words.received),
    el(
      "div",
      { class: "received" },
      el("h4", {}, put(words.headers, result.headers.length)),
      el(
        "dl",
        { class: "headers" },
        result.headers.map(([name, value]) => el("div", {}, el("dt", {}, name), el("dd", {}, value))),
      ),
      el("h4", {}, words.body),
      body,
      all,
    ),
  );
}

/** A part of a card that shows one side of what happens. @param {string} id @param {string} title @param {string} hint */
export function side(id, title, hint) {
  const outcome = el(
    "div",
    { class: "outcome", role: "status", "aria-live": "polite" },
    el("span", { class: "waiting" }, hint),
  );
  const rest = el("div", {});
  return {
    node: el(
      "section",
      { class: "side", id, "aria-labelledby": `${id}-title` },
      el("h3", { id: `${id}-title` }, title),
      outcome,
      rest,
    ),
    /** @param {Node[]} chips @param {Node[]} nodes */
    show(chips, ...nodes) {
      outcome.replaceChildren(...chips);
      rest.replaceChildren(...nodes);
    },
  };
}
