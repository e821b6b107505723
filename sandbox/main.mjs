// The sandbox: three providers and two front ends, all on this machine.

import { pathToFileURL } from "node:url";
import { startExample, startFrontend } from "./frontend.mjs";
import { startGuru } from "./providers/guru.mjs";
import { startHubsoft } from "./providers/hubsoft.mjs";
import { startV8 } from "./providers/v8.mjs";

const PORTS = { guru: 8801, hubsoft: 8802, v8: 8803, frontend: 8790, example: 8791 };

const PROVIDERS = {
  guru: { start: startGuru, fields: ["token", "account_token"] },
  hubsoft: { start: startHubsoft, fields: ["client_id", "client_secret", "username", "password"] },
  v8: { start: startV8, fields: ["client_id", "username", "password", "audience"] },
};

// It may run for days; what it keeps of past requests must not grow with them.
const RECORD_LIMIT = 200;

function credentialsFrom(env, name, fields) {
  const given = fields.map((field) => [field, env[`${name}_${field}`.toUpperCase()]]);
  return Object.fromEntries(given.filter(([, value]) => value));
}

export async function startSandbox(env = process.env, { ports = PORTS, log } = {}) {
  const started = {};
  const start = async (name, starter) => {
    try {
      started[name] = await starter(ports[name]);
    } catch (error) {
      await Promise.all(Object.values(started).map((one) => one.close()));
      if (error.code !== "EADDRINUSE") throw error;
      throw new Error(`port ${ports[name]} (${name}) is in use`, { cause: error });
    }
  };
  for (const [name, { start: starter, fields }] of Object.entries(PROVIDERS)) {
    const credentials = credentialsFrom(env, name, fields);
    const peopleClient = credentialsFrom(env, `${name}_people`, ["client_id", "client_secret"]);
    await start(name, (port) =>
      starter({ port, credentials, peopleClient, options: { recordLimit: RECORD_LIMIT }, log }),
    );
  }
  const webhookSecret = env.GURU_WEBHOOK_SECRET || undefined;
  await start("frontend", (port) => startFrontend({ port, guruUrl: started.guru.url, webhookSecret }));
  await start("example", (port) => startExample({ port }));
  return {
    ...started,
    close: async () => {
      await Promise.all(Object.values(started).map((one) => one.close()));
    },
  };
}

async function main() {
  const say = (name, text) => console.log(`${name.padEnd(8)} ${text}`);
  const log = ({ provider, method, path, status }) => say(provider, `${method} ${path} ${status}`);
  let sandbox;
  try {
    sandbox = await startSandbox(process.env, { log });
  } catch (error) {
    console.error(`sandbox: ${error.message}`);
    process.exitCode = 1;
    return;
  }
  for (const name of Object.keys(PROVIDERS)) {
    const { baseUrl, tokenUrl } = sandbox[name];
    say(name, tokenUrl ? `${baseUrl} (token endpoint ${tokenUrl})` : `${baseUrl} (static token)`);
  }
  say("frontend", sandbox.frontend.url);
  say("example", sandbox.example.url);
  for (const signal of ["SIGINT", "SIGTERM"]) {
    process.once(signal, () => sandbox.close());
  }
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) await main();
