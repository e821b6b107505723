// The paths of calls, and the patterns of rules.

const NEVER_PART = /[\\?#\u0000-\u001f\u007f]/;
const TO_BE_DECODED = /[%.; ]/;
const DANGEROUS_DECODED = /[/\\\u0000-\u001f\u007f]/;
const OVERLONG = /[\u00c0\u00c1][\u0080-\u00bf]|\u00e0[\u0080-\u009f]|\u00f0[\u0080-\u008f]/;

/** The parts of an address, byte for byte as sent: `URL` would resolve dot segments. */
export function splitAddress(url) {
  const start = url.indexOf("/", url.indexOf("://") + 3);
  const origin = start < 0 ? url : url.slice(0, start);
  const target = start < 0 ? "" : url.slice(start).split("#", 1)[0];
  const mark = target.indexOf("?");
  return mark < 0
    ? { origin, path: target, query: undefined }
    : { origin, path: target.slice(0, mark), query: target.slice(mark + 1) };
}

/** The segments of a harmless path, without a trailing slash; undefined if a server could read it as another path. */
export function segmentsOf(path) {
  if (path === "" || path === "/") return [];
  const segments = (path.endsWith("/") ? path.slice(1, -1) : path.slice(1)).split("/");
  return segments.some(isDangerous) ? undefined : segments;
}

function isDangerous(segment) {
  if (segment === "" || NEVER_PART.test(segment)) return true;
  if (!TO_BE_DECODED.test(segment)) return false;
  const bytes = segment.replace(/%([0-9a-f]{2})/gi, (_, hex) => String.fromCharCode(parseInt(hex, 16)));
  const name = bytes.split(";", 1)[0].trim();
  return name === "" || name === "." || name === ".." || DANGEROUS_DECODED.test(bytes) || OVERLONG.test(bytes);
}

/** Compiles a pattern: `*` matches one segment, `**` at the end any number of them. */
export function compilePattern(text) {
  const segments = segmentsOf(text);
  const open = segments.at(-1) === "**";
  return { text, open, segments: open ? segments.slice(0, -1) : segments };
}

export function matches(pattern, segments) {
  const wanted = pattern.segments;
  if (pattern.open ? segments.length < wanted.length : segments.length !== wanted.length) return false;
  return wanted.every((segment, at) => segment === "*" || segment === segments[at]);
}
