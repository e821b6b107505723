// Plants known faults into a copy of the source, one at a time, and shows that the simulation
// finds each. A fault that is not found is a hole in the invariants: the command fails.
//
//   node scripts/faults.mjs [part of a fault's name]
import { cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import { spawnSync } from "node:child_process";
import { Failure, inRoot, runMain, say, seconds } from "./lib.mjs";

const SEEDS = 2000;
const keeper = "src/broker/keeper.rs";
const renewal = "src/broker/keeper/renewal.rs";
const state = "src/broker/keeper/state.rs";
const plan = "src/broker/keeper/plan.rs";
const record = "src/broker/keeper/state/record.rs";
const tokens = "src/broker/access_tokens.rs";
const memory = "src/broker/memory.rs";

const joins = `        if let Some(renewal) = self.in_flight() {
            return renewal;
        }
`;

/** Each fault: what is done to which file. */
const FAULTS = [
  { name: "in-flight renewals are not shared", edits: [[keeper, joins, ""]] },
  {
    name: "renewals are locked in KV instead of shared",
    edits: [
      [keeper, joins, ""],
      [renewal, "        loop {\n            let attempt", `        let lock = format!("lock/{}", self.connection);
        if matches!(self.ports.read(&lock).await, Ok(Some(_))) {
            return Err(Failure::Storage);
        }
        let until = self.ports.now() + Duration::from_secs(60);
        let _ = self.ports.write(&lock, "locked", until).await;
        loop {
            let attempt`],
    ],
  },
  {
    name: "a token set is used before it is written",
    edits: [
      [renewal, "        if self.ports.store(&sealed).await.is_err() {", "        let done = self.change(&change)?;\n        if self.ports.store(&sealed).await.is_err() {"],
      [renewal, "        self.change(change)\n    }", "        Ok(done)\n    }"],
    ],
  },
  { name: "the generation of a refused token is not compared", edits: [[state, "Some(held) if held.access.generation == generation => {", "Some(held) => {"]] },
  { name: "the old refresh token is erased", edits: [[renewal, ".or(kept_token)", ".or(kept_token.filter(|_| false))"]] },
  { name: "a refresh token may be sent again and again", edits: [[state, "always || held.unsettled < 2", "always || held.unsettled < 200"]] },
  { name: "the intent is not written before a refresh", edits: [[renewal, "self.commit(connection, keys, State::take_turn).await?", "self.change(State::take_turn)"]] },
  { name: "a wait is forgotten at once", edits: [[state, "self.wait.filter(|wait| now < wait.until)", "self.wait.filter(|wait| now < wait.until && false)"]] },
  { name: "a wait does not outlive the keeper", edits: [[record, "wait: record.wait.filter(same),", "wait: record.wait.filter(same).filter(|_| false),"]] },
  {
    name: "a token that expired on its way is used",
    edits: [
      [keeper, "        let renewed = self.renew(reason).await;\n        let now = self.ports.now();", "        let renewed = self.renew(reason).await;"],
      [tokens, "if copy.access.lifetime.freshness(ports.now()) > Freshness::Expired {", "if copy.access.generation > 0 {"],
    ],
  },
  { name: "a connection with nothing but a refresh token goes back to the configured one", edits: [[plan, "state.has_turn(!acquires)", "state.has_turn(false)"]] },
  { name: "a refresh token is given up for any refusal", edits: [[renewal, "is_dead: refusal == Refusal::Grant", "is_dead: true"]] },
  { name: "an isolate goes on with a refused token", edits: [[memory, "        let newer = entry.access.as_ref().is_none_or(|held| access.generation > held.access.generation);", "        let newer = entry.access.is_none();"]] },
];

async function main([only]) {
  const chosen = FAULTS.filter(({ name }) => !only || name.includes(only));
  if (!chosen.length) throw new Failure(`No fault's name has "${only}" in it.`);
  const copy = inRoot("target", "faults", "source");
  const missed = [];
  for (const fault of [{ name: "none", edits: [] }, ...chosen]) {
    const start = performance.now();
    makeCopy(copy);
    for (const edit of fault.edits) plant(copy, fault.name, ...edit);
    const found = simulate(copy);
    const expected = fault.edits.length === 0 ? !found : found;
    if (!expected) missed.push(fault.name);
    say(`${expected ? "  " : "✖ "}${fault.name}: ${found ? `found by ${found.invariant} after ${found.seeds} seeds` : `nothing found in ${SEEDS} seeds`} (${seconds(start)})`);
  }
  if (missed.length) throw new Failure(`Not as it must be: ${missed.join("; ")}.`);
  say(`\n${chosen.length} planted faults, ${chosen.length} found.`);
}

function makeCopy(copy) {
  rmSync(copy, { recursive: true, force: true });
  mkdirSync(copy, { recursive: true });
  for (const name of ["src", "Cargo.toml", "Cargo.lock"]) cpSync(inRoot(name), path.join(copy, name), { recursive: true });
}

function plant(copy, name, file, from, to) {
  const address = path.join(copy, file);
  const text = readFileSync(address, "utf8");
  if (text.split(from).length !== 2) throw new Failure(`"${name}" fits ${file} no more: plant it anew.`);
  writeFileSync(address, text.replace(from, () => to));
}

/** Runs the simulation on the copy; tells what it found, or nothing. */
function simulate(copy) {
  const args = ["test", "--locked", "--lib", "keeps_every_invariant_in_any_schedule"];
  const env = { ...process.env, CARGO_TARGET_DIR: inRoot("target", "faults", "build"), PORTEIRO_SEEDS: String(SEEDS), RUST_BACKTRACE: "0" };
  const { status, stdout, stderr } = spawnSync("cargo", args, { cwd: copy, env, encoding: "utf8" });
  if (status === 0) return undefined;
  const seeds = [...`${stdout}${stderr}`.matchAll(/^seed (\d+): ([\w-]+): /gm)].map(([, seed, invariant]) => ({ seeds: Number(seed) + 1, invariant }));
  if (!seeds.length) throw new Failure(`The simulation did not run:\n${stderr.slice(-2000)}`);
  return seeds.sort((one, other) => one.seeds - other.seeds)[0];
}

await runMain(main);
