//! Reading the webhook of a connection.

use super::limits::{ACCEPTED_STATUS, WEBHOOK_BYTES};
use super::provider::{self, Provider};
use super::reader::Reader;
use super::secrets::Secrets;
use super::{Webhook, headers, syntax};
use crate::webhook::{AccountTokens, Proof, SigningKeys};

const FIELDS: &[&str] =
    &["token_field", "token_header", "id_field", "forward_to", "max_bytes", "accepted_status"];

/// The field of a connection that its webhook stands in.
pub(super) const WEBHOOK: &str = "webhook";

/// Reads the webhook of a connection, if it has one; `None` where any of its fields is wrong. Problems
/// of the webhook do not break the connection's calls, nor the reverse.
pub(super) fn read(reader: &mut Reader<'_, '_>, secrets: &Secrets<'_>) -> Option<Webhook> {
    let before = reader.count();
    let provider = provider::named(reader);
    let defaults = provider.map(Provider::defaults).unwrap_or_default();
    let mut reader = reader.with_defaults(&defaults);
    let read =
        reader.table(WEBHOOK).and_then(|mut table| read_table(&mut table, secrets, provider.is_some()));
    read.filter(|_| reader.count() == before)
}

fn read_table(table: &mut Reader<'_, '_>, secrets: &Secrets<'_>, is_known: bool) -> Option<Webhook> {
    let proof = read_proof(table, is_known);
    let id_members = read_id_members(table);
    if !table.has("forward_to") {
        table.report("forward_to", "is missing: write the https address of the application's own receiver");
    }
    let forward_to = table.parse("forward_to", &syntax::document_url);
    let max_bytes = usize::try_from(table.number("max_bytes", &WEBHOOK_BYTES)).ok();
    let accepted_status = u16::try_from(table.number("accepted_status", &ACCEPTED_STATUS)).ok();
    table.only(FIELDS);
    // In a field other than `Authorization`, a scheme is part of the token.
    let are_bare = !matches!(&proof, Some(Proof::Header(name)) if name.as_str() != "authorization");
    let tokens = secrets.parsed(
        "ACCOUNT_TOKEN",
        are_bare,
        table,
        AccountTokens::parse,
        "must hold at least one token",
    );
    let signing_keys = secrets.parsed(
        "WEBHOOK_SECRET",
        true,
        table,
        SigningKeys::parse,
        "must be whsec_ and 24 to 64 bytes in base64, several separated by commas",
    );
    Some(Webhook {
        proof: proof?,
        account_tokens: tokens?,
        id_members,
        forward_to: forward_to?,
        max_bytes: max_bytes?,
        accepted_status: accepted_status?,
        signing_keys: signing_keys?,
    })
}

fn read_proof(table: &mut Reader<'_, '_>, is_known: bool) -> Option<Proof> {
    // What the connection names stands for the provider's default.
    let has = |name| table.has_own(name);
    let places = if has("token_field") || has("token_header") {
        (has("token_field"), has("token_header"))
    } else {
        (table.has("token_field"), table.has("token_header"))
    };
    match places {
        (true, true) => {
            table.report("token_header", "must not stand beside token_field: the token comes in one place");
            None
        }
        (true, false) => table.parse("token_field", &syntax::filled).map(Proof::Member),
        (false, true) => table.parse("token_header", &headers::credential_field).map(Proof::Header),
        (false, false) => {
            // For an unknown provider a missing member is not a problem of its own.
            if is_known {
                table.report(
                    "token_field",
                    "is missing: name the member that carries the account token, or its header field as token_header",
                );
            }
            None
        }
    }
}

/// One name, or an array of names. There is no preset: a change of any member may be an event of
/// its own.
fn read_id_members(table: &mut Reader<'_, '_>) -> Vec<String> {
    const NAMES: &str = "must be the name of a member, or an array of names";
    if table.value("id_field").is_some_and(serde_json::Value::is_array) {
        return table.list("id_field", true, NAMES, &syntax::filled);
    }
    table.parse("id_field", &syntax::filled).into_iter().collect()
}
