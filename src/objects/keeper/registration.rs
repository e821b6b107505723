//! The connection that a keeper serves: a configured one, or one registered with the keeper itself.

use std::iter;
use std::rc::Rc;
use std::time::Duration;

use super::Keeper;
use super::registered::{FieldProblems, KnownRegistration, UnusableRegistration};
use crate::config::{Connection, Problem};
use crate::objects::log;
use crate::objects::revocation::revoke;
use crate::ports::{ObjectPorts, ObjectUnreachable, StorageFailed, report};
use crate::protocol::{AddToIndex, OperatorReply, Registration, RemoveFromIndex, registration_record};
use crate::time::UnixTime;
use crate::token::{Nonce, SealingKeys};

/// The problem of a registration that does not open.
const UNOPENED: (&str, &str) = (
    "SEALING_KEYS",
    "must have the key that this registration was sealed with: put it back, or register the connection again",
);

/// The storage key of a registration.
const CONNECTION: &str = "connection";

/// The largest registration that patches make, in bytes.
const MAX_BYTES: usize = 64 * 1024;

/// How long the cache holds a registration.
const CACHE_LIFE: Duration = Duration::from_hours(30 * 24);

/// The least time between two copies of a registration into the cache.
const REPUBLISH_INTERVAL: Duration = Duration::from_mins(10);

impl<P: ObjectPorts> Keeper<P> {
    /// The connection, if usable. A configured connection takes precedence.
    pub(super) async fn connection(&self) -> Result<Option<Rc<Connection>>, StorageFailed> {
        if let Some(configured) = self.config.connection(&self.connection) {
            return Ok(configured.usable().cloned());
        }
        self.read_registration().await?;
        Ok(self.registered.borrow().usable().map(|registered| Rc::clone(&registered.connection)))
    }

    fn is_configured(&self) -> bool {
        self.config.is_configured(&self.connection)
    }

    /// Whether the connection is registered, usable or not.
    pub(super) fn is_registered(&self) -> bool {
        matches!(&*self.registered.borrow(), KnownRegistration::Read(Some(_)))
    }

    /// The id of the key that seals the registration: reading it reseals a record of an older key.
    pub(super) fn registration_sealed_with(&self) -> Option<String> {
        let keys =
            self.config.sealing_keys.as_ref().filter(|_| self.is_registered() && !self.is_configured())?;
        Some(keys.sealing_id().to_owned())
    }

    /// Whether the connection takes webhooks.
    pub(super) fn takes_webhooks(&self) -> bool {
        if self.is_configured() {
            return self.config.webhook(&self.connection).is_some();
        }
        self.registered.borrow().usable().is_some_and(|registered| registered.webhook.is_some())
    }

    /// Reads the registration, once per instance.
    async fn read_registration(&self) -> Result<(), StorageFailed> {
        let is_read = || !matches!(&*self.registered.borrow(), KnownRegistration::Unread);
        let Some(keys) = self.config.sealing_keys.as_ref().filter(|_| !is_read()) else {
            return Ok(());
        };
        // Serialised: resealing must not overwrite a newer registration.
        let _guard = self.reading.lock().await;
        if is_read() {
            return Ok(());
        }
        let stored = self.ports.get(CONNECTION).await?;
        let known = match stored.as_deref().map(|sealed| Registration::open(sealed, &self.connection, keys)) {
            None => None,
            Some(Err(_)) => {
                report::unopened_record(&*self.ports, &registration_record(&self.connection));
                let problems = vec![(UNOPENED.0.to_owned(), UNOPENED.1.to_owned())];
                Some(Err(UnusableRegistration { problems, labels: None }))
            }
            Some(Ok(mut registration)) => {
                if stored.is_some_and(|sealed| !keys.is_current(&sealed)) {
                    match self.store_registration(&registration, keys).await {
                        Ok(_) => log::write_rotation(&*self.ports, "sealing_key", &self.connection),
                        Err(StorageFailed) => {
                            report::storage_failed(&*self.ports, &registration_record(&self.connection));
                        }
                    }
                }
                match registration.read(&self.connection, &self.config) {
                    Ok(registered) => Some(Ok(registered)),
                    Err(problems) => {
                        let connection = &self.connection;
                        for problem in &problems {
                            let (field, message) = (problem.field(), problem.message());
                            let line = report::configuration_problem(Some(connection), field, message);
                            self.ports.log(&line);
                        }
                        let labels = registration.fields.remove("labels");
                        Some(Err(UnusableRegistration { problems: pairs(&problems), labels }))
                    }
                }
            }
        };
        self.registered.replace(KnownRegistration::Read(known));
        Ok(())
    }

