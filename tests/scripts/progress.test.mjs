// How far a command is, as a terminal shows it and as a file gets it.
import assert from "node:assert/strict";
import { test } from "node:test";
import { progress } from "../../scripts/progress.mjs";

/**
 * The steps of a command whose clock stands until it is moved, and what they print.
 *
 * @param {import("node:test").TestContext} t
 * @param {{ isTTY: boolean, columns?: number }} how
 */
function command(t, how) {
  t.mock.timers.enable({ apis: ["setInterval"] });
  let now = 0;
  t.mock.method(performance, "now", () => now);
  let text = "";
  const within = progress(2, { ...how, write: (piece) => (text += piece) });
  /** @param {number} ms */
  const pass = (ms) => {
    now += ms;
    t.mock.timers.tick(ms);
  };
  /** What has been printed since the last time. */
  const printed = () => {
    const piece = text;
    text = "";
    return piece;
  };
  return { within, pass, printed };
}

/** A step that lasts until it is ended. */
function lasting() {
  let end = (/** @type {string} */ _) => {};
  let fail = (/** @type {Error} */ _) => {};
  /** @type {Promise<string>} */
  const ended = new Promise((resolve, reject) => {
    [end, fail] = [resolve, reject];
  });
  return { action: () => ended, end, fail };
}

test("a file gets a line for each step's beginning and end, and one every half minute between", async (t) => {
  const { within, pass, printed } = command(t, { isTTY: false });
  const [one, other] = [lasting(), lasting()];
  const first = within("tools", one.action);
  assert.equal(printed(), "\n==> [1 of 2] tools\n");
  pass(29_999);
  assert.equal(printed(), "");
  pass(1);
  assert.equal(printed(), "    [1 of 2] tools: 30 s\n");
  const second = within("modules", other.action);
  pass(30_000);
  assert.equal(printed(), "\n==> [2 of 2] modules\n    [1 of 2] tools: 1 min 0 s\n    [2 of 2] modules: 30 s\n");
  one.end("made");
  assert.equal(await first, "made");
  assert.equal(printed(), "    [1 of 2] tools: done in 1 min 0 s\n");
  other.end("");
  await second;
  printed();
  pass(60_000);
  assert.equal(printed(), "");
});

test("a terminal has one line, which is written anew every second, and goes when something else is written", async (t) => {
  const { within, pass, printed } = command(t, { isTTY: true, columns: 40 });
  const [one, other] = [lasting(), lasting()];
  const both = [within("tools", one.action), within("modules", other.action)];
  printed();
  pass(1_000);
  assert.equal(printed(), "\u001b[K    [1 of 2] tools: 1 s;    [2 of 2] mod\r");
  one.end("");
  await both[0];
  assert.equal(printed(), "\u001b[K    [1 of 2] tools: done in 1.0 s\n");
  pass(1_000);
  assert.equal(printed(), "\u001b[K    [2 of 2] modules: 2 s\r");
  other.end("");
  await both[1];
});

test("a step that prints for itself is left alone, and one that fails is told no more", async (t) => {
  const { within, pass, printed } = command(t, { isTTY: false });
  const [one, other] = [lasting(), lasting()];
  const first = within("cargo", one.action, { isSilent: false });
  printed();
  pass(60_000);
  assert.equal(printed(), "");
  const second = within("modules", other.action);
  other.fail(new Error("no network"));
  await assert.rejects(second, /no network/);
  assert.equal(printed(), "\n==> [2 of 2] modules\n");
  pass(60_000);
  assert.equal(printed(), "");
  one.end("");
  await first;
});
