//! One request, from its head to its answer.

use std::cell::OnceCell;
use std::rc::Rc;

use super::answer::{Answer, Draft, Refused};
use super::connections::{self, Found};
use super::cors::{self, Cors};
use super::log::CallLine;
use super::route::Route;
use super::{Broker, Code, admin, people, proxy, transport, webhooks};
use crate::http::{Method, RequestHead};
use crate::ports::Ports;

/// Answers one request and writes its log line.
pub async fn answer<P: Ports>(
    broker: &Rc<Broker>,
    ports: &Rc<P>,
    head: &RequestHead<'_>,
) -> Answer<P::Response> {
    let request_id = request_id(ports.bytes());
    let route = Route::read(head.path(), &broker.config().base_path);
    let named = Named::read(broker, ports, &route).await;
    let method = Method::parse(head.method);
    let mut line = CallLine::new(&request_id, method.as_ref().map_or("other", Method::as_str));
    let cors = if route.is_for_pages() { Cors::read(head, broker.config()) } else { Cors::none() };
    let served = serve(broker, ports, head, route, &named, &cors, &mut line).await;
    let mut draft = served.unwrap_or_else(|refused| {
        line.note_code(refused.code);
        if refused.code == Code::Internal {
            crate::ports::report::internal(
                &**ports,
                &request_id,
                "a record or an answer was not as it must be",
            );
        }
        let address = format!("{}{}", head.own_origin(), broker.config().base_path);
        refused.draft(&address, &request_id)
    });
    if let Some(timing) = line.server_timing() {
        draft.fields.push("server-timing", &timing);
    }
    line.status = draft.status;
    line.write(&**ports);
    draft.finish(head, &request_id, &cors)
}

async fn serve<'a, P: Ports>(
    broker: &'a Rc<Broker>,
    ports: &Rc<P>,
    head: &RequestHead<'a>,
    route: Route<'_>,
    named: &'a Named,
    cors: &Cors<'_>,
    line: &mut CallLine<'a>,
) -> Result<Draft<P::Response>, Refused> {
    let config = broker.config();
    if route.is_for_pages() && cors::is_preflight(head) {
        cors.check()?;
        let mut draft = Draft::empty(204);
        draft.fields = cors::preflight_fields(head);
        draft.vary = Some("Access-Control-Request-Method, Access-Control-Request-Headers".to_owned());
        return Ok(draft);
    }
    transport::check(head, config, &route)?;
    match route {
        Route::Health => {
            Refused::other_methods(head, "GET, HEAD")?;
            let health = concat!(r#"{"status":"ok","version":""#, env!("CARGO_PKG_VERSION"), r#""}"#);
            Ok(Draft::text(200, "application/json", health.to_owned()))
        }
        Route::Problem(code) => {
            let code = Code::parse(code).ok_or(Code::NotFound)?;
            Refused::other_methods(head, "GET, HEAD")?;
            Ok(Draft::text(200, "text/plain; charset=utf-8", code.page()))
        }
        _ if config.sealing_keys.is_none() => Err(Code::Misconfigured.into()),
        Route::Api { connection, path } => {
            cors.check()?;
            let served = proxy::pass_on(broker, ports, head, cors, named.found(), path, line).await;
            match served {
                Err(refused) if refused.code == Code::Misconfigured && named.may_be_old() => {
                    // Its keeper knows it otherwise: it was registered anew, or removed.
                    let found = named.read_anew(broker, &**ports, connection).await;
                    proxy::pass_on(broker, ports, head, cors, found, path, line).await
                }
                served => served,
            }
        }
        Route::SignIn { connection } => {
            cors.check()?;
            people::sign_in(broker, ports, head, cors, connection, line).await
        }
        Route::Session => {
            cors.check()?;
            people::session(broker, ports, head, cors).await
        }
        Route::SignOut => {
            cors.check()?;
            people::sign_out(broker, ports, head, cors, line).await
        }
        Route::Webhook { connection } => {
            let mut body = None;
            let received = webhooks::receive(broker, ports, head, named.found(), &mut body, line).await;
            match received {
                Err(refused) if named.may_be_old() && webhooks::may_be_otherwise(refused.code) => {
                    if !connections::may_read_anew(broker, &**ports, connection) {
                        return Err(refused);
                    }
                    let found = named.read_anew(broker, &**ports, connection).await;
                    webhooks::receive(broker, ports, head, found, &mut body, line).await
                }
                received => received,
            }
        }
        Route::Admin(path) => admin::answer(broker, ports, head, path, line).await,
        Route::Nowhere => Err(Code::NotFound.into()),
    }
}

/// The connection that a request names.
struct Named {
    first: Option<Result<Found, Refused>>,
    /// What its keeper said when the first proved old.
    anew: OnceCell<Result<Found, Refused>>,
}

impl Named {
    async fn read<P: Ports>(broker: &Rc<Broker>, ports: &Rc<P>, route: &Route<'_>) -> Self {
        let first = match route {
            Route::Api { connection, .. } | Route::Webhook { connection } => {
                Some(connections::find(broker, ports, connection).await)
            }
            Route::SignIn { .. }
            | Route::Session
            | Route::SignOut
            | Route::Admin(_)
            | Route::Health
            | Route::Problem(_)
            | Route::Nowhere => None,
        };
        Self { first, anew: OnceCell::new() }
    }

    fn found(&self) -> Result<&Found, Refused> {
        match &self.first {
            Some(found) => found.as_ref().map_err(|refused| *refused),
            None => Err(Code::UnknownConnection.into()),
        }
    }

    fn may_be_old(&self) -> bool {
        self.found().is_ok_and(|found| found.version.is_some() && found.connection.is_some())
    }

    async fn read_anew<P: Ports>(&self, broker: &Broker, ports: &P, id: &str) -> Result<&Found, Refused> {
        let found = connections::read_anew(broker, ports, id).await;
        self.anew.get_or_init(|| found).as_ref().map_err(|refused| *refused)
    }
}

fn request_id(bytes: [u8; 16]) -> String {
    const DIGITS: [u8; 16] = *b"0123456789abcdef";
    let digit = |nibble: u8| char::from(DIGITS.get(usize::from(nibble)).copied().unwrap_or(b'0'));
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}
