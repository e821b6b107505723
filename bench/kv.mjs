// Workers KV in memory, with the protocol that workerd speaks, for records that outlive a process.
import { createServer } from "node:http";
import { buffer } from "node:stream/consumers";
import { setTimeout as sleep } from "node:timers/promises";
import { Failure } from "../scripts/lib.mjs";
import { closeServer, listening } from "../tests/e2e/support/servers.mjs";

/** @typedef {Awaited<ReturnType<typeof startKv>>} Kv */

export async function startKv() {
  /** @type {Map<string, Buffer>} */
  const records = new Map();
  const server = createServer(async (request, response) => {
    const [name] = (request.url ?? "").split("?", 1);
    const body = await buffer(request);
    if (request.method === "PUT") records.set(name, body);
    const record = request.method === "GET" ? records.get(name) : undefined;
    response.writeHead(request.method === "GET" && record === undefined ? 404 : 200).end(record);
  });
  return {
    url: new URL(await listening(server)),
    clear: () => records.clear(),
    async untilWritten() {
      for (let attempt = 0; attempt < 1000; attempt++) {
        if (records.size > 0) return;
        await sleep(5);
      }
      throw new Failure("No record was written to KV.");
    },
    close: () => closeServer(server),
  };
}
