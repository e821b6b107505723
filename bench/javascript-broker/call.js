// Handles one request, from its head to the answer.
import { permission, provenCallers } from "./caller.js";
import { configuration } from "./config.js";
import { addCors, isCrossSite, isPreflight, readCors } from "./cors.js";
import { callerHeaders, hasStrayBody, isLoadedAsCode, isLoop, upstreamHeaders } from "./fields.js";
import { Outgoing } from "./outgoing.js";
import { segmentsOf, splitAddress } from "./path.js";
import { preflight } from "./preflight.js";
import { Problem } from "./problem.js";
import { currentToken, tokenAfterRefusal } from "./tokens.js";
import { readTrace, traceparent } from "./trace.js";

export async function answer(request, env, ctx) {
  const config = await configuration(env);
  const address = splitAddress(request.url);
  const cors = readCors(request, address.origin, config);
  const line = {
    event: "call",
    audit: undefined,
    request_id: crypto.randomUUID().replaceAll("-", ""),
    trace_id: undefined,
    connection: undefined,
    caller: undefined,
    method: request.method,
    path: undefined,
    status: 0,
    code: undefined,
    token: undefined,
    token_ms: undefined,
    upstream_ms: undefined,
    replayed: undefined,
  };
  let draft;
  try {
    draft = await serve({ request, env, ctx, config, address, cors, line });
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    line.code = error.code;
    draft = error.answer(address.origin + config.basePath, line.request_id);
    if ([401, 403, 429].includes(draft.status)) line.audit = true;
  }
  line.status = draft.status;
  console.log(JSON.stringify(line));
  return finish(draft, request, cors, line);
}

function serve(call) {
  const { request, config, address, cors } = call;
  const below = address.path.startsWith(`${config.basePath}/`) ? address.path.slice(config.basePath.length) : "";
  const [, id, path = ""] = /^\/api\/([^/]+)(.*)$/s.exec(below) ?? [];
  if (isPreflight(request)) {
    if (cors.isRefused) throw new Problem("origin_not_allowed");
    return preflight(request, config.connections.get(id));
  }
  if (below === "/healthz") {
    return {
      status: 200,
      headers: new Headers({ "content-type": "application/json" }),
      body: '{"status":"ok","version":"0.1.0"}',
    };
  }
  if (id === undefined) throw new Problem("not_found");
  if (cors.isRefused) throw new Problem("origin_not_allowed");
  return passOn(call, id, path);
}

async function passOn(call, id, path) {
  const { request, env, ctx, config, address, cors, line } = call;
  const begun = readTrace(request.headers);
  line.trace_id = begun?.id;
  if (isCrossSite(request, cors)) throw new Problem("cross_site_request");
  const segments = segmentsOf(path);
  if (segments === undefined) throw new Problem("bad_path");
  const connection = config.connections.get(id);
  if (connection === undefined) throw new Problem("unknown_connection");
  line.connection = id;
  const { names, hasKey } = await provenCallers(request, cors, config, connection);
  const { caller, pattern } = permission(connection, names, request.method, segments);
  Object.assign(line, { caller, path: pattern.text });
  const carriesToken = address.query !== undefined && new URLSearchParams(address.query).has("access_token");
  if (isLoadedAsCode(request.headers) || carriesToken || hasStrayBody(request) || isLoop(request.headers)) {
    throw new Problem("bad_request");
  }
  const query = address.query === undefined ? "" : `?${address.query}`;
  const url = `${connection.baseUrl}${path === "" ? "/" : path}${query}`;
  const outgoing = new Outgoing(request);
  const trace = { id: begun?.id ?? line.request_id, isSampled: hasKey && begun?.isSampled === true };
  const first = await timed(line, "token_ms", () => currentToken(config, connection, env, ctx));
  line.token = first.source;
  let response = await send(outgoing, url, request, connection, first.token, trace, line);
  if (response.status === 401) {
    response.body?.cancel().catch(() => {});
    const second = await timed(line, "token_ms", () => tokenAfterRefusal(connection, first.token, env));
    Object.assign(line, { token: second.source, replayed: true });
    response = await send(outgoing, url, request, connection, second.token, trace, line);
    if (response.status === 401) throw new Problem("upstream_unauthorized");
  }
  return handBack(response, connection, url, `${address.origin}${config.basePath}/api/${id}`);
}

function send(outgoing, url, request, connection, token, trace, line) {
  const parent = traceparent(trace, line.request_id, line.replayed === true);
  const headers = upstreamHeaders(request.headers, connection, token.value, parent);
  return timed(line, "upstream_ms", () => outgoing.send(url, headers, connection));
}

/** Runs `action`, and adds its duration to the log line. */
async function timed(line, member, action) {
  const began = Date.now();
  try {
    return await action();
  } finally {
    line[member] = (line[member] ?? 0) + Date.now() - began;
  }
}

function handBack(response, connection, url, own) {
  const headers = callerHeaders(response.headers, connection);
  const vary = response.headers.get("vary");
  const location = response.headers.get("location");
  if (location !== null) {
    const target = new URL(location, url).href;
    if (target.startsWith(`${connection.baseUrl}/`))
      headers.set("location", own + target.slice(connection.baseUrl.length));
    else if (response.status >= 300 && response.status < 400 && response.status !== 304)
      throw new Problem("upstream_redirect");
  }
  return { status: response.status, headers, vary, body: response.body };
}

function finish({ status, headers, vary, body }, request, cors, line) {
  if (line.token !== undefined) {
    const upstream = line.upstream_ms === undefined ? "" : `, upstream;dur=${line.upstream_ms}`;
    headers.set("server-timing", `token;desc="${line.token}";dur=${line.token_ms}${upstream}`);
  }
  headers.set("x-request-id", line.request_id);
  addCors(headers, cors);
  headers.set("cache-control", "no-store");
  headers.set("x-content-type-options", "nosniff");
  headers.set("content-security-policy", "default-src 'none'; base-uri 'none'; frame-ancestors 'none'; sandbox");
  headers.set("cross-origin-resource-policy", "same-origin");
  headers.set("referrer-policy", "no-referrer");
  if (request.url.startsWith("https:")) headers.set("strict-transport-security", "max-age=31536000");
  const namesOrigin = vary?.split(",").some((name) => name.trim().toLowerCase() === "origin");
  headers.set("vary", vary && !namesOrigin ? `Origin, ${vary}` : "Origin");
  return new Response(request.method === "HEAD" ? null : body, { status, headers });
}
