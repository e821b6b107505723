// Tokens that authenticate no caller, by their defect: the function under each name makes one. Except for that defect,
// each is as valid as the issuer's own tokens.

import { constants, createHash, randomBytes, sign as signBytes } from "node:crypto";
import { der } from "./certificate.mjs";
import { encoded, mac, makeKey, publicForms, published, seconds, signature } from "./issuer.mjs";

/** @import { Issuer, Key, PublishedKey } from "./issuer.mjs" */

/** @typedef {{ [name: string]: () => string }} Forgeries */

/** @typedef {(text: string) => string | Buffer} ChangeText */

const P256_ORDER = Buffer.from("ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551", "hex");

// A token's times and the clock may differ by 60 s. A time in the future comes closer while a call is in flight.
const EXPIRED = 62;
const AHEAD = 75;

const LIMIT_BYTES = 16 * 1024;

/**
 * The keys that the issuers of the forgeries publish. `narrow` is for a caller
 * with the default algorithms, `wide` for one with all of them.
 */
export function forgeryKeys() {
  const rsa = makeKey("RS256", { kid: "rsa" });
  const bare = makeKey("RS256", { kid: "bare", jwk: { alg: undefined, use: undefined } });
  const ec = makeKey("ES256", { kid: "ec" });
  const p256 = published(ec, { kid: "p256", alg: undefined });
  const p384 = makeKey("ES384", { kid: "p384", jwk: { alg: undefined } });
  const p521 = makeKey("ES512", { kid: "p521", jwk: { alg: undefined } });
  const ed = makeKey("EdDSA", { kid: "ed" });
  const { x, y } = p384.jwk;
  const secret = randomBytes(32);
  /** @type {{ [name: string]: Key }} */
  const unusable = {
    "a key for encryption": published(bare, { kid: "enc", use: "enc", alg: undefined }),
    "a key for another algorithm": published(bare, { kid: "rs512", alg: "RS512" }),
    "a key for PS256": published(bare, { kid: "ps256", alg: "PS256" }),
    "a key for RSA-OAEP": published(bare, { kid: "oaep", alg: "RSA-OAEP-256" }),
    "a key that may only wrap": published(bare, { kid: "wrap", key_ops: ["wrapKey"], use: undefined }),
    "a key that may only sign": published(bare, { kid: "sign", key_ops: ["sign"], use: undefined }),
    "a key of 1024 bits": makeKey("RS256", { kid: "small", make: ["rsa", { modulusLength: 1024 }] }),
    "a key that names another kind": published(bare, { kid: "kty", kty: "EC" }),
    "a key without its modulus": published(bare, { kid: "no-n", n: undefined }),
    "a key without its exponent": published(bare, { kid: "no-e", e: undefined }),
    "a point of another curve": {
      ...p384,
      alg: "ES256",
      kid: "mislabelled",
      jwk: { kty: "EC", crv: "P-256", x, y, kid: "mislabelled" },
    },
    "a point off its curve": published(ec, { kid: "off", y: encoded(randomBytes(32)) }),
    "a point without its y": published(ec, { kid: "no-y", y: undefined }),
    "a curve that is not P-256": makeKey("ES256", {
      kid: "k1",
      make: ["ec", { namedCurve: "secp256k1" }],
      jwk: { alg: undefined },
    }),
  };
  const cube = makeKey("RS256", { kid: "cube", make: ["rsa", { modulusLength: 2048, publicExponent: 3 }] });
  const shared = {
    alg: "RS256",
    kid: "oct",
    secret,
    jwk: { kty: "oct", k: encoded(secret), kid: "oct", alg: "HS256" },
  };
  /**
   * Further keys in a key set, which a verifier may ignore.
   *
   * @type {PublishedKey[]}
   */
  const foreign = [
    { jwk: {} },
    { jwk: { kty: "future", kid: "future" } },
    { jwk: { kty: "OKP", crv: "X25519", x: encoded(randomBytes(32)), kid: "x25519" } },
  ];
  const ed448 = makeKey("EdDSA", { kid: "ed448", make: ["ed448", {}], jwk: { alg: undefined } });
  const named = { rsa, bare, ec, p256, p384, p521, ed, cube, shared, ed448, unusable };
  return {
    ...named,
    narrow: [rsa, ec, bare, p384, ed, cube, shared, ...Object.values(unusable), ...foreign],
    wide: [bare, rsa, ec, p256, p384, p521, ed, ed448],
  };
}

/**
 * The forgeries, by group.
 *
 * @param {object} surroundings
 * @param {Issuer} surroundings.narrow the issuers of `forgeryKeys`
 * @param {Issuer} surroundings.wide
 * @param {ReturnType<typeof forgeryKeys>} surroundings.keys
 * @param {string} surroundings.attacker the address of a server that the broker must never contact
 * @returns {{ [group: string]: Forgeries }}
 */
