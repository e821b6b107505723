// The operators' page: how each connection does, and what to do about it.
// Whatever comes from the broker is put in as text, never as markup.

const RELOAD_MS = 30_000;
const PATIENCE_MS = 60_000;
const PAGE = 100;
/** How many rows are made and thrown away together. */
const BLOCK = 40;
/** So many pages are reloaded by themselves; of more, those on the screen. */
const RELOADED_PAGES = 5;

const STATES = ["rejected", "misconfigured", "waiting", "cold", "ready"];
const FILTERS = ["all", "attention", ...STATES];
const SOURCES = { configuration: "configured", registry: "registered" };

// An address with a password in it is none that fetch takes.
const HERE = location.origin + location.pathname;

const $ = (id) => document.getElementById(id);

// --- What is known ---

/** Entries by id, each with `at`, when it was asked for, and `placed`, the filters it stands under. Such times are the browser's. */
const entries = new Map();
/** When something was last done to a connection: what was asked for before is old. */
const done = new Map();
/** What is being done to which connection. */
const doing = new Map();
/** How the last action on a connection ended: { at, text } or { what, text }. */
const outcomes = new Map();

let filter = "all";
let q = "";
/** The `after` of each page that was loaded. */
let starts = [];
/** The `after` of the next one; null where there is none, undefined before the first. */
let next;
let isStopped = false;
let trouble;
let reading;
let timer;
let readAt = 0;
/** How far the broker's clock is ahead. */
let skew = 0;

const now = () => Date.now() + skew;

// --- Asking the broker ---

class Failure extends Error {
  constructor(text, status) {
    super(text);
    this.status = status;
  }
}

async function ask(method, path, signal) {
  const late = AbortSignal.timeout(PATIENCE_MS);
  let response, body;
  try {
    response = await fetch(new URL(path, HERE), {
      method,
      cache: "no-store",
      redirect: "error",
      signal: signal ? AbortSignal.any([signal, late]) : late,
    });
    body = await response.text();
  } catch {
    throw new Failure(late.aborted ? "The broker does not answer." : "The broker was not reached.");
  }
  const date = Date.parse(response.headers.get("Date"));
  // The field has whole seconds only.
  if (date) skew = Math.abs(date - Date.now()) > 2_000 ? date - Date.now() : 0;
  if (response.ok && !body) return undefined;
  let json;
  try {
    json = JSON.parse(body);
  } catch {}
  if (response.status === 401) {
    throw new Failure("You are not signed in, or the key is another one now. Reload the page and sign in.", 401);
  }
  if (!response.ok) {
    const { title, detail, request_id: request } = json ?? {};
    const said = [
      title ?? `The answer was ${response.status}`,
      detail?.replace(/\.$/, ""),
      request && `Request ${request}`,
    ];
    throw new Failure(`${said.filter(Boolean).join(". ")}.`, response.status);
  }
  if (typeof json !== "object") throw new Failure("The answer was not understood.");
  return json;
}

const at = (id, rest = "") => `connections/${encodeURIComponent(id)}${rest}`;

/** Asks for the page behind `after`, and gives where the one behind it begins. */
async function read(after, signal, isFirst) {
  const asked = Date.now();
  const query = new URLSearchParams({ limit: PAGE });
  if (after) query.set("after", after);
  if (q) query.set("q", q);
  const page = await ask("GET", `connections?${query}`, signal);
  if (!Array.isArray(page?.connections)) throw new Failure("The answer was not understood.");
  if (isFirst) entries.clear();
  const { connections, next: end } = page;
  const ids = new Set(connections.map(({ id }) => id));
  for (const id of entries.keys()) {
    if (id > after && (end === null || id <= end) && !ids.has(id) && !doing.has(id)) entries.delete(id);
  }
  for (const entry of connections) if (!(done.get(entry.id) > asked)) keep(entry, asked);
  readAt = Date.now();
  // Whatever is answered, the way through all of them ends.
  return end > after ? end : null;
}

