// What the commands for a new project say and write, in Portuguese or English.

const en = {
  // wrangler.toml
  head: "Which front ends may call, who the callers are, and which APIs they reach. No secret stands here.",
  whole: "The Worker is deployed as it was tested.",
  copies: "Sealed copies of access tokens, near the callers. The first deployment creates the namespace.",
  keepers: "The only writer of each connection's tokens.",
  invocations: "Invocation logs would record the address of every call, with its path and query.",
  origins: 'The front ends whose pages may call: "https://app.example.com".',
  backend: "A server of yours, by a key. Secret: BACKEND_KEY.",
  connections: "Connections: which API, and what each caller may do there. `npx porteiro add` writes one.",
  rule: "Name what is needed, and nothing more.",
  deployHead: "Deploys what comes to main. It needs two secrets: CLOUDFLARE_API_TOKEN and CLOUDFLARE_ACCOUNT_ID.",
  devVars: "Secrets for this machine. Never deployed, and never to be committed.",
  example: "The secrets that a deployment needs. No value stands here: one that did would be used.",
  sealingKeys: 'Encrypts everything that is stored. Make one with `echo "k1:$(openssl rand -base64 32)"`.',
  adminKey: "The operators' key, 16 characters or more. Make one with `openssl rand -hex 32`, and keep it.",
  backendKey:
    "The key of your server that calls, 32 characters or more. Make one with `openssl rand -hex 32`, and keep it.",
  tokens: "Sealed copies of access tokens, near the callers.",
  keeper: "The only writer of each connection's tokens.",
  // init
  askName: "Name of the Worker",
  askOrigins: "Origins of the pages that may call, separated by commas (Enter: none yet)",
  askProviders: "APIs to connect, separated by commas (Enter: none yet; `npx porteiro providers` lists them)",
  notOrigin: "is not an origin, such as https://app.example.com",
  notName: "must be lower-case letters, digits and hyphens, 63 at most",
  wrote: "wrote",
  kept: "is there already, and was left as it is",
  lacks: "lacks",
  next: "Next:",
  // add
  added: "added",
  isThere: "is there already: name this one with --id",
  unknown: "There is no provider of this name. `npx porteiro providers` lists them.",
  nothing: "Name a provider: `npx porteiro add hubsoft`. `npx porteiro providers` lists them.",
  toWrite: "To be written in wrangler.toml:",
  wanted: "Secrets, for this machine in .dev.vars; `npx porteiro deploy` asks for them:",
  noConfig: "There is no wrangler.toml here: `npx porteiro init` makes one.",
  call: "A first call, while `npx porteiro dev` runs:",
};

/** @type {typeof en} */
const pt = {
  head: "Quais front-ends podem chamar, quem chama e quais APIs alcança. Nenhum secret fica aqui.",
  whole: "O Worker é publicado como foi testado.",
  copies: "Cópias cifradas dos tokens de acesso, perto de quem chama. A primeira publicação cria o namespace.",
  keepers: "Quem escreve, sozinho, os tokens de cada conexão.",
  invocations: "Os logs de invocação registrariam o endereço de cada chamada, com caminho e parâmetros.",
  origins: 'Os front-ends cujas páginas podem chamar: "https://app.example.com".',
  backend: "Um servidor seu, com uma chave. Secret: BACKEND_KEY.",
  connections: "Conexões: qual API e o que cada caller pode fazer nela. `npx porteiro add` escreve uma.",
  rule: "Indique o que é necessário, e nada além disso.",
  deployHead: "Publica o que chega à main. Precisa de dois secrets: CLOUDFLARE_API_TOKEN e CLOUDFLARE_ACCOUNT_ID.",
  devVars: "Secrets desta máquina. Nunca são publicados e não devem entrar no Git.",
  example: "Os secrets de que uma publicação precisa. Nenhum valor fica aqui: ele seria usado.",
  sealingKeys: 'Cifra tudo o que é guardado. Gere com `echo "k1:$(openssl rand -base64 32)"`.',
  adminKey: "A chave dos operadores, com 16 caracteres ou mais. Gere com `openssl rand -hex 32` e guarde.",
  backendKey: "A chave do seu servidor que chama, com 32 caracteres ou mais. Gere com `openssl rand -hex 32` e guarde.",
  tokens: "Cópias cifradas dos tokens de acesso, perto de quem chama.",
  keeper: "Quem escreve, sozinho, os tokens de cada conexão.",
  askName: "Nome do Worker",
  askOrigins: "Origens das páginas que podem chamar, separadas por vírgulas (Enter: nenhuma ainda)",
  askProviders: "APIs a conectar, separadas por vírgulas (Enter: nenhuma ainda; `npx porteiro providers` lista todas)",
  notOrigin: "não é uma origem como https://app.example.com",
  notName: "deve ter letras minúsculas, dígitos e hifens, no máximo 63",
  wrote: "escrito:",
  kept: "já existe e ficou como está",
  lacks: "não tem",
  next: "Agora:",
  added: "acrescentada:",
  isThere: "já existe: dê outro nome a esta com --id",
  unknown: "Não há provedor com este nome. `npx porteiro providers` lista todos.",
  nothing: "Indique um provedor: `npx porteiro add hubsoft`. `npx porteiro providers` lista todos.",
  toWrite: "A escrever em wrangler.toml:",
  wanted: "Secrets, nesta máquina em .dev.vars; `npx porteiro deploy` pergunta por eles:",
  noConfig: "Não há wrangler.toml aqui: `npx porteiro init` cria um.",
  call: "Uma primeira chamada, enquanto `npx porteiro dev` serve:",
};

/** @typedef {typeof en} Words */

export const languages = { en, pt };

/**
 * The words in the language of the system (POSIX.1-2017 section 8.2); English where that is not Portuguese.
 * @param {NodeJS.ProcessEnv} [env]
 */
export function systemWords({ LC_ALL, LC_MESSAGES, LANG } = process.env) {
  const tag = LC_ALL || LC_MESSAGES || LANG || Intl.DateTimeFormat().resolvedOptions().locale;
  return /^pt/i.test(tag) ? pt : en;
}
