// What the first call of a cold process has compiled: `npm run bench:first-call`.
//
// The runtime's own trace (V8's --trace-wasm-compilation-times) tells of each WebAssembly function as it is compiled,
// with the microseconds and the size of its code. A module that has names names the largest functions:
// `npm run build -- --profiling && PORTEIRO_E2E_MAIN=$PWD/build/index.js npm run bench:first-call`.
import { readFileSync } from "node:fs";
import path from "node:path";
import { Failure, inRoot, runMain, say } from "../scripts/lib.mjs";
import { builtModules, startWorkerd } from "../scripts/workerd.mjs";
import { startHubsoft } from "../sandbox/providers/hubsoft.mjs";
import { answerOf } from "./cold-starts.mjs";
import { KEY } from "./settings.mjs";
import { SMALL, startUpstream } from "./upstream.mjs";
import { configuration, preparePorteiro } from "./workers.mjs";

/** @typedef {{ index: number, us: number, bytes: number, code: number }} Compiled */

const FLAGS = ["--trace-wasm-compilation-times"];
const LINE = /#(\d+)\S* using \w+, took (\d+) .s and \d+ bytes; bodysize (\d+) codesize (\d+)/;
const SHOWN = 20;

async function main() {
  await preparePorteiro();
  const upstream = await startUpstream();
  const hubsoft = await startHubsoft({ port: 0 });
  try {
    const vars = configuration({ upstream, hubsoft, count: 20 });
    const headers = { authorization: `Bearer ${KEY}` };
    say("| | functions | body, bytes | machine code, bytes | µs |\n|---|---:|---:|---:|---:|");
    for (const [name, target] of [
      ["/healthz", "/healthz"],
      ["a call that needs a grant", `/api/service${SMALL}`],
    ]) {
      const { load, call } = await compiledBy(vars, target, headers);
      if (target === "/healthz") say(row("before a call", load));
      say(row(name, call));
      if (target !== "/healthz") say(`\n${largest(call)}`);
    }
  } finally {
    await upstream.stop();
    await hubsoft.close();
  }
}

/**
 * The functions that were compiled before the process listened, and those that its first call had compiled.
 * @param {ReturnType<typeof configuration>} vars
 * @param {string} target
 * @param {{ [name: string]: string }} headers
 */
async function compiledBy(vars, target, headers) {
  /** @type {Compiled[]} */
  const all = [];
  const onLog = (/** @type {string} */ line) => {
    const found = LINE.exec(line)?.slice(1).map(Number);
    if (found) all.push({ index: found[0], us: found[1], bytes: found[2], code: found[3] });
  };
  const workers = [{ name: "porteiro", modules: builtModules(), ...vars, keeper: true }];
  const workerd = await startWorkerd({ workers, onLog, errors: "logged", v8Flags: FLAGS });
  let before = 0;
  try {
    before = all.length;
    await answerOf(workerd.urls.porteiro + target, headers);
  } finally {
    await workerd.stop();
  }
  if (all.length === before) throw new Failure("The runtime told of no function that it compiled.");
  return { load: all.slice(0, before), call: all.slice(before) };
}

/** @param {string} name @param {Compiled[]} list */
const row = (name, list) =>
  `| ${[name, list.length, sum(list, "bytes"), sum(list, "code"), sum(list, "us")].map((cell) => cell.toLocaleString("en")).join(" | ")} |`;

/** @param {Compiled[]} list @param {"bytes" | "code" | "us"} member */
const sum = (list, member) => list.reduce((total, one) => total + one[member], 0);

/** @param {Compiled[]} list */
function largest(list) {
  const names = functionNames(
    path.join(path.dirname(process.env.PORTEIRO_E2E_MAIN ?? inRoot("build", "index.js")), "index_bg.wasm"),
  );
  if (names.size === 0) return "The module has no names of functions: see the head of this file.";
  return list
    .toSorted((one, other) => other.bytes - one.bytes)
    .slice(0, SHOWN)
    .map(
      ({ index, bytes, us }) => `${String(bytes).padStart(7)} bytes ${String(us).padStart(6)} µs  ${names.get(index)}`,
    )
    .join("\n");
}

/** The names of a module's functions by their index, from its name section. @param {string} file */
function functionNames(file) {
  const module = new WebAssembly.Module(readFileSync(file));
  /** @type {Map<number, string>} */
  const names = new Map();
  const [section] = WebAssembly.Module.customSections(module, "name");
  if (!section) return names;
  const bytes = new Uint8Array(section);
  let at = 0;
  const number = () => {
    let value = 0;
    for (let shift = 0; ; shift += 7) {
      const byte = bytes[at++];
      value += (byte & 0x7f) * 2 ** shift;
      if (byte < 0x80) return value;
    }
  };
  while (at < bytes.length) {
    const kind = bytes[at++];
    const length = number();
    const end = at + length;
    // Subsection 1 has the functions.
    if (kind === 1)
      for (let left = number(); left > 0; left--) {
        const index = number();
        const size = number();
        names.set(index, new TextDecoder().decode(bytes.subarray(at, at + size)));
        at += size;
      }
    at = end;
  }
  return names;
}

await runMain(main);
