//! Asking a site's own service whether a request is let in.

use std::rc::Rc;
use std::time::Duration;

use ::http::{HeaderName, HeaderValue, Request, header::HOST};
use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioTimer;
use tokio::time::timeout;

use super::filler::Filler;
use super::runtime::Local;
use crate::cache::Opened;
use crate::clock::Now;
use crate::config::Auth;
use crate::limits::{AUTH_BODY_MAX_BYTES, ORIGIN_IDLE_CONNS_MAX, ORIGIN_IDLE_MS};
use crate::metrics::Denial;
use crate::session::Demand;
use crate::session::demand::{Question, Want};

/// Connections of one thread to such services.
pub struct Asker(Client<HttpConnector, Empty<Bytes>>);

impl Default for Asker {
    fn default() -> Asker {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        let client = Client::builder(Local)
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(Duration::from_millis(ORIGIN_IDLE_MS))
            .pool_max_idle_per_host(ORIGIN_IDLE_CONNS_MAX)
            .set_host(false)
            .build(connector);
        Asker(client)
    }
}

impl Asker {
    /// The status of the answer; `None`: there was none. Its body is read to its end when that is near, so
    /// that the connection may be used again.
    async fn status(&self, auth: &Auth, question: &Question) -> Option<u16> {
        let request = request(auth, question)?;
        let response = match self.0.request(request).await {
            Ok(response) => response,
            Err(error) => {
                let cause = std::error::Error::source(&error);
                tracing::debug!(%error, ?cause, address = %auth.address, "auth service failed");
                return None;
            }
        };
        let status = response.status().as_u16();
        let _ = Limited::new(response.into_body(), AUTH_BODY_MAX_BYTES).collect().await;
        Some(status)
    }
}

fn request(auth: &Auth, question: &Question) -> Option<Request<Empty<Bytes>>> {
    let uri = format!("{}{}", auth.address, question.target);
    let mut request = Request::builder().method(auth.method).uri(uri).body(Empty::new()).ok()?;
    let host = auth.address.to_string();
    let host = host.strip_prefix("http://").unwrap_or(&host);
    request.headers_mut().insert(HOST, HeaderValue::from_str(host).ok()?);
    for (name, value) in &question.fields {
        let name = HeaderName::from_bytes(name.as_bytes()).ok()?;
        request.headers_mut().append(name, HeaderValue::from_bytes(value).ok()?);
    }
    Some(request)
}

impl Filler {
    /// Puts the question of `demand`, and answers its ticket. No answer in time is one, too.
    pub async fn ask_service(self: Rc<Self>, demand: Demand) {
        let (Want::Ask(question), Some(auth)) = (&demand.want, &demand.site.config.auth) else {
            return demand.ticket.open(Opened::Word(Err(Denial::RemoteAuthFailed)));
        };
        let within = Duration::from_millis(auth.timeout_ms);
        let status = timeout(within, self.asker.status(auth, question)).await.ok().flatten();
        let word = match status {
            Some(status) if auth.success.contains(&status) || auth.others_pass => Ok(()),
            Some(_) => Err(Denial::RemoteAuth),
            None if auth.failure_passes => Ok(()),
            None => Err(Denial::RemoteAuthFailed),
        };
        // That there was no answer is not remembered: the next one asks again.
        if status.is_some() && auth.cache_ms > 0 {
            let until_ms = Now::read().mono_ms + auth.cache_ms;
            demand.site.answers.keep(question.key, word.is_ok(), until_ms);
        }
        demand.ticket.open(Opened::Word(word));
    }
}
