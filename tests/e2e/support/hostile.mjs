// The requests that an unauthorized page can make a browser send: each way has a name, sent in the address as `by`, by
// which its arrival is recognised.

/** @import { Page } from "playwright-core" */

/**
 * The targets: addresses, and the parts of a sign-in.
 *
 * @typedef {{ broker: string, api: string, login: { address: string, credentials: object } }} Attacked
 */

/** @typedef {typeof window & { opened: Window | null }} Attacker */

/**
 * The page's view of a response; the error's name if there was none; or the effect of an element that loaded it.
 *
 * @typedef {{ type: string, status: number, text: string, headers: [string, string][] } | string | { load: unknown }} Seen
 */

/**
 * Tries all ways at once from `page`, and returns the page's view of each.
 *
 * @param {Page} page
 * @param {Attacked} addresses
 * @returns {Promise<{ [by: string]: any }>} a `Seen` each
 */
export const tryEverything = (page, addresses) =>
  page.evaluate(async ({ broker, api, login }) => {
    const forged = JSON.stringify({ id_cliente_servico: 7011, nome: "x", telefone: "x", descricao: "forged" });
    /** @type {(by: string, address?: string) => string} */
    const withBy = (by, address = api) => `${address}?by=${by}`;
    /** @type {(promise: Promise<Response>) => Promise<Seen>} */
    const told = async (promise) => {
      try {
        const response = await promise;
        return {
          type: response.type,
          status: response.status,
          text: await response.text(),
          headers: [...response.headers],
        };
      } catch (error) {
        return /** @type {Error} */ (error).name;
      }
    };
    /** @type {(by: string, init?: RequestInit) => Promise<Seen>} */
    const get = (by, init) => told(fetch(withBy(by), { credentials: "include", ...init }));
    /** @type {(by: string, init?: RequestInit, address?: string) => Promise<Seen>} */
    const post = (by, init, address) =>
      told(
        fetch(withBy(by, address), { method: "POST", credentials: "include", mode: "no-cors", body: forged, ...init }),
      );
    /** @type {RequestInit} */
    const json = { mode: "cors", headers: { "Content-Type": "application/json" } };

    // An element that loads the API's answer, and its effect as far as script can tell.
    /** @type {(tag: string, attribute: "src" | "href" | "data", more?: { [property: string]: string }) => Promise<Seen>} */
    const element = (tag, attribute, more = {}) =>
      new Promise((resolve) => {
        const by = more.rel ?? tag;
        /** @type {HTMLElement & { contentDocument?: Document | null, naturalWidth?: number }} */
        const node = Object.assign(document.createElement(tag), more);
        node.onload = () => resolve({ load: node.contentDocument?.body?.innerText ?? node.naturalWidth ?? null });
        node.onerror = () => resolve("error");
        Object.assign(node, { [attribute]: withBy(by) });
        document.body.append(node);
        setTimeout(resolve, 1_000, "nothing");
      });

    // A form of text/plain whose body is still JSON.
    /** @type {(by: string, address: string, fields: object, target: string, more?: object) => void} */
    const form = (by, address, fields, target, more) => {
      const node = Object.assign(document.createElement("form"), {
        method: "POST",
        enctype: "text/plain",
        action: withBy(by, address),
        target,
        ...more,
      });
      const text = JSON.stringify(fields);
      node.append(Object.assign(document.createElement("input"), { name: `${text.slice(0, -1)},"x":"`, value: '"}' }));
      document.body.append(node);
      node.submit();
    };
    /** @param {object} properties */
    const frame = (properties) => document.body.append(Object.assign(document.createElement("iframe"), properties));
    // A frame without an origin, which sends "null".
    /** @type {(by: string) => Promise<Seen>} */
    const sandboxed = (by) =>
      new Promise((resolve) => {
        addEventListener("message", ({ data }) => data.by === by && resolve(data.told));
        const code = `fetch(${JSON.stringify(withBy(by))}, { method: "POST", mode: "no-cors", credentials: "include", body: "{}" })
          .then(({ type }) => ({ type, status: 0, text: "", headers: [] }), ({ name }) => name)
          .then((told) => parent.postMessage({ by: "${by}", told }, "*"));`;
        frame({ sandbox: "allow-scripts", srcdoc: `<script>${code}</script>` });
      });

    frame({ name: "hidden" });
    form("form-in-a-frame", api, JSON.parse(forged), "hidden");
    form("form-in-a-window", api, JSON.parse(forged), "_blank");
    form("form-without-origin", api, JSON.parse(forged), "_blank", { rel: "noreferrer" });
    form("login-by-form", login.address, login.credentials, "_blank");
    form("logout-by-form", `${broker}/auth/logout`, {}, "_blank");
    const opened = open(withBy("window"));
    const source = new EventSource(withBy("event-source"), { withCredentials: true });
    navigator.sendBeacon(withBy("beacon"), forged);

    const entries = Object.entries({
      fetch: get("fetch"),
      "fetch-no-cors": get("fetch-no-cors", { mode: "no-cors" }),
      "fetch-session": told(fetch(`${broker}/auth/session?by=fetch-session`, { credentials: "include" })),
      "post-json": post("post-json", json),
      "post-text": post("post-text"),
      delete: post("delete", { mode: "cors", method: "DELETE", body: undefined }),
      "login-json": post("login-json", { ...json, body: JSON.stringify(login.credentials) }, login.address),
      "login-text": post("login-text", { body: JSON.stringify(login.credentials) }, login.address),
      logout: post("logout", { body: "" }, `${broker}/auth/logout`),
      sandboxed: sandboxed("sandboxed"),
      img: element("img", "src"),
      script: element("script", "src"),
      stylesheet: element("link", "href", { rel: "stylesheet" }),
      preload: element("link", "href", { rel: "preload", as: "fetch", crossOrigin: "use-credentials" }),
      video: element("video", "src"),
      iframe: element("iframe", "src"),
      object: element("object", "data"),
      embed: element("embed", "src"),
    });
    const seen = Object.fromEntries(await Promise.all(entries.map(async ([by, promise]) => [by, await promise])));
    source.close();
    /** @type {Attacker} */ (window).opened = opened;
    return seen;
  }, addresses);

/**
 * Waits until the page cannot read the window and the frame that it filled: they then show the broker's answer.
 *
 * @param {Page} page
 */
export const cannotLook = (page) =>
  page.waitForFunction(() =>
    [/** @type {Attacker} */ (window).opened, /** @type {Window} */ (Reflect.get(frames, "hidden"))].every((place) => {
      try {
        return !place?.document;
      } catch (error) {
        return /** @type {Error} */ (error).name === "SecurityError";
      }
    }),
  );
