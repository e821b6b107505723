// Debian's packages, for what the tests need and the system has not.
import { existsSync } from "node:fs";
import { Failure, collect, say } from "./lib.mjs";

const WITHIN_MS = 20 * 60_000;
const EVERY_MS = 2_000;

/** Whether packages may be installed here without asking anybody. */
export const canInstall = () => process.getuid?.() === 0 && existsSync("/etc/debian_version");

/**
 * Installs packages. No two may do this at once: the caller holds the lock.
 * @param {string[]} packages
 */
export async function install(packages) {
  await apt("update", "-q");
  await apt("install", "-y", "-q", "--no-install-recommends", ...packages);
}

/**
 * Runs apt-get. Where another program holds one of apt's locks, it is tried again: apt itself
 * waits for one of the three only, and says nothing meanwhile.
 * @param {...string} args
 */
async function apt(...args) {
  const deadline = Date.now() + WITHIN_MS;
  let told = false;
  for (;;) {
    const { code, text } = await collect("apt-get", args, { DEBIAN_FRONTEND: "noninteractive", LC_ALL: "C" });
    if (code === 0) return;
    const held = text.match(/E: (Could not get lock .*)/)?.[1];
    if (!held || Date.now() > deadline) {
      throw new Failure(`\`apt-get ${args.join(" ")}\` failed:\n${text.trim()}`);
    }
    if (!told) say(`    apt-get waits for another program: ${held}`);
    told = true;
    await new Promise((resolve) => setTimeout(resolve, EVERY_MS));
  }
}
