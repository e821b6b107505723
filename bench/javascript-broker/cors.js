// The pages that may call, and the fields that they may read.

const SAFELISTED = new Set([
  "cache-control",
  "content-language",
  "content-length",
  "content-type",
  "expires",
  "last-modified",
  "set-cookie",
]);
const COOKIE = "__Host-Http-porteiro";

/** `page` is the origin of an allowed page; `isRefused` says that the page is not allowed. */
export function readCors(request, ownOrigin, config) {
  const origin = request.headers.get("origin");
  if (origin === null) return { isOwn: request.headers.get("sec-fetch-site") === "same-origin" && isSound(ownOrigin) };
  const isAllowed = config.origins.has(origin) || (origin === ownOrigin && isSound(ownOrigin));
  return isAllowed ? { page: origin } : { isRefused: true };
}

const isSound = (origin) => /^https:|^http:\/\/(?:localhost|127\.\d+\.\d+\.\d+|\[::1\])(?::\d+)?$/.test(origin);

export const isKnownPage = ({ page, isOwn }) => page !== undefined || isOwn === true;

/** Whether another site may have made the browser send a session's cookie. */
export function isCrossSite({ method, headers }, cors) {
  const cookies = headers.get("cookie");
  const hasCookie = cookies?.split(";").some((pair) => pair.trim().startsWith(`${COOKIE}=`));
  if (!hasCookie || isKnownPage(cors)) return false;
  if (!["GET", "HEAD", "OPTIONS"].includes(method)) return true;
  const isAhead = headers.has("sec-purpose");
  const isLink =
    method === "GET" &&
    headers.get("sec-fetch-mode") === "navigate" &&
    headers.get("sec-fetch-dest") === "document" &&
    !isAhead;
  return !isLink && (["cross-site", "same-site"].includes(headers.get("sec-fetch-site")) || isAhead);
}

export function isPreflight({ method, headers }) {
  return method === "OPTIONS" && headers.has("origin") && headers.has("access-control-request-method");
}

export function addCors(headers, { page }) {
  if (page === undefined) return;
  const exposed = [...headers.keys()].filter((name) => !SAFELISTED.has(name)).join(", ");
  headers.set("access-control-allow-origin", page);
  headers.set("access-control-expose-headers", exposed);
  headers.set("timing-allow-origin", page);
}
