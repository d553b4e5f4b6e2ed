//! What the connection is to the request on it: plain or TLS, and whose.

use super::{Action, Context, Session, answer};
use crate::http::request::{BodyLength, RequestHead};
use crate::site::Site;
use crate::tls::Admission;

/// Why a request is sent elsewhere: the client showed no certificate for that host.
const MISDIRECTED: &str = "client_certificate";

impl Session {
    /// Says what the client speaks: `http` unless told otherwise.
    pub fn set_scheme(&mut self, scheme: &'static str) {
        self.scheme = scheme;
    }

    /// Says what may be asked for on this connection.
    pub fn set_admission(&mut self, admission: Option<Admission>) {
        self.admission = admission;
    }

    /// Whether the request must go by HTTPS, or by another connection. `Some`: that was the answer.
    pub(super) fn transport(
        &mut self,
        site: &Site,
        (head, host): (&RequestHead<'_>, &str),
        context: &Context<'_>,
    ) -> Option<Option<Action>> {
        if self.is_own {
            return None;
        }
        let https = &site.config.https;
        self.exchange.is_secure = self.scheme == "https"
            || https.is_of_interest()
                && context.sites.trusts(self.client.ip())
                && head.header("x-forwarded-proto") == Some(b"https");
        if let (Some(to), false) = (https.redirect, self.exchange.is_secure) {
            let (path, port) = (head.target, to.port.map(|port| format!(":{port}")));
            let path = if path.starts_with('/') { path } else { "/" };
            let place = format!("https://{host}{}{path}", port.unwrap_or_default());
            self.exchange.keep_alive &= head.body == BodyLength::Empty;
            answer::redirect(&mut self.exchange, &mut self.out, (to.status, &place), context);
            self.start_answering(context);
            return Some(None);
        }
        let admitted = match &self.admission {
            Some(admission) => admission.admits(host, https.client_ca.as_deref()),
            None => https.client_ca.is_none(),
        };
        if admitted {
            return None;
        }
        // On plain connections no client can show anything (RFC 9110 §15.5.20 for the others).
        let status = if self.scheme == "https" { 421 } else { 403 };
        Some(self.turn_down(status, MISDIRECTED, head, context))
    }
}
