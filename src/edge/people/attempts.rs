//! The admission of sign-in attempts by the counters of refused sign-ins.

use std::time::Duration;

use super::device::SignInAccount;
use crate::edge::Code;
use crate::edge::answer::Refused;
use crate::edge::context::Edge;
use crate::edge::network::Network;
use crate::http::RequestHead;
use crate::ports::EdgePorts;
use crate::protocol::{Admission, BeginAttempt, EndAttempt};

/// How long a sign-in waits for attempts in flight of the same name or network.
const LONGEST_WAIT: Duration = Duration::from_secs(20);

const POLL_INTERVAL: Duration = Duration::from_millis(100);

/// The attempts of one sign-in, one at each counter.
#[derive(Default)]
pub(in crate::edge) struct CountedAttempts(Vec<CountedAttempt>);

struct CountedAttempt {
    counter: String,
    attempt: u64,
    /// Whether the counter is the account's: it also counts attempts that the provider may have
    /// counted.
    is_account_counter: bool,
}

impl CountedAttempts {
    /// Begins an attempt at the network's counter and one at the user name's; a browser that is
    /// known for that name, by its entry `device`, has a single counter instead.
    ///
    /// # Errors
    /// `rate_limited` where a counter does not admit the attempt.
    pub async fn begin<P: EdgePorts>(
        edge: &Edge<P>,
        account: &SignInAccount<'_>,
        device: Option<&str>,
        head: &RequestHead<'_>,
    ) -> Result<Self, Refused> {
        let SignInAccount { keys, connection, name } = *account;
        let mut attempts = Self::default();
        if let Some(device) = device {
            let counter = keys.blind_name(&["sign-in device", connection, name.expose(), device]);
            attempts.begin_one(edge, &counter, 0, true).await?;
            return Ok(attempts);
        }
        // In sequence: a network that is refused must not create counters of names.
        let network = Network::of(head);
        let counter = keys.blind_name(&["sign-in network", &network.around]);
        let own = keys.blind_name(&["sign-in address", &network.own]);
        let part = own.get(..16).and_then(|digits| u64::from_str_radix(digits, 16).ok()).unwrap_or_default();
        attempts.begin_one(edge, &counter, part, false).await?;
        let counter = keys.blind_name(&["sign-in name", connection, name.expose()]);
        if let Err(refused) = attempts.begin_one(edge, &counter, 0, true).await {
            attempts.end::<P, ()>(edge, &Err(refused));
            return Err(refused);
        }
        Ok(attempts)
    }

    async fn begin_one<P: EdgePorts>(
        &mut self,
        edge: &Edge<P>,
        counter: &str,
        part: u64,
        is_account_counter: bool,
    ) -> Result<(), Refused> {
        let counter = format!("refusals/{counter}");
        let attempt = begin_attempt(&*edge.ports, &counter, part).await?;
        self.0.push(CountedAttempt { counter, attempt, is_account_counter });
        Ok(())
    }

    /// Reports the outcome of the sign-in to its counters, in the background. Until then the
    /// attempts count as in flight.
    pub fn end<P: EdgePorts, T>(self, edge: &Edge<P>, answered: &Result<T, Refused>) {
        let code = answered.as_ref().err().map(|refused| refused.code);
        // Some providers refuse with an answer that is no OAuth error response.
        let rejected = matches!(code, Some(Code::LoginRejected | Code::TokenResponseInvalid));
        // The provider may have counted this attempt against the account.
        let counted = matches!(
            code,
            Some(Code::CredentialsRejected | Code::TokenEndpointTimeout | Code::ConnectionUnavailable)
        );
        for CountedAttempt { counter, attempt, is_account_counter } in self.0 {
            end_attempt(edge, counter, attempt, rejected || (is_account_counter && counted));
        }
    }
}

async fn begin_attempt<P: EdgePorts>(ports: &P, counter: &str, part: u64) -> Result<u64, Refused> {
    let limited = |seconds| Refused { retry_after: Some(seconds), ..Refused::from(Code::RateLimited) };
    let asked_at = ports.now();
    loop {
        match ports.ask(BeginAttempt { counter, part }).await? {
            Admission::Begun(attempt) => return Ok(attempt),
            Admission::Busy(_) if ports.now() < asked_at + LONGEST_WAIT => ports.sleep(POLL_INTERVAL).await,
            Admission::Full(seconds) | Admission::Busy(seconds) => return Err(limited(seconds)),
        }
    }
}

fn end_attempt<P: EdgePorts>(edge: &Edge<P>, counter: String, attempt: u64, refused: bool) {
    edge.in_background(|edge| async move {
        // If this fails, the attempt counts as in flight until its time limit.
        let _ = edge.ports.ask(EndAttempt { counter: &counter, attempt, refused }).await;
    });
}
