//! The configuration of a Worker that has the broker as a module.

use super::{expect, report, sound};

const VARS: &str = "[vars]\nGREETING = 'Hello'\nALLOWED_ORIGIN = 'https://app.example.com'";

#[test]
fn an_applications_own_variables_are_no_mistakes() {
    let text = sound(VARS).replace("build/index.js", "src/index.js");
    expect(&report(&text).problems, &[(3, "ALLOWED_ORIGIN: is not a variable that the Worker knows: write")]);
}

#[test]
fn the_brokers_worker_has_no_other_variables() {
    for main in [
        "build/index.js",
        "node_modules/porteiro/worker/index.js",
        "../node_modules/porteiro/worker/index.js",
    ] {
        let text = sound(VARS).replace("build/index.js", main);
        expect(
            &report(&text).problems,
            &[
                (2, "GREETING: is not a variable that the Worker knows: remove it"),
                (3, "ALLOWED_ORIGIN: is not a variable that the Worker knows: write"),
            ],
        );
    }
}

#[test]
fn the_examples_are_sound() {
    let examples = [
        include_str!("../../../examples/hono/mounted/wrangler.toml"),
        include_str!("../../../examples/hono/bound/broker.toml"),
        include_str!("../../../examples/hono/routed/wrangler.toml"),
    ];
    for text in examples {
        expect(&report(text).problems, &[]);
    }
}
