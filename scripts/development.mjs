// The variables for running locally, as wrangler finds them beside a configuration, for the check.
import { existsSync, readdirSync } from "node:fs";
import path from "node:path";
import { errorCode, project } from "./lib.mjs";
import { readVars } from "./vars.mjs";

const NAME = ".dev.vars";
/** A template, which wrangler's commands copy: no environment's file. */
const EXAMPLE = `${NAME}.example`;

/**
 * @typedef {object} DevVars in the form that the native program reads
 * @property {string} environment empty for the top level
 * @property {string} file
 * @property {Record<string, string>} variables
 */

/** @typedef {(config: string, environment: string | undefined) => Promise<DevVars[]>} FindDevVars */

/**
 * The variables beside `config` for one environment, empty for the top level; without one, those of each file there.
 * A file that is not there gives none: a fresh clone has none.
 * @type {FindDevVars}
 */
export async function devVarsBeside(config, environment) {
  try {
    return await find(config, environment);
  } catch (error) {
    if (errorCode(error) !== "ERR_MODULE_NOT_FOUND") throw error;
    // The files' reader comes with the Node modules.
    console.error(`${NAME} was not read: \`npm run setup\` installs what reads it.`);
    return [];
  }
}

/** @type {FindDevVars} */
async function find(config, environment) {
  const folder = path.resolve(project, path.dirname(config));
  if (environment !== undefined) {
    const file = fileFor(folder, environment);
    return file ? [await read(config, environment, file)] : [];
  }
  const isFile = (/** @type {string} */ it) => (it === NAME || it.startsWith(`${NAME}.`)) && it !== EXAMPLE;
  const files = existsSync(folder) ? readdirSync(folder).filter(isFile) : [];
  return Promise.all(files.sort().map((file) => read(config, file.slice(NAME.length + 1), file)));
}

/** The same for an environment that is about to run: without a file, all is missing. @type {FindDevVars} */
export async function devVarsToRun(config, environment = "") {
  const [found] = await devVarsBeside(config, environment);
  return [found ?? { environment, file: shownIn(config, NAME), variables: {} }];
}

/** wrangler reads the environment's own file alone, where there is one. @type {(folder: string, environment: string) => string | undefined} */
const fileFor = (folder, environment) =>
  [...(environment ? [`${NAME}.${environment}`] : []), NAME].find((name) => existsSync(path.join(folder, name)));

/** The name of a file beside `config`. @param {string} config @param {string} file */
const shownIn = (config, file) => path.join(path.dirname(config), file);

/** @param {string} config @param {string} environment @param {string} name @returns {Promise<DevVars>} */
async function read(config, environment, name) {
  const file = shownIn(config, name);
  return { environment, file, variables: await readVars(path.resolve(project, file)) };
}