export function forgeries({ narrow, wide, keys, attacker }) {
  const { rsa, bare, ec, p256, p384, p521, ed, cube, shared, ed448, unusable } = keys;
  const thief = makeKey("RS256", { kid: "thief" });
  const thiefEc = makeKey("ES256", { kid: "thief-ec" });
  /** @type {(key: Key, alg?: string) => (input: string) => Buffer} */
  const by =
    (key, alg = key.alg) =>
    (input) =>
      signature(alg, key.privateKey, input);
  /** @param {{ [name: string]: unknown }} claims */
  const claimed = (claims) => () => narrow.token({ claims });
  /** @param {{ [name: string]: unknown }} header */
  const headed = (header) => () => narrow.token({ header });
  /** @type {<T>(named: { [name: string]: T }, make: (value: T) => string) => Forgeries} */
  const each = (named, make) =>
    Object.fromEntries(Object.entries(named).map(([name, value]) => [name, () => make(value)]));
  /** @param {ChangeText} change */
  const withHeaderText = (change) => () => narrow.token({ header: change(JSON.stringify(narrow.header())) });
  /** @param {ChangeText} change */
  const withClaimsText = (change) => () => narrow.token({ claims: change(JSON.stringify(narrow.claims())) });
  /** @type {(member: string) => (text: string) => string} */
  const first = (member) => (text) => text.replace("{", `{${member},`);
  /** @type {(member: string) => (text: string) => string} */
  const last = (member) => (text) => text.replace(/\}$/, `,${member}}`);

  return {
    "that nobody signed": {
      ...each(
        {
          none: "none",
          None: "None",
          NONE: "NONE",
          nOnE: "nOnE",
          "none and a space": "none ",
          "a space and none": " none",
          "none and a null character": "none\0",
        },
        (alg) => narrow.token({ header: { alg }, sign: () => "" }),
      ),
      "none, with a signature": headed({ alg: "none" }),
      "none, with the signature of a MAC without secret": () =>
        narrow.token({ header: { alg: "none" }, sign: (input) => mac(256, "", input) }),
      "none, without the last dot": () => narrow.token({ header: { alg: "none" }, sign: () => "" }).slice(0, -1),
      "none, without kid and typ": () =>
        narrow.token({ header: { alg: "none", kid: undefined, typ: undefined }, sign: () => "" }),
      "no algorithm and no signature": () => narrow.token({ header: { alg: undefined }, sign: () => "" }),
      "no algorithm": headed({ alg: undefined }),
      "an empty algorithm": () => narrow.token({ header: { alg: "" }, sign: () => "" }),
      "the algorithm null": headed({ alg: null }),
      "an algorithm that is a number": headed({ alg: 256 }),
      "an algorithm in an array": headed({ alg: ["RS256"] }),
      "an algorithm in an object": headed({ alg: { RS256: true } }),
      "a right algorithm and no signature": () => narrow.token({ sign: () => "" }),
      "a right algorithm in lower case": headed({ alg: "rs256" }),
      "a right algorithm and a space": headed({ alg: "RS256 " }),
      "no algorithm, for the caller with all of them": () => wide.token({ header: { alg: "none" }, sign: () => "" }),
    },

    "that is signed with a public key as a secret": Object.fromEntries(
      [256, 384, 512]
        .flatMap((bits) =>
          [rsa, ec].flatMap((key) =>
            Object.entries(publicForms(key, narrow.keys)).map(([form, secret]) => [
              `HS${bits} by ${form} of ${key.kid}`,
              () => narrow.token({ key, header: { alg: `HS${bits}` }, sign: (input) => mac(bits, secret, input) }),
            ]),
          ),
        )
        .concat([
          [
            "HS256 by a secret among the keys",
            () =>
              narrow.token({ key: shared, header: { alg: "HS256" }, sign: (input) => mac(256, shared.secret, input) }),
          ],
          [
            "RS256 by a secret among the keys",
            () => narrow.token({ key: shared, sign: (input) => mac(256, shared.secret, input) }),
          ],
          [
            "HS256 by the PEM, for the caller with all algorithms",
            () =>
              wide.token({
                key: rsa,
                header: { alg: "HS256" },
                sign: (input) => mac(256, publicForms(rsa, [])["the PEM"], input),
              }),
          ],
        ]),
    ),

    "of another algorithm than its key or its caller": {
      "PS256 for RS256": headed({ alg: "PS256" }),
      "RS256 for PS256": () => narrow.token({ sign: by(rsa, "PS256") }),
      "ES256 with an RSA key": () => narrow.token({ header: { alg: "ES256" } }),
      "RS256 with an EC key": () => narrow.token({ key: ec, header: { alg: "RS256" } }),
      "RS256 that names an EC key": () => narrow.token({ header: { kid: "ec" } }),
      "ES256 that names an RSA key": () => narrow.token({ key: ec, header: { kid: "rsa" } }),
      ...Object.fromEntries(
        ["RS384", "RS512", "PS256", "PS384", "PS512"].map((alg) => [
          `${alg}, which is not in the list`,
          () => narrow.token({ key: bare, alg }),
        ]),
      ),
      "ES384, which is not in the list": () => narrow.token({ key: p384 }),
      "EdDSA, which is not in the list": () => narrow.token({ key: ed }),
      "Ed25519, which is not in the list": () => narrow.token({ key: ed, header: { alg: "Ed25519" } }),
      ...Object.fromEntries(
        ["RS1", "RSA1_5", "RSA-OAEP", "dir", "A128KW", "ES256K", "HS1", "RS2048", "RS256,none"].map((alg) => [
          `the algorithm ${alg}`,
          headed({ alg }),
        ]),
      ),
      "RS256 that is SHA-512": () => narrow.token({ key: bare, sign: by(bare, "RS512") }),
      "RS256 that is SHA-1": () =>
        narrow.token({ key: bare, sign: (input) => signBytes("sha1", Buffer.from(input), bare.privateKey) }),
      "wide: PS256 by a key for RS256": () => wide.token({ key: rsa, alg: "PS256" }),
      "wide: RS512 by a key for RS256": () => wide.token({ key: rsa, alg: "RS512" }),
      "wide: RS256 that says PS256": () => wide.token({ key: bare, header: { alg: "PS256" } }),
      "wide: PS256 that says RS256": () => wide.token({ key: bare, header: { alg: "RS256" }, sign: by(bare, "PS256") }),
      "wide: RS512 that says RS256": () => wide.token({ key: bare, header: { alg: "RS256" }, sign: by(bare, "RS512") }),
      "wide: PS256 without salt": () =>
        wide.token({
          key: bare,
          header: { alg: "PS256" },
          sign: (input) => signature("PS256", bare.privateKey, input, { saltLength: 0 }),
        }),
      "wide: PS256 with a long salt": () =>
        wide.token({
          key: bare,
          header: { alg: "PS256" },
          sign: (input) =>
            signature("PS256", bare.privateKey, input, { saltLength: constants.RSA_PSS_SALTLEN_MAX_SIGN }),
        }),
      "wide: ES256 by P-384": () => wide.token({ key: p384, header: { alg: "ES256" }, sign: by(p384, "ES256") }),
      "wide: ES384 by P-256": () => wide.token({ key: p256, header: { alg: "ES384" }, sign: by(p256, "ES384") }),
      "wide: ES512 by P-256": () => wide.token({ key: p256, header: { alg: "ES512" }, sign: by(p256, "ES512") }),
      "wide: ES256 by P-521": () => wide.token({ key: p521, header: { alg: "ES256" }, sign: by(p521, "ES256") }),
      "wide: ES384 by a key for ES256": () => wide.token({ key: ec, header: { alg: "ES384" }, sign: by(ec, "ES384") }),
      "wide: EdDSA by P-256": () => wide.token({ key: p256, header: { alg: "EdDSA" } }),
      "wide: ES256 by Ed25519": () => wide.token({ key: ed, header: { alg: "ES256" } }),
      "wide: RS256 by Ed25519": () => wide.token({ key: ed, header: { alg: "RS256" } }),
      "wide: EdDSA by Ed448": () => wide.token({ key: ed448 }),
    },

    "that names a key by a trick": {
      ...each(
        {
          "an unknown one": "unknown",
          "an empty one": "",
          "the other case": "RSA",
          "a path": "../../../../../../dev/null",
          "an encoded path": "..%2f..%2fdev%2fnull",
          "a file": "file:///dev/null",
          "an address": `${attacker}/keys`,
          SQL: "rsa' OR '1'='1",
          "a UNION": "x' UNION SELECT 'secret' --",
          "a command": "rsa; cat /etc/passwd",
          "a null character after it": "rsa\0",
          "a space after it": "rsa ",
          __proto__: "__proto__",
          constructor: "constructor",
          "an array": ["rsa"],
          "an object": { rsa: true },
          "a number": 0,
          true: true,
          "a long one": "rsa".repeat(3000),
          "the key's place": "0",
        },
        (kid) => narrow.token({ header: { kid } }),
      ),
      "another key of the same kind": headed({ kid: "bare" }),
      "another key that is weak": headed({ kid: "small" }),
      "a file that is empty, as a shared secret": () =>
        narrow.token({ header: { alg: "HS256", kid: "../../../../dev/null" }, sign: (input) => mac(256, "", input) }),
      "SQL that yields a secret": () =>
        narrow.token({
          header: { alg: "HS256", kid: "x' UNION SELECT 'secret' --" },
          sign: (input) => mac(256, "secret", input),
        }),
      "none, by another's key": () => narrow.token({ key: thief, header: { kid: undefined } }),
    },

    "that brings a key of its own": Object.fromEntries(
      /** @type {[string, unknown][]} */ ([
        ["jwk", thief.jwk],
        ["jwk of the same name", { ...thief.jwk, kid: "rsa" }],
        ["jku", `${attacker}/keys`],
        ["jku of the issuer, with another place", `${narrow.url}@${new URL(attacker).host}/keys`],
        ["jku with a path up", `${narrow.url}/../${attacker}`],
        ["x5u", `${attacker}/certificate`],
        ["x5c", [certificate(thief).toString("base64")]],
        ["x5t", createHash("sha1").update(certificate(thief)).digest("base64url")],
        ["x5t#S256", createHash("sha256").update(certificate(thief)).digest("base64url")],
        ["jwks", { keys: [thief.jwk] }],
        ["keys", [thief.jwk]],
        ["iss", attacker],
      ])
        .flatMap(([name, value]) =>
          [thief.kid, "rsa", undefined].map((kid) => [
            `${name}, naming ${kid ?? "no key"}`,
            () => narrow.token({ key: thief, header: { [name.split(" ")[0]]: value, kid } }),
          ]),
        )
        .concat([
          ["jwk of an EC key", () => narrow.token({ key: thiefEc, header: { jwk: thiefEc.jwk, kid: "ec" } })],
          [
            "jwk that is a secret",
            () =>
              narrow.token({
                header: { alg: "HS256", jwk: { kty: "oct", k: encoded("secret") } },
                sign: (input) => mac(256, "secret", input),
              }),
          ],
          ["jwk with none", () => narrow.token({ header: { alg: "none", jwk: thief.jwk }, sign: () => "" })],
          [
            "all of them",
            () =>
              narrow.token({
                key: thief,
                header: {
                  jwk: thief.jwk,
                  jku: `${attacker}/keys`,
                  x5u: `${attacker}/x`,
                  x5c: [certificate(thief).toString("base64")],
                },
              }),
          ],
        ]),
    ),

    "of a key that may not verify it": {
      ...each(unusable, (key) => narrow.token({ key })),
      // The other issuers also publish this key pair, correctly: a token without a key id may rightly match it.
      ...Object.fromEntries(
        ["a key of 1024 bits", "a point of another curve", "a curve that is not P-256"].map((name) => [
          `${name}, unnamed`,
          () => narrow.token({ key: unusable[name], header: { kid: undefined } }),
        ]),
      ),
    },

    "with a signature that is not this one's": {
      "another key's": () => narrow.token({ sign: by(thief) }),
      "another EC key's": () => narrow.token({ key: ec, sign: by(thiefEc) }),
      "another token's": () => narrow.token({ sign: () => Buffer.from(narrow.token().split(".")[2], "base64url") }),
      "of the header alone": () =>
        narrow.token({ sign: (input) => signature("RS256", rsa.privateKey, input.split(".")[0]) }),
      "of the claims alone": () =>
        narrow.token({ sign: (input) => signature("RS256", rsa.privateKey, input.split(".")[1]) }),
      "of the text without its dot": () =>
        narrow.token({ sign: (input) => signature("RS256", rsa.privateKey, input.replace(".", "")) }),
      "of the decoded text": () =>
        narrow.token({ sign: (input) => signature("RS256", rsa.privateKey, input.split(".").map(decoded).join(".")) }),
      "of other claims": () => tampered(narrow.token(), 1, (claims) => ({ ...claims, sub: "admin" })),
      "of another expiry": () =>
        tampered(narrow.token({ claims: { exp: seconds() - 3600 } }), 1, (claims) => ({
          ...claims,
          exp: seconds() + 3600,
        })),
      "of the same claims in another order": () =>
        tampered(narrow.token(), 1, ({ iss, ...claims }) => ({ ...claims, iss })),
      "of another header": () => tampered(narrow.token(), 0, (header) => ({ ...header, x: 1 })),
      "with one bit changed": () => narrow.token({ sign: (input) => flipped(by(rsa)(input), 100) }),
      "with its first bit changed": () => narrow.token({ key: ec, sign: (input) => flipped(by(ec)(input), 0) }),
      "RSA: zero": () => narrow.token({ sign: () => Buffer.alloc(256) }),
      "RSA: one": () => narrow.token({ sign: () => Buffer.from([...Buffer.alloc(255), 1]) }),
      "RSA: the modulus": () => narrow.token({ sign: () => Buffer.from(rsa.jwk.n, "base64url") }),
      "RSA: more than the modulus": () =>
        narrow.token({ sign: (input) => plus(by(rsa)(input), Buffer.from(rsa.jwk.n, "base64url")) }),
      "RSA: one zero more before it": () =>
        narrow.token({ sign: (input) => Buffer.concat([Buffer.alloc(1), by(rsa)(input)]) }),
      "RSA: one byte more after it": () =>
        narrow.token({ sign: (input) => Buffer.concat([by(rsa)(input), Buffer.alloc(1)]) }),
      "RSA: one byte less": () => narrow.token({ sign: (input) => by(rsa)(input).subarray(0, -1) }),
      "RSA: a cube root, with rubbish after the hash": () => narrow.token({ key: cube, sign: cubeRoot }),
      "EC: in DER": () =>
        narrow.token({ key: ec, sign: (input) => signature("ES256", ec.privateKey, input, { dsaEncoding: "der" }) }),
      "EC: r and s zero": () => narrow.token({ key: ec, sign: () => Buffer.alloc(64) }),
      "EC: r and s zero in DER": () => narrow.token({ key: ec, sign: () => Buffer.from("3006020100020100", "hex") }),
      "EC: r zero": () =>
        narrow.token({ key: ec, sign: (input) => Buffer.concat([Buffer.alloc(32), by(ec)(input).subarray(32)]) }),
      "EC: s zero": () =>
        narrow.token({ key: ec, sign: (input) => Buffer.concat([by(ec)(input).subarray(0, 32), Buffer.alloc(32)]) }),
      "EC: r and s the curve's order": () =>
        narrow.token({ key: ec, sign: () => Buffer.concat([P256_ORDER, P256_ORDER]) }),
      "EC: r and s one": () =>
        narrow.token({ key: ec, sign: () => Buffer.from(`${"00".repeat(31)}01`.repeat(2), "hex") }),
      "EC: r and s exchanged": () =>
        narrow.token({
          key: ec,
          sign: (input) => Buffer.concat([by(ec)(input).subarray(32), by(ec)(input).subarray(0, 32)]),
        }),
      "EC: all ones": () => narrow.token({ key: ec, sign: () => Buffer.alloc(64, 0xff) }),
      "EC: one byte less": () => narrow.token({ key: ec, sign: (input) => by(ec)(input).subarray(0, 63) }),
      "EC: one byte more": () =>
        narrow.token({ key: ec, sign: (input) => Buffer.concat([by(ec)(input), Buffer.alloc(1)]) }),
      "EC: with room for P-384": () => narrow.token({ key: ec, sign: (input) => widened(by(ec)(input), 48) }),
      "EdDSA: zero": () => wide.token({ key: ed, sign: () => Buffer.alloc(64) }),
      "EdDSA: the neutral point": () => wide.token({ key: ed, sign: () => Buffer.from([1, ...Buffer.alloc(63)]) }),
      "EdDSA: s beyond the group's order": () => wide.token({ key: ed, sign: (input) => beyondOrder(by(ed)(input)) }),
    },

    "in another encoding": {
      ...Object.fromEntries(
        /** @type {const} */ (["header", "claims"]).flatMap((part) => [
          [
            `padding in the ${part}`,
            () =>
              narrow.token({
                [part]: aligned(narrow[part](), 2),
                encode: { [part]: (/** @type {string} */ text) => `${text}=` },
              }),
          ],
          [
            `two of padding in the ${part}`,
            () =>
              narrow.token({
                [part]: aligned(narrow[part](), 1),
                encode: { [part]: (/** @type {string} */ text) => `${text}==` },
              }),
          ],
          [
            `padding that is none in the ${part}`,
            () =>
              narrow.token({
                [part]: aligned(narrow[part](), 0),
                encode: { [part]: (/** @type {string} */ text) => `${text}=` },
              }),
          ],
          [
            `encoded padding in the ${part}`,
            () =>
              narrow.token({
                [part]: aligned(narrow[part](), 2),
                encode: { [part]: (/** @type {string} */ text) => `${text}%3D` },
              }),
          ],
          [
            `unused bits in the ${part}`,
            () => narrow.token({ [part]: aligned(narrow[part](), 2), encode: { [part]: unusedBits } }),
          ],
          [
            `more unused bits in the ${part}`,
            () => narrow.token({ [part]: aligned(narrow[part](), 1), encode: { [part]: unusedBits } }),
          ],
          [
            `one character too many in the ${part}`,
            () =>
              narrow.token({
                [part]: aligned(narrow[part](), 0),
                encode: { [part]: (/** @type {string} */ text) => `${text}A` },
              }),
          ],
          [
            `one character less in the ${part}`,
            () => narrow.token({ encode: { [part]: (/** @type {string} */ text) => text.slice(0, -1) } }),
          ],
          [
            `the standard alphabet in the ${part}`,
            () => narrow.token({ [part]: { x: "???>>>???" }, encode: { [part]: standard } }),
          ],
          ...Object.entries({
            space: " ",
            tab: "\t",
            dollar: "$",
            comma: ",",
            "no-break space": "\u00a0",
            "encoded line end": "%0A",
          }).map(([name, text]) => [
            `a ${name} in the ${part}`,
            () =>
              narrow.token({
                encode: { [part]: (/** @type {string} */ whole) => `${whole.slice(0, 8)}${text}${whole.slice(8)}` },
              }),
          ]),
          [
            `a null character at the end of the ${part}`,
            () => narrow.token({ encode: { [part]: (/** @type {string} */ text) => encoded(`${decoded(text)}\0`) } }),
          ],
        ]),
      ),
      "padding in the signature": () => narrow.token({ encode: { signature: (text) => `${text}==` } }),
      "padding in an EC signature": () => narrow.token({ key: ec, encode: { signature: (text) => `${text}==` } }),
      "unused bits in the signature": () => narrow.token({ encode: { signature: unusedBits } }),
      "unused bits in an EC signature": () => narrow.token({ key: ec, encode: { signature: unusedBits } }),
      "the standard alphabet in the signature": () =>
        until(
          () => narrow.token({ encode: { signature: standard } }),
          (token) => /[+/][^.]*$/.test(token),
        ),
      "a space in the signature": () =>
        narrow.token({ encode: { signature: (text) => `${text.slice(0, 8)} ${text.slice(8)}` } }),
      hexadecimal: () =>
        narrow.token({ encode: { signature: (text) => Buffer.from(text, "base64url").toString("hex") } }),
      "the signature cut short": () => narrow.token().slice(0, -1),
      "the signature doubled": () => narrow.token({ encode: { signature: (text) => text + text } }),
    },

    "in another form": {
      "an empty text and dots": () => "..",
      "one part": () => narrow.token().split(".")[0],
      "two parts": () => narrow.token().split(".").slice(0, 2).join("."),
      "two parts and a dot": () => `${narrow.token().split(".").slice(0, 2).join(".")}.`,
      "four parts": () => `${narrow.token()}.${encoded("x")}`,
      "a dot more at the end": () => `${narrow.token()}.`,
      "a dot more at the beginning": () => `.${narrow.token()}`,
      "two dots in the middle": () => narrow.token().replace(".", ".."),
      "five parts": () =>
        [
          encoded({ alg: "RSA-OAEP-256", enc: "A256GCM", kid: "rsa" }),
          ...[256, 12, 100, 16].map((size) => encoded(randomBytes(size))),
        ].join("."),
      "five parts of a sound one": () => `${narrow.token()}.${encoded("x")}.${encoded("x")}`,
      "direct encryption": () =>
        [encoded({ alg: "dir", enc: "A128GCM" }), "", ...[12, 100, 16].map((size) => encoded(randomBytes(size)))].join(
          ".",
        ),
      JSON: () => {
        const [header, payload, signed] = narrow.token().split(".");
        return JSON.stringify({ protected: header, payload, signature: signed });
      },
      "two of them": () => `${narrow.token()},${narrow.token()}`,
      "two of them apart": () => `${narrow.token()} ${narrow.token()}`,
      "in quotes": () => `"${narrow.token()}"`,
      "with a parameter": () => `${narrow.token()};x=1`,
      "with a name": () => `token=${narrow.token()}`,
      "one within another": () => narrow.token({ header: { cty: "JWT" }, claims: narrow.token() }),
      "one within another that does not say so": () => narrow.token({ claims: narrow.token() }),
      "crit that is empty": headed({ crit: [] }),
      "crit with a known name": headed({ crit: ["exp"], exp: seconds() + 300 }),
      "crit with an unknown name": headed({ crit: ["http://example.com/x"], "http://example.com/x": true }),
      "crit with a registered name": headed({ crit: ["alg"] }),
      "crit that is a text": headed({ crit: "exp" }),
      "crit that is null": headed({ crit: null }),
      "b64 true": headed({ b64: true, crit: ["b64"] }),
      "b64 true, not critical": headed({ b64: true }),
      "b64 false, with encoded claims": headed({ b64: false, crit: ["b64"] }),
      "b64 false, not critical": headed({ b64: false }),
      "b64 false, with bare claims": () =>
        narrow.token({ header: { b64: false, crit: ["b64"] }, encode: { claims: decoded } }),
      "detached claims": () => narrow.token({ claims: "" }),
      "claims taken out": () => narrow.token().split(".").with(1, "").join("."),
      ...each(
        {
          "logout+jwt": "logout+jwt",
          "dpop+jwt": "dpop+jwt",
          "secevent+jwt": "secevent+jwt",
          "kb+jwt": "kb+jwt",
          "application/logout+jwt": "application/logout+jwt",
          "token-introspection+jwt": "token-introspection+jwt",
          "oauth-authz-req+jwt": "oauth-authz-req+jwt",
          JOSE: "JOSE",
          "JOSE+JSON": "JOSE+JSON",
          "text/jwt": "text/jwt",
          "application/": "application/",
          "application/application/jwt": "application/application/jwt",
          "JWT and a space": "JWT ",
          "JWT; charset": "JWT; charset=utf-8",
          "an empty text": "",
          "a number": 1,
          "an array": ["JWT"],
        },
        (typ) => narrow.token({ header: { typ } }),
      ),
      "of 17 KiB": claimed({ x: "x".repeat(17 * 1024 * 0.75) }),
      "of 17 KiB by its header": headed({ x: "x".repeat(17 * 1024 * 0.75) }),
      "of 17 KiB by its signature": () =>
        narrow.token({ sign: (input) => Buffer.concat([by(rsa)(input), Buffer.alloc(13 * 1024)]) }),
      "of a byte too many": () => sized(narrow, LIMIT_BYTES + 1),
      "of 100 bytes too many": () => sized(narrow, LIMIT_BYTES + 100),
    },

    "of another grammar": {
      ...Object.fromEntries(
        /** @type {const} */ ([
          ["header", withHeaderText],
          ["claims", withClaimsText],
        ]).flatMap(([part, changed]) => [
          [`a ${part} that is no JSON`, changed(() => "not JSON")],
          [`an empty ${part}`, changed(() => "")],
          [`a ${part} that is an array`, changed((text) => `[${text}]`)],
          [`a ${part} that is null`, changed(() => "null")],
          [`a ${part} that is a text`, changed((text) => JSON.stringify(text))],
          [`a ${part} that is a number`, changed(() => "1")],
          [`a ${part} with no members`, changed(() => "{}")],
          [`a ${part} that is cut off`, changed((text) => text.slice(0, -1))],
          [`a ${part} with more after it`, changed((text) => `${text}{}`)],
          [`a ${part} with a byte order mark`, changed((text) => `\ufeff${text}`)],
          [`a ${part} with a comment`, changed((text) => text.replace("{", "{/**/"))],
          [`a ${part} with a comma too many`, changed((text) => text.replace(/\}$/, ",}"))],
          [`a ${part} with single quotes`, changed((text) => text.replaceAll('"', "'"))],
          [`a ${part} with NaN`, changed(last('"x":NaN'))],
          [`a ${part} with a control character`, changed(last('"x":"\n"'))],
          [`a ${part} in UTF-16`, changed((text) => Buffer.from(text, "utf16le"))],
          [
            `a ${part} that is not UTF-8`,
            changed((text) =>
              Buffer.concat([Buffer.from(last('"x":"')(text).slice(0, -1)), Buffer.from([0xff]), Buffer.from('"}')]),
            ),
          ],
          [
            `a ${part} with overlong UTF-8`,
            changed((text) =>
              Buffer.concat([
                Buffer.from(last('"x":"')(text).slice(0, -1)),
                Buffer.from([0xc0, 0xaf]),
                Buffer.from('"}'),
              ]),
            ),
          ],
          [`a ${part} as deep as it gets`, changed(last(`"x":${"[".repeat(4000)}${"]".repeat(4000)}`))],
        ]),
      ),
      "an algorithm twice, the wrong one first": withHeaderText(first('"alg":"none"')),
      "an algorithm twice, the wrong one last": withHeaderText(last('"alg":"none"')),
      "an algorithm twice, the same": withHeaderText(last('"alg":"RS256"')),
      "an algorithm twice, once escaped": withHeaderText(last('"\\u0061lg":"none"')),
      "an algorithm twice, escaped first": withHeaderText(first('"al\\u0067":"none"')),
      "a key's name twice": withHeaderText(last('"kid":"bare"')),
      "a key's name twice, once escaped": withHeaderText(first('"k\\u0069d":"bare"')),
      "a type twice": withHeaderText(last('"typ":"JWT"')),
      "an unknown member of the header twice": withHeaderText(last('"x":1,"x":1')),
      ...Object.fromEntries(
        Object.entries({
          iss: '"https://evil.example"',
          aud: '"another"',
          sub: '"admin"',
          exp: "1",
          nbf: "0",
          scope: '"admin"',
          x: "1",
        }).flatMap(([name, value]) => {
          const escaped = `\\u${name.charCodeAt(0).toString(16).padStart(4, "0")}${name.slice(1)}`;
          const known = !["nbf", "scope", "x"].includes(name);
          /** @type {(member: string) => (text: string) => string} */
          const twice = (member) => (text) => last(member)(known ? text : last(`"${name}":${value}`)(text));
          return [
            [`${name} twice`, withClaimsText(twice(`"${name}":${value}`))],
            [`${name} twice, once escaped`, withClaimsText(twice(`"${escaped}":${value}`))],
            [
              `${name} twice, the other first`,
              withClaimsText((text) => first(`"${name}":${value}`)(known ? text : last(`"${name}":${value}`)(text))),
            ],
          ];
        }),
      ),
    },

    "of another time": {
      "no expiry": claimed({ exp: undefined }),
      "the expiry null": claimed({ exp: null }),
      "the expiry a text": () => narrow.token({ claims: { exp: String(seconds() + 300) } }),
      "the expiry a date": () => narrow.token({ claims: { exp: new Date(Date.now() + 300_000).toISOString() } }),
      "the expiry an array": () => narrow.token({ claims: { exp: [seconds() + 300] } }),
      "the expiry an object": claimed({ exp: {} }),
      "the expiry true": claimed({ exp: true }),
      "the expiry zero": claimed({ exp: 0 }),
      "the expiry negative": claimed({ exp: -1 }),
      "the expiry very negative": withClaimsText((text) => text.replace(/"exp":\d+/, '"exp":-1e300')),
      "the expiry beyond all numbers": withClaimsText((text) => text.replace(/"exp":\d+/, '"exp":1e999')),
      "expired beyond the tolerance": () => narrow.token({ claims: { exp: seconds() - EXPIRED } }),
      "expired beyond the tolerance by a fraction": () => narrow.token({ claims: { exp: seconds() - EXPIRED + 0.5 } }),
      "expired an hour ago": () => narrow.token({ claims: { exp: seconds() - 3600, iat: seconds() - 7200 } }),
      "valid only later": () => narrow.token({ claims: { nbf: seconds() + AHEAD } }),
      "valid only in an hour": () => narrow.token({ claims: { nbf: seconds() + 3600, exp: seconds() + 7200 } }),
      "valid from a text": () => narrow.token({ claims: { nbf: String(seconds() - 10) } }),
      "valid from beyond all numbers": withClaimsText(last('"nbf":1e999')),
      "issued later": () => narrow.token({ claims: { iat: seconds() + AHEAD } }),
      "issued in a year": () =>
        narrow.token({ claims: { iat: seconds() + 365 * 86400, exp: seconds() + 366 * 86400 } }),
      "issued at a text": () => narrow.token({ claims: { iat: String(seconds()) } }),
      "times in milliseconds, issued later": () =>
        narrow.token({ claims: { iat: Date.now(), exp: Date.now() + 300_000 } }),
    },

    "for somebody else": {
      ...each(
        {
          "no issuer": undefined,
          "the issuer null": null,
          "an empty issuer": "",
          "another issuer": "https://issuer.example",
          "the issuer and a slash": `${narrow.issuer}/`,
          "the issuer and a path": `${narrow.issuer}/x`,
          "the issuer and a query": `${narrow.issuer}?`,
          "the issuer and a fragment": `${narrow.issuer}#`,
          "the issuer and a space": `${narrow.issuer} `,
          "the issuer's beginning": narrow.issuer.slice(0, -1),
          "the issuer in upper case": narrow.issuer.toUpperCase(),
          "the issuer with another scheme": narrow.issuer.replace("http:", "https:"),
          "the issuer by another name of its host": narrow.issuer.replace("127.0.0.1", "localhost"),
          "the issuer with a user": narrow.issuer.replace("//", "//x@"),
          "the issuer without its scheme": narrow.issuer.replace("http://", ""),
          "the issuer in an array": [narrow.issuer],
          "the issuer among others": [narrow.issuer, "https://issuer.example"],
          "the issuer in an object": { iss: narrow.issuer },
          "the issuer a number": 1,
        },
        (iss) => narrow.token({ claims: { iss } }),
      ),
      // Only a key that the other issuer does not publish: otherwise the token would be valid.
      "the other issuer of the configuration": () => narrow.token({ key: cube, claims: { iss: wide.issuer } }),
      "this issuer by the other's key": () => wide.token({ key: p521, claims: { iss: narrow.issuer } }),
      ...each(
        {
          "no audience": undefined,
          "the audience null": null,
          "an empty audience": "",
          "another audience": "https://other.example",
          "no audience in an array": [],
          "an empty audience in an array": [""],
          "another audience in an array": ["https://other.example", "https://another.example"],
          "the audience within an array of arrays": [[narrow.audience]],
          "the audience and a number": [narrow.audience, 1],
          "a number and the audience": [1, narrow.audience],
          "the audience and null": [narrow.audience, null],
          "the audience and an object": [narrow.audience, {}],
          "the audience in an object": { [narrow.audience]: true },
          "the audience a number": 1,
          "the audience true": true,
          "the audience's beginning": narrow.audience.slice(0, -1),
          "the audience and a slash": `${narrow.audience}/`,
          "the audience and a path": `${narrow.audience}/x`,
          "the audience in upper case": narrow.audience.toUpperCase(),
          "the audience and a space": `${narrow.audience} `,
          "the audience among words": `https://other.example ${narrow.audience}`,
          "the audience among commas": `${narrow.audience},https://other.example`,
          "the audience as a wildcard": "*",
          "the issuer's own audience": narrow.issuer,
        },
        (aud) => narrow.token({ claims: { aud } }),
      ),
      "the audience in another claim": claimed({
        aud: undefined,
        azp: narrow.audience,
        client_id: narrow.audience,
        resource: narrow.audience,
      }),
    },
  };
}

