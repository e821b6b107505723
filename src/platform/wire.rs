//! The texts that cross the border between `call.js` and the broker, with
//! `wire.js` on the other side. The examples in `tests/data/wire.json` hold both
//! sides to one grammar.
//!
//! A call crosses the border with one text each way, because that costs least.
//! In ABNF (RFC 5234), `begin` takes a `request` and `resume` an `upstream`; both
//! give a `told`:
//!
//! ```abnf
//! request  = method LF url *(LF field)       ; the caller's head
//! upstream = status *(LF field) / failure    ; what came of a fetch
//! failure  = "timeout" / "gone" / "unreachable"
//!                        ; gone: the body cannot be sent a second time
//!
//! told     = fetch / join / wait / answer
//! fetch    = ("F" / "L") timeout [SP binding] LF replay LF method LF url LF fields
//!                        ; send this to the upstream, by the binding that has
//!                        ; the client certificate if one is named, and resume.
//!                        ; L: others may wait for the answer, so that the call
//!                        ; goes on when its caller leaves
//! join     = "J" timeout LF flight LF LF LF
//!                        ; wait for that flight to be over, and resume
//! wait     = "W"         ; wait for the promise that the call was given,
//!                        ; which resolves to an answer
//! answer   = kind *(line LF) status LF fields LF LF text
//! kind     = "U"         ; the body is the upstream's; no text
//!          / "V"         ; the same, with each line of the text struck out of it
//!          / "T"         ; the body is the text
//!          / "P"         ; the same, and the fields have a policy of their own
//!          / "E"         ; there is no body, and no text
//!
//! fields   = [field *(LF field)]             ; of an answer: besides the common
//! field    = name ":" value                  ; the name in lower case
//! line     = "{" *(%x20-10FFFF) "}"          ; of the log, a JSON object
//! status   = 3DIGIT
//! timeout  = 1*DIGIT                         ; milliseconds
//! replay   = "-1" / ["+"] 1*DIGIT                  ; the largest body, in bytes, that
//!                        ; is kept for a second send; -1: there will be none;
//!                        ; +: the request leaves before its body is there
//! flight   = 1*DIGIT         ; its number; 0: the call's own body, which it sends again
//! text     = *(%x00-10FFFF)                  ; up to the end
//! ```
//!
//! No method, address, name or value has a line break, so that nothing is
//! escaped. [`RequestHead`](crate::http::RequestHead) reads a `request`,
//! [`Headers`](crate::http::Headers) read fields.

use crate::edge::{Answer, Body};
use crate::ports::{CallRole, UpstreamAnswer, UpstreamCall, UpstreamFailure};

/// What tells `call.js` to wait for the promise that it was given.
pub const WAIT: &str = "W";

/// What tells `call.js` to send `call` to the upstream.
pub fn fetch(call: &UpstreamCall<'_>) -> String {
    let UpstreamCall { method, url, fields, timeout, replay_bytes, certificate, at_once, role } = *call;
    let replay = replay_bytes.map_or("-1".to_owned(), |bytes| bytes.to_string());
    let sign = if at_once && replay_bytes.is_some() { "+" } else { "" };
    let timeout = timeout.as_millis().to_string();
    let (space, binding) = certificate.map_or(("", ""), |name| (" ", name));
    let (letter, replay) = match role {
        CallRole::Alone => ("F", replay),
        CallRole::Leads => ("L", replay),
        CallRole::Waits(flight) => ("J", flight.to_string()),
    };
    [letter, &timeout, space, binding, "\n", sign, &replay, "\n", method, "\n", url, "\n", fields].concat()
}

/// Reads what came of a fetch.
///
/// # Errors
/// Why the upstream did not answer.
pub fn upstream(mut text: String) -> Result<UpstreamAnswer<()>, UpstreamFailure> {
    let (status, fields) = text.split_once('\n').unwrap_or((&text, ""));
    let status = status.parse().map_err(|_| match status {
        "timeout" => UpstreamFailure::Timeout,
        "gone" => UpstreamFailure::BodyGone,
        _ => UpstreamFailure::Unreachable,
    })?;
    let fields = text.split_off(text.len() - fields.len());
    Ok(UpstreamAnswer { status, fields, response: () })
}

