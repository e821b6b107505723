// Pages of the broker's site and of others in a real browser, with a provider at which people consent.

import { chromium } from "playwright-core";
import { ensureChromium } from "../../../scripts/chromium.mjs";
import { EVERYTHING, startBroker } from "./broker.mjs";
import { startSites } from "./sites.mjs";
import { startProvider } from "./strict-provider.mjs";

export const WWW = "https://www.app.test";
export const FRIEND = "https://friend.test";
export const EVIL = "https://evil.test";
/** A broker beside the application. */
export const BESIDE = "https://broker.app.test/broker";
/** One on another site, with SESSION_CROSS_SITE. */
export const ABROAD = "https://broker.other.test/broker";
export const ADMIN = "operator-key-0123456789abcdef";

/** @import { Secrets, Vars } from "./broker.mjs" */

/**
 * The provider, the two brokers, the sites of the pages, and Chromium.
 *
 * @param {{ connections?: Vars, callers?: Vars, secrets?: Secrets }} [more] what the brokers have besides
 */
export async function startConsentSites({ connections, callers, secrets } = {}) {
  const executablePath = await ensureChromium();
  const provider = await startProvider();
  const redirectUris = [BESIDE, ABROAD].flatMap((base) =>
    ["calendar", "mail", "crm"].map((id) => `${base}/auth/callback/${id}`),
  );
  const { secret } = provider.register("porteiro", { redirectUris });
  const shared = {
    provider: "custom",
    grant: "authorization_code",
    issuer: provider.issuer.issuer,
    client_id: "porteiro",
    base_url: provider.url,
  };
  const people = {
    ...shared,
    subject: "user",
    rules: [{ callers: ["session"], methods: ["GET"], paths: ["/api/**"] }],
  };
  /** @param {boolean} isCrossSite */
  const start = (isCrossSite) =>
    startBroker({
      https: true,
      vars: {
        ALLOWED_ORIGINS: [WWW, FRIEND],
        BASE_PATH: "/broker",
        SESSION_CROSS_SITE: isCrossSite,
        ...(callers ? { CALLERS: callers } : {}),
        CONNECTIONS: {
          calendar: { ...people, scope: "openid events" },
          mail: { ...people, scope: "mail" },
          crm: { ...shared, scope: "crm", rules: [EVERYTHING] },
          ...connections,
        },
      },
      secrets: {
        ADMIN_KEY: ADMIN,
        CALENDAR_CLIENT_SECRET: secret,
        MAIL_CLIENT_SECRET: secret,
        CRM_CLIENT_SECRET: secret,
        ...secrets,
      },
    });
  const [strict, crossSite] = await Promise.all([start(false), start(true)]);
  const sites = await startSites({ [new URL(BESIDE).host]: strict.url, [new URL(ABROAD).host]: crossSite.url });
  const browser = await chromium.launch({
    executablePath,
    args: [
      "--no-sandbox",
      "--disable-background-networking",
      "--ignore-certificate-errors",
      // Third-party cookies are refused, unless they are partitioned.
      "--test-third-party-cookie-phaseout",
      `--host-resolver-rules=MAP *.test ${sites.address}, MAP * ~NOTFOUND, EXCLUDE 127.0.0.1`,
    ],
  });
  const close = async () => {
    await browser.close();
    await sites.close();
    await Promise.all([strict.stop(), crossSite.stop(), provider.close()]);
  };
  return { provider, strict, crossSite, sites, browser, close };
}
