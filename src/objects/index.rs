//! The index of registered connections: which there are, in the order of their
//! ids. What they are stands with their keepers.

use crate::ports::{IndexPorts, StorageFailed};
use crate::protocol::{IndexAsk, IndexReply};

/// How many ids are read at once.
const PAGE: usize = 1_000;

/// The index.
#[derive(Debug)]
pub struct Index<P> {
    ports: P,
}

impl<P: IndexPorts> Index<P> {
    /// The index whose storage `ports` have.
    #[must_use]
    pub const fn new(ports: P) -> Self {
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
