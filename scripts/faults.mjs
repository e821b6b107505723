// Tests the simulation: applies known faults to a copy of the source, one at a time, and shows that the simulation
// finds each. A fault that it misses is a gap in the invariants.
//
//   node scripts/faults.mjs [part of a fault's name]   runs the simulation on each fault
//   node scripts/faults.mjs --compile [part]           shows that each fault compiles
//   node scripts/faults.mjs --check [part]             shows that each patch applies
//
// A fault is a patch in simulation/faults/. The lines above its diff describe it: `Fault:` is its name, `Scenario:` the
// scenario that must find it, and `Seeds:` the number of schedules to run if the fault is rare.
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import { Failure, filesUnder, inRoot, isMain, root, runMain, say, seconds } from "./lib.mjs";

const PATCHES = inRoot("simulation", "faults");

/** The files and folders in the copy. */
const SOURCES = [
  ...["src", "simulation/src", "simulation/tests", "simulation/Cargo.toml", "tests/data"],
  ...["check/src", "check/Cargo.toml", "Cargo.toml", "Cargo.lock", "build.rs", "providers"],
];

/** The tests that run the simulation, by their name in a patch. */
const SCENARIOS = new Map([
  ["tokens", "scenarios::tokens::keeps_every_invariant_in_any_schedule"],
  ["grants", "scenarios::tokens::keeps_every_invariant_in_any_schedule_of_other_grants"],
  ["people", "scenarios::people::keeps_every_invariant_in_any_schedule_of_people"],
  ["webhooks", "scenarios::webhooks::keeps_every_invariant_in_any_schedule_of_webhooks"],
  ["events", "scenarios::events::keeps_every_invariant_in_any_schedule_of_events"],
  ["exchanges", "scenarios::exchanges::keeps_every_invariant_in_any_schedule_of_exchanges"],
  ["consents", "scenarios::consents::keeps_every_invariant_in_any_schedule_of_consents"],
  ["budgets", "scenarios::budgets::keeps_every_invariant_in_any_schedule_of_budgets"],
  ["registrations", "scenarios::registrations::keeps_every_invariant_in_any_schedule_of_registrations"],
]);

const WORK = path.resolve(process.env.CARGO_TARGET_DIR ?? inRoot("target"), "faults");
const COPY = path.join(WORK, "source");

/**
 * The crate is compiled for each fault, and the first few seeds find most faults: the compile time matters more than
 * the program's speed.
 */
const BUILD = {
  CARGO_TARGET_DIR: path.join(WORK, "build"),
  CARGO_INCREMENTAL: "1",
  CARGO_PROFILE_TEST_OPT_LEVEL: "0",
  CARGO_PROFILE_TEST_DEBUG: "0",
  RUST_BACKTRACE: "0",
};

/** How long a scenario may take, in milliseconds: a fault may cause an endless wait. */
const PATIENCE = 15 * 60_000;

/**
 * @typedef {object} Fault
 * @property {string} name
 * @property {string} patch the file
 * @property {string} scenario
 * @property {string | undefined} seeds
 *
 * @typedef {object} Row the result of a fault
 * @property {string} name
 * @property {string} scenario
 * @property {boolean} asExpected
 * @property {string} result
 * @property {string} [seeds] the number of seeds run, up to the one that found the fault
 */

/** @param {string[]} args */
async function main(args) {
  const [mode] = args.filter((arg) => arg.startsWith("--"));
  const [part] = args.filter((arg) => !arg.startsWith("--"));
  const faults = readFaults().filter(({ name }) => !part || name.includes(part));
  if (!faults.length) throw new Failure(`No fault's name has "${part}" in it.`);
  if (mode === undefined) return simulateFaults(faults);
  if (mode === "--check") return checkFaults(faults);
  if (mode === "--compile") return compileFaults(faults);
  throw new Failure(`There is no ${mode}: it is --check, --compile, or neither.`);
}

/** Shows that every patch applies to the source; writes no file. */
export function checkFaults(faults = readFaults()) {
  const unfit = faults.flatMap((fault) => {
    const problem = apply(fault, root, "--check");
    return problem === undefined ? [] : [`${path.relative(root, fault.patch)}: ${problem}`];
  });
  if (unfit.length) throw new Failure(`These faults fit the source no more; plant them anew:\n${unfit.join("\n")}`);
  say(`    ${faults.length} faults can be planted`);
}

