//! Sending a call as its connection's guard lets it, and again.

use futures_util::FutureExt as _;

use super::ProxiedCall;
use super::quota::Outcome;
use crate::edge::Code;
use crate::edge::answer::Refused;
use crate::edge::context::Context;
use crate::ports::{EdgePorts, UpstreamCall, UpstreamFailure};

impl<P: EdgePorts> ProxiedCall<'_, '_, P> {
    /// Sends `call` when the guard lets it, and again where it failed and may be repeated, within the
    /// call's timeout in all.
    pub(super) async fn send_on(&self, mut call: UpstreamCall<'_>) -> Outcome<P::Response> {
        let Context { edge, head, .. } = self.context;
        let (mut before, mut until) = (None, None);
        for attempt in 1.. {
            if let Some(gate) = &self.gate {
                let admitted = gate.admit(self.context).boxed_local().await;
                let now = edge.now();
                call.timeout = until.get_or_insert(now + call.timeout).since(now);
                if let Err(refused) = admitted {
                    return before.unwrap_or(Err(refused));
                }
            }
            let sent_at = edge.now();
            let answer = edge.ports.pass_on(&call).await;
            let now = edge.now();
            self.context.note(|line| line.note_upstream(now.since(sent_at)));
            let (has_response, is_gone) = (answer.is_ok(), matches!(answer, Err(UpstreamFailure::BodyGone)));
            let answer = answer.map_err(Refused::from);
            let Some(gate) = &self.gate else { return answer };
            let pause = gate.pause(head, &answer, attempt).filter(|_| !is_gone);
            // A second response takes the place of the first one.
            match before.take() {
                Some(first) if is_gone => return first,
                Some(Ok(first)) if !has_response => edge.ports.discard(first.response),
                _ => {}
            }
            match pause {
                Some(pause) if until.is_none_or(|until| now + pause < until) => {
                    before = Some(answer);
                    edge.ports.sleep(pause).await;
                }
                _ => return answer,
            }
        }
        Err(Code::Internal.into())
    }
}
