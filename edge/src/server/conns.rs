//! The connections of every worker, as JSON.

use std::time::Duration;

use serde_json::{Value, json};

use super::node::Node;
use crate::worker::ConnView;

/// A worker that does not answer for so long has more to do.
const PATIENCE: Duration = Duration::from_millis(1_500);

impl Node {
    /// Asks every worker. Blocks for a moment.
    pub(super) fn conns_json(&self) -> Value {
        let (mut conns, mut all, mut silent) = (Vec::new(), 0, 0);
        for inbox in self.inboxes() {
            match inbox.conns(PATIENCE) {
                Some((rows, count)) => {
                    conns.extend(rows.iter().map(conn));
                    all += count;
                }
                None => silent += 1,
            }
        }
        json!({ "all": all, "silent_workers": silent, "conns": conns })
    }
}

fn conn(view: &ConnView) -> Value {
    let ConnView { session, tcp } = view;
    json!({
        "client": session.client.to_string(),
        "scheme": session.scheme,
        "state": session.state,
        "requests": session.requests,
        "site": session.site,
        "request": session.exchange.as_ref().map(|exchange| json!({
            "method": exchange.method,
            "target": exchange.target,
            "status": exchange.status,
            "outcome": exchange.outcome.as_str(),
            "sent_bytes": exchange.sent_bytes,
            "age_ms": exchange.age_ms,
        })),
        "tcp": {
            "acked_bytes": tcp.acked_bytes,
            "unacked_bytes": tcp.unacked_bytes,
            "retransmits": tcp.retransmits,
            "round_trip_us": tcp.round_trip_us,
        },
    })
}