/** Shows that every fault compiles: a fault that does not compile proves nothing. */
export function compileFaults(faults = readFaults()) {
  const rows = faults.map((fault) => {
    const start = performance.now();
    const problem = plant(fault) ?? cargo("check", "--profile=test").problem;
    return tell({ ...fault, asExpected: !problem, result: problem ?? "compiles" }, start);
  });
  finish(rows, "compile");
}

/** Runs the simulation without a fault, when it must find nothing, and then with each fault. @param {Fault[]} faults */
function simulateFaults(faults) {
  const begin = performance.now();
  const none = [...new Set(faults.map(({ scenario }) => scenario))].map((scenario) => ({
    name: "none",
    scenario,
    seeds: undefined,
  }));
  const rows = [...none, ...faults].map((fault) => {
    const start = performance.now();
    const isPlanted = "patch" in fault;
    const { problem, seeds, invariant } = examine(fault);
    const asExpected = !problem && isPlanted === (invariant !== undefined);
    return tell({ ...fault, asExpected, seeds, result: problem ?? invariant ?? "nothing" }, start);
  });
  finish(rows, "find");
  say(`\n${faults.length} planted faults, ${faults.length} found, in ${seconds(begin)}.`);
}

/** @param {Row} row @param {number} start */
function tell(row, start) {
  const seeds = row.seeds ? `, seeds: ${row.seeds}` : "";
  say(`${mark(row)} ${row.name} (${row.scenario}): ${row.result}${seeds} (${seconds(start)})`);
  return row;
}

/**
 * Prints the results as a table, with the number of seeds, and fails if a result is not as required.
 * @param {Row[]} rows @param {string} what
 */
function finish(rows, what) {
  const width = Math.max(...rows.map(({ name }) => name.length));
  const line = (/** @type {Row} */ row) =>
    `${mark(row)} ${row.name.padEnd(width)}  ${row.scenario.padEnd(13)}  ${(row.seeds ?? "").padStart(6)}  ${row.result.split("\n")[0]}`;
  say(`\n${rows.map(line).join("\n")}`);
  const wrong = rows.filter(({ asExpected }) => !asExpected);
  if (!wrong.length) return;
  throw new Failure(`${wrong.length} of ${rows.length} did not ${what} as they must: ${list(wrong)}.`);
}

const mark = (/** @type {Row} */ { asExpected }) => (asExpected ? " " : "✖");
const list = (/** @type {Row[]} */ rows) => rows.map(({ name, scenario }) => `${name} (${scenario})`).join("; ");

/** All faults, in the order of their file names. @returns {Fault[]} */
function readFaults() {
  const files = readdirSync(PATCHES).filter((file) => file.endsWith(".patch"));
  return files.sort().map((file) => readFault(path.join(PATCHES, file)));
}

/** The fields in the lines above a patch's diff. @param {string} patch */
function readFault(patch) {
  const [header] = readFileSync(patch, "utf8").split(/^(?:diff|---) /m);
  const fields = new Map([...header.matchAll(/^(\w+): (.+)$/gm)].map(([, name, value]) => [name, value]));
  const [name, scenario, seeds] = ["Fault", "Scenario", "Seeds"].map((field) => fields.get(field));
  const file = path.relative(root, patch);
  if (!name) throw new Failure(`${file} does not name its fault: its first line is to be \`Fault: …\`.`);
  if (!scenario || !SCENARIOS.has(scenario))
    throw new Failure(`${file} names no scenario: add \`Scenario: …\`, one of ${[...SCENARIOS.keys()].join(", ")}.`);
  if (seeds && !/^[1-9]\d*$/.test(seeds)) throw new Failure(`${file}: \`Seeds:\` is to be a number.`);
  const slug = name
    .toLowerCase()
    .replaceAll("'", "")
    .replaceAll(/[^a-z0-9]+/g, "-");
  if (path.basename(patch) !== `${slug}.patch`) throw new Failure(`${file} is to be named ${slug}.patch.`);
  return { name, patch, scenario, seeds };
}

/** Resets the copy to the source and applies a fault; returns the error, if any. @param {Fault} fault */
function plant(fault) {
  makeCopy();
  return apply(fault, COPY);
}

/**
 * Makes the copy equal to the source. Equal files are left alone, so that cargo recompiles only what differs.
 */
