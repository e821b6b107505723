// The pages' words: Portuguese where the browser prefers it, else English. `{}` is where a value or an element goes.

/** @import { FlowCode, ProblemCode } from "./porteiro.d.ts" */

const en = {
  title: "My appointments",
  loading: "One moment…",
  signedInUntil: "Signed in until {} at the latest",
  signOut: "Sign out",
  signIn: "Sign in",
  atAgenda: "At Agenda, where your account is. This page sees no password.",
  signInAtAgenda: "Sign in with Agenda",
  inWindow: "In a window of its own",
  noSignInPage: "For an API without a sign-in page there is {}.",
  passwordExample: "a last resort",
  appointments: "Appointments",
  noAppointments: "There are none.",
  account: "Your account at Agenda",
  isConnected: "Connected: this page may see your appointments.",
  isNotConnected: "Not connected: this page sees none of your appointments.",
  connect: "Connect",
  disconnect: "Disconnect",
  signOutEverywhere: "Sign out here and at Agenda",
  failed: "That did not work ({})",
  deskTitle: "Service desk",
  whichAccount: "With the account that you have at HubSoft.",
  lastResort:
    "A last resort: this page sees the password. Where the provider has a sign-in page of its own, do as {} does.",
  otherExample: "the other example",
  email: "E-mail",
  password: "Password",
  sandboxAccounts: "Accounts of the sandbox",
  newTicket: "New ticket",
  customer: "Customer",
  about: "What is it about?",
  openTicket: "Open the ticket",
  tickets: "Tickets",
  noTickets: "Nobody has opened one yet.",
  customers: "Customers",
  reload: "Load again",
  fictitious: "All people, companies and accounts on this page are fictitious.",
  openedBy: "{}, opened by {}",
  isOpen: "Ticket {} is open.",
  expired: "Your session has expired. Sign in again.",
  signedOut: "You are signed out.",
  tryAgain: "Try again after {}.",
  request: "{}, request {}",
  apiAnswered: "The API answered {}",
  noAnswer: "The broker did not answer",
  noAnswerWhy: "Is it running at {}, and is {} one of its ALLOWED_ORIGINS?",
};

/** @type {typeof en} */
const pt = {
  title: "Meus compromissos",
  loading: "Um momento…",
  signedInUntil: "Sessão válida, no máximo, até {}",
  signOut: "Sair",
  signIn: "Entrar",
  atAgenda: "Na Agenda, onde está a sua conta. Esta página não vê nenhuma senha.",
  signInAtAgenda: "Entrar com a Agenda",
  inWindow: "Em uma janela separada",
  noSignInPage: "Para uma API que não tem página de login, há {}.",
  passwordExample: "um último recurso",
  appointments: "Compromissos",
  noAppointments: "Não há nenhum.",
  account: "Sua conta na Agenda",
  isConnected: "Conectada: esta página pode ver os seus compromissos.",
  isNotConnected: "Não conectada: esta página não vê nenhum dos seus compromissos.",
  connect: "Conectar",
  disconnect: "Desconectar",
  signOutEverywhere: "Sair daqui e da Agenda",
  failed: "Não deu certo ({})",
  deskTitle: "Central de atendimento",
  whichAccount: "Use a sua conta do HubSoft.",
  lastResort:
    "Um último recurso: esta página vê a senha. Se o provedor tiver uma página de login própria, faça como {}.",
  otherExample: "o outro exemplo",
  email: "E-mail",
  password: "Senha",
  sandboxAccounts: "Contas do ambiente de testes",
  newTicket: "Novo atendimento",
  customer: "Cliente",
  about: "Do que se trata?",
  openTicket: "Abrir atendimento",
  tickets: "Atendimentos",
  noTickets: "Nenhum atendimento foi aberto ainda.",
  customers: "Clientes",
  reload: "Atualizar",
  fictitious: "Todas as pessoas, empresas e contas desta página são fictícias.",
  openedBy: "{}, aberto por {}",
  isOpen: "Atendimento {} aberto.",
  expired: "Sua sessão expirou. Entre novamente.",
  signedOut: "Você saiu da sua conta.",
  tryAgain: "Tente novamente após {}.",
  request: "{}, requisição {}",
  apiAnswered: "A API respondeu com o status {}",
  noAnswer: "O broker não respondeu",
  noAnswerWhy: "Ele está em execução em {}, e {} está em ALLOWED_ORIGINS?",
};

