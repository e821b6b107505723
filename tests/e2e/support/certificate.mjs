// A self-signed certificate, made without a tool or a key file. Browsers are told not to verify it; whoever takes it
// for a certificate authority of its own does verify it.

import { createSign, generateKeyPairSync } from "node:crypto";

const DAY_MS = 86_400_000;

/**
 * { key, cert } in PEM, for `name`.
 *
 * @param {string} name
 */
export function selfSigned(name) {
  const { publicKey, privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const ecdsaWithSha256 = sequence(oid("2a8648ce3d040302"));
  const subject = sequence(der(0x31, sequence(oid("550403"), der(0x0c, Buffer.from(name)))));
  const body = sequence(
    der(0xa0, integer(2)),
    integer(1),
    ecdsaWithSha256,
    subject,
    sequence(time(Date.now() - DAY_MS), time(Date.now() + DAY_MS)),
    subject,
    publicKey.export({ type: "spki", format: "der" }),
    der(0xa3, sequence(sequence(oid("551d11"), der(0x04, sequence(der(0x82, Buffer.from(name))))))),
  );
  const signature = createSign("sha256").update(body).sign(privateKey);
  const certificate = sequence(body, ecdsaWithSha256, der(0x03, Buffer.from([0]), signature));
  const lines = certificate.toString("base64").replace(/.{64}(?!$)/g, "$&\n");
  return {
    key: String(privateKey.export({ type: "pkcs8", format: "pem" })),
    cert: `-----BEGIN CERTIFICATE-----\n${lines}\n-----END CERTIFICATE-----\n`,
  };
}

/**
 * One value in DER.
 *
 * @param {number} tag
 * @param {Uint8Array[]} parts
 */
export function der(tag, ...parts) {
  const body = Buffer.concat(parts);
  const size = body.length;
  const length = size < 128 ? [size] : size < 256 ? [0x81, size] : [0x82, size >> 8, size & 255];
  return Buffer.concat([Buffer.from([tag, ...length]), body]);
}

/** @param {Uint8Array[]} parts */
const sequence = (...parts) => der(0x30, ...parts);
/** @param {number} value */
const integer = (value) => der(0x02, Buffer.from([value]));
/** @param {string} hex */
const oid = (hex) => der(0x06, Buffer.from(hex, "hex"));
/** @param {number} ms */
const time = (ms) =>
  der(
    0x17,
    Buffer.from(
      new Date(ms)
        .toISOString()
        .replace(/[-:T]|\.\d+/g, "")
        .slice(2),
    ),
  );
