// What a program that starts servers needs: a free port, and children that do not outlive this process.
import { once } from "node:events";
import { createServer } from "node:net";

/**
 * The processes that end with this one, each with its signal.
 *
 * @type {Map<import("node:child_process").ChildProcess, NodeJS.Signals>}
 */
const children = new Map();

/**
 * Ends a process when this one ends, for any reason.
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

/** A port that is free. */
export async function freePort() {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = /** @type {import("node:net").AddressInfo} */ (server.address());
  server.close();
  await once(server, "close");
  return port;
}
