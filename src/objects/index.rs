//! The index of registered connections: their ids, in order. The registrations themselves are in
//! the keepers.

use std::rc::Rc;

use crate::ports::{ObjectPorts, StorageFailed};
use crate::protocol::{IndexAsk, IndexReply};

/// The number of ids in one read.
const PAGE: usize = 1_000;

/// The index object.
#[allow(missing_debug_implementations, reason = "the ports have no Debug")]
pub struct Index<P> {
    ports: Rc<P>,
}

impl<P: ObjectPorts> Index<P> {
    /// The index over the storage in `ports`.
    #[must_use]
    pub const fn new(ports: Rc<P>) -> Self {
        Self { ports }
    }

    /// Answers one ask.
    pub async fn answer(&self, ask: &IndexAsk) -> IndexReply {
        let answered = match ask {
            IndexAsk::Add(id) => self.ports.add(id).await.map(IndexReply::Changed),
            IndexAsk::Remove(id) => self.ports.remove(id).await.map(IndexReply::Changed),
            IndexAsk::List { after, part, most } => {
                self.list(after, part, *most).await.map(IndexReply::Listed)
            }
        };
        answered.unwrap_or(IndexReply::Unavailable)
    }

    async fn list(&self, after: &str, part: &str, most: usize) -> Result<Vec<String>, StorageFailed> {
        let mut found: Vec<String> = Vec::new();
        let mut last = after.to_owned();
        loop {
            let page = self.ports.ids(&last, PAGE).await?;
            let is_last = page.len() < PAGE;
            let Some(end) = page.last() else { return Ok(found) };
            last.clone_from(end);
            found.extend(page.into_iter().filter(|id| id.contains(part)));
            found.truncate(most);
            if is_last || found.len() == most {
                return Ok(found);
            }
        }
    }
}
