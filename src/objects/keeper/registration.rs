//! The connection that a keeper serves: a configured one, or one that is
//! registered with the keeper itself.

use std::rc::Rc;
use std::time::Duration;

use super::Keeper;
use crate::config::{Connection, Registered};
use crate::objects::log;
use crate::ports::{Cache as _, Clock as _, Entropy as _, KeeperPorts, StorageFailed, report};
use crate::protocol::{OperatorReply, Registration, SERVICE, access_token_record, registration_record};
use crate::time::UnixTime;
use crate::token::{Nonce, SealingKeys};

/// For how long the cache keeps a registration.
const CACHED: Duration = Duration::from_hours(30 * 24);

/// How long the cache is left alone after a registration was copied into it.
const REPUBLISHED: Duration = Duration::from_mins(10);

/// What a keeper knows of the registration of its connection.
#[derive(Default)]
pub(super) enum Known {
    /// It has not been read.
    #[default]
    Unread,
    /// There is none.
    Nothing,
    /// There is one that this configuration cannot use.
    Broken,
    /// There is one.
    Sound(Registered),
}

impl<P: KeeperPorts + 'static> Keeper<P> {
    /// The connection, where it can be used: a configured one comes first.
    pub(super) async fn connection(&self) -> Result<Option<Rc<Connection>>, StorageFailed> {
        if let Some(configured) = self.config.connections.get(&self.connection) {
            return Ok(configured.clone());
        }
        self.read_registration().await?;
        Ok(match &*self.registered.borrow() {
            Known::Sound(registered) => Some(Rc::clone(&registered.connection)),
            Known::Unread | Known::Nothing | Known::Broken => None,
        })
    }

    /// Whether `connection` is what is served still.
    pub(super) fn serves(&self, connection: &Connection) -> bool {
        let is_registered =
            |registered: &Registered| std::ptr::eq(Rc::as_ptr(&registered.connection), connection);
        self.is_configured()
            || matches!(&*self.registered.borrow(), Known::Sound(known) if is_registered(known))
    }

    fn is_configured(&self) -> bool {
        self.config.connections.contains_key(&self.connection)
    }

    /// Whether there is a registration, which may be of no use.
    pub(super) fn is_registered(&self) -> bool {
        matches!(&*self.registered.borrow(), Known::Broken | Known::Sound(_))
    }

    /// The id of the key that the registration is sealed with: what another one
    /// sealed is sealed anew when it is read.
    pub(super) fn registration_sealed_with(&self) -> Option<String> {
        let keys =
            self.config.sealing_keys.as_ref().filter(|_| self.is_registered() && !self.is_configured())?;
        Some(keys.sealing_id().to_owned())
    }

    /// Whether webhooks come in.
    pub(super) fn takes_webhooks(&self) -> bool {
        let takes = |registered: &Registered| registered.webhook.is_some();
        if self.is_configured() {
            return self.config.webhooks.contains_key(&self.connection);
        }
        matches!(&*self.registered.borrow(), Known::Sound(known) if takes(known))
    }

    /// Reads the registration once.
    async fn read_registration(&self) -> Result<(), StorageFailed> {
        let is_read = || !matches!(&*self.registered.borrow(), Known::Unread);
        let Some(keys) = self.config.sealing_keys.as_ref().filter(|_| !is_read() && self.subject == SERVICE)
        else {
            return Ok(());
        };
        // One at a time: what is sealed anew must not be older than what is stored.
        let _turn = self.reading.lock().await;
        if is_read() {
            return Ok(());
        }
        let stored = self.ports.load_connection().await?;
        let known = match stored.as_deref().map(|sealed| Registration::open(sealed, &self.connection, keys)) {
            None => Known::Nothing,
            Some(Err(_)) => {
                report::unopened_record(&self.ports, &registration_record(&self.connection));
                Known::Broken
            }
            Some(Ok(registration)) => {
                if stored.is_some_and(|sealed| !keys.is_current(&sealed)) {
                    match self.store_registration(&registration, keys).await {
                        Ok(_) => log::write_rotation(&self.ports, "sealing_key", &self.connection),
                        Err(StorageFailed) => {
                            report::storage_failed(&self.ports, &registration_record(&self.connection));
                        }
                    }
                }
                match registration.read(&self.connection, &self.config) {
                    Ok(registered) => Known::Sound(registered),
                    Err(problems) => {
                        for problem in &problems {
                            let field = format!("{}: {}", self.connection, problem.field());
                            report::configuration_problem(&self.ports, &field, problem.message());
                        }
                        Known::Broken
                    }
                }
            }
        };
        self.registered.replace(known);
        Ok(())
    }

    /// Seals a registration and stores it; gives the record.
    async fn store_registration(
        &self,
        registration: &Registration,
        keys: &SealingKeys,
    ) -> Result<String, StorageFailed> {
        let nonce = Nonce(self.ports.bytes());
        let sealed = registration.seal(&self.connection, keys, &nonce).map_err(|_| StorageFailed)?;
        self.ports.store_connection(&sealed).await?;
        Ok(sealed)
    }

    /// The registration, for an isolate that did not find it in the cache.
    pub(super) async fn tell_registration(&self) -> OperatorReply {
        let _turn = self.registering.lock().await;
        let read = async {
            self.read_registration().await?;
            if self.is_registered() { self.ports.load_connection().await } else { Ok(None) }
        };
        let Ok(record) = read.await else { return OperatorReply::Unavailable };
        let now = self.ports.now();
        let is_due = self.registration_published_at.get().is_none_or(|at| now >= at + REPUBLISHED);
        if let Some(record) = record.as_ref().filter(|_| is_due) {
            // Where that fails the next one who misses it asks, too.
            let _ = self.publish_registration(record, now).await;
        }
        OperatorReply::Registration(record)
    }

    /// Registers the connection as `record` has it, if it can be used so. The
    /// secrets that it does not name are kept.
    pub(super) async fn register(&self, record: &str) -> OperatorReply {
        let Some(keys) = &self.config.sealing_keys else { return OperatorReply::Unavailable };
        // An isolate of another version may not know that it is configured by now.
        if self.is_configured() {
            return OperatorReply::NothingToDo;
        }
        let _turn = self.registering.lock().await;
        let registered = async {
            self.read_registration().await?;
            let stored = self.ports.load_connection().await?;
            let before = stored.and_then(|sealed| Registration::open(&sealed, &self.connection, keys).ok());
            let mut next = Registration::open(record, &self.connection, keys).map_err(|_| StorageFailed)?;
            next.settle_secrets(before.as_ref());
            let read = match next.read(&self.connection, &self.config) {
                Ok(read) => read,
                Err(problems) => {
                    let told = |problem: &crate::config::Problem| {
                        (problem.field().to_owned(), problem.message().to_owned())
                    };
                    return Ok(OperatorReply::Problems(problems.iter().map(told).collect()));
                }
            };
            let now = self.ports.now();
            next.version = before.as_ref().map_or(0, |before| before.version + 1).max(now.as_millis());
            // What is under way ends with what it began with.
            let _renewing = self.renewing.lock().await;
            let _writing = self.writing.lock().await;
            let sealed = self.store_registration(&next, keys).await?;
            self.registered.replace(Known::Sound(read));
            // What is stored is read anew: it may belong to another account now.
            self.state.replace(None);
            // An older one would be used for as long as the cache keeps it.
            self.publish_registration(&sealed, now).await?;
            Ok(OperatorReply::Registered { is_new: before.is_none() })
        };
        registered.await.unwrap_or_else(|StorageFailed| {
            report::storage_failed(&self.ports, &registration_record(&self.connection));
            OperatorReply::Unavailable
        })
    }

    /// Forgets the connection and all that belongs to it, here and in the cache.
    pub(super) async fn remove(&self) -> OperatorReply {
        if self.is_configured() {
            return OperatorReply::NothingToDo;
        }
        let _turn = self.registering.lock().await;
        let removed = async {
            self.read_registration().await?;
            if !self.is_registered() {
                return Ok(OperatorReply::Unknown);
            }
            let _renewing = self.renewing.lock().await;
            for name in
                [registration_record(&self.connection), access_token_record(SERVICE, &self.connection)]
            {
                if self.ports.delete(&name).await.is_err() {
                    report::cache_failed(&self.ports, "delete");
                    return Ok(OperatorReply::Unavailable);
                }
            }
            // Whoever writes the state from now on writes for a connection that is no more.
            let _writing = self.writing.lock().await;
            self.registered.replace(Known::Nothing);
            self.state.replace(None);
            if self.ports.clear().await.is_err() {
                self.registered.replace(Known::Unread);
                return Err(StorageFailed);
            }
            Ok(OperatorReply::Removed)
        };
        removed.await.unwrap_or_else(|StorageFailed| {
            report::storage_failed(&self.ports, &registration_record(&self.connection));
            OperatorReply::Unavailable
        })
    }

    /// Copies the sealed registration into the cache.
    async fn publish_registration(&self, record: &str, now: UnixTime) -> Result<(), StorageFailed> {
        let name = registration_record(&self.connection);
        if self.ports.write(&name, record, now + CACHED).await.is_err() {
            report::cache_failed(&self.ports, "write");
            return Err(StorageFailed);
        }
        self.registration_published_at.set(Some(now));
        Ok(())
    }
}
