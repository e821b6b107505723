// The upstream of every measurement: nginx on this machine, with documents and an address that accepts bodies.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Failure } from "../scripts/lib.mjs";
import { endWithThis, freePort } from "../scripts/processes.mjs";
import { childOf } from "./process.mjs";
import { MIB } from "./settings.mjs";

export const SMALL = "/small.json";
export const LARGE = "/large.bin";
/** Reads the whole request, and answers with its size in bytes, head and body. */
export const SINK = "/sink";
/** Answers with the credential of the request. */
export const CREDENTIAL = "/credential";
/** Answers with the trace of the request. */
export const TRACE = "/trace";

/** @typedef {Awaited<ReturnType<typeof startUpstream>>} Upstream */

export async function startUpstream() {
  const folder = mkdtempSync(path.join(tmpdir(), "porteiro-bench-nginx-"));
  const items = Array.from({ length: 8 }, (_, id) => ({ id, name: `item ${id}` }));
  writeFileSync(path.join(folder, "small.json"), JSON.stringify({ ok: true, items }));
  writeFileSync(path.join(folder, "large.bin"), Buffer.alloc(MIB, "x"));
  const [port, inner] = [await freePort(), await freePort()];
  writeFileSync(path.join(folder, "nginx.conf"), configuration(folder, port, inner));
  const child = endWithThis(
    spawn("nginx", ["-p", folder, "-c", path.join(folder, "nginx.conf")], { stdio: "inherit" }),
    "SIGTERM",
  );
  const url = `http://127.0.0.1:${port}`;
  await untilOpen(url + SMALL);
  return {
    url,
    // The master process only supervises.
    pid: childOf(/** @type {number} */ (child.pid)),
    async stop() {
      const ended = once(child, "exit");
      child.kill();
      await ended;
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

// nginx answers a POST to a document with 405, and a POST to a location with `return` before it has read the body. A
// request that nginx proxies is first read as a whole; here nginx passes on only its size.
/**
 * @param {string} folder
 * @param {number} port
 * @param {number} inner the port of the server that answers with the size
 */
function configuration(folder, port, inner) {
  const user = process.getuid?.() === 0 ? "user root;" : "";
  const temporary = ["client_body", "proxy"].map((name) => `${name}_temp_path ${folder}/${name};`).join(" ");
  return `${user} daemon off; worker_processes 1; pid ${folder}/nginx.pid; error_log ${folder}/error.log;
events { worker_connections 4096; }
http {
  access_log off; keepalive_requests 100000000; keepalive_timeout 600s; sendfile on; types { application/json json; } ${temporary}
  upstream inner { server 127.0.0.1:${inner}; keepalive 64; keepalive_requests 100000000; }
  server {
    listen 127.0.0.1:${port} backlog=4096; root ${folder};
    location = ${CREDENTIAL} { default_type text/plain; return 200 $http_authorization; }
    location = ${TRACE} { default_type text/plain; return 200 "$http_traceparent $http_tracestate"; }
    location = ${SINK} {
      client_max_body_size 0; client_body_buffer_size 32m;
      proxy_pass http://inner; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_set_header X-Received $request_length;
      proxy_pass_request_body off; proxy_set_header Content-Length ""; proxy_method GET;
    }
  }
  server { listen 127.0.0.1:${inner}; location / { default_type application/json; return 200 '{"received":$http_x_received}'; } }
}`;
}

/** @param {string} url */
async function untilOpen(url) {
  for (let attempt = 0; attempt < 100; attempt++) {
    if (
      await fetch(url).then(
        () => true,
        () => false,
      )
    )
      return;
    await sleep(100);
  }
  throw new Failure(`Nothing answers at ${url}.`);
}
