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
/// fields of a [`record`](super::record), and either may have another name in JSON. A name that the
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