function makeCopy() {
  const wanted = new Set(filesUnder(...SOURCES).map((file) => path.relative(root, file)));
  if (existsSync(COPY)) {
    for (const entry of readdirSync(COPY, { recursive: true, withFileTypes: true })) {
      const file = path.join(entry.parentPath, entry.name);
      if (!entry.isDirectory() && !wanted.has(path.relative(COPY, file))) rmSync(file);
    }
  }
  for (const file of wanted) {
    const [from, to] = [inRoot(file), path.join(COPY, file)];
    const text = readFileSync(from);
    if (existsSync(to) && text.equals(readFileSync(to))) continue;
    mkdirSync(path.dirname(to), { recursive: true });
    writeFileSync(to, text);
  }
}

/**
 * Applies a patch below a folder; returns the error, if any. git ignores its surroundings: a repository around the
 * folder, from which it would resolve the paths, and the user's settings.
 * @param {Fault} fault @param {string} folder @param {string[]} options
 */
function apply({ patch }, folder, ...options) {
  const strict = ["-c", "apply.ignoreWhitespace=no", "-c", "apply.whitespace=nowarn", "-c", "core.autocrlf=false"];
  const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith("GIT_")));
  const args = [...strict, "apply", ...options, patch];
  const { status, error, stderr } = spawnSync("git", args, {
    cwd: folder,
    env: { ...env, LC_ALL: "C", GIT_CEILING_DIRECTORIES: path.dirname(folder) },
    encoding: "utf8",
  });
  if (error) throw new Failure(`git, which plants the faults, could not be started (${error.message}).`);
  return status === 0 ? undefined : `does not apply: ${stderr.trim()}`;
}

/**
 * Runs a scenario on the copy, with or without a fault; returns the broken invariant, if any, and the number of seeds,
 * or the error that prevented the run.
 * @param {Omit<Fault, "patch"> | Fault} fault
 * @returns {{ problem?: string, invariant?: string, seeds?: string }}
 */
function examine(fault) {
  if ("patch" in fault) {
    const problem = plant(fault);
    if (problem) return { problem };
  } else makeCopy();
  const { problem, program } = cargo("test", "--no-run");
  if (!program) return { problem: problem ?? "is no test" };
  /** @type {NodeJS.ProcessEnv} */
  const env = { ...process.env, ...BUILD };
  delete env.PORTEIRO_SEED;
  if (fault.seeds) env.PORTEIRO_SEEDS = fault.seeds;
  const args = ["--exact", String(SCENARIOS.get(fault.scenario)), "--nocapture"];
  const { status, signal, stdout, stderr } = spawnSync(program, args, {
    cwd: COPY,
    env,
    encoding: "utf8",
    timeout: PATIENCE,
    maxBuffer: Infinity,
  });
  if (signal) return { problem: `did not end (${signal})` };
  const [, ran] = stdout.match(/\w+: (\d+) seeds, \d+ calls$/m) ?? [];
  if (status === 0 && ran) return { seeds: ran };
  const [first] = [...stderr.matchAll(/^seed (\d+): ([a-z-]+): /gm)]
    .map(([, seed, invariant]) => ({ seed: Number(seed), invariant }))
    .sort((one, other) => one.seed - other.seed);
  if (status === 0 || !first) return { problem: `broke no invariant, and failed: ${stderr.trim().slice(-500)}` };
  return { seeds: String(first.seed + 1), invariant: first.invariant };
}

/**
 * Compiles the simulation's tests in the copy; returns the program, or the compiler's error.
 * @param {string[]} how
 */
function cargo(...how) {
  const args = [...how, "--locked", "--package=porteiro-simulation", "--test=broker", "--message-format=json"];
  const { status, error, stdout, stderr } = spawnSync("cargo", args, {
    cwd: COPY,
    env: { ...process.env, ...BUILD },
    encoding: "utf8",
    maxBuffer: Infinity,
  });
  if (error) throw new Failure(`cargo could not be started (${error.message}).`);
  const messages = stdout.split("\n").flatMap((line) => (line.startsWith("{") ? [JSON.parse(line)] : []));
  if (status === 0) return { program: messages.map(({ executable }) => executable).find(Boolean) };
  const errors = messages.flatMap(({ message }) => (message?.level === "error" ? [message.rendered] : []));
  return { problem: `does not compile: ${errors.join("\n").trim() || stderr.trim()}` };
}

if (isMain(import.meta.url)) await runMain(main);