function keep(entry, asked) {
  const old = entries.get(entry.id);
  const row = rows.get(entry.id)?.node;
  // What is under the pointer or has the focus does not jump away.
  const isHeld = old && row && (row.matches(":hover, :focus-within") || row.contains(opener));
  entries.set(entry.id, {
    ...entry,
    at: asked,
    placed: isHeld ? old.placed : [entry.state, needsYou(entry) && "attention"],
  });
}

/** Does `work` unless another reading is under way, and then what is to be done next. */
async function readWith(work) {
  if (reading) return;
  const mine = (reading = new AbortController());
  clearTimeout(timer);
  paint();
  try {
    await work(mine.signal);
    trouble = undefined;
  } catch (error) {
    if (mine.signal.aborted) return;
    if (!(error instanceof Failure)) console.error(error);
    trouble = error;
  }
  if (reading !== mine) return;
  reading = undefined;
  paint();
  goOn();
}

const more = () =>
  readWith(async (signal) => {
    const start = next;
    next = await read(start, signal);
    starts.push(start);
  });

const reload = (isWhole) =>
  readWith(async (signal) => {
    if (!isWhole && starts.length > RELOADED_PAGES) {
      const seen = new Set(onScreen().map((id) => starts.findLastIndex((start) => start < id)));
      for (const i of [...seen].slice(0, RELOADED_PAGES)) {
        const end = await read(starts[i], signal);
        // More than a page is there now: what no longer fits is read with the next reload.
        if (end !== null && end < (starts[i + 1] ?? next ?? end)) starts.splice(i + 1, 0, end);
      }
      return;
    }
    const walked = [];
    let after = "";
    do {
      walked.push(after);
      after = await read(after, signal, next === undefined);
      if (walked.length % 5 === 0) paint();
    } while (after !== null && (next === null || after < next));
    starts = walked;
    next = after;
  });

/** Begins anew: another part of an id is looked for. */
function restart() {
  reading?.abort();
  reading = undefined;
  next = undefined;
  starts = [];
  isStopped = false;
  return reload();
}

/** Whether the rest is wanted: a filter looks through all, a list through what is scrolled to. */
const wantsMore = () =>
  typeof next === "string" &&
  !isStopped &&
  (filter !== "all" || $("end").getBoundingClientRect().top < innerHeight + 800);

function goOn() {
  clearTimeout(timer);
  if (document.hidden || trouble?.status === 401 || reading) return;
  if (!trouble && wantsMore()) return more();
  timer = setTimeout(reload, Math.max(1_000, trouble ? RELOAD_MS : readAt + RELOAD_MS - Date.now()));
}

// --- What it means ---

const isBad = ({ state }) => ["rejected", "misconfigured", "waiting"].includes(state);

/** Whether the last error still counts: nothing was obtained since. */
const isCurrent = (entry) =>
  entry.last_error &&
  (entry.state === "ready"
    ? Date.parse(entry.last_error.at) > Date.parse(entry.obtained_at)
    : isBad(entry) && entry.state !== "misconfigured");

const needsYou = (entry) => isBad(entry) || entry.webhooks?.failed > 0 || isCurrent(entry);

