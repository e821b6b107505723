// A Worker of one's own, with the broker as a Worker of its own behind a service binding.

import { Hono } from "hono";

const app = new Hono();

// The broker gets the request as it came: its address, too, which begins with the broker's BASE_PATH.
app.all("/broker/*", (c) => c.env.BROKER.fetch(c.req.raw));

// The application calls an API through the broker, with a key of its own.
app.get("/products", async (c) => {
  const address = new URL("/broker/api/shop/products", c.req.url);
  const headers = { Authorization: `Bearer ${c.env.BACKEND_KEY}` };
  const answer = await c.env.BROKER.fetch(address, { headers });
  return c.json({ status: answer.status, products: await answer.json() });
});

app.get("/", (c) => c.text("Hello, this is the application."));

export default app;
