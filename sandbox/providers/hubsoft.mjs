// HubSoft: a password grant with a JSON request; every customer of HubSoft has a server of their own.

/** @import { Credentials, Hubsoft, HubsoftSettings } from "../types.js" */

/**
 * @typedef {{ id_cliente_servico: number }} Service
 * @typedef {{ id_cliente: number, codigo_cliente: number, nome_razaosocial: string, servicos: Service[] }} Client
 * @typedef {{ codigo_cliente: number, cpf_cnpj: string, data_pagamento: string | null }} Invoice
 */

import { loadData, OAuthError, startProvider } from "../provider.mjs";

/** @type {{ clientes: Client[], faturas: Invoice[] }} */
const data = loadData(new URL("./hubsoft.json", import.meta.url));

/** @param {Record<string, unknown>} members */
const success = (members) => ({
  body: { status: "success", msg: "Dados consultados com sucesso", ...members },
});

/** HubSoft answers a refused operation with the status 200, too. @param {string} msg */
const refused = (msg) => ({ body: { status: "error", msg, errors: [] } });

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
    return refused("Informe busca e termo_busca válidos");
  }
  const limit = Number(query.get("limit") ?? 100);
  if (!Number.isInteger(limit) || limit < 1 || limit > 100) return refused("limit deve estar entre 1 e 100");
  const found = search === null ? data.clientes : data.clientes.filter((c) => SEARCHES[search](c, term));
  return success({ clientes: found.slice(0, limit) });
}

/** All customers, in pages that count from 0. @param {URLSearchParams} query */
function allClients(query) {
  const [current, perPage] = ["pagina", "itens_por_pagina"].map((name) => Number(query.get(name) ?? Number.NaN));
  if (!Number.isInteger(current) || current < 0) return refused("Informe pagina, a partir de 0");
  if (!Number.isInteger(perPage) || perPage < 1 || perPage > 500) {
    return refused("itens_por_pagina deve estar entre 1 e 500");
  }
  const total = data.clientes.length;
  return success({
    clientes: data.clientes.slice(current * perPage, (current + 1) * perPage),
    paginacao: {
      primeira_pagina: 0,
      ultima_pagina: Math.max(Math.ceil(total / perPage) - 1, 0),
      pagina_atual: current,
      total_registros: total,
    },
  });
}

/** @type {Record<string, (invoice: Invoice, term: string) => boolean>} */
const INVOICE_SEARCHES = {
  cpf_cnpj: (invoice, term) => invoice.cpf_cnpj === term,
  codigo_cliente: (invoice, term) => String(invoice.codigo_cliente) === term,
};

/** Anybody's invoices, the first due first; without those that are paid, unless asked for. @param {URLSearchParams} query */
function invoices(query) {
  const search = query.get("busca") ?? "";
  const term = query.get("termo_busca");
  if (!Object.hasOwn(INVOICE_SEARCHES, search) || !term) return refused("Informe busca e termo_busca válidos");
  const limit = Number(query.get("limit") ?? 20);
  if (!Number.isInteger(limit) || limit < 1 || limit > 50) return refused("limit deve estar entre 1 e 50");
  const pending = query.get("apenas_pendente") ?? "sim";
  if (!["sim", "nao"].includes(pending)) return refused("apenas_pendente deve ser sim ou nao");
  const found = data.faturas.filter(
    (one) => INVOICE_SEARCHES[search](one, term) && (pending === "nao" || one.data_pagamento === null),
  );
  return success({ faturas: found.slice(0, limit).map(({ codigo_cliente, cpf_cnpj, ...invoice }) => invoice) });
}

/** @param {unknown} id */
const serviceOf = (id) =>
  data.clientes.flatMap((client) => client.servicos).find((service) => service.id_cliente_servico === id);

/** Whose server this is. */
const COMPANY = {
  id_empresa: 1,
  nome_fantasia: "Provedor Exemplo",
  razao_social: "Provedor Exemplo Ltda.",
  cnpj: "00.000.000/0001-91",
};

/** The people with accounts of their own, besides the integration's account. */
const PEOPLE = [
  { username: "ana.moura@provedor.example", password: "porta-azul-27" },
  { username: "bruno.tavares@provedor.example", password: "janela-verde-43" },
];

/**
 * Whether one of the candidates has the given values in these fields.
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
  /** @type {number[]} */
  const disconnected = [];
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
      laravel: true,
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
              // A refresh token is bound to its client (RFC 6749 §6).
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
        "GET /api/v1/integracao/cliente/todos": ({ query }) => allClients(query),
        "GET /api/v1/integracao/cliente/financeiro": ({ query }) => invoices(query),
        // A GET with a side effect, as at HubSoft: it disconnects the customer.
        "GET /api/v1/integracao/cliente/solicitar_desconexao/:id": ({ params }) => {
          const service = serviceOf(Number(params.id));
          if (!service) return refused("A desconexão não foi bem sucedida");
          disconnected.push(service.id_cliente_servico);
          return { body: { status: "success", msg: "A desconexão foi bem sucedida" } };
        },
        "GET /api/v1/integracao/cliente/:id/servicos": ({ params }) => {
          const client = data.clientes.find((candidate) => String(candidate.id_cliente) === params.id);
          return client && success({ servicos: client.servicos });
        },
        "GET /api/v1/integracao/configuracao/empresa": () => success({ empresas: [COMPANY] }),
        "GET /api/v1/integracao/atendimento": () => success({ atendimentos: tickets }),
        "POST /api/v1/integracao/atendimento": ({ json, account }) => {
          const missing = ["descricao", "nome", "telefone"].filter(
            (field) => typeof json[field] !== "string" || json[field] === "",
          );
          if (missing.length) return refused(`Campos obrigatórios: ${missing.join(", ")}`);
          const service = serviceOf(json.id_cliente_servico);
          if (!service) return refused("Serviço do cliente não encontrado");
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
  return Object.assign(hubsoft, { people, peopleClient, disconnected });
}
