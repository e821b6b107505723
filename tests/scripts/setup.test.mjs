// Set-ups, one at a time on a machine even with other programs at work, with stand-ins for the package managers.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import net from "node:net";
import os from "node:os";
import path from "node:path";
import { test } from "node:test";
import { canInstall } from "../../scripts/apt.mjs";
import { chromiumPackages } from "../../scripts/chromium.mjs";
import { inRoot, lockedVersion, output } from "../../scripts/lib.mjs";

/** A port that is free now. */
async function freePort() {
  const server = net.createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  server.close();
  await once(server, "close");
  assert.ok(address && typeof address === "object");
  return address.port;
}

/** What makes a program fail where it runs twice at once, and last as long as the file `gate` is there. */
const ALONE = `
alone() { mkdir "$STATE/$1.lock" 2>/dev/null || { echo "two $1 at once" >>"$STATE/log"; exit 9; }
  trap 'touch "$STATE/ended"; exit 143' TERM; touch "$STATE/begun"
  while [ -e "$STATE/gate" ]; do sleep 0.02; done; }
done_() { rmdir "$STATE/$1.lock"; }
`;
/** @type {Record<string, string>} */
const STAND_INS = {
  rustc: 'test -e "$STATE/toolchain" && echo "rustc 1.95.0"',
  rustup: `case "$*" in
    --version) echo "rustup 1.29.0" ;;
    "toolchain install"*) alone rustup; touch "$STATE/toolchain"; done_ rustup ;;
    "target list"*) cat "$STATE/target" ;;
    "component list"*) cat "$STATE/component" ;;
    "target add"*) alone rustup; echo wasm32-unknown-unknown >"$STATE/target"; done_ rustup ;;
    "component add"*) alone rustup; printf 'rust-src\\nclippy-x\\nrustfmt-x\\n' >"$STATE/component"; done_ rustup ;;
    *) exit 8 ;; esac`,
  cargo: `alone cargo; mkdir -p .tools/bin
    for name in wasm-bindgen wasm-bindgen-test-runner; do
      printf '#!/bin/sh\\necho "%s VERSION"\\n' $name >.tools/bin/$name; chmod +x .tools/bin/$name
    done; done_ cargo`,
  npm: 'alone npm; mkdir -p node_modules/node/bin; ln -sf "$NODE" node_modules/node/bin/node; done_ npm',
  "apt-get": `if [ "$1" = update ] && [ -e "$STATE/held" ]; then
      rm "$STATE/held"
      printf 'Reading package lists...'
      echo "E: Could not get lock /var/lib/apt/lists/lock. It is held by process 7 (apt-get)" >&2; exit 100
    fi
    alone apt-get
    case "$1" in install) printf '#!/bin/sh\\n' >"$BIN/$CHROMIUM"; chmod +x "$BIN/$CHROMIUM" ;; esac
    done_ apt-get`,
  python3: `case "$1 $2" in
    "-m venv") mkdir -p "$3/bin"; ln -s "$BIN/python3" "$3/bin/python" ;;
    "-m pip") alone pip; done_ pip ;;
    *) echo "Python 3.11.0" ;; esac`,
};

/**
 * A copy of the scripts where nothing is set up, with stand-ins first on PATH; `start` runs code in it.
 * @param {import("node:test").TestContext} t
 */
async function surroundings(t) {
  const folder = mkdtempSync(path.join(os.tmpdir(), "porteiro-setup-"));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const [bin, state] = [path.join(folder, "bin"), path.join(folder, "state")];
  for (const place of [bin, state]) mkdirSync(place);
  for (const name of ["target", "component"]) writeFileSync(path.join(state, name), "");
  const requirements = "tests/e2e/support/requirements.txt";
  // Without Cargo.toml it would be an installed package, whose tools come from where Node.js is: the real ones.
  for (const name of [
    "scripts",
    "Cargo.toml",
    "Cargo.lock",
    "package-lock.json",
    "rust-toolchain.toml",
    requirements,
  ]) {
    cpSync(inRoot(name), path.join(folder, name), { recursive: true });
  }
  for (const name of ["sh", "mkdir", "rmdir", "rm", "touch", "cat", "ln", "chmod", "sleep"]) {
    symlinkSync(output("sh", ["-c", `command -v ${name}`]) ?? "", path.join(bin, name));
  }
  for (const [name, body] of Object.entries(STAND_INS)) {
    const text = body.replace("VERSION", lockedVersion("wasm-bindgen"));
    writeFileSync(path.join(bin, name), `#!/bin/sh\necho "${name} $*" >>"$STATE/log"\n${ALONE}${text}\n`);
    chmodSync(path.join(bin, name), 0o755);
  }
  const env = {
    PATH: bin,
    BIN: bin,
    STATE: state,
    NODE: process.execPath,
    CHROMIUM: chromiumPackages[0],
    PORTEIRO_SETUP_PORT: String(await freePort()),
  };
  /** @param {string[]} args */
  const start = (...args) => {
    const child = spawn(process.execPath, args, { cwd: folder, env, stdio: ["ignore", "pipe", "pipe"] });
    t.after(() => child.kill("SIGKILL"));
    const started = { child, text: "", ended: once(child, "close").then(([code]) => /** @type {number} */ (code)) };
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding("utf8").on("data", (chunk) => (started.text += chunk));
    }
    return started;
  };
  const log = () => readFileSync(path.join(state, "log"), "utf8").split("\n").filter(Boolean);
  /** Has every stand-in last until the function that is given is called. */
  const gate = () => {
    writeFileSync(path.join(state, "gate"), "");
    return () => rmSync(path.join(state, "gate"));
  };
  return { folder, state, env, start, log, gate };
}

