// Writes the registered connections of a broker to standard output, a JSON line each and no secret, or registers those
// of such a file: docs/guides/register.md.
//
//   node scripts/connections.mjs export [--url ADDRESS] [--label NAME:VALUE]
//   node scripts/connections.mjs import FILE [--url ADDRESS]
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { Dialog, atTerminal } from "./dialog.mjs";
import { Failure, errorCode, isClone, isMain, runMain } from "./lib.mjs";

const LOCAL = "http://localhost:8787";
const AT_ONCE = 8;
/** How often a request is made that was answered 429 or 503, or not at all. */
const ATTEMPTS = 4;
/** The longest wait before the next attempt, in seconds. */
const LONGEST_WAIT = 30;
const ID = /^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$/;

// npm says more than the lines, which go to a file.
const COMMAND = isClone ? "npm run --silent connections --" : "npx porteiro connections";
const USAGE = `Usage:
  ${COMMAND} export [--url ADDRESS] [--label NAME:VALUE] > connections.jsonl
  ${COMMAND} import FILE [--url ADDRESS]

ADDRESS is the broker's, with its BASE_PATH; by default ${LOCAL}.
The operator's key is read from the environment variable ADMIN_KEY, or asked for.`;

/**
 * One registered connection: its id and its own fields. Exported, `secrets` has the names of those that are set;
 * to be imported, it may have their values.
 * @typedef {{ id: string, secrets?: string[] | { [name: string]: string | null }, [field: string]: unknown }} Line
 */

/**
 * @typedef {object} Broker
 * @property {(path: string, init?: { method?: string, body?: string }) => Promise<Response>} ask any answer but 429 and 503
 */

/**
 * The broker at `url`, as its operator.
 * @param {string} url
 * @param {string} key
 * @returns {Broker}
 */
export function brokerAt(url, key) {
  const address = `${url.replace(/\/+$/, "")}/admin/connections`;
  const headers = { Authorization: `Bearer ${key}`, "Accept-Language": "en" };
  return {
    async ask(path, init = {}) {
      for (let attempt = 1; ; attempt++) {
        /** @type {Response | undefined} */
        let answer;
        /** @type {unknown} */
        let failure;
        try {
          answer = await fetch(address + path, { ...init, headers, redirect: "manual" });
          if (![429, 503].includes(answer.status)) return answer;
        } catch (error) {
          failure = error instanceof Error && error.cause ? error.cause : error;
        }
        if (attempt === ATTEMPTS) {
          if (answer) return answer;
          throw new Failure(`The broker at ${url} does not answer (${errorCode(failure)}).`);
        }
        const seconds = Number(answer?.headers.get("retry-after")) || attempt;
        await new Promise((resolve) => setTimeout(resolve, Math.min(seconds, LONGEST_WAIT) * 1000));
      }
    },
  };
}

/**
 * The registered connections in the order of their ids, those with the label `NAME:VALUE` if one is given.
 * @param {Broker} broker
 * @param {{ label?: string }} [which]
 * @returns {AsyncGenerator<Line>}
 */
export async function* exported(broker, { label } = {}) {
  /** @type {string | null} */
  let after = "";
  do {
    const query = new URLSearchParams({ after, ...(label && { label }) });
    /** @type {{ connections: { id: string, source: string }[], next: string | null }} */
    const page = await body(await broker.ask(`?${query}`), label && "Is the label written as NAME:VALUE?");
    const ids = page.connections.filter(({ source }) => source === "registry").map(({ id }) => id);
    yield* (await each(ids, (id) => one(broker, id))).filter((line) => line !== undefined);
    after = page.next;
  } while (after !== null);
}

/**
 * One registered connection; undefined if it was removed meanwhile.
 * @param {Broker} broker
 * @param {string} id
 * @returns {Promise<Line | undefined>}
 */
