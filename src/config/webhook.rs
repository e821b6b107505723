//! Reading the webhook of a connection, and the receiver of events.

use std::rc::Rc;

use super::limits::{ACCEPTED_STATUS, WEBHOOK_BYTES};
use super::provider::{self, Provider};
use super::reader::Reader;
use super::secrets::Secrets;
use super::webhook_proof::{self, PROOFS};
use super::{Receiver, Webhook, syntax};
use crate::webhook::{AccountTokens, Proof, SigningKeys};

/// The fields besides [`PROOFS`].
const FIELDS: &[&str] = &["id_field", "forward_to", "max_bytes", "accepted_status", "handshake"];

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
    let proof = webhook_proof::read(table, is_known);
    let id_members = read_id_members(table);
    let address = read_address(table, "forward_to");
    let max_bytes = usize::try_from(table.number("max_bytes", &WEBHOOK_BYTES)).ok();
    let accepted_status = u16::try_from(table.number("accepted_status", &ACCEPTED_STATUS)).ok();
    let handshake = webhook_proof::read_handshake(table);
    let known: Vec<&str> = FIELDS.iter().copied().chain(PROOFS).collect();
    table.only(&known);
    // In a field other than `Authorization`, a scheme is part of the token. A key may be any text.
    let are_bare = match &proof {
        Some(Proof::Header(name)) => name.as_str() == "authorization",
        Some(Proof::Hmac(_)) => false,
        Some(Proof::Member(_) | Proof::Path) | None => true,
    };
    let tokens = secrets.parsed(
        "ACCOUNT_TOKEN",
        are_bare,
        table,
        AccountTokens::parse,
        "must hold at least one token",
    );
    let receiver = read_receiver(table, address, secrets, "WEBHOOK_SECRET");
    Some(Webhook {
        proof: proof?,
        account_tokens: tokens?,
        id_members,
        max_bytes: max_bytes?,
        accepted_status: accepted_status?,
        receiver: Rc::new(receiver?),
        handshake,
    })
}

/// Reads the field called `field`, the address of a receiver.
pub(super) fn read_address(table: &mut Reader<'_, '_>, field: &str) -> Option<String> {
    if !table.has(field) {
        table.report(field, "is missing: write the https address of your receiver");
    }
    table.parse(field, &syntax::document_url)
}

/// The receiver at `address`, whose signing keys are in the secret called `secret`.
pub(super) fn read_receiver(
    table: &mut Reader<'_, '_>,
    address: Option<String>,
    secrets: &Secrets<'_>,
    secret: &str,
) -> Option<Receiver> {
    let message = "must be whsec_ and 24 to 64 bytes in base64, several separated by commas";
    let signing_keys = secrets.parsed(secret, true, table, SigningKeys::parse, message);
    Some(Receiver { address: address?, signing_keys: signing_keys? })
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
