//! Texts with the connection's secrets in them, and with its token.

use std::fmt;

use serde_json::Value;

use super::reader::Reader;
use super::secrets::{BASIC, Secrets};
use super::{Provider, Variables};
use crate::secret::Secret;

/// What stands for the token.
const TOKEN: &str = "token";

/// The fields of a connection whose texts have placeholders.
const FIELDS: [&str; 3] = ["headers", "login", "query"];

/// A text in which the connection's secrets were filled in, and the token is filled in for each
/// call.
pub struct TokenTemplate(Vec<TemplatePart>);

enum TemplatePart {
    Text(String),
    Secret(Secret),
    Token,
}

impl TokenTemplate {
    /// Reads `text`, in which `{token}` stands for the token and `{name}` for the connection's
    /// secret `NAME`. A secret that is missing is reported.
    pub(super) fn read(text: &str, secrets: &Secrets<'_>, reader: &mut Reader<'_, '_>) -> Option<Self> {
        let mut parts = Some(Vec::new());
        for piece in pieces(text) {
            let part = match piece {
                Piece::Name(TOKEN) => Some(TemplatePart::Token),
                Piece::Name(name) => secrets.placed(name, reader).map(TemplatePart::Secret),
                Piece::Text(text) => Some(TemplatePart::Text(text.to_owned())),
            };
            // Every missing secret is reported, not the first alone.
            parts = parts.zip(part).map(|(mut parts, part)| {
                parts.push(part);
                parts
            });
        }
        parts.map(Self)
    }

    /// Reads `text`, which stands at `place` in the table of `reader`, as [`TokenTemplate::read`] does
    /// where there is no token yet: its placeholder is reported.
    pub(super) fn read_secret(
        place: &str,
        text: &str,
        secrets: &Secrets<'_>,
        reader: &mut Reader<'_, '_>,
    ) -> Option<Secret> {
        let template = Self::read(text, secrets, reader)?;
        if template.has_token() {
            reader.report(place, "must not have {token}: there is no token yet");
        }
        Some(template.fill(""))
    }

    /// Reads the text in the field called `name`, as [`TokenTemplate::read`] does. Whatever stands in
    /// it must be as `fits` demands, else `message` is reported: of a secret by its name.
    pub(super) fn read_field(
        name: &str,
        secrets: &Secrets<'_>,
        reader: &mut Reader<'_, '_>,
        fits: fn(&str) -> bool,
        message: &'static str,
    ) -> Option<Self> {
        let text = reader.text(name)?;
        let template = Self::read(text, secrets, reader)?;
        let before = reader.count();
        for (piece, part) in pieces(text).iter().zip(&template.0) {
            if let (Piece::Name(name), TemplatePart::Secret(secret)) = (piece, part)
                && !fits(secret.expose())
            {
                reader.report_variable(secrets.variable(&name.to_ascii_uppercase()), message);
            }
        }
        if reader.count() == before && !fits(template.fill(TOKEN).expose()) {
            reader.report(name, message);
        }
        (reader.count() == before).then_some(template)
    }

    /// The text with `token` filled in.
    #[must_use]
    pub fn fill(&self, token: &str) -> Secret {
        let texts = self.0.iter().map(|part| match part {
            TemplatePart::Text(text) => text,
            TemplatePart::Secret(secret) => secret.expose(),
            TemplatePart::Token => token,
        });
        Secret::new(texts.collect())
    }

    /// The secrets in the text; without the token.
    pub fn secrets(&self) -> impl Iterator<Item = &Secret> {
        self.0.iter().filter_map(|part| match part {
            TemplatePart::Secret(secret) => Some(secret),
            TemplatePart::Text(_) | TemplatePart::Token => None,
        })
    }

    /// Whether the token stands in it.
    #[must_use]
    pub fn has_token(&self) -> bool {
        self.0.iter().any(|part| matches!(part, TemplatePart::Token))
    }
}

// The secrets are filled in.
impl fmt::Debug for TokenTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenTemplate(redacted)")
    }
}

