// Two people and their invoices: a rule binds the search to who calls, so that nobody sees another's.

/** @import { Result } from "./calls.js" */
/** @import { Row } from "./views.js" */

import { ask, call, isSuccess } from "./calls.js";
import { byId, chip, el } from "./dom.js";
import { money, outcomeView, shown, side, tableView } from "./views.js";

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
    heads: ["Invoice", "Amount"],
    rows: faturas.map((one) => [
      one.detalhamento.descricao.replace(/^\(\+\) | \|.*$/g, ""),
      `vence em ${one.data_vencimento}`,
      money.format(one.valor),
      one.data_pagamento ? `paga em ${one.data_pagamento}` : "pendente",
      one.data_pagamento ? "good" : "warn",
    ]),
    note: (shown) => `${shown} of ${faturas.length} invoices`,
  });

/** @param {Arrived[]} arrived */
function arrivedView(arrived) {
  const rows = arrived
    .map((one) => {
      const { termo_busca: term, ...others } = Object.fromEntries(parameters(one));
      const rest = Object.entries(others).map(([name, value]) => `${name}=${value}`);
      const detail = [new Date(one.at).toLocaleTimeString("en-GB"), ...rest].join(", ");
      return /** @type {Row} */ ([`termo_busca=${term ?? ""}`, detail, String(one.status ?? ""), ""]);
    })
    .reverse();
  const note = (/** @type {number} */ shown) => `The last ${shown} of ${rows.length} requests for invoices`;
  return rows.length ? tableView({ heads: ["Request", "Status"], rows, note }) : [];
}

/** @param {string} text @param {string} detail @param {boolean} alarm */
const verdict = (text, detail, alarm = false) =>
  el(
    "p",
    { class: alarm ? "verdict alarm" : "verdict", role: alarm ? "alert" : undefined },
    el("span", {}, text, el("small", {}, detail)),
  );

/** @returns {Promise<Arrived[] | undefined>} */
const arrivals = () => ask("sandbox/invoices");

/** @param {Person[]} people */
function panel(people) {
  const answer = side("answer", "The broker answers", "Nothing yet: choose a person.");
  const upstream = side("upstream", "HubSoft gets", "Nothing yet.");
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
    "Another person's invoices",
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
      answer.show(
        [chip("no answer", "bad status")],
        el("p", { class: "notice" }, "The sandbox did not answer. Is it running?"),
      );
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
        `${other ? `For the invoices of ${other.name}, as` : "As"} ${person.name}, whose token says cpf = ${person.cpf}`,
      ),
      ...(wrong ? [verdict("This was allowed", `These are the invoices of ${other.name}`, true)] : []),
      ...shown(result, invoicesView),
    );
  }

  /** @param {Arrived[]} before @param {Arrived[]} after @param {Person} person */
  function showUpstream(before, after, person) {
    const known = new Set(before.map(({ at, path }) => `${at} ${path}`));
    const arrived = after.filter(({ at, path }) => !known.has(`${at} ${path}`));
    const foreign = arrived.some((one) => parameters(one).get("termo_busca") !== person.cpf);
    upstream.show(
      [
        chip(
          arrived.length ? `${arrived.length} request${arrived.length > 1 ? "s" : ""}` : "nothing",
          `${foreign ? "bad" : "good"} status`,
        ),
      ],
      foreign
        ? verdict("HubSoft was asked for another person's", "The rule does not hold", true)
        : arrived.length
          ? verdict("HubSoft was asked for this person's own", `The broker put in termo_busca=${person.cpf}`)
          : verdict("Nothing of this call reached HubSoft", "Its list of requests is as before"),
      ...arrivedView(after),
    );
  }

  return el(
    "article",
    { class: "card", "aria-labelledby": "invoices-title" },
    el(
      "header",
      { class: "card-head" },
      el(
        "p",
        {},
        "The broker's account sees the invoices of all of HubSoft's customers. A rule binds the search to the claim ",
        el("code", {}, "cpf"),
        " of whoever calls. The sandbox's own issuer proves these two people.",
      ),
      el("p", { class: "request" }, el("code", {}, RULE)),
      el(
        "div",
        { class: "actions" },
        el("div", { class: "choice", role: "group", "aria-label": "Who calls" }, choices),
        another,
      ),
    ),
    el("div", { class: "sides" }, answer.node, upstream.node),
  );
}

/** @type {Person[] | undefined} */
const people = await ask("sandbox/people");
byId("invoices").append(
  people?.length
    ? panel(people)
    : el(
        "p",
        { class: "notice" },
        "The sandbox's people are not there. ",
        el("code", {}, "npm start"),
        " brings them.",
      ),
);
