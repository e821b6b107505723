//! A consent for all callers of the connection.

use std::rc::Rc;

use super::Keeper;
use crate::ports::ObjectPorts;
use crate::protocol::{ConnectService, ConsentRefusal, ConsentReply};

impl<P: ObjectPorts> Keeper<P> {
    /// Takes a consent.
    pub async fn accept(self: &Rc<Self>, _ask: &ConnectService) -> ConsentReply {
        ConsentReply::Refused(ConsentRefusal::Misconfigured)
    }
}
