//! What an isolate keeps between requests.

use std::cell::OnceCell;
use std::rc::Rc;

use worker::Env;

use super::{glue, runtime};
use crate::config::{Config, Variables};
use crate::edge::Broker;
use crate::ports::{Log, report};

thread_local! {
    static BROKER: OnceCell<Rc<Broker>> = const { OnceCell::new() };
}

struct IsolateLog;

impl Log for IsolateLog {
    fn line(&self, line: &str) {
        runtime::log(line);
    }
}

/// The broker of this isolate. The first request reads the configuration from
/// `env` and reports what is wrong with it.
pub fn broker(env: impl FnOnce() -> Env) -> Rc<Broker> {
    BROKER.with(|broker| {
        let new = || Rc::new(Broker::new(Rc::new(configuration(&env()))));
        Rc::clone(broker.get_or_init(new))
    })
}

fn configuration(env: &Env) -> Config {
    runtime::hide_panic_messages();
    let variables: Variables = serde_json::from_slice(glue::variables(env).as_bytes()).unwrap_or_default();
    let (config, problems) = Config::read(&variables);
    for problem in &problems {
        report::configuration_problem(&IsolateLog, problem.field(), problem.message());
    }
    for binding in ["TOKENS", "KEEPER"] {
        if !glue::has_binding(env, binding) {
            report::configuration_problem(&IsolateLog, binding, "must be bound to the Worker");
        }
    }
    config
}
