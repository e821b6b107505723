// What an isolate keeps of bodies in memory. Anybody may begin to send one, and need not end it: what all of them
// hold together has a bound, and what is read before anything is done has a deadline.

// So much of a body that is too large is read all the same: who is cut off while sending may not
// see the answer.
const READ_IN_VAIN = 2 * 1024 * 1024;

// What a body costs besides its bytes.
const OVERHEAD = 4 * 1024;

/**
 * The bodies of one kind that an isolate holds. When they come to more than `most` bytes, the oldest are let go of:
 * those that nobody ends. One whose call was cut off, and who told nobody, goes in the same way.
 */
export class Shelf {
  #most;
  #sizes = new Map();
  #sum = 0;

  constructor(most) {
    this.#most = most;
  }

  /** How many bytes its bodies come to. */
  get sum() {
    return this.#sum;
  }

  /** Notes that `body` holds `bytes`. It is told to `letGo` where that is too much. */
  note(body, bytes) {
    this.#sum += bytes - (this.#sizes.get(body) ?? 0);
    this.#sizes.set(body, bytes);
    for (const oldest of this.#sizes.keys()) {
      if (this.#sum <= this.#most) break;
      this.forget(oldest);
      oldest.letGo();
    }
  }

  forget(body) {
    this.#sum -= this.#sizes.get(body) ?? 0;
    this.#sizes.delete(body);
  }
}

/** Calls whose bodies are being read, none of which can be let go of before it ends by itself. */
export class Underway {
  #most;
  #calls = new Map();
  #sum = 0;

  constructor(most) {
    this.#most = most;
  }

  get sum() {
    return this.#sum;
  }

  /** Whether a body of `bytes` may be read for `call`, which ends at `until` at the latest. */
  begin(call, bytes, until) {
    // Not every end is told.
    if (this.#sum + bytes > this.#most) {
      const now = Date.now();
      for (const [other, { until }] of this.#calls) if (until <= now) this.end(other);
    }
    if (this.#sum + bytes > this.#most) return false;
    this.#calls.set(call, { bytes, until });
    this.#sum += bytes;
    return true;
  }

  end(call) {
    this.#sum -= this.#calls.get(call)?.bytes ?? 0;
    this.#calls.delete(call);
  }
}

/** Bytes that come in pieces. A piece that the runtime hands over may hold a buffer many times its size. */
class Bytes {
  #bytes = new Uint8Array(0);
  #size = 0;

  get size() {
    return this.#size;
  }

  /** How many bytes of memory it has. */
  get capacity() {
    return this.#bytes.byteLength;
  }

  add(piece, mostBytes) {
    const size = this.#size + piece.byteLength;
    if (size > this.capacity) {
      const grown = new Uint8Array(Math.min(Math.max(size, 2 * this.capacity), Math.max(size, mostBytes)));
      grown.set(this.#bytes.subarray(0, this.#size));
      this.#bytes = grown;
    }
    this.#bytes.set(piece, this.#size);
    this.#size = size;
  }

  whole() {
    return this.#bytes.subarray(0, this.#size);
  }
}

/** A body that the broker reads for itself. */
class Reading {
  #bytes = new Bytes();
  #size = 0;
  #maxBytes;
  #shelf;
  #end;
  /** Rejects with the reason why it is read no more. */
  ended;

  constructor(maxBytes, shelf) {
    this.#maxBytes = maxBytes;
    this.#shelf = shelf;
    this.ended = new Promise((_, reject) => (this.#end = reject));
    this.ended.catch(() => {});
    shelf.note(this, OVERHEAD);
  }

  get isTooLarge() {
    return this.#size > this.#maxBytes;
  }

  letGo() {
    this.end("crowded");
  }

  end(reason) {
    this.#bytes = undefined;
    this.#shelf.forget(this);
    this.#end(reason);
  }

  async read(reader) {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return this.isTooLarge ? null : this.#bytes?.whole();
      this.#size += value.byteLength;
      if (this.#size > this.#maxBytes + READ_IN_VAIN) return null;
      if (this.isTooLarge) {
        this.#bytes = undefined;
        this.#shelf.forget(this);
      }
      if (this.#bytes === undefined) continue;
      this.#bytes.add(value, this.#maxBytes);
      this.#shelf.note(this, OVERHEAD + this.#bytes.capacity);
    }
  }
}

/**
 * The bytes of `stream`; null where they are more than `maxBytes`. Rejects where it breaks off, with "late" where
 * it has not ended after `limitMs`, and with "crowded" where `shelf` had no more room for it.
 */
export async function readBody(stream, maxBytes, shelf, limitMs) {
  if (stream === null) return new Uint8Array(0);
  const reading = new Reading(maxBytes, shelf);
  const reader = stream.getReader();
  const alarm = setTimeout(() => reading.end("late"), limitMs);
  try {
    return await Promise.race([reading.read(reader), reading.ended]);
  } catch (error) {
    // Who sends too much is told so, however long it took.
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
  #bytes;

  constructor(bytes, shelf) {
    this.#bytes = bytes;
    shelf.note(this, OVERHEAD + bytes.byteLength);
  }

  letGo() {
    this.#bytes = undefined;
  }

  /** The body, unless it was let go of. */
  whole() {
    return this.#bytes;
  }
}

/** Passes a body on as it comes and keeps it, as long as it is small enough and there is room. */
export class Recorder {
  #reader;
  #limit;
  #shelf;
  #cutOff;
  #kept = new Bytes();
  #ended = false;
  #reading = Promise.resolve();

  /** `cutOff` is called where the body breaks off. */
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

  /** The body as a stream of `length` bytes, or of an unknown number. */
  stream(length) {
    const source = new ReadableStream({
      pull: async (controller) => {
        const chunk = await this.#read();
        if (chunk === undefined) controller.close();
        else controller.enqueue(chunk);
      },
    });
    if (length === undefined) return source;
    const sized = new FixedLengthStream(length);
    source.pipeTo(sized.writable).catch(() => {});
    return sized.readable;
  }

  /** The whole body, read to its end; nothing where it was let go of. */
  async whole() {
    while (!this.#ended && this.#kept !== undefined) await this.#read();
    return this.#kept?.whole();
  }

  // The stream and a second send may both want the next chunk: one at a time.
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

  #keep(chunk) {
    if (this.#kept === undefined) return;
    if (this.#kept.size + chunk.byteLength > this.#limit) {
      this.#shelf.forget(this);
      this.letGo();
      return;
    }
    this.#kept.add(chunk, this.#limit);
    this.#shelf.note(this, OVERHEAD + this.#kept.capacity);
  }
}
