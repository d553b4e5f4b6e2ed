//! Requests passed on as the client put them, and their answers: nothing is stored, nothing waits in
//! memory beyond a pipe's ceiling, and either side's leaving ends the other's.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use ::http::Request;
use hyper::Response;
use tokio::time::{Instant, sleep_until};

use super::body::Incoming;
use super::filler::Filler;
use super::gate::Slot;
use super::http::{Door, Fault, note};
use super::open::origin_host;
use super::outbound::Outbound;
use super::{invalidate, relay, tunnel};
use crate::cache::{FillError, Opened, Relay, Ticket};
use crate::clock::Now;
use crate::config;
use crate::http::response::CONTINUE;
use crate::limits::CONTINUE_WAIT_MS;
use crate::origin::{Failure, head};
use crate::session::Demand;
use crate::session::demand::{Pass, Want};

impl Filler {
    /// Passes the request of `demand` on, and its answer back.
    pub async fn pass_on(self: Rc<Self>, demand: Demand) {
        let Want::Pass(pass) = &demand.want else { return };
        let answered = tokio::select! {
            answered = self.answer(&demand, pass) => answered,
            () = pass.body.left() => return,
        };
        let (response, slot) = match answered {
            Ok(answered) => answered,
            Err(failure) => return demand.ticket.fail(failure.into_error()),
        };
        let status = response.status().as_u16();
        if !pass.request.is_safe() && status < 400 {
            invalidate::invalidate(self.cache(), &demand, pass.key, response.headers());
        }
        match (status, &pass.tunnel) {
            (101, Some(tunnel)) => {
                let relay = answer_with(&demand.ticket, &response, None);
                self.plane.metrics.tunnels.add(1);
                let upgraded = hyper::upgrade::on(response);
                tunnel::run(upgraded, tunnel, &relay).await;
            }
            // Nobody asked for another protocol.
            (101, None) => demand.ticket.fail(FillError::Broken),
            _ => self.give_back(&demand, pass, response).await,
        }
        pass.body.close();
        drop(slot);
    }

    /// Passes an answer's body back.
    async fn give_back(
        &self,
        demand: &Demand,
        pass: &Pass,
        response: Response<hyper::body::Incoming>,
    ) {
        let relay = answer_with(&demand.ticket, &response, head::body_length(response.headers()));
        let idle = match &demand.site.config.origin {
            config::Origin::Http { read_timeout_ms, .. } => Duration::from_millis(*read_timeout_ms),
            config::Origin::File { .. } => Duration::ZERO,
        };
        let body = Incoming::new(response.into_body(), idle, demand.site.clone());
        tokio::select! {
            () = relay::pump(relay.clone(), Vec::new(), body) => {}
            () = pass.body.left() => relay.finish(Err(FillError::Broken)),
        }
    }

    /// Asks the site's addresses in turn. Another is tried when nothing can have reached the one
    /// before, or when asking twice does no harm and no byte of the body was taken.
    async fn answer(
        &self,
        demand: &Demand,
        pass: &Pass,
    ) -> Result<(Response<hyper::body::Incoming>, Option<Slot>), Failure> {
        let Some(served) = self.origins.groups.of(&demand.site) else {
            return Err(Failure::Connect);
        };
        let (host, loop_id) = (origin_host(demand), self.cache().loop_id());
        // Protocols are switched by HTTP/1.1 alone.
        let (is_secure, http2) = (demand.is_secure, pass.tunnel.is_none());
        let (order, on) = (served.order(), &served.policy.retry_on);
        for (tried, position) in (1..).zip(order.iter().cycle().copied()) {
            let slot = served.enter(position).await.map_err(|()| Failure::Crowded)?;
            let door = Door::new(&served, position, (is_secure, http2));
            let request = pass.request.request(&host, &demand.target, &door.to, loop_id);
            let request = request.map_err(|_| Failure::Broken)?;
            let answer = {
                let _active = served.group.counts(position).begin();
                self.once(demand, pass, request, &door).await
            };
            let status = answer.as_ref().map(|response| response.status().as_u16());
            note(&served, position, status);
            let failure = match &answer {
                Ok(response) => match Failure::of_status(response.status().as_u16()) {
                    Some(failure) => failure,
                    None => return answer.map(|response| (response, slot)).map_err(into_failure),
                },
                Err(fault) => fault.failure,
            };
            demand.site.metrics.fill.origin_errors.add(1);
            let never_came =
                matches!(failure, Failure::Name | Failure::Connect | Failure::Tls | Failure::Loop);
            let unsent = never_came || pass.request.is_idempotent() && pass.body.is_untouched();
            let elsewhere = (tried as usize) < order.len();
            if !unsent || !failure.may_retry(on, tried, served.retries, elsewhere) {
                return answer.map(|response| (response, slot)).map_err(into_failure);
            }
            self.plane.metrics.retries.add(1);
        }
        Err(Failure::Connect)
    }

    /// One request to one address, up to the head of its answer. The origin is given its time anew
    /// whenever it has taken something, and all of the client's own.
    async fn once(
        &self,
        demand: &Demand,
        pass: &Pass,
        request: Request<()>,
        door: &Door,
    ) -> Result<Response<hyper::body::Incoming>, Fault> {
        let mut request = request.map(|()| Outbound::new(&pass.body, pass.request.body));
        let (ticket, body) = (demand.ticket.clone(), pass.body.clone());
        let takes_interims = pass.request.takes_interims;
        let expects_continue = pass.request.expects_continue;
        hyper::ext::on_informational(&mut request, move |interim| {
            match (interim.status().as_u16(), expects_continue) {
                (100, true) if body.proceed() => ticket.inform(CONTINUE.into()),
                (100 | 101, _) => {}
                (status, _) if takes_interims => {
                    ticket.inform(head::interim_block(status, interim.headers(), Now::read()));
                }
                _ => {}
            }
        });
        demand.site.metrics.fill.origin_requests.add(1);
        let asked = self.origins.send(door, request);
        tokio::pin!(asked);
        let patience = door.patience();
        let go_on_at = Instant::now() + Duration::from_millis(CONTINUE_WAIT_MS);
        let mut seen = pass.body.progress();
        let mut held = expects_continue;
        loop {
            tokio::select! {
                response = &mut asked => return response,
                () = sleep_until(go_on_at), if held => {
                    held = false;
                    if pass.body.proceed() {
                        demand.ticket.inform(CONTINUE.into());
                    }
                }
                () = tokio::time::sleep(patience) => {
                    let now = pass.body.progress();
                    if now.0 == seen.0 && !now.1 {
                        return Err(Failure::Timeout.into());
                    }
                    seen = now;
                }
            }
        }
    }
}

fn into_failure(fault: Fault) -> Failure {
    fault.failure
}

/// Answers the ticket with a relay that has the head of `response`.
fn answer_with(
    ticket: &Ticket,
    response: &Response<hyper::body::Incoming>,
    len: Option<u64>,
) -> Arc<Relay> {
    let status = response.status().as_u16();
    let block = head::passed_block(status, response.headers(), Now::read());
    let relay = Arc::new(Relay::new(status, block, len));
    ticket.open(Opened::Relay(relay.clone()));
    relay
}
