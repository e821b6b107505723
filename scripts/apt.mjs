// Installs Debian packages that the tests need and the system lacks.
import { existsSync } from "node:fs";
import { Failure, collect, say } from "./lib.mjs";

const WITHIN_MS = 20 * 60_000;
const EVERY_MS = 2_000;

/** Whether this process may install packages without asking the person. */
export const canInstall = () => process.getuid?.() === 0 && existsSync("/etc/debian_version");

/**
 * Installs packages. The caller holds the set-up lock, so two installations never overlap.
 * @param {string[]} packages
 */
export async function install(packages) {
  await apt("update", "-q");
  await apt("install", "-y", "-q", "--no-install-recommends", ...packages);
}

/**
 * Runs apt-get, and retries while another program holds one of apt's locks: apt itself waits for only one of the three,
 * without a message.
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
