//! The network between the broker and external servers.

use std::collections::BTreeMap;
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;

use futures_channel::oneshot;
use futures_util::future::{Either, select};
use url::form_urlencoded;

use super::site::{PROVIDER, Shared};
use porteiro::http::Headers;
use porteiro::ports::{HttpAnswer, HttpFailure, HttpRequest};

/// A request on the network.
pub struct Sent {
    /// The method.
    pub method: &'static str,
    /// The address.
    pub url: String,
    /// The header fields, as [`Headers`] writes them.
    pub fields: String,
    /// The body.
    pub body: String,
    /// The binding whose client certificate goes with it.
    pub certificate: Option<String>,
    timeout: Duration,
    max_bytes: Option<usize>,
}

impl Sent {
    /// The request, as sent over the network.
    pub fn new(request: &HttpRequest<'_>) -> Self {
        Self {
            method: request.method,
            url: request.url.to_owned(),
            fields: request.fields.to_owned(),
            body: request.body.unwrap_or_default().to_owned(),
            certificate: request.certificate.map(str::to_owned),
            timeout: request.timeout,
            max_bytes: request.max_bytes,
        }
    }

    /// The value of a header field.
    pub fn field(&self, name: &str) -> Option<&str> {
        Headers::new(&self.fields).value(name)
    }

    /// The header fields by name.
    pub fn fields(&self) -> BTreeMap<&str, &str> {
        Headers::new(&self.fields).iter().collect()
    }

    /// The refresh token that a token request carries.
    pub fn refresh_token(&self) -> Option<String> {
        let mut fields = form_urlencoded::parse(self.body.as_bytes());
        fields.find(|(name, _)| name == "refresh_token").map(|(_, value)| value.into_owned())
    }
}

/// Waits for the server's answer: `None` if the connection breaks. The server processes the request
/// even if its sender is gone.
pub async fn deliver<F: Future<Output = Option<HttpAnswer>> + 'static>(
    site: &Rc<Shared>,
    sent: Sent,
    server: impl FnOnce(Rc<Shared>, Sent) -> F,
) -> Result<HttpAnswer, HttpFailure> {
    let (timeout, max_bytes) = (sent.timeout, sent.max_bytes);
    let (sender, receiver) = oneshot::channel();
    let answering = server(Rc::clone(site), sent);
    site.world.spawn(PROVIDER, async move {
        let _ = sender.send(answering.await);
    });
    let deadline = pin!(site.world.sleep(timeout));
    match select(receiver, deadline).await {
        Either::Left((Ok(Some(mut answer)), _)) => {
            // The broker reads at most the bytes that it asked for, and one more.
            answer.body.truncate(max_bytes.map_or(0, |bytes| bytes + 1));
            Ok(answer)
        }
        Either::Left(_) => Err(HttpFailure::Unreachable),
        Either::Right(_) => Err(HttpFailure::Timeout),
    }
}
