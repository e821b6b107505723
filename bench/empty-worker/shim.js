// The entry of the empty Worker in Rust.
import * as worker from "worker";

worker.__worker_init_state();

export default {
  fetch: (request, env, ctx) => worker.fetch(request, env, ctx),
};
