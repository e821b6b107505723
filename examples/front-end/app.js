// A front end whose people sign in to an API through the broker. It needs no library and no build: copy what you need.

import { errorWords, fill, locale, put, words } from "./words.js";

// The broker's address is also in the Content-Security-Policy of index.html.
const BROKER = "http://localhost:8787";
const CONNECTION = "hubsoft-people";

/** @import { Problem, Session, SignIn } from "./porteiro.d.ts" */

// --- Calls ------------------------------------------------------------------

/** An answer other than a success. */
class CallError extends Error {
  /**
   * @param {Response} response
   * @param {Problem} [problem] the broker's problem details; undefined if the API itself answered
   */
  constructor(response, problem) {
    super(problem?.title ?? `The API answered ${response.status}`);
    this.status = response.status;
    this.problem = problem;
    this.retryAfter = Number(response.headers.get("Retry-After")) || undefined; // seconds
  }
}

/**
 * @param {string} path the path at the broker
 * @param {{ method?: string, json?: unknown }} [options]
 */
async function call(path, { method = "GET", json } = {}) {
  /** @type {RequestInit} */
  const init = { method, credentials: "include" };
  if (json !== undefined) {
    init.headers = { "Content-Type": "application/json" };
    init.body = JSON.stringify(json);
  }
  const response = await fetch(BROKER + path, init);
  if (!response.ok) {
    const isProblem = response.headers.get("Content-Type")?.startsWith("application/problem+json");
    throw new CallError(response, isProblem ? await response.json() : undefined);
  }
  return response.status === 204 ? undefined : response.json();
}

/** @returns {Promise<Session>} */
const session = () => call("/auth/session");

/**
 * @param {string} username
 * @param {string} password
 * @returns {Promise<SignIn>}
 */
const signIn = (username, password) =>
  call(`/auth/${CONNECTION}/login`, { method: "POST", json: { username, password } });

/** @returns {Promise<void>} */
const signOut = () => call("/auth/logout", { method: "POST" });

// --- This API: the parts of HubSoft's answers that the page shows -------------

const API = `/api/${CONNECTION}/api/v1/integracao`;

/** @typedef {{ id_cliente_servico: number, nome: string, status: string, endereco_instalacao: { cidade: string, estado: string } }} Service */
/** @typedef {{ nome_razaosocial: string, telefone_primario: string, servicos: Service[] }} Customer */
/** @typedef {{ protocolo: string, nome_contato: string, descricao_abertura: string, usuario_abertura: string }} Ticket */

/** HubSoft reports a refused operation in its own words, with the status 200. */
class Refusal extends Error {}

/**
 * @param {string} path the path at the API
 * @param {Parameters<typeof call>[1]} [options]
 */
async function ask(path, options) {
  const answer = await call(API + path, options);
  if (answer.status === "error") throw new Refusal(answer.msg);
  return answer;
}

/** @returns {Promise<Customer[]>} */
const customers = async () => (await ask("/cliente?limit=8")).clientes;

/** @returns {Promise<Ticket[]>} */
const tickets = async () => (await ask("/atendimento")).atendimentos;

/**
 * @param {Customer} customer
 * @param {Service} service
 * @param {string} description
 * @returns {Promise<Ticket>}
 */
async function openTicket(customer, service, description) {
  const json = {
    id_cliente_servico: service.id_cliente_servico,
    nome: customer.nome_razaosocial,
    telefone: customer.telefone_primario,
    descricao: description,
  };
  return (await ask("/atendimento", { method: "POST", json })).atendimento;
}

// --- The page -----------------------------------------------------------------

/**
 * The element with this id in index.html.
 * @template {HTMLElement} T
 * @param {string} id
 * @param {new () => T} type
 * @returns {T}
 */
function element(id, type) {
  const found = document.getElementById(id);
  if (!(found instanceof type)) throw new Error(`index.html has no ${type.name} #${id}`);
  return found;
}

const page = {
  loading: element("loading", HTMLElement),
  signedOut: element("signed-out", HTMLElement),
  signedIn: element("signed-in", HTMLElement),
  who: element("who", HTMLElement),
  until: element("until", HTMLTimeElement),
  signOut: element("sign-out", HTMLButtonElement),
  signIn: element("sign-in", HTMLFormElement),
  signInMessage: element("sign-in-message", HTMLElement),
  username: element("username", HTMLInputElement),
  password: element("password", HTMLInputElement),
  deskMessage: element("desk-message", HTMLElement),
  ticket: element("ticket", HTMLFormElement),
  service: element("service", HTMLSelectElement),
  description: element("description", HTMLTextAreaElement),
  done: element("done", HTMLElement),
  customers: element("customers", HTMLElement),
  reload: element("reload", HTMLButtonElement),
  tickets: element("tickets", HTMLElement),
  noTickets: element("no-tickets", HTMLElement),
};

/** @type {{ customer: Customer, service: Service }[]} */
let choices = [];

/**
 * @param {string} tag
 * @param {string} className
 * @param {...(string | Node)} children text goes in as text, never as HTML
 */
function make(tag, className, ...children) {
  const node = document.createElement(tag);
  node.className = className;
  node.append(...children);
  return node;
}

