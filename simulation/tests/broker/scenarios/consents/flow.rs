//! Flows: from a page to the provider, and back.

use super::browser::Return;
use super::*;
use porteiro_simulation::Consenting;

/// The codes of flows that failed.
const KNOWN: [&str; 9] = [
    "flow_expired",
    "flow_mismatch",
    "issuer_mismatch",
    "connection_unavailable",
    "credentials_rejected",
    "token_response_invalid",
    "token_endpoint_unreachable",
    "token_endpoint_timeout",
    "rate_limited",
];

/// A browser on its way to the provider.
pub(super) struct Away {
    location: String,
    /// The session's cookie when the flow began.
    cookie: Option<String>,
}

impl Away {
    fn of(answered: &Answered, cookie: Option<String>) -> Option<Self> {
        let location = answered.field("location")?;
        location.starts_with("https://login.").then(|| Self { location: location.to_owned(), cookie })
    }
}

/// What came of a flow.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Outcome {
    Connected,
    Failed(String),
    /// The answer is a page or an error.
    Other(u16),
}

impl Outcome {
    fn of(answered: &Answered) -> Self {
        let Some(location) = answered.field("location") else { return Self::Other(answered.status) };
        match location.split_once("porteiro_code=") {
            Some((_, rest)) => Self::Failed(rest.split('&').next().unwrap_or_default().to_owned()),
            None if location.contains("porteiro=connected") => Self::Connected,
            None => Self::Other(answered.status),
        }
    }
}

impl Crowd {
    /// Begins a flow.
    pub(super) async fn begin(&self, browser: &Browser, connection: &str) -> Option<Away> {
        let cookie = browser.jar();
        browser.forget(self.world().now());
        let call = browser.navigation("GET", &format!("/auth/{connection}/connect?return_to=/home"), false);
        let answered = self.request(call).await?;
        self.expect("the begin of a flow", &answered, &[303, 429, 503]);
        browser.take(&self.site, &answered);
        Away::of(&answered, cookie)
    }

    /// Has `subject` consent in `browser` at the address of the provider.
    pub(super) fn consent(&self, browser: &Browser, away: &Away, subject: &str) -> Return {
        let location = &away.location;
        let connection = location.split('.').nth(1).expect("a provider's address");
        let sid = browser.sid(connection, subject);
        let who = Consenting { browser: browser.number, subject, sid: &sid };
        let url = self.site.shared.provider.consent(location, who);
        let back = Return { url, cookie: away.cookie.clone() };
        browser.returns.borrow_mut().push(back.clone());
        back
    }

    /// Comes back to the broker.
    pub(super) async fn come_back(&self, browser: &Browser, back: &Return) -> Option<Outcome> {
        browser.forget(self.world().now());
        let target = back.url.strip_prefix(Site::ADDRESS).expect("the broker's address");
        let is_own = browser.returns.borrow().iter().any(|own| own.url == back.url);
        let answered = self.request(browser.navigation("GET", target, true)).await?;
        self.expect("a callback", &answered, &[200, 303, 429, 503]);
        browser.take(&self.site, &answered);
        let outcome = Outcome::of(&answered);
        match &outcome {
            Outcome::Connected if !is_own => self.fail("own-flow: a flow of another browser is ended"),
            Outcome::Connected => {
                let new = answered.cookie().expect("a consent gives a cookie");
                self.site.shared.consents.connected(back.cookie.as_deref(), new, self.world().now());
            }
            Outcome::Failed(code) if !KNOWN.contains(&code.as_str()) => {
                self.fail(&format!("known-answers: a flow fails with {code}"));
            }
            Outcome::Failed(_) | Outcome::Other(_) => {}
        }
        Some(outcome)
    }

    /// A whole flow, with pauses of up to so many milliseconds.
    pub(super) async fn connect(
        &self,
        browser: &Browser,
        connection: &str,
        subject: &str,
        pause: u64,
    ) -> Option<Outcome> {
        let away = self.begin(browser, connection).await?;
        let world = self.world();
        world.sleep(Duration::from_millis(world.below(pause + 1))).await;
        let back = self.consent(browser, &away, subject);
        world.sleep(Duration::from_millis(world.below(pause + 1))).await;
        self.come_back(browser, &back).await
    }

    /// Makes a link to connect the service; its address.
    pub(super) async fn make_link(&self) -> Option<String> {
        let call = operator(&format!("/admin/connections/{SERVICE}/connect-link")).text("");
        let answered = self.request(call).await?;
        self.expect("a link", &answered, &[200, 503]);
        let url = (answered.status == 200).then(|| answered.json()["url"].as_str().map(str::to_owned))??;
        self.links.borrow_mut().extend(url.rsplit('/').next().map(str::to_owned));
        Some(url)
    }

    /// Follows a link to the provider.
    pub(super) async fn follow(&self, browser: &Browser, link: &str) -> Option<Away> {
        browser.forget(self.world().now());
        let target = link.strip_prefix(Site::ADDRESS).expect("the broker's address");
        let answered = self.request(browser.navigation("POST", target, true)).await?;
        self.expect("a link's page", &answered, &[200, 303, 404, 429, 503]);
        browser.take(&self.site, &answered);
        Away::of(&answered, None)
    }

    /// Connects the service by a link.
    pub(super) async fn connect_service(&self, browser: &Browser, subject: &str) -> Option<Outcome> {
        let link = self.make_link().await?;
        let away = self.follow(browser, &link).await?;
        let back = self.consent(browser, &away, subject);
        self.come_back(browser, &back).await
    }
}
