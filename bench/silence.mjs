// An upstream that takes calls and never answers.
import { once } from "node:events";
import { createServer } from "node:http";

export async function startSilence() {
  const awaited = new Map();
  const server = createServer((request) => {
    const number = request.url.split("?")[1];
    awaited.get(number)?.();
    awaited.delete(number);
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    url: `http://127.0.0.1:${server.address().port}`,
    /** Waits until the call arrives whose query is this number. */
    arrival: (number) => new Promise((resolve) => awaited.set(String(number), resolve)),
    close() {
      server.close();
      server.closeAllConnections();
    },
  };
}
