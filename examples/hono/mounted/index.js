// A Worker of one's own that has the broker in it: everything below BASE_PATH is the broker's.

import { Hono } from "hono";
import porteiro, { Keeper } from "porteiro/worker";

// wrangler.toml has the class as a binding.
export { Keeper };

const app = new Hono();

// Before everything that reads or changes requests and answers: the broker sets its own header fields, CORS among them.
app.all("/broker/*", (c) => porteiro.fetch(c.req.raw, c.env, c.executionCtx));

app.get("/", (c) => c.text(`${c.env.GREETING}, this is the application.`));

export default app;
