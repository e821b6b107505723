//! The index of registered connections: their ids, and their ids by label, in order. The
//! registrations themselves are in the keepers.

use std::rc::Rc;

use crate::ports::{ObjectPorts, StorageFailed};
use crate::protocol::{IndexAsk, IndexReply, LABEL_MARK};

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
        // The part of each row before the id; rows of labels follow the ids.
        let of_label = after.starts_with(LABEL_MARK).then(|| after.split_inclusive('\n').next());
        let prefix = of_label.flatten().unwrap_or_default();
        let mut found: Vec<String> = Vec::new();
        let mut last = after.to_owned();
        loop {
            let page = self.ports.ids(&last, PAGE).await?;
            let mut is_last = page.len() < PAGE;
            let Some(end) = page.last() else { return Ok(found) };
            last.clone_from(end);
            for row in page {
                match row.strip_prefix(prefix).filter(|id| !id.starts_with(LABEL_MARK)) {
                    Some(id) if id.contains(part) => found.push(id.to_owned()),
                    Some(_) => {}
                    None => is_last = true,
                }
            }
            found.truncate(most);
            if is_last || found.len() == most {
                return Ok(found);
            }
        }
    }
}
