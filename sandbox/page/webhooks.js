// Events on their way from Guru through the broker to the application's receiver.

import { ask, parse } from "./calls.js";
import { byId, chip, el, isBusy } from "./dom.js";
import { problemView, side, tableView } from "./views.js";
import { locale, parts, put, words } from "./words.js";

/**
 * @typedef {Record<string, any>} GuruEvent an event as Guru sends it
 * @typedef {{ id: string | undefined, at: string, deliveries: number, event: GuruEvent }} Received
 * @typedef {{ event: GuruEvent, answer: { status: number, body: string } }} Sent
 */

const KINDS = {
  waiting_payment: words.waitingPayment,
  approved: words.approved,
  refunded: words.refunded,
  subscription: words.subscription,
  abandoned: words.abandoned,
};

const LOOK_EVERY_MS = 200;
const LOOK_FOR_MS = 15_000;
// How long the page checks whether the same event arrives again.
const LOOK_AGAIN_MS = 2_000;

const pause = () => new Promise((resolve) => setTimeout(resolve, LOOK_EVERY_MS));
/** @param {string} text */
const clock = (text) => new Date(text).toLocaleTimeString(locale);
/** @param {string | undefined} id */
const short = (id) => String(id ?? words.noId).replace(/^(.{12}).{5,}$/, "$1…");
/** @param {string} text @param {string | undefined} code */
const meta = (text, code) => el("p", { class: "meta" }, parts(text, el("code", {}, code)));
/** @param {number} count */
const often = (count) => (count === 1 ? words.once : put(words.times, count));

/** @param {GuruEvent} event */
const withoutToken = ({ api_token, ...event }) => JSON.stringify(event);

/** @param {string} name @param {GuruEvent} event */
function eventView(name, event) {
  const parts = JSON.stringify(event, null, 2).split(/^( *"api_token".*)$/m);
  return el(
    "pre",
    { tabindex: "0", "aria-label": name },
    parts.map((part, i) => (i % 2 ? el("mark", {}, part) : part)),
  );
}

/** @param {GuruEvent} event */
function kindOf({ webhook_type: type = "event", status, last_status }) {
  const state = status ?? last_status;
  return [words.types[type] ?? type, words.states[state] ?? state].filter(Boolean).join(", ").replaceAll("_", " ");
}

/** @param {Received[]} received */
function listView(received) {
  /** @type {import("./views.js").Row[]} */
  const rows = received.map(({ id, at, deliveries, event }) => [
    kindOf(event),
    `${short(event.id)} · ${short(id)}`,
    often(deliveries),
    clock(at),
  ]);
  const note = (/** @type {number} */ shown) => put(words.lastEvents, shown, rows.length);
  return rows.length ? tableView({ heads: [words.eventAndIds, words.delivered], rows, note }) : [];
}

function panel() {
  const sent = side("sent", words.guruSends, words.chooseEvent);
  const arrived = side("arrived", words.applicationReceives, words.nothingYet);
  const list = el("div", { class: "events" });
  const buttons = Object.entries(KINDS).map(([kind, label]) =>
    el("button", { type: "button", onclick: ({ target }) => run(target, kind) }, label),
  );
  /** @type {HTMLButtonElement} */
  const again = el(
    "button",
    { type: "button", class: "primary", hidden: true, onclick: () => last && run(again, last.kind, last.times) },
    words.sendAgain,
  );
  /** The last event sent, and how many times. @type {{ kind: string, times: number } | undefined} */
  let last;
  let turn = 0;

  /** @param {HTMLElement} button @param {string} kind */
  async function run(button, kind, before = 0) {
    if (isBusy(button)) return;
    const mine = ++turn;
    button.setAttribute("aria-busy", "true");
    /** @type {Sent | undefined} */
    const result = await ask("sandbox/webhooks", { kind, again: before > 0 });
    button.removeAttribute("aria-busy");
    if (mine !== turn) return;
    if (!result) {
      sent.show([chip(words.noAnswer, "bad status")], el("p", { class: "notice" }, words.webhooksSilent));
      return arrived.show([]);
    }
    last = { kind, times: before + 1 };
    again.hidden = false;
    showSent(result, last.times);
    if (result.answer.status < 300) await watch(result.event, before > 0, () => mine === turn);
    else arrived.show([el("span", { class: "waiting" }, words.notTaken)]);
  }

  /** @param {Sent} sent @param {number} times */
  function showSent({ event, answer }, times) {
    const good = answer.status < 300;
    sent.show(
      [
        chip(put(words.brokerSays, answer.status), `${good ? "good" : "bad"} status`),
        chip(put(words.sentTimes, often(times))),
        meta(words.sentTo, "/webhooks/guru"),
      ],
      ...(good
        ? []
        : [problemView({ status: answer.status, header: () => "application/problem+json", body: parse(answer.body) })]),
      eventView(words.whatGuruSends, event),
      el("p", { class: "hint" }, words.markedLine),
    );
  }

  /** @param {GuruEvent} event @param {boolean} twice @param {() => boolean} isNewest */
  async function watch(event, twice, isNewest) {
    const start = performance.now();
    const spent = () => performance.now() - start;
    arrived.show([el("span", { class: "waiting" }, twice ? words.lookingAgain : words.waiting)]);
    while (spent() < LOOK_FOR_MS) {
      /** @type {Received[]} */
      const received = (await ask("hooks/guru")) ?? [];
      if (!isNewest()) return;
      const found = received.find((one) => withoutToken(one.event) === withoutToken(event));
      if (found && !(twice && spent() < LOOK_AGAIN_MS)) {
        list.replaceChildren(...listView(received));
        return showArrived(found);
      }
      await pause();
    }
    arrived.show([chip(words.notYet, "warn status")], el("p", { class: "notice" }, words.notArrived));
  }

  /** @param {Received} received */
  function showArrived({ id, deliveries, event }) {
    const alarm = "api_token" in event;
    arrived.show(
      [
        chip(words.verified, "good status"),
        chip(put(words.deliveredTimes, often(deliveries))),
        meta("webhook-id {}", id),
      ],
      eventView(words.whatArrives, event),
      el(
        "p",
        { class: alarm ? "verdict alarm" : "verdict" },
        el("span", {}, alarm ? words.accountTokenInIt : words.noAccountToken, el("small", {}, words.restUnchanged)),
      ),
    );
  }

  ask("hooks/guru").then((received) => list.replaceChildren(...listView(received ?? [])));
  return el(
    "article",
    { class: "card", "aria-labelledby": "webhooks-title" },
    el("header", { class: "card-head" }, el("p", {}, words.guruSigns), el("div", { class: "actions" }, buttons, again)),
    el("div", { class: "sides" }, sent.node, arrived.node),
    list,
  );
}

byId("webhooks").append(panel());
