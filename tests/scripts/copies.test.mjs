// The copy of a body that passes: whole or none, and never far ahead of whoever reads the body.

import assert from "node:assert/strict";
import { describe, test } from "node:test";

// The types of the Worker are not those of Node.js.
const { copied, Shelf } = await import(new URL("../../src/platform/bodies.js", import.meta.url).href);

const KIB = 1024;
const MIB = 1024 * KIB;

/** A body of pieces, and how many were asked for. @param {number} bytes @param {number} count */
function pieces(bytes, count) {
  const asked = { count: 0 };
  const body = new ReadableStream(
    {
      pull(controller) {
        if (asked.count === count) return controller.close();
        asked.count += 1;
        controller.enqueue(new Uint8Array(bytes).fill(asked.count));
      },
    },
    { highWaterMark: 0 },
  );
  return { asked, body };
}

/** @param {ReadableStream} readable @returns {Promise<Buffer>} */
async function read(readable) {
  const got = [];
  for await (const piece of readable) got.push(piece);
  return Buffer.concat(got);
}

/** @param {ReadableStream} body @param {{ most?: number, shelf?: any, ms?: number }} [limits] */
function copying(body, { most = 256 * KIB, shelf = new Shelf(4 * MIB), ms = 5_000 } = {}) {
  const { readable, writable } = new TransformStream();
  return { readable, copy: copied(body, writable, most, shelf, ms), shelf };
}

describe("a copy", () => {
  test("is whole, and so is what passes", async () => {
    for (const [bytes, count] of [
      [1, 0],
      [1, 1],
      [5000, 3],
      [64 * KIB, 4],
    ]) {
      const { readable, copy, shelf } = copying(pieces(bytes, count).body);
      const passed = await read(readable);
      assert.equal(passed.byteLength, bytes * count);
      assert.ok(passed.equals(/** @type {Uint8Array} */ (await copy)));
      assert.equal(shelf.sum, 0);
    }
  });

  test("is none of a body that is too large, which passes whole", async () => {
    const { readable, copy } = copying(pieces(64 * KIB, 5).body);
    assert.equal((await read(readable)).byteLength, 320 * KIB);
    assert.equal(await copy, null);
  });

  test("is none where the shelf has no room, and the oldest goes first", async () => {
    const shelf = new Shelf(500 * KIB);
    const [one, other] = [{}, {}].map(() => copying(pieces(200 * KIB, 1).body, { shelf }));
    assert.equal((await Promise.all([one, other].map(({ readable }) => read(readable))))[0].byteLength, 200 * KIB);
    assert.deepEqual([(await one.copy)?.byteLength, (await other.copy)?.byteLength], [undefined, 200 * KIB]);
  });

  test("comes however slowly somebody reads what passes", async () => {
    const { copy } = copying(pieces(64 * KIB, 4).body);
    assert.equal((await copy)?.byteLength, 256 * KIB);
  });

  test("is never far ahead of its reader, in tiny pieces either", async () => {
    const { asked, body } = pieces(1, 20_000);
    const { copy, readable } = copying(body, { ms: 300 });
    assert.equal(await copy, null);
    assert.ok(asked.count < 200, `${asked.count} pieces were taken`);
    assert.equal((await read(readable)).byteLength, 20_000);
  });

  test("is none of a body that breaks off, and whoever reads knows", async () => {
    const body = new ReadableStream({
      pull(controller) {
        controller.enqueue(new Uint8Array(10));
        controller.error(new Error("broken"));
      },
    });
    const { copy, readable } = copying(body);
    await assert.rejects(read(readable));
    assert.equal(await copy, null);
  });

  test("goes on when its reader leaves, and the body ends once the copy does", async () => {
    const whole = copying(pieces(1000, 20).body);
    await whole.readable.cancel();
    assert.equal((await whole.copy)?.byteLength, 20_000);
    const { asked, body } = pieces(64 * KIB, 500);
    const endless = copying(body);
    await endless.readable.cancel();
    assert.equal(await endless.copy, null);
    await new Promise((resolve) => setTimeout(resolve, 50));
    assert.ok(asked.count < 10, `${asked.count} pieces were taken`);
  });
});
