// The broker in bare workerd: request targets arrive as they were sent.

import { builtModules, startWorkerd as startWorkers } from "../../../scripts/workerd.mjs";

/** @import { Modules } from "../../../scripts/workerd.mjs" */
/** @import { Secrets, Vars } from "./broker.mjs" */

/** @typedef {Awaited<ReturnType<typeof startWorkerd>>} BareBroker */

/**
 * Starts it. What its isolate does not remember it asks the keeper for: there is nothing in KV.
 *
 * @param {object} settings
 * @param {Vars} settings.tables variables that are tables or lists
 * @param {Secrets} settings.texts variables and secrets that are texts
 * @param {Modules} [settings.around] modules of which the first is the entry in the place of the broker's index.js
 * @param {string} [settings.health] the path that answers when the broker is there
 * @param {Modules} [settings.outbound] the modules of a worker that takes all that the broker fetches
 */
export async function startWorkerd({ tables, texts, around = {}, health = "/healthz", outbound }) {
  /**
   * Every line that it logged.
   *
   * @type {string[]}
   */
  const logs = [];
  const broker = { name: "broker", modules: { ...around, ...builtModules() }, tables, texts, keeper: true };
  const { urls, stop, pid } = await startWorkers({
    workers: outbound
      ? [
          { ...broker, outbound: "outbound" },
          { name: "outbound", modules: outbound },
        ]
      : [broker],
    kv: "forgets",
    onLog: (line) => logs.push(line),
    errors: "shown",
  });
  const url = urls.broker;
  const { ok, status } = await fetch(url + health);
  if (ok) return { url, logs, stop, pid, outbound: urls.outbound };
  await stop();
  throw new Error(`${health} answered ${status}:\n${logs.join("\n")}`);
}
