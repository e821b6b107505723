// The sandbox: four providers, an issuer and two front ends, all on this machine.

/** @import { LogLine } from "./types.js" */

import { pathToFileURL } from "node:url";
import { BROKER, startExample, startFrontend } from "./frontend.mjs";
import { startIssuer } from "./issuer.mjs";
import { startAgenda } from "./providers/agenda.mjs";
import { startGuru } from "./providers/guru.mjs";
import { startHubsoft } from "./providers/hubsoft.mjs";
import { startV8 } from "./providers/v8.mjs";

const PORTS = { guru: 8801, hubsoft: 8802, v8: 8803, issuer: 8804, agenda: 8805, frontend: 8790, example: 8791 };

/** Each provider's credentials, which the environment may set. */
const PROVIDERS = {
  guru: ["token", "account_token"],
  hubsoft: ["client_id", "client_secret", "username", "password"],
  v8: ["client_id", "username", "password", "audience"],
  agenda: ["client_id", "client_secret"],
};

// The sandbox may run for days: its memory of past requests is bounded.
const RECORD_LIMIT = 200;

/** @param {NodeJS.ProcessEnv} env @param {string} name @param {string[]} fields @returns {Record<string, string>} */
function credentialsFrom(env, name, fields) {
  const given = fields.map((field) => [field, env[`${name}_${field}`.toUpperCase()]]);
  return Object.fromEntries(given.filter(([, value]) => value));
}

/**
 * @param {NodeJS.ProcessEnv} env
 * @param {{ ports?: typeof PORTS, log?: (line: LogLine) => void }} [settings]
 */
export async function startSandbox(env = process.env, { ports = PORTS, log } = {}) {
  const broker = env.PORTEIRO_BROKER || BROKER;
  /** @type {{ close(): Promise<void> }[]} */
  const started = [];
  const close = async () => {
    await Promise.all(started.map((one) => one.close()));
  };
  /**
   * @template {{ close(): Promise<void> }} T
   * @param {keyof typeof PORTS} name
   * @param {(port: number) => Promise<T>} starter
   */
  const start = async (name, starter) => {
    try {
      const one = await starter(ports[name]);
      started.push(one);
      return one;
    } catch (error) {
      await close();
      if (/** @type {NodeJS.ErrnoException} */ (error).code !== "EADDRINUSE") throw error;
      throw new Error(`port ${ports[name]} (${name}) is in use`, { cause: error });
    }
  };
  /** @param {keyof typeof PROVIDERS} name */
  const settingsOf = (name) => ({
    credentials: credentialsFrom(env, name, PROVIDERS[name]),
    options: { recordLimit: RECORD_LIMIT, limits: true },
    log,
  });
  const peopleClient = credentialsFrom(env, "hubsoft_people", ["client_id", "client_secret"]);
  const guru = await start("guru", (port) => startGuru({ port, ...settingsOf("guru") }));
  guru.webhookUrl = `${broker.replace("localhost", "127.0.0.1")}/webhooks/guru`;
  const hubsoft = await start("hubsoft", (port) => startHubsoft({ port, peopleClient, ...settingsOf("hubsoft") }));
  const v8 = await start("v8", (port) => startV8({ port, ...settingsOf("v8") }));
  const sharedClient = credentialsFrom(env, "agenda_shared", ["client_id", "client_secret"]);
  const agenda = await start("agenda", (port) => startAgenda({ port, sharedClient, broker, ...settingsOf("agenda") }));
  const webhookSecret = env.GURU_WEBHOOK_SECRET || undefined;
  const issuer = await start("issuer", (port) => startIssuer({ port }));
  const frontend = await start("frontend", (port) =>
    startFrontend({ port, broker, guruUrl: guru.url, webhookSecret, issuer, hubsoft }),
  );
  const example = await start("example", (port) => startExample({ port, broker }));
  return { guru, hubsoft, v8, agenda, issuer, frontend, example, close };
}

async function main() {
  const say = (/** @type {string} */ name, /** @type {string} */ text) => console.log(`${name.padEnd(8)} ${text}`);
  const log = (/** @type {LogLine} */ { provider, method, path, status }) =>
    say(provider, `${method} ${path} ${status}`);
  let sandbox;
  try {
    sandbox = await startSandbox(process.env, { log });
  } catch (error) {
    console.error(`sandbox: ${/** @type {Error} */ (error).message}`);
    process.exitCode = 1;
    return;
  }
  for (const { name, baseUrl, tokenUrl } of [sandbox.guru, sandbox.hubsoft, sandbox.v8, sandbox.agenda]) {
    say(name, tokenUrl ? `${baseUrl} (token endpoint ${tokenUrl})` : `${baseUrl} (static token)`);
  }
  say("issuer", `${sandbox.issuer.url} (two people's tokens)`);
  say("frontend", sandbox.frontend.url);
  say("example", sandbox.example.url);
  for (const signal of ["SIGINT", "SIGTERM"]) {
    process.once(signal, () => sandbox.close());
  }
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) await main();
