// The header fields that pass, in both directions.

const GOES_UPSTREAM = new Set([
  "accept",
  "accept-language",
  "content-type",
  "content-language",
  "content-encoding",
  "range",
  "prefer",
  "idempotency-key",
]);
const COMES_BACK = new Set([
  "content-type",
  "content-length",
  "content-encoding",
  "content-language",
  "content-disposition",
  "content-range",
  "content-location",
  "etag",
  "last-modified",
  "retry-after",
  "link",
  "accept-ranges",
  "date",
]);

export const goesUpstream = (name, connection) =>
  GOES_UPSTREAM.has(name) || name.startsWith("if-") || connection?.requestHeaders.has(name) === true;

export function upstreamHeaders(given, connection, token, traceparent) {
  const hopByHop = (given.get("connection") ?? "")
    .toLowerCase()
    .split(",")
    .map((name) => name.trim());
  const headers = new Headers();
  for (const [name, value] of given) {
    if (goesUpstream(name, connection) && !hopByHop.includes(name)) headers.append(name, value);
  }
  headers.set("authorization", `Bearer ${token}`);
  headers.set("traceparent", traceparent);
  headers.set("via", "1.1 porteiro");
  headers.set("user-agent", "porteiro/0.1.0");
  return headers;
}

export function callerHeaders(given, connection) {
  const headers = new Headers();
  for (const [name, value] of given) {
    const passes =
      COMES_BACK.has(name) ||
      name.startsWith("ratelimit") ||
      name.startsWith("x-ratelimit-") ||
      connection.responseHeaders.has(name);
    if (passes) headers.append(name, value);
  }
  return headers;
}

/** Whether a request whose method allows no body has one. */
export function hasStrayBody({ method, headers }) {
  if (method !== "GET" && method !== "HEAD") return false;
  return (headers.get("content-length") ?? "0") !== "0" || headers.has("transfer-encoding");
}

/** Whether the request has already passed a broker. */
export function isLoop(headers) {
  const via = headers.get("via");
  return via?.split(",").some((hop) => hop.trim().split(/\s+/)[1] === "porteiro");
}

const CODE = new Set([
  "script",
  "style",
  "xslt",
  "worker",
  "sharedworker",
  "serviceworker",
  "audioworklet",
  "paintworklet",
]);

/** Whether a browser would run or apply the answer as part of a page. */
export function isLoadedAsCode(headers) {
  return CODE.has(headers.get("sec-fetch-dest")) || headers.has("service-worker");
}
