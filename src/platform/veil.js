// Strikes the secrets of a call out of an upstream's error, where a debugging page quotes the request.

// How much of a body is searched: a debugging page has the request at its beginning.
const LOOKED_AT = 64 * 1024;

// Bytes as characters, and back.
const decoder = new TextDecoder("latin1");
const encoder = new TextEncoder();

/**
 * The body of `response`, in whose first part an asterisk stands for each byte of the `secrets`, however they are
 * escaped there. The number of bytes stays the same.
 *
 * @param {Pick<Response, "body" | "headers">} response
 * @param {string[]} secrets
 */
export function veiled({ body, headers }, secrets) {
  if (body === null) return null;
  const looking = body.pipeThrough(new TransformStream(new Veil(secrets)));
  const length = headers.get("content-length");
  if (length === null || headers.has("content-encoding")) return looking;
  return looking.pipeThrough(new FixedLengthStream(Number(length)));
}

/** Holds the first part of a body back until it is whole, and strikes the secrets out of it. */
class Veil {
  /** Undefined once the first part has passed. @type {string[] | undefined} */
  #secrets;
  /** @type {Uint8Array[]} */
  #held = [];
  #size = 0;

  /** @param {string[]} secrets */
  constructor(secrets) {
    this.#secrets = secrets;
  }

  /**
   * @param {Uint8Array} chunk
   * @param {TransformStreamDefaultController<Uint8Array>} controller
   * @returns {void}
   */
  transform(chunk, controller) {
    if (this.#secrets === undefined) return controller.enqueue(chunk);
    this.#held.push(chunk);
    this.#size += chunk.byteLength;
    if (this.#size >= LOOKED_AT) this.flush(controller);
  }

  /** @param {TransformStreamDefaultController<Uint8Array>} controller */
  flush(controller) {
    if (this.#secrets === undefined) return;
    const bytes = new Uint8Array(this.#size);
    let at = 0;
    for (const chunk of this.#held) {
      bytes.set(chunk, at);
      at += chunk.byteLength;
    }
    const text = decoder.decode(bytes);
    for (const secret of this.#secrets) {
      // As bytes, and as escapes of whole characters have it.
      for (const written of new Set([decoder.decode(encoder.encode(secret)), secret])) {
        for (const [start, end] of places(text, written)) bytes.fill(STRUCK_OUT, start, end);
      }
    }
    if (bytes.byteLength > 0) controller.enqueue(bytes);
    this.#secrets = undefined;
    this.#held = [];
  }
}

const STRUCK_OUT = "*".charCodeAt(0);

// One escaped character: for JSON, perhaps more than once; for HTML.
const ESCAPED = /\\{1,4}(?:u00([\da-f]{2})|([^\w\s]))|&(?:#x0{0,6}([\da-f]{1,2})|#0{0,6}(\d{1,3})|([a-z]{2,6}));/iy;

/** @type {{ [name: string]: string }} */
const NAMED = {
  amp: "&",
  lt: "<",
  gt: ">",
  quot: '"',
  apos: "'",
  sol: "/",
  plus: "+",
  equals: "=",
  num: "#",
  colon: ":",
};

/**
 * The beginnings and ends of `secret` in `text`, whether its characters are escaped there or not.
 *
 * @param {string} text
 * @param {string} secret
 * @returns {Generator<[start: number, end: number]>}
 */
function* places(text, secret) {
  for (let at = 0; at < text.length; at++) {
    const end = endOf(text, secret, at);
    if (end === undefined) continue;
    yield [at, end];
    at = end - 1;
  }
}

/**
 * The end of `secret` in `text` if it begins at `at`, else undefined.
 *
 * @param {string} text
 * @param {string} secret
 * @param {number} at
 * @param {number} [from] where what is looked for begins in `secret`
 * @returns {number | undefined}
 */
function endOf(text, secret, at, from = 0) {
  for (let letter = from; letter < secret.length; letter++) {
    const char = text[at];
    if (char !== "%" && char !== "\\" && char !== "&") {
      if (char !== secret[letter]) return undefined;
      at += 1;
      continue;
    }
    // A secret may itself look escaped: each reading is tried.
    const lengths = readings(secret[letter], text, at);
    const last = lengths.pop();
    if (last === undefined) return undefined;
    for (const length of lengths) {
      const end = endOf(text, secret, at + length, letter + 1);
      if (end !== undefined) return end;
    }
    at += last;
  }
  return at;
}

/**
 * The lengths of what stands for `letter` at `at`, escaped or not.
 *
 * @param {string} letter
 * @param {string} text
 * @param {number} at
 */
function readings(letter, text, at) {
  const lengths = text[at] === letter ? [1] : [];
  if (text[at] === "%") {
    for (let end = at + 3; end <= at + 11; end += 2) {
      const code = text.slice(end - 2, end);
      if (!/^[\da-f]{2}$/i.test(code)) break;
      if (decoder.decode(Uint8Array.of(Number.parseInt(code, 16))) === letter) lengths.push(end - at);
      if (code !== "25") break;
    }
    return lengths;
  }
  ESCAPED.lastIndex = at;
  const [all, json, plain, hex, decimal, name] = ESCAPED.exec(text) ?? [];
  const code = json ?? hex;
  const meant =
    plain ?? NAMED[name] ?? String.fromCharCode(code === undefined ? Number(decimal) : Number.parseInt(code, 16));
  if (all !== undefined && meant === letter) lengths.push(all.length);
  return lengths;
}
