// What the configuration check says before a deployment. How it is called is known here alone.
import { existsSync } from "node:fs";
import { pathToFileURL } from "node:url";
import { Failure, inRoot, say } from "./lib.mjs";

const script = inRoot("scripts", "check.mjs");

/** What the broker needs and can use whatever its configuration says. */
const ALWAYS = [{ name: "SEALING_KEYS", needed: true }, { name: "ADMIN_KEY", needed: false }];

/**
 * Checks the configuration that is deployed and says what is wrong with it; fails where something is. Gives the
 * secrets that it can use, { name, needed }, whether they are set or not.
 */
export async function checkedSecrets({ config = "wrangler.toml", environment = "" }) {
  if (!existsSync(script)) return ALWAYS;
  say("\n==> check");
  const { check, shown } = await import(pathToFileURL(script));
  const report = await check({ config, environment, offline: true });
  // The secrets are asked for later.
  say(shown({ ...report, secrets: [] }, config));
  if (report.problems.length) throw new Failure("The configuration has problems, told above: nothing was deployed.");
  return report.secrets.map(({ name, needed }) => ({ name, needed }));
}
