//! What an isolate tells a keeper of a static token: that the upstream refuses it, and that it takes it.

use std::cell::RefCell;
use std::fmt;
use std::time::Duration;

use super::bounded::Bounded;
use super::context::Edge;
use crate::config::Connection;
use crate::ports::EdgePorts;
use crate::protocol::{ObtainToken, TokenAsk};
use crate::time::UnixTime;

/// The largest number of connections whose static tokens an isolate knows of.
const MAX_ENTRIES: usize = 2_000;

/// How soon an isolate tells again that a static token is refused.
const REFUSED_FOR: Duration = Duration::from_secs(15);

/// What the isolate told of the static token of a connection: when that it is refused, `None` that it works.
pub(in crate::edge) struct StaticTokens(RefCell<Bounded<String, Option<UnixTime>>>);

impl Default for StaticTokens {
    fn default() -> Self {
        Self(RefCell::new(Bounded::new(MAX_ENTRIES)))
    }
}

impl fmt::Debug for StaticTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StaticTokens")
    }
}

/// Notes whether the upstream takes the static token of `connection`. The keeper is to be told of a refusal,
/// again while it lasts, and of the next success; where the operator is told of events, of the first one,
/// too: the isolate that saw the refusal may be gone.
pub(in crate::edge) fn note<P: EdgePorts>(edge: &Edge<P>, connection: &Connection, works: bool) {
    let (isolate, id, now) = (&edge.isolate, &connection.id, edge.now());
    let mut told = isolate.static_tokens.0.borrow_mut();
    let is_news = match told.get(id.as_str()) {
        Some(None) => !works,
        Some(Some(at)) => works || now >= *at + REFUSED_FOR,
        None => !works || isolate.config().events.is_some(),
    };
    if !is_news {
        return;
    }
    told.insert(id.clone(), (!works).then_some(now), now, now);
    if !works {
        // The next report goes out again.
        return isolate.access_tokens.forget_refusal(id);
    }
    let ask = TokenAsk::new(&connection.identity).confirming(0);
    let (ports, id) = (edge.clone().ports, id.clone());
    edge.ports.spawn(Box::pin(async move {
        drop(ports.ask(ObtainToken { connection: &id, ask, caller: None }).await);
    }));
}
