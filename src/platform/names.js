// Names of people, as servers compare them.

// The base letters: one of each set of characters that a collation takes for one letter and that case, width and
// accents do not join already, in the collation's order. tests/e2e/user-names.test.mjs finds those that are missing.
const BASES = [
  ..."'\u{22}/〱〳0123456789aɑb\u{1de9}cdeəᴈfʩgɢhiᴉjklʟ\u{1dec}mᴍnɴopqrʀsʃtuvwʍxyz\u{1dd2}ιабвгдеєжзиі",
  ..."\u{2df8}клмнопрстуꙋфхѡцчшщъыьѣю\u{2dfc}ѥѧѫѭѳⰰⰱⰲⰳⰴⰵⰶⰸⰹⰺⰻⰼⰽⰾⰿⱀⱁⱂⱃⱄⱅⱆⱇⱈⱋⱌⱍⱎⱏⱐⱑⱓⱔⱖⱗⱘⱙⱚ𐍐𐍓𐍗𐍝𐍡ךםןףץءامن",
  ..."ويیܒܓܕܛܣܦߖߗߙᳩꣲൎ\u{d3b}\u{113ce}𑖂𑖃𑖄\u{115b2}\u{115b3}𑜄𑜈𑜕𑴦ᮃᮊᮙ\u{fad}\u{fb1}ར\u{fb2}𑨪𑨫𑨬𑨭𑩜𑩝𑩠𑩫𑩯𑩰𑩴𑩺𑩼𑩽",
  ..."𑩿𑪁ᯀᯂᯅᯇᯉᯋᯎᯒᯔᯖᯘᯛᯞ\u{1be7}\u{1bea}\u{1bec}\u{1bee}\u{102b}ᨦᨻ\u{1a63}ꦫ\u{a9b4}ᚠᚢᚦᚨᚲᚹᚺᚾᛁᛃᛅᛈᛊᛏᛒᛗᛚᛜᛦ𐳀𐳉",
  ..."𐳐𐳛𐳝𐳢𐳪𐳬𐰀𐰃𐰇𐰉𐰋𐰍𐰏𐰑𐰔𐰖𐰘𐰚𐰜𐰞𐰤𐰦𐰨𐰪𐰭𐰲𐰴𐰶𐰸𐰺𐰿𐱁𐱃𐱅ꕘꕪꕮꖇꗑ𐵳𐶁ぁぃぅぇぉかきくけこさしすせそたちってとなにぬねのはひふへほまみむめもゃゅょらりるれろゎゐ𛄟ゑをんㄅㄆㄊㄍㄎㄏ",
  ..."ㄐㄗㄚㄛㄜㆤㄞㄠㄧㄨ𖼄𖼐𖼣𖼽𐬭𐡭𐢀𐢂𐢆𐢌𐢎𐢐𐢒𐢔𐢜𐫇𐼀𐼂𐼅𐼎𐼒𐼕𐼚𐽁𐦀𐦁𐦂𐦃𐦄𐦅𐦆𐦈𐦉𐦊𐦌𐦎𐦐𐦑𐦒𐦓𐦕𐦖𐦗𐦘𐦚𐦜𐦝⺀⺄儿⺆⺇⺈⺊⺋⺁⺌⺎⺏⺓⺕⺗⺜⺝⺤⺧⺪⺫⺬⺮⺲⺱⺶⺻⺼⺽⺾⻆⻊⻌⻏⻑⻕⻗⻝⻞",
  ..."⻡⻣⻤⻧⻫⻭⻯⻱",
];

// The most base letters that spell one letter: 🅯 is wc, æ is ae.
const LONGEST = 3;

/** Made for the first name that needs it. @type {Intl.Collator} */
let collator;

/**
 * The key of `name`. All spellings that some server takes for one name have one key: servers ignore case, accents,
 * width and invisible characters, and compare ß with ss or s. Names that other servers tell apart may share a key.
 *
 * @param {string} name
 */
export function folded(name) {
  if (/^[!-~]*$/.test(name)) return joined(name.toLowerCase());
  collator ??= new Intl.Collator("en", { sensitivity: "base" });
  /** @type {Map<string, string>} */
  const known = new Map();
  let key = "";
  // Some vowels are written before the consonant that they follow.
  const ordered = name.replace(/(\p{Logical_Order_Exception})(\P{Logical_Order_Exception})/gu, "$2$1");
  for (const character of ordered) {
    let letter = known.get(character);
    if (letter === undefined) known.set(character, (letter = letters(character)));
    key += letter;
  }
  return joined(key);
}

/** The letters that `character` counts as: none where it is invisible. @param {string} character */
function letters(character) {
  if (isNothing(character)) return "";
  const spelling = spelled(character);
  if (spelling !== undefined) return spelling;
  let text = "";
  for (const part of character.normalize("NFKD")) {
    if (isNothing(part)) continue;
    // Both cases of one letter, and both small sigmas.
    for (const letter of part.toUpperCase()) text += plain(letter.toLowerCase());
  }
  return text;
}

const isNothing = (/** @type {string} */ character) =>
  /[\p{C}\p{Z}]/u.test(character) || collator.compare(character, "") === 0;

// Older servers take every character beyond the first plane for the same.
const plain = (/** @type {string} */ letter) => spelled(letter) ?? (letter.length > 1 ? "\ufffd" : letter);

/** The base letters that spell `letter`, where there are any. @param {string} letter */
function spelled(letter) {
  let spelling = "";
  for (let length = 1; length <= LONGEST; length += 1) {
    let [low, high] = [0, BASES.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (collator.compare(spelling + BASES[middle], letter) <= 0) low = middle + 1;
      else high = middle;
    }
    if (low === 0) return undefined;
    spelling += BASES[low - 1];
    if (collator.compare(spelling, letter) === 0) return spelling;
    // Only Latin letters and numbers are spelled by several base letters.
    if (!/^[!-~]/.test(spelling)) return undefined;
  }
  return undefined;
}

const joined = (/** @type {string} */ key) => key.replaceAll("l·", "l").replace(/ss+/g, "s");