function advice({ id, source, grant, state, last_error: error, expires_at: expires }) {
  const isRegistered = source === "registry";
  const secret = (name) => (isRegistered ? name.toLowerCase() : `${id.toUpperCase().replaceAll("-", "_")}_${name}`);
  const set = (name) => `set ${isRegistered ? "its" : "the"} secret ${secret(name)} anew`;
  const goesOn = Date.parse(expires) > now() ? " Calls go on with the token that is held." : "";
  const waits = `The broker tries again by itself.${goesOn}`;
  if (state === "misconfigured") {
    return isRegistered
      ? "It cannot be used as it is registered. Register it again: the answer names every field that is wrong."
      : "It cannot be used as it is configured. The log names every field that is wrong, in lines configuration_problem.";
  }
  switch (error?.code ?? (state === "rejected" ? "credentials_rejected" : "")) {
    case "credentials_rejected":
      if (grant === "static") return `The provider refuses the token: ${set("TOKEN")}.`;
      if (grant === "refresh_token")
        return `The refresh token may be dead: ${set("REFRESH_TOKEN")}. A changed one is tried at once.${goesOn}`;
      return `Compare its secrets ${isRegistered ? "" : `${secret("…")} `}with what the provider has. A changed one is tried at once.${goesOn}`;
    case "token_endpoint_unreachable":
      return `Look whether the provider is out of order. ${waits}`;
    case "token_endpoint_timeout":
      return `The provider is slow: look whether it is out of order, or raise token_timeout_ms. ${waits}`;
    case "token_response_invalid":
      return `What answers is no token endpoint, or wants another request: check token_url, grant, body, client_auth and scope. ${waits}`;
    case "upstream_unauthorized":
      if (grant === "static") return `The API refuses the token: ${set("TOKEN")}, then press Refresh.`;
      return "The API refuses tokens that were just obtained: check with the provider what the account may do.";
    default:
      return state === "waiting" ? waits : "";
  }
}

// --- Words and times ---

const UNITS = [
  [86_400_000, "d"],
  [3_600_000, "h"],
  [60_000, "min"],
  [1_000, "s"],
];

/** "12 min", "1 h 30 min", "30 d": two units at most, the second only where `isExact`. */
function span(ms, isExact) {
  let i = UNITS.findIndex(([size]) => ms >= size);
  if (i < 0) return "0 s";
  if (i === 0 && ms < 2 * UNITS[0][0]) i = 1;
  const [size, name] = UNITS[i];
  const [smaller, smallerName] = UNITS[i + 1] ?? [size];
  const rest = Math.floor((ms % size) / smaller);
  return `${Math.floor(ms / size)} ${name}${isExact && rest && smallerName ? ` ${rest} ${smallerName}` : ""}`;
}

/** "0:42", "1:02:05" */
function countdown(ms) {
  const s = Math.max(0, Math.ceil(ms / 1_000));
  const two = (n) => String(Math.floor(n)).padStart(2, "0");
  return s < 3_600
    ? `${Math.floor(s / 60)}:${two(s % 60)}`
    : `${Math.floor(s / 3_600)}:${two((s % 3_600) / 60)}:${two(s % 60)}`;
}

const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const date = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" });
const number = new Intl.NumberFormat("en");

/** A state or a code as a person would write it. */
const words = (code) =>
  code === "attention"
    ? "Needs attention"
    : String(code)
        .replaceAll("_", " ")
        .replace(/^./, (first) => first.toUpperCase());

/** An instant in the operator's own time. */
function time(text) {
  const when = new Date(text);
  if (Number.isNaN(when.getTime())) return String(text);
  const isToday = when.toDateString() === new Date(now()).toDateString();
  const node = make("time", "", (isToday ? clock : date).format(when));
  node.dateTime = node.title = typeof text === "string" ? text : when.toISOString();
  return node;
}

const ago = (text) => `${span(Math.max(0, now() - Date.parse(text)))} ago`;
const count = (n) => (Number.isFinite(n) ? number.format(n) : String(n));
const many = (n, one) => `${count(n)} ${one}${n === 1 ? "" : "s"}`;

// --- Making nodes ---

function make(tag, kind, ...children) {
  const node = document.createElement(tag);
  if (kind) node.className = kind;
  node.append(...children.filter((child) => child !== ""));
  return node;
}

/** Lets `node` hold these children; what is the same already is left alone. */
function put(node, ...children) {
  const wanted = node.cloneNode();
  wanted.append(...children.filter((child) => child !== ""));
  if (!wanted.isEqualNode(node)) node.replaceChildren(...wanted.childNodes);
  return node;
}

