// The Worker's secrets: which are set, which are missing, and how the missing ones are made or asked for.
import { spawnSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { Failure, commandLine, project, say, toolEnv, wrangler } from "./lib.mjs";

/**
 * @typedef {object} Usable a secret that the configuration can use
 * @property {string} name
 * @property {boolean} needed
 */

/**
 * @typedef {object} Kind
 * @property {RegExp} form the values that the Worker accepts
 * @property {string} wrong the message about any other value
 * @property {RegExp} [of] the names of the secrets of this kind
 * @property {boolean} [always] whether the secret is always set
 * @property {boolean} [shown] whether the person needs the value elsewhere
 * @property {boolean} [file] whether the value is the text of a file, whose path is asked for
 * @property {() => string} [make]
 */

/** @typedef {Pick<import("./dialog.mjs").Dialog, "hidden">} Asking */

/** @param {"base64" | "base64url"} encoding */
const bytes = (encoding) => randomBytes(32).toString(encoding);
/** @param {string} form */
const list = (form) => new RegExp(`^${form}(?: *, *${form})*$`);

/**
 * The kinds of secrets that the script can generate. The forms are those that the Worker accepts, so that a typing
 * error shows before the deployment.
 * @type {(Kind & { of: RegExp })[]}
 */
const KINDS = [
  // The first that fits counts.
  {
    of: /^SEALING_KEYS$/,
    always: true,
    make: () => `k1:${bytes("base64")}`,
    form: list("[\\w-]{1,32}:[A-Za-z0-9+/]{43}="),
    wrong: "must be id:key, the key being 32 bytes in base64",
  },
  {
    of: /^ADMIN_KEY$/,
    shown: true,
    make: () => bytes("base64url"),
    form: list("[!-+\\--~]{16,}"),
    wrong: "must have 16 visible ASCII characters or more",
  },
  {
    of: /_WEBHOOK_SECRET$|^EVENTS_SECRET$/,
    shown: true,
    make: () => `whsec_${bytes("base64")}`,
    form: list("whsec_[A-Za-z0-9+/]{32,86}={0,2}"),
    wrong: "must be whsec_ and 24 to 64 bytes in base64",
  },
  {
    of: /_(PRIVATE_KEY|SERVICE_ACCOUNT)$/,
    file: true,
    form: /^\s*(-----BEGIN |\{)/,
    wrong: "must be a file that begins with -----BEGIN PRIVATE KEY-----, or JSON",
  },
  {
    of: /_KEY$/,
    shown: true,
    make: () => bytes("base64url"),
    form: list("[!-+\\--~]{32,}"),
    wrong: "must be 32 visible ASCII characters or more",
  },
];

/** A secret that the person must provide: it comes from elsewhere. @type {Kind} */
const FOREIGN = { form: /^[^\p{Cc}]+$/u, wrong: "must be one line" };

/** @type {(name: string) => Kind} */
const kindOf = (name) => KINDS.find(({ of }) => of.test(name)) ?? FOREIGN;

/**
 * The problem with a value for the secret called `name`, if any.
 * @type {(name: string, value: string) => string | undefined}
 */
export const problemOf = (name, value) =>
  kindOf(name).form.test(value) ? undefined : `${name} ${kindOf(name).wrong}.`;

/**
 * The names of the Worker's secrets; none if the Worker does not exist yet.
 * @param {{ shared: string[] }} to
 * @returns {string[]}
 */
export function setSecrets({ shared }) {
  const [command, args] = wrangler("secret", "list", ...shared);
  const { status, stdout, stderr } = spawnSync(command, args, {
    cwd: project,
    encoding: "utf8",
    env: toolEnv(),
    stdio: ["ignore", "pipe", "pipe"],
  });
  if (status === 0) {
    const listed = /** @type {{ name: string }[]} */ (JSON.parse(stdout.slice(stdout.indexOf("["))));
    return listed.map(({ name }) => name);
  }
  if (/Worker ".*" .*not found/.test(stderr)) return [];
  throw new Failure(`wrangler could not list the secrets. It says:\n\n${`${stdout}\n${stderr}`.trim()}`);
}

/**
 * Fails if secrets among `missing` are needed, and lists them. On Workers Builds they are only told: the form of a
 * Deploy to Cloudflare button sets them, maybe after this, and until then the Worker refuses every call.
 * @param {Usable[]} missing
 * @param {{ environment?: string }} to
 */
export function refuseMissing(missing, { environment }) {
  const names = missing.filter(({ needed }) => needed).map(({ name }) => name);
  if (!names.length) return say("    all that are needed are set");
  if (process.env.WORKERS_CI) {
    return say(`    not set yet: ${names.join(", ")}. What needs them does not work until they are set.`);
  }
  const where = environment ? `--env ${environment}` : "";
  throw new Failure(
    `These secrets are not set, and nobody is here to ask:\n\n${names.map((name) => `  ${name}`).join("\n")}\n\nRun \`${commandLine("deploy", where)}\` once at a terminal, or set each with \`npx wrangler secret put NAME${where && ` ${where}`}\`.`,
  );
}

/**
 * Asks for each secret, shows once each generated value that is needed elsewhere, and returns the values by name.
 * @param {Usable[]} missing
 * @param {Asking} dialog
 */
export async function askFor(missing, dialog) {
  say(`    ${missing.length === 1 ? "one is" : `${missing.length} are`} not set. What you type is not shown.\n`);
  /** @type {Record<string, string>} */
  const values = {};
  /** @type {string[]} */
  const made = [];
  for (const { name } of missing) {
    const value = await ask(name, dialog);
    if (value.made && kindOf(name).shown) made.push(name);
    if (value.text) values[name] = value.text;
  }
  const left = missing.filter(({ name }) => !(name in values));
  if (left.length)
    say(
      `\n    Left out: ${left.map(({ name }) => name).join(", ")}. What needs them does not work until they are set.`,
    );
  if (!made.length) return values;
  say("\n    Made here, and shown this once:\n");
  for (const name of made) say(`      ${name}  ${values[name]}`);
  await dialog.hidden("\n    Keep them where they are needed, and press Enter to deploy.");
  return values;
}

/** The text of a file, if it can be read. @param {string} file */
function textOf(file) {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return undefined;
  }
}

/**
 * One answer; its text is empty if the person leaves the secret out.
 * @param {string} name
 * @param {Asking} dialog
 * @returns {Promise<{ text: string, made?: boolean }>}
 */
async function ask(name, dialog) {
  const { make, always, file } = kindOf(name);
  const leaves = file ? "the path of its file; Enter leaves it out" : "Enter leaves it out";
  const hint = !make ? leaves : always ? "Enter makes one" : "Enter makes one, - leaves it out";
  for (;;) {
    const typed = await dialog.hidden(`    ${name} (${hint}): `);
    if (!typed) return make ? { text: make(), made: true } : { text: "" };
    if (typed === "-" && make && !always) return { text: "" };
    const text = file ? textOf(typed) : typed;
    const problem = text === undefined ? `${name}: there is no file that can be read.` : problemOf(name, text);
    if (text !== undefined && !problem) return { text };
    say(`    ${problem}`);
  }
}
