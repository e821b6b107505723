// What stands before the broker where Porteiro serves itself: it tells the broker the host, the scheme and the caller's
// address as Cloudflare's edge would. What a caller writes about them itself counts for nothing.
//
// It runs in the Worker's own isolate. The request target stays as it was sent: only the broker refuses one.

/**
 * Where the broker is.
 *
 * @typedef {object} Place
 * @property {string[]} origins those that it is called at
 * @property {string[]} proxies the addresses, as a.b.c.d or with /bits, of proxies that say whom they speak for
 * @property {string} basePath without the slash at its end
 */

/** @typedef {{ family: 4 | 6, value: bigint }} Address */
/** @typedef {{ address: Address, bits: number }} Network */

const BITS = { 4: 32n, 6: 128n };
const MAPPED = 0xffffn;

/**
 * The address in `text`; undefined if it is none. An IPv4 address that is mapped to IPv6 is the IPv4 address.
 *
 * @param {string} text
 * @returns {Address | undefined}
 */
function addressIn(text) {
  if (/^\d{1,3}(\.\d{1,3}){3}$/.test(text)) {
    const bytes = text.split(".").map(Number);
    if (bytes.some((byte) => byte > 255)) return undefined;
    return { family: 4, value: bytes.reduce((value, byte) => (value << 8n) | BigInt(byte), 0n) };
  }
  if (!/^[\da-f:.]*:[\da-f:.]*$/i.test(text) || !URL.canParse(`http://[${text}]/`)) return undefined;
  // The parser leaves hexadecimal groups, and one gap of zeros at most.
  const [head, tail] = new URL(`http://[${text}]/`).hostname.slice(1, -1).split("::");
  const groups = (/** @type {string | undefined} */ part) => (part ? part.split(":") : []);
  const zeros = 8 - groups(head).length - groups(tail).length;
  const all = [...groups(head), ...Array(zeros).fill("0"), ...groups(tail)];
  const value = all.reduce((sum, group) => (sum << 16n) | BigInt(`0x${group}`), 0n);
  return value >> 32n === MAPPED ? { family: 4, value: value & 0xffffffffn } : { family: 6, value };
}

/**
 * The network in `text`, an address or CIDR; undefined if it is none.
 *
 * @param {string} text
 * @returns {Network | undefined}
 */
export function networkIn(text) {
  const [first, length, ...more] = text.split("/");
  const address = addressIn(first);
  if (!address || more.length) return undefined;
  const most = Number(BITS[address.family]);
  if (length === undefined) return { address, bits: most };
  const bits = /^\d{1,3}$/.test(length) ? Number(length) : Infinity;
  return bits <= most ? { address, bits } : undefined;
}

/** @param {Network} network @param {Address} address */
function contains({ address: { family, value }, bits }, address) {
  const rest = BITS[family] - BigInt(bits);
  return address.family === family && address.value >> rest === value >> rest;
}

/** The address of a peer such as `192.0.2.1:40000` or `[2001:db8::1]:40000`. @param {unknown} peer */
const withoutPort = (peer) => (typeof peer === "string" ? peer.replace(/:\d+$/, "").replace(/^\[(.*)\]$/, "$1") : "");

/** @param {number} status @param {string} text */
const refusal = (status, text) =>
  new Response(`${text}\n`, { status, headers: { "Content-Type": "text/plain", "Cache-Control": "no-store" } });

/**
 * A function that gives each request as the broker is to see it, or the answer to one that it is not to see.
 *
 * @param {Place} place
 * @returns {(request: Request & { cf?: { clientIp?: string } }) => Request | Response}
 */
export function makeFront({ origins, proxies, basePath }) {
  const networks = proxies.map((text) => /** @type {Network} */ (networkIn(text)));
  const byHost = new Map(origins.map((origin) => [new URL(origin).host, origin]));
  const isProxy = (/** @type {string} */ text) => {
    const address = addressIn(text);
    return address !== undefined && networks.some((network) => contains(network, address));
  };

  /**
   * Whom a proxy speaks for. Each proxy appends who called it: the last that is no proxy of ours is the caller, and what
   * stands before is the caller's own word.
   *
   * @param {string} peer
   * @param {string | null} forwarded
   */
  const behind = (peer, forwarded) => {
    let caller = peer;
    for (const text of (forwarded ?? "").split(",").reverse()) {
      const next = text.trim();
      if (!isProxy(caller) || !addressIn(next)) break;
      caller = next;
    }
    return caller;
  };

  return (request) => {
    const peer = withoutPort(request.cf?.clientIp);
    const { url, headers: sent } = request;
    if (!URL.canParse(url)) return refusal(400, "The address is none.");
    const [, target = ""] = url.match(/^[^/]*\/\/[^/?]*(.*)$/s) ?? [];
    const path = target.split("?", 1)[0];
    // Whoever looks after the process asks by its own address for it.
    const isHealth = path === "/healthz" || path === `${basePath}/healthz`;
    // The address has the scheme of the socket: the port that goes without saying may be that of the other one.
    const hosts = [url, url.replace(/^http:/, "https:")].map((text) => new URL(text).host);
    const [known] = hosts.flatMap((host) => byHost.get(host) ?? []);
    const origin = known ?? (isHealth ? origins[0] : undefined);
    if (networks.length && !isHealth && !isProxy(peer))
      return refusal(403, `Only the proxy may call here, and ${peer} is none.`);
    if (origin === undefined) return refusal(421, "The broker is not at this host.");
    const isPlain = isProxy(peer) && /(^|,)\s*http\s*(,|$)/i.test(sent.get("X-Forwarded-Proto") ?? "");
    const headers = new Headers(sent);
    headers.delete("CF-Connecting-IP");
    const caller = behind(peer, sent.get("X-Forwarded-For"));
    if (caller) headers.set("CF-Connecting-IP", caller);
    const seen = {
      headers,
      url: `${isPlain ? origin.replace(/^https:/, "http:") : origin}${isHealth ? `${basePath}/healthz` : target}`,
    };
    // A new Request would resolve dots in the path.
    return new Proxy(request, {
      get(_, name) {
        if (name === "url" || name === "headers") return seen[name];
        const value = Reflect.get(request, name, request);
        return typeof value === "function" ? value.bind(request) : value;
      },
    });
  };
}
