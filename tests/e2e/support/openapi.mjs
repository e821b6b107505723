// docs/reference/openapi.yaml, and the two ways in which tests compare the broker with it: requests that schemathesis
// generates from it, and answers that a test provoked.

import { spawn } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { text } from "node:stream/consumers";
import { fileURLToPath } from "node:url";
import { endWithThis } from "../../../scripts/processes.mjs";
import { ensurePython } from "../../../scripts/python.mjs";

/** @import { Broker } from "./broker.mjs" */
/** @import { Answer } from "./client.mjs" */

/** @param {string} path */
const at = (path) => fileURLToPath(new URL(path, import.meta.url));

const DOCUMENT = at("../../../docs/reference/openapi.yaml");

/** The number of requests that schemathesis draws for each operation, and its seed. */
const { PORTEIRO_OPENAPI_EXAMPLES: EXAMPLES, PORTEIRO_OPENAPI_SEED: SEED } = process.env;

/**
 * The document, after validation as OpenAPI.
 *
 * @returns {Promise<any>}
 */
export const readDocument = async () => JSON.parse(await python(["read", DOCUMENT]));

/**
 * The operations of the document, each with its path and a label such as "GET /healthz".
 *
 * @param {any} document
 * @returns {any[]}
 */
export const operationsOf = (document) =>
  Object.entries(document.paths).flatMap(([path, item]) =>
    ["get", "head", "post", "put", "patch", "delete", "options"]
      .filter((method) => item[method])
      .map((method) => ({ path, label: `${method.toUpperCase()} ${path}`, ...item[method] })),
  );

/**
 * The problem of each of `answers`; null if there is none.
 *
 * @param {Pick<Broker, "url">} broker
 * @param {{ operation: string, answer: Pick<Answer, "status" | "rawHeaders" | "text"> }[]} answers
 * @returns {Promise<(string | null)[]>}
 */
export async function faultsOf(broker, answers) {
  const told = answers.map(({ operation, answer: { status, rawHeaders: headers, text: body } }) => ({
    operation,
    url: broker.url,
    status,
    headers,
    body,
  }));
  return JSON.parse(await python(["check", DOCUMENT], JSON.stringify(told)));
}

/**
 * The output of a command of document.py.
 *
 * @param {string[]} args
 */
async function python(args, input = "") {
  const { code, out, error } = await run(await ensurePython(), [at("openapi/document.py"), ...args], { input });
  if (code !== 0) throw new Error(`document.py ${args[0]} ended with ${code}:\n${error}`);
  return out;
}

/**
 * Lets schemathesis call `broker`. Returns whether it found a problem, its output, and the statuses of each operation:
 * { found, said, statuses: { "GET /healthz": Set } }.
 *
 * @param {Pick<Broker, "url" | "vars">} broker
 * @param {{ [name: string]: string }} env
 * @param {{ document?: object, options?: string[] }} [changes] a document to use instead of the one in docs/, and
 * further command line options
 */
export async function schemathesis(broker, env, { document, options = [] } = {}) {
  const folder = await mkdtemp(join(tmpdir(), "porteiro-openapi-"));
  try {
    const report = join(folder, "report.ndjson");
    const place = document ? join(folder, "openapi.json") : DOCUMENT;
    if (document) await writeFile(place, JSON.stringify(document));
    const { code, out, error } = await run(
      join(dirname(await ensurePython()), "schemathesis"),
      [
        "--config-file",
        at("openapi/schemathesis.toml"),
        "run",
        place,
        "--url",
        `${broker.url}${broker.vars.BASE_PATH ?? ""}`,
        "--no-color",
        ...(EXAMPLES ? ["--max-examples", EXAMPLES] : []),
        ...(SEED ? ["--seed", SEED] : []),
        "--report-ndjson-path",
        report,
        ...options,
      ],
      { cwd: folder, env },
    );
    // Exit code 1 reports findings; any other that it did not run.
    if (code !== 0 && code !== 1) throw new Error(`schemathesis ended with ${code}:\n${out}${error}`);
    return { found: code === 1, said: out, statuses: statusesOf(await readFile(report, "utf8")) };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** @param {string} report */
function statusesOf(report) {
  /** @type {{ [operation: string]: Set<number> }} */
  const statuses = {};
  for (const line of report.split("\n").filter(Boolean)) {
    const { label, interactions } = JSON.parse(line).ScenarioFinished?.recorder ?? {};
    /** @type {{ response?: { status_code: number } }[]} */
    const all = Object.values(interactions ?? {});
    for (const { response } of all) {
      if (response) (statuses[label] ??= new Set()).add(response.status_code);
    }
  }
  return statuses;
}

/**
 * @param {string} command
 * @param {string[]} args
 * @param {{ input?: string, cwd?: string, env?: { [name: string]: string } }} [options]
 */
async function run(command, args, { input = "", cwd, env } = {}) {
  const child = endWithThis(
    spawn(command, args, {
      cwd,
      env: { PATH: process.env.PATH, HOME: tmpdir(), PYTHONDONTWRITEBYTECODE: "1", ...env },
    }),
  );
  /** @type {Promise<number | null>} */
  const ended = new Promise((resolve, reject) => child.once("close", resolve).once("error", reject));
  child.stdin.on("error", () => {}).end(input);
  const [code, out, error] = await Promise.all([ended, text(child.stdout), text(child.stderr)]);
  return { code, out, error };
}
