// What the configuration check says before a deployment. How it is called is known here alone.
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { pathToFileURL } from "node:url";
import { Failure, inRoot, node, root, say, toolEnv } from "./lib.mjs";

const script = inRoot("scripts", "check.mjs");

/** What the broker cannot do without, whatever its configuration says. */
const ALWAYS = ["SEALING_KEYS"];

/** Fails when the configuration that is deployed has mistakes; the check has said which. */
export async function checkConfiguration({ config, environment }) {
  if (!existsSync(script)) return;
  say("\n==> check");
  const { check } = await import(pathToFileURL(script));
  if (await check({ config, environment })) throw new Failure("The configuration has mistakes, told above: mend them, and run this again.");
}

/** The names of the secrets that the configuration needs. */
export function neededSecrets({ config, environment }) {
  if (!existsSync(script)) return ALWAYS;
  const args = [script, "--json", ...(config ? ["--config", config] : []), ...(environment ? ["--env", environment] : [])];
  const { stdout } = spawnSync(node(), args, { cwd: root, encoding: "utf8", env: toolEnv(), stdio: ["ignore", "pipe", "inherit"] });
  try {
    const { secrets } = JSON.parse(stdout);
    const ours = secrets.filter((secret) => (secret.environment || undefined) === environment);
    return ours.map(({ name }) => name);
  } catch {
    throw new Failure("`node scripts/check.mjs --json` did not tell the secrets that are needed.");
  }
}
