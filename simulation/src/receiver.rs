//! The application's own receiver: it verifies deliveries as the standard requires, and answers in
//! many ways.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac as _};
use sha2::Sha256;
use zeroize::Zeroizing;

use super::delivery_watch::DeliveryWatch;
use super::network::Sent;
use super::world::World;
use porteiro::ports::HttpAnswer;
use porteiro::time::UnixTime;

/// How the receiver treats a delivery.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Manner {
    /// The receiver answers with a status.
    Answers(u16),
    /// The receiver refuses, and asks for a pause of this many seconds.
    AsksFor(u64),
    /// The receiver refuses, and asks for a pause until a time this far ahead.
    AsksUntil(Duration),
    /// The receiver accepts the event, and answers after this long.
    Slow(Duration),
    /// The receiver accepts the event, and its answer is lost.
    Lost,
    /// The receiver is unreachable.
    Unreachable,
    /// The receiver neither accepts the event nor answers.
    Silent,
}

/// A delivery that arrived.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Arrival {
    /// The webhook id.
    pub id: String,
    /// When the delivery arrived.
    pub at: UnixTime,
    /// The body.
    pub body: String,
    /// How the receiver treated the delivery.
    pub manner: Manner,
}

/// The application's receiver.
pub struct Receiver {
    world: World,
    /// How the receiver treats the next deliveries.
    pub script: RefCell<VecDeque<Manner>>,
    /// How the receiver treats all further deliveries.
    pub manner: Cell<Manner>,
    /// How often the receiver treats a delivery otherwise, per mille.
    pub chaos: Cell<u64>,
    /// The secrets that must all have signed a delivery.
    pub secrets: RefCell<Vec<String>>,
    /// Whether a delivery may have further signatures, as during a rotation of the secret.
    pub takes_others: Cell<bool>,
    /// All deliveries that arrived.
    pub arrivals: RefCell<Vec<Arrival>>,
}

impl Receiver {
    /// The receiver's address.
    pub const ADDRESS: &'static str = "https://app.example/hooks/acme?from=broker";
    /// The secret that signs deliveries.
    pub const SECRET: &'static str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

    /// A receiver that accepts every delivery.
    pub fn new(world: &World) -> Self {
        Self {
            world: world.clone(),
            script: RefCell::default(),
            manner: Cell::new(Manner::Answers(204)),
            chaos: Cell::new(0),
            secrets: RefCell::new(vec![Self::SECRET.to_owned()]),
            takes_others: Cell::new(false),
            arrivals: RefCell::default(),
        }
    }

    /// Accepts a delivery from the network; `None` if the receiver is unreachable, or its answer is
    /// lost.
    pub async fn take(&self, watch: &DeliveryWatch, post: &Sent) -> Option<HttpAnswer> {
        self.world.hop().await;
        let (id, now) = (post.field("webhook-id").unwrap_or_default().to_owned(), self.world.now());
        let manner = self.script.borrow_mut().pop_front().unwrap_or_else(|| self.draw());
        if let Some(wrong) = self.what_is_wrong(post, now) {
            watch.demand(false, "signed-right", &wrong);
        }
        self.arrivals.borrow_mut().push(Arrival { id: id.clone(), at: now, body: post.body.clone(), manner });
        if manner != Manner::Unreachable {
            watch.arrived(&id, &post.body, manner.takes());
        }
        let answer = match manner {
            Manner::Answers(status) => Some((status, None)),
            Manner::AsksFor(seconds) => Some((429, Some(seconds.to_string()))),
            Manner::AsksUntil(span) => Some((503, Some(http_date(now + span)))),
            Manner::Slow(span) => {
                self.world.sleep(span).await;
                Some((200, None))
            }
            Manner::Silent => {
                self.world.sleep(Duration::from_hours(1)).await;
                None
            }
            Manner::Lost | Manner::Unreachable => None,
        };
        self.world.hop().await;
        let body = Zeroizing::default();
        answer.map(|(status, wish)| {
            let fields = wish.map_or_else(String::new, |value| format!("retry-after:{value}"));
            HttpAnswer { status, fields: Zeroizing::new(fields), body }
        })
    }

    fn draw(&self) -> Manner {
        if !self.world.happens(self.chaos.get()) {
            return self.manner.get();
        }
        match self.world.below(12) {
            0 | 1 => Manner::Answers(500),
            2 => Manner::Answers(302),
            3 => Manner::Answers(410),
            4 => Manner::AsksFor(self.world.below(20_000)),
            5 => Manner::AsksUntil(Duration::from_secs(self.world.below(200_000))),
            6 => Manner::Slow(Duration::from_millis(self.world.below(30_000))),
            7 | 8 => Manner::Lost,
            9 => Manner::Silent,
            _ => Manner::Unreachable,
        }
    }

    /// The problem with a delivery, if any (Standard Webhooks 1.0.0, "Verifying signatures").
    fn what_is_wrong(&self, post: &Sent, now: UnixTime) -> Option<String> {
        let fields = post.fields();
        let names: Vec<&str> = fields.keys().copied().collect();
        let expected = ["content-type", "user-agent", "webhook-id", "webhook-signature", "webhook-timestamp"];
        if post.method != "POST"
            || post.url != Self::ADDRESS
            || names != expected
            || post.fields.lines().count() != expected.len()
        {
            return Some(format!("a delivery to {} with {names:?}", post.url));
        }
        let (id, sent_at) = (fields["webhook-id"], fields["webhook-timestamp"]);
        let age = sent_at.parse().ok().and_then(|sent_at| (now.as_millis() / 1000).checked_sub(sent_at));
        if age.is_none_or(|age| age > 1) {
            return Some(format!("a delivery was sent at {sent_at} and came at {}", now.as_millis()));
        }
        let secrets = self.secrets.borrow();
        let signatures = secrets.iter().map(|secret| sign(secret, &format!("{id}.{sent_at}.{}", post.body)));
        let sent: Vec<&str> = fields["webhook-signature"].split(' ').collect();
        let signatures: Vec<String> = signatures.collect();
        let takes_it = if self.takes_others.get() {
            signatures.iter().all(|signature| sent.contains(&signature.as_str()))
        } else {
            signatures == sent
        };
        (!takes_it).then(|| "a signature is wrong".to_owned())
    }
}

impl Manner {
    /// Whether the application then has the event.
    pub const fn takes(self) -> bool {
        matches!(self, Self::Answers(200..=299) | Self::Slow(_) | Self::Lost)
    }
}

fn sign(secret: &str, text: &str) -> String {
    let key = STANDARD.decode(secret.strip_prefix("whsec_").expect("a secret")).expect("base64");
    let mut mac = Hmac::<Sha256>::new_from_slice(&key).expect("a key");
    mac.update(text.as_bytes());
    format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
}

fn http_date(at: UnixTime) -> String {
    httpdate::fmt_http_date(std::time::UNIX_EPOCH + Duration::from_millis(at.as_millis()))
}
