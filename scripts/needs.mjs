// What the configuration check says before a deployment. How it is called is known here alone.
import { check, shown } from "./check.mjs";
import { Failure, say } from "./lib.mjs";

/**
 * Checks the configuration that is deployed and says what is wrong with it; fails where something is. Gives the
 * secrets that it can use, whether they are set or not.
 * @param {{ config?: string, environment?: string }} place
 * @returns {Promise<import("./secrets.mjs").Usable[]>}
 */
export async function checkedSecrets({ config = "wrangler.toml", environment = "" }) {
  say("\n==> check");
  const report = await check({ config, environment, offline: true });
  // The secrets are asked for later.
  say(shown({ ...report, secrets: [] }, config));
  if (report.problems.length) throw new Failure("The configuration has problems, told above: nothing was deployed.");
  return report.secrets.map(({ name, needed }) => ({ name, needed }));
}
