// The types of the package, as TypeScript sees them in other people's code.

import assert from "node:assert/strict";
import { existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import path from "node:path";
import { after, test } from "node:test";
import { bin, inRoot, node } from "../../scripts/lib.mjs";
import { makeProject } from "./support/project.mjs";

const { folder: project, run, remove } = await makeProject("acme-broker", "hono@4.13.19");

after(remove);

for (const place of ["@cloudflare/workers-types", "@types/react", "csstype"]) {
  const there = path.join(project, "node_modules", place);
  mkdirSync(path.dirname(there), { recursive: true });
  if (!existsSync(there)) symlinkSync(inRoot("node_modules", place), there);
}

/** A page in React. */
const PAGE = `
import { type PorteiroError, createPorteiro } from "porteiro/client";
import { PorteiroProvider, type SessionState, useConnection, usePorteiro, useSession } from "porteiro/react";
import { sentence } from "porteiro/sentences";

const porteiro = createPorteiro({ broker: "https://broker.test", attempts: 2 });
porteiro.addEventListener("sessionend", () => {});
const { outcome } = porteiro;
if (outcome?.outcome === "failed") sentence(outcome.code, "pt-BR") satisfies string;

function Page() {
  const { status, session, refresh } = useSession();
  status satisfies SessionState["status"];
  const email: string | undefined = session?.person?.claims.email;
  const { isConnected, connect, disconnect, isPending, error } = useConnection("agenda");
  const { code, retryAfter } = error as PorteiroError;
  retryAfter satisfies number | undefined;
  // @ts-expect-error There is no such code.
  if (code === "no_such_code") return null;
  // @ts-expect-error A path is a text.
  usePorteiro().fetch(new URL("https://api.test"));
  return (
    <button disabled={isPending || isConnected} onClick={() => connect({ popup: true })} onBlur={disconnect} onFocus={refresh}>
      {status} {email}
    </button>
  );
}

export const app = <PorteiroProvider porteiro={porteiro}><Page /></PorteiroProvider>;
export const other = <PorteiroProvider broker="/broker"><Page /><Page /></PorteiroProvider>;
// @ts-expect-error The address is a text.
export const wrong = <PorteiroProvider broker={1} />;
`;

/** A Worker with bindings, handlers and variables of its own. */
const WORKER = `
import { Hono } from "hono";
import porteiro, { Keeper } from "porteiro/worker";

export { Keeper };

interface Env {
  TOKENS: KVNamespace;
  KEEPER: DurableObjectNamespace<Keeper>;
  GREETING: string;
  JOBS: Queue<string>;
}

const app = new Hono<{ Bindings: Env }>();
app.all("/broker/*", (c) => porteiro.fetch(c.req.raw, c.env, c.executionCtx));

export default {
  fetch: (request, env, ctx) =>
    new URL(request.url).pathname.startsWith("/broker/")
      ? porteiro.fetch(request, env, ctx)
      : app.fetch(request, env, ctx),
  async scheduled(_controller, env, ctx) {
    ctx.waitUntil(env.JOBS.send(env.GREETING));
  },
} satisfies ExportedHandler<Env>;

export const wrong = (request: Request, env: { TOKENS: KVNamespace }, ctx: ExecutionContext) =>
  // @ts-expect-error The broker needs its objects.
  porteiro.fetch(request, env, ctx);
`;

/** The code of a guide, block after block. @param {string} guide */
const blocksOf = (guide) =>
  [...readFileSync(inRoot("docs", "guides", guide), "utf8").matchAll(/^```(?:js|jsx|ts|tsx)\n(.*?)^```$/gms)].map(
    ([, code]) => code,
  );

/**
 * Checks files in a folder of the project, and gives what TypeScript says.
 *
 * @param {string} name
 * @param {{ [file: string]: string }} files
 * @param {object} options
 */
async function check(name, files, options) {
  const folder = path.join(project, `types-${name}`);
  mkdirSync(folder);
  const common = { strict: true, noEmit: true, target: "es2022", moduleResolution: "bundler", module: "esnext" };
  const compilerOptions = { ...common, types: [], preserveSymlinks: true, ...options };
  for (const [file, code] of Object.entries(files)) writeFileSync(path.join(folder, file), code);
  const config = { compilerOptions, files: Object.keys(files) };
  writeFileSync(path.join(folder, "tsconfig.json"), JSON.stringify(config));
  return (await run(node(), [bin("tsc"), "-p", folder])).text;
}

test("a page in React is checked, and the guide's code for pages", async () => {
  const blocks = blocksOf("front-end.md").filter((code) => !/useQuery|msw|export default \{/.test(code));
  assert.ok(blocks.length >= 4, String(blocks.length));
  const ambient = `declare function show(text: string): void;
    declare function Appointments(props: { load: () => Promise<Response>; person: unknown }): import("react").ReactNode;`;
  const files = blocks.map((code, index) => {
    const isWhole = !/\bporteiro\./.test(code) || /const porteiro\b/.test(code);
    const before = isWhole
      ? ""
      : `import { createPorteiro } from "porteiro/client"; const porteiro = createPorteiro();`;
    return [`block${index}.tsx`, `${before}${code}\n${ambient}\nexport {};`];
  });
  const options = { jsx: "react-jsx", lib: ["es2022", "dom", "dom.iterable"] };
  assert.equal(await check("pages", { "page.tsx": PAGE, ...Object.fromEntries(files) }, options), "");
});

test("a Worker is checked", async () => {
  const options = { lib: ["es2022"], types: ["@cloudflare/workers-types"], skipLibCheck: true };
  assert.equal(await check("worker", { "worker.ts": WORKER }, options), "");
});
