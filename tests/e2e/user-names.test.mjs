// The spellings of a user name that count as one, in the runtime that compares them.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, before, describe, test } from "node:test";
import { inRoot } from "../../scripts/lib.mjs";
import { startWorkerd } from "../../scripts/workerd.mjs";

/** @import { Workerd } from "../../scripts/workerd.mjs" */

// Each row is one name to some server's collation.
const ROWS = {
  case: ["ana", "ANA", "aNa"],
  accents: ["ana", "áná", "ÀNÃ", "a\u0301na", "a\u0308\u0304na\u0323"],
  "what cannot be seen": [
    "ana",
    "a\u200bna",
    "a\u00adna",
    "\ufeffana",
    "an\u2060a",
    "ana\ufe0f",
    "a\u0000na",
    "ana\u{e0061}",
  ],
  spaces: ["ana", " ana", "ana  ", "ana\t", "ana\u00a0", "a na", "ana\u3000", "ana\n"],
  width: ["ana", "ａｎａ", "ＡＮＡ"],
  shapes: ["ana", "𝒶𝓃𝒶", "ⓐⓝⓐ", "ᴬᴺᴬ", "🄰🄽🄰", "🅐🅝🅐", "aⁿa", "ₐna"],
  "letters with a stroke": ["odlh", "øđłħ", "ØĐŁĦ"],
  "combining letters": ["ana", "an\u0363", "\u0363na"],
  ligatures: ["fifl", "ﬁﬂ", "ＦIﬂ"],
  "letters that are two": ["aeoess", "æœß", "ÆŒẞ", "ǽœß", "ᴭœß"],
  "sharp s as one": ["strase", "straße", "STRASSE", "ſtraſſe"],
  "letters of Turkish": ["iii", "İıI", "ıⅈi"],
  signs: ["kak", "K\u00e5K", "K\u212bk", "\u212aA\u212a"],
  numbers: ["123", "①②③", "¹²³", "١٢٣", "१२३", "⓵⓶⓷", "１２３"],
  Greek: ["σοφοσ", "ΣΟΦΟΣ", "σοφός", "σοφος"],
  Cyrillic: ["елка", "ёлка", "ЕЛКА", "ѐлка"],
  kana: ["かな", "カナ", "ｶﾅ", "㋕㋤", "がな"],
  Thai: ["เก", "กเ"],
  Catalan: ["col", "co\u0140", "col\u00b7", "CO\u013f"],
  "beyond the first plane": ["a🍣", "a🍺"],
};

const DISTINCT = [
  "ana",
  "anna",
  "ane",
  "an-a",
  "an.a",
  "a+na",
  "anа",
  "αna",
  "ana1",
  "an@a",
  "か",
  "ц",
  "名",
  "a名",
  "12",
  "21",
];

const ENTRY = `
import { folded } from "./names.js";
const collator = new Intl.Collator("en", { sensitivity: "base" });

const answers = {
  folded: (names) => names.map(folded),
  // Whether the collation takes each two for one.
  pairs: (names) => names.map((one) => names.map((other) => collator.compare(one, other) === 0)),
  // Characters that are one to the collation and two here. Where ideographs and syllables have no decomposition,
  // they are one with no other.
  missing() {
    const left = /\\p{Cn}|\\p{Co}|\\p{Cs}|[\\u3400-\\u4dbf\\u4e00-\\u9fff\\uac00-\\ud7a3\\u{17000}-\\u{18fff}\\u{20000}-\\u{3ffff}]/u;
    const all = Array.from({ length: 0x110000 }, (_, code) => String.fromCodePoint(code)).filter((one) => !left.test(one));
    all.sort(collator.compare);
    const equal = all.flatMap((one, at) => at > 0 && collator.compare(all[at - 1], one) === 0 ? [[all[at - 1], one]] : []);
    return { equal: equal.length, missing: equal.filter(([one, other]) => folded(one) !== folded(other)) };
  },
};

export default { async fetch(request) {
  const { ask, names } = await request.json();
  return Response.json(answers[ask](names));
} };`;

/** @type {Workerd} */
let runtime;

before(async () => {
  const names = readFileSync(inRoot("src", "platform", "names.js"));
  runtime = await startWorkerd({
    workers: [{ name: "names", modules: { "main.js": ENTRY, "names.js": names } }],
    errors: "kept",
  });
});

after(() => runtime?.stop());

/**
 * @param {string} question
 * @param {string[]} [names]
 */
const ask = async (question, names) => {
  const body = JSON.stringify({ ask: question, names });
  return (await fetch(runtime.urls.names, { method: "POST", body })).json();
};

describe("spellings of one name", () => {
  for (const [what, names] of Object.entries(ROWS)) {
    test(`are counted as one: ${what}`, async () => {
      const keys = await ask("folded", names);
      assert.equal(
        new Set(keys).size,
        1,
        JSON.stringify(Object.fromEntries(names.map((name, at) => [name, keys[at]]))),
      );
      assert.notEqual(keys[0], "");
    });
  }

  test("are counted as one wherever the runtime's collation takes two of the table for one", async () => {
    const names = [...new Set([...Object.values(ROWS).flat(), ...DISTINCT])];
    const [keys, pairs] = [await ask("folded", names), await ask("pairs", names)];
    const apart = names.flatMap((one, i) =>
      names.filter((_, k) => pairs[i][k] && keys[i] !== keys[k]).map((other) => `${one} | ${other}`),
    );
    assert.deepEqual(apart, []);
    assert.ok(pairs.flat().filter(Boolean).length > 2 * names.length, "the collation takes few for one");
  });

  test("are counted as one wherever it takes two characters for one", async () => {
    const { equal, missing } = await ask("missing");
    assert.deepEqual(missing, []);
    assert.ok(equal > 5_000, `only ${equal} characters are equal to another`);
  });
});

describe("names that differ", () => {
  test("are counted apart", async () => {
    const keys = await ask("folded", DISTINCT);
    assert.equal(new Set(keys).size, DISTINCT.length, JSON.stringify(keys));
  });
});
