// Answers to preflights.
import { goesUpstream } from "./fields.js";

export function preflight(request, connection) {
  const headers = new Headers({
    "access-control-allow-methods": request.headers.get("access-control-request-method"),
    "access-control-max-age": "7200",
  });
  const wanted = (request.headers.get("access-control-request-headers") ?? "")
    .toLowerCase()
    .split(",")
    .map((name) => name.trim());
  const allowed = wanted.filter(
    (name) => name === "authorization" || name === "traceparent" || goesUpstream(name, connection),
  );
  if (allowed.length > 0) headers.set("access-control-allow-headers", allowed.join(", "));
  return { status: 204, headers, vary: "Access-Control-Request-Method, Access-Control-Request-Headers", body: null };
}