    /// Seals a registration and stores it; returns the sealed record.
    async fn store_registration(
        &self,
        registration: &Registration,
        keys: &SealingKeys,
    ) -> Result<String, StorageFailed> {
        let nonce = Nonce(self.ports.bytes());
        let sealed = registration.seal(&self.connection, keys, &nonce).map_err(|_| StorageFailed)?;
        self.ports.put(CONNECTION, &sealed).await?;
        Ok(sealed)
    }

    /// Returns the registration to an isolate that missed it in the cache.
    pub(super) async fn registration_reply(&self) -> OperatorReply {
        let _guard = self.registering.lock().await;
        let read = async {
            self.read_registration().await?;
            if self.is_registered() { self.ports.get(CONNECTION).await } else { Ok(None) }
        };
        let Ok(record) = read.await else { return OperatorReply::Unavailable };
        let now = self.ports.now();
        let is_due = self.registration_published_at.get().is_none_or(|at| now >= at + REPUBLISH_INTERVAL);
        if let Some(record) = record.as_ref().filter(|_| is_due) {
            // If this fails, the next isolate that misses the cache asks again.
            let _ = self.publish_registration(record, now).await;
        }
        OperatorReply::Registration(record)
    }

    /// Registers the connection from `record`, if usable; secrets that `record` does not name are
    /// inherited, and where it `is_patch`, so are fields.
    pub(super) async fn register(&self, record: &str, is_patch: bool) -> OperatorReply {
        let Some(keys) = &self.config.sealing_keys else { return OperatorReply::Unavailable };
        // An isolate of an older version may not know that the connection is configured.
        if self.is_configured() {
            return OperatorReply::NothingToDo;
        }
        let _guard = self.registering.lock().await;
        let registered = async {
            self.read_registration().await?;
            let stored = self.ports.get(CONNECTION).await?;
            let is_registered = stored.is_some();
            let before = stored.and_then(|sealed| Registration::open(&sealed, &self.connection, keys).ok());
            let mut next = Registration::open(record, &self.connection, keys).map_err(|_| StorageFailed)?;
            if is_patch {
                let Some(before) = &before else {
                    let unusable = OperatorReply::Misconfigured;
                    return Ok(if is_registered { unusable } else { OperatorReply::Unknown });
                };
                next.patch(before);
            }
            next.inherit_secrets(before.as_ref(), &self.config);
            // Each patch is small, but not all of them together.
            if is_patch && next.size() > MAX_BYTES {
                let problem = ("connection", "must have at most 64 KiB with its secrets");
                return Ok(OperatorReply::Problems(vec![(problem.0.to_owned(), problem.1.to_owned())]));
            }
            let read = match next.read(&self.connection, &self.config) {
                Ok(read) => read,
                Err(problems) => return Ok(OperatorReply::Problems(pairs(&problems))),
            };
            let now = self.ports.now();
            next.version = before.as_ref().map_or(0, |before| before.version + 1).max(now.as_millis());
            // Index the connection before it is usable: every usable connection is listed.
            let rows = next.label_rows(&self.connection);
            let rows_before =
                before.as_ref().map_or_else(Vec::new, |before| before.label_rows(&self.connection));
            let new_rows = rows.iter().filter(|row| !rows_before.contains(row));
            for row in iter::once(&self.connection).chain(new_rows) {
                if self.ports.ask(AddToIndex(row)).await.is_err() {
                    return Ok(OperatorReply::Unavailable);
                }
            }
            // Renewals and writes in progress finish under the previous registration.
            let _renewals = self.tokens.stop_renewals().await;
            let _writes = self.tokens.stop_writes().await;
            let stored = self.store_registration(&next, keys).await;
            self.tokens.forget();
            // After a failure, only storage has the authoritative registration.
            self.registered.replace(match &stored {
                Ok(_) => KnownRegistration::Read(Some(Ok(read))),
                Err(StorageFailed) => KnownRegistration::Unread,
            });
            let sealed = stored?;
            // Isolates would use the cached previous registration until it expires there.
            self.publish_registration(&sealed, now).await?;
            self.remove_rows(&rows_before, &rows).await;
            Ok(OperatorReply::Registered { is_new: before.is_none() })
        };
        registered.await.unwrap_or_else(|StorageFailed| {
            report::storage_failed(&*self.ports, &registration_record(&self.connection));
            OperatorReply::Unavailable
        })
    }

