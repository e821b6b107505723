//! The order of the locks.

/// The locks, in the order in which a task may take them.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[rustfmt::skip]
pub(in crate::objects) enum Rank {
    Registering, ReadingRegistration, SigningIn, WritingSession, Renewing, WritingTokens, Publishing, Counting, WritingEvents, Arming, Telling, UsingOnce, ListingPeople,
}