/**
 * A token of `issuer` that is `size` bytes long.
 *
 * @param {Issuer} issuer
 * @param {number} size
 */
export function sized(issuer, size) {
  /** @param {string} x */
  const length = (x) => issuer.token({ header: { x }, claims: { x } }).length;
  // The claims grow in steps of four characters; the header fills the rest.
  let [header, claims] = ["", "x".repeat(Math.floor((size - length("")) * 0.75) - 8)];
  for (let tries = 0; tries < 64; tries += 1) {
    const token = issuer.token({ header: { x: header }, claims: { x: claims } });
    if (token.length === size) return token;
    if (token.length < size) header += "x";
    else [header, claims] = ["", claims.slice(0, -1)];
  }
  throw new Error(`no token of ${size} bytes`);
}

// --- Encodings --------------------------------------------------------------

/** @param {string} text */
const decoded = (text) => Buffer.from(text, "base64url").toString("utf8");

/** @param {string} text */
const standard = (text) => text.replaceAll("-", "+").replaceAll("_", "/");

const ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/**
 * The same bytes, with the lowest bit of the last character set: that bit belongs to no byte.
 *
 * @param {string} text
 */
function unusedBits(text) {
  const changed = text.slice(0, -1) + ALPHABET[ALPHABET.indexOf(text.slice(-1)) | 1];
  if (changed === text || !Buffer.from(changed, "base64url").equals(Buffer.from(text, "base64url"))) {
    throw new Error("the last character has no unused bit");
  }
  return changed;
}

