// Puts the broker on Cloudflare. Arguments go to wrangler: `npm run deploy -- --dry-run`.
import { buildWorker } from "./build.mjs";
import { isMain, run, runMain, step, wrangler } from "./lib.mjs";
import { setup } from "./setup.mjs";

/** Deploys what is built; wrangler may ask the person to sign in. */
export const deploy = (...args) => run(...wrangler("deploy", ...args), { stdin: process.env.CI ? "ignore" : "inherit" });

if (isMain(import.meta.url)) {
  await runMain(async (args) => {
    await setup();
    await buildWorker();
    await step("deploy", () => deploy(...args));
  });
}