/** What people are told of an error, by its code. Of any other, the broker's own title tells, in the same language. */
const errors = {
  en: {
    login_rejected: "The e-mail or the password is wrong",
    rate_limited: "Too many attempts in a short time",
    quota_exhausted: "Too many requests in a short time",
    not_connected: "Your account is not connected",
    operation_not_allowed: "This page may not do that",
    connection_unavailable: "The provider does not answer right now",
    token_endpoint_timeout: "The provider does not answer right now",
    token_endpoint_unreachable: "The provider does not answer right now",
    upstream_timeout: "The provider does not answer right now",
    upstream_unreachable: "The provider does not answer right now",
  },
  pt: {
    login_rejected: "E-mail ou senha incorretos",
    rate_limited: "Muitas tentativas em pouco tempo",
    quota_exhausted: "Muitas requisições em pouco tempo",
    not_connected: "Sua conta não está conectada",
    operation_not_allowed: "Esta página não tem permissão para isso",
    connection_unavailable: "O provedor não está respondendo no momento",
    token_endpoint_timeout: "O provedor não está respondendo no momento",
    token_endpoint_unreachable: "O provedor não está respondendo no momento",
    upstream_timeout: "O provedor não está respondendo no momento",
    upstream_unreachable: "O provedor não está respondendo no momento",
  },
};

/** Why somebody could not sign in or connect an account, by the code that the page gets. */
const outcomes = {
  en: {
    access_denied: "You did not allow it",
    flow_expired: "That took too long, or was done before. Try again",
    flow_mismatch: "That began in another browser. Try again",
    issuer_mismatch: "The answer came from another provider",
    misconfigured: "This is not set up right. Tell whoever runs this page",
  },
  pt: {
    access_denied: "Você não permitiu o acesso",
    flow_expired: "Demorou demais ou já tinha sido feito. Tente novamente",
    flow_mismatch: "Isso começou em outro navegador. Tente novamente",
    issuer_mismatch: "A resposta veio de outro provedor",
    misconfigured: "Isso não está bem configurado. Avise quem mantém esta página",
  },
};

/** The browser's first language of the two, as the broker reads it from Accept-Language; for dates and times, too. */
export const locale = navigator.languages.find((tag) => /^(en|pt)(-|$)/i.test(tag)) ?? "en";
const language = /^pt/i.test(locale) ? "pt" : "en";

export const tables = { en, pt };
export const outcomeTables = outcomes;
export const words = tables[language];
/** @type {Partial<Record<ProblemCode, string>>} */
export const errorWords = errors[language];
/** @type {Partial<Record<FlowCode | ProblemCode, string>>} */
export const outcomeWords = outcomes[language];

/**
 * The text, with the values in it.
 * @param {string} text
 * @param {...unknown} values
 */
export const put = (text, ...values) =>
  values.reduce((/** @type {string} */ all, value) => all.replace("{}", () => String(value)), text);

/** Writes the words into the elements that name one in `data-word`; their child elements stay. */
export function fill() {
  document.documentElement.lang = language === "pt" ? "pt-BR" : "en";
  for (const node of /** @type {NodeListOf<HTMLElement>} */ (document.querySelectorAll("[data-word]"))) {
    const [first, ...parts] = words[/** @type {keyof typeof en} */ (node.dataset.word)].split("{}");
    const children = [...node.children];
    node.replaceChildren(first, ...parts.flatMap((part, i) => [children[i], part]));
  }
}
