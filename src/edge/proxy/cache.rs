//! Copies of the upstream's answers, for rules that have a `cache` (RFC 9111).
//!
//! An isolate keeps copies in its memory, and nowhere else. The platform holds their bodies, which
//! never cross into the module; all decisions are made here.
//!
//! Invariant: a copy serves callers of its own key alone, which has everything that the answer may
//! depend on: the connection as it is registered, the rule, who calls, the address, and every field
//! that goes upstream.

pub(in crate::edge) mod copies;
mod freshness;

use std::cell::{Cell, OnceCell};
use std::rc::Rc;
use std::time::Duration;

use super::fields::{goes_upstream, is_named};
use crate::config::{CacheTerms, Connection};
use crate::edge::Code;
use crate::edge::answer::{Body, Draft, Refused};
use crate::edge::caller::CallerProof;
use crate::edge::caller::permission::Permission;
use crate::edge::connections::held::Found;
use crate::edge::context::Context;
use crate::http::{FieldLines, RequestPath};
use crate::ports::{CallRole, EdgePorts, UpstreamAnswer, UpstreamCall};
use crate::secret::{Fingerprint, Secret};
use copies::{AnswerCopy, Flight, Landing};
use freshness::CopyLife;

/// The largest body of a copy, in bytes.
const MAX_BODY_BYTES: usize = 256 * 1024;

/// How long a body may take to be copied. Whoever waits for the copy of a slower one calls by itself.
const LONGEST_BODY: Duration = Duration::from_secs(10);

/// The words of the log line.
const HIT: &str = "hit";
const STALE: &str = "stale";
const MISS: &str = "miss";
const COALESCED: &str = "coalesced";
const BYPASS: &str = "bypass";

/// A call of a rule that has a cache.
pub(super) struct CachedCall<'c, 'a, P> {
    context: &'c Context<'a, P>,
    connection: &'c Connection,
    path: RequestPath<'c>,
    terms: CacheTerms,
    key: String,
    /// Whether the caller asks for what it does not have yet.
    asks: bool,
    /// Whether people share the copies.
    is_shared: bool,
    /// The copy that there is, fresh or not.
    old: Option<Rc<AnswerCopy>>,
    /// What equal calls wait for, where this one leads.
    flight: Option<Rc<Flight>>,
    /// What a copy of the upstream's answer may be used for.
    freshness: Option<CopyLife>,
    word: &'static str,
}

/// The path of a connection, in every spelling that servers may read as the same.
pub(super) fn place(connection: &str, path: RequestPath<'_>) -> Fingerprint {
    let plain = percent_encoding::percent_decode_str(path.as_str()).decode_utf8_lossy().into_owned();
    Fingerprint::of(&[connection, &plain.trim_end_matches('/').to_ascii_lowercase()])
}