/// A piece of a text.
#[derive(PartialEq, Eq, Debug)]
enum Piece<'a> {
    Text(&'a str),
    /// A name that stood in braces.
    Name(&'a str),
}

/// The pieces of `text`: braces around anything but a name are text.
fn pieces(text: &str) -> Vec<Piece<'_>> {
    let is_name = |name: &str| {
        !name.is_empty() && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
    };
    let mut pieces = Vec::new();
    let (mut start, mut from) = (0, 0);
    while let Some(open) = text.get(from..).and_then(|rest| rest.find('{')).map(|at| from + at) {
        from = open + 1;
        let name = text.get(from..).and_then(|rest| rest.split_once('}')).map(|(name, _)| name);
        let Some(name) = name.filter(|name| is_name(name)) else { continue };
        pieces.extend(text.get(start..open).filter(|before| !before.is_empty()).map(Piece::Text));
        pieces.push(Piece::Name(name));
        from += name.len() + 1;
        start = from;
    }
    pieces.extend(text.get(start..).filter(|rest| !rest.is_empty()).map(Piece::Text));
    pieces
}

/// Whether `value` is a text with the token in it.
pub(super) fn places_token(value: &Value) -> bool {
    value.as_str().is_some_and(|text| pieces(text).contains(&Piece::Name(TOKEN)))
}

/// The names of the secrets that stand in the texts of a connection with these `fields`, or of its
/// provider.
#[must_use]
pub fn names(fields: &Variables) -> Vec<String> {
    let provider = fields.get("provider").and_then(Value::as_str).and_then(Provider::find);
    let mut names = Vec::new();
    for table in [fields, &provider.map(Provider::defaults).unwrap_or_default()] {
        FIELDS.iter().filter_map(|field| table.get(*field)).for_each(|value| collect(value, &mut names));
    }
    names
}

/// Appends the names of the secrets that stand in the texts of `value`, at any depth.
pub(super) fn collect(value: &Value, names: &mut Vec<String>) {
    match value {
        Value::String(text) => {
            for piece in pieces(text) {
                match piece {
                    Piece::Name(TOKEN) | Piece::Text(_) => {}
                    Piece::Name(BASIC) => names.extend(["username", "password"].map(str::to_owned)),
                    Piece::Name(name) => names.push(name.to_owned()),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| collect(item, names)),
        Value::Object(members) => members.values().for_each(|member| collect(member, names)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

#[cfg(test)]
#[cfg(not(target_arch = "wasm32"))]
mod tests {
    use super::*;

    #[test]
    fn takes_names_in_braces_alone_for_placeholders() {
        use Piece::{Name, Text};
        let cases: [(&str, &[Piece<'_>]); 8] = [
            ("", &[]),
            ("a", &[Text("a")]),
            ("{token}", &[Name("token")]),
            ("a{b}{c_1}d", &[Text("a"), Name("b"), Name("c_1"), Text("d")]),
            ("{A} {} {a", &[Text("{A} {} {a")]),
            ("{{a}}", &[Text("{"), Name("a"), Text("}")]),
            ("é{a}é", &[Text("é"), Name("a"), Text("é")]),
            ("{a\"}{b}", &[Text("{a\"}"), Name("b")]),
        ];
        for (text, expected) in cases {
            assert_eq!(pieces(text), expected, "{text}");
        }
    }

    #[test]
    fn fills_once_and_never_in_what_was_filled_in() {
        let variables = |name: &str| match name {
            "X_A" => Some(Value::from("{token}")),
            "X_B" => Some(Value::from("{a}")),
            _ => None,
        };
        let (fields, mut problems) = (Variables::new(), Vec::new());
        let mut reader = Reader::new("x".into(), &fields, &mut problems);
        let template =
            TokenTemplate::read("{a}-{b}-{token}", &Secrets::new(&variables, "x"), &mut reader).unwrap();
        assert_eq!(template.fill("{b}").expose(), "{token}-{a}-{b}");
        assert!(template.has_token() && !format!("{template:?}").contains("{a}"));
        assert_eq!(problems, []);
    }

    #[test]
    fn reports_every_secret_that_is_missing() {
        let (fields, mut problems) = (Variables::new(), Vec::new());
        let variables = |_: &str| None;
        let mut reader = Reader::new("x".into(), &fields, &mut problems);
        assert!(TokenTemplate::read("{a}{b}{token}", &Secrets::new(&variables, "x"), &mut reader).is_none());
        let found: Vec<&str> = problems.iter().map(super::super::Problem::field).collect();
        assert_eq!(found, ["X_A", "X_B"]);
    }
}
