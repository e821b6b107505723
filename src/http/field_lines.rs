//! Header fields of a message to be sent.

use super::Headers;

/// Header fields of a message to be sent, one per line.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct FieldLines(String);

impl FieldLines {
    /// No fields, with capacity for a typical head.
    #[must_use]
    pub fn with_room() -> Self {
        Self(String::with_capacity(1024))
    }

    /// Adds a field. A field whose value has a control character is dropped (RFC 9110 §5.5): a line
    /// break would begin another field.
    pub fn push(&mut self, name: &str, value: &str) {
        debug_assert!(!value.contains(['\r', '\n']), "a field value has no line break");
        if !has_control(value) {
            self.push_sound(name, &[value]);
        }
    }

    /// Adds a field whose value, given in parts, has no line break.
    pub fn push_sound(&mut self, name: &str, value: &[&str]) {
        if !self.0.is_empty() {
            self.0.push('\n');
        }
        self.0.push_str(name);
        self.0.push(':');
        for part in value {
            self.0.push_str(part);
        }
    }

    /// The fields.
    #[must_use]
    pub fn headers(&self) -> Headers<'_> {
        Headers::new(&self.0)
    }

    /// The lines.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The lines.
    #[must_use]
    pub fn into_text(self) -> String {
        self.0
    }
}

/// Whether a field value has a forbidden control character (RFC 9110 §5.5).
#[must_use]
pub fn has_control(value: &str) -> bool {
    value.bytes().any(|b| b.is_ascii_control() && b != b'\t')
}
