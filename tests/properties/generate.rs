//! What the properties draw their input from.

use std::env;
use std::hash::{BuildHasher as _, Hasher as _, RandomState};

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::RngSeed;
use serde_json::{Number, Value};

/// The run of a property: `short` cases of a fixed seed, unless the
/// environment asks for another number of cases or another seed.
pub fn run(short: u32) -> ProptestConfig {
    let mut config = ProptestConfig {
        failure_persistence: None,
        max_local_rejects: u32::MAX,
        max_global_rejects: u32::MAX,
        ..ProptestConfig::default()
    };
    let is_short = env::var_os("PROPTEST_CASES").is_none();
    if is_short {
        config.cases = short;
    }
    if env::var_os("PROPTEST_RNG_SEED").is_none() {
        let seed = if is_short { 1 } else { RandomState::new().build_hasher().finish() };
        config.rng_seed = RngSeed::Fixed(seed);
    }
    println!("PROPTEST_RNG_SEED={} PROPTEST_CASES={}", config.rng_seed, config.cases);
    config
}

/// Text of up to 20 parts, most of them out of `pieces`.
pub fn text(pieces: &'static [&'static str]) -> impl Strategy<Value = String> {
    let part = prop_oneof![
        8 => select(pieces).prop_map(str::to_owned),
        1 => (0..128_u8).prop_map(|byte| char::from(byte).to_string()),
        1 => any::<char>().prop_map(String::from),
    ];
    vec(part, 0..20).prop_map(|parts| parts.concat())
}

/// Text of any characters.
pub fn any_text() -> impl Strategy<Value = String> {
    vec(any::<char>(), 0..20).prop_map(String::from_iter)
}

/// Any JSON value; the names of its members are out of `names`, and so are
/// some of its texts.
pub fn json(names: &'static [&'static str]) -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(|number| Number::from_f64(number).map_or(Value::Null, Value::Number)),
        any_text().prop_map(Value::from),
        select(names).prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 6, move |inner| {
        prop_oneof![
            vec(inner.clone(), 0..6).prop_map(Value::from),
            vec((select(names).prop_map(str::to_owned), inner), 0..6)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}
