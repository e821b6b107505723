// A browser without a screen: it follows redirects, keeps cookies by their attributes, fills in forms, and says of each
// navigation what browsers say of it (Fetch Metadata). Each origin is a site of its own here; the front end's pages are
// of the broker's site, unless a test says otherwise.

import assert from "node:assert/strict";
import { ORIGIN } from "./broker.mjs";
import { call } from "./client.mjs";
import { COOKIE, newAddress } from "./person.mjs";

/** @import { Broker } from "./broker.mjs" */
/** @import { Answer, CallOptions } from "./client.mjs" */

/** The beginning of the name of a flow's cookie. */
export const FLOW_COOKIE = "__Host-Http-porteiro-flow-";

/** What a page can say of a request that it causes. @typedef {"none" | "same-origin" | "same-site" | "cross-site"} Site */

/** @typedef {{ value: string, attributes: string[], sameSite: string }} Kept */

/**
 * @typedef {object} Navigation
 * @property {string} [method]
 * @property {{ [name: string]: string }} [form] sent as a form's body
 * @property {Site} [site] whose page leads there; default: one of the broker's site
 * @property {Fields} [headers] merged over the browser's own
 */

/** Fields or parameters by name. @typedef {{ [name: string]: string }} Fields */

/** What the browser shows: the last answer, or the address of a page that no server of the test has. */
export class Shown {
  /**
   * @param {string} url
   * @param {Answer | undefined} answer
   * @param {Answer[]} passed the redirects before it
   */
  constructor(url, answer, passed) {
    this.url = url;
    this.answer = answer;
    this.passed = passed;
  }

  get text() {
    return this.answer?.text ?? "";
  }

  /** The outcome that the broker put into the address. */
  get outcome() {
    const { searchParams } = new URL(this.url);
    return Object.fromEntries([...searchParams].filter(([name]) => /^porteiro(_|$)/.test(name)));
  }
}

/** Every answer of a broker to any browser, but for the cookies in it and the address of a redirect. @type {string[]} */
export const said = [];

/** @param {Answer} answer */
function note({ status, rawHeaders, text }) {
  const fields = rawHeaders.filter(([name]) => !["set-cookie", "location"].includes(name.toLowerCase()));
  said.push(`${status} ${JSON.stringify(fields)} ${text}`);
}

const REDIRECTS = [301, 302, 303, 307, 308];

export class Browser {
  /**
   * Cookies by origin and name.
   *
   * @type {Map<string, Map<string, Kept>>}
   */
  jar = new Map();

  /**
   * @param {Pick<Broker, "url" | "vars">} broker
   * @param {{ language?: string }} [options]
   */
  constructor(broker, { language = "en" } = {}) {
    this.broker = broker;
    this.language = language;
    this.address = newAddress();
  }

  /** The broker's address. */
  get base() {
    return `${this.broker.url}${this.broker.vars.BASE_PATH ?? ""}`;
  }

  /** The value of the session's cookie. */
  get session() {
    return this.jar.get(this.broker.url)?.get(COOKIE)?.value;
  }

  /** The names of the flows' cookies. */
  get flows() {
    const names = [...(this.jar.get(this.broker.url)?.keys() ?? [])];
    return names.filter((name) => name.startsWith(FLOW_COOKIE));
  }

