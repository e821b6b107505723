export const BROKER = location.port === "8787" ? location.origin : "http://localhost:8787";

const ROWS_SHOWN = 5;
const BODY_SHOWN = 1200;
const CALLS_REMEMBERED = 5;

const SANDBOX_PREFIXES = /\b(?:gu_ut|gu_at|hs_at|hs_rt|v8_at|v8_rt)_/;
const TOKEN_SHAPES = [
  SANDBOX_PREFIXES,
  /bearer\s+[\w.~+/|=-]{8,}/i,
  /\beyJ[\w-]{8,}\.[\w-]{8,}/,
  /"(?:access|refresh|id)_token"/,
];

const money = new Intl.NumberFormat("pt-BR", { style: "currency", currency: "BRL" });
const count = new Intl.NumberFormat("en");
const ms = (value) => `${Number(value) < 10 && Number(value) % 1 ? Number(value).toFixed(1) : Math.round(value)} ms`;
const percent = new Intl.NumberFormat("pt-BR", { maximumFractionDigits: 2 });
const day = (text) =>
  new Date(text).toLocaleDateString("pt-BR", { day: "2-digit", month: "2-digit", timeZone: "America/Sao_Paulo" });

// --- DOM ------------------------------------------------------------------

export function el(tag, properties = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined || value === false) continue;
    if (name === "class") node.className = value;
    else if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.flat().filter((child) => child !== undefined && child !== null));
  return node;
}

export const chip = (text, kind = "") => el("span", { class: `chip ${kind}`.trim() }, text);

// --- Calls ----------------------------------------------------------------

async function call({ method = "GET", path, json }) {
  const started = performance.now();
  const init = { method };
  if (json !== undefined) {
    init.headers = { "Content-Type": "application/json" };
    init.body = JSON.stringify(json);
  }
  try {
    const response = await fetch(BROKER + path, init);
    const text = await response.text();
    return {
      status: response.status,
      headers: [...response.headers],
      header: (name) => response.headers.get(name),
      text,
      body: parse(text),
      duration: performance.now() - started,
    };
  } catch {
    return { failed: true };
  }
}

export function parse(text) {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function serverTiming(value) {
  const entries = {};
  for (const part of (value ?? "").match(/(?:"(?:[^"\\]|\\.)*"|[^,"])+/g) ?? []) {
    const [name, ...parameters] = part.match(/(?:"(?:[^"\\]|\\.)*"|[^;"])+/g).map((p) => p.trim());
    entries[name] = Object.fromEntries(
      parameters.map((parameter) => {
        const [key, ...rest] = parameter.split("=");
        return [key.trim().toLowerCase(), rest.join("=").trim().replace(/^"|"$/g, "")];
      }),
    );
  }
  return entries;
}

const receivedText = ({ headers, text }) =>
  [...headers.map(([name, value]) => `${name}: ${value}`), "", text].join("\n");

export const isBusy = (button) => button.getAttribute("aria-busy") === "true";

const holdsToken = (text) => TOKEN_SHAPES.some((shape) => shape.test(text));

// --- Views ----------------------------------------------------------------

function outcomeView(result, previous) {
  if (result.failed) return [chip("no answer", "bad status")];
  const timing = serverTiming(result.header("server-timing"));
  const kind = result.status < 300 ? "good" : result.status < 400 ? "warn" : "bad";
  const chips = [chip(String(result.status), `${kind} status`), chip(`${ms(result.duration)} in total`)];
  if (timing.token) {
    const { desc, dur } = timing.token;
    const known = ["memory", "kv", "keeper", "grant", "static"].includes(desc);
    chips.push(chip(`token: ${desc ?? "?"}${dur ? ` ${ms(dur)}` : ""}`, known ? `source-${desc}` : ""));
  }
  if (timing.upstream?.dur) chips.push(chip(`upstream ${ms(timing.upstream.dur)}`));
  const id = result.header("x-request-id");
  if (id) chips.push(el("p", { class: "meta" }, "X-Request-Id ", el("code", {}, id)));
  if (previous.length) {
    const earlier = previous.map((text, i) => [i ? " · " : "", el("span", { class: "whole" }, text)]);
    chips.push(el("p", { class: "meta" }, "Before: ", earlier.flat()));
  }
  return chips;
}

