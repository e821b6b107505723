// The trace that a call belongs to (W3C Trace Context).

const SOUND = /^(?!ff)([0-9a-f]{2})-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-([0-9a-f]{2})(-[^,]*)?$/;

/** The trace of a sound `traceparent`: its id, and whether it is recorded; else nothing. */
export function readTrace(headers) {
  const [, version, id, flags, more] = SOUND.exec(headers.get("traceparent") ?? "") ?? [];
  if (id === undefined || (version === "00" && more !== undefined)) return undefined;
  return { id, isSampled: (Number.parseInt(flags, 16) & 1) === 1 };
}

/** The field's value for a request of the call: halves of its id are those of its requests. */
export function traceparent({ id, isSampled }, requestId, isReplay) {
  const parent = isReplay ? requestId.slice(16) : requestId.slice(0, 16);
  return `00-${id}-${parent}-${isSampled ? "01" : "00"}`;
}
