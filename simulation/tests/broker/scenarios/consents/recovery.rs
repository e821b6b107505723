//! The part of a schedule in which nothing goes wrong any more.

use super::browser::Browser;
use super::flow::Outcome;
use super::*;
use porteiro::edge::people::cookie::SessionId;
use porteiro_simulation::{Held, PROVIDER};

/// Whoever had a working token set is served; everybody can connect in two tabs, disconnect, be logged
/// out and sign out; what is given up is revoked; and in the end nothing is kept.
pub(super) fn recover(crowd: &Rc<Crowd>) -> Result<(), String> {
    let (shared, world) = (&crowd.site.shared, crowd.world());
    shared.provider.chaos.set(0);
    shared.provider.slow.set(0);
    shared.provider.down.set(false);
    shared.provider.refuses_all.set(false);
    shared.issuers.down.set(false);
    shared.cache.failures.set(0);
    shared.objects.failures.set(0);
    shared.objects.losses.set(0);
    // What is under way ends.
    world.run_for(Duration::from_mins(4));
    for browser in &crowd.browsers {
        crowd.keeps_working(browser)?;
    }
    world.run_for(Duration::from_mins(11));
    for (browser, subject) in crowd.browsers.iter().zip(PEOPLE) {
        crowd.lives_through_all(browser, subject)?;
    }
    crowd.serves_all_callers()?;
    // The longest life of a session.
    world.run_for(Duration::from_hours(8 * 24));
    for prefix in ["session/", "one-time/", "people/"] {
        for name in shared.objects.names(prefix) {
            let is_kept = !shared.objects.texts(&name).is_empty() || shared.objects.alarm(&name).is_some();
            if is_kept && shared.consents.is_armed(&name) {
                return Err(format!("nothing-kept: {name} is kept after its end"));
            }
        }
    }
    crowd.broken().map_or(Ok(()), Err)
}

fn need(holds: bool, what: &str) -> Result<(), String> {
    if holds { Ok(()) } else { Err(what.to_owned()) }
}

