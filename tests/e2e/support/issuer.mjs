// A stub issuer: its metadata, its keys and whatever it signs, sound or not.
// It counts what is asked of it, can fail, and can change its keys.

import { constants, createHmac, generateKeyPairSync, randomBytes, sign as signBytes } from "node:crypto";
import { createServer } from "node:http";
import { closeServer, listening } from "./servers.mjs";

/** @import { KeyObject, SignKeyObjectInput } from "node:crypto" */
/** @import { OutgoingHttpHeaders, ServerResponse } from "node:http" */
/** @import { Request } from "./servers.mjs" */

/**
 * The arguments of generateKeyPairSync.
 *
 * @typedef {[type: string, options: object]} KeyPairArguments
 */

/**
 * A published key, and tests' mistakes in one.
 *
 * @typedef {{ [member: string]: any }} Jwk
 */

/**
 * A key pair, `jwk` being what is published.
 *
 * @typedef {{ alg: string, kid: string | undefined, privateKey: KeyObject, publicKey: KeyObject, jwk: Jwk }} Key
 */

/**
 * Members over the ordinary ones (undefined takes one away), or the JSON text itself, or bytes.
 *
 * @typedef {{ [member: string]: unknown } | string | Buffer} Part
 */

/** @typedef {(base64url: string) => string} Encode */

/**
 * What is asked of a token: it is a sound one but for that.
 *
 * @typedef {object} TokenSettings
 * @property {SigningKey} [key] what signs
 * @property {string} [alg]
 * @property {Part} [header]
 * @property {Part} [claims]
 * @property {(input: string) => Buffer | string} [sign] instead: gives the signature's bytes of the signed text
 * @property {{ header?: Encode, claims?: Encode, signature?: Encode }} [encode] from the base64url of each to what is
 *   sent, and signed, instead
 */

/**
 * A key that signs, unless something else does.
 *
 * @typedef {{ alg: string, kid?: string, privateKey?: KeyObject }} SigningKey
 */

/**
 * What an issuer is.
 *
 * @typedef {object} IssuerSettings
 * @property {string} [path] of its identifier
 * @property {boolean} [slash] whether the identifier ends in one
 * @property {string} [identifier] instead of the one that address and path make
 * @property {"openid-configuration" | "oauth-authorization-server"} [document] where its metadata are
 * @property {{ [member: string]: unknown }} [metadata] members over the ordinary ones
 * @property {string} [jwksPath]
 * @property {PublishedKey[]} [keys]
 * @property {string} [audience]
 * @property {{ [path: string]: { status?: number, headers?: OutgoingHttpHeaders, body?: string | Buffer } }} [answers]
 *   instead of the ordinary ones
 */

/**
 * A key of an issuer's: those it signs with have more than what is published.
 *
 * @typedef {Pick<Key, "jwk"> & Partial<Key>} PublishedKey
 */

const MODES = ["up", "reset", "500", "hang"];

const RSA_PSS = { padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: constants.RSA_PSS_SALTLEN_DIGEST };
/** @type {Partial<SignKeyObjectInput>} */
const RAW = { dsaEncoding: "ieee-p1363" };

/**
 * How each algorithm signs; `make` are the arguments that generate a key for it.
 *
 * @type {{ [alg: string]: { hash: string | null, make: KeyPairArguments, options: Partial<SignKeyObjectInput> } }}
 */
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
 * A key pair for `alg`.
 *
 * @param {string} alg
 * @param {{ kid?: string, make?: KeyPairArguments, jwk?: Jwk }} [options] `make` where the ordinary arguments will not
 *   do; `jwk` are members over those of the published key, undefined takes one away
 */
export function makeKey(alg, { kid = randomBytes(9).toString("base64url"), make = ALGORITHMS[alg].make, jwk } = {}) {
  const generate = /** @type {(...given: KeyPairArguments) => { privateKey: KeyObject, publicKey: KeyObject }} */ (
    /** @type {unknown} */ (generateKeyPairSync)
  );
  return published({ ...generate(...make), alg }, { kid, ...jwk });
}

/**
 * The same key pair, published in another way; a `kid` of null is none.
 *
 * @param {Pick<Key, "alg" | "privateKey" | "publicKey">} pair
 * @param {{ kid?: string | null } & Jwk} members
 * @returns {Key}
 */
export function published({ alg, privateKey, publicKey }, { kid = randomBytes(9).toString("base64url"), ...jwk }) {
  const name = kid ?? undefined;
  const members = { ...publicKey.export({ format: "jwk" }), kid: name, alg, use: "sig", ...jwk };
  return { alg, kid: name, privateKey, publicKey, jwk: members };
}

