//! The handling of one request, from its head to its answer.

use std::cell::{OnceCell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use futures_util::FutureExt as _;

use super::answer::{Answer, Draft, Refused};
use super::connections::held::Found;
use super::context::{Context, Edge};
use super::cors::{self, Cors};
use super::isolate::Isolate;
use super::log::CallLine;
use super::route::{Route, SecretSegment};
use super::{Code, admin, connections, people, proxy, transport, webhooks};
use crate::http::{Method, RequestHead};
use crate::json::ToJson as _;
use crate::ports::{EdgePorts, report};
use crate::protocol::ReadStatus;

/// How long after its first answer an isolate reads the rest of the configuration.
const REPORT_DELAY: Duration = Duration::from_millis(100);

/// The client for pages, as `scripts/build.mjs` makes it of `client/`. Builds that serve nothing have none.
const CLIENT_SCRIPT: &str = match option_env!("PORTEIRO_CLIENT") {
    Some(text) => text,
    None => "",
};

/// Answers one request and writes its log line.
pub async fn answer<P: EdgePorts>(
    isolate: &Rc<Isolate>,
    ports: &Rc<P>,
    head: &RequestHead<'_>,
) -> Answer<P::Response> {
    let edge = Edge { isolate: Rc::clone(isolate), ports: Rc::clone(ports) };
    let request_id = request_id(ports.bytes());
    let route = Route::read(head.path(), isolate.base_path());
    let named = NamedConnection::read(&edge, &route).await;
    let method = Method::parse(head.method);
    let line = CallLine::new(&request_id, method.as_ref().map_or("other", Method::as_str));
    let cors = if route.is_for_pages() { Cors::read(head, || edge.config()) } else { Cors::none() };
    let context = Context { edge: &edge, head, cors, request_id: &request_id, line: RefCell::new(line) };
    let served = serve(&context, route, &named).await;
    let mut draft = served.unwrap_or_else(|refused| {
        context.note(|line| line.note_code(refused.code));
        if refused.code == Code::OriginNotAllowed {
            let sent = head.headers.value("origin").unwrap_or_default();
            context.note(|line| line.note_origin(sent, &context.config().allowed_origins));
        }
        if refused.code == Code::Internal {
            report::internal(&**ports, &request_id, "a record or an answer was not as it must be");
        }
        let connection = context.line.borrow().connection;
        if refused.code == Code::Misconfigured
            && let Some(id) =
                connection.filter(|id| edge.config().events.is_some() && isolate.owes_telling(id, edge.now()))
        {
            let id = id.to_owned();
            // Whoever asks a keeper has it look whether the operator is to be told.
            edge.in_background(|edge| async move { drop(edge.ports.ask(ReadStatus(&id)).await) });
        }
        refused.draft(context.language(), &context.address(), &request_id, connection)
    });
    let mut line = context.line.borrow_mut();
    if let Some(timing) = line.server_timing() {
        draft.fields.push("server-timing", &timing);
    }
    if let Some(quota) = line.quota {
        let told = [("ratelimit-policy", ["\"budget\";q=", ";w="]), ("ratelimit", ["\"budget\";r=", ";t="])];
        for ((name, words), numbers) in told.into_iter().zip(quota) {
            let mut value = String::new();
            for (word, number) in words.into_iter().zip(numbers) {
                value.push_str(word);
                number.write_json(&mut value);
            }
            draft.fields.push(name, &value);
        }
    }
    line.status = draft.status;
    line.write(&**ports);
    if isolate.owes_report() {
        edge.in_background(report_problems);
    }
    draft.finish(head, &request_id, &cors)
}

/// Reads what the first request of an isolate did not need of the configuration, so that the log has
/// every problem.
async fn report_problems<P: EdgePorts>(edge: Edge<P>) {
    // The answer is first.
    edge.ports.sleep(REPORT_DELAY).await;
    drop(edge.config().problems());
}

async fn serve<'a, P: EdgePorts>(
    context: &Context<'a, P>,
    route: Route<'_>,
    named: &'a NamedConnection,
) -> Result<Draft<P::Response>, Refused> {
    let Context { edge, head, cors, .. } = context;
    if route.is_for_pages() && cors::is_preflight(head) {
        cors.check()?;
        let mut draft = Draft::empty(204);
        draft.fields = cors::preflight_fields(head);
        draft.vary = Some("Access-Control-Request-Method, Access-Control-Request-Headers".to_owned());
        return Ok(draft);
    }
    // A boxed future is a function of its own: a cold isolate compiles that of its route alone.
    transport::check(head, || context.config(), &route)?;
    match route {
        Route::Health => {
            Refused::check_method(head, "GET, HEAD")?;
            let health = concat!(r#"{"status":"ok","version":""#, env!("CARGO_PKG_VERSION"), r#""}"#);
            Ok(Draft::text(200, "application/json", health.to_owned()))
        }
        Route::ClientScript => {
            Refused::check_method(head, "GET, HEAD")?;
            Ok(Draft::text(200, "text/javascript; charset=utf-8", CLIENT_SCRIPT.to_owned()))
        }
        Route::Problem(code) => {
            let code = Code::parse(code).ok_or(Code::NotFound)?;
            Refused::check_method(head, "GET, HEAD")?;
            let language = context.language();
            Ok(Draft::worded(200, "text/plain; charset=utf-8", code.page(language), language))
        }
        _ if context.config().sealing_keys.is_none() => Err(Code::Misconfigured.into()),
        Route::Api { connection, path } => {
            cors.check()?;
            match proxy::pass_on(context, named.found(), path).await {
                Err(refused) if refused.code == Code::Misconfigured && named.may_be_stale() => {
                    // The keeper knows another registration: the connection was registered again,
                    // or removed.
                    let found = named.reread(edge, connection).await;
                    proxy::pass_on(context, found, path).await
                }
                served => served,
            }
        }
        Route::SignIn { connection } => {
            cors.check()?;
            people::sign_in(context, connection).boxed_local().await
        }
        Route::Session => {
            cors.check()?;
            match head.method {
                "POST" => people::ticket::redeem(context).boxed_local().await,
                _ => people::listing::session(context).boxed_local().await,
            }
        }
        Route::SignOut => {
            cors.check()?;
            people::leave::sign_out(context).boxed_local().await
        }
        Route::Disconnect { connection } => {
            cors.check()?;
            people::leave::disconnect(context, connection).boxed_local().await
        }
        Route::Connect { connection } => people::connect::connect(context, connection).boxed_local().await,
        Route::Callback { name } => people::callback::callback(context, name).boxed_local().await,
        Route::BackChannel { connection } => {
            people::backchannel::log_out(context, connection).boxed_local().await
        }
        Route::Link { secret, .. } => {
            people::link::answer(context, named.found(), secret).boxed_local().await
        }
        Route::Webhook { connection, segment } => {
            receive(context, named, connection, segment).boxed_local().await
        }
        Route::Admin(path) => admin::answer(context, path).boxed_local().await,
        Route::Nowhere => Err(Code::NotFound.into()),
    }
}

async fn receive<'a, P: EdgePorts>(
    context: &Context<'a, P>,
    named: &'a NamedConnection,
    connection: &str,
    segment: Option<SecretSegment<'_>>,
) -> Result<Draft<P::Response>, Refused> {
    let mut body = None;
    match webhooks::receive(context, named.found(), segment, &mut body).await {
        Err(refused) if named.may_be_stale() && webhooks::may_succeed_after_reread(refused.code) => {
            if !connections::may_reread(context.edge, connection) {
                return Err(refused);
            }
            let found = named.reread(context.edge, connection).await;
            webhooks::receive(context, found, segment, &mut body).await
        }
        received => received,
    }
}

