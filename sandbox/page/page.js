// The sandbox's page: it calls the three providers through the broker, and tries calls that the broker must refuse.

/** @import { Request } from "./calls.js" */
/** @import { Table } from "./views.js" */

import { BROKER, call, holdsToken, isSuccess, receivedText, serverTiming } from "./calls.js";
import { byId, el, isBusy } from "./dom.js";
import { money, ms, outcomeView, problemView, receivedView, shown, tableView, verdictView } from "./views.js";
import { fill, locale, put, words } from "./words.js";

fill();

const CALLS_REMEMBERED = 5;

const percent = new Intl.NumberFormat(locale, { maximumFractionDigits: 2 });
/** @param {number} seconds */
const day = (seconds) =>
  new Date(seconds * 1000).toLocaleDateString(locale, {
    day: "2-digit",
    month: "2-digit",
    timeZone: "America/Sao_Paulo",
  });

// --- The three providers ---------------------------------------------------

/**
 * The parts of the providers' answers that the page shows.
 * @typedef {{ status: string, product: { name: string }, contact: { name: string }, dates: { created_at: number }, payment: { total: number } }} Transaction
 * @typedef {{ data: Transaction[], total_rows: number }} Transactions
 * @typedef {{ nome: string, valor: number, status: string, status_prefixo: string, endereco_instalacao: { cidade: string, estado: string } }} Service
 * @typedef {{ clientes: { nome_razaosocial: string, servicos: Service[] }[] }} Customers
 * @typedef {{ id_atendimento: number, nome_contato: string, protocolo: string }} Ticket
 * @typedef {{ borrower?: { name: string }, consult_id: string, number_of_installments: number, installment_value?: number, monthly_interest_rate?: number, disbursed_amount?: number, status: string }} Simulation
 * @typedef {{ data: Simulation[], pages: { total: number } }} Simulations
 */

/** The meaning of a row's state. @type {Record<string, string>} */
const STATES = {
  approved: "good",
  APPROVED: "good",
  servico_habilitado: "good",
  waiting_payment: "warn",
  SIMULATED: "",
  EXPIRED: "bad",
  refunded: "warn",
  canceled: "bad",
  suspenso_debito: "warn",
};

/** @param {string} status */
const state = (status) => words.states[status] ?? status.replaceAll("_", " ");

const TICKET = {
  id_cliente_servico: 7011,
  nome: "Benedito Alves Quintela",
  telefone: "(00) 90000-1111",
  descricao: "Sem conexão desde hoje cedo",
};

/**
 * @typedef {object} Panel
 * @property {string} id
 * @property {string} name
 * @property {string} grant
 * @property {string} path
 * @property {(body: any) => Table} view shows the API's answer
 * @property {{ label: string, request: Request, done: (body: any) => string }} [action]
 */

/** @type {Panel[]} */
const PANELS = [
  {
    id: "guru",
    name: "Digital Manager Guru",
    grant: words.staticToken,
    // Guru lists no transactions without a filter, and a period has 180 days at most.
    path: "/api/guru/transactions?ordered_at_ini=2026-10-01&ordered_at_end=2026-10-31",
    view: (/** @type {Transactions} */ body) => ({
      heads: [words.transaction, words.amount],
      rows: body.data.map((row) => [
        row.product.name,
        `${row.contact.name}, ${day(row.dates.created_at)}`,
        money.format(row.payment.total),
        state(row.status),
        STATES[row.status],
      ]),
      note: (shown) => put(words.transactions, shown, body.total_rows),
    }),
  },
  {
    id: "hubsoft",
    name: "HubSoft",
    grant: words.passwordJson,
    path: "/api/hubsoft/api/v1/integracao/cliente",
    view: (/** @type {Customers} */ body) => ({
      heads: [words.customer, words.plan],
      rows: body.clientes.map((client) => {
        const [service] = client.servicos;
        return [
          client.nome_razaosocial,
          `${service.nome}, ${service.endereco_instalacao.cidade}/${service.endereco_instalacao.estado}`,
          money.format(service.valor),
          service.status.replace(/^Serviço /, ""),
          STATES[service.status_prefixo],
        ];
      }),
      note: (shown) => put(words.customers, shown, body.clientes.length),
    }),
    action: {
      label: words.createTicket,
      request: { method: "POST", path: "/api/hubsoft/api/v1/integracao/atendimento", json: TICKET },
      done: (/** @type {{ atendimento: Ticket }} */ body) =>
        put(
          words.ticketCreated,
          body.atendimento.id_atendimento,
          body.atendimento.nome_contato,
          body.atendimento.protocolo,
        ),
    },
  },
  {
    id: "v8",
    name: "V8 Digital",
    grant: words.passwordForm,
    path: "/api/v8/private-consignment/simulation",
    view: (/** @type {Simulations} */ body) => ({
      heads: [words.simulation, words.released],
      rows: body.data.map((row) => [
        row.borrower?.name ?? row.consult_id,
        row.installment_value
          ? `${row.number_of_installments} × ${money.format(row.installment_value)}, ${put(words.perMonth, percent.format(row.monthly_interest_rate ?? 0)).replaceAll(" ", "\u00a0")}`
          : `${row.number_of_installments} ×`,
        row.disbursed_amount ? money.format(row.disbursed_amount) : "…",
        state(row.status),
        STATES[row.status],
      ]),
      note: (shown) => put(words.simulations, shown, body.pages.total),
    }),
  },
];

