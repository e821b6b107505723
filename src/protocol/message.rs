//! Messages: each names its object and its reply.

pub mod consent;
pub mod deliveries;
pub mod index;
pub mod one_time;
pub mod operator;
pub mod people;
pub mod quota;
pub mod refusals;
pub mod session;
pub mod token;

use super::envelope::Envelope;
use crate::json::FromJson;

/// A message from an isolate, or from another object, to an object.
pub trait Message {
    /// The wire form of every answer of this kind of object.
    type Answer: FromJson;
    /// The reply to this message.
    type Reply;

    /// The name of the object that the message is addressed to.
    fn object(&self) -> String;

    /// The message in wire form.
    fn into_envelope(self) -> Envelope;

    /// The reply in `answer`; `None` where the object's storage failed, or `answer` belongs to
    /// another message.
    fn reply(answer: Self::Answer) -> Option<Self::Reply>;
}

/// Implements [`Message`] for a type: its answer and its reply, then the name of its object, its
/// envelope, and the reply in each answer to it. Any other answer is no reply, unless `else` finds
/// one in it.
macro_rules! message {
    ($message:ty: $answer:ty => $reply:ty, |$this:ident| $object:expr, $envelope:expr, { $($pattern:pat => $value:expr),+ $(,)? }) => {
        message! { $message: $answer => $reply, |$this| $object, $envelope, { $($pattern => $value),+ } else |_answer| None }
    };
    ($message:ty: $answer:ty => $reply:ty, |$this:ident| $object:expr, $envelope:expr, { $($pattern:pat => $value:expr),+ $(,)? } else |$other:ident| $otherwise:expr) => {
        impl $crate::protocol::Message for $message {
            type Answer = $answer;
            type Reply = $reply;

            fn object(&$this) -> String {
                $object
            }

            fn into_envelope($this) -> Envelope {
                $envelope
            }

            fn reply(answer: $answer) -> Option<$reply> {
                match answer {
                    $($pattern => Some($value),)+
                    $other => $otherwise,
                }
            }
        }
    };
}

use message;
