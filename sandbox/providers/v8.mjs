// V8 Digital: a password grant with a form request, for a public client, which has no secret; payroll-loan simulations.

/** @import { Credentials, Settings } from "../types.js" */

/**
 * @typedef {{ id: string, slug: string, monthly_interest_rate: number, number_of_installments: number[] }} Config
 * @typedef {{ id: string, consult_id: string, status: string }} Simulation
 */

import { loadData, OAuthError, startProvider } from "../provider.mjs";

/** @type {{ configs: Config[], simulations: Simulation[] }} */
const data = loadData(new URL("./v8.json", import.meta.url));

const SCOPE = "offline_access";

/** @param {string} type @param {string} title @param {string} detail */
const error = (type, title, detail) => ({ type, title, detail });

/** @param {string} detail */
const refused = (detail) => ({ status: 422, body: error("validation_error", "Unprocessable Entity", detail) });

/** @param {number} amount */
const cents = (amount) => Math.round(amount * 100) / 100;

/** The members of an unfinished simulation. @param {Simulation & Record<string, unknown>} simulation */
const pending = ({ id, consult_id, config_id, config_slug, number_of_installments, created_at }) => ({
  id,
  consult_id,
  config_id,
  config_slug,
  number_of_installments,
  status: "PENDING",
  created_at,
});

/**
 * Present value of equal monthly instalments (the Price table).
 * @param {{ consult_id: string, config: Config, value: number, count: number, id: string }} wanted
 */
function simulate({ consult_id, config, value, count, id }) {
  const rate = config.monthly_interest_rate / 100;
  const disbursed = cents((value * (1 - (1 + rate) ** -count)) / rate);
  return {
    id,
    consult_id,
    config_id: config.id,
    config_slug: config.slug,
    number_of_installments: count,
    installment_value: cents(value),
    monthly_interest_rate: config.monthly_interest_rate,
    disbursed_amount: disbursed,
    total_amount: cents(value * count),
    status: "SIMULATED",
    created_at: new Date().toISOString(),
  };
}

/** @param {Record<string, string>} parameters @param {Credentials} credentials */
function checkClient({ client_id: id }, credentials) {
  if (id !== credentials.client_id) {
    throw new OAuthError("invalid_client", "The client is unknown.", 401);
  }
}

/** @param {Settings} [settings] */
export function startV8(settings) {
  const simulations = [...data.simulations];
  /** The unfinished simulations: the next request finds them finished. @type {Set<string>} */
  const unseen = new Set();
  /** @param {Simulation} simulation */
  const look = (simulation) => (unseen.delete(simulation.id) ? pending(simulation) : simulation);
  return startProvider(
    {
      name: "v8",
      prefix: "v8",
      credentials: {
        client_id: "sandboxV8PublicClient",
        username: "parceiro@correspondente.example",
        // Characters that a form body must encode.
        password: "senha+de&teste=100%é;",
        audience: "https://api.v8.example",
      },
      options: { expiresIn: 86400 },
      limits: {
        calls: { most: 250, seconds: 60 * 60 },
        refused: {
          status: 429,
          body: error("too_many_requests", "Too Many Requests", "The limit of requests in an hour is reached."),
        },
        logins: {
          most: 10,
          seconds: 10 * 60,
          error: "too_many_attempts",
          description: "The account is blocked: there were too many logins.",
        },
      },
      tokenEndpoint: {
        path: "/oauth/token",
        encoding: "form",
        grants: {
          password: {
            parameters: ["username", "password", "audience", "scope", "client_id"],
            grant(parameters, { credentials }) {
              checkClient(parameters, credentials);
              if (parameters.scope !== SCOPE) {
                throw new OAuthError("invalid_scope", `The scope must be ${SCOPE}.`);
              }
              if (parameters.audience !== credentials.audience) {
                throw new OAuthError("unauthorized_client", "The client may not use this audience.");
              }
              if (parameters.username !== credentials.username || parameters.password !== credentials.password) {
                throw new OAuthError("invalid_grant", "Wrong username or password.");
              }
              return { members: { scope: SCOPE } };
            },
          },
          refresh_token: {
            parameters: ["refresh_token", "client_id"],
            grant(parameters, { credentials, store }) {
              checkClient(parameters, credentials);
              if (!store.present(parameters.refresh_token)) {
                throw new OAuthError("invalid_grant", "Unknown or invalid refresh token.");
              }
              return { presented: parameters.refresh_token, members: { scope: SCOPE } };
            },
          },
        },
      },
      errors: {
        unauthorized: error("unauthorized", "Unauthorized", "The token is missing or not valid."),
        notFound: error("not_found", "Not Found", "There is no such thing."),
        methodNotAllowed: error("method_not_allowed", "Method Not Allowed", "The method is not allowed here."),
        tooLarge: error("payload_too_large", "Payload Too Large", "The body is too large."),
        badBody: error("bad_request", "Bad Request", "The body must be a JSON object."),
      },
      routes: {
        "GET /private-consignment/simulation": ({ query }) => {
          const limit = Math.min(Math.max(Number.parseInt(query.get("limit") ?? "", 10) || 20, 1), 100);
          const current = Math.max(Number.parseInt(query.get("page") ?? "", 10) || 1, 1);
          const totalPages = Math.max(Math.ceil(simulations.length / limit), 1);
          return {
            body: {
              data: simulations.slice((current - 1) * limit, current * limit).map(look),
              pages: {
                current,
                limit,
                total: simulations.length,
                totalPages,
                hasNext: current < totalPages,
                hasPrev: current > 1,
              },
            },
          };
        },
        "GET /private-consignment/simulation/configs": () => ({ body: { configs: data.configs } }),
        "GET /private-consignment/simulation/:id": ({ params }) => {
          const found = simulations.find((simulation) => simulation.id === params.id);
          return found && { body: look(found) };
        },
        "POST /private-consignment/simulation": ({ json }) => {
          const config = data.configs.find((candidate) => candidate.id === json.config_id);
          if (!config) return refused("config_id is unknown");
          if (typeof json.consult_id !== "string" || !json.consult_id) return refused("consult_id is required");
          const { number_of_installments: count, installment_face_value: value } = json;
          if (typeof count !== "number" || !config.number_of_installments.includes(count)) {
            return refused("number_of_installments is not offered");
          }
          if (!(typeof value === "number" && value > 0 && value <= 10000)) {
            return refused("installment_face_value must be above 0 and at most 10000");
          }
          const simulation = simulate({
            consult_id: json.consult_id,
            config,
            value,
            count,
            id: `sim_${String(simulations.length + 1).padStart(6, "0")}`,
          });
          simulations.unshift(simulation);
          unseen.add(simulation.id);
          return { status: 201, body: pending(simulation) };
        },
      },
    },
    settings,
  );
}
