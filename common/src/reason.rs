//! Why a packet passed or was dropped. One number a reason: index of the totals, value in deny
//! entries, and by [`as_str`] log field and metric label.

/// An IP packet that nothing speaks against.
pub const PASSED: u32 = 0;
/// Its source is on the allow list.
pub const ALLOWED: u32 = 1;
/// A fragment after the first: it has no ports. Passes.
pub const FRAGMENT: u32 = 2;
/// Neither IPv4 nor IPv6 (ARP, LLDP, ...). Passes.
pub const NOT_IP: u32 = 3;
/// With more tags or extension headers than are followed. Passes: the kernel judges it.
pub const UNREAD: u32 = 4;
/// To a port on which nothing is dropped: the node's admin port, ssh.
pub const EXEMPT: u32 = 5;

/// A connection attempt over the budget of all strangers: answered with a cookie, in the stack's place.
pub const SYN_COOKIE: u32 = 6;

/// Reasons from here on drop.
pub const FIRST_DROP: u32 = 8;
/// On the deny list of the configuration.
pub const CONFIG: u32 = 8;
/// Banned by a person.
pub const OPERATOR: u32 = 9;
/// Banned for abuse of the service.
pub const ABUSE: u32 = 10;
/// Banned for a flood of packets or connections.
pub const FLOOD: u32 = 11;
/// Banned for probing.
pub const SCAN: u32 = 12;

/// Cut short, or contradicting itself: no stack would take it.
pub const MALFORMED: u32 = 16;
/// TCP flags that no stack sends together.
pub const TCP_FLAGS: u32 = 17;
/// A fragment, where the policy is to drop them.
pub const FRAGMENTED: u32 = 18;
/// To a TCP port that the node does not serve, where the policy is to drop these.
pub const UNSERVED: u32 = 19;
/// A datagram, where the policy is to drop them.
pub const UDP: u32 = 20;
/// An echo request, where the policy is to drop them.
pub const ICMP: u32 = 21;
/// Its client asked for too many connections in a short time.
pub const SYN_RATE: u32 = 22;
/// Its client sent too many packets.
pub const PACKET_RATE: u32 = 23;
/// Its client sent too many bytes.
pub const BYTE_RATE: u32 = 24;

/// Its client holds too many connections.
pub const CONNS: u32 = 25;

/// A connection attempt over the budget of all strangers that cannot be answered with a cookie.
pub const SYN_BUDGET: u32 = 26;
/// Of no connection, and over the budget of all strangers.
pub const STRAY: u32 = 27;

/// Length of the table of totals; later reasons find room.
pub const COUNT: u32 = 32;

/// Every reason with its stable name.
pub const NAMES: [(u32, &str); 24] = [
    (PASSED, "passed"),
    (ALLOWED, "allowed"),
    (FRAGMENT, "fragment"),
    (NOT_IP, "not_ip"),
    (UNREAD, "unread"),
    (EXEMPT, "exempt"),
    (SYN_COOKIE, "syn_cookie"),
    (CONFIG, "config"),
    (OPERATOR, "operator"),
    (ABUSE, "abuse"),
    (FLOOD, "flood"),
    (SCAN, "scan"),
    (MALFORMED, "malformed"),
    (TCP_FLAGS, "tcp_flags"),
    (FRAGMENTED, "fragmented"),
    (UNSERVED, "unserved"),
    (UDP, "udp"),
    (ICMP, "icmp"),
    (SYN_RATE, "syn_rate"),
    (PACKET_RATE, "packet_rate"),
    (BYTE_RATE, "byte_rate"),
    (CONNS, "conns"),
    (SYN_BUDGET, "syn_budget"),
    (STRAY, "stray"),
];

/// Whether packets with this reason are dropped in enforce mode.
#[inline(always)]
pub const fn drops(reason: u32) -> bool {
    reason >= FIRST_DROP
}

/// Whether a deny entry may have this reason.
#[inline(always)]
pub const fn is_of_entry(reason: u32) -> bool {
    reason >= FIRST_DROP && reason < MALFORMED
}

/// The reason a deny entry counts under: what is none of an entry was written by a stranger.
#[inline(always)]
pub const fn of_entry(reason: u32) -> u32 {
    if is_of_entry(reason) { reason } else { OPERATOR }
}

/// Stable name; `unknown` for numbers of another version.
pub fn as_str(reason: u32) -> &'static str {
    NAMES.iter().find(|(number, _)| *number == reason).map_or("unknown", |(_, name)| name)
}

/// The reason of that name.
pub fn parse(name: &str) -> Option<u32> {
    NAMES.iter().find(|(_, known)| *known == name).map(|(number, _)| *number)
}

const _: () = assert!(STRAY < COUNT, "the table of totals holds every reason");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_back_to_their_numbers() {
        for (number, name) in NAMES {
            assert_eq!(as_str(number), name);
            assert_eq!(parse(name), Some(number));
            assert!(number < COUNT);
        }
        assert_eq!(as_str(COUNT), "unknown");
        assert_eq!(parse("unknown"), None);
    }

    #[test]
    fn an_entry_never_counts_as_passed() {
        for reason in [PASSED, ALLOWED, UNREAD, MALFORMED, COUNT, u32::MAX] {
            assert_eq!(of_entry(reason), OPERATOR);
        }
        for reason in [CONFIG, OPERATOR, ABUSE, FLOOD, SCAN] {
            assert_eq!(of_entry(reason), reason);
            assert!(drops(reason));
        }
        assert!(!drops(PASSED) && !drops(UNREAD) && drops(MALFORMED));
    }
}
