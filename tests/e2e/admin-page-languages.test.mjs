// The languages of the operators' page: it says everything in each, and nothing of the other's.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, before, describe, test } from "node:test";
import * as englishTables from "../../src/edge/admin/page/english.js";
import * as portugueseTables from "../../src/edge/admin/page/portuguese.js";
import { openPage, startBrowser } from "./support/operators-browser.mjs";
import { entryOf, eventOf, NOON, rfc3339, startOperators } from "./support/operators.mjs";
import { until } from "./support/until.mjs";

/** @import { Browser } from "playwright-core" */
/** @import { Opened, PageSettings } from "./support/operators-browser.mjs" */
/** @import { Entry, Operators } from "./support/operators.mjs" */

const english = { ...englishTables };
const portuguese = { ...portugueseTables };
const LANGUAGES = { "en-GB": english, "pt-BR": portuguese };
/** @typedef {keyof typeof LANGUAGES} Locale */

const MINUTE = 60_000;
/** @param {number} ms */
const at = (ms) => rfc3339(NOON + ms);

/**
 * The texts of a table, by their place in it.
 *
 * @param {unknown} table
 * @param {string} [place]
 * @returns {[place: string, text: string][]}
 */
const textsOf = (table, place = "") =>
  typeof table === "string"
    ? [[place, table]]
    : Object.entries(/** @type {object} */ (table)).flatMap(([name, one]) => textsOf(one, `${place}.${name}`));
/** @param {string} text */
const namesIn = (text) => [...text.matchAll(/\{(\w+)\}/g)].map(([, name]) => name).sort();
/** @param {Iterable<string>} texts */
const wordsOf = (texts) =>
  new Set(
    [...texts].flatMap(
      (text) =>
        text
          .replace(/\{\w+\}/g, " ")
          .toLowerCase()
          .match(/[\p{L}_]+/gu) ?? [],
    ),
  );