/**
 * The signature of `input`; `options` over the algorithm's own.
 *
 * @param {string} alg
 * @param {KeyObject} privateKey
 * @param {string | Buffer} input
 * @param {Partial<SignKeyObjectInput>} [options]
 */
export function signature(alg, privateKey, input, options) {
  const { hash, options: own } = ALGORITHMS[alg];
  return signBytes(hash, Buffer.from(/** @type {string} */ (input)), { key: privateKey, ...own, ...options });
}

/**
 * The same for the HS algorithms.
 *
 * @param {number} bits
 * @param {string | Buffer} secret
 * @param {string} input
 */
export const mac = (bits, secret, input) => createHmac(`sha${bits}`, secret).update(input).digest();

/**
 * Base64url of JSON, of a text or of bytes.
 *
 * @param {unknown} value
 */
export const encoded = (value) =>
  (Buffer.isBuffer(value) ? value : Buffer.from(typeof value === "string" ? value : JSON.stringify(value))).toString(
    "base64url",
  );

/**
 * Starts an issuer.
 *
 * @param {IssuerSettings} [settings]
 */
export async function startIssuer(settings = {}) {
  const issuer = new Issuer(settings);
  await issuer.open();
  return issuer;
}

export class Issuer {
  /**
   * The path of every request.
   *
   * @type {string[]}
   */
  requests = [];
  /** Its address, the same for good once it has listened. */
  url = "";
  /** How many milliseconds each answer takes. */
  delay = 0;
  #mode = "up";
  #server = this.#serving();

  /** @param {IssuerSettings} settings */
  constructor({
    path = "",
    slash = false,
    identifier,
    document = "openid-configuration",
    metadata = {},
    jwksPath = "/keys",
    keys = [],
    audience = "",
    answers = {},
  }) {
    this.path = path;
    this.slash = slash;
    this.identifier = identifier;
    this.document = document;
    this.metadata = metadata;
    this.keys = keys;
    this.audience = audience;
    this.answers = answers;
    this.jwksPath = `${path}${jwksPath}`;
  }

  /**
   * What it does from now on: answers ("up"), ends the connection ("reset"), answers "500", or never answers ("hang").
   *
   * @param {string} mode
   */
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

  /** The key that signs where nothing else is said: the first that it has. */
  get key() {
    return /** @type {Key} */ (this.keys[0]);
  }

  /** @param {Pick<SigningKey, "alg" | "kid">} [key] */
  header(key = this.key, alg = key.alg) {
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
   * A token.
   *
   * @param {TokenSettings} [settings]
   */
  token({ key = this.key, alg = key.alg, header = {}, claims = {}, sign, encode = {} } = {}) {
    /** @type {(name: keyof typeof encode, ordinary: object, given: Part) => string} */
    const part = (name, ordinary, given) => {
      const isPlain = typeof given !== "string" && !Buffer.isBuffer(given);
      const text = encoded(isPlain ? { ...ordinary, ...given } : given);
      return encode[name]?.(text) ?? text;
    };
    const input = `${part("header", this.header(key, alg), header)}.${part("claims", this.claims(), claims)}`;
    const bytes = sign ? sign(input) : signature(alg, /** @type {KeyObject} */ (key.privateKey), input);
    return `${input}.${part("signature", {}, bytes)}`;
  }

  // --- The server ---------------------------------------------------------

  /** Listens, on the port that it ever had. */
  async open() {
    this.#server = this.#serving();
    this.url = await listening(this.#server, this.url ? Number(new URL(this.url).port) : 0);
  }

  async close() {
    if (this.#server.listening) await closeServer(this.#server);
  }

  #serving() {
    return createServer({ keepAliveTimeout: 120_000 }, (incoming, response) => {
      const request = /** @type {Request} */ (incoming);
      this.requests.push(request.url);
      if (this.delay) return void setTimeout(() => this.#answer(request, response), this.delay);
      return void this.#answer(request, response);
    });
  }

  /**
   * @param {Request} request
   * @param {ServerResponse} response
   */
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

/**
 * @param {ServerResponse} response
 * @param {object} body
 */
function json(response, body) {
  response.writeHead(200, { "Content-Type": "application/json" }).end(JSON.stringify(body));
}

/**
 * The forms in which a public key lies about, each of which a careless server might take for a shared secret.
 *
 * @param {Pick<Key, "publicKey" | "jwk">} key
 * @param {Pick<Key, "jwk">[]} keys the set that it is published in
 * @returns {{ [form: string]: string | Buffer }}
 */
export function publicForms({ publicKey, jwk }, keys) {
  const pem = /** @type {string} */ (publicKey.export({ type: "spki", format: "pem" }));
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
