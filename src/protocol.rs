//! What isolates and objects say to each other, and what they store: types
//! that serde writes, without behaviour.
//!
//! No token, secret or password stands in it but under seal. The wire forms
//! are read by other versions of the broker while one follows another: a
//! variant or a field is added, never renamed.

mod deliveries;
mod event;
mod index;
mod operator;
mod refusals;
mod registration;
mod session;
mod token;

pub use deliveries::{DeliveriesAsk, DeliveriesReply};
pub use event::{DeliveryOutcome, EventRecord, List, event_record};
pub use index::{IndexAsk, IndexReply};
pub use operator::{OperatorAsk, OperatorReply, Status, status_without_token};
pub use refusals::{RefusalsAsk, RefusalsReply};
pub use registration::{Registration, registration_record};
pub use session::{Credentials, SessionAsk, SessionReply, SignIn, SignInRefusal};
pub use token::{Cause, RefusedToken, SERVICE, TokenAsk, TokenReply, access_token_record};
