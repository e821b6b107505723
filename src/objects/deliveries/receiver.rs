//! Where a queue's events go.

use std::rc::Rc;

use super::Deliveries;
use super::settings::DeliverySettings;
use crate::config::Webhook;
use crate::ports::{ObjectPorts, StorageFailed};
use crate::protocol::{OPERATOR, ReadRegistration, Registration};

impl<P: ObjectPorts> Deliveries<P> {
    /// Whether this is the queue of the operator's events.
    pub(super) fn is_operators(&self) -> bool {
        self.connection == OPERATOR
    }

    /// The current webhook; `None` while it is misconfigured.
    pub(super) fn webhook(&self) -> Option<Rc<Webhook>> {
        match self.config.webhook(&self.connection) {
            Some(configured) => configured.usable().cloned(),
            None => self.registered.borrow().clone(),
        }
    }

    /// The current delivery settings; `None` while the receiver is misconfigured.
    pub(super) fn settings(&self) -> Option<DeliverySettings> {
        let receiver = if self.is_operators() {
            self.config.events.clone()?
        } else {
            Rc::clone(&self.webhook()?.receiver)
        };
        Some(DeliverySettings { receiver, keys: self.config.sealing_keys.clone()? })
    }

    /// Reads the webhook of a registered connection from its keeper.
    pub(super) async fn read_registration(&self) -> Result<(), StorageFailed> {
        let is_configured = self.is_operators() || self.config.is_configured(&self.connection);
        let Some(keys) =
            self.config.sealing_keys.as_ref().filter(|_| !is_configured && self.config.takes_registrations())
        else {
            return Ok(());
        };
        let record = self.ports.ask(ReadRegistration(&self.connection)).await.map_err(|_| StorageFailed)?;
        let registration = record.and_then(|record| Registration::open(&record, &self.connection, keys).ok());
        let read =
            registration.and_then(|registration| registration.read(&self.connection, &self.config).ok());
        self.registered.replace(read.and_then(|read| read.webhook));
        Ok(())
    }
}
