use std::time::Duration;

use porteiro::secret::{Fingerprint, Secret};
use porteiro::time::UnixTime;
use porteiro::token::{self, TokenType};
use porteiro::token::{AccessToken, AccessTokenRecord, Lifetime, Nonce, SealError, SealingKeys};
use proptest::collection::vec;
use proptest::prelude::*;

use super::generate;

const KEY: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
const OTHER_KEY: &str = "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=";

const PIECES: &[&str] =
    &["1", "2", ".", "k", "other", "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcH", "A", "-", "_", "=", "é"];

fn keys(list: &str) -> SealingKeys {
    SealingKeys::parse(&Secret::new(list.to_owned())).unwrap()
}

/// The key that seals, with another id for the same bytes and another key.
fn all_keys() -> SealingKeys {
    keys(&format!("k:{KEY},same:{KEY},other:{OTHER_KEY}"))
}

fn name() -> impl Strategy<Value = String> {
    prop_oneof![generate::text(&["access-token/", "service", "/", ".", "1", "k", "a"]), generate::any_text(),]
}

#[derive(Clone, Debug)]
struct Sealed {
    name: String,
    plain: Vec<u8>,
    text: String,
}

fn sealed() -> impl Strategy<Value = Sealed> {
    (name(), vec(any::<u8>(), 0..80), any::<[u8; 24]>()).prop_map(|(name, plain, nonce)| {
        let text = all_keys().seal(&name, &plain, &Nonce(nonce)).unwrap();
        Sealed { name, plain, text }
    })
}

proptest! {
    #![proptest_config(generate::run(1_000))]

    #[test]
    fn opens_what_it_sealed(sealed in sealed()) {
        let opened = all_keys().open(&sealed.name, &sealed.text).unwrap();
        prop_assert_eq!(&*opened, &sealed.plain);
    }

    #[test]
    fn opens_nothing_that_was_changed(
        sealed in sealed(),
        at in any::<prop::sample::Index>(),
        to in prop_oneof![any::<char>(), (0..128_u8).prop_map(char::from)],
    ) {
        // A sealed text is ASCII: every byte is a character.
        let at = at.index(sealed.text.len());
        let mut changed = sealed.text.clone();
        changed.replace_range(at..=at, to.encode_utf8(&mut [0; 4]));
        prop_assert_eq!(all_keys().open(&sealed.name, &changed).is_ok(), changed == sealed.text);
    }

    #[test]
    fn opens_nothing_that_was_cut_or_lengthened(
        sealed in sealed(),
        at in any::<prop::sample::Index>(),
        more in prop_oneof![generate::text(PIECES), "[A-Za-z0-9_=-]{1,4}"],
    ) {
        let (start, end) = sealed.text.split_at(at.index(sealed.text.len()));
        let mut changed = vec![start.to_owned()];
        if !start.is_empty() {
            changed.push(end.to_owned());
        }
        if !more.is_empty() {
            changed.extend([format!("{start}{end}{more}"), format!("{more}{start}{end}")]);
            changed.push(format!("{start}{more}{end}"));
        }
        for text in changed {
            prop_assert!(all_keys().open(&sealed.name, &text).is_err(), "{}", text);
        }
    }

    #[test]
    fn opens_under_no_other_name(sealed in sealed(), other in name(), more in name()) {
        for other in [other, format!("{}{more}", sealed.name), format!("{more}{}", sealed.name)] {
            prop_assert_eq!(all_keys().open(&other, &sealed.text).is_ok(), other == sealed.name);
        }
    }

    #[test]
    fn opens_with_no_other_key_and_under_no_other_id(sealed in sealed()) {
        let with = |list: &str, text: &str| keys(list).open(&sealed.name, text).map(drop);
        let renamed = |id: &str| sealed.text.replacen("1.k.", &format!("1.{id}."), 1);
        prop_assert_eq!(with(&format!("k:{OTHER_KEY}"), &sealed.text), Err(SealError::Forged));
        prop_assert_eq!(with(&format!("same:{KEY}"), &sealed.text), Err(SealError::UnknownKey));
        for id in ["same", "other"] {
            prop_assert_eq!(all_keys().open(&sealed.name, &renamed(id)).map(drop), Err(SealError::Forged));
        }
        // What an id loses must not pass over to the name.
        let split = all_keys().open(&format!("k.{}", sealed.name), &sealed.text);
        prop_assert_eq!(split.map(drop), Err(SealError::Forged));
    }

    #[test]
    fn survives_any_text_in_a_sealed_ones_place(name in name(), text in generate::text(PIECES)) {
        prop_assert!(all_keys().open(&name, &text).is_err());
        prop_assert!(token::open::<serde_json::Value>(&text, &name, &all_keys()).is_err());
    }

    #[test]
    fn survives_any_list_of_keys(
        list in generate::text(&["k", "k2", ":", ",", " ", KEY, "AAAA", "=", "é"]),
    ) {
        if let Ok(keys) = SealingKeys::parse(&Secret::new(list)) {
            let sealed = keys.seal("name", b"plain", &Nonce([7; 24])).unwrap();
            let opened = keys.open("name", &sealed).unwrap();
            prop_assert_eq!(opened.as_slice(), b"plain");
            let shown = format!("{keys:?}");
            prop_assert!(!shown.contains(&KEY[..40]), "{}", shown);
        }
    }

    #[test]
    fn keeps_every_part_of_a_record_and_gives_it_to_its_own_account_only(
        name in name(),
        token in generate::any_text(),
        generation in any::<u64>(),
        (obtained_at, life) in (0..1_u64 << 53, 0..40_000_000_u64),
        (own, other) in (name(), name()),
        nonce in any::<[u8; 24]>(),
    ) {
        let start = UnixTime::from_millis(obtained_at);
        let access = AccessToken {
            generation,
            token: Secret::new(token),
            token_type: TokenType::Bearer,
            lifetime: Lifetime::new(start, Duration::from_secs(life), Duration::from_mins(1), 9),
        };
        let identity = Fingerprint::of(&[&own]);
        let text = AccessTokenRecord::seal(&access, &identity, &name, &all_keys(), &Nonce(nonce)).unwrap();
        let opened = AccessTokenRecord::open(&text, &identity, &name, &all_keys()).unwrap().unwrap();
        prop_assert_eq!(opened.generation, access.generation);
        prop_assert_eq!(opened.token.expose(), access.token.expose());
        prop_assert_eq!(opened.lifetime, access.lifetime);
        let stranger = AccessTokenRecord::open(&text, &Fingerprint::of(&[&other]), &name, &all_keys());
        prop_assert_eq!(stranger.unwrap().is_some(), own == other);
    }
}
