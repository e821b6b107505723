// Finds a Chromium for the tests that drive a browser; `npm run setup -- --tests` installs one where apt can.
import { existsSync } from "node:fs";
import { Failure, output } from "./lib.mjs";

/** The shell comes first: it has no windows, whose own pages cost Chromium twice what a test's page does. */
const NAMES = ["chromium-headless-shell", "chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];
const MAC = ["Google Chrome", "Chromium"].map((name) => `/Applications/${name}.app/Contents/MacOS/${name}`);

/** The name of Debian's package. */
export const chromiumPackages = ["chromium-headless-shell"];

/** The path of a Chromium binary. */
export async function ensureChromium() {
  const found = findChromium();
  if (found) return found;
  throw new Failure(
    "No Chromium was found: run `npm run setup -- --tests`, install Chromium or Chrome, or name its binary in CHROMIUM_BIN.",
  );
}

export function findChromium() {
  const named = process.env.CHROMIUM_BIN;
  if (named) {
    if (existsSync(named)) return named;
    throw new Failure("CHROMIUM_BIN names a file that is not there.");
  }
  for (const name of NAMES) {
    const place = output("sh", ["-c", `command -v ${name}`]);
    if (place) return place;
  }
  return MAC.find((place) => existsSync(place));
}
