// A person's own account at the agenda, by the authorization code grant; and the agenda that is connected for everybody.

/** @import { Result } from "./calls.js" */
/** @import { Row } from "./views.js" */

import { BROKER, call, isSuccess } from "./calls.js";
import { byId, chip, el, isBusy } from "./dom.js";
import { outcomeView, problemView, shown, side, tableView, verdictView } from "./views.js";
import { locale, parts, put, words } from "./words.js";

/**
 * @typedef {{ subject: string, claims: { name?: string, email?: string } }} Person
 * @typedef {{ connections: { id: string, expires_at: string }[], person?: Person }} Session
 * @typedef {{ owner: string, appointments: { title: string, place: string, starts_at: string }[] }} Appointments
 */

const CONNECTION = "agenda";
const SHARED = "agenda-shared";
const HOME = `${location.origin}/`;

const time = new Intl.DateTimeFormat(locale, { dateStyle: "short", timeStyle: "short", timeZone: "America/Sao_Paulo" });

/** @param {Appointments} body */
const appointmentsView = ({ owner, appointments }) =>
  tableView({
    lang: "pt-BR",
    heads: [words.appointment, words.when],
    rows: appointments.map(
      ({ title, place, starts_at }) => /** @type {Row} */ ([title, place, time.format(new Date(starts_at)), ""]),
    ),
    note: (shown) => put(words.appointmentsOf, shown, appointments.length, owner),
  });

/**
 * What came of the sign-in that this page's address tells of, if any. The address keeps nothing of it.
 * @returns {{ outcome: string, code: string } | undefined}
 */
function outcomeInAddress() {
  const address = new URL(location.href);
  const outcome = address.searchParams.get("porteiro");
  const code = address.searchParams.get("porteiro_code") ?? "";
  for (const name of [...address.searchParams.keys()])
    if (name.startsWith("porteiro")) address.searchParams.delete(name);
  history.replaceState(null, "", address);
  return outcome === null ? undefined : { outcome, code };
}

/** @param {string} text */
const done = (text) => el("p", { class: "done" }, text);
/** @param {string} text */
const notice = (text) => el("p", { class: "notice" }, text);

/** @param {string} code */
const reason = (code) => words.reasons[code] ?? code.replaceAll("_", " ");

/** Goes to the agenda, by way of the broker, and comes back to this part of the page. */
function connect() {
  const parameters = new URLSearchParams({ return_to: `${HOME}#agenda` });
  location.assign(`${BROKER}/auth/${CONNECTION}/connect?${parameters}`);
}

