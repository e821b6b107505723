//! JSON texts: parsed into values, and the records and messages that are read from values and
//! written as texts.
//!
//! What a record consists of is declared once, by `record!` or `variants!`, for both ways. The
//! code is small, since each part of it exists once: the parser makes a value, a record takes
//! its members from that, and writes them through one trait object each.

mod notation;
mod parse;
mod read;
mod record;
mod write;

pub(crate) use notation::{Member, NotMembers, decoded, exact, has_exact_numbers, members, strings};
pub use parse::{NotJson, parse, parse_last, without_mark};
pub use read::{FromJson, read, wipe};
pub(crate) use read::{member, member_or_default, needed_member, variant};
pub(crate) use record::{record, variants};
pub(crate) use write::write_tagged;
pub use write::{Members, ToJson, text};
