// The last resort: a front end whose people type their password of an API into the page, for an API that offers nothing
// but the password grant. Where the provider has a sign-in page of its own, do as app.js does.

import { porteiro } from "./broker.js";
import { attempt, element, make, Refusal, showError } from "./page.js";
import { fill, locale, put, words } from "./words.js";

/** @import { Session } from "./porteiro.d.ts" */

const CONNECTION = "hubsoft-people";

// --- This API: the parts of HubSoft's answers that the page shows -------------

const API = `/api/${CONNECTION}/api/v1/integracao`;

/** @typedef {{ id_cliente_servico: number, nome: string, status: string, endereco_instalacao: { cidade: string, estado: string } }} Service */
/** @typedef {{ nome_razaosocial: string, telefone_primario: string, servicos: Service[] }} Customer */
/** @typedef {{ protocolo: string, nome_contato: string, descricao_abertura: string, usuario_abertura: string }} Ticket */

/**
 * HubSoft reports a refused operation in its own words, with the status 200.
 * @param {string} path the path at the API
 * @param {RequestInit} [init]
 */
async function ask(path, init) {
  const answer = await (await porteiro.fetch(API + path, init)).json();
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
  const body = JSON.stringify({
    id_cliente_servico: service.id_cliente_servico,
    nome: customer.nome_razaosocial,
    telefone: customer.telefone_primario,
    descricao: description,
  });
  const headers = { "Content-Type": "application/json" };
  return (await ask("/atendimento", { method: "POST", headers, body })).atendimento;
}

// --- The page -----------------------------------------------------------------

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

/** @param {Session | null} session */
async function showSession(session) {
  const signedIn = session?.connections.find(({ id }) => id === CONNECTION);
  if (signedIn) await showDesk(signedIn.expires_at);
  else showSignIn();
}

/** @type {Parameters<typeof attempt>[3]} */
const ENDED = { caller_unauthenticated: () => showSignIn(words.expired) };

page.signIn.addEventListener("submit", (event) => {
  event.preventDefault();
  attempt(
    page.signInMessage,
    page.signIn,
    async () => {
      const password = page.password.value;
      // The password leaves the page as soon as it has been read.
      page.password.value = "";
      page.password.focus();
      await showSession(await porteiro.signIn(CONNECTION, { username: page.username.value, password }));
      page.signIn.reset();
      page.description.focus();
    },
    ENDED,
  );
});

page.signOut.addEventListener("click", () =>
  attempt(
    page.deskMessage,
    page.signOut,
    async () => {
      await porteiro.signOut();
      showSignIn(words.signedOut);
    },
    ENDED,
  ),
);

page.reload.addEventListener("click", () => attempt(page.deskMessage, page.reload, showLists, ENDED));

page.ticket.addEventListener("submit", (event) => {
  event.preventDefault();
  const { customer, service } = choices[Number(page.service.value)];
  page.done.textContent = "";
  attempt(
    page.deskMessage,
    page.ticket,
    async () => {
      const ticket = await openTicket(customer, service, page.description.value);
      page.done.textContent = put(words.isOpen, ticket.protocolo);
      page.description.value = "";
      showTickets(await tickets());
    },
    ENDED,
  );
});

async function start() {
  try {
    await showSession(await porteiro.session());
  } catch (error) {
    showSignIn();
    showError(page.signInMessage, error);
  }
}

fill();
// The event also fires when the browser restores the page from its history: the person may have signed out since.
addEventListener("pageshow", start);
