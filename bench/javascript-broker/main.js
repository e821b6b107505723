// The broker of the comparison, in plain JavaScript: on a call with a key, or of anyone's from a
// page, it does what Porteiro does. Sessions, tokens of issuers, webhooks and all that follows a
// failing token endpoint are left out: no measured call of it needs them.
import { answer } from "./call.js";

export { Keeper } from "./keeper.js";

export default {
  async fetch(request, env, ctx) {
    try {
      const answered = answer(request, env, ctx);
      // What may change something is ended also where who asked is gone.
      if (request.method !== "GET" && request.method !== "HEAD") ctx.waitUntil(answered.catch(() => {}));
      return await answered;
    } catch {
      console.error(JSON.stringify({ level: "error", event: "panic" }));
      return new Response(null, { status: 500 });
    }
  },
};