/** @typedef {ReturnType<Awaited<ReturnType<typeof surroundings>>["start"]>} Started */

/** @type {(started: Started, pattern: RegExp) => Promise<void>} */
async function sees(started, pattern) {
  while (!pattern.test(started.text)) {
    assert.equal(started.child.exitCode, null, started.text);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** @param {string} file */
async function exists(file) {
  while (!existsSync(file)) await new Promise((resolve) => setTimeout(resolve, 20));
}

/** Code that holds the lock until it is killed, or does something within it. */
const within = (/** @type {string} */ action, /** @type {string} */ more = "") => [
  "--input-type=module",
  "--eval",
  `import { withLock } from "./scripts/lock.mjs"; ${more}\nawait withLock(async () => { ${action} });`,
];
const HOLD = 'console.log("held"); await new Promise((resolve) => setTimeout(resolve, 1e8));';

test("two set-ups at once: one does all of it, the other waits, says so, and finds it done", async (t) => {
  const { folder, start, log, gate } = await surroundings(t);
  // Elsewhere than on Debian and as root, Chromium must be there.
  if (!canInstall()) symlinkSync(process.execPath, path.join(folder, "bin", "chromium"));
  const open = gate();
  const first = start("scripts/setup.mjs", "--tests");
  await sees(first, /==> \[1 of \d\] Rust 1/);
  const second = start("scripts/setup.mjs", "--tests");
  await sees(
    second,
    new RegExp(`another set-up is under way \\(process ${first.child.pid}, in .+\\): waiting for its end\n`),
  );
  open();
  const both = [first, second];
  const codes = await Promise.all(both.map(({ ended }) => ended));
  const texts = both.map(({ text }) => text);
  assert.deepEqual(codes, [0, 0], texts.join("\n"));
  const installing = /^(rustup toolchain|npm ci|cargo install|apt-get \w+|python3 -m venv|two .*)/;
  const installed = log().flatMap((line) => line.match(installing)?.[0] ?? []);
  const packages = canInstall() ? ["apt-get install", "apt-get update"] : [];
  const all = [...packages, "cargo install", "npm ci", "python3 -m venv", "rustup toolchain"];
  assert.deepEqual(installed.sort(), all);
  assert.match(log().join("\n"), /^cargo install wasm-bindgen-cli .* --locked$/m);
  assert.doesNotMatch(first.text, /another set-up/);
  const numbers = [...first.text.matchAll(/^==> \[(\d of \d)\] /gm)].map(([, number]) => number);
  const count = 4 + packages.length / 2;
  assert.deepEqual(
    numbers,
    Array.from({ length: count }, (_, before) => `${before + 1} of ${count}`),
  );
  for (const text of texts) assert.match(text, /\nSet up\.\n$/);
  assert.match(readFileSync(path.join(folder, ".dev.vars"), "utf8"), /^#.+\nSEALING_KEYS=.+\nADMIN_KEY=.+\n$/);
  assert.deepEqual(
    readdirSync(folder, { recursive: true, encoding: "utf8" }).filter((name) => name.includes(".dev.vars")),
    [".dev.vars"],
  );
});

test("where all is there, nothing is run and no lock is needed", async (t) => {
  const { start, log } = await surroundings(t);
  const first = start("scripts/setup.mjs");
  assert.equal(await first.ended, 0, first.text);
  const before = log().length;
  const holder = start(...within(HOLD));
  await sees(holder, /held/);
  const second = start("scripts/setup.mjs");
  assert.equal(await second.ended, 0, second.text);
  assert.equal(second.text, "\nSet up.\n");
  const asked = log().slice(before);
  assert.ok(asked.length);
  for (const line of asked) assert.match(line, /^rustc --version|^rustup (--version|\w+ list)/);
});

test("a step that fails fails the set-up, once the others have ended, and frees the lock", async (t) => {
  const { folder, start, log } = await surroundings(t);
  const cargo = path.join(folder, "bin", "cargo");
  const sound = readFileSync(cargo);
  writeFileSync(cargo, "#!/bin/sh\necho the compiler is unwell\nexit 3\n");
  const first = start("scripts/setup.mjs");
  assert.equal(await first.ended, 1);
  assert.match(first.text, /the compiler is unwell\n/);
  assert.match(first.text, /\nerror: `cargo install .*failed with exit code 3/);
  assert.ok(log().includes("npm ci --no-audit --no-fund --loglevel=error"));
  assert.ok(existsSync(path.join(folder, ".dev.vars")));
  writeFileSync(cargo, sound);
  const second = start("scripts/setup.mjs");
  assert.equal(await second.ended, 0, second.text);
});

const INSTALL = ['await install(["chromium"]);', 'import { install } from "./scripts/apt.mjs";'];

test("two installations of packages at once: apt-get runs once at a time, and waits for another program", async (t) => {
  const { state, start, log, gate } = await surroundings(t);
  writeFileSync(path.join(state, "held"), "");
  const open = gate();
  const first = start(...within(INSTALL[0], INSTALL[1]));
  await sees(first, /apt-get waits for another program/);
  const second = start(...within(INSTALL[0], INSTALL[1]));
  await sees(second, /another set-up is under way/);
  open();
  const codes = await Promise.all([first.ended, second.ended]);
  const text = first.text + second.text;
  assert.deepEqual(codes, [0, 0], text);
  assert.equal(text.match(/apt-get waits for another program: Could not get lock .*held by process 7/g)?.length, 1);
  assert.equal(text.match(/another set-up is under way/g)?.length, 1);
  assert.deepEqual(
    log().map((line) => line.split(" ")[1]),
    ["update", "update", "install", "update", "install"],
  );
});

test("apt-get without the lock: the stand-in sees two at once", async (t) => {
  const { state, start, log, gate } = await surroundings(t);
  const unlocked = ["--input-type=module", "--eval", `${INSTALL[1]}\n${INSTALL[0]}`];
  const open = gate();
  const first = start(...unlocked);
  await exists(path.join(state, "apt-get.lock"));
  const second = start(...unlocked);
  assert.equal(await second.ended, 1);
  assert.ok(log().includes("two apt-get at once"));
  open();
  assert.equal(await first.ended, 0, first.text);
});

test("apt-get that fails for another reason is not tried again, and what it says is shown", async (t) => {
  const { folder, start } = await surroundings(t);
  writeFileSync(path.join(folder, "bin", "apt-get"), '#!/bin/sh\necho "E: Unable to locate package" >&2\nexit 100\n');
  const only = start(...within(`try { ${INSTALL[0]} } catch (error) { console.log(error.message); }`, INSTALL[1]));
  assert.equal(await only.ended, 0);
  assert.match(only.text, /`apt-get update -q` failed:\nE: Unable to locate package/);
});

test("a holder that is killed blocks nobody", async (t) => {
  const { start } = await surroundings(t);
  const holder = start(...within(HOLD));
  await sees(holder, /held/);
  const waiting = start(...within('console.log("mine");'));
  await sees(waiting, new RegExp(`another set-up is under way \\(process ${holder.child.pid}, `));
  assert.doesNotMatch(waiting.text, /mine/);
  holder.child.kill("SIGKILL");
  assert.equal(await waiting.ended, 0, waiting.text);
  assert.match(waiting.text, /mine/);
});

test("a set-up that is told to end takes the package manager with it", async (t) => {
  const { state, start, gate } = await surroundings(t);
  gate();
  const holder = start(...within(INSTALL[0], INSTALL[1]));
  await exists(path.join(state, "begun"));
  holder.child.kill("SIGTERM");
  await holder.ended;
  assert.equal(holder.child.signalCode, "SIGTERM");
  await exists(path.join(state, "ended"));
});

test("of ten at once, each has the lock alone", async (t) => {
  const { state, start } = await surroundings(t);
  const place = JSON.stringify(path.join(state, "alone"));
  const action = `fs.mkdirSync(${place}); await new Promise((resolve) => setTimeout(resolve, 30)); fs.rmdirSync(${place});`;
  const all = Array.from({ length: 10 }, () => start(...within(action, 'import fs from "node:fs";')));
  const codes = await Promise.all(all.map(({ ended }) => ended));
  assert.deepEqual(codes, Array(10).fill(0), all.map(({ text }) => text).join("\n"));
});

test("a foreign program at the lock's port is told, and not waited for", async (t) => {
  const { env, start } = await surroundings(t);
  const server = net.createServer((socket) => void socket.on("error", () => {}).write("220 mail\r\n"));
  server.listen(Number(env.PORTEIRO_SETUP_PORT), "127.0.0.1");
  await once(server, "listening");
  t.after(() => server.close());
  const only = start("scripts/setup.mjs");
  assert.equal(await only.ended, 1);
  assert.match(only.text, /error: Port \d+, the lock for setting up, is taken by another program/);
});

test("the tests' helpers find, and say how to install what is missing", async (t) => {
  const { start } = await surroundings(t);
  for (const [file, name] of [
    ["chromium", "ensureChromium"],
    ["python", "ensurePython"],
  ]) {
    const code = `const it = await import("./scripts/${file}.mjs"); await it.${name}().catch((error) => console.log(error.message));`;
    const only = start("--input-type=module", "--eval", code);
    assert.equal(await only.ended, 0);
    assert.match(only.text, /run `npm run setup -- --tests`/);
  }
});
