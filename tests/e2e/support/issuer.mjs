// A stub issuer: its metadata, its keys and whatever it signs, sound or not.
// It counts what is asked of it, can fail, and can change its keys.

import { constants, createHmac, generateKeyPairSync, randomBytes, sign as signBytes } from "node:crypto";
import { once } from "node:events";
import { createServer } from "node:http";

const MODES = ["up", "reset", "500", "hang"];

const RSA_PSS = { padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: constants.RSA_PSS_SALTLEN_DIGEST };
const RAW = { dsaEncoding: "ieee-p1363" };

/** How each algorithm signs; `make` are the arguments that generate a key for it. */
const ALGORITHMS = {
  ...Object.fromEntries(
    [256, 384, 512].flatMap((bits) => [
      [`RS${bits}`, { hash: `sha${bits}`, make: ["rsa", { modulusLength: 2048 }], options: {} }],
      [`PS${bits}`, { hash: `sha${bits}`, make: ["rsa", { modulusLength: 2048 }], options: RSA_PSS }],
    ]),
  ),
  ES256: { hash: "sha256", make: ["ec", { namedCurve: "P-256" }], options: RAW },
  ES384: { hash: "sha384", make: ["ec", { namedCurve: "P-384" }], options: RAW },
  ES512: { hash: "sha512", make: ["ec", { namedCurve: "P-521" }], options: RAW },
  EdDSA: { hash: null, make: ["ed25519", {}], options: {} },
};

export const seconds = () => Math.floor(Date.now() / 1000);

/**
 * A key pair for `alg`: { alg, kid, privateKey, publicKey, jwk }, `jwk` being what is published.
 *
 * make: the arguments of generateKeyPairSync, where the ordinary ones will not do.
 * jwk: members over those of the published key; undefined takes one away.
 */
export function makeKey(alg, { kid = randomBytes(9).toString("base64url"), make = ALGORITHMS[alg].make, jwk } = {}) {
  const pair = generateKeyPairSync(...make);
  return published({ ...pair, alg }, { kid, ...jwk });
}

/** The same key pair, published in another way; a `kid` of null is none. */
export function published({ alg, privateKey, publicKey }, { kid = randomBytes(9).toString("base64url"), ...jwk }) {
  const name = kid ?? undefined;
  const members = { ...publicKey.export({ format: "jwk" }), kid: name, alg, use: "sig", ...jwk };
  return { alg, kid: name, privateKey, publicKey, jwk: members };
}

/** The signature of `input`; `options` over the algorithm's own. */
export function signature(alg, privateKey, input, options) {
  const { hash, options: own } = ALGORITHMS[alg];
  return signBytes(hash, Buffer.from(input), { key: privateKey, ...own, ...options });
}

/** The same for the HS algorithms. */
export const mac = (bits, secret, input) => createHmac(`sha${bits}`, secret).update(input).digest();

/** Base64url of JSON, of a text or of bytes. */
export const encoded = (value) => Buffer.from(isPlain(value) ? JSON.stringify(value) : value).toString("base64url");

const isPlain = (value) => typeof value !== "string" && !Buffer.isBuffer(value);

/**
 * Starts an issuer.
 *
 * path: of its identifier. slash: whether the identifier ends in one.
 * identifier: instead of the one that address and path make.
 * document: where its metadata are, "openid-configuration" or "oauth-authorization-server".
 * metadata: members over the ordinary ones. jwksPath, keys, audience: as they say.
 * answers: { path: { status, headers, body } }, instead of the ordinary ones.
 */
export async function startIssuer(settings = {}) {
  const issuer = new Issuer(settings);
  await issuer.open();
  return issuer;
}

class Issuer {
  /** The path of every request. */
  requests = [];
  /** How many milliseconds each answer takes. */
  delay = 0;
  #mode = "up";
  #server;

  constructor({
    path = "",
    slash = false,
    identifier,
    document = "openid-configuration",
    metadata = {},
    jwksPath = "/keys",
    keys = [],
    audience,
    answers = {},
  }) {
    Object.assign(this, { path, slash, identifier, document, metadata, keys, audience, answers });
    this.jwksPath = `${path}${jwksPath}`;
  }

  /** What it does from now on: answers, ends the connection, answers 500, or never answers. */
  set mode(mode) {
    if (!MODES.includes(mode)) throw new TypeError(`unknown mode: ${mode}`);
    this.#mode = mode;
  }

  get issuer() {
    return this.identifier ?? `${this.url}${this.path}${this.slash ? "/" : ""}`;
  }

  get jwksUrl() {
    return `${this.url}${this.jwksPath}`;
  }

