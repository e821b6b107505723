// The operators' page in a real browser, over a stand-in for the broker: the page meets every state, every error, slow
// answers and thousands of connections.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, afterEach, before, describe, test } from "node:test";
import { RUNBOOK, SECTIONS } from "../../src/edge/admin/page/runbook.js";
import { openPage, pressHard, startBrowser } from "./support/operators-browser.mjs";
import { house, houseEvents } from "./support/operators-data.mjs";
import { entryOf, eventOf, FILES, NOON, rfc3339, startOperators } from "./support/operators.mjs";
import { until } from "./support/until.mjs";

/** @import { Browser, Locator, Page } from "playwright-core" */
/** @import { Opened, PageSettings } from "./support/operators-browser.mjs" */
/** @import { Entry, Instead, Operators, OperatorsSettings } from "./support/operators.mjs" */

const SECOND = 1_000;
const MINUTE = 60 * SECOND;

/** @type {Browser} */
let browser;
/** @type {Operators} */
let operators;
/** @type {Opened[]} */
let opened = [];

before(async () => {
  browser = await startBrowser();
});

afterEach(async () => {
  try {
    for (const one of opened) await one.close();
    operators?.verify();
  } finally {
    opened = [];
    await operators?.close();
    operators = /** @type {any} */ (undefined);
  }
});

after(() => browser?.close());

/**
 * The page over `data`.
 *
 * @param {OperatorsSettings} [data]
 * @param {PageSettings} [settings]
 */
async function open(data = { entries: house(), events: houseEvents() }, settings) {
  operators ??= await startOperators(data);
  const one = await openPage(browser, operators.url, operators.key, settings);
  opened.push(one);
  return one;
}

/** @param {number} ms */
const at = (ms) => rfc3339(NOON + ms);
const NONE = { obtained_at: null, expires_at: null };
/** @type {(count: number, member?: (i: number) => Partial<Entry>) => Entry[]} */
const crowd = (count, member = () => ({})) =>
  Array.from({ length: count }, (_, i) => entryOf(`tenant-${String(i).padStart(4, "0")}`, member(i)));
/** @param {Locator} row */
const shapeOf = (row) => row.locator(".shape use").getAttribute("href");
/** @param {Locator} locator */
const text = (locator) => locator.innerText();
/** @param {Page} page */
const ready = (page) => page.evaluate(() => document.querySelector("#reload")?.ariaDisabled === "false");

