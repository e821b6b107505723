// An authorization server and an API on django-oauth-toolkit, in a process of its own.

import { spawn } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { ensurePython } from "../../../scripts/python.mjs";

/** @import { ChildProcessByStdio } from "node:child_process" */
/** @import { Readable, Writable } from "node:stream" */
/** @import { Clientele } from "./node-oauth.mjs" */

const FOLDER = fileURLToPath(new URL("django/", import.meta.url));
const START_LIMIT_MS = 30_000;

/**
 * Starts the server with a database of its own.
 *
 * @param {Clientele} clientele
 */
export async function startDjango({ clients, users }) {
  const python = await ensurePython();
  const folder = await mkdtemp(join(tmpdir(), "porteiro-django-"));
  const child = spawn(python, ["-W", "ignore", "serve.py"], {
    cwd: FOLDER,
    // The server ends when its standard input closes, so it cannot outlive this process.
    stdio: ["pipe", "pipe", "pipe"],
    env: {
      PATH: process.env.PATH,
      PYTHONDONTWRITEBYTECODE: "1",
      PYTHONUNBUFFERED: "1",
      PORTEIRO_E2E_DJANGO: JSON.stringify({ folder, clients, users }),
    },
  });
  const ended = new Promise((resolve) => child.once("close", resolve));
  const stop = async () => {
    child.kill();
    await ended;
    await rm(folder, { recursive: true, force: true });
  };
  try {
    const url = await ready(child);
    /** @param {{ client: string, token: string }} which */
    const revokeOne = (which) => revoke(url, clients, which);
    return { url, tokenPath: "/oauth/token/", revoke: revokeOne, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

/**
 * @param {ChildProcessByStdio<Writable, Readable, Readable>} child
 * @returns {Promise<string>}
 */
function ready(child) {
  return new Promise((resolve, reject) => {
    let output = "";
    /** @param {string} why */
    const fail = (why) => reject(new Error(`Django ${why}:\n${output.slice(-4000)}`));
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

/**
 * Revokes a token at the client's request (RFC 7009).
 *
 * @param {string} url
 * @param {Clientele["clients"]} clients
 * @param {{ client: string, token: string }} which
 */
async function revoke(url, clients, { client, token }) {
  const secret = clients.find(({ id }) => id === client)?.secret ?? "";
  const answer = await fetch(`${url}/oauth/revoke_token/`, {
    method: "POST",
    body: new URLSearchParams({ token, client_id: client, client_secret: secret }),
  });
  if (answer.status !== 200) throw new Error(`the revocation was answered ${answer.status}: ${await answer.text()}`);
}
