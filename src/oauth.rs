//! Token requests and token responses, as pure functions.
//!
//! A request is built from the configuration, a response is read from its status and body; no
//! storage, no clock.

mod assertion;
mod authorization;
mod login;
mod refusal;
mod request;
mod response;
mod retry_after;

pub use assertion::{AssertionId, Assertions, SignatureKind, UnsignedAssertion};
pub use authorization::{
    AuthorizationResponse, BadResponse, PushedRequest, authorization_request, authorization_url, challenge,
    end_session_url, pushed_url, read_pushed, unguessable,
};
pub use login::{LoginAnswer, read_login};
pub use refusal::{Refusal, RefusalReason, RefusedAnswer, TokenRefusal};
pub use request::TokenRequest;
pub use response::{MAX_RESPONSE_BYTES, TokenResponse, read};
pub use retry_after::{http_date, retry_after};
