// The page's words: Portuguese where the browser prefers it, else English. `{}` is where a value or an element goes.

/** @import { ProblemCode } from "./porteiro.d.ts" */

const en = {
  title: "Service desk",
  loading: "One moment…",
  signedInUntil: "Signed in until {} at the latest",
  signOut: "Sign out",
  signIn: "Sign in",
  whichAccount: "With the account that you have at HubSoft.",
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
  title: "Central de atendimento",
  loading: "Um momento…",
  signedInUntil: "Sessão válida, no máximo, até {}",
  signOut: "Sair",
  signIn: "Entrar",
  whichAccount: "Use a sua conta do HubSoft.",
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
    operation_not_allowed: "This page may not do that",
    connection_unavailable: "HubSoft does not answer right now",
    upstream_timeout: "HubSoft does not answer right now",
    upstream_unreachable: "HubSoft does not answer right now",
  },
  pt: {
    login_rejected: "E-mail ou senha incorretos",
    rate_limited: "Muitas tentativas em pouco tempo",
    operation_not_allowed: "Esta página não tem permissão para isso",
    connection_unavailable: "O HubSoft não está respondendo no momento",
    upstream_timeout: "O HubSoft não está respondendo no momento",
    upstream_unreachable: "O HubSoft não está respondendo no momento",
  },
};

/** The browser's first language of the two, as the broker reads it from Accept-Language; for dates and times, too. */
export const locale = navigator.languages.find((tag) => /^(en|pt)(-|$)/i.test(tag)) ?? "en";
const language = /^pt/i.test(locale) ? "pt" : "en";

export const tables = { en, pt };
export const words = tables[language];
/** @type {Partial<Record<ProblemCode, string>>} */
export const errorWords = errors[language];

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