describe("the tables", () => {
  test("have the same keys, with the same values to fill in", () => {
    for (const part of /** @type {const} */ (["PAGE", "WORDS"])) {
      const [one, other] = [textsOf(english[part]), textsOf(portuguese[part])];
      assert.deepEqual(
        one.map(([place, text]) => [place, namesIn(text)]),
        other.map(([place, text]) => [place, namesIn(text)]),
      );
      for (const [place, text] of [...one, ...other]) assert.ok(text.trim(), place);
    }
    assert.deepEqual([english.PAGE.lang, portuguese.PAGE.lang], ["en", "pt-BR"]);
  });

  test("have what the document asks for, and nothing that it does not", () => {
    const document = readFileSync(new URL("../../src/edge/admin/page/index.html", import.meta.url), "utf8");
    const asked = new Set(namesIn(document));
    for (const name of Object.keys(english.PAGE)) assert.ok(asked.has(name), name);
    assert.ok(
      !/>[^<{]*\p{L}{3}[^<]*</u.test(document.replace(/<code>.*?<\/code>|<h1>Porteiro /g, "")),
      "words in the document",
    );
  });

  test("are all that the script says", () => {
    const folder = new URL("../../src/edge/admin/page/", import.meta.url);
    const script = [
      "actions",
      "advice",
      "broker",
      "dialogs",
      "events",
      "list",
      "page",
      "reading",
      "rows",
      "webhooks",
      "words",
    ]
      .map((name) => readFileSync(new URL(`${name}.js`, folder), "utf8"))
      .join("\n");
    for (const name of Object.keys(english.WORDS)) assert.match(script, new RegExp(`words\\.${name}\\b`), name);
  });
});

const NONE = { obtained_at: null, expires_at: null };
const BROKEN = { state: "misconfigured", provider: null, grant: null, subject: null, ...NONE, sealing_key: null };
const PROBLEMS = [{ field: "rules[0].paths[1]", message: "xyz" }];

/** Connections of every kind, state and failure. */
function everything() {
  const entries = ["cold", "ready", "waiting", "rejected", "disconnected", "unheard_of"].map((state) =>
    entryOf(`s-${state}`, { state }),
  );
  const codes = [...Object.keys(english.WORDS.codes), "teapot"];
  for (const [i, code] of codes.entries()) {
    for (const grant of ["static", "refresh_token", "password"]) {
      for (const source of ["configuration", "registry"]) {
        entries.push(
          entryOf(`f-${i}-${grant}-${source}`, {
            grant,
            source,
            state: code.startsWith("token") || code === "teapot" ? "waiting" : "rejected",
            ...(grant === "password" && source === "registry" ? {} : NONE),
            last_error: { code, at: at(-5 * MINUTE) },
            retry_at: grant === "refresh_token" ? at(-MINUTE) : at(42_000),
          }),
        );
      }
    }
  }
  const last = /** @type {const} */ ({ code: "credentials_rejected", at: at(-MINUTE) });
  for (const reason of [...Object.keys(english.WORDS.reasons), "quota"]) {
    entries.push(entryOf(`r-${reason}`, { state: "rejected", ...NONE, last_error: { ...last, reason, status: 400 } }));
  }
  return [
    ...entries,
    entryOf("x-shop", { grant: "authorization_code", state: "disconnected", ...NONE }),
    entryOf("x-before", { last_error: { code: "token_endpoint_timeout", at: at(-60 * 24 * 20 * MINUTE) } }),
    entryOf("x-over", { obtained_at: at(-90 * MINUTE), expires_at: at(-30 * MINUTE) }),
    entryOf("x-endless", { obtained_at: at(-90 * MINUTE), expires_at: null, grants: 1 }),
    entryOf("x-people", { subject: "user", ...NONE, sealing_key: null, grants: 0 }),
    entryOf("x-hooks", { webhooks: { failed: 3, pending: 1_204 }, source: "registry" }),
    entryOf("x-hook", { webhooks: { failed: 1, pending: 0 }, grants: 1_204 }),
    entryOf("m-1", { ...BROKEN, problems: PROBLEMS }),
    entryOf("m-2", { ...BROKEN, problems: PROBLEMS, source: "registry" }),
    entryOf("m-3", BROKEN),
    entryOf("m-4", { ...BROKEN, source: "registry" }),
  ];
}

const events = () => ({
  "x-hooks": [
    ...Array.from({ length: 130 }, (_, i) => eventOf(i)),
    ...Object.keys(english.WORDS.outcomes).map((outcome, i) => eventOf(200 + i, { outcome, attempts: 1 })),
    eventOf(300, { state: "pending", outcome: "timeout", status: null, next_at: at(5 * MINUTE) }),
  ],
});

/** @type {Browser} */
let browser;
before(async () => {
  browser = await startBrowser();
});
after(() => browser?.close());

/**
 * What the page in this language ever said, with the attributes that are read to people, in everything that can happen.
 *
 * @param {Locale} locale
 */
async function everySaid(locale) {
  /** @type {Set<string>} */
  const said = new Set();
  /** @type {Operators} */
  let operators;
  /**
   * @param {Entry[]} entries
   * @param {(one: Opened) => Promise<unknown>} act
   * @param {PageSettings} [settings]
   */
  const visit = async (entries, act, settings) => {
    operators = await startOperators({ entries, events: events(), now: () => (settings?.time ? null : NOON) });
    const one = await openPage(browser, "about:blank", null, { waitFor: null, locale, ...settings });
    try {
      await one.page.context().setHTTPCredentials({ username: "operator", password: operators.key });
      await one.page.addInitScript(listen);
      await one.page.goto(operators.url);
      await act(one);
      for (const text of await one.page.evaluate(() => Reflect.get(window, "hear")())) said.add(text);
      operators.verify();
    } finally {
      await one.close();
      await operators.close();
    }
  };
  /** @type {(one: Opened, id: string, name: string) => Promise<void>} */
  const press = async ({ row }, id, name) => row(id).locator(`[data-do=${name}]`).click();
  /** @type {(one: Opened, times?: number) => Promise<unknown>} */
  const confirm = ({ page }) => page.locator("#yes").click();
  /** @type {(one: Opened, id: string) => Promise<void>} */
  const ended = ({ row }, id) => row(id).locator(".note strong, .good").last().waitFor();

  await visit([], async ({ page }) => {
    await page.waitForFunction(() => document.querySelector("#reload")?.ariaDisabled === "false");
    const last = { at: "2026-01-01T00:00:00Z", outcome: "delivered", status: 204 };
    operators.told = { to: "https://ops.example", problems: [], webhooks: { failed: 1, pending: 0, last } };
    await page.locator("#reload").click();
    await page.locator("#events-open").click();
    await page.locator("#hooks-title").getByText(LANGUAGES[locale].WORDS.eventsTitle).waitFor();
  });

  await visit(
    everything(),
    async (one) => {
      await one.page.locator(".row").first().waitFor();
      await one.page.context().grantPermissions(["clipboard-write"]);
      await press(one, "s-ready", "drop");
      await one.page.keyboard.press("Escape");
      await press(one, "f-0-password-registry", "drop");
      await confirm(one);
      await one.row("f-0-password-registry").locator(".good").waitFor();
      operators.entry("s-ready").grant = "refresh_token";
      await one.page.locator("#reload").click();
      await one.row("s-ready").getByText("refresh_token").waitFor();
      await press(one, "s-ready", "drop");
      await one.page.keyboard.press("Escape");
      await press(one, "s-ready", "refresh");
      await one.row("s-ready").locator(".good").waitFor();
      await press(one, "f-0-static-registry", "remove");
      await confirm(one);
      await one.row("f-0-static-registry").waitFor({ state: "detached" });
      await one.page.waitForFunction(() => document.querySelector("#said")?.textContent?.startsWith("f-0-static"));

      for (const name of /** @type {const} */ (["connect", "copyLink"])) {
        await press(one, "x-shop", name);
        await one
          .row("x-shop")
          .locator(".good", { hasText: name === "connect" ? /tab|aba/ : /cop/ })
          .waitFor();
      }
      await one.page.evaluate(() => (navigator.clipboard.writeText = () => Promise.reject(new Error("x"))));
      await press(one, "x-shop", "copyLink");
      await one.row("x-shop").getByText("s3cret").waitFor();

      const undo = operators.answer(/^(DELETE|POST)/, { raw: "<p>x", status: 502 });
      await press(one, "s-cold", "refresh");
      await ended(one, "s-cold");
      await press(one, "x-shop", "connect");
      await one.row("x-shop").locator(".note strong").last().waitFor();
      await press(one, "s-waiting", "drop");
      await confirm(one);
      await ended(one, "s-waiting");
      await press(one, "x-hooks", "remove");
      await confirm(one);
      await until(() => operators.asked(/^DELETE connections\/x-hooks$/).length, "the removal");
      await press(one, "x-hooks", "webhooks");
      await one.page.locator("#failed button").first().click();
      await one.page.waitForFunction(() => document.querySelector("#hooks-said")?.textContent);
      undo();
      await one.page.locator("#failed button").first().click();
      await one.page.waitForFunction(() => document.querySelector("#hooks-said")?.textContent?.includes("msg_"));
      await one.page.locator("[data-more=failed]").click();
      await until(async () => (await one.page.locator("#failed li").count()) > 100, "the rest");
      await one.page.locator("#send-all").click();
      await until(async () => (await one.page.locator("#failed li").count()) === 0, "none");
      await until(
        () =>
          one.page
            .locator("#failed-title")
            .textContent()
            .then((title) => !title?.includes("…")),
        "none",
      );
      await one.page.locator("#hooks-close").click();
      // What is said is said a moment later.
      await one.page.waitForFunction(() => /\w/.test(document.querySelector("#hooks-said")?.textContent ?? ""));
    },
    { height: 12_000 },
  );

  for (const what of [{ destroy: true }, { raw: "<p>" }, { status: 500, code: "x", title: "xyz", detail: "xyz." }]) {
    await visit([entryOf("xyz")], async ({ page }) => {
      await page.locator(".row").waitFor();
      operators.answer(/^GET connections/, what);
      await page.locator("#reload").click();
      await page.locator("#trouble:not([hidden])").waitFor();
    });
  }
  await visit([entryOf("xyz")], async ({ page }) => {
    await page.locator(".row").waitFor();
    await page.evaluate(() => (AbortSignal.timeout = () => AbortSignal.abort()));
    await page.locator("#reload").click();
    await page.locator("#trouble:not([hidden])").waitFor();
  });
  await visit([entryOf("xyz")], async ({ page }) => {
    await page.locator(".row").waitFor();
    operators.key = "another-key-0123456789";
    await page.locator("#reload").click();
    await page.locator("#trouble:not([hidden])").waitFor();
  });

  const shops = Array.from({ length: 650 }, (_, i) => entryOf(`shop-${i + 1}`));
  await visit(
    shops,
    async ({ page }) => {
      await page.locator(".row").first().waitFor();
      const { promise: hold, resolve: release } = Promise.withResolvers();
      operators.answer(/after=/, { hold });
      await page.locator("#filter-cold").click();
      await until(() => operators.asked(/after=/).length, "the second page");
      await page.locator("#more").click();
      release(undefined);
      await page.waitForFunction(() => document.querySelector("#reload")?.ariaDisabled === "false");
      await page.locator("#more").click();
      await page.locator("#more").waitFor({ state: "hidden" });
      await page.locator("#filter-all").click();
      await until(async () => {
        await page.clock.runFor(31_000);
        return (await page.locator("#as-of time").count()) === 2;
      }, "the time of the oldest");
      for (const q of ["shop-65", "shop-650", "nothing", "shop-"]) {
        await page.locator("#q").fill(q);
        await page.clock.runFor(300);
        await page.waitForFunction(
          (text) => text === "shop-" || document.querySelector("#end")?.textContent?.includes(text),
          q,
        );
      }
    },
    { time: NOON },
  );
  await visit([entryOf("xyz")], ({ page }) => page.locator(".row").waitFor());
  return said;
}

/** In the page: collects what it says from its beginning. */
function listen() {
  /** @type {Set<string>} */
  const heard = new Set();
  /** @param {Element} element */
  const hear = (element) => {
    for (const name of ["aria-label", "title", "placeholder", "alt"]) heard.add(element.getAttribute(name) ?? "");
    if (element.matches("p, h2, h3, button")) heard.add(element.textContent ?? "");
  };
  /** @param {Node} root */
  const look = (root) => {
    const walker = document.createTreeWalker(root, NodeFilter.SHOW_TEXT | NodeFilter.SHOW_ELEMENT);
    for (let node = walker.currentNode; node; node = /** @type {Node} */ (walker.nextNode())) {
      if (node instanceof Element) hear(node);
      else if (node instanceof Text && !node.parentElement?.closest("script, style")) heard.add(node.data);
    }
  };
  // What has changed, and what it stands in: the whole page at each change would take most of the test's time.
  new MutationObserver((records) => {
    for (const target of new Set(records.map((record) => record.target))) {
      look(target);
      for (let one = target.parentElement; one; one = one.parentElement) hear(one);
    }
  }).observe(document, {
    subtree: true,
    childList: true,
    characterData: true,
    attributes: true,
  });
  Reflect.set(window, "hear", () => (look(document), [...heard]));
}

for (const [locale, other] of /** @type {[Locale, Locale][]} */ ([
  ["en-GB", "pt-BR"],
  ["pt-BR", "en-GB"],
])) {
  test(`the page in ${locale} says everything, and no word of ${other}`, async () => {
    const said = await everySaid(locale);
    const all = [...said].join("\n");
    const { PAGE, WORDS } = LANGUAGES[locale];
    const silent = textsOf({ ...PAGE, ...WORDS, lang: "" }).filter(([, text]) => {
      const parts = text.split(/\{\w+\}/).map((part) => part.trim());
      return !parts.every((part) => all.includes(part));
    });
    assert.deepEqual(silent, [], "never said");
    const own = wordsOf(textsOf({ ...PAGE, ...WORDS }).map(([, text]) => text));
    const data = wordsOf([JSON.stringify([everything(), events()]), ...(all.match(/docs\/\S+/g) ?? [])]);
    const strange = [...wordsOf(textsOf(LANGUAGES[other]).map(([, text]) => text))].filter(
      (word) => word.length > 1 && !own.has(word) && !data.has(word),
    );
    assert.ok(strange.length > 150, strange.join());
    const spoken = wordsOf(said);
    assert.deepEqual(
      strange.filter((word) => spoken.has(word)),
      [],
    );
  });
}

describe("the language", () => {
  test("is the document's, with its numbers, times and spans", async () => {
    const entries = [
      entryOf("aaa", { grants: 1_204 }),
      entryOf("bbb", { obtained_at: at(-12 * 24 * 60 * MINUTE), expires_at: at(18 * 24 * 60 * MINUTE) }),
      entryOf("ccc", { last_error: { code: "token_endpoint_timeout", at: at(-16 * MINUTE) } }),
    ];
    for (const [locale, lang, wanted] of /** @type {[string, string, string[]][]} */ ([
      [
        "pt-BR",
        "pt-BR",
        ["1.204 grants", "até 10 de dez., 12:03", "Antes: Endpoint de token lento demais há 16 min (11:47:20)."],
      ],
      ["pt-PT", "pt-BR", ["grants", "até", "Antes: Endpoint de token lento demais há 16 min (11:47:20)."]],
      [
        "en-US",
        "en",
        ["1,204 grants", "until Dec 10, 12:03 PM", "Before: Token endpoint timeout at 11:47:20 AM, 16 min ago."],
      ],
      [
        "fr-FR",
        "en",
        ["1,204 grants", "until Dec 10, 12:03 PM", "Before: Token endpoint timeout at 11:47:20 AM, 16 min ago."],
      ],
    ])) {
      const operators = await startOperators({ entries });
      const { page, row, close } = await openPage(browser, operators.url, operators.key, { time: NOON, locale });
      assert.equal(await page.locator("html").getAttribute("lang"), lang);
      const texts = (await Promise.all(["aaa", "bbb", "ccc"].map((id) => row(id).innerText()))).map((text) =>
        text.replace(/\s+/g, " "),
      );
      for (const [i, part] of wanted.entries()) assert.ok(texts[i].includes(part), `${locale}: ${texts[i]}`);
      await close();
      await operators.close();
    }
  });

  test("says the wait in Portuguese", async () => {
    const operators = await startOperators({ entries: [entryOf("aaa", { state: "waiting", retry_at: at(42_000) })] });
    const { row, page, close } = await openPage(browser, operators.url, operators.key, { time: NOON, locale: "pt-BR" });
    assert.match(await row("aaa").innerText(), /Em espera\s+próxima tentativa em 0:4[12] \(12:04:02\)/);
    assert.equal(await page.title(), "(1) Porteiro: conexões");
    await close();
    await operators.close();
  });
});
