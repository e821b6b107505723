// Strikes the token of a call out of an upstream's error, where pages for debugging hand it back.

// So much of a body is looked at: a page for debugging has the request at its beginning.
const LOOKED_AT = 64 * 1024;

// Bytes as characters, and back.
const decoder = new TextDecoder("latin1");

/**
 * The body of `response` with every character of `token` in its first part replaced by an
 * asterisk, however it is written there, so that the rest stays as it is. The number of bytes
 * stays, too.
 *
 * @param {Pick<Response, "body" | "headers">} response
 * @param {string} token
 */
export function veiled({ body, headers }, token) {
  if (body === null) return null;
  const looking = body.pipeThrough(new TransformStream(new Veil(token)));
  const length = headers.get("content-length");
  if (length === null || headers.has("content-encoding")) return looking;
  return looking.pipeThrough(new FixedLengthStream(Number(length)));
}

/** Holds the first part back until it is whole. */
class Veil {
  /** @type {string | undefined} Until it was looked for. */
  #token;
  /** @type {Uint8Array[]} */
  #held = [];
  #size = 0;

  /** @param {string} token */
  constructor(token) {
    this.#token = token;
  }

  /**
   * @param {Uint8Array} chunk
   * @param {TransformStreamDefaultController<Uint8Array>} controller
   * @returns {void}
   */
  transform(chunk, controller) {
    if (this.#token === undefined) return controller.enqueue(chunk);
    this.#held.push(chunk);
    this.#size += chunk.byteLength;
    if (this.#size >= LOOKED_AT) this.flush(controller);
  }

  /** @param {TransformStreamDefaultController<Uint8Array>} controller */
  flush(controller) {
    if (this.#token === undefined) return;
    const bytes = new Uint8Array(this.#size);
    let at = 0;
    for (const chunk of this.#held) {
      bytes.set(chunk, at);
      at += chunk.byteLength;
    }
    for (const [start, end] of places(decoder.decode(bytes), this.#token)) bytes.fill(STRUCK_OUT, start, end);
    if (bytes.byteLength > 0) controller.enqueue(bytes);
    this.#token = undefined;
    this.#held = [];
  }
}

const STRUCK_OUT = "*".charCodeAt(0);

// One character that is escaped for an address, perhaps more than once, for JSON or for HTML.
const ESCAPED =
  /%(?:25){0,4}([\da-f]{2})|\\{1,4}(?:u00([\da-f]{2})|([^\w\s]))|&(?:#x0{0,6}([\da-f]{1,2})|#0{0,6}(\d{1,3})|([a-z]{2,6}));/iy;

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
 * Where `token` stands in `text`, each of its characters as it is or escaped: beginnings and ends.
 *
 * @param {string} text
 * @param {string} token
 * @returns {Generator<[start: number, end: number]>}
 */
function* places(text, token) {
  for (let at = 0; at < text.length; at++) {
    const end = endOf(text, token, at);
    if (end === undefined) continue;
    yield [at, end];
    at = end - 1;
  }
}

/**
 * The end of `token`, where it begins at `at`.
 *
 * @param {string} text
 * @param {string} token
 * @param {number} at
 */
function endOf(text, token, at) {
  for (const letter of token) {
    if (text[at] === letter) {
      at += 1;
      continue;
    }
    if (text[at] !== "%" && text[at] !== "\\" && text[at] !== "&") return undefined;
    ESCAPED.lastIndex = at;
    const [all, percent, json, plain, hex, decimal, name] = ESCAPED.exec(text) ?? [];
    const code = percent ?? json ?? hex;
    const meant =
      plain ?? NAMED[name] ?? String.fromCharCode(code === undefined ? Number(decimal) : Number.parseInt(code, 16));
    if (all === undefined || meant !== letter) return undefined;
    at += all.length;
  }
  return at;
}
