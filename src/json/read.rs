//! Records and messages out of JSON values.

use std::time::Duration;

use serde_json::{Map, Value};
use zeroize::Zeroize as _;

use super::parse::{NotJson, parse};

/// What a JSON value can be read as.
pub trait FromJson: Sized {
    /// Takes the record out of `value`; `None` where `value` is no such record.
    fn from_json(value: &mut Value) -> Option<Self>;

    /// What an absent member stands for; `None` where the member must be there.
    fn absent() -> Option<Self> {
        None
    }
}

/// Reads a record from a JSON text. The parsed text is wiped.
///
/// # Errors
/// [`NotJson`], also where the text is no such record.
pub fn read<T: FromJson>(bytes: &[u8]) -> Result<T, NotJson> {
    let mut value = parse(bytes)?;
    let record = T::from_json(&mut value);
    wipe(&mut value);
    record.ok_or(NotJson)
}

/// Overwrites every text in `value`.
pub fn wipe(value: &mut Value) {
    match value {
        Value::String(text) => text.zeroize(),
        Value::Array(items) => items.iter_mut().for_each(wipe),
        Value::Object(members) => members.values_mut().for_each(wipe),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// A member of a record.
pub(crate) fn member<T: FromJson>(members: &mut Map<String, Value>, name: &str) -> Option<T> {
    find(members, name).map_or_else(T::absent, T::from_json)
}

/// A member that may be absent.
pub(crate) fn member_or_default<T: FromJson + Default>(
    members: &mut Map<String, Value>,
    name: &str,
) -> Option<T> {
    find(members, name).map_or_else(|| Some(T::default()), T::from_json)
}

/// A member that must be there, though it may be null.
pub(crate) fn needed_member<T: FromJson>(members: &mut Map<String, Value>, name: &str) -> Option<T> {
    find(members, name).and_then(T::from_json)
}

#[inline(never)]
fn find<'a>(members: &'a mut Map<String, Value>, name: &str) -> Option<&'a mut Value> {
    members.get_mut(name)
}

/// A variant's name, and its content if it has any: a text is a name, and an object of one member
/// is a name with its content.
pub(crate) fn variant(value: &mut Value) -> Option<(&str, Content<'_>)> {
    match value {
        Value::String(name) => Some((name, Content(None))),
        Value::Object(members) if members.len() == 1 => {
            members.iter_mut().next().map(|(name, content)| (name.as_str(), Content(Some(content))))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

/// The content of a variant.
pub(crate) struct Content<'a>(Option<&'a mut Value>);

impl<'a> Content<'a> {
    /// The content is none.
    pub(crate) fn none(self) -> Option<()> {
        self.0.is_none_or(|content| content.is_null()).then_some(())
    }

    /// The content is a record, or another value.
    pub(crate) fn one<T: FromJson>(self) -> Option<T> {
        self.0.and_then(T::from_json)
    }

    /// The content has members of its own.
    pub(crate) fn members(self) -> Option<&'a mut Map<String, Value>> {
        self.0?.as_object_mut()
    }
}

impl FromJson for Value {
    fn from_json(value: &mut Value) -> Option<Self> {
        Some(value.take())
    }
}

impl FromJson for Map<String, Value> {
    fn from_json(value: &mut Value) -> Option<Self> {
        value.as_object_mut().map(std::mem::take)
    }
}

impl FromJson for bool {
    fn from_json(value: &mut Value) -> Option<Self> {
        value.as_bool()
    }
}

impl FromJson for String {
    fn from_json(value: &mut Value) -> Option<Self> {
        match value {
            Value::String(text) => Some(std::mem::take(text)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => None,
        }
    }
}

impl FromJson for u64 {
    fn from_json(value: &mut Value) -> Option<Self> {
        value.as_u64()
    }
}

impl FromJson for u32 {
    fn from_json(value: &mut Value) -> Option<Self> {
        value.as_u64()?.try_into().ok()
    }
}

impl FromJson for u16 {
    fn from_json(value: &mut Value) -> Option<Self> {
        value.as_u64()?.try_into().ok()
    }
}

impl FromJson for u8 {
    fn from_json(value: &mut Value) -> Option<Self> {
        value.as_u64()?.try_into().ok()
    }
}

impl FromJson for usize {
    fn from_json(value: &mut Value) -> Option<Self> {
        value.as_u64()?.try_into().ok()
    }
}

impl<T: FromJson> FromJson for Option<T> {
    fn from_json(value: &mut Value) -> Option<Self> {
        if value.is_null() { Some(None) } else { T::from_json(value).map(Some) }
    }

    fn absent() -> Option<Self> {
        Some(None)
    }
}

impl<T: FromJson> FromJson for Vec<T> {
    fn from_json(value: &mut Value) -> Option<Self> {
        value.as_array_mut()?.iter_mut().map(T::from_json).collect()
    }
}

impl<A: FromJson, B: FromJson> FromJson for (A, B) {
    fn from_json(value: &mut Value) -> Option<Self> {
        let [first, second] = value.as_array_mut()?.as_mut_slice() else { return None };
        Some((A::from_json(first)?, B::from_json(second)?))
    }
}

impl FromJson for Duration {
    fn from_json(value: &mut Value) -> Option<Self> {
        let members = value.as_object_mut().filter(|members| members.len() == 2)?;
        let (secs, nanos): (u64, u32) = (member(members, "secs")?, member(members, "nanos")?);
        Self::from_secs(secs).checked_add(Self::from_nanos(nanos.into()))
    }
}
