// Workers KV in memory, as workerd speaks to it, for records that outlive a process.
import { once } from "node:events";
import { createServer } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import { Failure } from "../scripts/lib.mjs";

export async function startKv() {
  const records = new Map();
  const server = createServer(async (request, response) => {
    const [name] = request.url.split("?", 1);
    const chunks = [];
    for await (const chunk of request) chunks.push(chunk);
    if (request.method === "PUT") records.set(name, Buffer.concat(chunks));
    const record = request.method === "GET" ? records.get(name) : undefined;
    response.writeHead(request.method === "GET" && record === undefined ? 404 : 200).end(record);
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    url: `http://127.0.0.1:${server.address().port}`,
    clear: () => records.clear(),
    async untilWritten() {
      for (let attempt = 0; attempt < 1000; attempt++) {
        if (records.size > 0) return;
        await sleep(5);
      }
      throw new Failure("No record was written to KV.");
    },
    close() {
      server.close();
      server.closeAllConnections();
    },
  };
}
