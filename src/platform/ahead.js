// Looks into an upstream's body that goes to the caller all the same.
import { readBody, Shelf } from "./bodies.js";

// How much of an isolate's 128 MiB such bodies may hold.
const shelf = new Shelf(8 * 1024 * 1024);

/** What the runtime decodes by itself where a body is read. */
const DECODED = ["gzip", "br"];

/** What else can be decoded, as RFC 9110 §8.4.1 names it. @type {{ [coding: string]: "gzip" | "deflate" }} */
const KNOWN = { gzip: "gzip", "x-gzip": "gzip", deflate: "deflate" };

/**
 * The body of `response`, decoded; null where it has more than `maxBytes`, where it does not come in time, and where
 * its encoding is not known. The response that is given back is the same, with its body unread and as it was encoded.
 *
 * @param {Response} response
 * @param {number} maxBytes
 * @param {number} limitMs
 * @returns {Promise<{ bytes: Uint8Array | null, response: Response }>}
 */
export async function readAhead(response, maxBytes, limitMs) {
  const coding = response.headers.get("content-encoding") ?? "identity";
  const isDecoded = DECODED.includes(coding);
  const format = KNOWN[coding.toLowerCase()];
  const isPlain = isDecoded || coding.toLowerCase() === "identity";
  if (response.body === null || !(isPlain || format)) return { bytes: null, response };
  const copy = /** @type {ReadableStream<Uint8Array>} */ (response.clone().body);
  const decoded = isPlain ? copy : copy.pipeThrough(new DecompressionStream(format));
  try {
    return { bytes: (await readBody(decoded, maxBytes, shelf, limitMs, 0)) ?? null, response };
  } catch {
    return { bytes: null, response: isDecoded ? response : flowing(response) };
  }
}

/**
 * The same response, whose body does not wait for the read of its copy that was given up: the runtime would hand what
 * had come by then to the caller with what comes next.
 *
 * @param {Response} response
 */
function flowing(response) {
  const length = response.headers.get("content-length");
  const { readable, writable } =
    length === null ? new IdentityTransformStream() : new FixedLengthStream(Number(length));
  // The stream tells its reader of a failure.
  passOn(/** @type {ReadableStream<Uint8Array>} */ (response.body).getReader(), writable.getWriter()).catch(() => {});
  return new Response(readable, response);
}

/** @param {ReadableStreamDefaultReader<Uint8Array>} reader @param {WritableStreamDefaultWriter} writer */
async function passOn(reader, writer) {
  try {
    for (let read = await reader.read(); !read.done; read = await reader.read()) await writer.write(read.value);
    await writer.close();
  } catch (error) {
    await Promise.allSettled([writer.abort(error), reader.cancel(error)]);
  }
}
