// Where the operator's events go, and whether they arrive.

import { ask } from "./broker.js";
import { fill, named, phrase, words } from "./language.js";
import { $, put, time } from "./nodes.js";
import { openHooks } from "./webhooks.js";
import { count } from "./words.js";

/** Asks for it, and shows it; where the broker is not reached, the list of connections says so. */
export async function readEvents() {
  /** @type {import("./types.js").Events | undefined} */
  const events = await ask("GET", "events").catch(() => undefined);
  if (!events || (events.to && !events.webhooks)) return;
  const { to, problems, webhooks } = events;
  const { failed, pending, last } = webhooks ?? { failed: 0, pending: 0 };
  $("events").hidden = to === null && !problems.length;
  $("events").classList.toggle("bad", Boolean(failed || problems.length));
  $("events-open").hidden = !failed && !pending;
  if (to === null) {
    put($("events-text"), words.eventsWrong, ...problems.map(({ field, message }) => ` ${field} ${message}.`));
    return;
  }
  put(
    $("events-text"),
    phrase(words.eventsGo, { to, failed: phrase(words.hooksFailed, { n: count(failed) }), pending: count(pending) }),
    ...(last
      ? fill(words.eventsLast, {
          time: time(last.at),
          outcome: `${named(words.outcomes, last.outcome)}${last.status === null ? "" : ` ${last.status}`}`,
        })
      : []),
  );
}

$("events-open").onclick = () => openHooks("", $("events-open"));
