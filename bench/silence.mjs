// An upstream that accepts calls and never answers.
import { createServer } from "node:http";
import { closeServer, listening } from "../tests/e2e/support/servers.mjs";

/** @typedef {Awaited<ReturnType<typeof startSilence>>} Silence */

export async function startSilence() {
  /** @type {Map<string, (value: unknown) => void>} */
  const awaited = new Map();
  const server = createServer((request) => {
    const number = (request.url ?? "").split("?")[1];
    awaited.get(number)?.(undefined);
    awaited.delete(number);
  });
  return {
    url: await listening(server),
    /**
     * Waits until the call with this number in its query arrives.
     *
     * @param {number} number
     */
    arrival: (number) => new Promise((resolve) => awaited.set(String(number), resolve)),
    close: () => closeServer(server),
  };
}
