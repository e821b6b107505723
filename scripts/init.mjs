// Makes a project: wrangler.toml, .dev.vars, .gitignore and a workflow that deploys. What is there is left as it is.
//
//   porteiro init [--yes] [--name NAME] [--origins LIST] [--providers LIST]
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { add, toldOf } from "./add.mjs";
import { readCatalogue } from "./catalogue.mjs";
import { Dialog, atTerminal } from "./dialog.mjs";
import { Failure, compatibility, inProject, inRoot, project, say } from "./lib.mjs";
import { optionsOf } from "./options.mjs";
import { EXAMPLE, emptyVars, makeDevVars } from "./vars.mjs";
import { systemWords } from "./words.mjs";

/** @typedef {{ name: string, origins: string[], providers: string[] }} Answers */

const OPTIONS = {
  yes: { short: "y", help: "asks nothing" },
  name: { value: "NAME", help: "the Worker's name; default: the folder's" },
  origins: { value: "LIST", help: "origins of the pages that may call, separated by commas" },
  providers: { value: "LIST", help: "names from the catalogue, separated by commas" },
};
const HELP =
  "npx porteiro init [options]: makes wrangler.toml, .dev.vars, .dev.vars.example, .gitignore, package.json and a workflow here; overwrites nothing.";

const IGNORED = ["node_modules/", ".wrangler/", ".porteiro/", ".dev.vars*", "!.dev.vars.example"];
const NAME = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/;

/** @param {string} list */
const items = (list) =>
  list
    .split(",")
    .map((item) => item.trim())
    .filter(Boolean);

/** Whether a text is an origin, as browsers write it. @param {string} text */
const isOrigin = (text) =>
  URL.canParse(text) && /^https?:$/.test(new URL(text).protocol) && new URL(text).origin === text;

/** The folder's name as that of a Worker. */
function ownName() {
  const name = path
    .basename(project)
    .toLowerCase()
    .replace(/[^a-z0-9-]+/g, "-")
    .replace(/^-+|-+$/g, "")
    .slice(0, 63);
  return NAME.test(name) ? name : "porteiro";
}

/**
 * Why answers are not usable; undefined if they are.
 * @param {Answers} answers
 * @param {import("./words.mjs").Words} words
 */
function problemOf({ name, origins, providers }, words) {
  if (!NAME.test(name)) return `${name} ${words.notName}.`;
  const origin = origins.find((origin) => !isOrigin(origin));
  if (origin !== undefined) return `${origin} ${words.notOrigin}.`;
  const known = new Set(readCatalogue().map(({ id }) => id));
  const provider = providers.find((provider) => !known.has(provider));
  return provider === undefined ? undefined : `${provider}: ${words.unknown}`;
}

/**
 * Asks, each question again until its answer is usable.
 * @param {Answers} given
 * @param {import("./words.mjs").Words} words
 * @returns {Promise<Answers>}
 */
async function ask(given, words) {
  const dialog = new Dialog(process.stdin, process.stdout, "");
  /** @type {<K extends keyof Answers>(key: K, question: string, read: (text: string) => Answers[K]) => Promise<void>} */
  const one = async (key, question, read) => {
    for (;;) {
      const text = await dialog.shown(`${question}: `);
      const answers = { ...given, [key]: text ? read(text) : given[key] };
      const problem = problemOf(answers, words);
      if (!problem) return void (given = answers);
      say(problem);
    }
  };
  try {
    await one("name", `${words.askName} (${given.name})`, (text) => text);
    await one("origins", words.askOrigins, items);
    await one("providers", words.askProviders, items);
  } finally {
    dialog.close();
  }
  return given;
}

/**
 * Writes the files of a project that are not there. Returns what became of each, and the connections added.
 * @param {Answers} answers
 * @param {import("./words.mjs").Words} words
 */
