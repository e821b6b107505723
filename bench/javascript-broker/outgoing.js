// A caller's request to the upstream, which can be sent twice if its body is small.
import { Problem } from "./problem.js";

// The broker buffers bodies up to this size, so that it can send them again.
const READ_FIRST = 64 * 1024;

export class Outgoing {
  #request;
  #body; // undefined: not sent yet; null: none; ArrayBuffer; "gone"

  constructor(request) {
    this.#request = request;
  }

  async send(url, headers, { timeout, replayBytes }) {
    const body = await this.#nextBody(replayBytes);
    const timer = new AbortController();
    const alarm = setTimeout(() => timer.abort(), timeout);
    try {
      return await fetch(url, {
        method: this.#request.method,
        headers,
        body,
        redirect: "manual",
        cache: "no-store",
        signal: timer.signal,
      });
    } catch {
      throw new Problem(timer.signal.aborted ? "upstream_timeout" : "upstream_unreachable");
    } finally {
      clearTimeout(alarm);
    }
  }

  async #nextBody(replayBytes) {
    if (this.#body === "gone") throw new Problem("upstream_unauthorized");
    if (this.#body !== undefined) return this.#body;
    const { body, headers } = this.#request;
    if (body === null) return (this.#body = null);
    const length = Number(headers.get("content-length") ?? Infinity);
    if (length <= Math.min(READ_FIRST, replayBytes)) return (this.#body = await this.#request.arrayBuffer());
    this.#body = "gone";
    return body;
  }
}
