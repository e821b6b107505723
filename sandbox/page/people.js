// Two people and their invoices: a rule binds the search to who calls, so that nobody sees another's.

/** @import { Result } from "./calls.js" */
/** @import { Row } from "./views.js" */

import { ask, call, isSuccess } from "./calls.js";
import { byId, chip, el } from "./dom.js";
import { money, outcomeView, shown, side, tableView } from "./views.js";
import { locale, parts, put, words } from "./words.js";

/**
 * @typedef {{ id: string, name: string, cpf: string }} Person
 * @typedef {{ data_vencimento: string, data_pagamento: string | null, valor: number, detalhamento: { descricao: string } }} Invoice
 * @typedef {{ at: number, method: string, path: string, status?: number }} Arrived a request that HubSoft got
 */

const RULE = 'query = { busca = "cpf_cnpj", termo_busca = "{claims.cpf}" }';
const INVOICES = "/api/hubsoft/api/v1/integracao/cliente/financeiro?apenas_pendente=nao";

/** The parameters of a request that arrived. @param {Arrived} arrived */
const parameters = ({ path }) => new URL(path, location.origin).searchParams;

/** @param {{ faturas: Invoice[] }} body */
const invoicesView = ({ faturas }) =>
  tableView({
    lang: "pt-BR",
    heads: [words.invoice, words.amount],
    rows: faturas.map((one) => [
      one.detalhamento.descricao.replace(/^\(\+\) | \|.*$/g, ""),
      put(words.due, one.data_vencimento),
      money.format(one.valor),
      one.data_pagamento ? put(words.paid, one.data_pagamento) : words.pending,
      one.data_pagamento ? "good" : "warn",
    ]),
    note: (shown) => put(words.invoices, shown, faturas.length),
  });

/** @param {Arrived[]} arrived */
function arrivedView(arrived) {
  const rows = arrived
    .map((one) => {
      const { termo_busca: term, ...others } = Object.fromEntries(parameters(one));
      const rest = Object.entries(others).map(([name, value]) => `${name}=${value}`);
      const detail = [new Date(one.at).toLocaleTimeString(locale), ...rest].join(", ");
      return /** @type {Row} */ ([`termo_busca=${term ?? ""}`, detail, String(one.status ?? ""), ""]);
    })
    .reverse();
  const note = (/** @type {number} */ shown) => put(words.lastRequests, shown, rows.length);
  return rows.length ? tableView({ heads: [words.arrivedRequest, words.arrivedStatus], rows, note }) : [];
}

/** @param {string} text @param {string} detail @param {boolean} alarm */
const verdict = (text, detail, alarm = false) =>
  el(
    "p",
    { class: alarm ? "verdict alarm" : "verdict", role: alarm ? "alert" : undefined },
    el("span", {}, text, el("small", {}, detail)),
  );

/** @param {Arrived[]} arrived */
const number = ({ length }) =>
  length > 1 ? put(words.severalRequests, length) : length ? words.oneRequest : words.nothing;

/** @returns {Promise<Arrived[] | undefined>} */
const arrivals = () => ask("sandbox/invoices");

/** @param {Person[]} people */
function panel(people) {
  const answer = side("answer", words.brokerAnswers, words.choosePerson);
  const upstream = side("upstream", words.hubsoftGets, words.nothingYet);
  /** The person who calls. @type {Person | undefined} */
  let caller;
  // One call at a time: what HubSoft gets meanwhile is of that call.
  let calling = false;

  const choices = people.map((person) =>
    el(
      "button",
      { type: "button", "aria-pressed": "false", onclick: ({ target }) => choose(target, person) },
      person.name,
    ),
  );
  /** @type {HTMLButtonElement} */
  const another = el(
    "button",
    {
      type: "button",
      class: "primary",
      hidden: true,
      onclick: () => caller && run(another, caller, otherThan(caller)),
    },
    words.anothersInvoices,
  );

  /** @param {Person} person */
  const otherThan = (person) => people.find(({ id }) => id !== person.id);

  /** @param {HTMLElement} button @param {Person} person */
  function choose(button, person) {
    if (calling) return undefined;
    caller = person;
    for (const choice of choices) choice.setAttribute("aria-pressed", String(choice === button));
    another.hidden = false;
    return run(button, person);
  }

  /**
   * Asks for the person's own invoices, or for those of another person.
   * @param {HTMLElement} button @param {Person} person @param {Person} [other]
   */
  async function run(button, person, other) {
    if (calling) return;
    calling = true;
    button.setAttribute("aria-busy", "true");
    const path = other ? `${INVOICES}&busca=cpf_cnpj&termo_busca=${other.cpf}` : INVOICES;
    const before = await arrivals();
    /** @type {{ token: string } | undefined} */
    const proof = await ask("sandbox/tokens", { person: person.id });
    const result = proof && (await call({ path, token: proof.token }));
    const after = result && (await arrivals());
    button.removeAttribute("aria-busy");
    calling = false;
    if (!before || !result || !after) {
      answer.show([chip(words.noAnswer, "bad status")], el("p", { class: "notice" }, words.sandboxSilent));
      return upstream.show([]);
    }
    showAnswer(result, path, person, other);
    showUpstream(before, after, person);
  }

  /** @param {Result} result @param {string} path @param {Person} person @param {Person | undefined} other */
  function showAnswer(result, path, person, other) {
    const wrong = other && isSuccess(result);
    answer.show(
      outcomeView(result, []),
      el("p", { class: "request" }, el("code", {}, `GET ${path}`)),
      el(
        "p",
        { class: "hint" },
        other
          ? put(words.asPersonForOther, other.name, person.name, person.cpf)
          : put(words.asPerson, person.name, person.cpf),
      ),
      ...(wrong ? [verdict(words.wasAllowed, put(words.theirInvoices, other.name), true)] : []),
      ...shown(result, invoicesView),
    );
  }

  /** @param {Arrived[]} before @param {Arrived[]} after @param {Person} person */
  function showUpstream(before, after, person) {
    const known = new Set(before.map(({ at, path }) => `${at} ${path}`));
    const arrived = after.filter(({ at, path }) => !known.has(`${at} ${path}`));
    const foreign = arrived.some((one) => parameters(one).get("termo_busca") !== person.cpf);
    upstream.show(
      [chip(number(arrived), `${foreign ? "bad" : "good"} status`)],
      foreign
        ? verdict(words.askedForOther, words.ruleDoesNotHold, true)
        : arrived.length
          ? verdict(words.askedForOwn, put(words.brokerPutIn, person.cpf))
          : verdict(words.nothingReached, words.listAsBefore),
      ...arrivedView(after),
    );
  }

  return el(
    "article",
    { class: "card", "aria-labelledby": "invoices-title" },
    el(
      "header",
      { class: "card-head" },
      el("p", {}, parts(words.bound, el("code", {}, "cpf"))),
      el("p", { class: "request" }, el("code", {}, RULE)),
      el(
        "div",
        { class: "actions" },
        el("div", { class: "choice", role: "group", "aria-label": words.whoCalls }, choices),
        another,
      ),
    ),
    el("div", { class: "sides" }, answer.node, upstream.node),
  );
}

/** @type {Person[] | undefined} */
const people = await ask("sandbox/people");
byId("invoices").append(
  people?.length ? panel(people) : el("p", { class: "notice" }, parts(words.noPeople, el("code", {}, "npm start"))),
);
