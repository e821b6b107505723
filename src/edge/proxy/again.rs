//! Sending a call as its connection's guard lets it, and again.

use std::rc::Rc;

use futures_util::FutureExt as _;

use super::ProxiedCall;
use super::quota::{Gate, Outcome};
use crate::edge::Code;
use crate::edge::answer::Refused;
use crate::edge::context::Context;
use crate::ports::{CallRole, EdgePorts, OWN_BODY, UpstreamCall, UpstreamFailure};
use crate::time::UnixTime;

impl<P: EdgePorts> ProxiedCall<'_, '_, P> {
    /// Sends `call` when the guard lets it, and again where it failed and may be repeated, within the
    /// call's timeout in all.
    pub(super) async fn send_on(&self, mut call: UpstreamCall<'_>) -> Outcome<P::Response> {
        let Context { edge, .. } = self.context;
        let (mut before, mut until) = (None, None);
        for attempt in 1.. {
            if let Some(gate) = &self.gate
                && let Err(refused) = self.turn(gate, &mut call, &mut until).boxed_local().await
            {
                return before.unwrap_or(Err(refused));
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
                Some(pause) if !is_gone && until.is_some_and(|until| now + pause < until) => {
                    before = Some(answer);
                    edge.ports.sleep(pause).await;
                }
                _ => return answer,
            }
        }
        Err(Code::Internal.into())
    }

    /// Waits until `call` may leave, and sets its timeout: to the time until all attempts end at `until`,
    /// which the first one sets. The wait for the first turn is not of that time; the others are.
    ///
    /// # Errors
    /// What [`Gate::admit`] has; `upstream_timeout` where the time is over; the failure of a body that cannot
    /// be sent again.
    async fn turn(
        &self,
        gate: &Rc<Gate<P>>,
        call: &mut UpstreamCall<'_>,
        until: &mut Option<UnixTime>,
    ) -> Result<(), Refused> {
        let edge = self.context.edge;
        // A permit is for now: a body that is sent again is there before it is asked for.
        if self.context.line.borrow().upstream_ms.is_some() {
            let began = edge.now();
            let end = until.unwrap_or(began + call.timeout);
            let role = CallRole::Waits(OWN_BODY);
            let body = UpstreamCall { role, timeout: end.since(began), ..*call };
            if let Err(failure @ (UpstreamFailure::BodyGone | UpstreamFailure::Timeout)) =
                edge.ports.pass_on(&body).await
            {
                return Err(failure.into());
            }
            call.timeout = end.since(edge.now());
        }
        let now = edge.now().as_millis();
        let left = until.map_or(u64::MAX, |until| until.as_millis().saturating_sub(now));
        gate.admit(self.context, left).await?;
        let now = edge.now();
        call.timeout = until.get_or_insert(now + call.timeout).since(now);
        if call.timeout.is_zero() { Err(UpstreamFailure::Timeout.into()) } else { Ok(()) }
    }
}
