// A stub issuer: its metadata, its keys, and the tokens it signs, valid or not. It counts requests, can fail, and can
// rotate its keys.

import {
  constants,
  createHmac,
  generateKeyPairSync,
  randomBytes,
  sign as signBytes,
  verify as verifyBytes,
} from "node:crypto";
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
 * A published key, or a deliberately invalid one.
 *
 * @typedef {{ [member: string]: any }} Jwk
 */

/**
 * A key pair; `jwk` is the published form.
 *
 * @typedef {{ alg: string, kid: string | undefined, privateKey: KeyObject, publicKey: KeyObject, jwk: Jwk }} Key
 */

/**
 * Members merged over the usual ones (undefined removes one), or the JSON text itself, or bytes.
 *
 * @typedef {{ [member: string]: unknown } | string | Buffer} Part
 */

/** @typedef {(base64url: string) => string} Encode */

/**
 * The deviations of a token, which is otherwise valid.
 *
 * @typedef {object} TokenSettings
 * @property {SigningKey} [key] the signing key
 * @property {string} [alg]
 * @property {Part} [header]
 * @property {Part} [claims]
 * @property {(input: string) => Buffer | string} [sign] replaces the signature: returns the signature's bytes for the
 * text
 * @property {{ header?: Encode, claims?: Encode, signature?: Encode }} [encode] changes the base64url of each part
 * before it is signed and sent
 */

/**
 * The key that signs a token, unless `sign` does.
 *
 * @typedef {{ alg: string, kid?: string, privateKey?: KeyObject }} SigningKey
 */

/**
 * The settings of an issuer.
 *
 * @typedef {object} IssuerSettings
 * @property {string} [path] the path of its identifier
 * @property {boolean} [slash] whether the identifier ends with a slash
 * @property {string} [identifier] replaces the identifier of address and path
 * @property {"openid-configuration" | "oauth-authorization-server"} [document] the document of its metadata
 * @property {{ [member: string]: unknown }} [metadata] members merged over the usual ones
 * @property {string} [jwksPath]
 * @property {PublishedKey[]} [keys]
 * @property {string} [audience]
 * @property {{ [path: string]: { status?: number, headers?: OutgoingHttpHeaders, body?: string | Buffer } }} [answers]
 * replace the usual answers
 */

/**
 * A key of an issuer: signing keys contain more than their published form.
 *
 * @typedef {Pick<Key, "jwk"> & Partial<Key>} PublishedKey
 */

const MODES = ["up", "reset", "500", "hang"];

const RSA_PSS = { padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: constants.RSA_PSS_SALTLEN_DIGEST };
/** @type {Partial<SignKeyObjectInput>} */
const RAW = { dsaEncoding: "ieee-p1363" };

/**
 * The signature of each algorithm; `make` are the arguments that generate its key.
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
 * @param {{ kid?: string, make?: KeyPairArguments, jwk?: Jwk }} [options] `make` replaces the usual arguments; `jwk`
 * are members merged over those of the published key, undefined removes one
 */
export function makeKey(alg, { kid = randomBytes(9).toString("base64url"), make = ALGORITHMS[alg].make, jwk } = {}) {
  const generate = /** @type {(...given: KeyPairArguments) => { privateKey: KeyObject, publicKey: KeyObject }} */ (
    /** @type {unknown} */ (generateKeyPairSync)
  );
  return published({ ...generate(...make), alg }, { kid, ...jwk });
}

/**
 * The same key pair, published in another form; a `kid` of null removes it.
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
 * The signature of `input`; `options` are merged over the algorithm's own.
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
 * Whether `signature` over `input` is of the key's owner.
 *
 * @param {Pick<Key, "alg" | "publicKey">} key
 * @param {string} input
 * @param {Buffer} signature
 */
export function isSignedBy({ alg, publicKey }, input, signature) {
  const { hash, options } = ALGORITHMS[alg];
  return verifyBytes(hash, Buffer.from(input), { key: publicKey, ...options }, signature);
}

/**
 * The signature with an HS algorithm.
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
  /** The issuer's address, which stays the same once it has listened. */
  url = "";
  /** The delay of each answer, in milliseconds. */
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
   * Sets the issuer's behaviour: it answers ("up"), ends the connection ("reset"), answers "500", or never answers
   * ("hang").
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

  /** How many times its metadata were fetched. */
  get discoveries() {
    return this.requests.filter((path) => path === this.metadataPath).length;
  }

  /** How many times its keys were fetched. */
  get keyFetches() {
    return this.requests.filter((path) => path === this.jwksPath).length;
  }

  // --- Tokens -------------------------------------------------------------

  /** The default signing key: the issuer's first. */
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

  /** Listens, always on the same port. */
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
 * The forms in which a public key is commonly stored; a careless server might take each for a shared secret.
 *
 * @param {Pick<Key, "publicKey" | "jwk">} key
 * @param {Pick<Key, "jwk">[]} keys the set in which it is published
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