const shapeOf = (state) => (STATES.includes(state) ? state : "cold");

function shape(state) {
  const svg = $("row").content.querySelector(".shape").cloneNode(true);
  svg.firstElementChild.setAttribute("href", `#${state}`);
  return svg;
}

// --- A connection's row ---

const rows = new Map();

function rowOf(id) {
  if (!rows.has(id)) {
    const node = $("row").content.firstElementChild.cloneNode(true);
    const is = Object.fromEntries([...node.querySelectorAll("[data-is]")].map((part) => [part.dataset.is, part]));
    const buttons = [...node.querySelectorAll("button")];
    node.dataset.id = id;
    for (const button of buttons) button.onclick = () => doing.has(id) || ACTIONS[button.dataset.do](id, button);
    rows.set(id, { node, is, buttons });
  }
  show(id);
  return rows.get(id).node;
}

/** Brings the row of `id`, where there is one, to what is known now. */
function show(id) {
  const entry = entries.get(id);
  const row = rows.get(id);
  if (!entry || !row) return;
  const { node, is, buttons } = row;
  const { provider, grant, subject, source, state, retry_at: retry, sealing_key: key, webhooks } = entry;
  const isStatic = grant === "static";
  const isService = grant !== null && subject !== "user";
  node.dataset.state = shapeOf(state);
  node.querySelector("use").setAttribute("href", `#${shapeOf(state)}`);
  put(is.id, id);
  put(
    is.kind,
    [provider, grant, subject === "user" && "for people", SOURCES[source] ?? source].filter(Boolean).join(" · "),
  );
  put(is.state, words(state));
  put(is.wait, ...wait(retry));
  showToken(is, entry, isStatic);
  put(
    is.facts,
    (isService && !isStatic) || key !== null
      ? make("p", "", many(entry.grants, "grant"), key === null ? "" : ` · key ${key}`)
      : "",
    webhooks
      ? make(
          "p",
          "",
          "webhooks ",
          make("span", webhooks.failed > 0 ? "bad" : "", `${count(webhooks.failed)} failed`),
          `, ${count(webhooks.pending)} pending`,
        )
      : "",
  );
  put(is.notes, ...notes(entry));
  const offered = {
    refresh: isService,
    webhooks: webhooks !== null,
    drop: (isService && !isStatic) || (state === "misconfigured" && key !== null),
    remove: source === "registry",
  };
  for (const button of buttons) {
    const name = button.dataset.do;
    const label = LABELS[name] + (doing.get(id) === name ? "…" : "");
    button.hidden = !offered[name];
    button.setAttribute("aria-disabled", doing.has(id));
    button.setAttribute("aria-label", `${label}: ${id}`);
    put(button, label);
  }
}

const LABELS = { refresh: "Refresh", webhooks: "Webhooks", drop: "Drop token", remove: "Remove" };

function wait(retry) {
  if (!retry) return [];
  const left = Date.parse(retry) - now();
  return left > 0 ? ["until ", time(retry), ` (in ${countdown(left)})`] : ["the wait is over"];
}

function showToken(is, { obtained_at: obtained, expires_at: expires, subject }, isStatic) {
  const life = Date.parse(expires) - Date.parse(obtained);
  const age = Math.max(0, now() - Date.parse(obtained));
  const isOver = Date.parse(expires) <= now();
  is.bar.hidden = !(life > 0);
  if (life > 0) {
    is.bar.style.setProperty("--age", Math.min(1, age / life).toFixed(3));
    is.bar.dataset.age = isOver ? "over" : age / life > 0.8 ? "old" : "young";
  }
  if (isOver) put(is.age, "ended ", time(expires), `, ${ago(expires)}`);
  else if (life > 0)
    put(is.age, make("span", "", `${span(age)} of ${span(life, true)}`), make("span", "", "until ", time(expires)));
  else if (obtained) put(is.age, "obtained ", time(obtained), `, ${ago(obtained)}`);
  else put(is.age, isStatic ? "static token" : subject === "user" ? "each person has their own" : "no token");
}

