// The secrets for development: read as wrangler reads them, and generated if missing.
import { randomBytes } from "node:crypto";
import { chmodSync, existsSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { Failure, project, say } from "./lib.mjs";

/** @typedef {Record<string, string>} Vars */
/** @typedef {Record<string, () => string>} Makers a generator for each secret */

/** @param {number} [bytes] */
const random = (bytes = 24) => randomBytes(bytes).toString("base64url");

/** The secrets that every broker needs. @type {Makers} */
const BROKER = {
  SEALING_KEYS: () => `dev:${randomBytes(32).toString("base64")}`,
  ADMIN_KEY: () => random(),
};

/** The accounts at the sandbox's providers. @type {Makers} */
const SANDBOX = {
  GURU_TOKEN: () => random(),
  GURU_ACCOUNT_TOKEN: () => random(30),
  GURU_WEBHOOK_SECRET: () => `whsec_${randomBytes(32).toString("base64")}`,
  HUBSOFT_CLIENT_ID: () => `client-${random(6)}`,
  HUBSOFT_CLIENT_SECRET: () => random(),
  HUBSOFT_USERNAME: () => `broker-${random(6)}@example.com`.toLowerCase(),
  HUBSOFT_PASSWORD: () => random(),
  HUBSOFT_PEOPLE_CLIENT_ID: () => `client-${random(6)}`,
  HUBSOFT_PEOPLE_CLIENT_SECRET: () => random(),
  V8_CLIENT_ID: () => `client-${random(6)}`,
  V8_USERNAME: () => `broker-${random(6)}@example.com`.toLowerCase(),
  V8_PASSWORD: () => random(),
  V8_AUDIENCE: () => `https://audience-${random(6)}.example.com`.toLowerCase(),
  AGENDA_CLIENT_ID: () => `client-${random(6)}`,
  AGENDA_CLIENT_SECRET: () => random(),
  AGENDA_SHARED_CLIENT_ID: () => `client-${random(6)}`,
  AGENDA_SHARED_CLIENT_SECRET: () => random(),
};

const HEAD = "# Secrets for development on this machine only, made at random. Never deployed.\n";
const SANDBOX_HEAD =
  "# Secrets of the sandbox, made at random by `npm start`, and the broker's own from ../.dev.vars.\n";

/**
 * The variables in the text of a `.dev.vars`. wrangler reads the file with the same version of the same package.
 * @param {string} text
 * @returns {Promise<Vars>}
 */
export async function parseVars(text) {
  // Imported here, since the Node modules exist only after the set-up.
  const { default: dotenv } = await import("dotenv");
  return dotenv.parse(text);
}

/**
 * The variables in a `.dev.vars`; none if the file does not exist.
 * @param {string} file
 */
export const readVars = (file) => parseVars(textOf(file));

/** Whether the broker's secrets for development exist. */
export const hasDevVars = (folder = project) => !missingIn(textOf(path.join(folder, ".dev.vars")), BROKER).length;

/** The key of a server of one's own, which a new project has. @type {Makers} */
const BACKEND = { BACKEND_KEY: () => random(32) };

/**
 * Generates the broker's missing secrets for development. Existing text in the file does not change.
 * @param {string} [folder]
 * @param {{ head?: string }} [ofProject] of a new project, which has a caller, too; `head` is the file's first line
 */
export async function makeDevVars(folder = project, ofProject) {
  const file = path.join(folder, ".dev.vars");
  const text = textOf(file);
  const makers = ofProject ? { ...BROKER, ...BACKEND } : BROKER;
  const names = missingIn(text, makers);
  if (!names.length) return;
  const made = Object.fromEntries(names.map((name) => [name, makers[name]()]));
  const head = ofProject?.head ? `# ${ofProject.head}\n` : HEAD;
  writeFileSync(file, startOf(text, head) + linesOf(made), { mode: 0o600 });
  if (!ofProject) say(`\n==> .dev.vars: made ${names.join(" and ")} for development`);
}

/** The file with the names of the secrets, which is committed. */
export const EXAMPLE = ".dev.vars.example";

/** @typedef {{ name: string, where: string }} Wanted a secret without a value, and where it is found */

/**
 * Writes an empty line for each of `secrets` that the `.dev.vars` in `folder` does not have, below where it is found;
 * the same in the example beside it, where there is one.
 * @param {Wanted[]} secrets
 * @param {string} folder
 */
export function addVars(secrets, folder) {
  addEmpty(secrets, path.join(folder, ".dev.vars"));
  const example = path.join(folder, EXAMPLE);
  if (existsSync(example)) addEmpty(secrets, example);
}

/** @param {Wanted[]} secrets @param {string} file */
function addEmpty(secrets, file) {
  const text = textOf(file);
  const missing = missingIn(text, Object.fromEntries(secrets.map(({ name }) => [name, () => ""])));
  const added = secrets.filter(({ name }) => missing.includes(name));
  if (added.length) writeFileSync(file, startOf(text, "") + emptyVars(added), { mode: 0o600 });
}

/** @param {Wanted[]} secrets */
export const emptyVars = (secrets) => secrets.map(({ name, where }) => `\n# ${where}\n${name}=""\n`).join("");

/** @param {string} text @param {string} head */
const startOf = (text, head) => (text === "" ? head : text.endsWith("\n") ? text : `${text}\n`);

/**
 * Writes the secrets of `npm start` beside the sandbox's configuration, and returns them: the sandbox's own, which are
 * kept, and the broker's from `.dev.vars` in `folder`.
 */
export async function makeSandboxVars(folder = project, sandbox = path.join(folder, "sandbox")) {
  const file = path.join(sandbox, ".dev.vars");
  const there = await readVars(file);
  const own = await readVars(path.join(folder, ".dev.vars"));
  // Where there is no project yet, the sandbox has keys of its own.
  const hasOwn = Object.keys(BROKER).some((name) => name in own);
  const vars = Object.fromEntries([
    ...Object.keys(SANDBOX).map((name) => [name, there[name] || SANDBOX[name]()]),
    ...Object.keys(BROKER)
      .filter((name) => !hasOwn || name in own)
      .map((name) => [name, hasOwn ? own[name] : there[name] || BROKER[name]()]),
  ]);
  const text = SANDBOX_HEAD + linesOf(vars);
  const read = await parseVars(text);
  const wrong = Object.keys(vars).filter((name) => read[name] !== vars[name]);
  if (wrong.length) throw new Failure(`${wrong.join(", ")} in .dev.vars: no value can hold all three sorts of quotes.`);
  writeFileSync(file, text, { mode: 0o600 });
  chmodSync(file, 0o600);
  return vars;
}

/** @param {string} file */
const textOf = (file) => (existsSync(file) ? readFileSync(file, "utf8") : "");

/**
 * The names in `makers` with which no line begins. If wrangler cannot read the line of a name, the person must correct
 * it: a generated value must not follow it.
 * @param {string} text
 * @param {Makers} makers
 */
const missingIn = (text, makers) =>
  Object.keys(makers).filter((name) => !new RegExp(`^[^\\S\\n]*(?:export\\s+)?${name}(?![\\w.-])`, "m").test(text));

/**
 * @param {Vars} vars
 * @returns {string}
 */
const linesOf = (vars) =>
  Object.entries(vars)
    .map(([name, value]) => {
      // The format has no escape for quotes, so the text uses a quote that does not occur in it. In " a \n would be a
      // line break.
      const quote = ["'", '"', "`"].find((it) => !value.includes(it) && !(it === '"' && value.includes("\\")));
      return `${name}=${quote ?? '"'}${value}${quote ?? '"'}\n`;
    })
    .join("");
