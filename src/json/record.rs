//! The declarations of records and messages.

/// Makes a struct a JSON object of its fields, in both ways. Members that it does not know are
/// ignored. A field may have another name in JSON (`field as "name"`); it may be absent where its
/// type has a default (`field = default`); a field that can be null may also be absent, unless it is
/// `needed` (`field = needed`). Fields behind a semicolon are not in the object.
macro_rules! record {
    ($type:ident {
        $($field:ident $(as $name:literal)? $(= $mode:ident)?),+ $(,)? $(; $($other:ident),+)?
    }) => {
        impl $crate::json::FromJson for $type {
            fn from_json(value: &mut serde_json::Value) -> Option<Self> {
                let members = value.as_object_mut()?;
                Some(Self {
                    $($field: $crate::json::record!(@read members, ($field $($name)?) $($mode)?),)+
                    $($($other: Default::default(),)+)?
                })
            }
        }

        impl $crate::json::ToJson for $type {
            fn write_json(&self, out: &mut String) {
                let members: &[(&str, &dyn $crate::json::ToJson)] =
                    &[$(($crate::json::record!(@name $field $($name)?), &self.$field)),+];
                $crate::json::ToJson::write_json(&$crate::json::Members(members), out);
            }
        }
    };
    (@read $members:ident, ($($name:tt)+)) => {
        $crate::json::member($members, $crate::json::record!(@name $($name)+))?
    };
    (@read $members:ident, ($($name:tt)+) default) => {
        $crate::json::member_or_default($members, $crate::json::record!(@name $($name)+))?
    };
    (@read $members:ident, ($($name:tt)+) needed) => {
        $crate::json::needed_member($members, $crate::json::record!(@name $($name)+))?
    };
    (@name $name:ident) => {
        stringify!($name)
    };
    (@name $field:ident $name:literal) => {
        $name
    };
}

/// Makes an enum a JSON value, in both ways: the name of a variant, or an object whose only member
/// has the name and holds the variant's content. `Variant(_)` has one value, `Variant { field }` the
/// fields of a `record!`, and either may have another name in JSON. A name that the
/// enum does not have is read as the variant behind `else`, if there is one.
macro_rules! variants {
    ($type:ident {
        $($variant:ident $(($inner:tt))? $({ $($field:ident $(= $mode:ident)?),+ $(,)? })? $(as $name:literal)?),+ $(,)?
    } $(else $other:ident)?) => {
        impl $crate::json::FromJson for $type {
            fn from_json(value: &mut serde_json::Value) -> Option<Self> {
                let (name, content) = $crate::json::variant(value)?;
                match name {
                    $($crate::json::record!(@name $variant $($name)?) => $crate::json::variants!(
                        @read content, $variant $(($inner))? $({ $($field $(= $mode)?),+ })?
                    ),)+
                    $(_ => content.none().map(|()| Self::$other),)?
                    #[allow(unreachable_patterns, reason = "another variant may stand for it")]
                    _ => None,
                }
            }
        }

        impl $crate::json::ToJson for $type {
            fn write_json(&self, out: &mut String) {
                match self {
                    $($crate::json::variants!(@pattern value, $variant $(($inner))? $({ $($field),+ })?) =>
                        $crate::json::variants!(
                            @write out, ($crate::json::record!(@name $variant $($name)?)),
                            value $(($inner))? $({ $($field),+ })?
                        ),)+
                }
            }
        }
    };
    (@read $content:ident, $variant:ident) => {
        $content.none().map(|()| Self::$variant)
    };
    (@read $content:ident, $variant:ident (_)) => {
        $content.one().map(Self::$variant)
    };
    (@read $content:ident, $variant:ident { $($field:ident $(= $mode:ident)?),+ }) => {{
        let members = $content.members()?;
        Some(Self::$variant { $($field: $crate::json::record!(@read members, ($field) $($mode)?)),+ })
    }};
    (@pattern $value:ident, $variant:ident) => { Self::$variant };
    (@pattern $value:ident, $variant:ident (_)) => { Self::$variant($value) };
    (@pattern $value:ident, $variant:ident { $($field:ident),+ }) => { Self::$variant { $($field),+ } };
    (@write $out:ident, ($name:expr), $value:ident) => {
        $crate::json::ToJson::write_json($name, $out)
    };
    (@write $out:ident, ($name:expr), $value:ident (_)) => {
        $crate::json::write_tagged($name, $value, $out)
    };
    (@write $out:ident, ($name:expr), $value:ident { $($field:ident),+ }) => {{
        let members: &[(&str, &dyn $crate::json::ToJson)] = &[$((stringify!($field), $field)),+];
        $crate::json::write_tagged($name, &$crate::json::Members(members), $out)
    }};
}

pub(crate) use {record, variants};

#[cfg(test)]
#[cfg(not(target_arch = "wasm32"))]
mod tests {
    use std::time::Duration;

    use serde::{Deserialize, Serialize};