function notes(entry) {
  const { id, last_error: error, webhooks } = entry;
  const found = [];
  const told = error && [make("strong", "", words(error.code)), " at ", time(error.at), `, ${ago(error.at)}. `];
  const says = advice(entry);
  if (isCurrent(entry)) found.push(make("p", "note", ...told, says));
  else {
    if (says && isBad(entry)) found.push(make("p", "note", says));
    if (error) found.push(make("p", "past", "Before: ", ...told));
  }
  if (webhooks?.failed > 0) {
    found.push(
      make(
        "p",
        "note",
        make("strong", "", `${many(webhooks.failed, "event")} failed for good.`),
        " Look under Webhooks what the receiver answered, and send them again.",
      ),
    );
  }
  const outcome = outcomes.get(id);
  if (outcome)
    found.push(
      outcome.what
        ? make("p", "note", make("strong", "", outcome.what), outcome.text)
        : make("p", "good", outcome.text),
    );
  return found;
}

// --- The list ---

// Only blocks near the screen have their rows; the others keep their height.
const nearness = new IntersectionObserver(
  (changes) => {
    for (const { target, isIntersecting } of changes) {
      target.isNear = isIntersecting;
      fill(target);
    }
    sweep();
  },
  { rootMargin: "1000px 0px" },
);

function fill(block) {
  const isKept = block.isNear || block.contains(document.activeElement) || block.contains(opener);
  if (!isKept) {
    const { length } = block.ids;
    if (block.childElementCount) block.style.setProperty("height", `${block.offsetHeight}px`);
    else if (block.sizedFor !== length) block.style.setProperty("height", `${length * rowHeight()}px`);
    block.sizedFor = length;
    block.replaceChildren();
    return;
  }
  block.style.removeProperty("height");
  const wanted = block.ids.map(rowOf);
  const stays = new Set(wanted);
  for (const node of [...block.children]) stays.has(node) || node.remove();
  let place = block.firstChild;
  for (const node of wanted) {
    if (node === place) place = place.nextSibling;
    else block.insertBefore(node, place);
  }
}

const rowHeight = () => document.querySelector(".row")?.offsetHeight ?? 64;

function sweep() {
  for (const [id, { node }] of rows) node.isConnected || rows.delete(id);
}

function fillSection(name, title, ids) {
  const list = $(name).querySelector(".list");
  const wanted = Math.ceil(ids.length / BLOCK);
  while (list.childElementCount > wanted) {
    nearness.unobserve(list.lastChild);
    list.lastChild.remove();
  }
  while (list.childElementCount < wanted) {
    const block = make("div", "block");
    block.isNear = !list.childElementCount;
    block.ids = [];
    list.append(block);
    nearness.observe(block);
  }
  [...list.children].forEach((block, i) => {
    block.ids = ids.slice(i * BLOCK, (i + 1) * BLOCK);
    fill(block);
  });
  $(name).hidden = !ids.length;
  put($(`${name}-title`), title, make("span", "", count(ids.length)));
}

const onScreen = () =>
  [...rows]
    .filter(([, { node }]) => {
      const { top, bottom } = node.getBoundingClientRect();
      return bottom > 0 && top < innerHeight;
    })
    .map(([id]) => id);

