//! `[guard]`.

use std::path::Path;

use super::raw::{Entry, Section};
use super::resolve::path;
use super::resolved::{Admin, Listen};
use super::resolved_guard::{Guard, GuardLimit, GuardMode, GuardPolicy, GuardRules};
use super::{check, limits};

const FLOWS_DEFAULT: u32 = 65_536;
const CLIENTS_DEFAULT: u32 = 65_536;
const PIN_DIR_DEFAULT: &str = "/sys/fs/bpf/edge";
const SSH_PORT: u16 = 22;
/// A thousand people behind one address may open a page at once.
const SYN_DEFAULT: GuardLimit = GuardLimit { per_s: 2_000, burst: 10_000 };
/// More strangers than a busy host meets in a second; what is above it is still answered.
const SYN_BUDGET_DEFAULT: GuardLimit = GuardLimit { per_s: 10_000, burst: 20_000 };
/// What acknowledges 10 Gbit/s, and more.
const PACKETS_DEFAULT: GuardLimit = GuardLimit { per_s: 1_000_000, burst: 1_000_000 };
const BYTES_DEFAULT: GuardLimit = GuardLimit { per_s: 256 << 20, burst: 512 << 20 };
/// A thousand people behind one address, ten connections each.
const CONNS_MAX_DEFAULT: u64 = 10_000;
/// Limits a configuration may ask for.
const PER_S_MAX: u64 = 1_000_000_000;
const BYTES_PER_S_MAX: u64 = 1 << 40;
const BURST_MAX: u64 = 1 << 40;
/// Slower, and one packet is more than a burst of a second.
const BYTES_MIN: u64 = 64 << 10;

pub(super) fn guard(
    section: &Section<'_>,
    directory: &Path,
    listen: &[Listen],
    admin: &Admin,
) -> Guard {
    let modes = [("enforce", GuardMode::Enforce), ("observe", GuardMode::Observe)];
    let texts = |key, check: fn(Entry<'_>, &str) -> Option<String>| {
        let entries = section.entry(key).map(|entry| entry.texts()).unwrap_or_default();
        entries.into_iter().filter_map(|(entry, text)| check(entry, text)).collect()
    };
    let entries = |key, default: u32| {
        let entry = section.entry(key);
        let count = entry.and_then(|entry| entry.integer(1024..=16_777_216));
        count.map_or(default, |count| count as u32)
    };
    Guard {
        interfaces: texts("interfaces", check::interface),
        mode: section
            .entry("mode")
            .and_then(|entry| entry.choice(&modes))
            .unwrap_or(GuardMode::Enforce),
        flows: entries("flows", FLOWS_DEFAULT),
        clients: entries("clients", CLIENTS_DEFAULT),
        rules: rules(section, listen, admin),
        limits: limits::limits(section),
        exempt_loopback: section
            .entry("exempt_loopback")
            .and_then(|entry| entry.flag())
            .unwrap_or(true),
        allow: texts("allow", check::prefix),
        deny: texts("deny", check::prefix),
        pin_dir: section
            .entry("pin_dir")
            .and_then(|entry| path(entry, directory))
            .unwrap_or_else(|| PIN_DIR_DEFAULT.into()),
    }
}

fn rules(section: &Section<'_>, listen: &[Listen], admin: &Admin) -> GuardRules {
    use GuardPolicy::{Drop, Limit, Pass};

    let bits = |key, default: u8, range| {
        let entry = section.entry(key);
        entry.and_then(|entry| entry.integer(range)).map_or(default, |bits| bits as u8)
    };
    let all: &[(&'static str, GuardPolicy)] = &[("pass", Pass), ("limit", Limit), ("drop", Drop)];
    let two: &[(&'static str, GuardPolicy)] = &[("pass", Pass), ("drop", Drop)];
    let policy = |key, choices: &[(&'static str, GuardPolicy)]| {
        section.entry(key).and_then(|entry| entry.choice(choices))
    };
    GuardRules {
        served_ports: listen.iter().map(|listen| listen.addr.port()).filter(|p| *p != 0).collect(),
        exempt_ports: exempt_ports(section, admin),
        prefix_v4: bits("prefix_v4", 32, 8..=32),
        prefix_v6: bits("prefix_v6", 64, 16..=128),
        syn_budget: limit(section, "syn_budget", "syn_budget_burst", SYN_BUDGET_DEFAULT),
        syn: limit(section, "syn_rate", "syn_burst", SYN_DEFAULT),
        packets: limit(section, "packet_rate", "packet_burst", PACKETS_DEFAULT),
        bytes: limit_bytes(section),
        conns_max: section
            .entry("conns_max")
            .and_then(|entry| entry.integer(0..=PER_S_MAX))
            .unwrap_or(CONNS_MAX_DEFAULT),
        fragments: policy("fragments", all).unwrap_or(Limit),
        udp: policy("udp", all).unwrap_or(Limit),
        icmp: policy("icmp", all).unwrap_or(Limit),
        unserved: policy("unserved_ports", two).unwrap_or(Pass),
    }
}

fn exempt_ports(section: &Section<'_>, admin: &Admin) -> Vec<u16> {
    let entry = section.entry("exempt_ports");
    let mut ports = match entry {
        None => vec![SSH_PORT],
        Some(entry) => entry
            .array("an array of ports")
            .unwrap_or_default()
            .iter()
            .filter_map(|entry| entry.integer(1..=u16::MAX.into()))
            .map(|port| port as u16)
            .collect(),
    };
    ports.extend(admin.addr.map(|addr| addr.port()).filter(|port| *port != 0));
    ports
}

/// Two keys; a burst that is not named follows the rate, so that changing one is enough.
fn limit(
    section: &Section<'_>,
    rate: &'static str,
    burst: &'static str,
    default: GuardLimit,
) -> GuardLimit {
    let number = |key, range| section.entry(key).and_then(|entry| entry.integer(range));
    limit_of(number(rate, 0..=PER_S_MAX), number(burst, 1..=BURST_MAX), default)
}

fn limit_bytes(section: &Section<'_>) -> GuardLimit {
    let rate = section.entry("byte_rate");
    let per_s = match rate {
        // No limit needs no unit.
        Some(entry) if entry.is_word("0") || entry.is_zero() => Some(0),
        rate => rate.and_then(|entry| entry.size_bytes(BYTES_MIN..=BYTES_PER_S_MAX)),
    };
    let burst = section.entry("byte_burst");
    let burst = burst.and_then(|entry| entry.size_bytes(BYTES_MIN..=BURST_MAX));
    limit_of(per_s, burst, BYTES_DEFAULT)
}

fn limit_of(per_s: Option<u64>, burst: Option<u64>, default: GuardLimit) -> GuardLimit {
    let times = default.burst / default.per_s;
    let default_burst = per_s.map_or(default.burst, |per_s| per_s.saturating_mul(times));
    GuardLimit { per_s: per_s.unwrap_or(default.per_s), burst: burst.unwrap_or(default_burst) }
}
