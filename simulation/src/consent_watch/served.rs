//! What calls are served by, and which session a flow ends in.

use super::{ConsentWatch, LAG, Logout, Provider, SessionId, UnixTime, Visit};

impl ConsentWatch {
    /// Records that the session of `visit` is used.
    pub fn served(&self, visit: &Visit) {
        let seen = self.seen.borrow();
        let id = visit.cookie().and_then(SessionId::parse);
        let is_known = visit.cookie().is_some_and(|cookie| seen.cookies.contains_key(cookie));
        self.demand(is_known, "known-cookie", "a call is served with a cookie that was never given");
        let Some((id, session)) =
            id.and_then(|id| Some((seen.sessions.get(id.name())?, id))).map(|(s, id)| (id, s))
        else {
            return;
        };
        let is_before = |at: &UnixTime| visit.begun_at <= *at + LAG;
        let lives = session.cleared_at.iter().all(is_before)
            && session.ended_at.is_none_or(|at| visit.begun_at <= at);
        self.demand(lives, "dead-stays-dead", "a session is served after its end");
        let replaced = session.replaced.get(&id.proof().to_hex());
        let is_current = replaced.is_none_or(|(at, _)| is_before(at));
        self.demand(is_current, "dead-stays-dead", "a call is served with a replaced cookie");
    }

    /// Called when a person's call to `connection` is sent with `token`.
    pub fn sends(&self, visit: &Visit, connection: &str, token: &str, is_valid: bool, provider: &Provider) {
        self.served(visit);
        let seen = self.seen.borrow();
        let consented = provider.consented(token).expect("a token of a consent");
        let browser = visit.cookie().and_then(|cookie| seen.cookies.get(cookie));
        let is_own = consented.connection == connection && browser == Some(&consented.browser);
        self.demand(is_own, "own-token", "a call carries another person's token");
        self.demand(is_valid, "never-expired", "an expired token is sent");
        self.demand(
            seen.durable.contains(token),
            "durable-before-use",
            "a token is sent that is not durable",
        );
        let given_up = provider.family(token).and_then(|family| seen.given_up.get(&family));
        let lives = given_up.is_none_or(|at| visit.begun_at <= *at + LAG);
        self.demand(lives, "dead-stays-dead", "a call carries a token that was given up");
        let is_named = |logout: &Logout| visit.begun_at > logout.ended_at && logout.names(&consented);
        let is_named = seen.logouts.iter().any(is_named);
        self.demand(!is_named, "logged-out", "a call carries the token of whoever was logged out");
    }

    /// Called when a call of a service is sent.
    pub fn service_sends(&self, connection: &str, token: &str, provider: &Provider) {
        let consented = provider.consented(token).expect("a token of a consent");
        self.demand(consented.connection == connection, "own-token", "a call carries another's token");
        let is_durable = self.seen.borrow().durable.contains(token);
        self.demand(is_durable, "durable-before-use", "a token is sent that is not durable");
    }

    /// Called when a flow that began with the cookie `old` ended in the session of the cookie `new`.
    pub fn connected(&self, old: Option<&str>, new: &str, now: UnixTime) {
        let [old, new] = [old, Some(new)].map(|cookie| cookie.and_then(SessionId::parse));
        let (Some(old), Some(new)) = (old, new) else { return };
        let seen = self.seen.borrow();
        let Some(session) = seen.sessions.get(old.name()) else { return };
        let proof = old.proof().to_hex();
        let is_joinable = session.cleared_at.is_none()
            && (session.proof.as_ref() == Some(&proof)
                || session.replaced.get(&proof).is_some_and(|(_, until)| now < *until));
        let joins = !is_joinable || old.name() == new.name();
        self.demand(joins, "one-session", "a flow did not join the session that it began in");
    }

    /// Whether `cookie` is the one of a session that lives, as far as storage says.
    pub fn lives(&self, cookie: &str) -> bool {
        let Some(id) = SessionId::parse(cookie) else { return false };
        let seen = self.seen.borrow();
        seen.sessions
            .get(id.name())
            .is_some_and(|session| session.cleared_at.is_none() && session.proof == Some(id.proof().to_hex()))
    }
}