/// What tells `call.js` to answer, and to log `lines`, each of which ends with a
/// line break.
pub fn answer(answer: &Answer<()>, lines: &str) -> String {
    let (kind, text) = match &answer.body {
        Body::Upstream(()) => ("U", ""),
        Body::Veiled((), token) => ("V", token.expose()),
        Body::Text(text) => ("T", text.as_str()),
        Body::Page(text) => ("P", &**text),
        Body::Empty => ("E", ""),
    };
    [kind, lines, &answer.status.to_string(), "\n", &answer.fields, "\n\n", text].concat()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde::Deserialize;
    use wasm_bindgen_test::wasm_bindgen_test;

    use super::*;
    use crate::http::{Headers, RequestHead};
    use crate::secret::Secret;

    #[derive(Deserialize)]
    struct Examples {
        requests: Vec<Request>,
        upstreams: Vec<Upstream>,
        fetches: Vec<Fetch>,
        joins: Vec<Join>,
        answers: Vec<Told>,
    }

    #[derive(Deserialize)]
    struct Request {
        text: String,
        method: String,
        url: String,
        fields: Vec<(String, String)>,
    }

    #[derive(Deserialize)]
    struct Upstream {
        text: String,
        status: Option<u16>,
        fields: Option<Vec<(String, String)>>,
        failure: Option<String>,
    }

    #[derive(Deserialize)]
    struct Fetch {
        text: String,
        #[serde(default)]
        leads: bool,
        timeout_ms: u64,
        certificate: Option<String>,
        replay_bytes: Option<usize>,
        #[serde(default)]
        at_once: bool,
        method: String,
        url: String,
        fields: Vec<(String, String)>,
    }

    #[derive(Deserialize)]
    struct Join {
        text: String,
        timeout_ms: u64,
        flight: u32,
    }

    #[derive(Deserialize)]
    struct Told {
        text: String,
        kind: String,
        lines: Vec<String>,
        status: u16,
        fields: Vec<(String, String)>,
        body: String,
    }

    fn examples() -> Examples {
        serde_json::from_slice(include_bytes!("../../tests/data/wire.json")).unwrap()
    }

    fn pairs(headers: &Headers<'_>) -> Vec<(String, String)> {
        headers.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
    }

    fn lines(fields: &[(String, String)]) -> String {
        fields.iter().map(|(name, value)| format!("{name}:{value}")).collect::<Vec<_>>().join("\n")
    }

    #[wasm_bindgen_test]
    fn reads_the_heads_of_requests() {
        let examples = examples().requests;
        assert!(examples.len() > 2);
        for Request { text, method, url, fields } in examples {
            let head = RequestHead::new(&text);
            assert_eq!((head.method, head.url), (&*method, &*url), "{text}");
            assert_eq!(pairs(&head.headers), fields, "{text}");
        }
    }

    #[wasm_bindgen_test]
    fn reads_what_came_of_a_fetch() {
        let examples = examples().upstreams;
        assert!(examples.len() > 4);
        for Upstream { text, status, fields, failure } in examples {
            let failure = failure.map(|failure| match &*failure {
                "timeout" => UpstreamFailure::Timeout,
                "gone" => UpstreamFailure::BodyGone,
                _ => UpstreamFailure::Unreachable,
            });
            match upstream(text.clone()) {
                Ok(answer) => {
                    assert_eq!((Some(answer.status), None), (status, failure), "{text}");
                    assert_eq!(Some(pairs(&answer.headers())), fields, "{text}");
                }
                Err(why) => assert_eq!((Some(why), None), (failure, status), "{text}"),
            }
        }
    }

    #[wasm_bindgen_test]
    fn takes_what_the_grammar_does_not_have_for_an_upstream_that_was_not_reached() {
        for text in ["", "\n", "F", "ok\na:b", "-1", "99999"] {
            let failure = upstream(text.to_owned()).err();
            assert_eq!(failure, Some(UpstreamFailure::Unreachable), "{text:?}");
        }
    }

    #[wasm_bindgen_test]
    fn writes_what_is_to_be_sent_to_the_upstream() {
        let examples = examples().fetches;
        assert!(examples.len() > 2);
        for Fetch { text, leads, timeout_ms, certificate, replay_bytes, at_once, method, url, fields } in
            examples
        {
            let (fields, timeout) = (lines(&fields), Duration::from_millis(timeout_ms));
            let certificate = certificate.as_deref();
            let call = UpstreamCall {
                method: &method,
                url: &url,
                fields: &fields,
                timeout,
                replay_bytes,
                certificate,
                at_once,
                role: if leads { CallRole::Leads } else { CallRole::Alone },
            };
            assert_eq!(fetch(&call), text);
        }
    }

    #[wasm_bindgen_test]
    fn writes_what_is_to_be_waited_for() {
        for Join { text, timeout_ms, flight } in examples().joins {
            let call = UpstreamCall {
                method: "",
                url: "",
                fields: "",
                timeout: Duration::from_millis(timeout_ms),
                replay_bytes: None,
                certificate: None,
                at_once: false,
                role: CallRole::Waits(flight),
            };
            assert_eq!(fetch(&call), text);
        }
    }

    #[wasm_bindgen_test]
    fn writes_answers() {
        let examples = examples().answers;
        assert!(examples.len() > 6);
        for Told { text, kind, lines: logged, status, fields, body } in examples {
            let body = match &*kind {
                "upstream" => Body::Upstream(()),
                "veiled" => Body::Veiled((), Secret::new(body)),
                "text" => Body::Text(body),
                "page" => Body::Page(body.into()),
                "empty" => Body::Empty,
                _ => panic!("{kind} is no kind of answer"),
            };
            let logged: String = logged.iter().flat_map(|line| [line, "\n"]).collect();
            assert_eq!(answer(&Answer { status, fields: lines(&fields), body }, &logged), text);
        }
    }

    #[wasm_bindgen_test]
    fn says_that_a_call_waits() {
        assert_eq!(WAIT, "W");
    }
}
