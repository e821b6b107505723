//! Reading the webhook of a connection.

use std::rc::Rc;

use super::limits::{ACCEPTED_STATUS, WEBHOOK_BYTES};
use super::reader::Reader;
use super::secrets::{Owners, Secrets};
use super::webhook_proof::{self, PROOFS};
use super::{Configured, Entries, Problem, Webhook, syntax};
use crate::webhook::{AccountTokens, Proof, SigningKeys};

/// The fields besides [`PROOFS`].
const FIELDS: &[&str] = &["id_field", "forward_to", "max_bytes", "accepted_status", "handshake"];

/// Webhooks by connection, as in [`super::Config::webhooks`].
pub(super) type Webhooks = Entries<Configured<Rc<Webhook>>>;

/// Reads the table `webhook` of the connection called `id` into `webhooks`. Problems of the webhook
/// do not break the connection's calls, nor the reverse.
pub(super) fn read(
    id: &str,
    secrets: &Secrets<'_>,
    reader: &mut Reader<'_, '_>,
    is_known: bool,
    webhooks: &mut Webhooks,
) {
    if reader.has_own("webhook") {
        let before = reader.count();
        let read = reader.table("webhook").and_then(|mut table| read_table(&mut table, secrets, is_known));
        webhooks.insert(id.to_owned(), read.filter(|_| reader.count() == before).map(Rc::new).into());
    }
}

/// Marks webhooks as broken whose secrets have the names of another connection's.
pub(super) fn drop_ambiguous<T>(
    webhooks: &mut Webhooks,
    connections: &Entries<T>,
    problems: &mut Vec<Problem>,
) {
    let owners = Owners::count(connections.keys());
    for (id, webhook) in webhooks.iter_mut() {
        if owners.of(&format!("{id}_account")) > 0 {
            let message = "must be a connection of another name: its account token is another one's token";
            let mut problem = Problem::new(format!("CONNECTIONS.{id}.webhook"), message);
            problem.note_connection(id);
            problems.push(problem);
            *webhook = Configured::Broken;
        }
        // This problem was reported with the connections.
        if owners.of(id) > 1 {
            *webhook = Configured::Broken;
        }
    }
}

fn read_table(table: &mut Reader<'_, '_>, secrets: &Secrets<'_>, is_known: bool) -> Option<Webhook> {
    let proof = webhook_proof::read(table, is_known);
    let id_members = read_id_members(table);
    if !table.has("forward_to") {
        table.report("forward_to", "is missing: write the https address of the application's own receiver");
    }
    let forward_to = table.parse("forward_to", syntax::document_url);
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
        handshake,
    })
}

/// One name, or an array of names. There is no preset: a change of any member may be an event of
/// its own.
fn read_id_members(table: &mut Reader<'_, '_>) -> Vec<String> {
    const NAMES: &str = "must be the name of a member, or an array of names";
    if table.value("id_field").is_some_and(serde_json::Value::is_array) {
        return table.list("id_field", true, NAMES, syntax::filled);
    }
    table.parse("id_field", syntax::filled).into_iter().collect()
}
