// Searches messages and stored data for secrets, in the encodings that text usually has.

import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";

/**
 * The byte sequences in which `secret` could appear.
 *
 * @param {string | Buffer} secret
 */
export function shapes(secret) {
  const text = typeof secret === "string" ? secret : undefined;
  const bytes = typeof secret === "string" ? Buffer.from(secret) : secret;
  /** @type {Map<string, string>} */
  const found = new Map();
  /** @type {(shape: string, value: string | Buffer) => void} */
  const add = (shape, value) => void (value.length > 7 && found.set(Buffer.from(value).toString("latin1"), shape));
  add("bytes", bytes);
  add("hex", bytes.toString("hex"));
  add("hex", bytes.toString("hex").toUpperCase());
  // The base64 of a secret depends on the bytes before it; the characters that depend on the neighbours are left out.
  for (let shift = 0; shift < 3; shift += 1) {
    const whole = Buffer.concat([Buffer.alloc(shift), bytes])
      .toString("base64")
      .replace(/=+$/, "");
    const inner = whole.slice([0, 2, 3][shift], (bytes.length + shift) % 3 ? -1 : undefined);
    add("base64", inner);
    add("base64url", inner.replaceAll("+", "-").replaceAll("/", "_"));
  }
  if (text !== undefined) {
    add("JSON", JSON.stringify(text).slice(1, -1));
    add("percent-encoded", encodeURIComponent(text));
    add("form-encoded", new URLSearchParams({ x: text }).toString().slice(2));
    add("UTF-16", Buffer.from(text, "utf16le"));
    add("UTF-16, big-endian", Buffer.from(text, "utf16le").swap16());
  }
  return [...found].map(([value, shape]) => ({ shape, bytes: Buffer.from(value, "latin1") }));
}

/**
 * Every hit of `secrets` in `places`, as "name as shape in where".
 *
 * @param {{ [where: string]: string | Uint8Array }} places
 * @param {{ [name: string]: string | Buffer }} secrets
 */
export function search(places, secrets) {
  const wanted = Object.entries(secrets).flatMap(([name, value]) => shapes(value).map((shape) => ({ name, ...shape })));
  return Object.entries(places).flatMap(([where, content]) => {
    const bytes = Buffer.from(/** @type {string} */ (content));
    return wanted
      .filter((one) => bytes.includes(one.bytes))
      .map(({ name, shape }) => `${name} as ${shape} in ${where}`);
  });
}

/**
 * Every file below `folder`, as { path: bytes }, without those that are removed meanwhile: a database that is closed
 * takes its own beside it away.
 *
 * @param {string} folder
 * @returns {Promise<{ [path: string]: Buffer }>}
 */
export async function files(folder) {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const paths = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  const read = await Promise.all(
    paths.map(async (path) => {
      const bytes = await readFile(path).catch((error) => {
        if (error.code !== "ENOENT") throw error;
      });
      return bytes ? [/** @type {const} */ ([path, bytes])] : [];
    }),
  );
  return Object.fromEntries(read.flat());
}
