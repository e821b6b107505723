// The accessibility of the operators' page: by keyboard alone, on a phone, in the dark, with high contrast, and with a
// screen reader. The test also takes the pictures of docs/reference/admin.md.

import assert from "node:assert/strict";
import { mkdtemp, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { crc32, deflateSync, gzipSync, inflateSync } from "node:zlib";
import { after, afterEach, before, describe, test } from "node:test";
import { openPage, startBrowser } from "./support/operators-browser.mjs";
import { house, houseEvents } from "./support/operators-data.mjs";
import { entryOf, FILES, NOON, startOperators } from "./support/operators.mjs";

/** @import { Browser, Page } from "playwright-core" */
/** @import { Opened, PageSettings } from "./support/operators-browser.mjs" */
/** @import { Operators } from "./support/operators.mjs" */

/** With PORTEIRO_SCREENSHOTS=1 the pictures of the documentation are made anew. */
const PICTURES = process.env.PORTEIRO_SCREENSHOTS === "1";

/** @type {Browser} */
let browser;
/** @type {Operators} */
let operators;
/** @type {string} */
let folder;
/** @type {Opened[]} */
let opened = [];

before(async () => {
  browser = await startBrowser();
  operators = await startOperators();
  folder = PICTURES
    ? fileURLToPath(new URL("../../docs/reference/images/", import.meta.url))
    : await mkdtemp(join(tmpdir(), "porteiro-admin-"));
});

afterEach(async () => {
  try {
    for (const one of opened) await one.close();
    operators.verify();
  } finally {
    opened = [];
  }
});

after(async () => {
  await browser?.close();
  await operators?.close();
});

/** @param {PageSettings} [settings] */
async function open(settings, entries = house()) {
  operators.entries.clear();
  for (const entry of entries) operators.entries.set(entry.id, entry);
  Object.assign(operators, { requests: [], instead: new Map() });
  Object.assign(operators.events, houseEvents());
  const one = await openPage(browser, operators.url, operators.key, { time: NOON, ...settings });
  opened.push(one);
  return one;
}

describe("the keyboard alone", () => {
  test("refreshes a connection and drops a token", async () => {
    const { page, row, focused } = await open();
    /**
     * @param {string} key
     * @param {string} until
     */
    const walk = async (key, until) => {
      for (let i = 0; i < 80; i += 1) {
        await page.keyboard.press(key);
        const outline = await page.evaluate(
          () => getComputedStyle(document.activeElement ?? document.body).outlineStyle,
        );
        assert.equal(outline, "solid", `${await focused()} has no visible focus`);
        if ((await focused()) === until) return;
      }
      assert.fail(`${until} is not reached`);
    };
    await walk("Tab", "Refresh: stock");
    await page.keyboard.press("Enter");
    await row("stock").getByText("Refreshed at").waitFor();
    assert.equal(await focused(), "Refresh: stock");
    await walk("Tab", "Drop token: stock");
    await page.keyboard.press("Space");
    await page.getByRole("dialog", { name: "Drop the token of stock?" }).waitFor();
    assert.equal(await focused(), "Cancel");
    await page.keyboard.press("Shift+Tab");
    await walk("Tab", "Drop the token");
    await page.keyboard.press("Enter");
    await row("stock").getByText("Token dropped at").waitFor();
    assert.equal(await focused(), "Refresh: stock");
    await walk("Shift+Tab", "Part of an id");
    assert.deepEqual(operators.requests.slice(1), [
      "POST connections/stock/refresh",
      "DELETE connections/stock/token",
      "GET connections/stock",
    ]);
  });

  test("goes through everything in the order in which it stands", async () => {
    const { page } = await open();
    const order = [];
    for (let i = 0; i < 60; i += 1) {
      await page.keyboard.press("Tab");
      const at = await page.evaluate(() => {
        const all = [...document.querySelectorAll("button, input, a")].filter((node) => node.checkVisibility());
        return document.activeElement ? all.indexOf(document.activeElement) : -1;
      });
      if (at < 0) break;
      order.push(at);
    }
    assert.ok(order.length > 20);
    assert.deepEqual(
      order,
      order.map((_, i) => i),
    );
    const count = await page.locator("button:visible, input:visible, a:visible").count();
    assert.equal(order.length, count);
  });

  test("sends a webhook again and leaves the dialog", async () => {
    const { page, focused } = await open();
    await page.getByRole("button", { name: "Webhooks: guru" }).focus();
    await page.keyboard.press("Enter");
    await page.getByRole("button", { name: "Send again: msg_5f0c" }).waitFor();
    const names = [];
    for (let i = 0; i < 4; i += 1) {
      names.push(await focused());
      await page.keyboard.press("Tab");
    }
    assert.deepEqual(names.slice(0, 2), ["Close", "Send all failed again"]);
    assert.match(String(names[2]), /^Send again: msg_5f0c/);
    await page.keyboard.press("Shift+Tab");
    await page.keyboard.press("Enter");
    // What is said is said a moment after the answer came, whenever that is.
    const said = page.getByRole("dialog").getByText("is on its way again");
    for (const end = Date.now() + 20_000; !(await said.isVisible()) && Date.now() < end; ) await page.clock.runFor(200);
    assert.ok(await said.isVisible());
    await page.keyboard.press("Escape");
    assert.equal(await focused(), "Webhooks: guru");
  });
});

describe("ears", () => {
  test("hear a name on everything that can be pressed, once each, with what is seen in it", async () => {
    const { page } = await open();
    await page.getByRole("button", { name: "Webhooks: guru" }).click();
    await page.getByRole("button", { name: "Send again: msg_5f0c" }).waitFor();
    const names = await page
      .locator("button, input")
      .evaluateAll((nodes) =>
        nodes
          .filter((node) => node.checkVisibility())
          .map((node) => [node.ariaLabel ?? node.textContent.trim(), node.textContent.trim()]),
      );
    assert.ok(names.length > 25);
    for (const [name, seen] of names) assert.ok(name?.startsWith(seen), `${name}: ${seen}`);
    const all = names.map(([name]) => name);
    assert.deepEqual(
      all.filter((name, i) => all.indexOf(name) !== i),
      [],
    );
  });

  test("hear a list with a heading for each connection, and no shape or bar", async () => {
    const { page } = await open();
    assert.equal(await page.getByRole("heading", { level: 1 }).count(), 1);
    assert.deepEqual(await page.getByRole("heading", { level: 2 }).allTextContents(), [
      "Needs attention4",
      "The others7",
    ]);
    assert.equal(await page.getByRole("heading", { level: 3 }).count(), 11);
    assert.equal(
      await page
        .getByRole("region", { name: /Needs attention/ })
        .getByRole("list")
        .getByRole("listitem")
        .and(page.locator(".row"))
        .count(),
      4,
    );
    const hidden = await page
      .locator("main .shape, .bar, .mark")
      .evaluateAll((nodes) => nodes.every((node) => node.ariaHidden === "true"));
    assert.ok(hidden);
    assert.equal(await page.locator("html").getAttribute("lang"), "en");
    for (const id of ["said", "hooks-said"]) assert.equal(await page.locator(`#${id}`).getAttribute("role"), "status");
  });
});

/**
 * The contrast of each text and shape with what is behind it, the least of each pair of colours.
 *
 * @param {Page} page
 */
const contrasts = (page) =>
  page.evaluate(() => {
    const canvas = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
    if (!canvas) throw new Error("there is no canvas");
    /** @param {string} colour */
    const rgba = (colour) => {
      canvas.clearRect(0, 0, 1, 1);
      canvas.fillStyle = colour;
      canvas.fillRect(0, 0, 1, 1);
      return [...canvas.getImageData(0, 0, 1, 1).data];
    };
    /** @param {number[]} colour */
    const luminance = (colour) => {
      const [r, g, b] = colour
        .map((value) => value / 255)
        .map((value) => (value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4));
      return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    /**
     * @param {number[]} a
     * @param {number[]} b
     */
    const ratio = (a, b) => {
      const [high, low] = [luminance(a), luminance(b)].sort((x, y) => y - x);
      return (high + 0.05) / (low + 0.05);
    };
    /** @param {Element} node */
    const ground = (node) => {
      for (let at = /** @type {Element | null} */ (node); at; at = at.parentElement) {
        const colour = rgba(getComputedStyle(at).backgroundColor);
        if (colour[3] === 255) return colour;
      }
      return rgba("white");
    };
    /** @type {{ [pair: string]: number }} */
    const found = {};
    /**
     * @param {Element} node
     * @param {string} colour
     * @param {string} what
     */
    const note = (node, colour, what) => {
      const behind = ground(node);
      const key = `${what} ${colour} on ${behind}`;
      found[key] = ratio(rgba(colour), behind);
    };
    const open = document.querySelector("dialog[open]") ?? document.body;
    for (const node of open.querySelectorAll("*")) {
      if (!node.checkVisibility({ visibilityProperty: true }) || node.closest(".unseen, noscript")) continue;
      const style = getComputedStyle(node);
      if ([...node.childNodes].some((child) => child instanceof Text && child.data.trim()))
        note(node, style.color, "text");
      if (node.matches("input")) note(node, getComputedStyle(node, "::placeholder").color, "text");
      if (node.matches(".shape")) note(node, style.color, "shape");
      if (node.matches(".bar")) {
        const bar = getComputedStyle(node, "::before").backgroundColor;
        if (rgba(bar)[3]) note(node, bar, "bar");
      }
    }
    return found;
  });

describe("eyes", () => {
  for (const colorScheme of /** @type {const} */ (["light", "dark"])) {
    test(`have contrast, ${colorScheme}`, async () => {
      const { page, row } = await open({ colorScheme });
      /**
       * @param {string} what
       * @param {number} least
       */
      const check = async (what, least) => {
        const found = await contrasts(page);
        assert.ok(Object.keys(found).length >= least, `${what}: ${JSON.stringify(found)}`);
        const poor = Object.entries(found).filter(([name, ratio]) => ratio < (name.startsWith("text") ? 4.5 : 3));
        assert.deepEqual(poor, [], what);
      };
      const ground = await page.evaluate(() => getComputedStyle(document.body).backgroundColor);
      assert.equal(ground, colorScheme === "light" ? "rgb(244, 246, 244)" : "rgb(15, 21, 20)");
      await check("the list", 12);
      operators.refresh = () => ({ status: 502, code: "x", title: "Credentials rejected", detail: "Refused." });
      await row("hubsoft-north").getByRole("button", { name: "Refresh" }).click();
      await row("hubsoft-north").getByText("Refresh failed").waitFor();
      operators.answer(/^GET connections\?/, {
        status: 500,
        code: "internal",
        title: "Internal error",
        detail: "Unforeseen.",
      });
      await page.locator("#reload").click();
      await page.locator("#trouble:not([hidden])").waitFor();
      await check("what went wrong", 13);
      await row("ledger").getByRole("button", { name: "Drop token" }).click();
      await check("the question", 2);
      await page.keyboard.press("Escape");
      await page.getByRole("button", { name: "Webhooks: guru" }).click();
      await page.getByRole("button", { name: "Send again: msg_5f0c" }).waitFor();
      await check("the webhooks", 2);
    });
  }

  test("see nothing move where they asked for that", async () => {
    for (const [reducedMotion, wanted] of /** @type {const} */ ([
      ["reduce", "0s"],
      ["no-preference", "1s"],
    ])) {
      const { row } = await open({ reducedMotion });
      assert.equal(
        await row("ledger")
          .locator(".bar")
          .evaluate((bar) => getComputedStyle(bar, "::before").transitionDuration),
        wanted,
      );
    }
  });

  for (const [width, locale] of [320, 360, 700, 701, 1120, 1121, 1600].flatMap((one) => [
    /** @type {const} */ ([one, "en-GB"]),
    /** @type {const} */ ([one, "pt-BR"]),
  ])) {
    test(`need no sideways scrolling at ${width} pixels in ${locale}`, async () => {
      const long = entryOf(`a${"-long".repeat(12)}`, {
        state: "rejected",
        last_error: { code: "x".repeat(80), at: "2026-11-22T15:00:00Z", reason: "y".repeat(80), status: 400 },
        source: "registry",
        webhooks: { pending: 123_456, failed: 1_234_567 },
      });
      const wrong = entryOf("wrong", {
        state: "misconfigured",
        problems: [{ field: "z".repeat(80), message: "w".repeat(200) }],
      });
      const { page, row } = await open({ width, height: 700, locale }, [...house(), long, wrong]);
      /** @param {string} what */
      const check = async (what) => {
        const { scroll, beyond } = await page.evaluate(() => ({
          scroll: document.documentElement.scrollWidth,
          beyond: [...document.querySelectorAll("body *")]
            .filter(
              (node) =>
                node.checkVisibility() &&
                !node.closest(".unseen") &&
                (node.getBoundingClientRect().right > innerWidth + 0.5 ||
                  (node.scrollWidth > node.clientWidth + 1 && node.matches("p, h2, h3, button, dialog, .row"))),
            )
            .map((node) => node.outerHTML.slice(0, 120)),
        }));
        assert.ok(scroll <= width, `${what}: ${scroll} px wide`);
        assert.deepEqual(beyond, [], what);
      };
      await check("the list");
      await row("guru").locator("[data-do=webhooks]").click();
      await page.locator("#failed button").first().waitFor();
      await check("the webhooks");
      await page.keyboard.press("Escape");
      await row(long.id).locator("[data-do=remove]").click();
      await check("the question");
      if (width < 700) {
        const small = await page
          .locator("button")
          .evaluateAll((nodes) =>
            nodes
              .filter((node) => node.checkVisibility() && /** @type {HTMLElement} */ (node).offsetHeight < 34)
              .map((node) => node.outerHTML),
          );
        assert.deepEqual(small, [], "too small for a finger");
      }
    });
  }
});

/**
 * @param {string} type
 * @param {Buffer} content
 */
function chunk(type, content) {
  const body = Buffer.concat([Buffer.from(type), content]);
  const [length, sum] = [Buffer.alloc(4), Buffer.alloc(4)];
  length.writeUInt32BE(content.length);
  sum.writeUInt32BE(crc32(body));
  return Buffer.concat([length, body, sum]);
}

/**
 * Takes the filters (PNG, section 9) off `lines`: text on plain ground packs better without.
 *
 * @param {Buffer} lines
 * @param {number} stride
 * @param {number} channels
 */
function unfilter(lines, stride, channels) {
  for (let at = 0; at < lines.length; at += 1) {
    const x = at % stride;
    if (x === 0) continue;
    const [a, b, c] = [
      x > channels ? lines[at - channels] : 0,
      lines[at - stride] ?? 0,
      x > channels ? (lines[at - stride - channels] ?? 0) : 0,
    ];
    const near = [a, b, c].map((one) => Math.abs(a + b - c - one));
    const nearest = near[0] <= near[1] && near[0] <= near[2] ? a : near[1] <= near[2] ? b : c;
    lines[at] += [0, a, b, (a + b) >> 1, nearest][lines[at - x]];
  }
  for (let at = 0; at < lines.length; at += stride) lines[at] = 0;
}

/**
 * How many bytes a pixel has, by the colour type of a PNG.
 *
 * @type {{ [type: number]: number }}
 */
const CHANNELS = { 2: 3, 6: 4 };

/**
 * A PNG without a palette, packed as well as can be: its size in pixels, how many different lines it has, and its bytes.
 *
 * @param {Buffer} png
 */
function pack(png) {
  const [width, height, channels] = [png.readUInt32BE(16), png.readUInt32BE(20), CHANNELS[png[25]]];
  const parts = [];
  for (let at = 8; at < png.length; at += 12 + png.readUInt32BE(at)) {
    if (png.toString("latin1", at + 4, at + 8) === "IDAT")
      parts.push(png.subarray(at + 8, at + 8 + png.readUInt32BE(at)));
  }
  const lines = inflateSync(Buffer.concat(parts));
  const stride = width * channels + 1;
  unfilter(lines, stride, channels);
  const different = new Set(
    Array.from({ length: height }, (_, y) => lines.toString("latin1", y * stride + 1, (y + 1) * stride)),
  );
  const content = deflateSync(lines, { level: 9, memLevel: 9 });
  return {
    width,
    height,
    different: different.size,
    bytes: Buffer.concat([png.subarray(0, 33), chunk("IDAT", content), chunk("IEND", Buffer.alloc(0))]),
  };
}

describe("the pictures", () => {
  for (const [name, settings] of /** @type {[name: string, settings: PageSettings][]} */ ([
    ["admin-light", { width: 1280, height: 950 }],
    ["admin-dark", { width: 1280, height: 950, colorScheme: "dark" }],
    ["admin-phone", { width: 360, height: 990 }],
    ["admin-portuguese", { width: 1280, height: 950, locale: "pt-BR" }],
  ])) {
    test(`${name} shows the page`, async (t) => {
      const { page } = await open({ ...settings, reducedMotion: "reduce" });
      const path = join(folder, `${name}.png`);
      const { width, height, different, bytes } = pack(await page.screenshot());
      await writeFile(path, bytes);
      t.diagnostic(path);
      assert.deepEqual([width, height], [settings.width, settings.height]);
      assert.ok(different > 200, `${different} different lines`);
      assert.ok((await stat(path)).size < 150 * 1024, `${bytes.length} bytes`);
    });
  }
});

test("the page is small in both languages", () => {
  const content = Object.values(FILES).map(([text]) => text);
  const raw = content.reduce((sum, one) => sum + one.length, 0);
  // They are uploaded as one.
  const gzipped = gzipSync(Buffer.concat(content), { level: 9 }).length;
  assert.ok(raw < 50 * 1024, `${raw} bytes`);
  assert.ok(gzipped < 17 * 1024, `${gzipped} bytes gzipped`);
});
