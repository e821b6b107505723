// The request bodies that an isolate holds in memory. Anybody may begin to send a body and never end it: all bodies
// together have a bound, and a body that the broker reads before it does anything has a deadline.

// How much of a body is read beyond its limit: a caller that is cut off while it sends may not see the answer.
const READ_IN_VAIN = 2 * 1024 * 1024;

// What a body costs besides its bytes.
const OVERHEAD = 4 * 1024;

/** A body that frees its memory when the shelf tells it to. @typedef {{ letGo(): void }} Held */

/**
 * The bodies of one kind that an isolate holds. When they come to more than `most` bytes, the shelf lets the oldest
 * go: bodies that no caller ends, and those of calls that the runtime cut off without a word.
 */
export class Shelf {
  #most;
  /** @type {Map<Held, number>} */
  #sizes = new Map();
  #sum = 0;

  /** @param {number} most */
  constructor(most) {
    this.#most = most;
  }

  /** How many bytes its bodies come to. */
  get sum() {
    return this.#sum;
  }

  /**
   * Notes that `body` holds `bytes`, and lets the oldest bodies go where that is too much.
   *
   * @param {Held} body
   * @param {number} bytes
   */
  note(body, bytes) {
    this.#sum += bytes - (this.#sizes.get(body) ?? 0);
    this.#sizes.set(body, bytes);
    for (const oldest of this.#sizes.keys()) {
      if (this.#sum <= this.#most) break;
      this.forget(oldest);
      oldest.letGo();
    }
  }

  /** @param {Held} body */
  forget(body) {
    this.#sum -= this.#sizes.get(body) ?? 0;
    this.#sizes.delete(body);
  }
}

/** The calls whose bodies are being read by the runtime, which cannot let one go before it has ended. */
export class Underway {
  #most;
  /** @type {Map<unknown, { bytes: number, until: number }>} */
  #calls = new Map();
  #sum = 0;

  /** @param {number} most */
  constructor(most) {
    this.#most = most;
  }

  get sum() {
    return this.#sum;
  }

