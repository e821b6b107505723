// Asks a newly deployed broker for its health.
/** @typedef {{ config?: string, environment?: string }} Place a file and an environment in it */

import { output, node, packageFolder, pageAt, project, say, toolEnv } from "./lib.mjs";

/** The DNS entry of a new host may take a while to spread. */
const WITHIN_MS = 30_000;
const EVERY_MS = 2_000;

/**
 * Asks `healthz` at the addresses that wrangler deployed to, and prints each answer.
 * @param {string[]} targets
 * @param {Place} to
 */
export async function sayHealth(targets, to, within = WITHIN_MS) {
  const { basePath = "" } = settings(to);
  for (const target of targets) {
    const address = healthAddress(target, basePath);
    if (!address) continue;
    say(`\n==> ${address}`);
    say(`    ${await health(address, within)}`);
    const open = await isOpen(address);
    if (open) say(`    ${OPEN}`);
  }
}

const OPEN = `is answered over plain http, too, where others can read what is sent: have it redirected (Always Use HTTPS). ${pageAt("docs/start/deploy.md")}#https says how.`;

/**
 * Whether the address answers plain `http` with something other than a redirect to `https`.
 * @param {string} address
 */
export async function isOpen(address) {
  const plain = address.replace(/^https:/, "http:");
  const asked = fetch(plain, { redirect: "manual", signal: AbortSignal.timeout(5_000) });
  return asked.then(
    ({ status, headers }) =>
      status < 500 && !(status >= 300 && status < 400 && headers.get("location")?.startsWith("https:")),
    () => false,
  );
}

/**
 * The address of `healthz` below a target of wrangler's: an address, a host or a route's pattern. Undefined for a
 * target that does not name one host, or does not include the broker's path.
 * @param {string} target
 * @param {string} basePath
 */
export function healthAddress(target, basePath) {
  const [place] = target.replace(/^https?:\/\//, "").split(" ");
  const [host, ...rest] = place.split("/");
  const pattern = `/${rest.join("/")}`;
  const path = `${basePath}/healthz`;
  if (!/^[\w.-]+\.\w+$/.test(host)) return undefined;
  const reached = !rest.length || (pattern.endsWith("*") ? path.startsWith(pattern.slice(0, -1)) : path === pattern);
  return reached ? `https://${host}${path}` : undefined;
}

/** @type {(address: string, within: number) => Promise<string>} */
async function health(address, within) {
  const deadline = Date.now() + within;
  for (;;) {
    const said = await fetch(address, { redirect: "manual", signal: AbortSignal.timeout(5_000) }).then(
      async (answer) => ({
        alive: answer.status === 200,
        text: `${answer.status} ${(await answer.text()).slice(0, 200)}`,
      }),
      (error) => ({ alive: false, text: `no answer (${error.cause?.code ?? error.name})` }),
    );
    if (said.alive) return said.text;
    if (Date.now() + EVERY_MS > deadline)
      return `${said.text}\n    A new host may take some minutes. Try it again: curl ${address}`;
    await new Promise((resolve) => setTimeout(resolve, EVERY_MS));
  }
}

/**
 * The configuration, as wrangler reads it.
 * @param {Place} place
 * @returns {{ basePath?: string }}
 */
function settings({ config, environment }) {
  const code = `
    const { unstable_readConfig } = require(${JSON.stringify(packageFolder("wrangler"))});
    const { vars } = unstable_readConfig({ config: process.argv[1] || undefined, env: process.argv[2] || undefined }, { hideWarnings: true });
    console.log(JSON.stringify({ basePath: vars.BASE_PATH }));`;
  return JSON.parse(
    output(node(), ["-e", code, config ?? "", environment ?? ""], { env: toolEnv(), cwd: project }) ?? "{}",
  );
}
