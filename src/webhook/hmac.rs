//! Signatures of senders: an HMAC (RFC 2104) over what the sender signs, under the account token.
//!
//! What is signed is the sender's choice: most sign the body, some also a time, some only fields
//! beside the body.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use hmac::Mac;
use hmac::digest::KeyInit;
use sha1::Sha1;
use sha2::{Sha256, Sha512};
use subtle::ConstantTimeEq as _;

use super::account_tokens::AccountTokens;
use crate::form;
use crate::http::{HeaderName, RequestHead};
use crate::secret::{Fingerprint, Place, hex};
use crate::time::UnixTime;

/// From this number on, a time is in milliseconds: as seconds it would be in the year 5138.
const MILLISECONDS: u64 = 100_000_000_000;

/// How a sender signs its events.
#[derive(Debug)]
pub struct EventHmac {
    /// The header field that carries the signature.
    pub header: HeaderName,
    /// The part of the field that is the signature, in fields of the form `t=1,v1=a,v1=b`; `None`
    /// where it is the whole field.
    pub part: Option<String>,
    /// The text before the signature.
    pub prefix: String,
    /// The hash function.
    pub algorithm: HmacAlgorithm,
    /// The notation of the signature.
    pub encoding: HmacEncoding,
    /// What is signed, in order.
    pub signed: Vec<Signed>,
    /// The time of the signature, where one is signed.
    pub time: Option<SigningTime>,
}

/// The hash function of an HMAC.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum HmacAlgorithm {
    /// SHA-1, which is still sound in an HMAC.
    Sha1,
    /// SHA-256.
    Sha256,
    /// SHA-512.
    Sha512,
}

/// The notation of a signature.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum HmacEncoding {
    /// Hexadecimal digits of either case.
    Hex,
    /// Base64 (RFC 4648 section 4), with or without padding.
    Base64,
    /// Base64url (RFC 4648 section 5), with or without padding.
    Base64Url,
}

/// A piece of what is signed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Signed {
    /// The body, byte for byte.
    Body,
    /// The time of the signature, as it is written.
    Time,
    /// This text.
    Text(String),
    /// The value of the header field of this name.
    Header(HeaderName),
    /// The decoded value of the parameter of this name in the query.
    Query(String),
    /// The same, in lower case.
    QueryLower(String),
}

/// The time of a signature.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SigningTime {
    /// Where it is written.
    pub place: TimePlace,
    /// How far it may be from now, in the past or the future.
    pub tolerance: Duration,
}

/// Where the time of a signature is written, in seconds or milliseconds since 1970.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum TimePlace {
    /// In this header field.
    Header(HeaderName),
    /// In this part of the field that carries the signature.
    Part(String),
}

impl EventHmac {
    /// What a request with this `head` presents; `None` where it cannot be proven by any body: a
    /// part lacks or is ambiguous, or the time is not near `now`.
    #[must_use]
    pub fn presented<'a>(&'a self, head: &RequestHead<'a>, now: UnixTime) -> Option<Presented<'a>> {
        let field = head.headers.value(self.header.as_str())?;
        let signatures: Vec<&str> = match &self.part {
            Some(name) => parts(field, name).filter_map(|part| part.strip_prefix(&*self.prefix)).collect(),
            None => field.strip_prefix(&*self.prefix).into_iter().collect(),
        };
        let time = match &self.time {
            Some(time) => Some(time.read(head, field).filter(|text| time.is_near(text, now))?),
            None => None,
        };
        let pieces = self.signed.iter().map(|piece| piece.read(head, time)).collect::<Option<_>>()?;
        (!signatures.is_empty()).then_some(Presented { hmac: self, signatures, pieces })
    }

    /// The signature under `key` of the `pieces` with this `body`, in its notation.
    fn sign(&self, key: &[u8], pieces: &[SignedPart<'_>], body: &[u8]) -> Option<String> {
        let bytes = match self.algorithm {
            HmacAlgorithm::Sha1 => mac::<hmac::Hmac<Sha1>>(key, pieces, body),
            HmacAlgorithm::Sha256 => mac::<hmac::Hmac<Sha256>>(key, pieces, body),
            HmacAlgorithm::Sha512 => mac::<hmac::Hmac<Sha512>>(key, pieces, body),
        }?;
        Some(match self.encoding {
            HmacEncoding::Hex => hex(&bytes),
            HmacEncoding::Base64 => STANDARD.encode(&bytes),
            HmacEncoding::Base64Url => URL_SAFE.encode(&bytes),
        })
    }
}

/// The values of the parts called `name` in a field of the form `t=1,v1=a,v1=b`.
fn parts<'a>(field: &'a str, name: &str) -> impl Iterator<Item = &'a str> {
    field.split(',').filter_map(move |part| {
        let (found, value) = part.split_once('=')?;
        (found.trim() == name).then(|| value.trim())
    })
}