// Few rules have a cache: an isolate compiles only what it runs.
impl<'c, 'a, P: EdgePorts> CachedCall<'c, 'a, P> {
    /// The call to `url` that `permission` allows; `None` where no copy may answer it.
    #[inline(never)]
    pub(super) fn read(
        context: &'c Context<'a, P>,
        (found, connection): (&Found, &'c Connection),
        proof: &CallerProof<'_>,
        permission: &Permission<'_>,
        (path, url): (RequestPath<'c>, &str),
    ) -> Option<Self> {
        let (number, terms) = permission.cache?;
        let head = context.head;
        if !matches!(head.method, "GET" | "HEAD") || connection.acts(path) {
            return None;
        }
        let (own, are_many) = proof.identity(permission.caller)?;
        let who = if terms.shared { ["", ""] } else { [permission.caller, &own] };
        // What an isolate knows of a configured connection never changes.
        let version = found.version.map(|version| version.to_string() + &connection.identity.to_hex());
        let (version, number) = (version.unwrap_or_default(), number.to_string());
        // No part has a line break, and there are always as many before the fields.
        let mut key = [&*connection.id, &version, &number, who[0], who[1], head.own_origin(), url].join("\n");
        let (mut asks, mut asks_by_date, mut passes_by) = (false, false, false);
        let hop_by_hop = head.headers.value("connection").unwrap_or_default();
        for (name, value) in head.headers.iter() {
            match name {
                "if-none-match" => asks = true,
                "if-modified-since" => asks_by_date = true,
                _ if name == "range" || name.starts_with("if-") => passes_by = true,
                _ if goes_upstream(name, &connection.request_headers) => {
                    // It would be in the key, and does not go to the upstream.
                    passes_by |= is_named(hop_by_hop, name);
                    for part in ["\n", name, ":", value] {
                        key.push_str(part);
                    }
                }
                _ => {}
            }
        }
        let word = if passes_by || (asks_by_date && !asks) { BYPASS } else { MISS };
        let (old, flight, freshness, is_shared) = (None, None, None, terms.shared || are_many);
        Some(Self { context, connection, path, terms, key, asks, is_shared, old, flight, freshness, word })
    }

    /// The role that the call has among equal ones, on its way to the upstream.
    pub(super) const fn role(&self) -> CallRole {
        if self.flight.is_some() { CallRole::Leads } else { CallRole::Alone }
    }

    /// The answer from a fresh copy, or the equal call to wait for; neither where the call has to go to
    /// the upstream.
    #[inline(never)]
    pub(super) fn look_up(&mut self) -> Option<Result<Draft<P::Response>, Rc<Flight>>> {
        if self.word == BYPASS {
            return None;
        }
        let Context { edge, head, .. } = self.context;
        let (copies, now) = (&edge.isolate.copies, edge.now());
        self.old = copies.get(&self.key);
        if let Some(copy) = self.old.as_ref().filter(|copy| now.as_millis() < copy.fresh_until) {
            return Some(Ok(self.draft(copy, HIT)));
        }
        if self.asks || head.method == "HEAD" {
            return None;
        }
        let place = || place(&self.connection.id, self.path);
        let budget = self.connection.guard.as_ref().and_then(|guard| guard.budget);
        let queue = Duration::from_millis(budget.map_or(0, |budget| budget.queue_ms));
        let until = now + (queue + self.connection.timeout + LONGEST_BODY);
        let mut release = |flight| edge.ports.release(flight);
        let (flight, is_new) = copies.board(&self.key, place, (now, until), &mut release)?;
        if !is_new {
            return Some(Err(flight));
        }
        self.flight = Some(flight);
        None
    }

    /// Waits for an equal call, and answers as that was answered; `None` where the call has to go to the
    /// upstream all the same.
    ///
    /// # Errors
    /// The failure of the equal call.
    pub(super) async fn wait(&self, leader: Rc<Flight>) -> Result<Option<Draft<P::Response>>, Refused> {
        let ports = &self.context.edge.ports;
        let wait = UpstreamCall {
            method: "",
            url: "",
            fields: "",
            timeout: leader.until.since(ports.now()),
            replay_bytes: None,
            certificate: None,
            at_once: false,
            role: CallRole::Waits(leader.number),
        };
        drop(ports.pass_on(&wait).await);
        match &*leader.landing.borrow() {
            Landing::Alone => Ok(None),
            Landing::Failed(refused) => {
                self.context.note(|line| line.cache = Some(COALESCED));
                Err(*refused)
            }
            Landing::Shared(copy, word) => Ok(Some(self.draft(copy, word))),
        }
    }

    /// Notes what a copy of `answer` may be used for.
    #[inline(never)]
    pub(super) fn judge(&mut self, answer: &UpstreamAnswer<P::Response>) {
        let now = self.context.edge.now();
        self.freshness = freshness::judge(answer.status, &answer.headers(), self.terms, self.is_shared, now);
    }

    /// The answer to the call that went to the upstream, from what came of it.
    ///
    /// # Errors
    /// What `came` of the call, unless there is a copy for that.
    #[inline(never)]
    pub(super) fn end(
        mut self,
        came: Result<Draft<P::Response>, Refused>,
    ) -> Result<Draft<P::Response>, Refused> {
        let edge = self.context.edge;
        let has_failed = match &came {
            Ok(draft) => matches!(draft.status, 500 | 502 | 503 | 504),
            Err(refused) => matches!(
                refused.cause.unwrap_or(refused.code),
                Code::UpstreamUnreachable
                    | Code::UpstreamTimeout
                    | Code::UpstreamLimited
                    | Code::TokenEndpointUnreachable
                    | Code::TokenEndpointTimeout
            ),
        };
        let now = edge.now().as_millis();
        // It may have become old meanwhile.
        let old = if has_failed { edge.isolate.copies.get(&self.key) } else { None };
        if let Some(old) = old.filter(|old| now < old.stale_until) {
            if let Ok(Draft { body: Body::Upstream(response) | Body::Veiled(response, _), .. }) = came {
                edge.ports.discard(response);
            }
            self.land(Landing::Shared(Rc::clone(&old), STALE));
            return Ok(self.draft(&old, STALE));
        }
        self.context.note(|line| line.cache = Some(self.word));
        let mut draft = match came {
            Ok(draft) => draft,
            Err(refused) => {
                // Where parties share a budget, another one may have some left.
                let is_own = refused.code == Code::QuotaExhausted && self.has_parties();
                self.land(if is_own { Landing::Alone } else { Landing::Failed(refused) });
                return Err(refused);
            }
        };
        let why = match (self.word, &self.old) {
            (BYPASS, _) => "bypass",
            (_, None) => "uri-miss",
            (_, Some(_)) => "stale",
        };
        let stored = if self.keep(&mut draft) { "; stored" } else { "" };
        draft.fields.push_sound("cache-status", &["porteiro; fwd=", why, stored]);
        Ok(draft)
    }

    /// Whether parties share the connection's budget.
    fn has_parties(&self) -> bool {
        let budget = self.connection.guard.as_ref().and_then(|guard| guard.budget);
        budget.is_some_and(|budget| budget.per_caller)
    }

    /// Ends the wait of equal calls.
    fn land(&self, landing: Landing) {
        if let Some(flight) = &self.flight {
            let edge = self.context.edge;
            edge.isolate.copies.land(flight, landing);
            edge.ports.release(flight.number);
        }
    }

    /// Begins to copy the body of `draft`, for those who wait and, where it is of use for any time,
    /// for those to come; true for the latter.
    fn keep(&mut self, draft: &mut Draft<P::Response>) -> bool {
        let headers = draft.fields.headers();
        let length = headers.value("content-length").and_then(|length| length.parse().ok());
        let is_small = length.is_none_or(|length: usize| length <= MAX_BODY_BYTES);
        let freshness = self.freshness.filter(|_| is_small);
        let (Some(flight), Some(freshness)) = (self.flight.clone(), freshness) else {
            self.land(Landing::Alone);
            return false;
        };
        // The runtime decodes what it reads.
        let is_decoded = matches!(headers.value("content-encoding"), Some("gzip" | "br"));
        let mut fields = FieldLines::default();
        for (name, value) in headers.iter() {
            let is_of_coding = is_decoded && matches!(name, "content-encoding" | "content-length");
            if name != "age" && !name.contains("ratelimit") && !is_of_coding {
                fields.push(name, value);
            }
        }
        let edge = self.context.edge.clone();
        let now = edge.now().as_millis();
        let fresh_until = now + freshness.fresh;
        let copy = Rc::new(AnswerCopy {
            status: draft.status,
            fields,
            vary: draft.vary.clone(),
            body: OnceCell::new(),
            born_at: now.saturating_sub(freshness.age),
            fresh_until,
            stale_until: fresh_until + freshness.stale,
            used: Cell::default(),
        });
        let is_stored = now < copy.stale_until;
        let done = move |kept| {
            let copies = &edge.isolate.copies;
            let mut landing = Landing::Alone;
            if let Some(body) = kept
                && copy.body.set(body).is_ok()
            {
                if is_stored {
                    copies.store(&flight, &copy);
                }
                landing = Landing::Shared(copy, COALESCED);
            }
            copies.land(&flight, landing);
            edge.ports.release(flight.number);
        };
        let none = Secret::new(String::new());
        let (response, secrets) = match std::mem::replace(&mut draft.body, Body::Empty) {
            Body::Upstream(response) => (response, none),
            Body::Veiled(response, secrets) => (response, secrets),
            // The upstream's answer has no other body.
            Body::Empty | Body::Text(_) | Body::Page(_) => return false,
        };
        let ports = &self.context.edge.ports;
        let response = ports.keep(response, MAX_BODY_BYTES, LONGEST_BODY, secrets.expose(), Box::new(done));
        draft.body = Body::Upstream(response);
        is_stored
    }

    /// The answer from `copy`, by the `word` for how it came.
    fn draft(&self, copy: &AnswerCopy, word: &'static str) -> Draft<P::Response> {
        self.context.note(|line| line.cache = Some(word));
        let edge = self.context.edge;
        let now = edge.now().as_millis();
        let mut draft = Draft::empty(copy.status);
        draft.vary.clone_from(&copy.vary);
        if copy.is_known(&self.context.head.headers) {
            draft.status = 304;
            for (name, value) in copy.fields.headers().iter() {
                if !name.starts_with("content-") || name == "content-location" {
                    draft.fields.push(name, value);
                }
            }
        } else if let Some((body, _)) = copy.body.get() {
            draft.fields = copy.fields.clone();
            draft.body = Body::Upstream(edge.ports.serve(body));
        }
        draft.fields.push("age", &(now.saturating_sub(copy.born_at) / 1000).to_string());
        let ttl = (now.abs_diff(copy.fresh_until) / 1000).to_string();
        let (how, ttl) = match word {
            HIT => ("hit; ttl=", &*ttl),
            STALE => ("fwd=stale; ttl=-", &*ttl),
            _ => ("fwd=uri-miss; collapsed", ""),
        };
        draft.fields.push_sound("cache-status", &["porteiro; ", how, ttl]);
        draft
    }
}