describe("a connection", () => {
  test("is shown with all that is known of it", async () => {
    const { row } = await open(undefined, { time: NOON });
    const ledger = await text(row("ledger"));
    for (const part of [
      "ledger",
      "custom · client_credentials · configured",
      "Ready",
      "12 min of 1 h",
      "until 12:51:20",
      "1,204 grants · key k2",
      "webhooks 0 failed, 0 pending",
    ]) {
      assert.ok(ledger.includes(part), `${part}: ${ledger}`);
    }
    assert.match(await text(row("mapping")), /refresh_token · registered/);
    assert.match(await text(row("hubsoft")), /12 d of 30 d/);
    assert.match(await text(row("guru")), /static token[^]*webhooks 2 failed, 1 pending/);
    assert.match(await text(row("hubsoft-people")), /for people[^]*each person has their own/);
    assert.match(await text(row("tenant-borealis")), /no token/);
  });

  test("shows its state as a word, a shape and a colour", async () => {
    const { row } = await open();
    /** @type {{ [word: string]: string }} */
    const seen = {};
    for (const [id, word] of [
      ["ledger", "Ready"],
      ["tenant-borealis", "Cold"],
      ["stock", "Waiting"],
      ["hubsoft-north", "Rejected"],
      ["tenant-cedro", "Misconfigured"],
    ]) {
      assert.equal(await text(row(id).locator(".state p").first()), word);
      assert.equal(await shapeOf(row(id)), `#${word.toLowerCase()}`);
      seen[word] = await row(id)
        .locator(".shape")
        .evaluate((shape) => [shape.getBoundingClientRect().width, getComputedStyle(shape).color].join());
    }
    assert.ok(
      Object.values(seen).every((one) => one.startsWith("14,")),
      JSON.stringify(seen),
    );
    assert.equal(new Set(Object.values(seen)).size, 4, JSON.stringify(seen));
  });

  test("has times in the operator's own time, with the exact one behind", async () => {
    const { row } = await open(undefined, { time: NOON });
    const time = row("ledger").locator(".token time");
    assert.deepEqual(
      [await text(time), await time.getAttribute("datetime"), await time.getAttribute("title")],
      ["12:51:20", at(48 * MINUTE), at(48 * MINUTE)],
    );
    assert.equal(await text(row("hubsoft").locator(".token time")), "10 Dec, 12:03");
  });

  test("ages while one looks", async () => {
    let now = NOON;
    const { page, row } = await open({ entries: house(), now: () => now }, { time: NOON });
    const bar = row("ledger").locator(".bar");
    const share = () => bar.evaluate((node) => Number(node.style.getPropertyValue("--age")));
    assert.equal(await share(), 0.2);
    assert.equal(await bar.getAttribute("data-age"), "young");
    const width = await bar.evaluate((node) => parseFloat(getComputedStyle(node, "::before").width) / node.clientWidth);
    assert.ok(Math.abs(width - 0.2) < 0.01, String(width));
    for (const [minutes, wanted, age] of /** @type {[minutes: number, wanted: string, age: string][]} */ ([
      [13, "25 min of 1 h", "young"],
      [25, "50 min of 1 h", "old"],
      [11, "ended", "over"],
    ])) {
      now += minutes * MINUTE;
      await page.clock.fastForward(minutes * MINUTE);
      await page.clock.runFor(11 * SECOND);
      await row("ledger").getByText(wanted).waitFor();
      assert.equal(await bar.getAttribute("data-age"), age);
    }
  });

  test("says when the token endpoint is asked next, and counts it down", async () => {
    let now = NOON;
    const { page, row } = await open({ entries: house(), now: () => now }, { time: NOON });
    assert.match(await text(row("stock")), /Waiting\s+next try in 0:4[12] \(12:04:02\)/);
    assert.match(await text(row("hubsoft-north")), /Rejected\s+next try in 22:0[45] \(12:25:25\)/);
    assert.equal(await row("stock").locator(".state time").getAttribute("title"), at(42 * SECOND));
    now += 7 * SECOND;
    await page.clock.runFor(7 * SECOND);
    assert.match(await text(row("stock")), /next try in 0:3[45]/);
    now += 40 * SECOND;
    await page.clock.runFor(40 * SECOND);
    await row("stock").getByText("next try with the next call").waitFor();
  });

  test("says so in every state, and says nothing where nothing is tried", async () => {
    const states = ["rejected", "misconfigured", "disconnected", "waiting", "cold", "ready", "unknown"];
    const rejected = { state: "rejected", ...NONE, last_error: { code: "credentials_rejected", at: at(-MINUTE) } };
    const refused = { last_error: { code: "upstream_unauthorized", at: at(-MINUTE) } };
    const { row } = await open(
      {
        entries: [
          ...states.map((state) => entryOf(state, { state, retry_at: at(90 * MINUTE) })),
          entryOf("tried", rejected),
          entryOf("fixed", { ...rejected, ...refused, grant: "static" }),
          entryOf("fine"),
        ],
      },
      { time: NOON },
    );
    /** @param {string} id */
    const wait = (id) => text(row(id).locator(".state p").nth(1));
    for (const state of states) assert.match(await wait(state), /^next try in 1:(30:00|29:59) \(13:33:20\)$/, state);
    assert.equal(await wait("tried"), "next try with the next call");
    assert.deepEqual([await wait("fixed"), await wait("fine")], ["", ""]);
  });

  test("goes by the broker's clock where the browser's is wrong", async () => {
    const { row } = await open(undefined, { time: NOON - 7 * 60 * MINUTE });
    assert.match(await text(row("ledger")), /12 min of 1 h/);
    assert.match(await text(row("stock")), /next try in 0:4[12]/);
  });

  test("says what to do about each error", async () => {
    /** @type {(code: string, members?: Partial<Entry>) => Partial<Entry>} */
    const bad = (code, members) => ({
      state: "waiting",
      ...NONE,
      last_error: { code, at: at(-5 * MINUTE) },
      retry_at: at(MINUTE),
      ...members,
    });
    /** @type {{ [id: string]: [members: Partial<Entry>, wanted: RegExp] }} */
    const cases = {
      "a-password": [
        bad("credentials_rejected", { state: "rejected", grant: "password" }),
        /Credentials rejected at 11:58:20, 5 min ago\. Compare the secrets A_PASSWORD_… with what the provider has/,
      ],
      "a-registered": [
        bad("credentials_rejected", { state: "rejected", source: "registry" }),
        /Compare its secrets with what the provider has, and change the wrong one by PATCH/,
      ],
      "a-refresh": [
        bad("credentials_rejected", { state: "rejected", grant: "refresh_token" }),
        /set the secret A_REFRESH_REFRESH_TOKEN anew/,
      ],
      "a-dead": [
        bad("credentials_rejected", { state: "rejected", grant: "refresh_token", source: "registry" }),
        /set the secret secrets\.refresh_token \(PATCH\) anew/,
      ],
      "b-far": [
        bad("token_endpoint_unreachable"),
        /Token endpoint unreachable[^]*Look whether the provider is out of order\. The broker tries again by itself\.$/,
      ],
      "b-used": [
        bad("token_endpoint_unreachable", { expires_at: at(MINUTE), obtained_at: at(-MINUTE) }),
        /by itself\. Calls go on with the token that is held\.$/,
      ],
      "c-slow": [bad("token_endpoint_timeout"), /Token endpoint timeout[^]*raise token_timeout_ms/],
      "d-strange": [
        bad("token_response_invalid"),
        /Token response invalid[^]*check token_url, grant, body, client_auth and scope/,
      ],
      "e-static": [
        bad("upstream_unauthorized", { state: "rejected", grant: "static", retry_at: null }),
        /Upstream unauthorized[^]*set the secret E_STATIC_TOKEN anew, then press Refresh/,
      ],
      "e-granted": [
        bad("upstream_unauthorized", {
          state: "ready",
          obtained_at: at(-6 * MINUTE),
          expires_at: at(MINUTE),
          retry_at: null,
        }),
        /check with the provider what the account may do/,
      ],
      "f-configured": [
        entryOf("f", { state: "misconfigured", provider: null, grant: null, subject: null, ...NONE }),
        /The log names every field that is wrong/,
      ],
      "f-registered": [
        entryOf("f", {
          state: "misconfigured",
          source: "registry",
          provider: null,
          grant: null,
          subject: null,
          ...NONE,
        }),
        /Change it by PATCH or PUT: the answer names every field that is wrong/,
      ],
      "g-unknown": [bad("teapot"), /^teapot at 11:58:20/],
      "h-silent": [entryOf("h", { state: "rejected", ...NONE }), /Compare the secrets H_SILENT_…/],
    };
    const { page, row } = await open(
      { entries: Object.entries(cases).map(([id, [members]]) => entryOf(id, { ...members, id })) },
      { time: NOON },
    );
    for (const [id, [, wanted]] of Object.entries(cases)) assert.match(await text(row(id).locator(".note")), wanted);
    assert.equal(await page.locator("#first .row").count(), Object.keys(cases).length);
  });

  test("says what the token endpoint answered", async () => {
    /** @type {(reason: string | undefined, status?: number) => Partial<Entry>} */
    const answered = (reason, status) => ({
      state: "rejected",
      ...NONE,
      last_error: { code: "credentials_rejected", at: at(-MINUTE), reason, status },
    });
    /** @type {{ [id: string]: [members: Partial<Entry>, wanted: RegExp] }} */
    const cases = {
      client: [
        answered("invalid_client", 401),
        / Answer: 401 invalid_client \(the client id or its secret is wrong\)\. /,
      ],
      grant: [
        answered("invalid_grant", 400),
        / Answer: 400 invalid_grant \(the user name, the password or the refresh/,
      ],
      page: [answered("not_json", 200), / Answer: 200 not_json \(not JSON, so perhaps no token endpoint\)\. /],
      redirect: [answered("redirect"), / Answer: redirect \(a redirect, /],
      strange: [answered("quota_of_7", 418), / Answer: 418 quota_of_7\. /],
      hostile: [answered("constructor", 400), / Answer: 400 constructor\. /],
      number: [answered(undefined, 500), / Answer: 500\. /],
    };
    const entries = Object.entries(cases).map(([id, [members]]) => entryOf(id, members));
    const { row } = await open({ entries: [...entries, entryOf("silent", answered(undefined))] }, { time: NOON });
    for (const [id, [, wanted]] of Object.entries(cases)) assert.match(await text(row(id).locator(".note")), wanted);
    assert.ok(!(await text(row("silent"))).includes("Answer"));
  });

  test("that is misconfigured says why", async () => {
    const broken = { state: "misconfigured", provider: null, grant: null, subject: null, ...NONE, sealing_key: null };
    const problems = [
      { field: "rules[0].paths[1]", message: "must begin with /" },
      { field: "secrets.password", message: "is missing: set this secret" },
    ];
    const { row } = await open({
      entries: [
        entryOf("configured", { ...broken, problems }),
        entryOf("registered", { ...broken, source: "registry", problems }),
        entryOf("silent", { ...broken, problems: [] }),
        entryOf("older", { ...broken, source: "registry" }),
      ],
    });
    for (const id of ["configured", "registered"]) {
      assert.deepEqual(await row(id).locator(".notes li").allInnerTexts(), [
        "rules[0].paths[1] must begin with /",
        "secrets.password is missing: set this secret",
      ]);
    }
    assert.match(await text(row("configured")), /Change, and deploy:/);
    assert.match(await text(row("registered")), /Change by PATCH, or in its template:/);
    assert.match(await text(row("silent")), /The log names every field that is wrong/);
    assert.match(await text(row("older")), /the answer names every field that is wrong/);
    assert.equal(await row("silent").locator("ul").count(), 0);
  });

  test("leads to the broker's page about the code, and to the runbook", async () => {
    const { page, row } = await open({ entries: house(), base: "/some/broker" });
    const link = row("hubsoft-north").getByRole("link", { name: "Credentials rejected" });
    assert.equal(
      await link.evaluate((node) => /** @type {HTMLAnchorElement} */ (node).href),
      `${operators.origin}/some/broker/problems/credentials_rejected`,
    );
    /** @param {string} id */
    const places = (id) => row(id).locator(".notes p > code").allInnerTexts();
    assert.deepEqual(await places("hubsoft-north"), ["docs/guides/run.md#502-credentials_rejected"]);
    assert.deepEqual(await places("stock"), ["docs/guides/run.md#a-providers-outage"]);
    assert.deepEqual(await places("guru"), ["docs/guides/run.md#a-webhook-was-not-delivered"]);
    assert.deepEqual(await places("tenant-cedro"), ["docs/guides/run.md#503-misconfigured"]);
    assert.deepEqual(await places("hubsoft"), []);
    assert.equal(await page.locator("footer code").first().innerText(), "docs/guides/run.md");
  });

  test("names places of the documentation that there are", async () => {
    const named = [...Object.values(SECTIONS).map((section) => `${RUNBOOK}#${section}`)];
    for (const [content] of Object.values(FILES))
      named.push(...(String(content).match(/docs\/[\w/-]+\.md#[\w-]+/g) ?? []));
    assert.ok(named.length >= 9, named.join());
    for (const place of named) {
      const [file, section] = place.split("#");
      const titles = readFileSync(new URL(`../../${file}`, import.meta.url), "utf8").match(/^#+ .*$/gm) ?? [];
      const anchors = titles.map((title) =>
        title
          .replace(/^#+ /, "")
          .toLowerCase()
          .replace(/[^\w -]/g, "")
          .replaceAll(" ", "-"),
      );
      assert.ok(anchors.includes(section), place);
    }
  });

  test("keeps an error that is over to itself", async () => {
    const { row } = await open(undefined, { time: NOON });
    assert.match(
      await text(row("hubsoft").locator(".past")),
      /^Before: Token endpoint timeout at 10 Nov, 12:00, 12 d ago\./,
    );
    assert.equal(await row("hubsoft").locator(".note").count(), 0);
    assert.equal(await row("hubsoft").locator("xpath=ancestor::section").getAttribute("id"), "rest");
  });
});

describe("the list", () => {
  test("has first what needs attention", async () => {
    const { page, ids } = await open();
    assert.deepEqual((await ids()).slice(0, 4), ["guru", "hubsoft-north", "stock", "tenant-cedro"]);
    assert.match(await text(page.locator("#first h2")), /Needs attention\s*4/);
    assert.match(await text(page.locator("#rest h2")), /The others\s*7/);
    assert.equal(await page.title(), "(4) Porteiro: connections");
  });

  test("is filtered by state, and remembers it in its address", async () => {
    const { page, ids, end } = await open();
    /** @param {string} name */
    const filter = (name) => page.getByRole("group", { name: "State" }).getByRole("button", { name });
    assert.deepEqual(
      await page
        .locator("#filters button")
        .allInnerTexts()
        .then((all) => all.map((one) => one.replace(/\s+/g, " "))),
      [
        "All 11",
        "Needs attention 4",
        "Rejected 1",
        "Misconfigured 1",
        "Disconnected 0",
        "Waiting 1",
        "Cold 1",
        "Ready 7",
      ],
    );
    await filter("Waiting").click();
    assert.deepEqual(await ids(), ["stock"]);
    assert.equal(await filter("Waiting").getAttribute("aria-pressed"), "true");
    assert.equal(await filter("All").getAttribute("aria-pressed"), "false");
    await page.reload();
    await page.locator(".row").first().waitFor();
    assert.deepEqual(await ids(), ["stock"]);
    await filter("Needs attention").click();
    assert.deepEqual(await ids(), ["guru", "hubsoft-north", "stock", "tenant-cedro"]);
    await filter("All").click();
    assert.equal(new URL(page.url()).hash, "");
    operators.entry("tenant-borealis").state = "ready";
    await page.locator("#reload").click();
    await filter("Cold 0").click();
    await end("None is under “Cold”.");
    assert.deepEqual(await ids(), []);
  });

  test("is in natural order", async () => {
    const names = ["shop-10", "shop-2", "shop-1", "Shop-3", "shop-02", "shop_4", "a9b10", "a9b9", "a10b1"];
    const { ids, end } = await open({ entries: names.map((id) => entryOf(id)) });
    await end("All 9 connections looked through.");
    assert.deepEqual(await ids(), [
      "a9b9",
      "a9b10",
      "a10b1",
      "shop_4",
      "shop-1",
      "shop-02",
      "shop-2",
      "Shop-3",
      "shop-10",
    ]);
  });

  test("says that what comes later may belong in between", async () => {
    const shops = Array.from({ length: 250 }, (_, i) => entryOf(`shop-${i + 1}`));
    const { page, ids, end } = await open({ entries: shops });
    const numbers = async () => (await ids()).map((id) => Number(id?.slice(5)));
    const isSorted = (/** @type {number[]} */ all) => all.every((one, i) => i === 0 || all[i - 1] < one);
    await end(
      "100 connections loaded, and there are more. They come letter by letter, not number by number: some of the others may belong in between.",
    );
    const first = await numbers();
    assert.ok(isSorted(first) && !first.includes(2), first.join());
    // What is scrolled to goes on by itself only as long as there is more at its end.
    for (let i = 0; i < 6; i += 1) {
      await page.mouse.wheel(0, 40_000);
      await roundTrip(page);
    }
    assert.ok(operators.asked(/^GET connections/).length <= 3);
    const more = page.getByRole("button", { name: "Load more" });
    for (let i = 0; i < 3 && (await more.isVisible()); i += 1) {
      await more.click();
      await roundTrip(page);
    }
    await end("All 250 connections looked through.");
    await page.evaluate(() => scrollTo(0, 0));
    await page.locator(".row[data-id=shop-2]").waitFor();
    const all = await numbers();
    assert.ok(isSorted(all), all.join());
    assert.deepEqual(
      all.slice(0, 12),
      Array.from({ length: 12 }, (_, i) => i + 1),
    );
  });

  test("looks for a part of an id at the broker", async () => {
    const { page, ids, end, said } = await open({ entries: [...house(), ...crowd(150)] });
    await page.getByRole("searchbox", { name: "Part of an id" }).fill("hub");
    await said("All 3 connections with “hub” in their id looked through.");
    await end("All 3 connections with “hub” in their id looked through.");
    assert.deepEqual(await ids(), ["hubsoft-north", "hubsoft", "hubsoft-people"]);
    assert.equal(operators.asked(/^GET connections\?limit=100&q=hub$/).length, 1);
    await page.reload();
    await end("All 3 connections");
    await page.getByRole("searchbox").fill("a&after=z#%");
    await end("No connection has “a&after=z#%” in its id.");
    await page.getByRole("searchbox").fill("");
    await page.locator(".row[data-id=v8], .row[data-id=tenant-0000]").first().waitFor();
    assert.equal(await page.getByRole("searchbox").evaluate((node) => node === document.activeElement), true);
  });

  test("takes no late answer to an earlier search", async () => {
    const { page, ids, end } = await open();
    const { promise: hold, resolve: release } = Promise.withResolvers();
    operators.answer(/q=hub$/, { hold });
    await page.getByRole("searchbox").fill("hub");
    await until(() => operators.asked(/q=hub$/).length, "the first search");
    await page.getByRole("searchbox").fill("stock");
    await end("The one connection with “stock” in its id");
    release(undefined);
    await roundTrip(page);
    await page.locator("#filter-all").click();
    assert.deepEqual(await ids(), ["stock"]);
  });

  test("says that there is nothing yet", async () => {
    const { end, ids } = await open({}, { waitFor: "#end" });
    await end("There is no connection yet");
    assert.deepEqual(await ids(), []);
  });
});

/**
 * Waits until an answer that is asked for now is there and drawn: what was sent before is, too.
 *
 * @param {Page} page
 */
const roundTrip = (page) =>
  page.evaluate(async () => {
    await fetch("").then((response) => response.text());
    await new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve)));
  });

describe("five thousand connections", () => {
  const entries = () => crowd(5_000, (i) => (i % 500 === 499 ? { state: "rejected", ...NONE } : {}));
  const most = 330;

  test("are loaded as one scrolls, with no more than a part of them in the document", async () => {
    const { page, end } = await open({ entries: entries() });
    await end("100 connections loaded, and there are more.");
    assert.equal(operators.asked(/^GET connections/).length, 1);
    let seen = 0;
    for (let i = 0; i < 40 && operators.asked(/^GET connections/).length < 12; i += 1) {
      await page.mouse.wheel(0, 4_000);
      await roundTrip(page);
      const { rows, nodes } = await page.evaluate(() => ({
        rows: document.querySelectorAll(".row").length,
        nodes: document.querySelectorAll("*").length,
      }));
      seen = Math.max(seen, rows);
      assert.ok(rows <= most && nodes < 15_000, `${rows} rows, ${nodes} nodes`);
    }
    assert.ok(operators.asked(/^GET connections/).length >= 12);
    assert.ok(seen > 80);
    // On the screen there are rows, not the room of some.
    assert.ok(await page.evaluate(() => document.elementFromPoint(400, 500)?.closest(".row")));
    await page.evaluate(() => scrollTo(0, 0));
    await page.locator(".row[data-id=tenant-0000]").waitFor();
  });

  test("are loaded by a button, too", async () => {
    const { page, end } = await open({ entries: entries() });
    await page.getByRole("button", { name: "Load more" }).click();
    await end("connections loaded");
    await until(() => operators.asked(/after=tenant-0099/).length, "the second page");
  });

  test("are all looked through for a filter, one page after the other", async () => {
    const { page, ids, end } = await open({ entries: entries() });
    await page.locator("#filter-rejected").click();
    await end("All 5,000 connections looked through.");
    assert.deepEqual(
      await ids(),
      Array.from({ length: 10 }, (_, i) => `tenant-${String(i * 500 + 499).padStart(4, "0")}`),
    );
    const asked = operators.asked(/^GET connections/);
    assert.equal(asked.length, 50);
    assert.equal(new Set(asked).size, 50);
    assert.match(await text(page.locator("#filter-all")), /5,000/);
    await page.locator("#filter-all").click();
    assert.ok((await page.locator(".row").count()) <= most);
    assert.match(await text(page.locator("#first h2")), /10$/);
  });

  test("are looked through to an end, even where the answers have none", async () => {
    const { page, end } = await open({ entries: entries() });
    const { next, connections } = { next: "tenant-0099", connections: [...operators.entries.values()].slice(0, 100) };
    operators.answer(/^GET connections/, { raw: JSON.stringify({ connections, next }) });
    await page.locator("#filter-rejected").click();
    await end("All 100 connections looked through.");
    assert.equal(operators.asked(/^GET connections/).length, 2);
  });

  test("are looked through no further when one says so", async () => {
    const { page, end } = await open({ entries: entries() });
    const { promise: hold, resolve: release } = Promise.withResolvers();
    operators.answer(/after=tenant-0499/, { hold });
    await page.locator("#filter-attention").click();
    await until(() => operators.asked(/after=tenant-0499/).length, "the sixth page");
    await page.getByRole("button", { name: "Stop" }).click();
    release(undefined);
    await page.getByRole("button", { name: "Go on" }).waitFor();
    await end("600 connections looked through; there are more.");
    await roundTrip(page);
    assert.equal(operators.asked(/^GET connections/).length, 6);
    await page.getByRole("button", { name: "Go on" }).click();
    await end("All 5,000 connections looked through.");
  });

  test("keep their place where they are out of sight", async () => {
    const tall = { last_error: { code: "token_endpoint_timeout", at: at(-60 * MINUTE) } };
    const { page } = await open({ entries: crowd(160, (i) => (i % 3 ? {} : tall)) });
    const heights = () =>
      page
        .locator("#rest .block")
        .evaluateAll((blocks) => blocks.map((block) => /** @type {HTMLElement} */ (block).offsetHeight));
    const emptied = () =>
      page.locator("#rest .block").evaluateAll((blocks) => blocks.filter((block) => !block.childElementCount).length);
    /** @param {number} i */
    const to = async (i) => {
      await page
        .locator("#rest .block")
        .nth(i)
        .evaluate((block) => block.scrollIntoView());
      await page.locator("#rest .block").nth(i).locator(".row").first().waitFor();
    };
    for (const i of [0, 1, 2, 3]) await to(i);
    await until(async () => (await emptied()) >= 2, "emptied blocks");
    const before = await heights();
    const uneven = await page
      .locator(".row")
      .evaluateAll((rows) => new Set(rows.map((row) => /** @type {HTMLElement} */ (row).offsetHeight)).size);
    assert.ok(before.length === 4 && uneven > 1, before.join());
    await page.locator("#reload").click();
    await until(() => ready(page), "the reload");
    assert.deepEqual(await heights(), before);
  });

  test("are reloaded where one looks", async () => {
    const { page, end, row } = await open(
      { entries: entries(), now: () => null },
      { time: NOON, hash: "#state=ready" },
    );
    await end("All 5,000 connections looked through.");
    const before = operators.requests.length;
    await page
      .locator("#rest .block")
      .nth(60)
      .evaluate((block) => block.scrollIntoView());
    await until(() => page.evaluate(() => document.elementFromPoint(400, 300)?.closest(".row")), "rows in the middle");
    const [id] = await page
      .locator(".row")
      .evaluateAll((rows) => rows.filter((one) => one.getBoundingClientRect().top > 200).map((one) => one.dataset.id));
    operators.entry(String(id)).grants = 777;
    await page.clock.runFor(31 * SECOND);
    await row(String(id)).getByText("777 grants").waitFor();
    const asked = operators.requests.slice(before);
    assert.ok(asked.length >= 1 && asked.length <= 2, asked.join("\n"));
    await page.clock.runFor(121 * SECOND);
    await page.locator("#as-of").getByText("the oldest of 12:03:").waitFor();
  });
});

describe("a reload", () => {
  test("comes every thirty seconds, but not while nobody looks", async () => {
    const { page } = await open({ entries: house(), now: () => null }, { time: NOON });
    const count = () => operators.asked(/^GET connections/).length;
    for (const wanted of [2, 3]) {
      await page.clock.runFor(29 * SECOND);
      assert.equal(count(), wanted - 1);
      await page.clock.runFor(2 * SECOND);
      await until(() => count() === wanted && ready(page), `reload ${wanted}`);
    }
    /** @param {boolean} isHidden */
    const hide = (isHidden) =>
      page.evaluate((value) => {
        Object.defineProperty(document, "hidden", { value, configurable: true });
        document.dispatchEvent(new Event("visibilitychange"));
      }, isHidden);
    await hide(true);
    await page.clock.runFor(300 * SECOND);
    assert.equal(count(), 3);
    await hide(false);
    await page.clock.runFor(1_500);
    await until(() => count() === 4, "the reload on coming back");
    await page.getByRole("button", { name: "Reload" }).click();
    await until(() => count() === 5, "the reload by the button");
  });

  test("is made once, however often one asks", async () => {
    const { page } = await open();
    const { promise: hold, resolve: release } = Promise.withResolvers();
    operators.answer(/^GET connections/, { hold });
    await pressHard(page.locator("#reload"), 3);
    await pressHard(page.locator("#reload"), 3);
    release(undefined);
    await until(() => ready(page), "the end");
    assert.equal(operators.asked(/^GET connections/).length, 2);
  });

  test("brings what is new, takes what is gone, and keeps place and focus", async () => {
    const { page, row, ids, focused } = await open({ entries: crowd(80), now: () => null }, { time: NOON });
    // The last of its block: what comes in before it moves it to the next one.
    const button = row("tenant-0039").getByRole("button", { name: "Drop token" });
    await page
      .locator(".block")
      .nth(1)
      .evaluate((block) => block.scrollIntoView());
    await button.focus();
    const top = () => button.evaluate((node) => node.getBoundingClientRect().top);
    const before = await top();
    operators.entries.delete("tenant-0042");
    operators.entries.set("tenant-0041a", entryOf("tenant-0041a"));
    operators.entries.set("aaa", entryOf("aaa"));
    Object.assign(operators.entry("tenant-0060"), { state: "rejected", ...NONE });
    await page.clock.runFor(31 * SECOND);
    await row("tenant-0041a").waitFor();
    const shown = await ids();
    assert.ok(!shown.includes("tenant-0042") && !shown.includes("tenant-0060"));
    assert.match(await text(page.locator("#filter-all")), /81/);
    assert.match((await page.locator("#first h2").textContent()) ?? "", /^Needs attention\s*1$/);
    assert.equal(await focused(), "Drop token: tenant-0039");
    assert.ok(Math.abs((await top()) - before) < 40, `${before} ${await top()}`);
  });

  test("leaves a row where it is while it has the focus", async () => {
    const { page, row, ids } = await open({ entries: crowd(10), now: () => null }, { time: NOON });
    await row("tenant-0005").getByRole("button").first().focus();
    Object.assign(operators.entry("tenant-0005"), { state: "rejected", ...NONE });
    await page.clock.runFor(31 * SECOND);
    await row("tenant-0005").getByText("Rejected", { exact: true }).waitFor();
    assert.equal((await ids())[5], "tenant-0005");
    await page.getByRole("searchbox").focus();
    await page.clock.runFor(31 * SECOND);
    await page.locator("#first .row[data-id=tenant-0005]").waitFor();
  });
});

describe("what goes wrong", () => {
  test("is told where the broker is not reached, with the time of what is shown", async () => {
    const { page, ids } = await open({ entries: house(), now: () => null }, { time: NOON });
    operators.isAway = true;
    await page.clock.runFor(31 * SECOND);
    const trouble = page.getByRole("alert");
    await trouble.getByText("The broker was not reached. Shown is the state of 12:03:20.").waitFor();
    assert.equal((await ids()).length, 11);
    operators.isAway = false;
    await page.clock.runFor(31 * SECOND);
    await trouble.getByText("reached").waitFor({ state: "detached" });
  });

  test("is told where it never was reached", async () => {
    operators = await startOperators({ entries: house() });
    operators.answer(/^GET connections/, { destroy: true });
    const { page, end } = await open(undefined, { waitFor: "#trouble:not([hidden])" });
    assert.equal(await text(page.locator("#trouble")), "The broker was not reached.");
    operators.instead.clear();
    await page.getByRole("button", { name: "Reload" }).click();
    await end("All 11 connections looked through.");
  });

  test("is told where the answer does not come", async () => {
    const { page } = await open({ entries: house(), now: () => null }, { time: NOON });
    // AbortSignal.timeout is not on the page's clock: here it is.
    await page.evaluate(() => {
      AbortSignal.timeout = (ms) => {
        Reflect.set(window, "patience", ms);
        const end = new AbortController();
        setTimeout(() => end.abort(), 9_000);
        return end.signal;
      };
    });
    operators.answer(/^GET connections/, { hold: new Promise(() => {}) });
    await page.clock.runFor(31 * SECOND);
    await until(() => operators.asked(/^GET connections/).length === 2, "the reload");
    await page.clock.runFor(10 * SECOND);
    await page.getByRole("alert").getByText("The broker does not answer. Shown is the state of 12:03:20.").waitFor();
    assert.equal(await page.evaluate(() => Reflect.get(window, "patience")), 60_000);
  });

  test("is told where the key is another one now, and nothing more is asked", async () => {
    const { page } = await open({ entries: house(), now: () => null }, { time: NOON });
    operators.key = "another-key-0123456789";
    await page.clock.runFor(31 * SECOND);
    await page.getByRole("alert").getByText("Reload the page and sign in. Shown is the state of 12:03:20.").waitFor();
    operators.key = "operators-key-0123456789";
    await page.clock.runFor(300 * SECOND);
    assert.equal(operators.asked(/^GET connections/).length, 1);
  });

  for (const [name, what, wanted] of /** @type {[name: string, what: Instead, wanted: RegExp][]} */ ([
    [
      "a refusal",
      {
        status: 403,
        code: "cross_site_request",
        title: "Cross-site request",
        detail: "The request comes from elsewhere.",
      },
      /^Cross-site request\. The request comes from elsewhere\. Request [0-9a-f]{32}\. Shown/,
    ],
    [
      "a fault of the broker's",
      { status: 500, code: "internal", title: "Internal error", detail: "Something unforeseen." },
      /^Internal error\. Something unforeseen\. Request [0-9a-f]{32}\. Shown/,
    ],
    ["a page of somebody else's", { raw: "<!doctype html><p>Sign in" }, /^The answer was not understood\./],
    ["an error of somebody else's", { raw: "<!doctype html><p>Bad gateway", status: 502 }, /^The answer was 502\./],
    ["JSON of somebody else's", { raw: '{"ok":true}' }, /^The answer was not understood\./],
    ["null", { raw: "null" }, /^The answer was not understood\./],
    ["nothing", { raw: "" }, /^The answer was not understood\./],
  ])) {
    test(`is told of ${name}`, async () => {
      const { page, ids } = await open();
      operators.answer(/^GET connections/, what);
      await page.locator("#reload").click();
      await page.locator("#trouble:not([hidden])").waitFor();
      assert.match(await text(page.locator("#trouble")), wanted);
      assert.equal((await ids()).length, 11);
    });
  }
});

describe("connecting", () => {
  const CONSENT = { grant: "authorization_code", state: "disconnected", obtained_at: null, expires_at: null };
  /** @param {Partial<Entry>} [members] */
  const shop = (members) => ({ entries: [entryOf("shop", { ...CONSENT, ...members })] });

  test("is offered where somebody consents for all, and says who has to", async () => {
    const { row } = await open({ entries: [...shop().entries, entryOf("bank", { ...CONSENT, subject: "user" })] });
    assert.deepEqual(await row("shop").getByRole("button").allInnerTexts(), ["Connect", "Copy link for the customer"]);
    assert.equal(await row("bank").getByRole("button").count(), 0);
    assert.match(await text(row("shop")), /Disconnected[^]*Nobody has connected an account[^]*docs\/guides\/run\.md/);
  });

  test("is offered again where it was done before", async () => {
    const { row } = await open(shop({ state: "ready" }));
    assert.deepEqual(await row("shop").getByRole("button").allInnerTexts(), [
      "Connect",
      "Copy link for the customer",
      "Refresh",
    ]);
  });

  test("opens the link in a tab of its own, which knows nothing of the page", async () => {
    const { page, row, said } = await open(shop());
    const [tab] = await Promise.all([
      page.context().waitForEvent("page"),
      row("shop").getByRole("button", { name: "Connect: shop" }).click(),
    ]);
    await row("shop")
      .getByText(/^The link is open in another tab\. It is good once, until \d\d:\d\d:\d\d\.$/)
      .waitFor();
    await said(/^shop: The link is open in another tab/);
    await tab.waitForURL(operators.link("shop"));
    assert.equal(await tab.evaluate(() => window.opener), null);
    assert.deepEqual(operators.asked(/^POST/), ["POST connections/shop/connect-link"]);
  });

  test("copies the link, or shows it where the browser does not copy", async () => {
    const { page, row } = await open(shop());
    await page.context().grantPermissions(["clipboard-read", "clipboard-write"]);
    const button = row("shop").getByRole("button", { name: "Copy link for the customer: shop" });
    await button.click();
    await row("shop")
      .getByText(/^The link is copied\. It is good once, until/)
      .waitFor();
    assert.equal(await page.evaluate(() => navigator.clipboard.readText()), operators.link("shop"));
    await page.evaluate(() => {
      navigator.clipboard.writeText = () => Promise.reject(new Error("not allowed"));
    });
    await button.click();
    await row("shop")
      .getByText(`The link was not copied. ${operators.link("shop")}`)
      .waitFor();
  });

  test("tells that there is no link", async () => {
    const { page, row } = await open(shop());
    operators.answer(/connect-link$/, { destroy: true });
    await row("shop").getByRole("button", { name: "Connect: shop" }).click();
    await row("shop").getByText("The link was not opened. The broker was not reached.").waitFor();
    await until(() => page.context().pages().length === 1, "the tab to close");
  });
});

describe("refreshing", () => {
  test("asks once, however often one presses, and tells how it ended", async () => {
    const { page, row, said } = await open(undefined, { time: NOON });
    const { promise: hold, resolve: release } = Promise.withResolvers();
    operators.answer(/refresh$/, { hold });
    const button = row("stock").getByRole("button").first();
    await pressHard(button, 3);
    await pressHard(button, 3);
    await button.press("Enter");
    await row("stock").getByRole("button", { name: "Refresh…: stock" }).waitFor();
    assert.equal(await button.getAttribute("aria-disabled"), "true");
    await pressHard(row("stock").getByRole("button", { name: "Drop token" }), 1);
    assert.equal(await page.locator("dialog[open]").count(), 0);
    release(undefined);
    await row("stock").getByText("Refreshed at 12:03:20.").waitFor();
    await page.clock.runFor(200);
    await said("stock: Refreshed.");
    assert.deepEqual(operators.asked(/^POST/), ["POST connections/stock/refresh"]);
    assert.match(await text(row("stock")), /Ready[^]*0 s of 1 h[^]*97 grants/);
    assert.equal(await button.getAttribute("aria-disabled"), "false");
  });

  test("tells why it failed, and can be tried again", async () => {
    const { page, row, said } = await open(undefined, { time: NOON });
    operators.refresh = () => ({
      status: 502,
      code: "credentials_rejected",
      title: "Credentials rejected",
      detail: "The provider's token endpoint refused the broker's credentials.",
    });
    const button = row("hubsoft-north").getByRole("button", { name: "Refresh" });
    await button.click();
    const wanted =
      /Refresh failed\. Credentials rejected\. The provider's token endpoint refused the broker's credentials\. Request [0-9a-f]{32}\./;
    await row("hubsoft-north").getByText(wanted).waitFor();
    await page.clock.runFor(200);
    await said(wanted);
    await button.click();
    await until(() => operators.asked(/^POST/).length === 2, "the second attempt");
  });

  test("tells that the broker was not reached", async () => {
    const { row } = await open();
    operators.answer(/refresh$/, { destroy: true });
    await row("ledger").getByRole("button", { name: "Refresh" }).click();
    await row("ledger").getByText("Refresh failed. The broker was not reached.").waitFor();
  });

  test("is not undone by a list that was asked for before", async () => {
    const { page, row } = await open();
    const stale = JSON.stringify({
      connections: [...operators.entries.values()].sort((a, b) => (a.id < b.id ? -1 : 1)),
      next: null,
    });
    const { promise: hold, resolve: release } = Promise.withResolvers();
    const end = operators.answer(/^GET connections\?/, {
      hold,
      raw: stale,
    });
    await page.locator("#reload").click();
    await until(() => operators.asked(/^GET connections\?/).length === 2, "the reload");
    await row("stock").getByRole("button", { name: "Refresh" }).click();
    await row("stock").getByText("97 grants").waitFor();
    release(undefined);
    await until(() => ready(page), "the late list");
    end();
    assert.match(await text(row("stock")), /97 grants/);
  });

  test("is not offered where there is nothing to refresh", async () => {
    const { row } = await open();
    assert.equal(await row("hubsoft-people").getByRole("button").count(), 0);
    assert.deepEqual(await row("tenant-cedro").getByRole("button").allInnerTexts(), ["Remove"]);
    assert.deepEqual(await row("guru").getByRole("button").allInnerTexts(), ["Refresh", "Webhooks"]);
  });
});

describe("dropping the token", () => {
  test("is offered where there is a token, and nowhere else", async () => {
    const { page } = await open({
      entries: [
        entryOf("held"),
        entryOf("waits", { state: "waiting" }),
        entryOf("refused", { state: "rejected" }),
        entryOf("cold", { state: "cold", ...NONE }),
        entryOf("ended", { state: "rejected", ...NONE }),
        entryOf("fixed", { grant: "static", ...NONE }),
        entryOf("fixed-with-times", { grant: "static" }),
        entryOf("people", { subject: "user" }),
        entryOf("callers", { subject: "caller" }),
        entryOf("wrong", { state: "misconfigured", provider: null, grant: null, subject: null, ...NONE }),
        entryOf("wrong-now", { state: "misconfigured", grant: null, source: "registry" }),
      ],
    });
    assert.deepEqual(
      await page.getByRole("button", { name: "Drop token" }).evaluateAll((all) => all.map((one) => one.ariaLabel)),
      ["Drop token: refused", "Drop token: waits", "Drop token: held"],
    );
  });

  test("is asked for in a dialog, which Esc and Cancel close without doing it", async () => {
    const { page, row, focused } = await open();
    const dialog = page.getByRole("dialog", { name: "Drop the token of ledger?" });
    for (const leave of [
      () => page.keyboard.press("Escape"),
      () => dialog.getByRole("button", { name: "Cancel" }).click(),
    ]) {
      await row("ledger").getByRole("button", { name: "Drop token" }).click();
      await dialog.waitFor();
      assert.equal(await focused(), "Cancel");
      await leave();
      await dialog.waitFor({ state: "hidden" });
      assert.equal(await focused(), "Drop token: ledger");
    }
    assert.deepEqual(operators.asked(/^DELETE/), []);
  });

  test("drops it, once", async () => {
    const { page, row, said, focused } = await open();
    await row("ledger").getByRole("button", { name: "Drop token" }).click();
    await page
      .getByRole("dialog")
      .getByRole("button", { name: "Drop the token" })
      .evaluate((/** @type {HTMLElement} */ node) => [node.click(), node.click()]);
    await said("ledger: Token dropped.");
    assert.deepEqual(operators.asked(/^DELETE/), ["DELETE connections/ledger/token"]);
    assert.match(await text(row("ledger")), /Cold[^]*no token/);
    assert.equal(await row("ledger").getByRole("button", { name: "Drop token" }).count(), 0);
    assert.equal(await focused(), "Refresh: ledger");
  });

  test("warns where the newest refresh token goes with it", async () => {
    const { page, row } = await open();
    await row("mapping").getByRole("button", { name: "Drop token" }).click();
    await page.getByRole("dialog").getByText("with the newest refresh token").waitFor();
  });
});

describe("removing a connection", () => {
  test("is offered for registered ones only, asks, and leaves the focus at a place", async () => {
    const { page, row, ids, said, focused } = await open();
    assert.deepEqual(
      await page.getByRole("button", { name: "Remove" }).evaluateAll((all) => all.map((one) => one.ariaLabel)),
      ["Remove: tenant-cedro", "Remove: mapping", "Remove: tenant-acme", "Remove: tenant-borealis"],
    );
    await row("mapping").getByRole("button", { name: "Remove" }).click();
    const dialog = page.getByRole("dialog", { name: "Remove mapping?" });
    await dialog.getByText("This cannot be undone.").waitFor();
    await page.keyboard.press("Escape");
    assert.deepEqual(operators.asked(/^DELETE/), []);
    await row("mapping").getByRole("button", { name: "Remove" }).click();
    await dialog.getByRole("button", { name: "Remove the connection" }).click();
    await said("mapping: Removed.");
    assert.deepEqual(operators.asked(/^DELETE/), ["DELETE connections/mapping"]);
    assert.ok(!(await ids()).includes("mapping"));
    assert.equal(await focused(), "Refresh: tenant-acme");
  });

  test("looks and stands apart from what is done every day", async () => {
    for (const width of [1280, 1000, 360]) {
      const { row } = await open(undefined, { width });
      const [refresh, remove] = await Promise.all(
        ["refresh", "remove"].map((name) =>
          row("tenant-borealis")
            .locator(`[data-do=${name}]`)
            .evaluate((node) => {
              const { left, right, top } = node.getBoundingClientRect();
              const { color, fontWeight } = getComputedStyle(node);
              return { left, right, top, color, fontWeight };
            }),
        ),
      );
      assert.notEqual(remove.color, refresh.color);
      assert.ok(Number(remove.fontWeight) > Number(refresh.fontWeight));
      assert.ok(
        remove.top > refresh.top + 20 || remove.left > refresh.right + 100,
        `${width}: ${JSON.stringify([refresh, remove])}`,
      );
    }
  });

  test("that failed tells why", async () => {
    const { page, row } = await open();
    operators.answer(/^DELETE/, {
      status: 409,
      code: "connection_configured",
      title: "Connection configured",
      detail: "It stands in the configuration.",
    });
    await row("tenant-acme").getByRole("button", { name: "Remove" }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Remove the connection" }).click();
    await row("tenant-acme")
      .getByText(/Not removed\. Connection configured\. It stands in the configuration\. Request/)
      .waitFor();
  });
});

describe("webhooks", () => {
  /** @type {(one: Opened, id: string) => Promise<Locator>} */
  const dialogOf = async ({ page, row }, id) => {
    await row(id).getByRole("button", { name: "Webhooks" }).click();
    const dialog = page.getByRole("dialog", { name: `Webhooks of ${id}` });
    await dialog.waitFor();
    return dialog;
  };

  test("are listed, those that failed and those that wait", async () => {
    const one = await open(undefined, { time: NOON });
    const dialog = await dialogOf(one, "guru");
    await dialog.getByRole("heading", { name: "Failed for good: 2" }).waitFor();
    await dialog.getByRole("heading", { name: "Pending: 1" }).waitFor();
    const [first, second, third] = await dialog.locator("li").allInnerTexts();
    assert.match(
      first,
      /msg_5f0c2b7e9a1d4c3f8e6b0a9d7c5e3f1b[^]*accepted 21 Nov, 10:03, 29 attempts; the receiver answered 500/,
    );
    assert.match(second, /1 attempt; the receiver answered 410/);
    assert.match(third, /4 attempts; the receiver was too slow; next 12:08:20/);
    await one.page.keyboard.press("Escape");
    assert.equal(await one.focused(), "Webhooks: guru");
    const empty = await dialogOf(one, "ledger");
    await empty.getByRole("heading", { name: "Failed for good: none" }).waitFor();
    assert.equal(await empty.getByRole("button", { name: "Send all" }).count(), 0);
  });

  test("are sent again one by one, once each", async () => {
    const one = await open();
    const dialog = await dialogOf(one, "guru");
    const button = dialog.getByRole("button", { name: "Send again: msg_0d9c" });
    await button.waitFor();
    const handle = await button.elementHandle();
    await pressHard(button, 3);
    await dialog
      .getByRole("status")
      .getByText("Event msg_0d9c8b7a6f5e4d3c2b1a0f9e8d7c6b5a is on its way again.")
      .waitFor();
    assert.ok(handle);
    assert.equal(await handle.textContent(), "Sent again");
    await handle.evaluate((node) => /** @type {HTMLElement} */ (node).click());
    assert.deepEqual(operators.asked(/^POST/), [
      "POST connections/guru/webhooks/msg_0d9c8b7a6f5e4d3c2b1a0f9e8d7c6b5a/send",
    ]);
    await one.page.keyboard.press("Escape");
    await one.row("guru").getByText("webhooks 1 failed, 2 pending").waitFor();
  });

  test("are sent again all at once", async () => {
    const one = await open();
    const dialog = await dialogOf(one, "guru");
    await pressHard(dialog.getByRole("button", { name: "Send all failed again" }), 3);
    await dialog.getByRole("heading", { name: "Failed for good: none" }).waitFor();
    await dialog.getByRole("heading", { name: "Pending: 3" }).waitFor();
    assert.deepEqual(operators.asked(/^POST/), ["POST connections/guru/webhooks/send"]);
    await one.page.keyboard.press("Escape");
    await one.row("guru").getByText("webhooks 0 failed, 3 pending").waitFor();
  });

  test("come a hundred at a time", async () => {
    const events = { many: Array.from({ length: 130 }, (_, i) => eventOf(i)) };
    const one = await open({ entries: [entryOf("many", { webhooks: { failed: 130, pending: 0 } })], events });
    const dialog = await dialogOf(one, "many");
    await dialog.getByRole("heading", { name: "Failed for good: the first 100" }).waitFor();
    await pressHard(dialog.getByRole("button", { name: "More failed ones" }), 3);
    await dialog.getByRole("heading", { name: "Failed for good: 130" }).waitFor();
    assert.equal(await dialog.locator("#failed li").count(), 130);
    assert.equal(await dialog.getByRole("button", { name: "More" }).count(), 0);
  });

  test("that cannot be listed or sent tell why", async () => {
    const one = await open();
    const end = operators.answer(/webhooks\?state=failed/, {
      status: 503,
      code: "connection_unavailable",
      title: "Connection unavailable",
      detail: "It waits.",
    });
    const dialog = await dialogOf(one, "guru");
    await dialog
      .getByRole("heading", { name: /Failed for good: Connection unavailable\. It waits\. Request [0-9a-f]{32}\./ })
      .waitFor();
    await dialog.getByRole("heading", { name: "Pending: 1" }).waitFor();
    await one.page.keyboard.press("Escape");
    end();
    await dialogOf(one, "guru");
    operators.answer(/send$/, {
      status: 404,
      code: "not_found",
      title: "Not found",
      detail: "There is nothing at this address.",
    });
    const button = dialog.getByRole("button", { name: "Send again: msg_0d9c" });
    await button.click();
    await dialog
      .getByRole("status")
      .getByText(/Not sent\. Not found\. There is nothing at this address\. Request/)
      .waitFor();
    assert.equal(await button.getAttribute("aria-disabled"), "false");
  });
});

describe("hostile texts", () => {
  /**
   * Stands in the place of numbers, too.
   *
   * @type {any}
   */
  const MARKUP = `"><img src=x onerror="window.hit=1"><script>window.hit=1</script><svg onload=window.hit=1>&lt;\u202e\${window.hit=1}{{7*7}}`;

  test("do nothing in any field", async () => {
    /** @param {string} id */
    const evil = (id) => ({
      ...entryOf(id),
      ...Object.fromEntries(Object.keys(entryOf("x")).map((name) => [name, MARKUP])),
      id,
      last_error: { code: MARKUP, at: MARKUP, reason: MARKUP, status: MARKUP },
      webhooks: { pending: MARKUP, failed: MARKUP },
      problems: [{ field: MARKUP, message: MARKUP }],
    });
    const ids = [
      `a ${MARKUP}`,
      "../../b",
      "b?c#d",
      "__proto__",
      "constructor",
      "javascript:window.hit=1",
      `${"w".repeat(2_000)}`,
    ];
    const entries = [
      ...ids.map(evil),
      entryOf(`z ${MARKUP}`, {
        source: "registry",
        provider: MARKUP,
        last_error: { code: MARKUP, at: at(0) },
        sealing_key: MARKUP,
        webhooks: { pending: 0, failed: 1 },
      }),
      entryOf("y", { state: "constructor", last_error: { code: "__proto__", at: at(0) } }),
    ];
    const id = `z ${MARKUP}`;
    const events = {
      [id]: [eventOf(1, { id: MARKUP, outcome: MARKUP, accepted_at: MARKUP, attempts: MARKUP, status: MARKUP })],
    };
    const { page } = await open({ entries, events });
    assert.equal(await page.locator(".row").count(), entries.length);
    const row = page.locator(".row").filter({ has: page.getByRole("heading", { name: /^z / }) });
    assert.ok((await text(row)).includes(`z ${MARKUP}`));
    operators.refresh = () => ({ status: 502, code: "x", title: MARKUP, detail: MARKUP });
    await row.getByRole("button", { name: "Refresh" }).click();
    await row.getByText("Refresh failed.").waitFor();
    await row.getByRole("button", { name: "Webhooks" }).click();
    await page
      .getByRole("dialog")
      .getByRole("heading", { name: /Failed for good: 1/ })
      .waitFor();
    await page.getByRole("button", { name: /^Send again/ }).click();
    await page
      .getByRole("dialog")
      .getByText(/Not sent|on its way/)
      .waitFor();
    await page.keyboard.press("Escape");
    await row.getByRole("button", { name: "Remove" }).click();
    await page.getByRole("dialog").getByText("Remove z").waitFor();
    await page.keyboard.press("Escape");
    await page.getByRole("searchbox").fill(`${MARKUP.slice(0, 90)}`);
    await page.locator("#end").getByText("<img").waitFor();
    assert.equal(await page.evaluate(() => Reflect.get(window, "hit")), undefined);
    assert.equal(await page.locator("img, main script, [onerror], [onload]").count(), 0);
  });
});

describe("the page", () => {
  test("works below any path", async () => {
    const { row } = await open({ entries: house(), base: "/some/broker" });
    await row("ledger").getByRole("button", { name: "Refresh" }).click();
    await row("ledger").getByText("1,205 grants").waitFor();
  });

  test("works where the address brings the credentials", async () => {
    operators = await startOperators({ entries: house() });
    const one = await openPage(browser, operators.url.replace("//", `//operator:${operators.key}@`), null);
    opened.push(one);
    assert.equal((await one.ids()).length, 11);
  });

  test("sends nothing but what it is for, and stores nothing", async () => {
    const { page, row } = await open();
    await row("stock").getByRole("button", { name: "Refresh" }).click();
    await row("stock").getByText("97 grants").waitFor();
    assert.deepEqual(operators.requests, ["GET connections?limit=100", "POST connections/stock/refresh"]);
    const held = await page.evaluate(async () => [
      JSON.stringify({ ...localStorage, ...sessionStorage }),
      document.cookie,
      (await indexedDB.databases()).length,
    ]);
    assert.deepEqual(held, ["{}", "", 0]);
    assert.ok(!(await page.content()).includes(operators.key));
  });
});
