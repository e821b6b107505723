// An issuer of callers' tokens with one key, and one token of typical size.
import { makeKey, seconds, startIssuer as start } from "../tests/e2e/support/issuer.mjs";

export async function startIssuer() {
  const issuer = await start({ keys: [makeKey("RS256", { kid: "k1" })], audience: "bench" });
  const claims = {
    sub: "user-1",
    exp: seconds() + 3600,
    email: "ana@example.com",
    scope: "openid profile email",
    roles: ["reader", "writer"],
  };
  return { issuer, token: issuer.token({ claims }), close: () => issuer.close() };
}
