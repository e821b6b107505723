// The issuer of the sandbox's people: it proves who calls. sandbox/wrangler.toml alone names it, and its key is made at
// each start and never leaves the process.

/** @import { Answer, Request } from "./types.js" */

import { generateKeyPairSync, randomBytes, sign } from "node:crypto";
import { createServer } from "node:http";
import { closeServer, listen, portOf, send } from "./provider.mjs";

const LIFETIME_SECONDS = 300;

/** The audience in sandbox/wrangler.toml. */
export const AUDIENCE = "porteiro-sandbox";

/** Customers of the sandbox's HubSoft. The check digits of their CPFs are wrong: nobody has these. */
export const PEOPLE = [
  { id: "benedito", name: "Benedito Alves Quintela", cpf: "00053106000" },
  { id: "clarice", name: "Clarice Matos Figueira", cpf: "00066827100" },
];

/** @param {object} value */
const encoded = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");

/** @param {{ port?: number, people?: typeof PEOPLE }} [settings] */
export async function startIssuer({ port = 0, people = PEOPLE } = {}) {
  const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const kid = randomBytes(9).toString("base64url");
  /** @type {Record<string, () => Answer>} */
  const answers = {
    "/.well-known/openid-configuration": () => ({ body: { issuer: url, jwks_uri: `${url}/keys` } }),
    "/keys": () => ({ body: { keys: [{ ...publicKey.export({ format: "jwk" }), kid, alg: "ES256", use: "sig" }] } }),
  };
  const server = createServer((incoming, response) => {
    const { method, url: path } = /** @type {Request} */ (incoming);
    if (!Object.hasOwn(answers, path)) return send(response, { status: 404 });
    if (method !== "GET") return send(response, { status: 405, headers: { Allow: "GET" } });
    return send(response, answers[path]());
  });
  await listen(server, port);
  const url = `http://127.0.0.1:${portOf(server)}`;

  /**
   * A token of the person with this id, signed as RFC 7515 and RFC 7518 section 3.4 say; undefined if there is nobody.
   * @param {unknown} id
   */
  function token(id) {
    const person = people.find((one) => one.id === id);
    if (!person) return undefined;
    const now = Math.floor(Date.now() / 1000);
    const claims = { iss: url, aud: AUDIENCE, sub: person.id, cpf: person.cpf, iat: now, exp: now + LIFETIME_SECONDS };
    const input = `${encoded({ alg: "ES256", typ: "JWT", kid })}.${encoded(claims)}`;
    const signature = sign("sha256", Buffer.from(input), { key: privateKey, dsaEncoding: "ieee-p1363" });
    return `${input}.${signature.toString("base64url")}`;
  }

  return { url, people, token, close: () => closeServer(server) };
}
