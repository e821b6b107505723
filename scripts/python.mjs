// Makes the Python environment of the tests that need a server written in Python.
import { existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import { Failure, hashOf, inRoot, isMain, output, run, runMain, say, step } from "./lib.mjs";

const MINOR = 11;
const folder = inRoot(".tools", "python");
const stamp = path.join(folder, ".porteiro");
const python = path.join(folder, "bin", "python");

const requirements = inRoot("tests", "e2e", "support", "requirements.txt");

/** The address of a Python that has the packages of requirements.txt. */
export async function ensurePython() {
  const wanted = hashOf([requirements], process.platform, process.arch);
  const done = existsSync(stamp) && readFileSync(stamp, "utf8") === wanted && output(python, ["--version"]);
  if (!done) {
    const base = await ensureBase();
    await step("Python packages", () => install(base));
    writeFileSync(stamp, wanted);
  }
  return python;
}

/** Makes the environment anew, with the packages of the list and no others. */
async function install(base) {
  rmSync(folder, { recursive: true, force: true });
  await run(base, ["-m", "venv", folder]);
  const pip = ["-m", "pip", "--disable-pip-version-check", "--no-input"];
  await run(python, [...pip, "install", "--quiet", "--no-deps", "--requirement", requirements], {
    hint: "Check the network and run it again.",
  });
  await run(python, [...pip, "check"]);
}

/** A Python that is new enough and can make environments. */
async function ensureBase() {
  const found = findBase();
  if (found) return found;
  if (process.getuid?.() === 0 && existsSync("/etc/debian_version")) {
    const quiet = {
      env: { DEBIAN_FRONTEND: "noninteractive" },
      hint: "Install Python with venv, or name one in PYTHON_BIN.",
    };
    await step("Python", async () => {
      await run("apt-get", ["update", "-q"], quiet);
      await run("apt-get", ["install", "-y", "-q", "--no-install-recommends", "python3", "python3-venv"], quiet);
    });
    const installed = findBase();
    if (installed) return installed;
  }
  throw new Failure(
    `No Python 3.${MINOR} or newer with venv was found: install one, or name its binary in PYTHON_BIN.`,
  );
}

function findBase() {
  const named = process.env.PYTHON_BIN;
  if (named) {
    if (suits(named)) return named;
    throw new Failure(`PYTHON_BIN names no Python 3.${MINOR} or newer with venv.`);
  }
  // The second is where Debian puts its own, whatever stands first on PATH.
  return ["python3", "/usr/bin/python3"].find(suits);
}

const suits = (place) =>
  output(place, ["-c", `import sys, venv, ensurepip; sys.exit(sys.version_info < (3, ${MINOR}))`]) !== undefined;

if (isMain(import.meta.url)) await runMain(async () => say(await ensurePython()));
