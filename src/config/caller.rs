//! Reading callers.

use std::rc::Rc;

use serde_json::Value;

use super::problem::Problem;
use super::reader::Reader;
use super::secrets::{Secrets, secret_name};
use super::{Caller, Callers, Configured, Keys, SessionCaller, Variables, jwt, session_caller};

/// A variable name that no caller's key may have: the operators' key.
const RESERVED: &str = "ADMIN_KEY";

/// The secret of a caller that has keys, in names of variables.
pub(super) const KEY: &str = "KEY";

const MIN_KEY_BYTES: usize = 32;

/// The caller of whoever is signed in, which needs no configuration either.
pub(super) const SESSION: &str = "session";

const ANY_SESSION: &Configured<Caller> = &Configured::Usable(Caller::Session(SessionCaller::ANY));

/// The caller that a rule may name without any configuration.
pub const ANYONE: &str = "anyone";

#[derive(Clone, Copy)]
enum Kind {
    Key,
    Jwt,
    CloudflareAccess,
    Session,
    Anyone,
}

const KINDS: &[(&str, Kind)] = &[
    ("key", Kind::Key),
    ("jwt", Kind::Jwt),
    ("cloudflare-access", Kind::CloudflareAccess),
    (SESSION, Kind::Session),
    (ANYONE, Kind::Anyone),
];

impl Kind {
    const fn fields(self) -> &'static [&'static str] {
        match self {
            Self::Key | Self::Anyone => &["kind"],
            Self::Session => session_caller::FIELDS,
            Self::Jwt => jwt::JWT_FIELDS,
            Self::CloudflareAccess => jwt::ACCESS_FIELDS,
        }
    }
}

/// Reads one caller; `None` where any of its fields is wrong.
pub(super) fn read(secrets: &Secrets<'_>, reader: &mut Reader<'_, '_>) -> Option<Caller> {
    const MESSAGE: &str = "must be key, jwt, cloudflare-access, session or anyone";
    let before = reader.count();
    if !reader.has("kind") {
        reader.report("kind", MESSAGE);
    }
    let kind = reader.choice("kind", KINDS, MESSAGE)?;
    let caller = match kind {
        Kind::Key => read_key(secrets, reader).map(Caller::Key),
        Kind::Anyone => Some(Caller::Anyone),
        Kind::Jwt => jwt::read(reader).map(Rc::new).map(Caller::Jwt),
        Kind::CloudflareAccess => jwt::read_access(reader).map(Rc::new).map(Caller::Jwt),
        Kind::Session => Some(Caller::Session(session_caller::read(reader))),
    };
    reader.only(kind.fields());
    caller.filter(|_| reader.count() == before)
}

fn read_key(secrets: &Secrets<'_>, reader: &mut Reader<'_, '_>) -> Option<Keys> {
    let variable = secrets.variable(KEY);
    if variable == RESERVED {
        reader.report_table("must have another name: ADMIN_KEY is the operators' key");
        return None;
    }
    let keys = secrets.list(KEY, true, reader)?;
    let keys = Keys::parse(&keys, MIN_KEY_BYTES, "must be 32 characters or more, each key of several");
    keys.map_err(|message| reader.report_variable(variable, message)).ok()
}

/// Marks callers that share a key as broken: the key does not identify one of them.
pub(super) fn drop_ambiguous(callers: &mut Callers, problems: &mut Vec<Problem>) {
    let all: Vec<Keys> = callers.values().filter_map(|caller| keys_of(caller.usable()).cloned()).collect();
    for (id, caller) in callers.iter_mut() {
        let Some(own) = keys_of(caller.usable()) else { continue };
        if all.iter().filter(|keys| keys.share(own)).count() > 1 {
            let variable = secret_name(id, KEY);
            problems.push(Problem::new(variable, "must differ from every other caller's key"));
            *caller = Configured::Broken;
        }
    }
}

fn keys_of(caller: Option<&Caller>) -> Option<&Keys> {
    match caller? {
        Caller::Key(keys) => Some(keys),
        Caller::Jwt(_) | Caller::Session(_) | Caller::Anyone => None,
    }
}

/// The caller that a rule calls `name`; `anyone` and `session` need no configuration.
///
/// # Errors
/// The problem, and what to write instead.
pub(super) fn find<'c>(name: &str, callers: &'c Callers) -> Result<&'c Configured<Caller>, &'static str> {
    match (callers.get(name), name) {
        (Some(caller), _) => Ok(caller),
        (None, ANYONE) => Ok(&Configured::Usable(Caller::Anyone)),
        (None, SESSION) => Ok(ANY_SESSION),
        (None, _) => Err("must be the name of a caller in CALLERS, or anyone or session"),
    }
}

/// Whether a rule of the connection that has `fields` names the caller `name`.
pub(super) fn is_named(name: &str, fields: &Variables) -> bool {
    fn callers(rule: &Value) -> Option<&Vec<Value>> {
        rule.get("callers")?.as_array()
    }
    let rules = fields.get("rules").and_then(Value::as_array).into_iter().flatten();
    rules.filter_map(callers).flatten().any(|caller| caller == name)
}
