// The size of a worker's JavaScript heap after garbage collection, from workerd's inspector.
import { Failure } from "../scripts/lib.mjs";
import { MIB } from "./settings.mjs";

/**
 * Attaches to a worker's inspector.
 *
 * @param {string} inspector its address
 * @param {string} worker its name
 * @param {() => Promise<unknown>} wake makes any request to the worker, since an idle worker does not listen
 */
export async function attach(inspector, worker, wake) {
  /** @type {{ id: string, webSocketDebuggerUrl: string }[]} */
  const targets = await (await fetch(`${inspector}/json`)).json();
  const target = targets.find(({ id }) => id === worker);
  if (!target) throw new Failure(`The inspector knows no worker ${worker}.`);
  const socket = new WebSocket(target.webSocketDebuggerUrl);
  await new Promise((resolve, reject) => Object.assign(socket, { onopen: resolve, onerror: reject }));
  /** @type {Map<number, (result: any) => void>} */
  const waiting = new Map();
  socket.onmessage = ({ data }) => {
    const { id, result } = JSON.parse(data);
    waiting.get(id)?.(result);
    waiting.delete(id);
  };
  let last = 0;
  /** @param {string} method */
  const ask = async (method) => {
    const id = ++last;
    const answered = new Promise((resolve) => waiting.set(id, resolve));
    socket.send(JSON.stringify({ id, method, params: {} }));
    while (waiting.has(id)) await wake();
    return answered;
  };
  await ask("HeapProfiler.enable");
  return {
    async usedMiB() {
      await ask("HeapProfiler.collectGarbage");
      const { usedSize, embedderHeapUsedSize } = await ask("Runtime.getHeapUsage");
      return (usedSize + embedderHeapUsedSize) / MIB;
    },
    close: () => socket.close(),
  };
}
