// The data left of a removed registered connection at the time when its event would have been retried.

import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { assertStatus } from "../e2e/support/assertions.mjs";
import { startBroker } from "../e2e/support/broker.mjs";
import { accept, ADMIN_KEY, delivered } from "../e2e/support/events.mjs";
import { startReceiver } from "../e2e/support/receiver.mjs";

// The second attempt follows after five seconds, plus or minus a tenth.
const SECOND_ATTEMPT_MS = 7_000;

test("a connection that was removed hands no event to the next of its name, though one waited", async (t) => {
  const receiver = await startReceiver();
  const [old, next] = ["old", "next"].map((id) =>
    receiver.inbox(id, { provider: "custom", webhook: { token_field: "api_token" } }),
  );
  const broker = await startBroker({ secrets: { ADMIN_KEY } });
  t.after(async () => {
    await broker.stop();
    await receiver.close();
  });
  /** @param {string} method @param {object} [json] */
  const operate = (method, json) => broker.call("/admin/connections/reused", { method, key: ADMIN_KEY, json });
  /** @param {import("../e2e/support/receiver.mjs").Inbox} inbox @param {string} prefix */
  const registration = (inbox, prefix) => ({
    ...inbox.vars,
    secrets: { token: "t", account_token: inbox.token, webhook_secret: inbox.secrets[`${prefix}_WEBHOOK_SECRET`] },
  });
  old.always = { status: 500 };
  old.path = "/webhooks/reused";
  assertStatus(await operate("PUT", registration(old, "OLD")), 201);
  await accept(broker, old);
  await delivered(old, 1);
  assertStatus(await operate("DELETE"), 204);
  assertStatus(await operate("PUT", registration(next, "NEXT")), 201);
  await sleep(SECOND_ATTEMPT_MS);
  assert.deepEqual([old.deliveries.length, next.deliveries.length], [1, 0]);
});
