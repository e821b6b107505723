//! Sending a call as its connection's guard lets it, and again.

use std::time::Duration;

use futures_util::FutureExt as _;

use super::ProxiedCall;
use super::quota::Outcome;
use crate::edge::Code;
use crate::edge::answer::Refused;
use crate::edge::context::Context;
use crate::ports::{EdgePorts, UpstreamCall, UpstreamFailure};
use crate::time::UnixTime;

impl<P: EdgePorts> ProxiedCall<'_, '_, P> {
    /// Sends `call` when the guard lets it, and again where it failed and may be repeated, within the
    /// call's timeout in all.
    pub(super) async fn send_on(&self, mut call: UpstreamCall<'_>) -> Outcome<P::Response> {
        let Context { edge, .. } = self.context;
        let (mut before, mut until) = (None, 0);
        for attempt in 1.. {
            if let Some(gate) = &self.gate {
                let admitted = gate.admit(self.context).boxed_local().await;
                let now = edge.now();
                if until == 0 {
                    until = (now + call.timeout).as_millis();
                }
                call.timeout = UnixTime::from_millis(until).since(now);
                if let Err(refused) = admitted {
                    return before.unwrap_or(Err(refused));
                }
            }
            let sent_at = edge.now();
            let answer = edge.ports.pass_on(&call).await;
            let now = edge.now();
            self.context.note(|line| line.note_upstream(now.since(sent_at)));
            let Some(gate) = &self.gate else { return answer.map_err(Refused::from) };
            let is_gone = matches!(answer, Err(UpstreamFailure::BodyGone));
            let wait = answer.as_ref().map_or(0, |answer| gate.note(answer));
            // A second response takes the place of the first one.
            let answer = match (answer, before.take()) {
                (Err(_), Some(first)) => first,
                (answer, _) => answer.map_err(Refused::from),
            };
            match gate.pause((&call, self.acts), &answer, wait, attempt) {
                Some(pause) if !is_gone && now.as_millis() + pause < until => {
                    before = Some(answer);
                    edge.ports.sleep(Duration::from_millis(pause)).await;
                }
                _ => return answer,
            }
        }
        Err(Code::Internal.into())
    }
}