/** Brings everything that is seen to what is known now. */
function paint() {
  const focused = document.activeElement;
  const all = [...entries.values()].sort((a, b) => (a.id < b.id ? -1 : 1));
  const isFirst = ({ placed }) => filter === "all" && placed.includes("attention");
  const shown = all.filter(({ placed }) => filter === "all" || placed.includes(filter));
  const ids = (some) => some.map(({ id }) => id);
  const first = shown.filter(isFirst);
  fillSection("first", words("attention"), ids(first));
  fillSection(
    "rest",
    filter !== "all" ? words(filter) : first.length ? "The others" : "Connections",
    ids(shown.filter((entry) => !isFirst(entry))),
  );
  sweep();
  if (focused !== document.activeElement && focused.isConnected) focused.focus({ preventScroll: true });
  paintFilters(all);
  paintEnd(all.length, shown.length);
  const oldest = all.reduce((least, entry) => Math.min(least, entry.at), readAt);
  put(
    $("as-of"),
    ...(readAt
      ? [
          reading && starts.length > 1 ? "asking… " : "",
          "as of ",
          time(readAt + skew),
          ...(readAt - oldest > 90_000 ? [", the oldest of ", time(oldest + skew)] : []),
        ]
      : []),
  );
  $("reload").setAttribute("aria-disabled", Boolean(reading));
  $("trouble").hidden = !trouble;
  put(
    $("trouble"),
    ...(trouble ? [trouble.message, ...(readAt ? [" Shown is the state of ", time(readAt + skew), "."] : [])] : []),
  );
}

const inState = (name) => (entry) => name === "all" || (name === "attention" ? needsYou(entry) : entry.state === name);

function paintFilters(all) {
  for (const name of FILTERS) {
    const button = $(`filter-${name}`);
    const n = all.filter(inState(name)).length;
    button.dataset.n = n;
    button.setAttribute("aria-pressed", name === filter);
    put(button, STATES.includes(name) ? shape(name) : "", words(name), " ", make("span", "", count(n)));
  }
  const n = all.filter(needsYou).length;
  document.title = `${n ? `(${n}) ` : ""}Porteiro: connections`;
}

function paintEnd(loaded, shown) {
  const isAll = next === null;
  const isWalking = reading && filter !== "all" && typeof next === "string" && !isStopped;
  const where = q ? ` with “${q}” in ${loaded === 1 ? "its" : "their"} id` : "";
  let text = `${many(loaded, "connection")}${where} loaded, and there are more.`;
  if (next === undefined) text = reading ? "Asking the broker…" : "";
  else if (isAll && !loaded)
    text = q
      ? `No connection has “${q}” in its id.`
      : "There is no connection yet: configure one in CONNECTIONS, or register one.";
  else if (isAll)
    text = `${loaded === 1 ? "The one connection" : `All ${count(loaded)} connections`}${where} looked through.`;
  else if (filter !== "all")
    text = `${many(loaded, "connection")}${where} looked through${isWalking ? ", and going on." : "; there are more."}`;
  if (next !== undefined && loaded && !shown) text += ` None${isAll ? "" : " so far"} is under “${words(filter)}”.`;
  put($("end"), text);
  $("more").hidden = typeof next !== "string";
  put($("more"), isWalking ? "Stop" : filter === "all" ? "Load more" : "Go on");
}

// --- Actions ---

/** Says something to those who hear the page; a dialog that is open has a line of its own. */
function say(text) {
  const line = $($("hooks").open ? "hooks-said" : "said");
  line.textContent = "";
  // The same words twice are heard twice.
  setTimeout(() => (line.textContent = text), 60);
}

/** Does something to a connection, and tells how it ended. */
async function act(id, name, method, path, ended) {
  doing.set(id, name);
  outcomes.delete(id);
  show(id);
  try {
    const entry = await ask(method, path);
    if (name === "remove") entries.delete(id);
    else keep(entry?.id === id ? entry : await ask("GET", at(id)), Date.now());
    outcomes.set(id, { text: `${ended} at ${clock.format(now())}.`, at: now() });
    say(`${id}: ${ended}.`);
  } catch (error) {
    fail(id, `${LABELS[name]} failed. `, error);
  }
  done.set(id, Date.now());
  doing.delete(id);
  paint();
}

