// The texts that cross the border between call.js and the broker. wire.rs, the other side, has their grammar; the
// examples in tests/data/wire.json hold both sides to it.

/** What the broker says is to be done, by the first character. */
export const [FETCH, LEAD, JOIN, WAIT, UPSTREAM, VEILED, TEXT, PAGE, EMPTY] = [..."FLJWUVTPE"].map((letter) =>
  letter.charCodeAt(0),
);

/** Why there is no upstream's head. */
export const TIMEOUT = "timeout";
/** The body cannot be sent a second time. */
export const GONE = "gone";
export const UNREACHABLE = "unreachable";

// The first character of a log line.
const LINE = "{".charCodeAt(0);

/** What is to be done. @param {string} told */
export const kindOf = (told) => told.charCodeAt(0);

/** Writes a caller's head. @param {string} method @param {string} url @param {Pick<Headers, "forEach">} headers */
export const requestHead = (method, url, headers) => `${method}\n${url}${fieldLines(headers)}`;

/** Writes an upstream's head. @param {number} status @param {Pick<Headers, "forEach">} headers */
export const upstreamHead = (status, headers) => `${status}${fieldLines(headers)}`;

/** @param {Pick<Headers, "forEach">} headers */
function fieldLines(headers) {
  let lines = "";
  headers.forEach((value, name) => {
    lines += `\n${name}:${value}`;
  });
  return lines;
}

/** Reads a request to the upstream. @param {string} told */
export function readFetch(told) {
  const [limit, replay, method, url] = told.slice(1).split("\n", 4);
  // The letter, four line breaks, and what stands between them.
  const fields = told.slice(5 + limit.length + replay.length + method.length + url.length);
  const space = limit.indexOf(" ");
  const timeoutMs = Number(space < 0 ? limit : limit.slice(0, space));
  const certificate = space < 0 ? undefined : limit.slice(space + 1);
  return { method, url, fields, timeoutMs, certificate, replayBytes: Number(replay), atOnce: replay[0] === "+" };
}

/** Reads an answer. @param {string} told */
export function readAnswer(told) {
  const lines = [];
  let at = 1;
  while (told.charCodeAt(at) === LINE) {
    const end = told.indexOf("\n", at);
    lines.push(told.slice(at, end));
    at = end + 1;
  }
  const status = Number(told.slice(at, at + 3));
  const end = told.indexOf("\n\n", at + 4);
  return { kind: kindOf(told), lines, status, fields: told.slice(at + 4, end), text: told.slice(end + 2) };
}

/** Adds `fields`, a line each, to `headers`. @param {Pick<Headers, "append">} headers @param {string} fields */
export function append(headers, fields) {
  for (let at = 0; at < fields.length; ) {
    const colon = fields.indexOf(":", at);
    const lineEnd = fields.indexOf("\n", colon);
    const end = lineEnd < 0 ? fields.length : lineEnd;
    headers.append(fields.slice(at, colon), fields.slice(colon + 1, end));
    at = end + 1;
  }
}
