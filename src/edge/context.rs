//! The context of a request.

use std::cell::RefCell;
use std::rc::Rc;

use super::cors::Cors;
use super::isolate::Isolate;
use super::log::CallLine;
use crate::config::Config;
use crate::http::{Language, RequestHead};
use crate::ports::Host;
use crate::time::UnixTime;

/// An isolate and its ports, for one request and its background tasks.
#[derive(Debug)]
pub(in crate::edge) struct Edge<P> {
    pub isolate: Rc<Isolate>,
    pub ports: Rc<P>,
}

impl<P> Clone for Edge<P> {
    fn clone(&self) -> Self {
        Self { isolate: Rc::clone(&self.isolate), ports: Rc::clone(&self.ports) }
    }
}

impl<P: Host> Edge<P> {
    pub fn config(&self) -> &Config {
        self.isolate.config()
    }

    pub fn now(&self) -> UnixTime {
        self.ports.now()
    }

    /// Runs `task` in the background, with handles of its own.
    pub fn in_background<F: Future<Output = ()> + 'static>(&self, task: impl FnOnce(Self) -> F) {
        self.ports.spawn(Box::pin(task(self.clone())));
    }
}

/// One request in an isolate.
pub(in crate::edge) struct Context<'a, P> {
    pub edge: &'a Edge<P>,
    pub head: &'a RequestHead<'a>,
    pub cors: Cors<'a>,
    pub request_id: &'a str,
    /// The request's log line.
    pub line: RefCell<CallLine<'a>>,
}

impl<'a, P: Host> Context<'a, P> {
    pub fn config(&self) -> &'a Config {
        self.edge.isolate.config()
    }

    /// The address that the broker was called at: origin and base path.
    pub fn address(&self) -> String {
        format!("{}{}", self.head.own_origin(), self.edge.isolate.base_path())
    }

    /// The language of the texts for whoever sent the request.
    pub fn language(&self) -> Language {
        Language::preferred(self.head.headers.value("accept-language").unwrap_or_default())
    }

    /// Changes the request's log line.
    pub fn note(&self, note: impl FnOnce(&mut CallLine<'a>)) {
        note(&mut self.line.borrow_mut());
    }
}
