//! The rules in force, ready to be reckoned with.

use std::net::IpAddr;

use edge_common::{Rate, mapped, mask, prefix};

use crate::config::{self, Limit, LimitThen};

const NS_PER_MS: u64 = 1_000_000;
/// However much a client overdrew, it waits no longer than this beyond a whole bucket, ms.
const OVERDRAFT_MAX_MS: u64 = 60_000;

/// Who shares limits: an address cut to its prefix, IPv4 as `::ffff:a.b.c.d`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Who(pub(super) [u8; 16]);

impl Who {
    /// The first address of the prefix.
    pub fn address(self) -> IpAddr {
        IpAddr::from(self.0).to_canonical()
    }
}

/// `[guard]` as the engine reads it.
#[derive(Debug)]
pub(super) struct Rules {
    pub(super) list: Vec<Limit>,
    pub(super) conns_max: u64,
    mask4: [u8; 16],
    mask6: [u8; 16],
    allow: Vec<([u8; 16], [u8; 16])>,
    exempt_loopback: bool,
}

/// A bucket that has not enough: how long until it has, ms.
pub(super) type Over = Option<u64>;

impl Rules {
    pub(super) fn new(guard: &config::Guard) -> Rules {
        let rules = &guard.rules;
        Rules {
            list: guard.limits.clone(),
            conns_max: rules.conns_max,
            mask4: mask(96 + u32::from(rules.prefix_v4)),
            mask6: mask(rules.prefix_v6.into()),
            allow: guard.allow.iter().filter_map(|text| network(text)).collect(),
            exempt_loopback: guard.exempt_loopback,
        }
    }

    pub(super) fn who(&self, address: IpAddr) -> Who {
        Who(match address.to_canonical() {
            IpAddr::V4(v4) => prefix(mapped(v4.octets()), self.mask4),
            IpAddr::V6(v6) => prefix(v6.octets(), self.mask6),
        })
    }

    /// Bits of the prefix that is one client, in the address's own family.
    pub(super) fn prefix_bits(&self, who: Who) -> u8 {
        let bits = |mask: [u8; 16]| u128::from_be_bytes(mask).leading_ones() as u8;
        match who.address() {
            IpAddr::V4(_) => bits(self.mask4).saturating_sub(96),
            IpAddr::V6(_) => bits(self.mask6),
        }
    }

    pub(super) fn is_exempt(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        let full = octets(address);
        self.exempt_loopback && address.is_loopback()
            || self.allow.iter().any(|(network, mask)| prefix(full, *mask) == *network)
    }
}

/// Charges `units` to a bucket, and says whether they were too many. Nothing is forgiven: what was
/// used too much has to be waited for.
pub(super) fn charge(bucket_ns: &mut u64, rate: Rate, units: u64, now_ms: u64) -> Over {
    let now_ns = now_ms * NS_PER_MS;
    let most_ns = rate.tolerance_ns.saturating_add(OVERDRAFT_MAX_MS * NS_PER_MS);
    let cost_ns = (u128::from(rate.cost) * u128::from(units)) >> 20;
    let ahead_ns = u128::from(bucket_ns.saturating_sub(now_ns)) + cost_ns;
    let ahead_ns = ahead_ns.min(most_ns.into()) as u64;
    *bucket_ns = now_ns.saturating_add(ahead_ns);
    let over_ns = ahead_ns.saturating_sub(rate.tolerance_ns);
    (over_ns > 0).then(|| over_ns.div_ceil(NS_PER_MS))
}

/// Units a bucket would still admit, and the time until it is full, ms.
pub(super) fn left(bucket_ns: u64, rate: Rate, now_ms: u64) -> (u64, u64) {
    let now_ns = now_ms * NS_PER_MS;
    (rate.left(bucket_ns, now_ns), bucket_ns.saturating_sub(now_ns).div_ceil(NS_PER_MS))
}

/// The bucket of a rule whose burst may follow the size of an object.
pub(super) fn rate_of(limit: &Limit, size_bytes: u64, conns: u32) -> Rate {
    if limit.copies == 0 {
        return Rate::new(limit.rate.per_s, limit.rate.burst);
    }
    let copies = u64::from(limit.copies) + u64::from(conns.saturating_sub(1));
    Rate::new(limit.rate.per_s, limit.rate.burst.max(size_bytes.saturating_mul(copies)))
}

/// How long a rule bans, ms.
pub(super) fn ban_ms(limit: &Limit) -> Option<u64> {
    match limit.then {
        LimitThen::Ban { for_ms } => Some(for_ms),
        LimitThen::Refuse => None,
    }
}

fn octets(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(v4) => mapped(v4.octets()),
        IpAddr::V6(v6) => v6.octets(),
    }
}

/// `address/length`, as the configuration has checked it.
fn network(text: &str) -> Option<([u8; 16], [u8; 16])> {
    let (address, length) = text.split_once('/')?;
    let address: IpAddr = address.parse().ok()?;
    let length: u32 = length.parse().ok()?;
    let mask = mask(if address.is_ipv4() { 96 + length } else { length });
    Some((prefix(octets(address), mask), mask))
}
