//! The catalogue: the known providers, whose connections have defaults.
//!
//! Each provider is one file in `providers/`, which the build reads. Here is what the module keeps
//! of it: the fields of a connection, as JSON, which are parsed where such a connection is read.

use std::fmt;

use super::Variables;
use super::reader::Reader;
use crate::json;

/// The defaults of each provider, by name and in the order of the names.
const CATALOGUE: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/defaults.rs"));

/// The provider files by name, in the order of the names.
#[cfg(not(target_arch = "wasm32"))]
pub const PROVIDER_FILES: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/sources.rs"));

/// The provider without defaults.
const CUSTOM: &str = "custom";

/// The field of a provider's defaults that names what a connection must give.
const NEEDS: &str = "needs";

/// A kind of API, by its name in the catalogue.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Provider(&'static str);

impl Provider {
    /// The provider called `name`; `custom` is one without defaults.
    #[must_use]
    pub fn find(name: &str) -> Option<Self> {
        if name == CUSTOM {
            return Some(Self(CUSTOM));
        }
        let place = CATALOGUE.binary_search_by_key(&name, |(known, _)| known).ok()?;
        CATALOGUE.get(place).map(|(known, _)| Self(known))
    }

    /// The provider's name in configuration and logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        self.0
    }

    /// The defaults of the provider's connections.
    pub(super) fn defaults(self) -> Variables {
        let place = CATALOGUE.binary_search_by_key(&self.0, |(known, _)| known).ok();
        let defaults = place.and_then(|place| CATALOGUE.get(place));
        defaults.and_then(|(_, text)| json::read(text.as_bytes()).ok()).unwrap_or_default()
    }
}

/// The provider that a connection names, if it is one.
pub(super) fn named(reader: &Reader<'_, '_>) -> Option<Provider> {
    Provider::find(reader.value("provider")?.as_str()?)
}

/// Whether the provider of the connection needs the secret called `name`.
pub(super) fn needs(reader: &Reader<'_, '_>, name: &str) -> bool {
    let needs = reader.default(NEEDS).and_then(serde_json::Value::as_array);
    needs.is_some_and(|needs| needs.iter().any(|need| need == name))
}

impl fmt::Debug for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

#[cfg(test)]
#[cfg(not(target_arch = "wasm32"))]
mod tests {
    use super::*;

    #[test]
    fn finds_every_provider_and_no_other() {
        for (name, _) in PROVIDER_FILES {
            let provider = Provider::find(name).unwrap();
            assert_eq!(provider.as_str(), *name);
            assert!(provider.defaults().contains_key("grant"), "{name}");
        }
        assert_eq!(PROVIDER_FILES.len(), CATALOGUE.len());
        assert!(Provider::find("custom").unwrap().defaults().is_empty());
        for name in ["", "Guru", "gur", "guruu"] {
            assert_eq!(Provider::find(name), None, "{name}");
        }
    }
}
