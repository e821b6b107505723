// All data that script can read in a page.

/**
 * The data in a page of Playwright: storage, cookies, globals, history, document; as { where: text }.
 *
 * @param {import("playwright-core").Page} page
 * @returns {Promise<{ [where: string]: string }>}
 */
export const heldBy = (page) =>
  page.evaluate(async () => {
    /** @type {WeakSet<object>} */
    const seen = new WeakSet();
    /** @type {(value: unknown, depth: number) => string} */
    const walk = (value, depth) => {
      if (typeof value === "string") return value;
      if (typeof value !== "object") return String(value);
      if (value === null || depth > 6 || seen.has(value)) return "";
      seen.add(value);
      return Object.getOwnPropertyNames(value)
        .map((name) => {
          try {
            return `${name}=${walk(Reflect.get(value, name), depth + 1)}`;
          } catch {
            return name;
          }
        })
        .join("\n");
    };
    const known = new Set(Object.getOwnPropertyNames(document.createElement("iframe").contentWindow ?? {}));
    for (const name of ["document", "window", "self", "frames", "parent", "top"]) known.add(name);
    const globals = Object.getOwnPropertyNames(window).filter((name) => !known.has(name));
    return {
      localStorage: JSON.stringify({ ...localStorage }),
      sessionStorage: JSON.stringify({ ...sessionStorage }),
      cookies: document.cookie,
      databases: JSON.stringify(await indexedDB.databases()),
      caches: JSON.stringify(await caches.keys()),
      globals: globals.map((name) => `${name}=${walk(Reflect.get(window, name), 0)}`).join("\n"),
      history: `${history.length} ${JSON.stringify(history.state)} ${location.href}`,
      fields: [...document.querySelectorAll("input"), ...document.querySelectorAll("textarea")]
        .map(({ value }) => value)
        .join("\n"),
      timings: JSON.stringify(performance.getEntries()),
      document: document.documentElement.outerHTML,
    };
  });
