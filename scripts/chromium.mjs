// Finds a Chromium for the tests that drive a browser, and installs it where that is simple.
import { existsSync } from "node:fs";
import { Failure, isMain, output, run, runMain, say, step } from "./lib.mjs";

const NAMES = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];
const MAC = ["Google Chrome", "Chromium"].map((name) => `/Applications/${name}.app/Contents/MacOS/${name}`);

/** The address of a Chromium binary. */
export async function ensureChromium() {
  const found = findChromium();
  if (found) return found;
  if (process.getuid?.() === 0 && existsSync("/etc/debian_version")) {
    const quiet = {
      env: { DEBIAN_FRONTEND: "noninteractive" },
      hint: "Install Chromium, or name one in CHROMIUM_BIN.",
    };
    await step("Chromium", async () => {
      await run("apt-get", ["update", "-q"], quiet);
      await run("apt-get", ["install", "-y", "-q", "--no-install-recommends", "chromium"], quiet);
    });
    const installed = findChromium();
    if (installed) return installed;
  }
  throw new Failure("No Chromium was found: install Chromium or Chrome, or name its binary in CHROMIUM_BIN.");
}

function findChromium() {
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

if (isMain(import.meta.url)) await runMain(async () => say(await ensureChromium()));
