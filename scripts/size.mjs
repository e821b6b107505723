// Prints the size of the deployed files, and fails above the ceiling.
import { readFileSync, existsSync } from "node:fs";
import { gzipSync } from "node:zlib";
import { Failure, inRoot, isMain, runMain, say } from "./lib.mjs";

/** The largest size of the Worker, gzipped. */
export const CEILING_KIB = 420;

/** Prints raw and gzipped sizes and returns the gzipped total in bytes. */
export function printSize() {
  let total = 0;
  for (const name of ["index.js", "index_bg.wasm"]) {
    const file = inRoot("build", name);
    if (!existsSync(file)) throw new Failure(`build/${name} is missing: run \`npm run build\`.`);
    const content = readFileSync(file);
    const gzipped = gzipSync(content, { level: 9 }).length;
    total += gzipped;
    say(`    ${name.padEnd(14)} ${kib(content.length)}  gzipped ${kib(gzipped)}`);
  }
  say(`    ${"total".padEnd(14)} ${" ".repeat(11)}  gzipped ${kib(total)}  (ceiling ${CEILING_KIB} KiB)`);
  return total;
}

/** Fails if the Worker exceeds the ceiling. */
export function checkSize() {
  const total = printSize();
  if (total > CEILING_KIB * 1024)
    throw new Failure(`The Worker weighs ${kib(total).trim()} gzipped: the ceiling is ${CEILING_KIB} KiB.`);
}

/** @param {number} bytes */
const kib = (bytes) => `${(bytes / 1024).toFixed(1)} KiB`.padStart(11);

if (isMain(import.meta.url)) await runMain(checkSize);
