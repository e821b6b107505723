// What whoever starts a server needs: a port that is free, and that no process outlives this one.
import { once } from "node:events";
import { createServer } from "node:net";

/**
 * The processes that end with this one, and by which signal.
 *
 * @type {Map<import("node:child_process").ChildProcess, NodeJS.Signals>}
 */
const children = new Map();

/**
 * Ends a process with this one, however this one ends.
 *
 * @template {import("node:child_process").ChildProcess} Child
 * @param {Child} child
 * @param {NodeJS.Signals} [signal]
 */
export function endWithThis(child, signal = "SIGKILL") {
  children.set(child, signal);
  child.once("exit", () => children.delete(child));
  return child;
}

process.once("exit", () => {
  for (const [child, signal] of children) child.kill(signal);
});
for (const signal of ["SIGINT", "SIGTERM"]) process.once(signal, () => process.exit(130));

/** A port that nobody listens on. */
export async function freePort() {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = /** @type {import("node:net").AddressInfo} */ (server.address());
  server.close();
  await once(server, "close");
  return port;
}