impl Crowd {
    /// Waits for the end of `task`, in which no isolate ends.
    fn wait<T: 'static>(
        self: &Rc<Self>,
        task: impl AsyncFnOnce(Rc<Self>) -> Option<T> + 'static,
    ) -> Result<T, String> {
        let (crowd, world) = (Rc::clone(self), self.world().clone());
        let done = world.block_on(PROVIDER, async move { task(crowd).await });
        done.ok_or_else(|| "recovery: a request is not answered as it must be".to_owned())
    }

    fn status_of(
        self: &Rc<Self>,
        browser: &Rc<Browser>,
        connection: &'static str,
    ) -> Result<Answered, String> {
        let browser = Rc::clone(browser);
        self.wait(async move |crowd: Rc<Self>| crowd.call(&browser, connection).await)
    }

    /// The stored token set of the browser's session.
    fn held(&self, browser: &Browser, connection: &str) -> Option<Held> {
        let session = SessionId::parse(&browser.jar()?)?;
        self.site.shared.consents.held(session.name(), connection)
    }

    /// Whoever had a token set that the provider takes is served by it.
    fn keeps_working(self: &Rc<Self>, browser: &Rc<Browser>) -> Result<(), String> {
        let shared = &self.site.shared;
        let provider = &shared.provider;
        for connection in CONNECTIONS {
            let lives = browser.jar().is_some_and(|cookie| shared.consents.lives(&cookie));
            let Some(held) = self.held(browser, connection).filter(|_| lives) else { continue };
            if !held.refresh.is_some_and(|token| provider.would_refresh(&token)) {
                continue;
            }
            let is_served = (0..12).any(|_| {
                let status = self.status_of(browser, connection).map(|answered| answered.status);
                self.world().run_for(Duration::from_secs(30));
                status == Ok(200)
            });
            need(is_served, "keeps-working: a token set is lost that the provider takes")?;
        }
        Ok(())
    }

    /// Two tabs, a disconnection, a logout, a sign-out, and returns that come twice.
    fn lives_through_all(
        self: &Rc<Self>,
        browser: &Rc<Browser>,
        subject: &'static str,
    ) -> Result<(), String> {
        let shared = &self.site.shared;
        let one = Rc::clone(browser);
        let tabs = self.wait(async move |crowd: Rc<Self>| {
            // A session from before may be another person's.
            crowd.sign_out(&one).await?;
            let first = crowd.connect(&one, "cargo", subject, 10).await?;
            let mut tabs = Vec::new();
            for connection in ["acme", "acme", "bolt"] {
                let away = crowd.begin(&one, connection).await?;
                tabs.push(crowd.consent(&one, &away, subject));
            }
            let mut outcomes = vec![first];
            for tab in tabs.iter().rev() {
                outcomes.push(crowd.come_back(&one, tab).await?);
            }
            outcomes.push(crowd.come_back(&one, &tabs[0]).await?);
            let other = &crowd.browsers[usize::try_from((one.number + 1) % 3).expect("few")];
            outcomes.push(crowd.come_back(other, &tabs[0]).await?);
            Some(outcomes)
        })?;
        let connected = tabs[..4].iter().all(|outcome| *outcome == Outcome::Connected);
        need(connected, &format!("recovery: flows end {tabs:?}"))?;
        let is_expired = tabs[4] == Outcome::Failed("flow_expired".to_owned());
        need(is_expired, "one-use: a flow ends twice")?;
        need(tabs[5] != Outcome::Connected, "own-flow: a flow ends in another browser")?;
        for connection in CONNECTIONS {
            let answered = self.status_of(browser, connection)?;
            let is_own = answered.body == format!("answer 200 for {subject}");
            need(is_own, &format!("recovery: a call to {connection} is answered {}", answered.status))?;
        }
        let given_up = self.held(browser, "acme");
        let one = Rc::clone(browser);
        let status =
            self.wait(async move |crowd: Rc<Self>| Some(crowd.disconnect(&one, "acme").await?.status))?;
        need(status == 204, "recovery: a disconnection fails")?;
        let statuses = [self.status_of(browser, "acme")?.status, self.status_of(browser, "bolt")?.status];
        need(statuses == [401, 200], &format!("dead-stays-dead: after a disconnection {statuses:?}"))?;
        let mut given_up = vec![given_up];
        given_up.extend(["bolt", "cargo"].map(|connection| self.held(browser, connection)));
        let (one, old) = (Rc::clone(browser), browser.jar());
        let by_subject = browser.number.is_multiple_of(2);
        let status = self.wait(async move |crowd: Rc<Self>| {
            let sid = one.sid("bolt", subject);
            if by_subject {
                return Some(crowd.log_out("bolt", Some(subject), None).await?.status);
            }
            Some(crowd.log_out("bolt", None, Some(&sid)).await?.status)
        })?;
        need(status == 200, "recovery: a logout fails")?;
        let status = self.status_of(browser, "cargo")?.status;
        need(status == 401, "logged-out: a session outlives a logout")?;
        let one = Rc::clone(browser);
        let status = self.wait(async move |crowd: Rc<Self>| {
            crowd
                .connect(&one, "acme", subject, 10)
                .await
                .filter(|outcome| *outcome == Outcome::Connected)?;
            let status = crowd.call(&one, "acme").await?.status;
            crowd.sign_out(&one).await?;
            let call = one.page_with("GET", "/api/acme/things", old.as_deref());
            Some([status, crowd.request(call).await?.status])
        })?;
        need(status == [200, 401], &format!("recovery: a new consent is answered {status:?}"))?;
        self.world().run_for(Duration::from_mins(1));
        for held in given_up.into_iter().flatten() {
            let is_revoked =
                held.refresh.or(held.access).is_none_or(|token| shared.provider.was_revoked(&token));
            need(is_revoked, "revoked: a token is given up, and not revoked")?;
        }
        Ok(())
    }

    /// A link connects the service, once.
    fn serves_all_callers(self: &Rc<Self>) -> Result<(), String> {
        let customer = Rc::clone(&self.browsers[3]);
        let (sent, served) = self.wait(async move |crowd: Rc<Self>| {
            let is_exchange = |sent: &&String| sent.contains("grant_type=authorization_code");
            let requests = || crowd.site.shared.provider.requests.borrow().iter().filter(is_exchange).count();
            let link = crowd.make_link().await?;
            let aways = [crowd.follow(&customer, &link).await?, crowd.follow(&customer, &link).await?];
            let mut sent = vec![requests()];
            for away in aways {
                let back = crowd.consent(&customer, &away, PEOPLE[0]);
                let outcome = crowd.come_back(&customer, &back).await?;
                sent.extend((outcome == Outcome::Other(200)).then(requests));
            }
            let again = crowd.follow(&customer, &link).await;
            Some((sent, (crowd.serve().await?, again)))
        })?;
        let is_once = sent.len() == 3 && sent[0] + 1 == sent[1] && sent[1] == sent[2];
        need(is_once && served.1.is_none(), "one-use: a link is used twice")?;
        need(served.0.status == 200, &format!("recovery: a service's call is answered {}", served.0.status))
    }
}

/// Searches all that was written for what nobody may see.
pub(super) fn search(crowd: &Crowd) -> Result<(), String> {
    let shared = &crowd.site.shared;
    let mut kept = shared.logs.borrow().join("\n");
    kept.push_str(&shared.objects.names("").join("\n"));
    for name in shared.objects.names("") {
        kept.extend(shared.objects.texts(&name).into_values());
    }
    for (name, record) in shared.cache.dump() {
        kept.extend([name, record]);
    }
    let subjects: Vec<String> = PEOPLE.map(str::to_owned).into_iter().chain(["sid-".to_owned()]).collect();
    if let Some(found) = subjects.iter().find(|text| kept.contains(text.as_str())) {
        return Err(format!("nothing-secret: {found} is kept unsealed"));
    }
    kept.push_str(&shared.objects.written.borrow().join("\n"));
    let mut secrets = shared.provider.issued.borrow().clone();
    secrets.extend(shared.provider.consents.secrets.borrow().clone());
    secrets.extend(crowd.links.borrow().clone());
    for browser in &crowd.browsers {
        secrets.extend(browser.flow_secrets());
        for cookie in browser.cookies.borrow().iter() {
            let (handle, proof) = cookie.split_at(21);
            secrets.extend([handle.to_owned(), proof.to_owned()]);
        }
    }
    match secrets.iter().find(|secret| kept.contains(secret.as_str())) {
        Some(secret) => {
            let at = kept.find(secret.as_str()).unwrap_or_default();
            let around = kept.get(at.saturating_sub(200)..at + 100).unwrap_or_default();
            Err(format!("nothing-secret: {secret} was written: {around}"))
        }
        None => Ok(()),
    }
}
