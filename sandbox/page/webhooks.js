// Events on their way from Guru through the broker to the application's receiver.

import { ask, parse } from "./calls.js";
import { byId, chip, el, isBusy } from "./dom.js";
import { problemView, side, tableView } from "./views.js";

/**
 * @typedef {Record<string, any>} GuruEvent an event as Guru sends it
 * @typedef {{ id: string | undefined, at: string, deliveries: number, event: GuruEvent }} Received
 * @typedef {{ event: GuruEvent, answer: { status: number, body: string } }} Sent
 */

const KINDS = {
  waiting_payment: "Waiting for payment",
  approved: "Approved",
  refunded: "Refunded",
  subscription: "Subscription",
  abandoned: "Abandoned checkout",
};

const LOOK_EVERY_MS = 200;
const LOOK_FOR_MS = 15_000;
// How long the page checks whether the same event arrives again.
const LOOK_AGAIN_MS = 2_000;

const pause = () => new Promise((resolve) => setTimeout(resolve, LOOK_EVERY_MS));
/** @param {string} text */
const clock = (text) => new Date(text).toLocaleTimeString("en-GB");
/** @param {string | undefined} id */
const short = (id) => String(id ?? "no id").replace(/^(.{12}).{5,}$/, "$1…");
/** @param {string} name @param {string | undefined} code */
const meta = (name, code) => el("p", { class: "meta" }, `${name} `, el("code", {}, code));
/** @param {number} count */
const often = (count) => (count === 1 ? "once" : `${count} times`);

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

/** @param {Received[]} received */
function listView(received) {
  /** @type {import("./views.js").Row[]} */
  const rows = received.map(({ id, at, deliveries, event }) => [
    [event.webhook_type ?? "event", event.status ?? event.last_status].filter(Boolean).join(", ").replaceAll("_", " "),
    `${short(event.id)} · ${short(id)}`,
    often(deliveries),
    clock(at),
  ]);
  const note = (/** @type {number} */ shown) => `The last ${shown} of ${rows.length} that the application received`;
  return rows.length ? tableView({ heads: ["Event, id and webhook id", "Delivered"], rows, note }) : [];
}

function panel() {
  const sent = side("sent", "Guru sends", "Nothing yet: choose an event.");
  const arrived = side("arrived", "The application receives", "Nothing yet.");
  const list = el("div", { class: "events" });
  const buttons = Object.entries(KINDS).map(([kind, label]) =>
    el("button", { type: "button", onclick: ({ target }) => run(target, kind) }, label),
  );
  /** @type {HTMLButtonElement} */
  const again = el(
    "button",
    { type: "button", class: "primary", hidden: true, onclick: () => last && run(again, last.kind, last.times) },
    "Send the same again",
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
      sent.show(
        [chip("no answer", "bad status")],
        el("p", { class: "notice" }, "The sandbox or the broker did not answer. Are they running?"),
      );
      return arrived.show([]);
    }
    last = { kind, times: before + 1 };
    again.hidden = false;
    showSent(result, last.times);
    if (result.answer.status < 300) await watch(result.event, before > 0, () => mine === turn);
    else arrived.show([el("span", { class: "waiting" }, "Nothing: the broker did not take it.")]);
  }

  /** @param {Sent} sent @param {number} times */
  function showSent({ event, answer }, times) {
    const good = answer.status < 300;
    sent.show(
      [
        chip(`the broker says ${answer.status}`, `${good ? "good" : "bad"} status`),
        chip(`sent ${often(times)}`),
        meta("to", "/webhooks/guru"),
      ],
      ...(good
        ? []
        : [problemView({ status: answer.status, header: () => "application/problem+json", body: parse(answer.body) })]),
      eventView("What Guru sends", event),
      el("p", { class: "hint" }, "The marked line is the account token, cut short for this page."),
    );
  }

  /** @param {GuruEvent} event @param {boolean} twice @param {() => boolean} isNewest */
  async function watch(event, twice, isNewest) {
    const start = performance.now();
    const spent = () => performance.now() - start;
    arrived.show([el("span", { class: "waiting" }, twice ? "Looking whether it comes again…" : "Waiting for it…")]);
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
    arrived.show(
      [chip("not yet", "warn status")],
      el("p", { class: "notice" }, "It did not arrive yet. The broker tries again for 24 hours."),
    );
  }

  /** @param {Received} received */
  function showArrived({ id, deliveries, event }) {
    const alarm = "api_token" in event;
    arrived.show(
      [chip("signature verified", "good status"), chip(`delivered ${often(deliveries)}`), meta("webhook-id", id)],
      eventView("What the application receives", event),
      el(
        "p",
        { class: alarm ? "verdict alarm" : "verdict" },
        el(
          "span",
          {},
          alarm ? "The account token is in it" : "No account token in it",
          el("small", {}, "All else is as Guru sent it"),
        ),
      ),
    );
  }

  ask("hooks/guru").then((received) => list.replaceChildren(...listView(received ?? [])));
  return el(
    "article",
    { class: "card", "aria-labelledby": "webhooks-title" },
    el(
      "header",
      { class: "card-head" },
      el(
        "p",
        {},
        "Guru puts the account token into every event. Porteiro checks it, takes it out, signs the event and passes it on.",
      ),
      el("div", { class: "actions" }, buttons, again),
    ),
    el("div", { class: "sides" }, sent.node, arrived.node),
    list,
  );
}

byId("webhooks").append(panel());
