// The cost of thousands of registered connections: `npm run bench:registry`. It registers CONNECTIONS connections
// (10,000), uses and lists them, compares warm calls with those of a configured connection, and removes them. The
// results go to bench/registry.json.
import { Failure, runMain, say, step } from "../scripts/lib.mjs";
import { startHubsoft } from "../sandbox/providers/hubsoft.mjs";
import { writeResults } from "./report.mjs";
import { KEY } from "./settings.mjs";
import { measure } from "./throughput.mjs";
import { SMALL, startUpstream } from "./upstream.mjs";
import { configuration, preparePorteiro } from "./workers.mjs";
import { builtModules, startWorkerd } from "../scripts/workerd.mjs";

/** @import { Subject } from "./load.mjs" */

const CONNECTIONS = Number(process.env.CONNECTIONS ?? 10_000);
/** The number of connections that are called in turn, each with a token of its own. */
const USED = Math.min(100, CONNECTIONS);
const AT_ONCE = 16;
const OPERATOR = { authorization: "Bearer bench-operator-key-0123456789" };
const CALLER = { authorization: `Bearer ${KEY}` };

/** @param {number} number */
const idOf = (number) => `shop-${String(number).padStart(6, "0")}`;
/** @param {number} count */
const numbers = (count) => Array.from({ length: count }, (_, number) => number);

async function main() {
  await preparePorteiro();
  const upstream = await startUpstream();
  const hubsoft = await startHubsoft({ port: 0 });
  const { vars } = configuration({ upstream, hubsoft });
  vars.ADMIN_KEY = OPERATOR.authorization.split(" ")[1];
  const workerd = await startWorkerd({
    workers: [{ name: "porteiro", modules: builtModules(), vars, keeper: true }],
  });
  const url = workerd.urls.porteiro;
  const { client_id, client_secret, username, password } = hubsoft.credentials;
  const registration = JSON.stringify({
    ...vars.CONNECTIONS.service,
    secrets: { client_id, client_secret, username, password },
  });
  /** @type {{ connections: number, [what: string]: unknown }} */
  const results = { connections: CONNECTIONS };
  try {
    await answered(`${url}/api/service${SMALL}`, { headers: CALLER });
    results.register = await timed("register", () =>
      each(CONNECTIONS, (number) =>
        answered(`${url}/admin/connections/${idOf(number)}`, { method: "PUT", headers: OPERATOR, body: registration }),
      ),
    );
    results.list = await timed("list all, in pages", async () => {
      let [found, next] = [0, ""];
      do {
        const page = await (await answered(`${url}/admin/connections?after=${next}`, { headers: OPERATOR })).json();
        found += page.connections.length;
        next = page.next;
      } while (next !== null);
      if (found !== CONNECTIONS + 1) throw new Failure(`${found} connections are listed.`);
    });
    results.use = await timed("use, for the first time", () =>
      each(CONNECTIONS, (number) => answered(`${url}/api/${idOf(number)}${SMALL}`, { headers: CALLER })),
    );
    // An isolate holds at most 2,000 connections in memory; these calls make them the ones held.
    await each(USED, (number) => answered(`${url}/api/${idOf(number)}${SMALL}`, { headers: CALLER }));
    /** @type {(id: string, name: string, path: string, script?: string) => Subject} */
    const subject = (id, name, path, script) => ({
      id,
      name,
      url: `${url}/api/${path}${SMALL}`,
      headers: CALLER,
      pid: workerd.pid,
      script,
    });
    const measured = await step("warm calls", () =>
      measure([
        subject("configured", "a configured connection", "service"),
        subject("registered", `a registered one of ${CONNECTIONS}`, idOf(0)),
        subject("inTurn", `${USED} registered ones in turn`, idOf(0), inTurn()),
      ]),
    );
    results.warm = measured.map(({ id, rate, cpu, toBaseline }) => ({ id, rate, cpu, toBaseline }));
    for (const { name, rate, toBaseline } of measured) {
      say(
        `    ${name}: ${Math.round(rate.median)} a second, ${toBaseline.rate.median.toFixed(2)} of the configured one (${toBaseline.rate.from.toFixed(2)} to ${toBaseline.rate.to.toFixed(2)})`,
      );
    }
    results.remove = await timed("remove", () =>
      each(CONNECTIONS, (number) =>
        answered(`${url}/admin/connections/${idOf(number)}`, { method: "DELETE", headers: OPERATOR }),
      ),
    );
    const { connections } = await (await answered(`${url}/admin/connections`, { headers: OPERATOR })).json();
    if (connections.length !== 1) throw new Failure("Some are left.");
    writeResults("registry", results);
  } finally {
    await workerd.stop();
    await Promise.all([upstream.stop(), hubsoft.close()]);
  }
}

/**
 * Runs `action` and returns the seconds that it took.
 *
 * @param {string} what
 * @param {() => Promise<void>} act
 */
async function timed(what, act) {
  const began = performance.now();
  await step(what, act);
  return Number(((performance.now() - began) / 1000).toFixed(1));
}

/**
 * @param {number} count
 * @param {(number: number) => Promise<unknown>} act
 */
async function each(count, act) {
  const left = numbers(count).reverse();
  const hand = async () => {
    for (let number = left.pop(); number !== undefined; number = left.pop()) await act(number);
  };
  await Promise.all(Array.from({ length: AT_ONCE }, hand));
}

/**
 * @param {string} address
 * @param {RequestInit} init
 */
async function answered(address, init) {
  const response = await fetch(address, init);
  if (!response.ok)
    throw new Failure(`${init.method ?? "GET"} ${address} answered ${response.status}: ${await response.text()}`);
  return response;
}

/** A wrk script that calls the connections in turn. */
function inTurn() {
  return `local at = 0
request = function()
  at = (at + 1) % ${USED}
  return wrk.format(nil, string.format("/api/shop-%06d${SMALL}", at))
end
`;
}

await runMain(main);