function ownPanel() {
  const session = side("agenda-session", words.session, words.looking);
  const answer = side("agenda-answer", words.agendaAnswers, words.askFirst);

  /** @param {string} text @param {(button: HTMLElement) => unknown} action @param {string} [kind] */
  const button = (text, action, kind) =>
    el("button", { type: "button", class: kind, hidden: true, onclick: ({ target }) => action(target) }, text);
  const buttons = {
    signIn: button(words.signInAtAgenda, connect, "primary"),
    connect: button(words.connectAgain, connect, "primary"),
    appointments: button(words.myAppointments, (target) => busy(target, showAppointments), "primary"),
    disconnect: button(words.disconnect, (target) => busy(target, disconnect)),
    signOut: button(words.signOut, (target) => busy(target, signOut)),
  };

  /** @param {HTMLElement} target @param {() => Promise<void>} action */
  async function busy(target, action) {
    if (isBusy(target)) return;
    target.setAttribute("aria-busy", "true");
    await action();
    target.removeAttribute("aria-busy");
  }

  /** Who is signed in, according to the broker. @param {...Node} said what has just happened */
  async function showSession(...said) {
    const result = await call({ path: "/auth/session", inSession: true });
    /** @type {Session | undefined} */
    const found = isSuccess(result) ? result.body : undefined;
    const isConnected = found?.connections.some(({ id }) => id === CONNECTION) ?? false;
    buttons.signIn.hidden = found !== undefined;
    buttons.connect.hidden = found === undefined || isConnected;
    buttons.appointments.hidden = buttons.signOut.hidden = found === undefined;
    buttons.disconnect.hidden = !isConnected;
    if (!found) {
      if (result.status === 401) session.show([chip(words.nobodySignedIn, "status")], ...said);
      else session.show(outcomeView(result, []), ...said, problemView(result));
      return false;
    }
    const { person } = found;
    const { name = person?.subject ?? words.somebody, email } = person?.claims ?? {};
    session.show(
      [
        chip(words.signedIn, "good status"),
        chip(isConnected ? words.connected : words.notConnected, isConnected ? "good" : "warn"),
      ],
      ...said,
      el("p", { class: "who" }, email ? put(words.who, name, email) : name),
      el("p", { class: "hint" }, parts(words.knownBy, el("code", {}, "GET /auth/session"))),
    );
    return isConnected;
  }

  async function showAppointments() {
    const result = await call({ path: `/api/${CONNECTION}/appointments`, inSession: true });
    answer.show(
      outcomeView(result, []),
      ...shown(result, appointmentsView),
      ...(result.failed ? [] : [verdictView(result)]),
    );
    // The broker says when a person, or their account, is not there any more.
    if (result.status === 401) await showSession();
  }

  /** What went wrong, if anything. @param {Result} result */
  const failure = (result) => (isSuccess(result) ? [] : [problemView(result)]);

  async function disconnect() {
    const result = await call({ method: "DELETE", path: `/auth/${CONNECTION}`, inSession: true });
    answer.show([]);
    const said = failure(result);
    await showSession(...(said.length ? said : [done(words.justDisconnected)]));
  }

  async function signOut() {
    const parameters = new URLSearchParams({ provider: "true", return_to: HOME });
    const result = await call({ method: "POST", path: `/auth/logout?${parameters}`, inSession: true });
    answer.show([]);
    await showSession(...failure(result));
    // The agenda remembers who signed in there, until they sign out there, too.
    if (isSuccess(result) && result.body?.logout_url) location.assign(result.body.logout_url);
  }

  async function begin() {
    const came = outcomeInAddress();
    const said = came?.outcome === "connected" ? [done(words.justConnected)] : [];
    if (came && came.outcome !== "connected") said.push(notice(put(words.failedBecause, reason(came.code))));
    if (await showSession(...said)) await showAppointments();
    if (came) byId("agenda").scrollIntoView();
  }
  begin();

  return el(
    "article",
    { class: "card", "aria-labelledby": "agenda-title" },
    el(
      "header",
      { class: "card-head" },
      el("p", {}, words.agendaSays),
      el("p", { class: "request" }, el("code", {}, `GET /api/${CONNECTION}/appointments`)),
      el("div", { class: "actions" }, Object.values(buttons)),
    ),
    el("div", { class: "sides" }, session.node, answer.node),
  );
}

function sharedPanel() {
  const outcome = el("div", { class: "outcome", role: "status", "aria-live": "polite", hidden: true });
  const data = el("div", {});
  const ask = el("button", { type: "button", onclick: run }, words.askShared);

  async function run() {
    if (isBusy(ask)) return;
    ask.setAttribute("aria-busy", "true");
    const result = await call({ path: `/api/${SHARED}/appointments` });
    ask.removeAttribute("aria-busy");
    outcome.hidden = false;
    outcome.replaceChildren(...outcomeView(result, []));
    const isMissing = !result.failed && result.body?.cause === "not_connected";
    data.replaceChildren(
      ...shown(result, appointmentsView),
      ...(isMissing ? [el("p", { class: "notice" }, parts(words.noSharedYet, el("code", {}, SHARED)))] : []),
    );
  }

  return el(
    "article",
    { class: "card", id: "shared-agenda", "aria-labelledby": "shared-agenda-title" },
    el(
      "header",
      { class: "card-head" },
      el("h3", { id: "shared-agenda-title" }, words.sharedAgenda),
      el("p", {}, parts(words.sharedSays, el("a", { href: `${BROKER}/admin/` }, words.operatorsPage))),
      el("p", { class: "request" }, el("code", {}, `GET /api/${SHARED}/appointments`)),
      el("div", { class: "actions" }, ask),
    ),
    outcome,
    data,
  );
}

byId("agenda").append(ownPanel(), sharedPanel());