    /// Deletes the connection and all its data, here, in the cache and in the index.
    pub(super) async fn remove(&self) -> OperatorReply {
        if self.is_configured() {
            return OperatorReply::NothingToDo;
        }
        let _guard = self.registering.lock().await;
        let removed = async {
            self.read_registration().await?;
            if !self.is_registered() {
                // An earlier removal may have been interrupted.
                return Ok(self.unlist().await.map_or(OperatorReply::Unavailable, |was_listed| {
                    if was_listed { OperatorReply::Removed } else { OperatorReply::Unknown }
                }));
            }
            let _renewals = self.tokens.stop_renewals().await;
            let rows = self.stored_label_rows().await?;
            let revocable = match self.account().await? {
                Some(account) => self.tokens.revocable(&account).await,
                None => Vec::new(),
            };
            if self.ports.delete(&registration_record(&self.connection)).await.is_err() {
                report::cache_failed(&*self.ports, "delete");
                return Ok(OperatorReply::Unavailable);
            }
            if self.tokens.withdraw_copy().await.is_err() {
                return Ok(OperatorReply::Unavailable);
            }
            // Writes and events that wait for these locks belong to the removed connection.
            let _writes = self.tokens.stop_writes().await;
            let _telling = self.telling.lock.lock().await;
            self.registered.replace(KnownRegistration::Read(None));
            self.tokens.forget();
            if self.ports.clear().await.is_err() {
                self.registered.replace(KnownRegistration::Unread);
                return Err(StorageFailed);
            }
            revoke(&self.ports, revocable);
            let removed = self.unlist().await.map_or(OperatorReply::Unavailable, |_| OperatorReply::Removed);
            self.remove_rows(&rows, &[]).await;
            Ok(removed)
        };
        removed.await.unwrap_or_else(|StorageFailed| {
            report::storage_failed(&*self.ports, &registration_record(&self.connection));
            OperatorReply::Unavailable
        })
    }

    /// Removes the connection from the index once it is no longer usable; true where the index held
    /// it. The caller holds the lock of the registration.
    async fn unlist(&self) -> Result<bool, ObjectUnreachable> {
        self.ports.ask(RemoveFromIndex(&self.connection)).await
    }

    /// The rows of the index that list the stored registration by its labels.
    async fn stored_label_rows(&self) -> Result<Vec<String>, StorageFailed> {
        let stored = self.ports.get(CONNECTION).await?.zip(self.config.sealing_keys.as_ref());
        let opened =
            stored.and_then(|(sealed, keys)| Registration::open(&sealed, &self.connection, keys).ok());
        Ok(opened.map_or_else(Vec::new, |stored| stored.label_rows(&self.connection)))
    }

    /// Removes rows of labels from the index, except those in `kept`. A row that stays lists nothing:
    /// whoever lists by a label looks at the connection's own.
    async fn remove_rows(&self, rows: &[String], kept: &[String]) {
        for row in rows.iter().filter(|row| !kept.contains(row)) {
            let _ = self.ports.ask(RemoveFromIndex(row)).await;
        }
    }

    /// Copies the sealed registration into the cache.
    async fn publish_registration(&self, record: &str, now: UnixTime) -> Result<(), StorageFailed> {
        let name = registration_record(&self.connection);
        if self.ports.write(&name, record, now + CACHE_LIFE).await.is_err() {
            report::cache_failed(&*self.ports, "write");
            return Err(StorageFailed);
        }
        self.registration_published_at.set(Some(now));
        Ok(())
    }
}

/// Each field and its message.
fn pairs(problems: &[Problem]) -> FieldProblems {
    problems.iter().map(Problem::to_pair).collect()
}
