// What a page can say to a person for each code: plain, without the words of programs.

/** @import { FlowCode, ProblemCode } from "./answers.d.ts" */

/** @typedef {ProblemCode | FlowCode} Code */

/** For what has no code: no network, an answer of the API's own, a code of a newer broker. */
const UNKNOWN = {
  en: "That did not work. Try again in a moment.",
  pt: "Não deu certo. Tente de novo daqui a pouco.",
};
const AGAIN = {
  en: "That did not work just now. Try again in a moment.",
  pt: "Não deu certo agora. Tente de novo daqui a pouco.",
};
const OURS = {
  en: "Something is wrong on our side. If it continues, tell whoever looks after this page.",
  pt: "Há um problema do nosso lado. Se continuar, avise quem cuida desta página.",
};
/** What was begun may have been done. */
const UNCERTAIN = {
  en: "There was no answer. See whether it worked before you try again.",
  pt: "Não houve resposta. Veja se deu certo antes de tentar de novo.",
};
const NOT_ALLOWED = {
  en: "You do not have permission to do this.",
  pt: "Você não tem permissão para fazer isto.",
};
const SIGN_IN = { en: "Sign in to continue.", pt: "Entre para continuar." };
const BEGIN_AGAIN = {
  en: "That took too long, or was used before. Start again.",
  pt: "Demorou demais ou já foi usado. Comece de novo.",
};

/** @type {Record<Code, { en: string, pt: string }>} */
const SENTENCES = {
  access_denied: { en: "Access was not granted.", pt: "O acesso não foi permitido." },
  bad_path: OURS,
  bad_request: OURS,
  body_too_large: { en: "That is too large to be sent.", pt: "Isto é grande demais para ser enviado." },
  caller_unauthenticated: SIGN_IN,
  connection_configured: OURS,
  connection_unavailable: AGAIN,
  credentials_rejected: OURS,
  cross_site_request: OURS,
  flow_expired: BEGIN_AGAIN,
  flow_mismatch: {
    en: "This was started in another browser. Start again in this one.",
    pt: "Isto começou em outro navegador. Comece de novo neste.",
  },
  insecure_transport: OURS,
  internal: OURS,
  issuer_mismatch: OURS,
  login_rejected: { en: "The user name or the password is wrong.", pt: "Usuário ou senha incorretos." },
  method_not_allowed: OURS,
  misconfigured: OURS,
  not_connected: { en: "Connect your account to continue.", pt: "Conecte a sua conta para continuar." },
  not_found: OURS,
  operation_not_allowed: NOT_ALLOWED,
  origin_not_allowed: OURS,
  quota_exhausted: {
    en: "Too many people are asking for this at once. Try again in a moment.",
    pt: "Há pedidos demais ao mesmo tempo. Tente de novo daqui a pouco.",
  },
  rate_limited: {
    en: "Too many attempts. Wait a little and try again.",
    pt: "Foram tentativas demais. Espere um pouco e tente de novo.",
  },
  request_timeout: {
    en: "Sending it took too long. Is your connection slow? Try again.",
    pt: "O envio demorou demais. A sua internet está lenta? Tente de novo.",
  },
  token_endpoint_timeout: AGAIN,
  token_endpoint_unreachable: AGAIN,
  token_response_invalid: OURS,
  unknown_connection: OURS,
  upstream_limited: AGAIN,
  upstream_redirect: OURS,
  upstream_timeout: UNCERTAIN,
  upstream_unauthorized: OURS,
  upstream_unreachable: UNCERTAIN,
  webhook_rejected: OURS,
};

/**
 * A sentence for the person before the page, in Portuguese or English.
 * @param {string | null | undefined} code of an error or an outcome; one that is not known, or none, has a sentence, too
 * @param {string} [language] a language tag (RFC 5646): the browser's own if absent; English where it is not Portuguese
 */
export function sentence(code, language = globalThis.navigator?.language ?? "en") {
  const known = Object.hasOwn(SENTENCES, code ?? "") ? SENTENCES[/** @type {Code} */ (code)] : UNKNOWN;
  return known[/^pt\b/i.test(language) ? "pt" : "en"];
}
