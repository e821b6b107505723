//! Answers of the upstream that mean that the token is dead.

use std::time::Duration;

use crate::config::Connection;
use crate::http::{Headers, says_invalid_token};
use crate::json;
use crate::ports::{Upstream, UpstreamAnswer};

/// The largest body that is looked at, in bytes.
const MAX_BYTES: usize = 16 * 1024;

/// How long such a body may take. Whatever comes later passes without a look.
const LONGEST: Duration = Duration::from_secs(5);

/// Whether the upstream refuses the token: by 401, by another 4xx with the error `invalid_token`
/// (RFC 6750 §3.1), or by an answer of which the connection says so.
pub(super) async fn is_refused<P: Upstream>(
    ports: &P,
    connection: &Connection,
    answer: &UpstreamAnswer<P::Response>,
) -> bool {
    says_refused(answer) || (!connection.dead_token.is_empty() && has_sign(ports, connection, answer).await)
}

fn says_refused<R>(answer: &UpstreamAnswer<R>) -> bool {
    let is_plain = || {
        let headers = answer.headers();
        let mut challenges = headers.iter().filter(|(name, _)| *name == "www-authenticate");
        challenges.any(|(_, value)| says_invalid_token(value))
    };
    answer.status == 401 || ((400..500).contains(&answer.status) && is_plain())
}

async fn has_sign<P: Upstream>(
    ports: &P,
    connection: &Connection,
    answer: &UpstreamAnswer<P::Response>,
) -> bool {
    let (status, headers, signs) = (answer.status, answer.headers(), &connection.dead_token);
    if signs.iter().any(|sign| sign.is_in_head(status, &headers)) {
        return true;
    }
    let is_looked_at = signs.iter().any(|sign| sign.may_be_in_body(status)) && may_be_short_json(&headers);
    if !is_looked_at {
        return false;
    }
    let limit = connection.timeout.min(LONGEST);
    let Some(body) = ports.read_ahead(&answer.response, MAX_BYTES, limit).await else { return false };
    let body = json::parse_last(json::without_mark(&body));
    body.is_ok_and(|body| signs.iter().any(|sign| sign.may_be_in_body(status) && sign.is_in_body(&body)))
}

/// Whether a body is JSON by its type, and not known to be longer than is looked at.
fn may_be_short_json(headers: &Headers<'_>) -> bool {
    let media_type = headers.value("content-type").unwrap_or_default().to_ascii_lowercase();
    let media_type = media_type.split(';').next().unwrap_or_default().trim_end();
    let length = headers.value("content-length").and_then(|length| length.parse::<usize>().ok());
    let length = length.filter(|_| headers.value("content-encoding").is_none());
    (media_type == "application/json" || media_type.ends_with("+json"))
        && length.is_none_or(|length| length <= MAX_BYTES)
}

#[cfg(test)]
#[cfg(not(target_arch = "wasm32"))]
mod tests {
    use super::*;

    #[test]
    fn looks_at_short_json_alone() {
        for (fields, is_looked_at) in [
            ("content-type:application/json", true),
            ("content-type:Application/JSON ; charset=utf-8", true),
            ("content-type:application/problem+json\ncontent-length:16384", true),
            ("content-type:application/json\ncontent-length:16385", false),
            ("content-type:application/json\ncontent-length:?", true),
            ("content-type:application/json\ncontent-length:16385\ncontent-encoding:gzip", true),
            ("content-type:text/json", false),
            ("content-type:application/jsonl", false),
            ("content-type:text/html", false),
            ("", false),
        ] {
            assert_eq!(may_be_short_json(&Headers::new(fields)), is_looked_at, "{fields}");
        }
    }
}
