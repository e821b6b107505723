// The lock on set-ups, one at a time on a machine: package managers cannot share their folders.
//
// The lock is a listening socket on the loopback interface. The kernel gives a port to one process only, and frees it
// when that process ends for any reason, so the lock is never stale. It needs only Node.js.
import { once } from "node:events";
import net from "node:net";
import { Failure, endTools, errorCode, root, say } from "./lib.mjs";

/** The port is below those that systems assign to outgoing connections. */
const PORT = 8786;
/** @type {NodeJS.Signals[]} */
const SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"];
const GREETING = "porteiro-setup";
/** How long the holder may take to identify itself: it may be busy. */
const GREETED_WITHIN_MS = 60_000;

/**
 * Runs `action` while no other process on this machine is within this function.
 * @template T
 * @param {() => Promise<T>} action
 * @returns {Promise<T>}
 */
export async function withLock(action, port = Number(process.env.PORTEIRO_SETUP_PORT || PORT)) {
  const release = await acquire(port);
  /** @param {NodeJS.Signals} signal */
  const stop = (signal) => {
    // The processes that this one started would go on without the lock.
    endTools(signal);
    for (const name of SIGNALS) process.off(name, stop);
    process.kill(process.pid, signal);
  };
  for (const name of SIGNALS) process.on(name, stop);
  try {
    return await action();
  } finally {
    for (const name of SIGNALS) process.off(name, stop);
    release();
  }
}

/** @param {number} port */
async function acquire(port) {
  let told = false;
  for (;;) {
    const release = await listen(port);
    if (release) return release;
    await untilFree(port, (holder) => {
      if (!told) say(`\n==> another set-up is under way (${holder}): waiting for its end`);
      told = true;
    });
  }
}

/**
 * Takes the port and returns a function that frees it; undefined if another process has it.
 * @param {number} port
 */
async function listen(port) {
  /** @type {Set<net.Socket>} */
  const waiting = new Set();
  const server = net.createServer((socket) => {
    waiting.add(socket.on("error", () => {}).on("close", () => waiting.delete(socket)));
    socket.write(`${GREETING} process ${process.pid}, in ${root}\n`);
  });
  server.listen({ port, host: "127.0.0.1", exclusive: true });
  try {
    await once(server, "listening");
  } catch (error) {
    if (errorCode(error) === "EADDRINUSE") return undefined;
    throw new Failure(`The lock for setting up cannot be had: port ${port} gives ${errorCode(error)}.`);
  }
  return () => {
    server.close();
    for (const socket of waiting) socket.destroy();
  };
}

/**
 * Waits until the process that holds the port frees it, which ends the connection.
 * @param {number} port
 * @param {(holder: string) => void} tell
 * @returns {Promise<void>}
 */
function untilFree(port, tell) {
  return new Promise((resolve, reject) => {
    let text = "";
    const socket = net.connect({ port, host: "127.0.0.1" });
    const foreign = () => {
      socket.destroy();
      reject(
        new Failure(
          `Port ${port}, the lock for setting up, is taken by another program: end it, or name a free port in PORTEIRO_SETUP_PORT.`,
        ),
      );
    };
    const patience = setTimeout(foreign, GREETED_WITHIN_MS);
    socket.setEncoding("utf8");
    socket.on("data", (chunk) => {
      text += chunk;
      if (!GREETING.startsWith(text.slice(0, GREETING.length)) && !text.startsWith(GREETING)) return foreign();
      if (!text.includes("\n")) return;
      clearTimeout(patience);
      tell(text.slice(GREETING.length).trim());
    });
    // The holder may have ended before it was asked.
    socket.on("error", () => {});
    socket.on("close", () => {
      clearTimeout(patience);
      setTimeout(resolve, 50);
    });
  });
}
