// Plants known faults into a copy of the source, one at a time, and shows that the simulation
// finds each. A fault that is not found is a hole in the invariants: the command fails.
//
//   node scripts/faults.mjs [part of a fault's name]
import { cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import { spawnSync } from "node:child_process";
import { Failure, inRoot, runMain, say, seconds } from "./lib.mjs";

const TOKENS = { test: "simulation::scenario::keeps_every_invariant_in_any_schedule", seeds: 2000 };
const keeper = "src/broker/keeper.rs";
const renewal = "src/broker/keeper/renewal.rs";
const state = "src/broker/keeper/state.rs";
const plan = "src/broker/keeper/plan.rs";
const record = "src/broker/keeper/state/record.rs";
const tokens = "src/broker/access_tokens.rs";
const memory = "src/broker/memory.rs";
const guard = "src/broker/keeper/guard.rs";
const session = "src/broker/session/object.rs";
const sessionLife = "src/broker/session/life.rs";
const sessionState = "src/broker/session/state.rs";
const cookie = "src/broker/session/cookie.rs";
const refusals = "src/broker/refusals.rs";
const deliveries = "src/broker/deliveries/object.rs";
const attempt = "src/broker/deliveries/attempt.rs";
const deliveryRecord = "src/broker/deliveries/record.rs";
const schedule = "src/webhook/schedule.rs";
const event = "src/webhook/event.rs";

/** The schedules of people who sign in, and those of webhooks; the others are of one token set. */
const PEOPLE = { test: "simulation::crowd::keeps_every_invariant_in_any_schedule_of_people", seeds: 500 };
const WEBHOOKS = { test: "simulation::webhooks::keeps_every_invariant_in_any_schedule_of_webhooks", seeds: 300 };

const joins = `        if let Some(renewal) = self.in_flight() {
            return renewal;
        }
`;

/** Each fault: what is done to which file, and the scenario that has to find it where it is not the first. */
const FAULTS = [
  { name: "in-flight renewals are not shared", edits: [[keeper, joins, ""]] },
  {
    name: "renewals are locked in KV instead of shared",
    edits: [
      [keeper, joins, ""],
      [
        renewal,
        "        loop {\n            let attempt",
        `        let lock = format!("lock/{}", self.connection);
        if matches!(self.ports.read(&lock).await, Ok(Some(_))) {
            return Err(Failure::Storage);
        }
        let until = self.ports.now() + Duration::from_secs(60);
        let _ = self.ports.write(&lock, "locked", until).await;
        loop {
            let attempt`,
      ],
    ],
  },
  {
    name: "a token set is used before it is written",
    edits: [
      [
        renewal,
        "        if self.ports.store(&sealed).await.is_err() {\n            report::storage_failed(&self.ports, &self.record_name());",
        "        let done = self.change(&change)?;\n        if self.ports.store(&sealed).await.is_err() {\n            report::storage_failed(&self.ports, &self.record_name());",
      ],
      [renewal, "        self.change(change)\n    }", "        Ok(done)\n    }"],
    ],
  },
  {
    name: "the generation of a refused token is not compared",
    edits: [[state, "Some(held) if held.access.generation == generation => {", "Some(held) => {"]],
  },
  {
    name: "the old refresh token is erased",
    edits: [[renewal, ".or(kept_token)", ".or(kept_token.filter(|_| false))"]],
  },
  {
    name: "a refresh token may be sent again and again",
    edits: [[state, "always || held.unsettled < 2", "always || held.unsettled < 200"]],
  },
  {
    name: "the intent is not written before a refresh",
    edits: [[renewal, "self.commit(connection, keys, State::take_turn).await?", "self.change(State::take_turn)"]],
  },
  {
    name: "a wait is forgotten at once",
    edits: [[state, "self.wait.filter(|wait| now < wait.until)", "self.wait.filter(|wait| now < wait.until && false)"]],
  },
  {
    name: "a wait does not outlive the keeper",
    edits: [[record, "wait: record.wait.filter(same),", "wait: record.wait.filter(same).filter(|_| false),"]],
  },
  {
    name: "a token that expired on its way is used",
    edits: [
      [
        keeper,
        "        let renewed = self.renew(reason).await;\n        let now = self.ports.now();",
        "        let renewed = self.renew(reason).await;",
      ],
      [
        tokens,
        "if copy.access.lifetime.freshness(ports.now()) > Freshness::Expired {",
        "if copy.access.generation > 0 {",
      ],
    ],
  },
  {
    name: "a connection with nothing but a refresh token goes back to the configured one",
    edits: [[plan, "state.has_turn(means != Means::Credentials)", "state.has_turn(false)"]],
  },
  {
    name: "a refresh token is given up for any refusal",
    edits: [[renewal, "let is_dead = refusal == Refusal::Grant || means == Means::Nothing;", "let is_dead = true;"]],
  },
  {
    name: "an isolate goes on with a refused token",
    edits: [
      [
        memory,
        "        let newer = entry.access.as_ref().is_none_or(|held| access.generation > held.access.generation);",
        "        let newer = entry.access.is_none();",
      ],
    ],
  },
  {
    name: "refusals cause renewal after renewal",
    edits: [
      [state, "if are_many || self.backoff.is_some_and(|backoff| backoff.goes_on(now)) {", "if are_many && false {"],
    ],
  },
  {
    name: "renewals that refusals caused are forgotten with the keeper",
    edits: [[record, "backoff: record.backoff,", "backoff: record.backoff.filter(|_| false),"]],
  },
  {
    name: "a token is given up for a refusal though no other can be had",
    edits: [[plan, "filter(|_| !is_refused || state.works());", "filter(|_| false);"]],
  },
  {
    name: "the cookie from before lives on",
    scenario: PEOPLE,
    edits: [[sessionLife, "proof.is_none_or(|proof| state.proof == proof)", "proof.is_none_or(|_| true)"]],
  },
  {
    name: "the cookie does not change at a sign-in",
    scenario: PEOPLE,
    edits: [
      [
        cookie,
        "        proof.copy_from_slice(random.get(HANDLE_BYTES..)?);\n",
        "        let _ = (proof, random.get(HANDLE_BYTES..)?);\n",
      ],
    ],
  },
  {
    name: "a cookie is rotated twice",
    scenario: PEOPLE,
    edits: [[session, "        let _turn = self.signing_in.lock().await;\n", ""]],
  },
  {
    name: "the cookie from before leads to the next one's token set",
    scenario: PEOPLE,
    edits: [
      [
        session,
        "if before.as_ref().is_some_and(|state| state.connections.contains(&ask.connection)) {",
        "if before.as_ref().is_some_and(|_| false) {",
      ],
    ],
  },
  {
    name: "a sign-out clears nothing",
    scenario: PEOPLE,
    edits: [
      [
        sessionLife,
        "        self.ports.clear().await.inspect_err(|_| {",
        "        Ok(()).inspect_err(|_: &StorageFailed| {",
      ],
    ],
  },
  {
    name: "who was signed in before is not cut off",
    scenario: PEOPLE,
    edits: [[guard, "self.cut_off.as_ref().is_some_and(|cut_off| cut_off.get())", "false"]],
  },
  {
    name: "the idle limit is forgotten",
    scenario: PEOPLE,
    edits: [[sessionState, "policy.idle).min(", "policy.longest).min("]],
  },
  {
    name: "the absolute limit is forgotten",
    scenario: PEOPLE,
    edits: [
      [
        sessionState,
        "(used_at.max(self.used_at) + policy.idle).min(self.longest(policy))",
        "used_at.max(self.used_at) + policy.idle",
      ],
    ],
  },
  {
    name: "people's tokens are kept in memory",
    scenario: PEOPLE,
    edits: [
      [
        tokens,
        "    if matches!(subject, Subject::Person(_)) {\n        return from_keeper",
        "    if false {\n        return from_keeper",
      ],
      [
        tokens,
        "Subject::Person(_) => TokenCopy::new(access),",
        "Subject::Person(_) => broker.access_tokens.remember(&connection.id, access),",
      ],
    ],
  },
  {
    name: "only refusals count that are told",
    scenario: PEOPLE,
    edits: [[refusals, "if self.list.len() >= MOST {", "if false {"]],
  },
  {
    name: "refusals are not stored",
    scenario: PEOPLE,
    edits: [[refusals, "            self.ports.store(&text).await?;\n", "            drop(text);\n"]],
  },
  {
    name: "the alarm is set for the first event only",
    scenario: WEBHOOKS,
    edits: [[deliveries, "is_none_or(|armed_for| armed_for <= now || armed_for > at)", "is_none()"]],
  },
  {
    name: "an event is acknowledged that is not stored",
    scenario: WEBHOOKS,
    edits: [
      [
        deliveries,
        "                let record = Record::new(id.to_owned(), event.to_owned(), self.ports.now());\n                self.ports.put_record(&record).await?;",
        "                let record = Record::new(id.to_owned(), event.to_owned(), self.ports.now());\n                let _ = self.ports.put_record(&record).await;",
      ],
    ],
  },
  {
    name: "an event that is known is not looked up",
    scenario: WEBHOOKS,
    edits: [
      [deliveries, "match self.ports.record(id).await? {", "match self.ports.record(id).await?.filter(|_| false) {"],
    ],
  },
  {
    name: "the time of the next attempt is not stored before one",
    scenario: WEBHOOKS,
    edits: [
      [
        attempt,
        "        self.ports.update_record(&record).await?;\n        Ok(Some(record))",
        "        Ok(Some(record))",
      ],
    ],
  },
  {
    name: "an attempt's own time ends with the day",
    scenario: WEBHOOKS,
    edits: [[attempt, ".max(now + TIMEOUT * 2);", ".max(now);"]],
  },
  {
    name: "six deliveries at once",
    scenario: WEBHOOKS,
    edits: [[deliveries, "const MOST_AT_ONCE: u32 = 5;", "const MOST_AT_ONCE: u32 = 6;"]],
  },
  {
    name: "what the receiver wants no more of is tried again",
    scenario: WEBHOOKS,
    edits: [[attempt, "        410 => Outcome::Gone,\n", ""]],
  },
  {
    name: "Retry-After makes a wait shorter",
    scenario: WEBHOOKS,
    edits: [[schedule, "varied.max(retry_after.unwrap_or_default())", "retry_after.unwrap_or(varied)"]],
  },
  {
    name: "what failed is kept for an hour",
    scenario: WEBHOOKS,
    edits: [
      [
        deliveryRecord,
        "const KEPT: Duration = Duration::from_hours(30 * 24);",
        "const KEPT: Duration = Duration::from_hours(1);",
      ],
    ],
  },
  {
    name: "the account token stays in the event",
    scenario: WEBHOOKS,
    edits: [
      [event, "let body = text.without(member, tokens);", "let body = String::from_utf8_lossy(body).into_owned();"],
    ],
  },
];

async function main([only]) {
  const chosen = FAULTS.filter(({ name }) => !only || name.includes(only));
  if (!chosen.length) throw new Failure(`No fault's name has "${only}" in it.`);
  const copy = inRoot("target", "faults", "source");
  const missed = [];
  const none = [TOKENS, PEOPLE, WEBHOOKS].map((scenario) => ({
    name: `none (${scenario.test.split("::")[1]})`,
    scenario,
    edits: [],
  }));
  for (const fault of [...none, ...chosen]) {
    const start = performance.now();
    makeCopy(copy);
    for (const edit of fault.edits) plant(copy, fault.name, ...edit);
    const scenario = fault.scenario ?? TOKENS;
    const found = simulate(copy, scenario);
    const expected = fault.edits.length === 0 ? !found : found;
    if (!expected) missed.push(fault.name);
    say(
      `${expected ? "  " : "✖ "}${fault.name}: ${found ? `found by ${found.invariant} after ${found.seeds} seeds` : `nothing found in ${scenario.seeds} seeds`} (${seconds(start)})`,
    );
  }
  if (missed.length) throw new Failure(`Not as it must be: ${missed.join("; ")}.`);
  say(`\n${chosen.length} planted faults, ${chosen.length} found.`);
}

function makeCopy(copy) {
  rmSync(copy, { recursive: true, force: true });
  mkdirSync(copy, { recursive: true });
  for (const name of ["src", "check", "tests/data", "Cargo.toml", "Cargo.lock"])
    cpSync(inRoot(name), path.join(copy, name), { recursive: true });
}

function plant(copy, name, file, from, to) {
  const address = path.join(copy, file);
  const text = readFileSync(address, "utf8");
  if (text.split(from).length !== 2) throw new Failure(`"${name}" fits ${file} no more: plant it anew.`);
  writeFileSync(
    address,
    text.replace(from, () => to),
  );
}

/** Runs a scenario on the copy; tells what it found, or nothing. */
function simulate(copy, { test, seeds: count }) {
  const args = ["test", "--locked", "--lib", "--", "--exact", test];
  const env = {
    ...process.env,
    CARGO_TARGET_DIR: inRoot("target", "faults", "build"),
    PORTEIRO_SEEDS: String(count),
    RUST_BACKTRACE: "0",
  };
  const { status, stdout, stderr } = spawnSync("cargo", args, { cwd: copy, env, encoding: "utf8" });
  if (status === 0) return undefined;
  const seeds = [...`${stdout}${stderr}`.matchAll(/^seed (\d+): ([\w-]+): /gm)].map(([, seed, invariant]) => ({
    seeds: Number(seed) + 1,
    invariant,
  }));
  if (!seeds.length) throw new Failure(`The simulation did not run:\n${stderr.slice(-2000)}`);
  return seeds.sort((one, other) => one.seeds - other.seeds)[0];
}

await runMain(main);
