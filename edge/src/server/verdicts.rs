//! From verdicts on clients to the kernel's deny list, the log, and what is told of them later.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use edge_common::reason;

use super::node::Node;
use crate::abuse::{Desk, Verdict};
use crate::config::{LimitOn, LimitThen};
use crate::guard::{Guard, Prefix};
use crate::limits::VERDICTS_KEPT_MAX;
use crate::metrics::prometheus::{Family, Kind, gauge};

/// Verdicts of the last while, and bans that the kernel was told of.
#[derive(Default)]
pub(super) struct History {
    kept: Mutex<VecDeque<Verdict>>,
    in_kernel: Mutex<Vec<Ban>>,
}

struct Ban {
    prefix: Prefix,
    until_ms: u64,
}

impl History {
    /// Verdicts on the client that `address` belongs to, the latest first.
    pub(super) fn of(&self, address: IpAddr) -> Vec<Verdict> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let of = |verdict: &&Verdict| {
            Prefix::network(verdict.client, verdict.prefix_bits).contains(address.to_canonical())
        };
        kept.iter().rev().filter(of).cloned().collect()
    }

    /// Takes new verdicts to where they belong. To be called about once a second.
    pub(super) fn follow(&self, desk: &Desk, guard: &mut Guard, now_ms: u64) {
        if let Some(mode) = guard.maps().and_then(|maps| maps.mode().ok()) {
            // By hand, with `edge guard`: it holds for the engine's rules as well.
            desk.set_mode(mode);
        }
        let mut in_kernel = self.in_kernel.lock().unwrap_or_else(PoisonError::into_inner);
        in_kernel.retain(|ban| now_ms < ban.until_ms);
        in_kernel.retain(|ban| match guard.is_banned(ban.prefix) {
            Some(false) => {
                // `edge unban` speaks to the kernel alone.
                desk.forgive(|address| ban.prefix.contains(address));
                false
            }
            _ => true,
        });
        for verdict in desk.take_verdicts() {
            log(&verdict);
            if let Some(ban) = enact(&verdict, guard) {
                in_kernel.push(ban);
            }
            let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
            if kept.len() >= VERDICTS_KEPT_MAX {
                kept.pop_front();
            }
            kept.push_back(verdict);
        }
    }
}

/// Puts a ban on the kernel's list, where there is one.
fn enact(verdict: &Verdict, guard: &mut Guard) -> Option<Ban> {
    let LimitThen::Ban { for_ms } = verdict.rule.then else { return None };
    let maps = guard.maps_mut().filter(|_| verdict.enforced)?;
    let prefix = Prefix::network(verdict.client, verdict.prefix_bits);
    match maps.ban(prefix, reason_of(verdict.rule.on), Some(Duration::from_millis(for_ms))) {
        Ok(()) => Some(Ban { prefix, until_ms: verdict.until_ms }),
        Err(error) => {
            tracing::warn!(%prefix, %error, "ban holds in the node only, not in the kernel");
            None
        }
    }
}

/// What the kernel counts the dropped packets under.
fn reason_of(on: LimitOn) -> u32 {
    match on {
        LimitOn::Malformed | LimitOn::Errors | LimitOn::Auth | LimitOn::HandshakeFailures => {
            reason::SCAN
        }
        LimitOn::Requests | LimitOn::ObjectRequests | LimitOn::Refused | LimitOn::Handshakes => {
            reason::FLOOD
        }
        LimitOn::Bytes | LimitOn::ObjectBytes | LimitOn::Ranges | LimitOn::Slow => reason::ABUSE,
    }
}

fn log(verdict: &Verdict) {
    let client = Prefix::network(verdict.client, verdict.prefix_bits);
    let rule = verdict.rule.on.as_str();
    let said = match (verdict.enforced, verdict.rule.then) {
        (false, _) => "would be stopped",
        (true, LimitThen::Refuse) => "limited",
        (true, LimitThen::Ban { .. }) => "banned",
    };
    let object = verdict.object.as_deref().unwrap_or("-").escape_debug().to_string();
    tracing::warn!(%client, rule, %object, "client {said}");
}

impl Node {
    /// What was decided about clients.
    pub(super) fn desk_families(&self, out: &mut String) {
        let name = "edge_limit_verdicts_total";
        let help = "Times a client came over a limit, by rule and by what followed.";
        let mut family = Family::begin(out, name, Kind::Counter, help);
        for (on, counts) in self.desk.verdict_counts() {
            for (then, count) in [
                ("limited", &counts.limited),
                ("banned", &counts.banned),
                ("observed", &counts.observed),
            ] {
                family.sample(&[("rule", on.as_str()), ("then", then)], count.value());
            }
        }
        let sums = self.desk.sums();
        gauge(out, "edge_clients", "Clients that are told apart now.", sums.clients);
        for (name, help, value) in [
            (
                "edge_client_requests_total",
                "Requests for objects, over all clients.",
                sums.requests,
            ),
            ("edge_client_refused_total", "Of those, answered 429.", sums.refused),
            ("edge_client_sent_bytes_total", "Bytes sent, over all clients.", sums.sent_bytes),
        ] {
            crate::metrics::prometheus::counter(out, name, help, value);
        }
    }
}