function fail(id, what, error) {
  if (!(error instanceof Failure)) console.error(error);
  if (error.status === 401) trouble = error;
  outcomes.set(id, { what, text: error.message });
  say(`${id}: ${what}${error.message}`);
}

const ACTIONS = {
  refresh: (id) => act(id, "refresh", "POST", at(id, "/refresh"), "Refreshed"),
  webhooks: openHooks,
  async drop(id, button) {
    const text =
      entries.get(id).grant === "refresh_token"
        ? "The token set is deleted, with the newest refresh token. The next call needs the one in the secret, which must still be valid."
        : "The token set is deleted. The next call obtains a new one, and waits for it.";
    if (await sure(button, `Drop the token of ${id}?`, text, "Drop the token")) {
      await act(id, "drop", "DELETE", at(id, "/token"), "Token dropped");
    }
  },
  async remove(id, button) {
    const text =
      "The broker forgets the connection, its secrets and its token. Calls to it are answered 404 from then on. This cannot be undone.";
    if (!(await sure(button, `Remove ${id}?`, text, "Remove the connection"))) return;
    const place = onScreen().indexOf(id);
    await act(id, "remove", "DELETE", at(id), "Removed");
    if (!entries.has(id))
      (document.querySelectorAll(".row")[Math.max(0, place)]?.querySelector("button:not([hidden])") ?? $("q")).focus();
  },
};

let opener = null;

function open(dialog, button) {
  opener = button;
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((closed) => {
    dialog.onclose = () => {
      opener = null;
      closed(dialog.returnValue);
    };
  });
}

async function sure(button, title, text, yes) {
  put($("ask-title"), title);
  put($("ask-text"), text);
  put($("yes"), yes);
  return (await open($("ask"), button)) === "yes";
}

// --- Webhooks ---

const OUTCOMES = {
  refused: "the receiver answered",
  gone: "the receiver answered",
  timeout: "the receiver was too slow",
  unreachable: "the receiver was not reached",
  unopened: "the stored event does not open: its sealing key is gone",
  misconfigured: "the webhook was not configured correctly",
};

/** The connection whose webhooks are shown, and where each list goes on. */
let hooks;

function openHooks(id, button) {
  hooks = { id, after: {}, sending: new Set() };
  put($("hooks-title").querySelector("bdi"), id);
  put($("hooks-said"));
  for (const state of ["failed", "pending"]) listEvents(state, true);
  open($("hooks"), button);
}

async function listEvents(state, isFirst) {
  const mine = hooks;
  const moreButton = document.querySelector(`[data-more=${state}]`);
  const title = state === "failed" ? "Failed for good" : "Pending";
  if (isFirst) {
    $(state).replaceChildren();
    mine.after[state] = "";
    put($(`${state}-title`), `${title}: asking…`);
  }
  if (mine.sending.has(state)) return;
  mine.sending.add(state);
  try {
    const after = mine.after[state] && `&after=${encodeURIComponent(mine.after[state])}`;
    const page = await ask("GET", at(mine.id, `/webhooks?state=${state}${after}`));
    if (hooks !== mine) return;
    $(state).append(...page.webhooks.map((event) => eventOf(mine, event)));
    mine.after[state] = page.next;
    moreButton.hidden = !page.next;
    const n = $(state).childElementCount;
    put($(`${state}-title`), n ? `${title}: ${page.next ? "the first " : ""}${count(n)}` : `${title}: none`);
    if (state === "failed") $("send-all").hidden = !n;
  } catch (error) {
    if (hooks === mine) put($(`${state}-title`), `${title}: ${error.message}`);
  } finally {
    mine.sending.delete(state);
  }
}

