// What must be there before a command runs. An installed package has all of it; a clone makes it.
import { isClone } from "./lib.mjs";

/** Sets the tools up. */
export async function prepare() {
  if (!isClone) return;
  const { setup } = await import("./setup.mjs");
  await setup();
}

/** Sets the tools up, and builds the Worker. */
export async function prepareWorker() {
  if (!isClone) return;
  await prepare();
  const { buildWorker } = await import("./build.mjs");
  await buildWorker();
}
