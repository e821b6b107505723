// An issuer of callers' tokens with one key, and one token of a usual size.
import { generateKeyPairSync, sign } from "node:crypto";
import { once } from "node:events";
import { createServer } from "node:http";

export async function startIssuer() {
  const { privateKey, publicKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
  const keys = { keys: [{ ...publicKey.export({ format: "jwk" }), kid: "k1", use: "sig" }] };
  const server = createServer((_, response) => {
    response.setHeader("content-type", "application/json").end(JSON.stringify(keys));
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  const url = `http://127.0.0.1:${server.address().port}`;
  const now = Math.floor(Date.now() / 1000);
  const part = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");
  const claims = {
    iss: url,
    aud: "bench",
    sub: "user-1",
    exp: now + 3600,
    iat: now,
    email: "ana@example.com",
    scope: "openid profile email",
    roles: ["reader", "writer"],
  };
  const input = `${part({ alg: "RS256", typ: "JWT", kid: "k1" })}.${part(claims)}`;
  const token = `${input}.${sign("sha256", Buffer.from(input), privateKey).toString("base64url")}`;
  return { url, token, close: () => server.close() };
}
