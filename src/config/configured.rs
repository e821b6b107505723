//! Configured things, usable or broken.

/// Something that the operator configured or registered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Configured<T> {
    /// Valid.
    Usable(T),
    /// Present and wrong; its problems were reported.
    Broken,
}

impl<T> Configured<T> {
    /// The value, if usable.
    pub const fn usable(&self) -> Option<&T> {
        match self {
            Self::Usable(thing) => Some(thing),
            Self::Broken => None,
        }
    }

    /// The same, by value.
    pub fn into_usable(self) -> Option<T> {
        match self {
            Self::Usable(thing) => Some(thing),
            Self::Broken => None,
        }
    }

    /// Whether the value is usable.
    pub const fn is_usable(&self) -> bool {
        matches!(self, Self::Usable(_))
    }
}

/// A value that could not be read is broken.
impl<T> From<Option<T>> for Configured<T> {
    fn from(read: Option<T>) -> Self {
        read.map_or(Self::Broken, Self::Usable)
    }
}