/**
 * JSON that is `rest` bytes longer than a multiple of three.
 *
 * @param {object} object
 * @param {number} rest
 */
function aligned(object, rest) {
  const texts = ["", "x", "xx"].map((x) => JSON.stringify({ ...object, x }));
  return /** @type {string} */ (texts.find(({ length }) => length % 3 === rest));
}

/**
 * @param {string} token
 * @param {number} part
 * @param {(members: { [name: string]: unknown }) => object} change
 */
function tampered(token, part, change) {
  const parts = token.split(".");
  parts[part] = encoded(change(JSON.parse(decoded(parts[part]))));
  return parts.join(".");
}

/**
 * @param {() => string} make
 * @param {(token: string) => boolean} accepted
 */
function until(make, accepted) {
  for (let tries = 0; tries < 100; tries += 1) {
    const made = make();
    if (accepted(made)) return made;
  }
  throw new Error("no such token came up");
}

// --- Signatures -------------------------------------------------------------

/** @param {Buffer} bytes */
const number = (bytes) => BigInt(`0x${bytes.toString("hex") || "0"}`);

/**
 * @param {bigint} value
 * @param {number} length
 */
const bytesOf = (value, length) => Buffer.from(value.toString(16).padStart(length * 2, "0"), "hex");

/**
 * @param {Buffer} bytes
 * @param {number} at
 */
