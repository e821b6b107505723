// Edits WebAssembly modules.

const IMPORTS = 2;
const CODE = 10;
const CUSTOM = 0;
const FUNCTION_NAMES = 1;
/** No locals; `unreachable`, `end`. */
const TRAP = Uint8Array.of(0, 0x00, 0x0b);

/** Reads a module from its start. */
class Reader {
  /** @param {Uint8Array} bytes */
  constructor(bytes) {
    this.bytes = bytes;
    this.at = 0;
  }

  get isAtEnd() {
    return this.at >= this.bytes.length;
  }

  byte() {
    return this.bytes[this.at++];
  }

  /** An unsigned number in LEB128. */
  number() {
    let value = 0;
    for (let shift = 0; ; shift += 7) {
      const byte = this.byte();
      value += (byte & 0x7f) * 2 ** shift;
      if (byte < 0x80) return value;
    }
  }

  /** @param {number} length */
  take(length) {
    this.at += length;
    return this.bytes.subarray(this.at - length, this.at);
  }

  text() {
    return new TextDecoder().decode(this.take(this.number()));
  }
}

/** @param {number} value */
function leb128(value) {
  const bytes = [];
  for (; value >= 0x80; value = Math.floor(value / 0x80)) bytes.push((value % 0x80) | 0x80);
  return Uint8Array.of(...bytes, value);
}

/**
 * The module with each function whose name `isUnused` trapping at once, and their number.
 * @param {Uint8Array} module
 * @param {(name: string) => boolean} isUnused
 */
export function emptied(module, isUnused) {
  const sections = sectionsOf(module);
  const imported = importedFunctions(sections);
  const unused = new Set(
    [...functionNames(sections)].filter(([, name]) => isUnused(name)).map(([at]) => at - imported),
  );
  /** @type {Uint8Array[]} */
  const parts = [module.subarray(0, 8)];
  for (const { id, content } of sections) {
    const body = id === CODE ? withTraps(content, unused) : content;
    parts.push(Uint8Array.of(id), leb128(body.length), body);
  }
  return { module: Buffer.concat(parts), count: unused.size };
}

/** @param {Uint8Array} module */
function sectionsOf(module) {
  const reader = new Reader(module);
  reader.take(8);
  const sections = [];
  while (!reader.isAtEnd) sections.push({ id: reader.byte(), content: reader.take(reader.number()) });
  return sections;
}

/** @typedef {ReturnType<typeof sectionsOf>} Sections */

/** @param {Sections} sections */
function importedFunctions(sections) {
  const reader = new Reader(sections.find(({ id }) => id === IMPORTS)?.content ?? Uint8Array.of(0));
  let functions = 0;
  for (let left = reader.number(); left > 0; left--) {
    reader.text();
    reader.text();
    const kind = reader.byte();
    if (kind === 0) functions += 1;
    // A table has a type before its limits.
    if (kind === 1) reader.byte();
    if (kind === 1 || kind === 2) {
      const hasMost = reader.byte() & 1;
      for (let limits = 1 + hasMost; limits > 0; limits--) reader.number();
    } else if (kind === 3) reader.take(2);
    else {
      if (kind === 4) reader.byte();
      reader.number();
    }
  }
  return functions;
}

/**
 * The names of functions by their index.
 * @param {Sections} sections
 */
function functionNames(sections) {
  /** @type {Map<number, string>} */
  const names = new Map();
  for (const { content } of sections.filter(({ id }) => id === CUSTOM)) {
    const reader = new Reader(content);
    if (reader.text() !== "name") continue;
    while (!reader.isAtEnd) {
      const id = reader.byte();
      const part = new Reader(reader.take(reader.number()));
      if (id !== FUNCTION_NAMES) continue;
      for (let left = part.number(); left > 0; left--) names.set(part.number(), part.text());
    }
  }
  return names;
}

/**
 * @param {Uint8Array} code
 * @param {Set<number>} unused
 */
function withTraps(code, unused) {
  const reader = new Reader(code);
  const count = reader.number();
  /** @type {Uint8Array[]} */
  const parts = [leb128(count)];
  for (let at = 0; at < count; at++) {
    const body = reader.take(reader.number());
    const kept = unused.has(at) ? TRAP : body;
    parts.push(leb128(kept.length), kept);
  }
  return Buffer.concat(parts);
}
