// The options of a script: `--name value`, `--name=value`, and the short forms `-n value` and `-n=value`.
import { parseArgs } from "node:util";
import { Failure } from "./lib.mjs";

/**
 * @typedef {object} Option
 * @property {string} [value] what the help calls its value; without one, the option is a switch
 * @property {string} [short]
 * @property {string} help
 */

/** @typedef {Record<string, Option>} Options by name, without the dashes */

/** Where `--config` and `--env` mean the same to several scripts. @satisfies {Options} */
export const PLACE = {
  config: { value: "PATH", short: "c", help: "another file than wrangler.toml" },
  env: { value: "NAME", short: "e", help: "an environment, [env.NAME] in that file" },
};

const HELP = { help: { short: "h", help: "shows this" } };

/**
 * The values and the switches in `args`; of an option that is given twice, the last. What is not among `options` is
 * left to another program.
 * @param {string[]} args
 * @param {Options} options
 */
export function someOptions(args, options) {
  const types = Object.entries(options).map(([name, { value, short }]) => [
    name,
    { type: value ? "string" : "boolean", ...(short && { short }) },
  ]);
  const { tokens } = parseArgs({
    args,
    options: /** @type {import("node:util").ParseArgsOptionsConfig} */ (Object.fromEntries(types)),
    strict: false,
    allowPositionals: true,
    tokens: true,
  });
  /** @type {Record<string, string | undefined>} */
  const values = {};
  /** @type {Set<string>} */
  const switches = new Set();
  // One argument can be several tokens.
  /** @type {Set<number>} */
  const others = new Set();
  for (const token of tokens) {
    const option = token.kind === "option" && Object.hasOwn(options, token.name) ? options[token.name] : undefined;
    if (token.kind !== "option" || !option || (token.inlineValue && !option.value)) others.add(token.index);
    else if (!option.value) switches.add(token.name);
    else if (token.value === undefined) throw new Failure(`${token.rawName} needs a value: ${option.value}.`);
    else values[token.name] = token.rawName.startsWith("--") ? token.value : token.value.replace(/^=/, "");
  }
  return { values, switches, others: [...others].map((at) => args[at]) };
}

/**
 * The same, where there is nothing else; undefined if the person asked for `help`, which is shown.
 * @param {string[]} args
 * @param {Options} options
 * @param {string} help the lines above the options
 */
export function optionsOf(args, options, help) {
  const all = { ...options, ...HELP };
  const { values, switches, others } = someOptions(args, all);
  if (switches.has("help")) {
    console.log(helpOf(help, options));
    return undefined;
  }
  if (others.length) {
    const names = Object.keys(all).map((name) => `--${name}`);
    throw new Failure(`There is no option ${others[0]}: the options are ${names.join(", ")}.`);
  }
  return { values, switches };
}

/**
 * What `--help` shows.
 * @param {string} help the lines above the options
 * @param {Options} options
 */
export const helpOf = (help, options) => `${help}\n\n${linesOf({ ...options, ...HELP })}`;

/** @param {Options} options */
function linesOf(options) {
  const names = Object.entries(options).map(
    ([name, { value, short }]) => `${short ? `-${short}, ` : "    "}--${name}${value ? ` ${value}` : ""}`,
  );
  const width = Math.max(...names.map((name) => name.length));
  return Object.values(options)
    .map(({ help }, i) => `  ${names[i].padEnd(width)}  ${help}`)
    .join("\n");
}
