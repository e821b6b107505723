// Makes a link by which somebody connects the account of a connection, once and within 15 minutes.
//
//   porteiro connect-link CONNECTION [--url ADDRESS] [--json]
import { brokerAt, checkedUrl, operatorKey, reason } from "./connections.mjs";
import { Failure, say } from "./lib.mjs";
import { helpOf, someOptions } from "./options.mjs";

const LOCAL = "http://localhost:8787";
const OPTIONS = {
  url: { value: "ADDRESS", help: `the broker's address with its BASE_PATH; default: ${LOCAL}` },
  json: { help: "prints one JSON document" },
};
const HELP = `npx porteiro connect-link CONNECTION [options]: makes a link by which somebody connects an account.

The operator's key is read from the environment variable ADMIN_KEY, or asked for.`;

/** @param {string[]} args */
export async function main(args) {
  const options = someOptions(args, { ...OPTIONS, help: { short: "h", help: "" } });
  if (options.switches.has("help")) return say(helpOf(HELP, OPTIONS));
  const [connection, ...more] = options.others;
  if (!connection || connection.startsWith("-") || more.length) throw new Failure(HELP);
  const url = checkedUrl(options.values.url ?? LOCAL);
  const broker = brokerAt(url, await operatorKey());
  const answer = await broker.ask(`/${encodeURIComponent(connection)}/connect-link`, { method: "POST" });
  if (!answer.ok) throw new Failure(`The broker answered ${await reason(answer)}`);
  /** @type {{ url: string }} */
  const link = await answer.json();
  say(options.switches.has("json") ? JSON.stringify(link, null, 2) : link.url);
}
