// The configuration check before a deployment. Only this module knows how the check is called.
import { check, shown } from "./check.mjs";
import { Failure, say } from "./lib.mjs";

/**
 * Checks the configuration to be deployed, prints the findings, and fails on a problem. Returns the secrets that the
 * configuration can use, set or not.
 * @param {{ config?: string, environment?: string }} place
 * @returns {Promise<import("./secrets.mjs").Usable[]>}
 */
export async function checkedSecrets({ config = "wrangler.toml", environment = "" }) {
  say("\n==> check");
  const report = await check({ config, environment, offline: true, devVars: async () => [] });
  // The deployment asks for the secrets later.
  say(shown({ ...report, secrets: [] }, config));
  if (report.problems.length) throw new Failure("The configuration has problems, told above: nothing was deployed.");
  return report.secrets.map(({ name, needed }) => ({ name, needed }));
}