/// The connection that a request names.
struct NamedConnection {
    first: Option<Result<Found, Refused>>,
    /// The keeper's answer, read when the first copy proved stale.
    reread: OnceCell<Result<Found, Refused>>,
}

impl NamedConnection {
    async fn read<P: EdgePorts>(edge: &Edge<P>, route: &Route<'_>) -> Self {
        let first = match route {
            Route::Api { connection, .. }
            | Route::Webhook { connection, .. }
            | Route::Link { connection, .. } => Some(connections::find(edge, connection).await),
            Route::SignIn { .. }
            | Route::Connect { .. }
            | Route::Callback { .. }
            | Route::Disconnect { .. }
            | Route::BackChannel { .. }
            | Route::Session
            | Route::SignOut
            | Route::Admin(_)
            | Route::Health
            | Route::ClientScript
            | Route::Problem(_)
            | Route::Nowhere => None,
        };
        Self { first, reread: OnceCell::new() }
    }

    fn found(&self) -> Result<&Found, Refused> {
        match &self.first {
            Some(found) => found.as_ref().map_err(|refused| *refused),
            None => Err(Code::UnknownConnection.into()),
        }
    }

    fn may_be_stale(&self) -> bool {
        self.found().is_ok_and(|found| found.version.is_some() && found.connection.is_usable())
    }

    async fn reread<P: EdgePorts>(&self, edge: &Edge<P>, id: &str) -> Result<&Found, Refused> {
        let found = connections::reread(edge, id).await;
        self.reread.get_or_init(|| found).as_ref().map_err(|refused| *refused)
    }
}

fn request_id(bytes: [u8; 16]) -> String {
    const DIGITS: [u8; 16] = *b"0123456789abcdef";
    let digit = |nibble: u8| char::from(DIGITS.get(usize::from(nibble)).copied().unwrap_or(b'0'));
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}
