// Makes new keys: they are shown, and stored nowhere.
//
//   porteiro keys [--json]
import { randomBytes } from "node:crypto";
import { pageAt, say } from "./lib.mjs";
import { optionsOf } from "./options.mjs";

const OPTIONS = { json: { help: "prints one JSON document" } };
const HELP = `npx porteiro keys [options]: makes new keys. They are shown, and stored nowhere.

To rotate SEALING_KEYS write the new one before the old one, with a comma between: ${pageAt("docs/guides/rotate.md")}.`;

/** @param {string[]} args */
export async function main(args) {
  const options = optionsOf(args, OPTIONS, HELP);
  if (!options) return;
  // The id tells keys apart, not what they are.
  const id = `k${new Date().toISOString().slice(0, 10).replaceAll("-", "")}`;
  const keys = {
    SEALING_KEYS: `${id}:${randomBytes(32).toString("base64")}`,
    ADMIN_KEY: randomBytes(32).toString("base64url"),
    BACKEND_KEY: randomBytes(32).toString("base64url"),
  };
  if (options.switches.has("json")) return say(JSON.stringify(keys, null, 2));
  say(
    Object.entries(keys)
      .map(([name, value]) => `${name}=${value}`)
      .join("\n"),
  );
}
