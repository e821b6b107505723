// The trace of a call (W3C Trace Context).

const SOUND = /^(?!ff)([0-9a-f]{2})-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-([0-9a-f]{2})(-[^,]*)?$/;

/** The id and the sampling flag of a valid `traceparent`; else undefined. */
export function readTrace(headers) {
  const [, version, id, flags, more] = SOUND.exec(headers.get("traceparent") ?? "") ?? [];
  if (id === undefined || (version === "00" && more !== undefined)) return undefined;
  return { id, isSampled: (Number.parseInt(flags, 16) & 1) === 1 };
}

/**
 * The field's value for an upstream request: its parent id is one half of the call's request id, and the other half for
 * a replay.
 */
export function traceparent({ id, isSampled }, requestId, isReplay) {
  const parent = isReplay ? requestId.slice(16) : requestId.slice(0, 16);
  return `00-${id}-${parent}-${isSampled ? "01" : "00"}`;
}