/** @param {Panel} definition */
function panel(definition) {
  const { id, name, grant, path, view, action } = definition;
  const outcome = el("div", { class: "outcome", role: "status", "aria-live": "polite" });
  const notice = el("div", { class: "panel-notice", role: "status", "aria-live": "polite" });
  const data = el("div", { class: "data" });
  const evidence = el("div", { class: "evidence" });
  const card = el("article", { class: "card", "aria-labelledby": `${id}-title`, id });
  /** @type {string[]} */
  const previous = [];

  /** @param {Request} request @param {HTMLElement} button */
  async function run(request, button) {
    button.setAttribute("aria-busy", "true");
    outcome.classList.add("stale");
    if (!outcome.hasChildNodes()) outcome.append(el("span", { class: "waiting" }, words.calling));
    const result = await call(request);
    button.removeAttribute("aria-busy");
    outcome.classList.remove("stale");
    outcome.replaceChildren(...outcomeView(result, previous));
    if (!result.failed) {
      const source = serverTiming(result.header("server-timing")).token?.desc;
      previous.unshift(`${source ?? result.status} ${ms(result.duration)}`);
      previous.length = Math.min(previous.length, CALLS_REMEMBERED);
    }
    const open = evidence.querySelector("details")?.open ?? false;
    evidence.replaceChildren(...(result.failed ? [] : [verdictView(result), receivedView(result, open)]));
    return {
      ...result,
      ok: isSuccess(result),
      alarm: !result.failed && holdsToken(receivedText(result)),
    };
  }

  async function refresh() {
    if (isBusy(again)) return undefined;
    const result = await run({ path }, again);
    notice.replaceChildren();
    data.replaceChildren(...shown(result, (body) => tableView({ lang: "pt-BR", ...view(body) })));
    return result;
  }

  async function perform() {
    if (!action || !act || isBusy(act)) return;
    const result = await run(action.request, act);
    notice.replaceChildren(...shown(result, (body) => [el("p", { class: "done" }, action.done(body))]));
  }

  const again = el("button", { type: "button", onclick: refresh }, words.callAgain);
  const act = action && el("button", { type: "button", onclick: perform }, action.label);

  card.append(
    el(
      "header",
      { class: "card-head" },
      el("div", { class: "card-title" }, el("h3", { id: `${id}-title` }, name), el("small", {}, grant)),
      el("p", { class: "request" }, el("code", {}, `GET ${path}`)),
      el("div", { class: "actions" }, again, act),
    ),
    outcome,
    notice,
    data,
    evidence,
  );
  return { card, refresh };
}

// --- Refused calls -----------------------------------------------------------

const ATTEMPTS = [
  {
    title: words.noRule,
    text: words.noRuleWhy,
    path: "/api/guru/contacts",
  },
  {
    title: words.climbsOut,
    text: words.climbsOutWhy,
    path: "/api/guru/%2e%2e%2fsecret",
  },
  {
    title: words.noConnection,
    text: words.noConnectionWhy,
    path: "/api/nowhere/transactions",
  },
];

/** @param {typeof ATTEMPTS[number]} attempt */
function attempt({ title, text, path }) {
  const card = el("article", { class: "card" });
  const output = el("div", { class: "attempt-output", role: "status", "aria-live": "polite" });
  const button = el("button", { type: "button", onclick: run }, words.tryIt);

  async function run() {
    if (isBusy(button)) return;
    button.setAttribute("aria-busy", "true");
    const result = await call({ path });
    button.removeAttribute("aria-busy");
    output.replaceChildren(
      isSuccess(result)
        ? el("p", { class: "verdict alarm", role: "alert" }, el("span", {}, words.wasAllowed))
        : problemView(result),
      ...(result.failed ? [] : [verdictView(result), receivedView(result, false)]),
    );
  }

  card.append(
    el(
      "header",
      { class: "card-head" },
      el("h3", {}, title),
      el("p", {}, text),
      el("p", { class: "request" }, el("code", {}, `GET ${path}`)),
      el("div", { class: "actions" }, button),
    ),
    output,
  );
  return card;
}

// --- The page --------------------------------------------------------------

const panels = PANELS.map(panel);
const summary = byId("summary");
const callAllButton = byId("call-all");

async function callAll() {
  if (isBusy(callAllButton)) return;
  callAllButton.setAttribute("aria-busy", "true");
  summary.textContent = words.callingAll;
  const results = (await Promise.all(panels.map(({ refresh }) => refresh()))).filter((result) => result !== undefined);
  callAllButton.removeAttribute("aria-busy");
  const answered = results.filter(({ ok }) => ok).length;
  const alarm = results.some((result) => result.alarm);
  summary.classList.toggle("alarm", alarm);
  summary.textContent = alarm ? words.tokenArrivedHere : put(words.answered, answered, results.length);
}

byId("page-origin").textContent = location.host;
byId("broker-origin").textContent = new URL(BROKER).host;
byId("panels").append(...panels.map(({ card }) => card));
byId("attempts").append(...ATTEMPTS.map(attempt));
callAllButton.addEventListener("click", callAll);
callAll();