function flipped(bytes, at) {
  const changed = Buffer.from(bytes);
  changed[at] ^= 1;
  return changed;
}

/**
 * @param {Buffer} one
 * @param {Buffer} other
 */
function plus(one, other) {
  const sum = number(one) + number(other);
  return bytesOf(sum, Math.max(one.length, Math.ceil(sum.toString(16).length / 2)));
}

/**
 * @param {Buffer} bytes
 * @param {number} size
 */
const widened = (bytes, size) =>
  Buffer.concat(
    [bytes.subarray(0, bytes.length / 2), bytes.subarray(bytes.length / 2)].map((half) =>
      Buffer.concat([Buffer.alloc(size - half.length), half]),
    ),
  );

/**
 * The same signature for a verifier that does not compare s with the order of the group (RFC 8032 §5.1.7).
 *
 * @param {Buffer} bytes
 */
function beyondOrder(bytes) {
  const order = 2n ** 252n + 27742317777372353535851937790883648493n;
  const s = number(Buffer.from(bytes.subarray(32)).reverse()) + order;
  return Buffer.concat([bytes.subarray(0, 32), bytesOf(s, 32).reverse()]);
}

/**
 * Bleichenbacher's forgery for an exponent of 3: it needs no private key if the verifier does not check the padding to
 * its end.
 *
 * @param {string} input
 */