  /**
   * Whether a body of `bytes` may be read for `call`, which ends at `until` at the latest.
   *
   * @param {unknown} call
   * @param {number} bytes
   * @param {number} until
   */
  begin(call, bytes, until) {
    // The runtime cuts some calls off without a word: they have ended when their time is over.
    if (this.#sum + bytes > this.#most) {
      const now = Date.now();
      for (const [other, { until }] of this.#calls) if (until <= now) this.end(other);
    }
    if (this.#sum + bytes > this.#most) return false;
    this.#calls.set(call, { bytes, until });
    this.#sum += bytes;
    return true;
  }

  /** @param {unknown} call */
  end(call) {
    this.#sum -= this.#calls.get(call)?.bytes ?? 0;
    this.#calls.delete(call);
  }
}

// The first block is small, since most bodies are.
const FIRST_BLOCK = 4 * 1024;
const BLOCK = 16 * 1024;

/**
 * Bytes that come in pieces, in blocks that are filled one after the other. A piece as the runtime hands it over may
 * hold a buffer many times its size, and one large buffer that grows leaves as much garbage behind.
 */
class Blocks {
  /** @type {Uint8Array[]} */
  #full = [];
  /** @type {Uint8Array} */
  #last = new Uint8Array(0);
  #filled = 0;
  #size = 0;
  #capacity = 0;

  get size() {
    return this.#size;
  }

  /** How many bytes of memory it has. */
  get capacity() {
    return this.#capacity;
  }

  /** Room for more bytes. The reader fills it from its beginning, and gives it back to `take`. */
  room() {
    if (this.#filled === this.#last.byteLength) {
      if (this.#filled > 0) this.#full.push(this.#last);
      this.#last = new Uint8Array(this.#capacity === 0 ? FIRST_BLOCK : BLOCK);
      this.#filled = 0;
      this.#capacity += this.#last.byteLength;
    }
    return this.#last.subarray(this.#filled);
  }

  /** Takes the room back, of which `piece` was filled. @param {Uint8Array} piece */
  take(piece) {
    this.#last = new Uint8Array(piece.buffer);
    this.#filled += piece.byteLength;
    this.#size += piece.byteLength;
  }

  /** @param {Uint8Array} bytes */
  add(bytes) {
    for (let at = 0; at < bytes.byteLength; ) {
      const room = this.room();
      const part = bytes.subarray(at, at + room.byteLength);
      room.set(part);
      this.take(room.subarray(0, part.byteLength));
      at += part.byteLength;
    }
  }

  whole() {
    const whole = new Uint8Array(this.#size);
    let at = 0;
    for (const block of this.#full) {
      whole.set(block, at);
      at += block.byteLength;
    }
    whole.set(this.#last.subarray(0, this.#filled), at);
    return whole;
  }
}

/** A body that the broker reads for itself. */
class Reading {
  /** Undefined once the body is too large, or the reading has ended. @type {Blocks | undefined} */
  #blocks = new Blocks();
  #size = 0;
  #maxBytes;
  #mostInVain;
  #shelf;
  #ended = /** @type {PromiseWithResolvers<never>} */ (Promise.withResolvers());

  /** @param {number} maxBytes @param {Shelf} shelf @param {number} mostInVain */
  constructor(maxBytes, shelf, mostInVain) {
    this.#maxBytes = maxBytes;
    this.#mostInVain = mostInVain;
    this.#shelf = shelf;
    this.ended.catch(() => {});
    shelf.note(this, OVERHEAD);
  }

  /** Rejects with the reason why the body is read no further. */
  get ended() {
    return this.#ended.promise;
  }

  get isTooLarge() {
    return this.#size > this.#maxBytes;
  }

  letGo() {
    this.end("crowded");
  }

  /** @param {"crowded" | "late"} reason */
  end(reason) {
    this.#drop();
    this.#ended.reject(reason);
  }

  #drop() {
    this.#blocks = undefined;
    this.#shelf.forget(this);
  }

  /** @param {ReadableStreamBYOBReader} reader */
  async read(reader) {
    /** @type {Uint8Array} */
    let scratch = new Uint8Array(0);
    for (;;) {
      const room = this.#blocks?.room() ?? (scratch.byteLength > 0 ? scratch : new Uint8Array(BLOCK));
      const { done, value } = await reader.read(room);
      if (done) {
        if (this.isTooLarge) return null;
        if (value !== undefined) this.#blocks?.take(value);
        return this.#blocks?.whole();
      }
      this.#size += value.byteLength;
      if (this.#size > this.#maxBytes + this.#mostInVain) return null;
      if (this.isTooLarge && this.#blocks !== undefined) this.#drop();
      if (this.#blocks === undefined) {
        scratch = new Uint8Array(value.buffer);
        continue;
      }
      this.#blocks.take(value);
      this.#shelf.note(this, OVERHEAD + this.#blocks.capacity);
    }
  }
}

/**
 * The bytes of `stream`; null where they are more than `maxBytes`. Rejects where it breaks off, with "late" where
 * it has not ended after `limitMs`, and with "crowded" where `shelf` had no more room for it.
 *
 * @param {ReadableStream<Uint8Array> | null} stream
 * @param {number} maxBytes
 * @param {Shelf} shelf
 * @param {number} limitMs
 * @param {number} [mostInVain] how much is read beyond `maxBytes`, in bytes
 */
export async function readBody(stream, maxBytes, shelf, limitMs, mostInVain = READ_IN_VAIN) {
  if (stream === null) return new Uint8Array(0);
  const reading = new Reading(maxBytes, shelf, mostInVain);
  const reader = stream.getReader({ mode: "byob" });
  const alarm = setTimeout(() => reading.end("late"), limitMs);
  try {
    return await Promise.race([reading.read(reader), reading.ended]);
  } catch (error) {
    // A caller that sends too much is told so, however long it took.
    if (error === "late" && reading.isTooLarge) return null;
    throw error;
  } finally {
    clearTimeout(alarm);
    shelf.forget(reading);
    reader.cancel().catch(() => {});
  }
}

/** A body that was read whole and may have to be sent again. */
export class Whole {
  /** @type {ArrayBuffer | Uint8Array<ArrayBuffer> | undefined} */
  #bytes;

  /** @param {ArrayBuffer | Uint8Array<ArrayBuffer>} bytes @param {Shelf} shelf */
  constructor(bytes, shelf) {
    this.#bytes = bytes;
    shelf.note(this, OVERHEAD + bytes.byteLength);
  }

  letGo() {
    this.#bytes = undefined;
  }

  /** The body, unless the shelf let it go. */
  whole() {
    return this.#bytes;
  }
}

/** Passes a body on as it comes, and keeps it as long as it is small enough and the shelf has room. */
export class Recorder {
  #reader;
  #limit;
  #shelf;
  #cutOff;
  /** Undefined once the shelf let it go. @type {Blocks | undefined} */
  #kept = new Blocks();
  #ended = false;
  /** @type {Promise<Uint8Array | void>} */
  #reading = Promise.resolve();

  /**
   * @param {ReadableStream<Uint8Array>} body
   * @param {number} limit
   * @param {Shelf} shelf
   * @param {() => void} cutOff called where the body breaks off
   */
  constructor(body, limit, shelf, cutOff) {
    this.#reader = body.getReader();
    this.#limit = limit;
    this.#shelf = shelf;
    this.#cutOff = cutOff;
    shelf.note(this, OVERHEAD);
  }

  letGo() {
    this.#kept = undefined;
  }

  /** The body as a stream of `length` bytes, or of an unknown number. @param {number | undefined} length */
  stream(length) {
    // A stream of the runtime's own: the runtime keeps all that passes through a JavaScript stream until that ends.
    const { readable, writable } = length === undefined ? new IdentityTransformStream() : new FixedLengthStream(length);
    // The stream tells its reader of a failure.
    this.#passOn(writable.getWriter()).catch(() => {});
    return readable;
  }

  /** @param {WritableStreamDefaultWriter} writer */
  async #passOn(writer) {
    try {
      for (let chunk = await this.#read(); chunk; chunk = await this.#read()) await writer.write(chunk);
      await writer.close();
    } catch (error) {
      await writer.abort(error);
    }
  }

  /** The whole body, read to its end; undefined where the shelf let it go. */
  async whole() {
    while (!this.#ended && this.#kept !== undefined) await this.#read();
    return this.#kept?.whole();
  }

  // The stream and a second send may both want the next chunk: each waits for the other.
  #read() {
    this.#reading = this.#reading.then(async () => {
      if (this.#ended) return undefined;
      // The runtime would end a body that breaks off as if it were whole.
      const { done, value } = await this.#reader.read().catch((error) => {
        this.#cutOff();
        throw error;
      });
      if (done) {
        this.#ended = true;
        return undefined;
      }
      this.#keep(value);
      return value;
    });
    return this.#reading;
  }

  /** @param {Uint8Array} chunk */
  #keep(chunk) {
    if (this.#kept === undefined) return;
    if (this.#kept.size + chunk.byteLength > this.#limit) {
      this.#shelf.forget(this);
      this.letGo();
      return;
    }
    this.#kept.add(chunk);
    this.#shelf.note(this, OVERHEAD + this.#kept.capacity);
  }
}

// How far a copy may be ahead of its reader, in bytes; and what a piece takes at least, however few bytes it has.
const MOST_AHEAD = 512 * 1024;
const LEAST_PIECE = 4 * 1024;

/**
 * Passes `source` on to `writable` as it comes, and resolves to its bytes: to null where they are more than `maxBytes`,
 * where they have not all come after `limitMs`, where `shelf` had no room, and where the body breaks off. Whoever reads
 * the other end holds up no copy of a body that comes in pieces of some size, and a copy that was given up holds up
 * nobody.
 *
 * @param {ReadableStream<Uint8Array>} source
 * @param {WritableStream<Uint8Array>} writable
 * @param {number} maxBytes
 * @param {Shelf} shelf
 * @param {number} limitMs
 * @returns {Promise<Uint8Array | null>}
 */
export function copied(source, writable, maxBytes, shelf, limitMs) {
  return new Promise((resolve) => {
    /** @type {Blocks | undefined} */
    let kept = new Blocks();
    let ahead = 0;
    const copy = {
      /** @param {Uint8Array | null} bytes */
      end(bytes) {
        kept = undefined;
        clearTimeout(alarm);
        shelf.forget(copy);
        resolve(bytes);
      },
      letGo: () => copy.end(null),
    };
    const alarm = setTimeout(copy.letGo, limitMs);
    const [reader, writer] = [source.getReader(), writable.getWriter()];
    let isRead = true;
    const passOn = async () => {
      for (let read = await reader.read(); !read.done; read = await reader.read()) {
        const { value } = read;
        const size = Math.max(value.buffer.byteLength, LEAST_PIECE);
        ahead += size;
        const written = writer.write(value).then(
          () => {
            ahead -= size;
          },
          () => {
            isRead = false;
            ahead = 0;
          },
        );
        if (kept !== undefined && kept.size + value.byteLength > maxBytes) copy.letGo();
        if (kept !== undefined) {
          kept.add(value);
          shelf.note(copy, OVERHEAD + kept.capacity + ahead);
        }
        if (kept === undefined || ahead > MOST_AHEAD) await written;
        if (kept === undefined && !isRead) return reader.cancel();
      }
      if (kept !== undefined) copy.end(kept.whole());
      await writer.close();
    };
    passOn().catch((error) => {
      copy.letGo();
      return writer.abort(error).catch(() => {});
    });
  });
}