export function problemView(result) {
  if (result.failed) {
    return el(
      "div",
      { class: "problem" },
      el("strong", {}, "The broker did not answer"),
      el("p", {}, "Is it running at ", el("code", {}, BROKER), ", and is this origin one of its ALLOWED_ORIGINS?"),
    );
  }
  const problem = result.header("content-type")?.startsWith("application/problem+json") ? result.body : undefined;
  if (!problem) {
    return el(
      "div",
      { class: "problem" },
      el("strong", {}, `The provider answered ${result.status}`),
      el("p", {}, "Every status but 401 is the provider's own and passes through."),
    );
  }
  return el(
    "div",
    { class: "problem" },
    el("strong", {}, problem.title ?? "Refused"),
    el("p", {}, el("code", {}, `${problem.status} ${problem.code}`), problem.cause ? ` (${problem.cause})` : ""),
    problem.detail ? el("p", {}, problem.detail) : undefined,
    problem.request_id ? el("p", {}, "request ", el("code", {}, problem.request_id)) : undefined,
  );
}

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

function shown(result, view) {
  if (!result.ok) return [problemView(result)];
  try {
    return view();
  } catch {
    return [
      el(
        "p",
        { class: "notice" },
        "The answer is not one that this page can show as a table. It is below, as it came.",
      ),
    ];
  }
}

function verdictView(result) {
  const text = receivedText(result);
  return holdsToken(text)
    ? el(
        "p",
        { class: "verdict alarm", role: "alert" },
        el("span", {}, "Something that looks like a token reached the browser"),
      )
    : el(
        "p",
        { class: "verdict" },
        el(
          "span",
          {},
          "No token in what the browser received",
          el("small", {}, `${count.format(text.length)} characters of headers and body searched`),
        ),
      );
}

function receivedView(result, open) {
  const pretty = result.body === undefined ? result.text : JSON.stringify(result.body, null, 2);
  const body = el("pre", { tabindex: "0", "aria-label": "Response body" });
  const cut = pretty.length > BODY_SHOWN;
  body.textContent = cut ? `${pretty.slice(0, BODY_SHOWN)}\n…` : pretty || "(empty)";
  const all = cut
    ? el(
        "button",
        {
          type: "button",
          class: "plain",
          onclick: () => {
            body.textContent = pretty;
            body.focus();
            all.remove();
          },
        },
        `Show all ${count.format(pretty.length)} characters`,
      )
    : undefined;
  return el(
    "details",
    { open },
    el("summary", {}, "What the browser received"),
    el(
      "div",
      { class: "received" },
      el("h4", {}, `Response headers that script can read (${result.headers.length})`),
      el(
        "dl",
        { class: "headers" },
        result.headers.map(([name, value]) => el("div", {}, el("dt", {}, name), el("dd", {}, value))),
      ),
      el("h4", {}, "Body"),
      body,
      all,
    ),
  );
}

// --- The three providers ---------------------------------------------------

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

const TICKET = {
  id_cliente_servico: 7011,
  nome: "Benedito Alves Quintela",
  telefone: "(00) 90000-1111",
  descricao: "Sem conexão desde hoje cedo",
};

const PANELS = [
  {
    id: "guru",
    name: "Digital Manager Guru",
    grant: "static user token",
    path: "/api/guru/transactions",
    view: (body) => ({
      heads: ["Transaction", "Amount"],
      rows: body.data.map((row) => [
        row.product.name,
        `${row.contact.name}, ${day(row.dates.created_at)}`,
        money.format(row.payment.total),
        row.status.replaceAll("_", " "),
        STATES[row.status],
      ]),
      note: (shown) => `${shown} of ${body.total_rows} transactions`,
    }),
  },
  {
    id: "hubsoft",
    name: "HubSoft",
    grant: "password grant, JSON",
    path: "/api/hubsoft/api/v1/integracao/cliente",
    view: (body) => ({
      heads: ["Customer", "Plan"],
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
      note: (shown) => `${shown} of ${body.clientes.length} customers`,
    }),
    action: {
      label: "Create a ticket",
      request: { method: "POST", path: "/api/hubsoft/api/v1/integracao/atendimento", json: TICKET },
      done: (body) =>
        `Ticket ${body.atendimento.id_atendimento} created for ${body.atendimento.nome_contato}, protocol ${body.atendimento.protocolo}.`,
    },
  },
  {
    id: "v8",
    name: "V8 Digital",
    grant: "password grant, form",
    path: "/api/v8/private-consignment/simulation",
    view: (body) => ({
      heads: ["Payroll-loan simulation", "Released"],
      rows: body.data.map((row) => [
        row.borrower?.name ?? row.consult_id,
        `${row.number_of_installments} × ${money.format(row.installment_value)}, ${percent.format(row.monthly_interest_rate)}%\u00a0a.m.`,
        money.format(row.disbursed_amount),
        row.status.toLowerCase(),
        STATES[row.status],
      ]),
      note: (shown) => `${shown} of ${body.pages.total} simulations`,
    }),
  },
];

