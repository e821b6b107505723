//! A browser: its cookies, and the addresses that it was sent to.

use super::*;
use porteiro::edge::people::cookie::COOKIE;

/// A return from the provider.
#[derive(Clone)]
pub(super) struct Return {
    /// The address, with code and state.
    pub url: String,
    /// The session's cookie when the flow began.
    pub cookie: Option<String>,
}

/// The `Max-Age` of a flow's cookie.
const FLOW_LIFE: Duration = Duration::from_mins(10);

/// A browser.
pub(super) struct Browser {
    pub number: u64,
    /// The session's cookies so far; the last one is the current one.
    pub cookies: RefCell<Vec<String>>,
    has_cookie: Cell<bool>,
    /// The cookies of flows: each with its name, its value and its end.
    flows: RefCell<Vec<(String, String, UnixTime)>>,
    /// All returns from the provider so far.
    pub returns: RefCell<Vec<Return>>,
    /// The number of the person's session at the provider.
    pub sid: Cell<u64>,
}

impl Browser {
    pub fn new(number: u64) -> Self {
        Self {
            number,
            cookies: RefCell::default(),
            has_cookie: Cell::new(false),
            flows: RefCell::default(),
            returns: RefCell::default(),
            sid: Cell::new(0),
        }
    }

    /// The session's cookie.
    pub fn jar(&self) -> Option<String> {
        self.cookies.borrow().last().filter(|_| self.has_cookie.get()).cloned()
    }

    /// The name of the person's session at the provider.
    pub fn sid(&self, connection: &str, subject: &str) -> String {
        format!("sid-{connection}-{}-{}-{subject}", self.number, self.sid.get())
    }

    /// A request of a page with these cookies.
    pub fn page(&self, method: &'static str, target: &str) -> Call {
        self.page_with(method, target, self.jar().as_deref())
    }

    /// The same with another cookie of the session.
    pub fn page_with(&self, method: &'static str, target: &str, cookie: Option<&str>) -> Call {
        Call::from_page(method, target).field("cookie", &self.header(cookie))
    }

    /// A navigation. At one that another site causes, the session's cookie is absent.
    pub fn navigation(&self, method: &'static str, target: &str, is_cross_site: bool) -> Call {
        let cookie = self.jar().filter(|_| !is_cross_site);
        Call::get(target)
            .method(method)
            .field("authorization", "")
            .field("sec-fetch-mode", "navigate")
            .field("sec-fetch-dest", "document")
            .field("cookie", &self.header(cookie.as_deref()))
    }

    /// Drops the cookies that have expired.
    pub fn forget(&self, now: UnixTime) {
        self.flows.borrow_mut().retain(|(.., until)| now < *until);
    }

    fn header(&self, cookie: Option<&str>) -> String {
        let session = cookie.map(|value| format!("{COOKIE}={value}"));
        let flows = self.flows.borrow();
        let flows = flows.iter().map(|(name, value, _)| format!("{name}={value}"));
        session.into_iter().chain(flows).collect::<Vec<_>>().join("; ")
    }

    /// Takes the cookies of an answer.
    pub fn take(&self, site: &Site, answered: &Answered) {
        let now = site.shared.world.now();
        for (name, value) in answered.cookies() {
            if name == COOKIE {
                self.has_cookie.set(!value.is_empty());
                if !value.is_empty() {
                    site.shared.consents.given(&value, self.number);
                    self.cookies.borrow_mut().push(value);
                }
                continue;
            }
            let mut flows = self.flows.borrow_mut();
            flows.retain(|(known, ..)| *known != name);
            if !value.is_empty() {
                flows.push((name, value, now + FLOW_LIFE));
            }
        }
    }

    /// The values of all its cookies of flows.
    pub fn flow_secrets(&self) -> Vec<String> {
        self.flows.borrow().iter().map(|(_, value, _)| value.clone()).collect()
    }
}
