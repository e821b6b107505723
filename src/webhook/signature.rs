//! Signatures of deliveries (Standard Webhooks 1.0.0, "Signature scheme").

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac as _};
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::secret::Secret;
use crate::time::UnixTime;

const PREFIX: &str = "whsec_";

/// The keys that sign deliveries; during a rotation each of several signs.
pub struct SigningKeys(Vec<Hmac<Sha256>>);

impl SigningKeys {
    /// Reads secrets of the form `whsec_` and base64 of 24 to 64 bytes, separated by commas; `None`
    /// where one has another form or the list is empty.
    #[must_use]
    pub fn parse(text: &Secret) -> Option<Self> {
        let entries = text.expose().split(',').map(str::trim).filter(|entry| !entry.is_empty());
        let keys: Vec<_> = entries.map(read_key).collect::<Option<_>>()?;
        (!keys.is_empty()).then_some(Self(keys))
    }

    /// The value of `webhook-signature` of the delivery `id` at `sent_at`.
    #[must_use]
    pub fn sign(&self, id: &str, sent_at: UnixTime, body: &str) -> String {
        let signed = format!("{id}.{}.", sent_at.as_millis() / 1000);
        let signatures = self.0.iter().map(|key| {
            let mut mac = key.clone();
            mac.update(signed.as_bytes());
            mac.update(body.as_bytes());
            format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
        });
        signatures.collect::<Vec<_>>().join(" ")
    }
}

fn read_key(entry: &str) -> Option<Hmac<Sha256>> {
    let bytes = Zeroizing::new(STANDARD.decode(entry.strip_prefix(PREFIX)?).ok()?);
    if !(24..=64).contains(&bytes.len()) {
        return None;
    }
    Hmac::new_from_slice(&bytes).ok()
}

impl fmt::Debug for SigningKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKeys({} redacted)", self.0.len())
    }
}

#[cfg(test)]
#[cfg(not(target_arch = "wasm32"))]
mod tests {
    use super::*;

    // The example that the standard's own libraries are tested with.
    const KEY: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    const OTHER: &str = "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

    fn keys(text: &str) -> Option<SigningKeys> {
        SigningKeys::parse(&Secret::new(text.to_owned()))
    }

    #[test]
    fn signs_as_the_standard_does() {
        let signature = keys(KEY).unwrap().sign(
            "msg_p5jXN8AQM9LWM0D4loKWxJek",
            UnixTime::from_millis(1_614_265_330_999),
            r#"{"test": 2432232314}"#,
        );
        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn signs_with_every_key_of_a_rotation() {
        let at = UnixTime::from_millis(1_000);
        let [old, new] = [KEY, OTHER].map(|key| keys(key).unwrap().sign("msg_1", at, "{}"));
        let both = keys(&format!("{KEY}, {OTHER}")).unwrap().sign("msg_1", at, "{}");
        assert_eq!(both, format!("{old} {new}"));
    }

    #[test]
    fn takes_no_other_form() {
        let too_long = format!("whsec_{}", STANDARD.encode([0; 65]));
        for bad in [
            "",
            ",",
            "whsec_",
            "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
            "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaS",
            "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLa==",
            "whpk_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
            &too_long,
            &format!("{KEY},x"),
        ] {
            assert!(keys(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn shows_no_key_when_debugged() {
        assert_eq!(format!("{:?}", keys(KEY).unwrap()), "SigningKeys(1 redacted)");
    }
}