async function one(broker, id) {
  const answer = await broker.ask(`/${id}`);
  if (answer.status === 404) return undefined;
  const { connection, secrets } = await body(answer);
  // A record that the broker cannot open has no fields to be shown; without a line it would be lost unnoticed.
  if (!connection) throw new Failure(`${id} cannot be read: the broker's log says why. Nothing more was exported.`);
  return { id, ...connection, secrets };
}

/**
 * The lines of a file. Every mistake in it is reported at once, before anything is sent.
 * @param {string} text
 * @returns {{ number: number, line: Line }[]}
 */
export function readLines(text) {
  /** @type {string[]} */
  const mistakes = [];
  /** @type {Map<string, number>} */
  const seen = new Map();
  const lines = text.replace(/^\uFEFF/, "").split(/\r?\n/);
  const read = lines.flatMap((written, at) => {
    const number = at + 1;
    if (!written.trim()) return [];
    const mistake = (/** @type {string} */ what) => {
      mistakes.push(`line ${number}: ${what}`);
      return [];
    };
    /** @type {unknown} */
    let value;
    try {
      value = JSON.parse(written);
    } catch {
      // The parser's message would quote the line, which may have secrets.
      return mistake("is not JSON");
    }
    if (typeof value !== "object" || value === null || Array.isArray(value)) return mistake("is not a JSON object");
    const line = /** @type {Line} */ (value);
    if (typeof line.id !== "string" || !ID.test(line.id)) {
      return mistake("id must have 1 to 64 letters, digits, - and _ and begin with a letter or digit");
    }
    const before = seen.get(line.id);
    if (before) return mistake(`${line.id} is on line ${before}, too`);
    seen.set(line.id, number);
    const { secrets } = line;
    const isNames = Array.isArray(secrets) && secrets.every((name) => typeof name === "string");
    const isTable = typeof secrets === "object" && secrets !== null && !Array.isArray(secrets);
    if (secrets !== undefined && !isNames && !isTable) {
      return mistake("secrets must be a table of values, or a list of names as exported");
    }
    return [{ number, line }];
  });
  if (mistakes.length) throw new Failure(`Nothing was imported:\n${mistakes.map((it) => `  ${it}`).join("\n")}`);
  return read;
}

/**
 * Registers each connection, or replaces its registration; secrets that a line does not give are kept. Returns the
 * counts; `tell` gets a line for each that was refused or lacks a secret that it had where it was exported.
 * @param {Broker} broker
 * @param {{ number: number, line: Line }[]} lines
 * @param {(text: string) => void} tell
 */
export async function importLines(broker, lines, tell) {
  const counts = { registered: 0, replaced: 0, refused: 0, incomplete: 0 };
  await each(lines, async ({ number, line: { id, secrets, ...fields } }) => {
    const say = (/** @type {string} */ what) => tell(`line ${number}: ${id}: ${what}`);
    const names = Array.isArray(secrets) ? secrets : [];
    const registration = JSON.stringify({ ...fields, ...(Array.isArray(secrets) ? {} : { secrets }) });
    const answer = await broker.ask(`/${id}`, { method: "PUT", body: registration });
    if (!answer.ok) {
      // Of these every line would be.
      if (![400, 409, 413, 429, 503].includes(answer.status)) await body(answer);
      counts.refused += 1;
      return say(await reason(answer));
    }
    counts[answer.status === 201 ? "registered" : "replaced"] += 1;
    if (!names.length) return;
    const there = await broker.ask(`/${id}`);
    /** @type {{ secrets?: string[] }} */
    const { secrets: set = [] } = there.ok ? await there.json() : {};
    const absent = names.filter((name) => !set.includes(name));
    if (!absent.length) return;
    counts.incomplete += 1;
    say(`${absent.map((name) => `secrets.${name}`).join(", ")} was set where it was exported, and is not set here`);
  });
  return counts;
}

/**
 * Why the broker refused, on one line.
 * @param {Response} answer
 */
