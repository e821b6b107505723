// What the objects of a broker have stored, read from their databases.

import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { deserialize } from "node:v8";
import { files } from "./search.mjs";

/** @typedef {{ texts: { [key: string]: string }, tables: { [name: string]: string[] } }} Stored */

/**
 * What each object stores whose state is below the folder, by the path of its database.
 *
 * @param {string} persistTo
 * @returns {Promise<{ [path: string]: Stored }>}
 */
export async function storedObjects(persistTo) {
  const paths = Object.keys(await files(join(persistTo, "do")));
  const databases = paths.filter((path) => /\/[0-9a-f]{64}\.sqlite$/.test(path));
  return Object.fromEntries(databases.map((path) => [path, read(path)]));
}

/** What the object whose database is at `path` stores. @param {string} path @returns {Stored} */
function read(path) {
  const database = new DatabaseSync(path, { readOnly: true });
  try {
    const names = database.prepare("SELECT name FROM sqlite_master WHERE type = 'table'").all();
    const own = names.map(({ name }) => String(name)).filter((name) => !name.startsWith("_cf_"));
    /** @param {string} table */
    const columns = (table) => database.prepare(`SELECT name FROM pragma_table_info('${table}')`).all();
    const texts = names.some(({ name }) => name === "_cf_KV")
      ? database.prepare("SELECT key, value FROM _cf_KV").all()
      : [];
    return {
      texts: Object.fromEntries(texts.map(({ key, value }) => [key, deserialize(/** @type {Uint8Array} */ (value))])),
      tables: Object.fromEntries(own.map((table) => [table, columns(table).map(({ name }) => String(name))])),
    };
  } finally {
    database.close();
  }
}

/**
 * What of what is stored is the same whenever the test runs, as one text.
 * @param {Stored} object
 */
export const formOf = ({ texts: { role = "no role", ...others }, tables }) => {
  const columns = Object.entries(tables).map(([name, of]) => `${name} (${of})`);
  return [role.replace(/[0-9a-f]{64}/, "…"), ...Object.keys(others).sort(), ...columns].join(", ");
};
