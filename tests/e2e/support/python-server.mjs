// A server in Python, in a process of its own that ends with this one.

import { spawn } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { ensurePython } from "../../../scripts/python.mjs";

/** @import { ChildProcessByStdio } from "node:child_process" */
/** @import { Readable, Writable } from "node:stream" */

const START_LIMIT_MS = 30_000;

/**
 * Starts `serve.py` in the folder called `name` here, which prints its address when it listens.
 *
 * @param {string} name
 * @param {object} wanted what the server reads as JSON from PORTEIRO_E2E_SERVER, and a folder of its own
 */
export async function startPythonServer(name, wanted) {
  const python = await ensurePython();
  const folder = await mkdtemp(join(tmpdir(), `porteiro-${name}-`));
  const child = spawn(python, ["-W", "ignore", "serve.py"], {
    cwd: fileURLToPath(new URL(`${name}/`, import.meta.url)),
    // The server ends when its standard input closes, so it cannot outlive this process.
    stdio: ["pipe", "pipe", "pipe"],
    env: {
      PATH: process.env.PATH,
      PYTHONDONTWRITEBYTECODE: "1",
      PYTHONUNBUFFERED: "1",
      PORTEIRO_E2E_SERVER: JSON.stringify({ folder, ...wanted }),
    },
  });
  const ended = new Promise((resolve) => child.once("close", resolve));
  const stop = async () => {
    child.kill();
    await ended;
    await rm(folder, { recursive: true, force: true });
  };
  try {
    return { url: await ready(child, name), stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

/**
 * @param {ChildProcessByStdio<Writable, Readable, Readable>} child
 * @param {string} name
 * @returns {Promise<string>}
 */
function ready(child, name) {
  return new Promise((resolve, reject) => {
    let output = "";
    /** @param {string} why */
    const fail = (why) => reject(new Error(`${name} ${why}:\n${output.slice(-4000)}`));
    const timer = setTimeout(() => fail(`was not ready within ${START_LIMIT_MS} ms`), START_LIMIT_MS);
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding("utf8");
      stream.on("data", (text) => {
        // Only the output before the server listens matters; the rest is read so that the server does not block.
        output = (output + text).slice(-20_000);
        const [, url] = /^Ready on (\S+)$/m.exec(output) ?? [];
        if (!url) return;
        clearTimeout(timer);
        resolve(url);
      });
    }
    child.once("error", (/** @type {NodeJS.ErrnoException} */ error) => fail(`could not be started (${error.code})`));
    child.once("close", (code) => {
      clearTimeout(timer);
      fail(`ended with ${code}`);
    });
  });
}