function eventOf(mine, { id, state, accepted_at: accepted, attempts, outcome, status, next_at: following }) {
  const node = $("event").content.firstElementChild.cloneNode(true);
  const [code, text, button] = node.children;
  const ended = outcome && (Object.hasOwn(OUTCOMES, outcome) ? OUTCOMES[outcome] : outcome);
  put(code, id);
  put(
    text,
    "accepted ",
    time(accepted),
    `, ${many(attempts, "attempt")}`,
    ended ? `; ${ended}${status === null ? "" : ` ${status}`}` : "",
    following ? "; next " : "",
    following ? time(following) : "",
  );
  button.hidden = state !== "failed";
  button.setAttribute("aria-label", `Send again: ${id}`);
  button.onclick = () =>
    sendEvents(mine, `/${encodeURIComponent(id)}`, button, "Sent again", `Event ${id} is on its way again.`);
  return node;
}

/** Sends failed events again: the one at `path`, or all. */
async function sendEvents(mine, path, button, label, said) {
  if (button.ariaDisabled === "true") return;
  button.ariaDisabled = "true";
  try {
    await ask("POST", at(mine.id, `/webhooks${path}/send`));
    if (hooks === mine) {
      if (path) button.textContent = button.ariaLabel = label;
      say(said);
    }
  } catch (error) {
    button.ariaDisabled = "false";
    if (hooks === mine) say(`Not sent. ${error.message}`);
    return;
  }
  try {
    const entry = await ask("GET", at(mine.id));
    keep(entry, Date.now());
    done.set(mine.id, Date.now());
    paint();
  } catch {
    // The next reload tells.
  }
}

// --- Beginning ---

function remember() {
  const hash = new URLSearchParams({ ...(filter === "all" ? {} : { state: filter }), ...(q ? { q } : {}) });
  history.replaceState(null, "", hash.size ? `#${hash}` : location.pathname);
}

function recall() {
  const hash = new URLSearchParams(location.hash.slice(1));
  filter = FILTERS.includes(hash.get("state")) ? hash.get("state") : "all";
  q = $("q").value = hash.get("q") ?? "";
  restart();
}

for (const name of FILTERS) {
  const button = make("button");
  button.type = "button";
  button.id = `filter-${name}`;
  button.onclick = () => {
    filter = name;
    isStopped = false;
    for (const entry of entries.values()) entry.placed = [entry.state, needsYou(entry) && "attention"];
    remember();
    paint();
    goOn();
  };
  $("filters").append(button);
}

let typed;
$("q").oninput = () => {
  clearTimeout(typed);
  typed = setTimeout(() => {
    if ($("q").value.trim() === q) return;
    q = $("q").value.trim();
    remember();
    restart().then(() => say($("end").textContent));
  }, 250);
};
$("reload").onclick = () => reload(true);
$("more").onclick = () => {
  isStopped = $("more").textContent === "Stop";
  if (isStopped) paint();
  else if (filter === "all") more();
  else goOn();
};
$("no").onclick = () => $("ask").close();
$("yes").onclick = () => $("ask").close("yes");
$("hooks-close").onclick = () => $("hooks").close();
$("send-all").onclick = async () => {
  const mine = hooks;
  await sendEvents(mine, "", $("send-all"), "", "All failed events are on their way again.");
  if (hooks === mine) for (const state of ["failed", "pending"]) listEvents(state, true);
  $("send-all").ariaDisabled = "false";
};
for (const button of document.querySelectorAll("[data-more]")) button.onclick = () => listEvents(button.dataset.more);

document.onvisibilitychange = () => goOn();
window.onhashchange = recall;
new IntersectionObserver(() => goOn(), { rootMargin: "800px 0px" }).observe($("end"));

let ticks = 0;
setInterval(() => {
  if (document.hidden) return;
  ticks += 1;
  for (const [id, { at: when }] of outcomes) if (now() - when > 20_000) outcomes.delete(id);
  for (const id of rows.keys()) if (ticks % 10 === 0 || outcomes.has(id) || entries.get(id)?.retry_at) show(id);
}, 1_000);

recall();
