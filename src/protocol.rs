//! The messages between isolates and objects, and the records that objects store: types
//! without behaviour.
//!
//! Tokens, secrets and passwords occur in them only sealed. During a deployment, two versions of
//! the broker read each other's wire forms: a variant or a field may be added, never renamed.

mod consent;
mod deliveries;
mod envelope;
mod event;
mod exchanged;
mod index;
mod message;
mod one_time;
mod operator;
mod people;
mod quota;
mod refusals;
mod registration;
mod session;
mod token;

pub use consent::{ConnectPerson, ConnectService, Consent, ConsentRefusal, ConsentReply, Person};
pub use deliveries::{DeliveriesAsk, DeliveriesReply};
pub use envelope::{Envelope, ObjectKind};
pub use event::{DeliveryOutcome, EventRecord, List, OPERATOR, event_record};
pub use exchanged::{ExchangedAsk, SubjectToken};
pub use index::{IndexAsk, IndexReply, LABEL_MARK, label_row};
pub use message::Message;
pub use message::consent::AcceptConsent;
pub use message::deliveries::{AcceptEvent, ClearEvents, CountEvents, ListEvents, SendAgain, Undelivered};
pub use message::index::{AddToIndex, ListIndex, RemoveFromIndex};
pub use message::one_time::{KeepOnce, OneTimeFound, ReadOnce};
pub use message::operator::{
    ConnectionStatus, Declined, DropTokenSet, ObtainTokenSet, ReadRegistration, ReadStatus,
    RegisterConnection, RegistrationOutcome, RemoveConnection,
};
pub use message::people::{AddSession, ListSessions, RemoveSession};
pub use message::quota::AskQuota;
pub use message::refusals::{Admission, BeginAttempt, EndAttempt};
pub use message::session::{
    ConnectSession, DisconnectSession, EndSession, ExpelSession, ListSignIns, LivingSession, SignInPerson,
    SignIns, UseSession,
};
pub use message::token::ObtainToken;
pub use one_time::{OneTimeAsk, OneTimeRecord, OneTimeReply, one_time_name};
pub use operator::{OperatorAsk, OperatorReply, Status, field_problems, status_without_token};
pub use people::{PeopleAsk, PeopleRecord, PeopleReply, person_indices, sid_indices};
pub use quota::{QuotaAsk, QuotaReply};
pub use refusals::{RefusalsAsk, RefusalsReply};
pub use registration::{Registration, registration_record};
pub use session::{Credentials, Expulsion, SessionAsk, SessionReply, SignIn, SignInRefusal};
pub use token::{Cause, RefusedToken, SERVICE, TokenAsk, TokenReply, access_token_record};