/** @param {string} [notice] why the person must sign in */
function showSignIn(notice) {
  page.loading.hidden = page.signedIn.hidden = page.who.hidden = true;
  page.signedOut.hidden = false;
  // The next person at this screen must not see the last person's data.
  choices = [];
  for (const list of [page.customers, page.tickets, page.service]) list.replaceChildren();
  page.ticket.reset();
  page.signIn.reset();
  page.done.textContent = "";
  page.signInMessage.replaceChildren(...(notice ? [make("p", "message", notice)] : []));
  page.username.focus();
}

/** @param {string} expiresAt */
async function showDesk(expiresAt) {
  page.until.dateTime = expiresAt;
  page.until.textContent = new Date(expiresAt).toLocaleString(locale, { dateStyle: "medium", timeStyle: "short" });
  await showLists();
  page.loading.hidden = page.signedOut.hidden = true;
  page.signedIn.hidden = page.who.hidden = false;
}

async function showLists() {
  const [people, opened] = await Promise.all([customers(), tickets()]);
  choices = people.flatMap((customer) => customer.servicos.map((service) => ({ customer, service })));
  page.service.replaceChildren(
    ...choices.map(
      ({ customer, service }, i) => new Option(`${customer.nome_razaosocial}: ${service.nome}`, String(i)),
    ),
  );
  page.customers.replaceChildren(
    ...choices.map(({ customer, service: { nome, status, endereco_instalacao: place } }) =>
      make(
        "li",
        "",
        make("strong", "", customer.nome_razaosocial),
        make("span", "quiet", `${nome}, ${place.cidade}/${place.estado}`),
        make("span", /Habilitado/.test(status) ? "mark good" : "mark", status.replace(/^Serviço /, "")),
      ),
    ),
  );
  showTickets(opened);
}

/** @param {Ticket[]} opened */
function showTickets(opened) {
  page.noTickets.hidden = opened.length > 0;
  page.tickets.replaceChildren(
    ...[...opened]
      .reverse()
      .map((ticket) =>
        make(
          "li",
          "",
          make("strong", "", ticket.descricao_abertura),
          make("span", "quiet", ticket.nome_contato),
          make("span", "quiet", put(words.openedBy, ticket.protocolo, ticket.usuario_abertura)),
        ),
      ),
  );
}

/**
 * @param {HTMLElement} place
 * @param {unknown} error
 */
function showError(place, error) {
  const box = make("div", "message bad");
  if (error instanceof CallError) {
    const { problem, status, retryAfter } = error;
    const known = problem && errorWords[problem.code];
    box.append(make("strong", "", known ?? problem?.title ?? put(words.apiAnswered, status)));
    if (problem && !known) box.append(make("p", "", problem.detail));
    if (retryAfter) {
      const then = new Date(Date.now() + retryAfter * 1000);
      box.append(make("p", "", put(words.tryAgain, then.toLocaleTimeString(locale))));
    }
    if (problem) box.append(make("p", "quiet", put(words.request, problem.code, problem.request_id)));
  } else if (error instanceof Refusal) {
    box.append(make("strong", "", error.message));
  } else {
    // The browser gives the page no details of an answer that it may not read.
    box.append(make("strong", "", words.noAnswer));
    box.append(make("p", "", put(words.noAnswerWhy, BROKER, location.origin)));
    console.error(error);
  }
  place.replaceChildren(box);
}

/**
 * Runs an action that calls the broker, and shows its error, if any.
 * @param {HTMLElement} place where the error is shown
 * @param {HTMLElement} trigger
 * @param {() => Promise<void>} action
 */
async function attempt(place, trigger, action) {
  if (trigger.ariaBusy === "true") return;
  trigger.ariaBusy = "true";
  place.replaceChildren();
  try {
    await action();
  } catch (error) {
    const expired = error instanceof CallError && error.problem?.code === "caller_unauthenticated";
    if (expired) showSignIn(words.expired);
    else showError(place, error);
  } finally {
    trigger.ariaBusy = null;
  }
}

page.signIn.addEventListener("submit", (event) => {
  event.preventDefault();
  attempt(page.signInMessage, page.signIn, async () => {
    const password = page.password.value;
    // The password leaves the page as soon as it has been read.
    page.password.value = "";
    page.password.focus();
    const { expires_at } = await signIn(page.username.value, password);
    await showDesk(expires_at);
    page.signIn.reset();
    page.description.focus();
  });
});

page.signOut.addEventListener("click", () =>
  attempt(page.deskMessage, page.signOut, async () => {
    await signOut();
    showSignIn(words.signedOut);
  }),
);

page.reload.addEventListener("click", () => attempt(page.deskMessage, page.reload, showLists));

page.ticket.addEventListener("submit", (event) => {
  event.preventDefault();
  const { customer, service } = choices[Number(page.service.value)];
  page.done.textContent = "";
  attempt(page.deskMessage, page.ticket, async () => {
    const ticket = await openTicket(customer, service, page.description.value);
    page.done.textContent = put(words.isOpen, ticket.protocolo);
    page.description.value = "";
    showTickets(await tickets());
  });
});

async function start() {
  try {
    const { connections } = await session();
    const signedIn = connections.find(({ id }) => id === CONNECTION);
    if (signedIn) await showDesk(signedIn.expires_at);
    else showSignIn();
  } catch (error) {
    showSignIn();
    if (!(error instanceof CallError && error.status === 401)) showError(page.signInMessage, error);
  }
}

fill();
// The event also fires when the browser restores the page from its history: the person may have signed out since.
addEventListener("pageshow", start);
