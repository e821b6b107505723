// The machine and the programs of the measurements.
import { readFileSync } from "node:fs";
import { cpus, release, totalmem, type } from "node:os";
import { spawnSync } from "node:child_process";
import { bin, inRoot, output } from "../scripts/lib.mjs";

export function machine() {
  const system = readFileSync("/etc/os-release", "utf8").match(/^PRETTY_NAME="?([^"\n]+)/m)?.[1] ?? type();
  return {
    processor: cpus()[0].model.trim(),
    cores: cpus().length,
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    system: `${system}, ${type()} ${release().match(/^[\d.]+\d/)}`,
  };
}

/** @param {{ version: string }} [envoy] */
export function versions(envoy) {
  return {
    porteiro: JSON.parse(readFileSync(inRoot("package.json"), "utf8")).version,
    commit: output("git", ["rev-parse", "--short", "HEAD"]) ?? "unknown",
    workerd: output(bin("workerd"), ["--version"])?.replace("workerd ", ""),
    rustc: output("rustc", ["--version"])?.split(" ")[1],
    node: process.versions.node,
    nginx: spoken("nginx", ["-v"])?.match(/nginx\/([\d.]+)/)?.[1],
    wrk: spoken("wrk", ["-v"])?.match(/wrk (\S+)/)?.[1],
    envoy: envoy?.version ?? "not measured",
  };
}

/**
 * The version text of a tool, from either output stream and regardless of the exit code.
 *
 * @param {string} command
 * @param {string[]} args
 */
function spoken(command, args) {
  const { stdout, stderr } = spawnSync(command, args, { encoding: "utf8" });
  return `${stdout}${stderr}`;
}
