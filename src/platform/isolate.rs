//! What an isolate keeps between requests.

use std::cell::OnceCell;
use std::rc::Rc;

use worker::Env;

use super::{glue, runtime};
use crate::config::{BASE_PATH, Config, Problem, base_path};
use crate::edge::Isolate;
use crate::ports::report;

thread_local! {
    static ISOLATE: OnceCell<Rc<Isolate>> = const { OnceCell::new() };
}

/// What this isolate keeps. Its first request that needs the configuration, or
/// its first message, reads from `env` what it needs, and logs what is wrong with that.
pub fn current(env: impl FnOnce() -> Env) -> Rc<Isolate> {
    ISOLATE.with(|isolate| {
        let new = || {
            let env = env();
            let base_path = base_path(glue::text(&env, BASE_PATH).as_deref());
            Rc::new(Isolate::new(base_path, Box::new(move || Rc::new(configuration(&env)))))
        };
        Rc::clone(isolate.get_or_init(new))
    })
}

fn configuration(env: &Env) -> Config {
    let own = env.clone();
    let variables = move |name: &str| glue::variable(&own, name);
    let config = Config::read(Box::new(variables), Box::new(log_problem));
    for binding in ["TOKENS", "KEEPER"] {
        if !glue::has_binding(env, binding) {
            runtime::log(&report::configuration_problem(None, binding, "must be bound to the Worker"));
        }
    }
    config
}

fn log_problem(problem: &Problem) {
    let (connection, field) = (problem.connection(), problem.field());
    runtime::log(&report::configuration_problem(connection, field, problem.message()));
}