  /**
   * The value of `Cookie` for a request to `origin`.
   *
   * @param {string} origin
   * @param {Site} site
   * @param {boolean} isNavigation with a method that changes nothing
   */
  #cookies(origin, site, isNavigation) {
    const sent = [...(this.jar.get(origin) ?? [])].filter(([, { sameSite }]) => {
      if (site !== "cross-site" || sameSite === "none") return true;
      return sameSite === "lax" && isNavigation;
    });
    return sent.map(([name, { value }]) => `${name}=${value}`).join("; ");
  }

  /**
   * @param {string} origin
   * @param {Answer} answer
   */
  #keep(origin, { rawHeaders }) {
    const jar = this.jar.get(origin) ?? new Map();
    this.jar.set(origin, jar);
    for (const [field, text] of rawHeaders) {
      if (field.toLowerCase() !== "set-cookie") continue;
      const [pair, ...rest] = text.split(";").map((part) => part.trim());
      const at = pair.indexOf("=");
      const [name, value] = [pair.slice(0, at), pair.slice(at + 1)];
      const attributes = rest.map((one) => one.toLowerCase());
      // RFC 6265bis, section 4.1.3: otherwise a browser keeps no such cookie.
      if (name.startsWith("__Host-")) {
        assert.ok(attributes.includes("secure") && attributes.includes("path=/"), text);
        assert.ok(!attributes.some((one) => one.startsWith("domain")), text);
      }
      if (name.startsWith("__Host-Http-")) assert.ok(attributes.includes("httponly"), text);
      const sameSite = attributes.find((one) => one.startsWith("samesite="))?.slice(9) ?? "lax";
      const expires = attributes.find((one) => one.startsWith("expires="))?.slice(8);
      if (attributes.includes("max-age=0") || (expires && Date.parse(expires) < Date.now())) jar.delete(name);
      else jar.set(name, { value, attributes, sameSite });
    }
  }

  /**
   * One request of a navigation; follows nothing.
   *
   * @param {string} url
   * @param {Navigation} [options]
   */
  async request(url, { method = "GET", form, site = "same-site", headers = {} } = {}) {
    const { origin, pathname, search } = new URL(url);
    const isSafe = ["GET", "HEAD"].includes(method);
    const cookies = this.#cookies(origin, site, isSafe);
    /** @type {CallOptions} */
    const options = {
      method,
      key: null,
      headers: {
        "CF-Connecting-IP": this.address,
        Accept: "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
        "Accept-Language": this.language,
        "Sec-Fetch-Site": site,
        "Sec-Fetch-Mode": "navigate",
        "Sec-Fetch-Dest": "document",
        "Sec-Fetch-User": "?1",
        "Upgrade-Insecure-Requests": "1",
        ...(cookies ? { Cookie: cookies } : {}),
        ...(form ? { "Content-Type": "application/x-www-form-urlencoded" } : {}),
        ...(isSafe || site === "cross-site" ? {} : { Origin: origin }),
        ...headers,
      },
      ...(form ? { body: new URLSearchParams(form).toString() } : {}),
    };
    const answer = await call(origin, `${pathname}${search}`, options);
    this.#keep(origin, answer);
    if (origin === this.broker.url) note(answer);
    return answer;
  }

  /**
   * Goes to `url`, and on as the answers redirect, to an answer that does not, or to a page elsewhere.
   *
   * @param {string} url
   * @param {Navigation} [options]
   */
  async open(url, { site = "same-site", ...options } = {}) {
    /** @type {Answer[]} */
    const passed = [];
    let at = url;
    let [now, next] = [site, options];
    for (let i = 0; i < 20; i += 1) {
      if (!["127.0.0.1", "localhost"].includes(new URL(at).hostname)) return new Shown(at, undefined, passed);
      const answer = await this.request(at, { ...next, site: now });
      const { location } = answer.headers;
      if (!REDIRECTS.includes(answer.status) || location === undefined) return new Shown(at, answer, passed);
      passed.push(answer);
      const target = new URL(location, at).href;
      // A browser counts the whole chain: who was elsewhere once comes from elsewhere.
      if (new URL(target).origin !== new URL(at).origin) now = "cross-site";
      next = {};
      at = target;
    }
    throw new Error(`too many redirects: ${at}`);
  }

  /**
   * Sends the form that is shown, with these fields filled in.
   *
   * @param {Shown} shown
   * @param {{ [name: string]: string }} [fields]
   */
  submit(shown, fields = {}) {
    const [, head, inner] = /<form\b([^>]*)>([\s\S]*?)<\/form>/i.exec(shown.text) ?? [];
    assert.ok(head !== undefined, `no form at ${shown.url}: ${shown.text.slice(0, 500)}`);
    const action = attribute(head, "action") ?? shown.url;
    /** @type {{ [name: string]: string }} */
    const form = {};
    for (const [, input] of inner.matchAll(/<input\b([^>]*)>/gi)) {
      const [name, type] = [attribute(input, "name"), attribute(input, "type")];
      if (name && type === "hidden") form[name] = attribute(input, "value") ?? "";
    }
    const method = (attribute(head, "method") ?? "get").toUpperCase();
    assert.equal(method, "POST");
    const target = new URL(action, shown.url).href;
    return this.open(target, { method, form: { ...form, ...fields }, site: "same-origin" });
  }

  /**
   * A request by script of the front end's page.
   *
   * @param {string} target below the broker's address
   * @param {Omit<CallOptions, "headers"> & { headers?: { [name: string]: string }, site?: Site }} [options]
   */
  async fetch(target, { headers, site = "same-site", ...options } = {}) {
    const cookies = this.#cookies(this.broker.url, site, false);
    const answer = await call(this.broker.url, `${this.broker.vars.BASE_PATH ?? ""}${target}`, {
      key: null,
      origin: ORIGIN,
      ...options,
      headers: {
        "CF-Connecting-IP": this.address,
        "Accept-Language": this.language,
        "Sec-Fetch-Site": site,
        "Sec-Fetch-Mode": "cors",
        "Sec-Fetch-Dest": "empty",
        ...(cookies ? { Cookie: cookies } : {}),
        ...headers,
      },
    });
    this.#keep(this.broker.url, answer);
    note(answer);
    return answer;
  }

  /**
   * The address at which a connection begins.
   *
   * @param {string} id
   * @param {{ [name: string]: string }} [query]
   */
  connectUrl(id, query = { return_to: `${ORIGIN}/` }) {
    const text = new URLSearchParams(query).toString();
    return `${this.base}/auth/${id}/connect${text && `?${text}`}`;
  }

  /**
   * The first step of a connection alone: the answer that leads to the provider.
   *
   * @param {string} id
   * @param {{ [name: string]: string }} [query]
   * @param {Navigation} [options]
   */
  begin(id, query, options) {
    return this.request(this.connectUrl(id, query), options);
  }

  /** What the broker says of the session. */
  listed() {
    return this.fetch("/auth/session");
  }

  /** The connections of the session, in order. */
  async connections() {
    const answer = await this.listed();
    if (answer.status === 401) return [];
    assert.equal(answer.status, 200, answer.text);
    return answer.json().connections.map((/** @type {{ id: string }} */ { id }) => id);
  }
}

/**
 * The value of an attribute in a tag.
 *
 * @param {string} tag
 * @param {string} name
 */
function attribute(tag, name) {
  const [, quoted, bare] = new RegExp(`\\b${name}\\s*=\\s*(?:"([^"]*)"|([^\\s">]+))`, "i").exec(tag) ?? [];
  const value = quoted ?? bare;
  return value
    ?.replace(/&#x2F;|&#47;/gi, "/")
    .replace(/&amp;/g, "&")
    .replace(/&quot;/g, '"');
}
