//! A consent for all callers of the connection.

use std::rc::Rc;

use super::Keeper;
use crate::config::Grant;
use crate::objects::token_set::Failure;
use crate::ports::{ObjectPorts, StorageFailed};
use crate::protocol::{ConnectService, Consent, ConsentRefusal, ConsentReply, SERVICE};

impl<P: ObjectPorts> Keeper<P> {
    /// Takes a consent: exchanges its code, once, and stores what came of it. The connection goes on
    /// with its id, its rules and its waiting events.
    pub async fn accept(self: &Rc<Self>, ask: &ConnectService) -> ConsentReply {
        let account = match self.account().await {
            Ok(account) => account,
            Err(StorageFailed) => return ConsentReply::Unavailable,
        };
        let is_meant = |grant: &Grant| matches!(grant, Grant::AuthorizationCode { authorization, .. } if !authorization.for_people);
        let account = account
            .filter(|account| account.connection.identity == ask.identity)
            .filter(|account| is_meant(&account.connection.grant));
        let Some(account) = account else { return ConsentReply::Refused(ConsentRefusal::Misconfigured) };
        let Ok(consent) =
            Consent::open(&ask.consent, &format!("{SERVICE}/{}", self.connection), &account.keys)
        else {
            return ConsentReply::Unavailable;
        };
        match self.tokens.exchange_code(&account, consent).await {
            Ok(consented) => match self.tokens.accept(&account, &consented).await {
                Ok(generation) => ConsentReply::Connected { generation },
                // The connection was registered again, or removed.
                Err(Failure::Superseded) => ConsentReply::Refused(ConsentRefusal::Misconfigured),
                Err(_) => ConsentReply::Unavailable,
            },
            Err(refusal) => ConsentReply::Refused(refusal),
        }
    }
}