  get metadataPath() {
    return this.document === "openid-configuration"
      ? `${this.path}/.well-known/openid-configuration`
      : `/.well-known/${this.document}${this.path}`;
  }

  /** How often its metadata were fetched. */
  get discoveries() {
    return this.requests.filter((path) => path === this.metadataPath).length;
  }

  /** How often its keys were fetched. */
  get keyFetches() {
    return this.requests.filter((path) => path === this.jwksPath).length;
  }

  // --- Tokens -------------------------------------------------------------

  header(key = this.keys[0], alg = key.alg) {
    return { alg, typ: "JWT", kid: key.kid };
  }

  claims() {
    const now = seconds();
    return {
      iss: this.issuer,
      aud: this.audience,
      sub: "somebody",
      iat: now,
      exp: now + 300,
      jti: randomBytes(9).toString("base64url"),
    };
  }

  /**
   * A token: a sound one, but for what is asked.
   *
   * header, claims: members over the ordinary ones (undefined takes one away), or the JSON text itself, or bytes.
   * key, alg: what signs. sign: instead, the signature's bytes of the signed text.
   * encode: { header, claims, signature }, each a function from its base64url to what is sent, and signed, instead.
   */
  token({ key = this.keys[0], alg = key.alg, header = {}, claims = {}, sign, encode = {} } = {}) {
    const part = (name, ordinary, given) => {
      const text = encoded(isPlain(given) ? { ...ordinary, ...given } : given);
      return encode[name]?.(text) ?? text;
    };
    const input = `${part("header", this.header(key, alg), header)}.${part("claims", this.claims(), claims)}`;
    const bytes = sign ? sign(input) : signature(alg, key.privateKey, input);
    return `${input}.${part("signature", {}, bytes)}`;
  }

  // --- The server ---------------------------------------------------------

  /** Listens, on the port that it ever had. */
  async open() {
    const port = this.url ? Number(new URL(this.url).port) : 0;
    this.#server = createServer({ keepAliveTimeout: 120_000 }, (request, response) => this.#serve(request, response));
    this.#server.listen(port, "127.0.0.1");
    await once(this.#server, "listening");
    this.url = `http://127.0.0.1:${this.#server.address().port}`;
  }

  async close() {
    if (!this.#server?.listening) return;
    this.#server.close();
    this.#server.closeAllConnections();
    await once(this.#server, "close");
  }

  #serve(request, response) {
    this.requests.push(request.url);
    if (this.delay) return setTimeout(() => this.#answer(request, response), this.delay);
    return this.#answer(request, response);
  }

  #answer(request, response) {
    if (this.#mode === "hang") return undefined;
    if (this.#mode === "reset") return request.socket.resetAndDestroy();
    if (this.#mode === "500") return response.writeHead(500).end();
    const { status = 200, headers, body } = this.answers[request.url] ?? {};
    if (body !== undefined) return response.writeHead(status, headers).end(body);
    if (request.url === this.metadataPath) {
      return json(response, { issuer: this.issuer, jwks_uri: this.jwksUrl, ...this.metadata });
    }
    if (request.url === this.jwksPath) return json(response, { keys: this.keys.map(({ jwk }) => jwk) });
    return response.writeHead(404).end();
  }
}

function json(response, body) {
  response.writeHead(200, { "Content-Type": "application/json" }).end(JSON.stringify(body));
}

/** The forms in which a public key lies about, each of which a careless server might take for a shared secret. */
export function publicForms({ publicKey, jwk }, keys) {
  const pem = publicKey.export({ type: "spki", format: "pem" });
  return {
    "the PEM": pem,
    "the PEM without its last line end": pem.trimEnd(),
    "the PEM in one line": pem.replaceAll("\n", ""),
    "the DER": publicKey.export({ type: "spki", format: "der" }),
    "the JWK": JSON.stringify(jwk),
    "the bare JWK": JSON.stringify(publicKey.export({ format: "jwk" })),
    "the key set": JSON.stringify({ keys: keys.map((one) => one.jwk) }),
    "the key's id": jwk.kid,
    ...(jwk.kty === "RSA" && {
      "the PKCS #1 PEM": publicKey.export({ type: "pkcs1", format: "pem" }),
      "the modulus' text": jwk.n,
      "the modulus": Buffer.from(jwk.n, "base64url"),
      "the exponent": Buffer.from(jwk.e, "base64url"),
    }),
    ...(jwk.kty === "EC" && { "the point's x": Buffer.from(jwk.x, "base64url"), "the point's x as text": jwk.x }),
    nothing: "",
  };
}
