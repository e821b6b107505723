// HubSoft: a password grant whose request is JSON; every customer of HubSoft
// has a server of their own.

/** @import { Credentials, Hubsoft, HubsoftSettings } from "../types.js" */

/**
 * @typedef {{ id_cliente_servico: number }} Service
 * @typedef {{ id_cliente: number, codigo_cliente: number, nome_razaosocial: string, servicos: Service[] }} Client
 */

import { loadData, OAuthError, startProvider } from "../provider.mjs";

/** @type {{ clientes: Client[] }} */
const data = loadData(new URL("./hubsoft.json", import.meta.url));

/** @param {Record<string, unknown>} members */
const success = (members) => ({
  body: { status: "success", msg: "Dados consultados com sucesso", ...members },
});

/** @param {number} status @param {string} msg */
const refused = (status, msg) => ({ status, body: { status: "error", msg } });

/** @type {Record<string, (client: Client, term: string) => boolean>} */
const SEARCHES = {
  nome_razaosocial: (client, term) => client.nome_razaosocial.toLowerCase().includes(term.toLowerCase()),
  codigo_cliente: (client, term) => String(client.codigo_cliente) === term,
};

/** @param {URLSearchParams} query */
function clients(query) {
  const search = query.get("busca");
  const term = query.get("termo_busca") ?? "";
  if (search !== null && (!Object.hasOwn(SEARCHES, search) || !term)) {
    return refused(400, "Informe busca e termo_busca válidos");
  }
  const limit = Number(query.get("limit") ?? 100);
  if (!Number.isInteger(limit) || limit < 1 || limit > 100) return refused(400, "limit deve estar entre 1 e 100");
  const found = search === null ? data.clientes : data.clientes.filter((c) => SEARCHES[search](c, term));
  return success({ clientes: found.slice(0, limit) });
}

/** People with an account of their own, beside the one of the integration. */
const PEOPLE = [
  { username: "ana.moura@provedor.example", password: "porta-azul-27" },
  { username: "bruno.tavares@provedor.example", password: "janela-verde-43" },
];

/**
 * Whether one of the candidates has what is given in these fields.
 * @param {Record<string, unknown>[]} candidates
 * @param {string[]} fields
 * @param {Record<string, unknown>} given
 */
const known = (candidates, fields, given) =>
  candidates.some((candidate) => fields.every((field) => candidate[field] === given[field]));

/** @param {HubsoftSettings} [settings] @returns {Promise<Hubsoft>} */
export async function startHubsoft({ people = PEOPLE, peopleClient: given, ...settings } = {}) {
  const peopleClient = { client_id: "13", client_secret: "sandbox-hubsoft-people-client-secret", ...given };
  /** @param {Record<string, string>} parameters @param {Credentials} credentials */
  const checkClient = (parameters, credentials) => {
    if (!known([credentials, peopleClient], ["client_id", "client_secret"], parameters)) {
      throw new OAuthError("invalid_client", "Client authentication failed.", 401);
    }
  };
  /** @type {object[]} */
  const tickets = [];
  const hubsoft = await startProvider(
    {
      name: "hubsoft",
      prefix: "hs",
      credentials: {
        client_id: "12",
        client_secret: "sandbox-hubsoft-client-secret",
        username: "integracao@provedor.example",
        // Characters that a JSON body must escape.
        password: 'senha "de" teste \\ ção',
      },
      options: { expiresIn: 2592000 },
      tokenEndpoint: {
        path: "/oauth/token",
        encoding: "json",
        grants: {
          password: {
            parameters: ["client_id", "client_secret", "username", "password"],
            grant(parameters, { credentials }) {
              checkClient(parameters, credentials);
              if (!known([credentials, ...people], ["username", "password"], parameters)) {
                throw new OAuthError("invalid_grant", "The user credentials were incorrect.");
              }
              const { username, client_id } = parameters;
              return { account: { username, client_id } };
            },
          },
          refresh_token: {
            parameters: ["client_id", "client_secret", "refresh_token"],
            grant(parameters, { credentials, store }) {
              checkClient(parameters, credentials);
              const { refresh_token: presented, client_id } = parameters;
              // A refresh token is bound to its client (RFC 6749, section 6).
              const own = store.accountOf(presented)?.client_id === client_id;
              if (!own || !store.present(presented)) {
                throw new OAuthError("invalid_grant", "The refresh token is invalid.");
              }
              return { presented };
            },
          },
        },
      },
      errors: {
        unauthorized: { status: "error", msg: "Não autorizado" },
        notFound: { status: "error", msg: "Registro não encontrado" },
        methodNotAllowed: { status: "error", msg: "Método não permitido" },
        tooLarge: { status: "error", msg: "Requisição muito grande" },
        badBody: { status: "error", msg: "O corpo deve ser um objeto JSON" },
      },
      routes: {
        "GET /api/v1/integracao/cliente": ({ query }) => clients(query),
        "GET /api/v1/integracao/cliente/:id/servicos": ({ params }) => {
          const client = data.clientes.find((candidate) => String(candidate.id_cliente) === params.id);
          return client && success({ servicos: client.servicos });
        },
        "GET /api/v1/integracao/atendimento": () => success({ atendimentos: tickets }),
        "POST /api/v1/integracao/atendimento": ({ json, account }) => {
          const missing = ["descricao", "nome", "telefone"].filter(
            (field) => typeof json[field] !== "string" || json[field] === "",
          );
          if (missing.length) return refused(400, `Campos obrigatórios: ${missing.join(", ")}`);
          const service = data.clientes
            .flatMap((client) => client.servicos)
            .find((candidate) => candidate.id_cliente_servico === json.id_cliente_servico);
          if (!service) return refused(400, "Serviço do cliente não encontrado");
          const ticket = {
            id_atendimento: 91001 + tickets.length,
            protocolo: String(20261101000001 + tickets.length),
            id_cliente_servico: service.id_cliente_servico,
            descricao_abertura: json.descricao,
            nome_contato: json.nome,
            telefone_contato: json.telefone,
            // The integration's user name is one of its credentials.
            usuario_abertura: account && known(people, ["username"], account) ? account.username : "Integração",
            status: "Pendente",
            data_cadastro: new Date().toISOString().slice(0, 19).replace("T", " "),
          };
          tickets.push(ticket);
          return {
            body: { status: "success", msg: "Atendimento criado com sucesso", atendimento: ticket },
          };
        },
      },
    },
    settings,
  );
  return Object.assign(hubsoft, { people, peopleClient });
}
