// Stands between the broker and servers that nobody here wrote: passes everything on as it is,
// and keeps what was said. Each connection has a path of its own below it.

import { createServer, request as httpRequest } from "node:http";

export async function startRecorder() {
  const lines = new Map();
  const server = createServer({ keepAliveTimeout: 120_000 }, (incoming, outgoing) => {
    const [, id] = /^\/([a-z0-9-]+)\//.exec(incoming.url) ?? [];
    const line = lines.get(id);
    if (!line) return outgoing.writeHead(599).end();
    return line.pass(incoming, outgoing).catch(() => incoming.socket.destroy());
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const url = `http://127.0.0.1:${server.address().port}`;
  return {
    /** Everything below `${url}/${id}` goes to `target`, { url, tokenPath }. */
    line(id, target) {
      const line = new Line(id, `${url}/${id}`, target);
      lines.set(id, line);
      return line;
    },
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

class Line {
  /** Every exchange: { path, headers, lost, parameters, status, answer }; the last two once they are there. */
  exchanges = [];
  #lose = false;

  constructor(id, url, target) {
    this.id = id;
    this.url = url;
    this.target = target;
    this.tokenUrl = `${url}${target.tokenPath}`;
  }

  /** The address of a call through the broker. */
  api(path) {
    return `/api/${this.id}${path}`;
  }

  /** The token requests, and what was answered. */
  get grants() {
    return this.exchanges.filter(({ path }) => path === this.target.tokenPath);
  }

  /** The calls of the API. */
  get calls() {
    return this.exchanges.filter(({ path }) => path !== this.target.tokenPath);
  }

  /** Every token set that was handed out, in order: { client, access, refresh }. */
  get issued() {
    return this.grants
      .filter(({ status }) => status === 200)
      .map(({ answer, parameters }) => ({
        client: parameters.client_id,
        access: answer.access_token,
        refresh: answer.refresh_token,
      }));
  }

  /** The next token request takes effect, and its answer gets lost on the way. */
  loseNextGrant() {
    this.#lose = true;
  }

  async pass(incoming, outgoing) {
    const path = incoming.url.slice(new URL(this.url).pathname.length);
    const lost = this.#lose && path === this.target.tokenPath;
    if (lost) this.#lose = false;
    const exchange = { path, headers: incoming.headers, lost };
    this.exchanges.push(exchange);
    const body = await readAll(incoming);
    exchange.parameters = Object.fromEntries(new URLSearchParams(body.toString()));
    const response = await forward(new URL(path, this.target.url), incoming, body);
    const bytes = await readAll(response);
    exchange.answer = parsed(bytes);
    exchange.status = response.statusCode;
    if (lost) return void incoming.socket.destroy();
    const { connection, "transfer-encoding": chunked, ...headers } = response.headers;
    outgoing.writeHead(response.statusCode, { ...headers, "content-length": bytes.length }).end(bytes);
  }
}

function forward(url, { method, headers: { connection, "transfer-encoding": chunked, ...headers } }, body) {
  return new Promise((resolve, reject) => {
    const length = body.length ? { "content-length": body.length } : {};
    const sent = httpRequest(
      url,
      { method, agent: false, headers: { ...headers, ...length, host: url.host } },
      resolve,
    );
    sent.once("error", reject);
    sent.end(body);
  });
}

function parsed(bytes) {
  try {
    return JSON.parse(bytes.toString());
  } catch {
    return undefined;
  }
}

async function readAll(stream) {
  const chunks = [];
  for await (const chunk of stream) chunks.push(chunk);
  return Buffer.concat(chunks);
}
