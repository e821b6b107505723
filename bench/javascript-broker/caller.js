// Authentication of the caller, and the rule that authorizes the call.
import { digest } from "./config.js";
import { isKnownPage } from "./cors.js";
import { matches } from "./path.js";
import { Problem } from "./problem.js";

/** The names of the callers that the request authenticates, and whether a server's key is among the credentials. */
export async function provenCallers(request, cors, config, connection) {
  const key = await keyHolder(request, config);
  const proven = new Set();
  for (const [name, { kind }] of config.callers) {
    if (kind === "key" ? name === key : isKnownPage(cors)) proven.add(name);
  }
  const isAnybody =
    key !== undefined || connection.rules.some(({ callers }) => callers.some((name) => proven.has(name)));
  if (!isAnybody) throw new Problem("caller_unauthenticated");
  return { names: proven, hasKey: key !== undefined };
}

async function keyHolder(request, config) {
  const [scheme, credential] = request.headers.get("authorization")?.split(" ", 2) ?? [];
  if (credential === undefined || scheme.toLowerCase() !== "bearer") return undefined;
  const sent = await digest(credential.trim());
  let holder;
  for (const [name, caller] of config.callers) {
    if (caller.kind === "key" && crypto.subtle.timingSafeEqual(caller.digest, sent)) holder = name;
  }
  if (holder === undefined) throw new Problem("caller_unauthenticated", { wrongCredential: true });
  return holder;
}

/** The caller and the path pattern of the first rule that allows the call. */
export function permission(connection, proven, method, segments) {
  for (const { callers, methods, paths } of connection.rules) {
    if (!methods.has(method)) continue;
    const caller = callers.find((name) => proven.has(name));
    const pattern = caller && paths.find((path) => matches(path, segments));
    if (pattern) return { caller, pattern };
  }
  throw new Problem("operation_not_allowed");
}
