//! The parts of HTTP that the broker interprets, each validated once.

mod accept;
mod address;
mod challenge;
mod field_lines;
mod head;
mod header;
mod language;
mod link;
mod media_type;
mod method;
mod origin;
mod path;
mod query;
mod query_binding;
mod reading;
mod spelling;
mod template;
mod trace;

pub use accept::leaves_open;
pub use address::{AddressError, EndpointUrl, check_document_url};
pub use challenge::says_invalid_token;
pub use field_lines::{FieldLines, has_control};
pub use head::{Headers, RequestHead};
pub use header::{HeaderName, is_field_value};
pub use language::Language;
pub use link::each_address;
pub use media_type::{MediaType, names_foreign_charset};
pub use method::Method;
pub use origin::{Origin, is_private, origin_of, shown_origin};
pub use path::{BadPath, PathPattern, RequestPath};
pub use query::{carries_token, overrides_method};
pub(crate) use query::{has_parameter, without_parameters};
pub use query_binding::{ParameterName, QueryBinding};
pub use spelling::caseless;
pub use template::{OwnClaims, Template};
pub use trace::{TRACEPARENT, Trace};
