// The Python environment of the tests and of the audit; `npm run setup -- --tests` makes it.
import { existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import { Failure, hashOf, inRoot, output, run } from "./lib.mjs";

const MINOR = 11;
const folder = inRoot(".tools", "python");
const stamp = path.join(folder, ".porteiro");
const python = path.join(folder, "bin", "python");

/** The requirements of the tests, and those of the scripts, whose hashes are pinned. */
const requirements = inRoot("tests", "e2e", "support", "requirements.txt");
const hashed = inRoot("scripts", "requirements.txt");

/** The names of Debian's packages for a Python that can make environments. */
export const pythonPackages = ["python3", "python3-venv"];

/** The path of a Python that has the packages of both requirements.txt. */
export async function ensurePython() {
  if (hasPython()) return python;
  throw new Failure("The tests' Python packages are missing: run `npm run setup -- --tests`.");
}

/** The path of a program from a Python package. @param {string} name */
export const pythonTool = (name) => path.join(folder, "bin", name);

/** Whether the environment exists, with exactly the listed packages. */
export const hasPython = () =>
  existsSync(stamp) && readFileSync(stamp, "utf8") === wanted() && output(python, ["--version"]) !== undefined;

const wanted = () => hashOf([requirements, hashed], process.platform, process.arch);

/**
 * Makes the environment anew, with exactly the listed packages.
 * @param {import("./progress.mjs").Step} within
 */
export async function makePython(within) {
  const base = findPythonBase();
  if (!base) {
    throw new Failure(
      `No Python 3.${MINOR} or newer with venv was found: install one, or name its binary in PYTHON_BIN.`,
    );
  }
  const pip = ["-m", "pip", "--disable-pip-version-check", "--no-input"];
  const options = { quiet: true, hint: "Check the network and run it again." };
  await within("Python packages", async () => {
    rmSync(folder, { recursive: true, force: true });
    await run(base, ["-m", "venv", folder], options);
    const install = [...pip, "install", "--quiet", "--no-deps"];
    await run(python, [...install, "--requirement", requirements], options);
    await run(python, [...install, "--require-hashes", "--only-binary=:all:", "--requirement", hashed], options);
    await run(python, [...pip, "check"], options);
    writeFileSync(stamp, wanted());
  });
}

/** A Python that is recent enough and can make environments. */
export function findPythonBase() {
  const named = process.env.PYTHON_BIN;
  if (named) {
    if (suits(named)) return named;
    throw new Failure(`PYTHON_BIN names no Python 3.${MINOR} or newer with venv.`);
  }
  // The second is the path of Debian's own Python, whatever comes first on PATH.
  return ["python3", "/usr/bin/python3"].find(suits);
}

/** @param {string} place */
const suits = (place) =>
  output(place, ["-c", `import sys, venv, ensurepip; sys.exit(sys.version_info < (3, ${MINOR}))`]) !== undefined;