function cubeRoot(input) {
  const info = Buffer.from("3031300d060960864801650304020105000420", "hex");
  const hash = createHash("sha256").update(input).digest();
  const wanted = Buffer.concat([Buffer.from([0, 1, ...Buffer.alloc(8, 0xff), 0]), info, hash]);
  const least = number(Buffer.concat([wanted, Buffer.alloc(256 - wanted.length)]));
  let [low, high] = [0n, 1n << 700n];
  while (low < high) {
    const middle = (low + high) / 2n;
    if (middle ** 3n < least) low = middle + 1n;
    else high = middle;
  }
  if (
    !bytesOf(low ** 3n, 256)
      .subarray(0, wanted.length)
      .equals(wanted)
  )
    throw new Error("there is no such cube");
  return bytesOf(low, 256);
}

// --- A certificate ----------------------------------------------------------

/**
 * A certificate that `key` signed for itself.
 *
 * @param {Pick<Key, "privateKey" | "publicKey">} key
 */
function certificate({ privateKey, publicKey }) {
  const algorithm = der(0x30, der(0x06, Buffer.from("2a864886f70d01010b", "hex")), der(0x05));
  const name = der(
    0x30,
    der(0x31, der(0x30, der(0x06, Buffer.from("550403", "hex")), der(0x0c, Buffer.from("thief")))),
  );
  /** @param {number} year */
  const time = (year) => der(0x17, Buffer.from(`${year}0101000000Z`));
  const body = der(
    0x30,
    der(0x02, Buffer.from([1])),
    algorithm,
    name,
    der(0x30, time(20), time(49)),
    name,
    publicKey.export({ type: "spki", format: "der" }),
  );
  return der(0x30, body, algorithm, der(0x03, Buffer.alloc(1), signBytes("sha256", body, privateKey)));
}
