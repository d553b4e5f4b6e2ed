//! Single drops as the kernel program reports them, a few of each kind a second.

use std::fmt;
use std::net::SocketAddr;

use aya::maps::{MapData, RingBuf};
use edge_common::{Event, FlowKey, reason};

use super::rows;

/// Reports taken at once; what is left is taken the next time, or is lost when the ring is full.
const TAKEN_MAX: usize = 256;

/// One packet that was dropped, or would have been.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventRow {
    /// Why: stable name.
    pub reason: &'static str,
    /// What decides, as the configuration or a command names it.
    pub rule: &'static str,
    /// The client; the unspecified address where it could not be read.
    pub client: SocketAddr,
    /// This host.
    pub local: SocketAddr,
    /// IANA protocol number.
    pub protocol: u8,
    /// TCP's flags as in the header.
    pub tcp_flags: u8,
    /// Length of the packet, link-layer header included.
    pub bytes: u32,
    /// Whether it was dropped, or only observed.
    pub dropped: bool,
}

/// The reading end of the ring.
pub(super) struct Events(RingBuf<MapData>);

impl Events {
    pub fn new(ring: RingBuf<MapData>) -> Events {
        Events(ring)
    }

    /// What has come, oldest first.
    pub fn take(&mut self) -> Vec<EventRow> {
        let mut rows = Vec::new();
        while rows.len() < TAKEN_MAX {
            let Some(entry) = self.0.next() else { break };
            rows.extend(event(&entry).map(|event| EventRow::new(&event)));
        }
        rows
    }
}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Events").finish_non_exhaustive()
    }
}

impl EventRow {
    /// One line in the log.
    pub fn log(&self) {
        tracing::info!(
            client = %self.client,
            reason = self.reason,
            rule = self.rule,
            local = %self.local,
            protocol = self.protocol,
            bytes = self.bytes,
            dropped = self.dropped,
            "guard: packet"
        );
    }

    fn new(event: &Event) -> EventRow {
        let key = &event.key;
        EventRow {
            reason: reason::as_str(event.reason),
            rule: rule(event.reason),
            client: SocketAddr::new(rows::address(key.remote), key.remote_port),
            local: SocketAddr::new(rows::address(key.local), key.local_port),
            protocol: key.protocol,
            tcp_flags: event.tcp_flags as u8,
            bytes: event.bytes,
            dropped: event.dropped == 1,
        }
    }
}

/// What an operator would change for other verdicts.
fn rule(number: u32) -> &'static str {
    match number {
        reason::CONFIG => "guard.deny",
        reason::OPERATOR | reason::ABUSE | reason::FLOOD | reason::SCAN => "edge bans",
        reason::FRAGMENTED => "guard.fragments",
        reason::UNSERVED => "guard.unserved_ports",
        reason::UDP => "guard.udp",
        reason::ICMP => "guard.icmp",
        reason::SYN_RATE => "guard.syn_rate",
        reason::PACKET_RATE => "guard.packet_rate",
        reason::BYTE_RATE => "guard.byte_rate",
        reason::CONNS => "guard.conns_max",
        reason::SYN_BUDGET | reason::STRAY => "guard.syn_budget",
        _ => "always",
    }
}

/// The kernel's bytes, field by field; `None` if they are of another size.
fn event(bytes: &[u8]) -> Option<Event> {
    fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
        let (first, others) = rest.split_first_chunk::<N>()?;
        *rest = others;
        Some(*first)
    }
    if bytes.len() != size_of::<Event>() {
        return None;
    }
    let rest = &mut &*bytes;
    let at_ns = u64::from_ne_bytes(take(rest)?);
    let key = FlowKey {
        remote: take(rest)?,
        local: take(rest)?,
        remote_port: u16::from_ne_bytes(take(rest)?),
        local_port: u16::from_ne_bytes(take(rest)?),
        protocol: take::<1>(rest)?[0],
        zero: take(rest)?,
    };
    let mut number = || Some(u32::from_ne_bytes(take(rest)?));
    let (bytes, reason) = (number()?, number()?);
    let (tcp_flags, dropped) = (number()?, number()?);
    Some(Event { at_ns, key, bytes, reason, tcp_flags, dropped })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_read_field_by_field_and_nothing_else_is() {
        let mut bytes = Vec::new();
        bytes.extend(7u64.to_ne_bytes());
        bytes.extend(edge_common::mapped([192, 0, 2, 7]));
        bytes.extend(edge_common::mapped([198, 51, 100, 1]));
        bytes.extend(40_000u16.to_ne_bytes());
        bytes.extend(80u16.to_ne_bytes());
        bytes.extend([6, 0, 0, 0]);
        for number in [60, reason::SYN_RATE, 2, 1] {
            bytes.extend(number.to_ne_bytes());
        }
        let row = EventRow::new(&event(&bytes).unwrap());
        assert_eq!((row.client.to_string(), row.local.port()), ("192.0.2.7:40000".to_owned(), 80));
        assert_eq!((row.reason, row.rule, row.bytes), ("syn_rate", "guard.syn_rate", 60));
        assert!(row.dropped && row.tcp_flags == 2);
        assert!((0..bytes.len()).all(|length| event(&bytes[..length]).is_none()));
    }

    #[test]
    fn every_reason_that_drops_names_what_decides() {
        for (number, name) in reason::NAMES {
            let is_shape = matches!(number, reason::MALFORMED | reason::TCP_FLAGS);
            assert_eq!(rule(number) == "always", is_shape || !reason::drops(number), "{name}");
        }
    }
}
