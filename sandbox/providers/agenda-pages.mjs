// The agenda's pages, in Portuguese or English: a person chooses an account and allows or denies what a client asks
// for, or signs out.

/** @import { OutgoingHttpHeaders } from "node:http" */
/** @import { AgendaPerson, Answer } from "../types.js" */

const en = {
  title: "Agenda",
  asks: "{} asks for access",
  account: "Your account",
  wants: "It would like to",
  openid: "know who you are",
  profile: "see your name",
  email: "see your e-mail address",
  appointments: "see your appointments",
  offline_access: "go on while you are away, until you disconnect it",
  allow: "Allow",
  deny: "Deny",
  leaveTo: "After that you are sent to {}.",
  signOutTitle: "Sign out of Agenda?",
  signedInAs: "You are signed in as {}.",
  nobody: "Nobody is signed in here.",
  signOut: "Sign out",
  signedOut: "You are signed out of Agenda.",
  wrong: "This request cannot be carried out",
  fictitious: "The sandbox's own provider: all people and appointments are fictitious, and no password is asked for.",
};

/** @type {typeof en} */
const pt = {
  title: "Agenda",
  asks: "{} pede acesso",
  account: "Sua conta",
  wants: "O que será permitido",
  openid: "saber quem você é",
  profile: "ver seu nome",
  email: "ver seu e-mail",
  appointments: "ver seus compromissos",
  offline_access: "continuar enquanto você estiver ausente, até você desconectar",
  allow: "Permitir",
  deny: "Negar",
  leaveTo: "Em seguida, você será levado a {}.",
  signOutTitle: "Sair da Agenda?",
  signedInAs: "Você entrou como {}.",
  nobody: "Ninguém entrou aqui.",
  signOut: "Sair",
  signedOut: "Você saiu da Agenda.",
  wrong: "Este pedido não pode ser atendido",
  fictitious: "O provedor do próprio sandbox: todas as pessoas e compromissos são fictícios, e nenhuma senha é pedida.",
};

/**
 * The words in the language of the two that Accept-Language prefers (RFC 9110 section 12.5.4), English where it prefers
 * neither.
 * @param {string} [accepted]
 */
export function wordsFor(accepted = "") {
  const ranges = accepted.split(",").map((item) => {
    const [tag, ...parameters] = item.split(";").map((part) => part.trim());
    const weight = parameters.find((parameter) => /^q=/i.test(parameter))?.slice(2);
    return { tag, weight: weight === undefined ? 1 : Number(weight) };
  });
  const [first] = ranges
    .filter(({ tag, weight }) => /^(?:pt|en)(?:-|$)/i.test(tag) && weight > 0)
    .sort((a, b) => b.weight - a.weight);
  return first && /^pt/i.test(first.tag) ? { ...pt, lang: "pt-BR" } : { ...en, lang: "en" };
}

/** @typedef {ReturnType<typeof wordsFor>} Words */

/** @type {Record<string, string>} */
const ESCAPED = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;" };