export async function reason(answer) {
  /** @type {{ problems?: { field: string, message: string }[], detail?: string, code?: string }} */
  const { problems, detail, code } = await answer.json().catch(() => ({}));
  if (problems?.length) return problems.map(({ field, message }) => `${field} ${message}`).join("; ");
  return `${answer.status}${code ? ` ${code}` : ""}${detail ? `: ${detail}` : ""}`;
}

/**
 * The JSON of an answer that must be one of success.
 * @param {Response} answer
 * @param {string} [hint]
 */
async function body(answer, hint) {
  if (answer.ok) return answer.json();
  if (answer.status === 401) throw new Failure("The broker refused the key: it must be one of its ADMIN_KEY.");
  throw new Failure(`The broker answered ${await reason(answer)}${hint && answer.status === 400 ? ` ${hint}` : ""}`);
}

/**
 * The results of `act` for each item, some at a time, in the order of the items.
 * @template T, R
 * @param {T[]} items
 * @param {(item: T) => Promise<R>} act
 * @returns {Promise<R[]>}
 */
async function each(items, act) {
  /** @type {R[]} */
  const results = [];
  const left = items.entries();
  const hand = async () => {
    for (const [at, item] of left) results[at] = await act(item);
  };
  await Promise.all(Array.from({ length: AT_ONCE }, hand));
  return results;
}

/**
 * The broker's address. An operator's key goes over plain http to this machine alone.
 * @param {string} url
 */
export function checkedUrl(url) {
  const { protocol, hostname, search, hash, username } = URL.canParse(url) ? new URL(url) : new URL("none:");
  const isLocal = protocol === "http:" && /^(localhost|127\.0\.0\.1|\[::1\])$/.test(hostname);
  if ((protocol === "https:" || isLocal) && !search && !hash && !username) return url;
  throw new Failure("--url must be the broker's https address, or an http address of this machine.");
}

export async function operatorKey() {
  if (process.env.ADMIN_KEY) return process.env.ADMIN_KEY;
  if (!atTerminal()) throw new Failure("ADMIN_KEY is not set in the environment, and nobody is here to ask.");
  const dialog = new Dialog(process.stdin, process.stderr, "Stopped: nothing was done.");
  try {
    return await dialog.hidden("The operator's key (not shown): ");
  } finally {
    dialog.close();
  }
}

/** @param {string[]} args */
function chosen(args) {
  try {
    const { values, positionals } = parseArgs({
      args,
      allowPositionals: true,
      options: {
        url: { type: "string", default: LOCAL },
        label: { type: "string" },
        help: { type: "boolean", short: "h" },
      },
    });
    const [action, file, ...more] = positionals;
    const isWhole = action === "import" ? file && !values.label : action === "export" && !file;
    if (!values.help && (!isWhole || more.length)) throw new Failure(USAGE);
    return { ...values, action, file };
  } catch (error) {
    throw error instanceof TypeError ? new Failure(`${error.message}\n\n${USAGE}`) : error;
  }
}

/** @param {string[]} args */
export async function main(args) {
  const { action, file, url, label, help } = chosen(args);
  if (help) return console.log(USAGE);
  const lines = action === "import" ? readLines(textOf(file)) : [];
  const broker = brokerAt(checkedUrl(url), await operatorKey());
  if (action === "export") {
    let count = 0;
    for await (const line of exported(broker, { label })) {
      if (!process.stdout.write(`${JSON.stringify(line)}\n`)) await once(process.stdout, "drain");
      count += 1;
    }
    return console.error(`${count} exported, without secrets.`);
  }
  const { registered, replaced, refused, incomplete } = await importLines(broker, lines, console.error);
  console.error(`${registered} registered, ${replaced} replaced, ${refused} refused.`);
  if (refused || incomplete) process.exitCode = 1;
}

/** @param {string} file */
function textOf(file) {
  try {
    return readFileSync(file === "-" ? 0 : file, "utf8");
  } catch (error) {
    throw new Failure(`${file} cannot be read (${errorCode(error)}).`);
  }
}

if (isMain(import.meta.url)) await runMain(main);
