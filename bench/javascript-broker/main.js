// The broker for comparison, in plain JavaScript: it does what Porteiro does for a call with a key, or for an anonymous
// call from a page. It leaves out sessions, tokens of issuers, webhooks and the handling of a failing token endpoint:
// no measured call needs them.
import { answer } from "./call.js";

export { Keeper } from "./keeper.js";

export default {
  async fetch(request, env, ctx) {
    try {
      const answered = answer(request, env, ctx);
      // A request that may change something continues after its caller disconnects.
      if (request.method !== "GET" && request.method !== "HEAD") ctx.waitUntil(answered.catch(() => {}));
      return await answered;
    } catch {
      console.error(JSON.stringify({ level: "error", event: "panic" }));
      return new Response(null, { status: 500 });
    }
  },
};
