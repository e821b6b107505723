//! What storage has of sessions and consents.

use super::{BTreeSet, ConsentWatch, Held, JOINABLE, Provider, UNTOUCHED, UnixTime, Value};

impl ConsentWatch {
    /// Called when a session's own record became durable.
    pub fn session_stored(&self, name: &str, state: &Value, now: UnixTime, provider: &Provider) {
        let text = |value: &Value| value.as_str().expect("a text").to_owned();
        let mut seen = self.seen.borrow_mut();
        let session = seen.sessions.entry(name.to_owned()).or_default();
        let has_ended = session.cleared_at.is_some();
        self.demand(!has_ended, "nothing-after-the-end", "a session is stored after its end");
        let proof = text(&state["proof"]);
        let connections: Vec<String> =
            state["connections"].as_array().expect("a list").iter().map(text).collect();
        let first = state["people"]
            .get(0)
            .map(|person| (text(&person["connection"]), text(&person["issuer"]), text(&person["subject"])));
        let is_other = |one: &(String, String, String), other: &(String, String, String)| {
            one.0 == other.0 && (&one.1, &one.2) != (&other.1, &other.2)
        };
        let switches =
            session.first.as_ref().zip(first.as_ref()).is_some_and(|(one, other)| is_other(one, other));
        if let Some(before) = session.proof.replace(proof.clone()).filter(|before| *before != proof) {
            if switches {
                session.replaced.values_mut().for_each(|(_, joinable)| *joinable = now);
            }
            let until = if switches { now } else { now + JOINABLE };
            session.replaced.insert(before, (now, until));
        }
        if switches {
            let alone = connections.len() == 1;
            self.demand(alone, "own-token", "another person signs in, and gets what the one before had");
        }
        session.stored_at = Some(now);
        for connection in session.connections.iter().filter(|known| !connections.contains(known)) {
            let held = session.held.get(connection).and_then(|held| held.refresh.as_ref());
            let is_lost = !switches
                && !session.asked_to_disconnect.contains(connection)
                && held.is_some_and(|token| provider.would_refresh(token));
            self.demand(!is_lost, "keeps-working", "a session loses a token set that the provider takes");
        }
        let removed: Vec<u64> = (session.connections.iter().filter(|known| !connections.contains(known)))
            .filter_map(|known| session.held.get(known))
            .flat_map(|held| held.families(provider))
            .collect();
        (session.connections, session.first) = (connections, first);
        for family in removed {
            seen.given_up.entry(family).or_insert(now);
        }
    }

    /// Called when a person's token set became durable; `with_session` says that it is of a consent.
    pub fn set_stored(
        &self,
        (name, connection): (&str, &str),
        held: &Held,
        with_session: bool,
        now: UnixTime,
        provider: &Provider,
    ) {
        let families = held.families(provider);
        let mut seen = self.seen.borrow_mut();
        let ended = families.iter().any(|family| seen.given_up.get(family).is_some_and(|at| *at < now));
        self.demand(!ended, "nothing-after-the-end", "a token set is stored after its end");
        let session = seen.sessions.entry(name.to_owned()).or_default();
        let before = session.held.insert(connection.to_owned(), held.clone()).unwrap_or_default();
        let known = before.families(provider);
        if !with_session {
            let goes_on = families.iter().all(|family| known.contains(family));
            self.demand(goes_on, "one-set", "a token set is stored over the next one's");
        }
        let owner = |token: &Option<String>| token.as_ref().and_then(|token| provider.consented(token));
        if let (Some(access), Some(refresh)) = (owner(&held.access), owner(&held.refresh)) {
            let is_own = (&access.connection, &access.subject) == (&refresh.connection, &refresh.subject);
            self.demand(is_own, "own-refresh", "a refresh token of one person is kept for another");
        }
        if let Some(before) = before.refresh.filter(|before| {
            Some(before) != held.refresh.as_ref()
                && held.refresh.as_ref().is_some_and(|next| provider.family(next) == provider.family(before))
        }) {
            seen.replaced.insert(before);
        }
        seen.durable.extend(held.access.clone());
        if let Some(consented) = owner(&held.access).filter(|_| with_session) {
            let is_named = seen.logouts.iter().any(|logout| logout.names(&consented));
            self.demand(!is_named, "logged-out", "a consent is stored that was logged out in flight");
        }
    }

    /// Called when the storage of a session has changed: what it has fits together.
    pub fn check_session(&self, name: &str, provider: &Provider) {
        let seen = self.seen.borrow();
        let Some(session) = seen.sessions.get(name).filter(|session| session.proof.is_some()) else { return };
        let mut browsers = BTreeSet::new();
        for connection in &session.connections {
            let Some(held) = session.held.get(connection) else {
                self.demand(false, "both-or-none", "a session has a connection without a token set");
                continue;
            };
            let Some(consented) = held.access.as_ref().and_then(|token| provider.consented(token)) else {
                continue;
            };
            browsers.insert(consented.browser);
            let (first, subject) = (session.first.as_ref(), &consented.subject);
            let is_own = first.is_none_or(|(own, _, person)| own != connection || person == subject);
            self.demand(is_own, "own-token", "a session has another person's token");
        }
        self.demand(browsers.len() <= 1, "own-token", "a session has tokens of two browsers");
    }

    /// Called when a session's storage was cleared.
    pub fn cleared(&self, name: &str, now: UnixTime, provider: &Provider) {
        let mut seen = self.seen.borrow_mut();
        let Some(session) = seen.sessions.get_mut(name) else { return };
        if session.proof.is_none() && session.held.is_empty() {
            return;
        }
        let is_over = session.is_asked_to_end || session.stored_at.is_none_or(|at| now > at + UNTOUCHED);
        self.demand(is_over, "keeps-working", "a session ends that nobody ended");
        session.cleared_at.get_or_insert(now);
        session.connections.clear();
        let held = std::mem::take(&mut session.held);
        for family in held.values().flat_map(|held| held.families(provider)) {
            seen.given_up.entry(family).or_insert(now);
        }
    }

    /// Called when the state of a keeper became durable.
    pub fn keeper_stored(&self, connection: &str, held: &Held, provider: &Provider) {
        let mut seen = self.seen.borrow_mut();
        seen.durable.extend(held.access.clone());
        for family in held.families(provider) {
            let known = seen.of_service.entry(connection.to_owned()).or_default();
            if known.last() != Some(&family) {
                self.demand(!known.contains(&family), "one-set", "a token set is stored over the next one's");
                known.push(family);
            }
        }
    }
}