fn mac<M: Mac + KeyInit>(key: &[u8], pieces: &[SignedPart<'_>], body: &[u8]) -> Option<Vec<u8>> {
    let mut mac = <M as KeyInit>::new_from_slice(key).ok()?;
    for piece in pieces {
        mac.update(match piece {
            SignedPart::Body => body,
            SignedPart::Text(text) => text.as_bytes(),
        });
    }
    Some(mac.finalize().into_bytes().to_vec())
}

impl Signed {
    fn read<'a>(&'a self, head: &RequestHead<'a>, time: Option<&'a str>) -> Option<SignedPart<'a>> {
        Some(match self {
            Self::Body => SignedPart::Body,
            Self::Time => SignedPart::Text(time?.into()),
            Self::Text(text) => SignedPart::Text(text.into()),
            Self::Header(name) => SignedPart::Text(head.headers.value(name.as_str())?.into()),
            Self::Query(name) => SignedPart::Text(parameter(head, name)?.into()),
            Self::QueryLower(name) => SignedPart::Text(parameter(head, name)?.to_ascii_lowercase().into()),
        })
    }
}

/// The parameter called `name` of the query, if it is there once.
fn parameter(head: &RequestHead<'_>, name: &str) -> Option<String> {
    let mut found = form::parameters(head.query()?, name);
    found.pop().filter(|_| found.is_empty())
}

impl SigningTime {
    fn read<'a>(&self, head: &RequestHead<'a>, field: &'a str) -> Option<&'a str> {
        match &self.place {
            TimePlace::Header(name) => head.headers.value(name.as_str()),
            TimePlace::Part(name) => {
                let mut found = parts(field, name);
                // Of two times, one would be signed and the other one near.
                found.next().filter(|_| found.next().is_none())
            }
        }
    }

    /// Whether `text` is a time near `now`. Only digits are one: what follows the time in the signed
    /// text cannot be taken for a part of it.
    fn is_near(&self, text: &str, now: UnixTime) -> bool {
        if !text.bytes().all(|b| b.is_ascii_digit()) {
            return false;
        }
        let Ok(number) = text.parse::<u64>() else { return false };
        let time = UnixTime::from_millis(if number < MILLISECONDS { number * 1000 } else { number });
        now.since(time) <= self.tolerance && time.since(now) <= self.tolerance
    }
}

/// A piece of what is signed, as the request has it.
enum SignedPart<'a> {
    Body,
    Text(Cow<'a, str>),
}

/// The signatures that a request presents, and what they sign.
pub struct Presented<'a> {
    hmac: &'a EventHmac,
    signatures: Vec<&'a str>,
    pieces: Vec<SignedPart<'a>>,
}

impl Presented<'_> {
    /// The place and the digest of the account token of `tokens` that signed the request with this
    /// `body`. Signatures are compared in constant time; each token is tried.
    #[must_use]
    pub fn token(&self, body: &[u8], tokens: &AccountTokens) -> Option<(Place, Fingerprint)> {
        let mut found = None;
        for token in tokens.iter() {
            let right = self.hmac.sign(token.expose().as_bytes(), &self.pieces, body)?;
            if self.signatures.iter().any(|signature| self.hmac.encoding.is_same(&right, signature)) {
                found = Some(token.fingerprint());
            }
        }
        Some((tokens.place(found?)?, found?))
    }
}

// A signature proves an event for as long as its time is near.
impl fmt::Debug for Presented<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Presented(redacted)")
    }
}

impl HmacEncoding {
    /// Whether `presented` is another notation of the signature `right`.
    fn is_same(self, right: &str, presented: &str) -> bool {
        let presented = match self {
            Self::Hex => Cow::Owned(presented.to_ascii_lowercase()),
            Self::Base64 | Self::Base64Url => Cow::Borrowed(presented.trim_end_matches('=')),
        };
        right.trim_end_matches('=').as_bytes().ct_eq(presented.as_bytes()).into()
    }
}

#[cfg(test)]
#[cfg(not(target_arch = "wasm32"))]
mod tests;