function panel(definition) {
  const { id, name, grant, path, view, action } = definition;
  const outcome = el("div", { class: "outcome", role: "status", "aria-live": "polite" });
  const notice = el("div", { class: "panel-notice", role: "status", "aria-live": "polite" });
  const data = el("div", { class: "data" });
  const evidence = el("div", { class: "evidence" });
  const card = el("article", { class: "card", "aria-labelledby": `${id}-title`, id });
  const previous = [];

  async function run(request, button) {
    button.setAttribute("aria-busy", "true");
    outcome.classList.add("stale");
    if (!outcome.hasChildNodes()) outcome.append(el("span", { class: "waiting" }, "Calling…"));
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
      ok: result.status >= 200 && result.status < 300,
      alarm: !result.failed && holdsToken(receivedText(result)),
    };
  }

  async function refresh() {
    if (isBusy(again)) return undefined;
    const result = await run({ path }, again);
    notice.replaceChildren();
    data.replaceChildren(...shown(result, () => tableView({ lang: "pt-BR", ...view(result.body) })));
    return result;
  }

  async function perform() {
    if (isBusy(act)) return;
    const result = await run(action.request, act);
    notice.replaceChildren(...shown(result, () => [el("p", { class: "done" }, action.done(result.body))]));
  }

  const again = el("button", { type: "button", onclick: refresh }, "Call again");
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

// --- What is not allowed ---------------------------------------------------

const ATTEMPTS = [
  {
    title: "A path that no rule allows",
    text: "The connection is there, but nothing is allowed without a rule.",
    path: "/api/guru/contacts",
  },
  {
    title: "A path that climbs out",
    text: "An encoded “../” to reach beyond the provider's API.",
    path: "/api/guru/%2e%2e%2fsecret",
  },
  {
    title: "A connection that is not there",
    text: "The broker calls only what an operator has configured.",
    path: "/api/nowhere/transactions",
  },
];

function attempt({ title, text, path }) {
  const card = el("article", { class: "card" });
  const output = el("div", { class: "attempt-output", role: "status", "aria-live": "polite" });
  const button = el("button", { type: "button", onclick: run }, "Try it");

  async function run() {
    if (isBusy(button)) return;
    button.setAttribute("aria-busy", "true");
    const result = await call({ path });
    button.removeAttribute("aria-busy");
    const allowed = result.status >= 200 && result.status < 300;
    output.replaceChildren(
      allowed
        ? el("p", { class: "verdict alarm", role: "alert" }, el("span", {}, "This was allowed"))
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
const summary = document.getElementById("summary");
const callAllButton = document.getElementById("call-all");

async function callAll() {
  if (isBusy(callAllButton)) return;
  callAllButton.setAttribute("aria-busy", "true");
  summary.textContent = "Calling the three providers…";
  const results = (await Promise.all(panels.map(({ refresh }) => refresh()))).filter(Boolean);
  callAllButton.removeAttribute("aria-busy");
  const answered = results.filter(({ ok }) => ok).length;
  const alarm = results.some((result) => result.alarm);
  summary.classList.toggle("alarm", alarm);
  summary.textContent = alarm
    ? "Something that looks like a token reached the browser."
    : `${answered} of ${results.length} calls answered with data.`;
}

document.getElementById("page-origin").textContent = location.host;
document.getElementById("broker-origin").textContent = new URL(BROKER).host;
document.getElementById("panels").append(...panels.map(({ card }) => card));
document.getElementById("attempts").append(...ATTEMPTS.map(attempt));
callAllButton.addEventListener("click", callAll);
callAll();