    use crate::json;

    #[derive(PartialEq, Debug, Serialize, Deserialize)]
    struct Inner {
        number: u8,
        text: Option<String>,
        #[serde(rename = "peace")]
        span: Option<Duration>,
        #[serde(default)]
        flag: bool,
        #[serde(deserialize_with = "Option::deserialize")]
        needed: Option<u64>,
        #[serde(skip)]
        skipped: Vec<u32>,
    }

    super::record!(Inner { number, text, span as "peace", flag = default, needed = needed; skipped });

    #[derive(PartialEq, Debug, Serialize, Deserialize)]
    enum Outer {
        Unit,
        #[serde(rename = "one")]
        One(Vec<(u16, Option<String>)>),
        Record(Inner),
        Members {
            at: usize,
            #[serde(default)]
            list: Vec<bool>,
        },
    }

    super::variants!(Outer { Unit, One(_) as "one", Record(_), Members { at, list = default } });

    #[derive(PartialEq, Debug, Serialize, Deserialize)]
    #[serde(rename_all = "lowercase")]
    enum Open {
        Known,
        #[serde(other)]
        Unknown,
    }

    super::variants!(Open { Known as "known", Unknown as "unknown" } else Unknown);

    #[track_caller]
    fn check<T>(texts: &[&str])
    where
        T: json::FromJson + json::ToJson + Serialize + for<'a> Deserialize<'a> + PartialEq + std::fmt::Debug,
    {
        let mut read = 0;
        for text in texts {
            let (found, expected) = (json::read::<T>(text.as_bytes()).ok(), serde_json::from_str(text).ok());
            assert_eq!(found, expected, "{text}");
            if let Some(record) = found {
                read += 1;
                assert_eq!(json::text(&record), serde_json::to_string(&record).unwrap());
            }
        }
        assert!(read > 1 && read < texts.len());
    }

    #[test]
    fn reads_and_writes_records_as_serde_does() {
        check::<Inner>(&[
            r#"{"number":1,"needed":null}"#,
            r#"{"number":255,"text":"a\"b","peace":{"secs":1,"nanos":2},"flag":true,"needed":3,"skipped":[1]}"#,
            r#"{"needed":1,"number":0,"text":null,"peace":null,"later":{"x":[1]}}"#,
            r#"{"number":1}"#,
            r#"{"needed":1}"#,
            r#"{"number":256,"needed":1}"#,
            r#"{"number":-1,"needed":1}"#,
            r#"{"number":1.0,"needed":1}"#,
            r#"{"number":"1","needed":1}"#,
            r#"{"number":null,"needed":1}"#,
            r#"{"number":1,"needed":1,"flag":null}"#,
            r#"{"number":1,"needed":1,"text":1}"#,
            r#"{"number":1,"needed":1,"number":1}"#,
            r#"{"number":1,"needed":1,"peace":{"secs":1}}"#,
            r#"{"number":1,"needed":1,"peace":{"secs":1,"nanos":2,"x":3}}"#,
            r#"{"number":1,"needed":1,"peace":{"secs":1,"nanos":4294967295}}"#,
            r#"{"number":1,"needed":1,"peace":{"secs":18446744073709551615,"nanos":1000000000}}"#,
            r#"{"number":1,"needed":18446744073709551615}"#,
            r#"{"number":1,"needed":18446744073709551616}"#,
            r#""number""#,
            "null",
            "{}",
            r#"{"number":1,"needed":1} x"#,
        ]);
    }

    #[test]
    fn reads_and_writes_variants_as_serde_does() {
        check::<Outer>(&[
            r#""Unit""#,
            r#"{"Unit":null}"#,
            r#"{"one":[]}"#,
            r#"{"one":[[1,null],[65535,"a"]]}"#,
            r#"{"Record":{"number":1,"needed":2}}"#,
            r#"{"Members":{"at":1}}"#,
            r#"{"Members":{"list":[true,false],"at":1,"x":2}}"#,
            r#"{"Unit":{}}"#,
            r#"{"Unit":1}"#,
            r#""one""#,
            r#""Members""#,
            r#""Later""#,
            r#"{"Later":1}"#,
            r#"{"One":[]}"#,
            r#"{"one":null}"#,
            r#"{"one":[[1]]}"#,
            r#"{"one":[[1,"a",2]]}"#,
            r#"{"one":[[65536,"a"]]}"#,
            r#"{"Members":null}"#,
            r#"{"Members":{"list":[]}}"#,
            r#"{"Members":{"at":1,"list":null}}"#,
            r#"{"Unit":null,"one":[]}"#,
            "{}",
            "[]",
            "null",
            "1",
        ]);
        check::<Open>(&[
            r#""known""#,
            r#""unknown""#,
            r#""later""#,
            r#"{"later":null}"#,
            r#"{"later":1}"#,
            r#"{"known":null}"#,
            "1",
            "null",
        ]);
    }
}