/** @param {string} text */
const escaped = (text) => text.replace(/[&<>"']/g, (character) => ESCAPED[character]);

export const CSS = `:root { color-scheme: light dark; --line: #d6d3e8; --muted: #625d7a; --accent: #4f46a5; --on-accent: #fff; --ground: #f6f5fb; --surface: #fff; --text: #1e1b33; }
@media (prefers-color-scheme: dark) { :root { --line: #37324f; --muted: #a9a3c4; --accent: #b3abff; --on-accent: #17132b; --ground: #13111d; --surface: #1c1929; --text: #ebe9f5; } }
* { box-sizing: border-box; }
body { display: grid; place-items: center; min-height: 100dvh; margin: 0; padding: 16px; background: var(--ground); color: var(--text); font: 16px/1.5 system-ui, sans-serif; }
main { width: 100%; max-width: 420px; padding: 24px; border: 1px solid var(--line); border-radius: 14px; background: var(--surface); overflow-wrap: anywhere; }
h1 { margin: 0; font-size: 1.25rem; line-height: 1.3; }
.brand { margin: 0 0 14px; color: var(--accent); font-weight: 700; }
fieldset { margin: 16px 0 0; padding: 0; border: 0; }
legend { padding: 0; font-weight: 600; }
label { display: flex; gap: 10px; align-items: center; margin-top: 8px; padding: 10px 12px; border: 1px solid var(--line); border-radius: 10px; cursor: pointer; }
label:has(:checked) { border-color: var(--accent); }
label span { min-width: 0; }
small { display: block; color: var(--muted); }
h2 { margin: 18px 0 0; font-size: 1rem; }
ul { margin: 4px 0 0; padding-left: 20px; }
.buttons { display: flex; flex-wrap: wrap; gap: 10px; margin-top: 20px; }
button { flex: 1; min-height: 44px; padding: 8px 16px; border: 1px solid var(--accent); border-radius: 10px; background: none; color: inherit; font: inherit; font-weight: 600; cursor: pointer; }
button.primary { background: var(--accent); color: var(--on-accent); }
p { margin: 12px 0 0; }
.quiet { color: var(--muted); font-size: 0.85rem; }
:focus-visible { outline: 3px solid var(--accent); outline-offset: 2px; }
`;

/**
 * A page as an answer. The policy has no `form-action`: browsers apply it to every redirect after the form, and where
 * the client sends the person from its redirect address is not known here.
 * @param {Words} words
 * @param {string} body
 * @param {{ status?: number, headers?: OutgoingHttpHeaders }} [settings]
 * @returns {Answer}
 */
function page(words, body, { status = 200, headers } = {}) {
  return {
    status,
    headers: {
      "Content-Type": "text/html; charset=utf-8",
      "Content-Language": words.lang,
      "Content-Security-Policy":
        "default-src 'none'; style-src 'self'; img-src data:; base-uri 'none'; frame-ancestors 'none'",
      "Cache-Control": "no-store",
      "Referrer-Policy": "same-origin",
      "X-Content-Type-Options": "nosniff",
      Vary: "Accept-Language",
      ...headers,
    },
    body: `<!doctype html>
<html lang="${words.lang}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${words.title}</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="/agenda.css">
</head>
<body>
<main>
<p class="brand">${words.title}</p>
${body}
<p class="quiet">${words.fictitious}</p>
</main>
</body>
</html>
`,
  };
}

/**
 * Where a person chooses an account, and allows or denies.
 * @param {Words} words
 * @param {object} asked
 * @param {string} asked.id of the request that waits for the answer
 * @param {string} asked.client its name
 * @param {string[]} asked.scope
 * @param {string} asked.redirectUri
 * @param {AgendaPerson[]} asked.people
 * @param {string} [asked.chosen] who is chosen already
 * @param {OutgoingHttpHeaders} headers
 */
export function consentPage(words, { id, client, scope, redirectUri, people, chosen }, headers) {
  const accounts = people.map(
    ({ sub, name, email }) =>
      `<label><input type="radio" name="sub" value="${escaped(sub)}" required${sub === chosen ? " checked" : ""}><span>${escaped(name)}<small>${escaped(email)}</small></span></label>`,
  );
  /** @type {Record<string, string>} */
  const meanings = words;
  const wants = scope.map((one) => `<li>${escaped(meanings[one] ?? one)}</li>`);
  const body = `<h1>${words.asks.replace("{}", escaped(client))}</h1>
<form method="post" action="/authorize">
<input type="hidden" name="request" value="${escaped(id)}">
<fieldset><legend>${words.account}</legend>
${accounts.join("\n")}
</fieldset>
<h2>${words.wants}</h2>
<ul>${wants.join("")}</ul>
<div class="buttons">
<button class="primary" name="answer" value="allow">${words.allow}</button>
<button name="answer" value="deny" formnovalidate>${words.deny}</button>
</div>
</form>
<p class="quiet">${words.leaveTo.replace("{}", escaped(new URL(redirectUri).host))}</p>`;
  return page(words, body, { headers });
}

/**
 * Where a person signs out of the agenda.
 * @param {Words} words
 * @param {{ id: string, person?: AgendaPerson }} asked
 * @param {OutgoingHttpHeaders} headers
 */
export function logoutPage(words, { id, person }, headers) {
  const who = person ? words.signedInAs.replace("{}", escaped(person.name)) : words.nobody;
  const body = `<h1>${words.signOutTitle}</h1>
<p>${who}</p>
<form method="post" action="/logout/confirm">
<input type="hidden" name="request" value="${escaped(id)}">
<div class="buttons"><button class="primary">${words.signOut}</button></div>
</form>`;
  return page(words, body, { headers });
}

/** @param {Words} words */
export const signedOutPage = (words) => page(words, `<h1>${words.signedOut}</h1>`);

/** A refusal that no client may be told of. @param {Words} words @param {string} reason */
export const refusalPage = (words, reason, status = 400) =>
  page(words, `<h1>${words.wrong}</h1>\n<p lang="en"><code>${escaped(reason)}</code></p>`, { status });