export async function makeProject({ name, origins, providers }, words) {
  const { date, flags } = compatibility();
  const list = (/** @type {string[]} */ texts) => texts.map((text) => JSON.stringify(text)).join(", ");
  const values = { ...words, name, date, flags: `[${list(flags)}]`, originList: list(origins) };
  /** @type {{ file: string, written: boolean, lacks?: string[] }[]} */
  const made = [];
  const write = (/** @type {string} */ file, /** @type {string} */ text) => {
    const place = inProject(file);
    const isThere = existsSync(place);
    made.push({ file, written: !isThere });
    if (isThere) return false;
    mkdirSync(path.dirname(place), { recursive: true });
    writeFileSync(place, text);
    return true;
  };
  const filled = (/** @type {string} */ template) =>
    readFileSync(inRoot("template", template), "utf8").replace(/(?<!\$\{)\{(\w+)\}/g, (whole, key) =>
      Object.hasOwn(values, key) ? String(values[/** @type {keyof typeof values} */ (key)]) : whole,
    );
  if (!existsSync(inProject("package.json"))) write("package.json", packageText(name, words));
  const isNew = write("wrangler.toml", filled("wrangler.toml"));
  if (!write(".gitignore", `${IGNORED.join("\n")}\n`)) {
    const lines = readFileSync(inProject(".gitignore"), "utf8").split("\n");
    const lacks = IGNORED.filter((line) => !lines.some((one) => one.replace(/\/$/, "") === line.replace(/\/$/, "")));
    if (lacks.length) made[made.length - 1].lacks = lacks;
  }
  write(path.join(".github", "workflows", "deploy.yml"), filled("deploy.yml"));
  write(EXAMPLE, exampleText(words));
  const hadVars = existsSync(inProject(".dev.vars"));
  await makeDevVars(project, { head: words.devVars });
  made.push({ file: ".dev.vars", written: !hadVars });
  const added = [];
  if (isNew) for (const provider of providers) added.push(await add(provider, { words }));
  return { made, added };
}

/**
 * The package.json of a project that has none. `cloudflare` is what a Deploy to Cloudflare button shows.
 * @param {string} name
 * @param {import("./words.mjs").Words} words
 */
function packageText(name, words) {
  const { version } = JSON.parse(readFileSync(inRoot("package.json"), "utf8"));
  const bindings = Object.fromEntries(
    [...secretsOfBroker(words), { name: "TOKENS", where: words.tokens }, { name: "KEEPER", where: words.keeper }].map(
      ({ name, where }) => [name, { description: where }],
    ),
  );
  const own = {
    name,
    private: true,
    scripts: { dev: "porteiro dev", check: "porteiro check", deploy: "porteiro deploy" },
    dependencies: { porteiro: `^${version}` },
    cloudflare: { bindings },
  };
  return `${JSON.stringify(own, null, 2)}\n`;
}

/**
 * The secrets of a project without connections, for which a Deploy to Cloudflare button asks.
 * @param {import("./words.mjs").Words} words
 */
const secretsOfBroker = ({ sealingKeys, adminKey, backendKey }) => [
  { name: "SEALING_KEYS", where: sealingKeys },
  { name: "ADMIN_KEY", where: adminKey },
  { name: "BACKEND_KEY", where: backendKey },
];

/** @param {import("./words.mjs").Words} words */
const exampleText = (words) => `# ${words.example}\n${emptyVars(secretsOfBroker(words))}`;

/** @param {string[]} args */
export async function main(args) {
  const options = optionsOf(args, OPTIONS, HELP);
  if (!options) return;
  const words = systemWords();
  const { values, switches } = options;
  /** @type {Answers} */
  let answers = {
    name: values.name ?? ownName(),
    origins: items(values.origins ?? ""),
    providers: items(values.providers ?? ""),
  };
  const problem = problemOf(answers, words);
  if (problem) throw new Failure(problem);
  const isWanted = !switches.has("yes") && atTerminal() && !existsSync(inProject("wrangler.toml"));
  if (isWanted) answers = await ask(answers, words);
  const { made, added } = await makeProject(answers, words);
  for (const { file, written, lacks } of made) {
    say(
      written ? `${words.wrote} ${file}` : `${file} ${words.kept}${lacks ? `; ${words.lacks} ${lacks.join(" ")}` : ""}`,
    );
  }
  for (const one of added) say(`\n${toldOf(one, words)}`);
  const commands = [...(added.length ? [] : ["add hubsoft"]), "check", "dev"];
  say(`\n${words.next}\n${commands.map((command) => `  npx porteiro ${command}`).join("\n")}`);
}
