//! The configured rules, as the kernel program reads them.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::net::SocketAddr;

use edge_common::{
    COOKIE_PLAIN, FLOWS_PER_STRANGER, LAYOUT, MODE_ENFORCE, MODE_OBSERVE, MODE_OFF, POLICY_DROP,
    POLICY_LIMIT, POLICY_PASS, Ports, Rate, Settings, mask,
};

use super::{GuardError, Maps};
use crate::config::{self, GuardLimit, GuardMode, GuardPolicy};

/// Drops of one reason that a CPU reports.
const EVENTS: Rate = Rate::new(5, 10);
/// Bits of an address kept as `::ffff:a.b.c.d` before the IPv4 ones.
const MAPPED_BITS: u32 = 96;

/// Writes mode, ports, policies and limits; they hold from the next packet on.
pub(super) fn write(maps: &mut Maps, config: &config::Guard) -> Result<(), GuardError> {
    let ports = ports(&config.rules);
    let written = maps.ports.set(0, ports, 0);
    written.map_err(|error| GuardError::bpf("write ports", error))?;
    let before = maps.settings()?;
    // Who guesses the places of others could share them: a new seed for every set of maps.
    let seed = match before.seed {
        0 => RandomState::new().build_hasher().finish() | 1,
        seed => seed,
    };
    let clients = maps.unproven.len();
    maps.set_settings(settings(config, clients, seed))?;
    maps.touch()
}

impl config::Guard {
    /// With the ports that are really listened on: the kernel may have chosen some.
    pub fn serving(&self, addresses: &[SocketAddr]) -> config::Guard {
        let mut guard = self.clone();
        guard.rules.served_ports.extend(addresses.iter().map(SocketAddr::port));
        guard
    }
}

/// The number of a mode.
pub(super) fn mode_number(mode: GuardMode) -> u32 {
    match mode {
        GuardMode::Enforce => MODE_ENFORCE,
        GuardMode::Observe => MODE_OBSERVE,
        GuardMode::Off => MODE_OFF,
    }
}

/// The mode of a number; what is none observes.
pub(super) fn mode(number: u32) -> GuardMode {
    match number {
        MODE_ENFORCE => GuardMode::Enforce,
        MODE_OFF => GuardMode::Off,
        _ => GuardMode::Observe,
    }
}

fn settings(config: &config::Guard, clients: u32, seed: u64) -> Settings {
    let rules = &config.rules;
    Settings {
        layout: LAYOUT,
        mode: mode_number(config.mode),
        fragments: policy(rules.fragments),
        unserved: policy(rules.unserved),
        udp: policy(rules.udp),
        icmp: policy(rules.icmp),
        clients,
        cookie_scale: cookie_scale(),
        seed,
        mask4: mask(MAPPED_BITS + u32::from(rules.prefix_v4)),
        mask6: mask(rules.prefix_v6.into()),
        syn: rate(rules.syn),
        packets: rate(rules.packets),
        bytes: rate(rules.bytes),
        conns_max: rules.conns_max,
        handshakes: share(rules.syn_budget),
        strangers: share(stranger_flows(config.flows)),
        events: EVENTS,
    }
}

/// A whole host's limit, as one CPU may use it up: packets are spread over the CPUs.
fn share(limit: GuardLimit) -> Rate {
    let cpus = aya::util::online_cpus().map_or(1, |cpus| cpus.len().max(1)) as u64;
    Rate::new(limit.per_s.div_ceil(cpus), limit.burst.div_ceil(cpus))
}

/// The table of strangers' flows is turned over in eight seconds at the quickest.
fn stranger_flows(flows: u32) -> GuardLimit {
    let strangers = u64::from(flows.div_ceil(FLOWS_PER_STRANGER));
    GuardLimit { per_s: strangers.div_ceil(8), burst: strangers.div_ceil(2) }
}

/// The window scale the kernel will choose for a connection that comes with a cookie
/// (`tcp_select_initial_window`). It can be offered only where timestamps carry it and have no hidden
/// offset, which is `net.ipv4.tcp_timestamps = 2`.
fn cookie_scale() -> u32 {
    let numbers = |name: &str| -> Vec<u64> {
        let text = std::fs::read_to_string(format!("/proc/sys/net/{name}")).unwrap_or_default();
        text.split_whitespace().filter_map(|word| word.parse().ok()).collect()
    };
    let is = |name: &str, value: u64| numbers(name) == [value];
    if !is("ipv4/tcp_timestamps", 2) || !is("ipv4/tcp_window_scaling", 1) {
        return COOKIE_PLAIN;
    }
    let most = numbers("ipv4/tcp_rmem").into_iter().chain(numbers("core/rmem_max")).max();
    most.map_or(COOKIE_PLAIN, |most| most.max(1).ilog2().saturating_sub(15).min(14))
}

fn ports(rules: &config::GuardRules) -> Ports {
    let mut ports = Ports::EMPTY;
    for port in &rules.served_ports {
        ports.serve(*port);
    }
    for port in &rules.exempt_ports {
        ports.exempt(*port);
    }
    ports
}

fn policy(policy: GuardPolicy) -> u32 {
    match policy {
        GuardPolicy::Pass => POLICY_PASS,
        GuardPolicy::Limit => POLICY_LIMIT,
        GuardPolicy::Drop => POLICY_DROP,
    }
}

fn rate(limit: GuardLimit) -> Rate {
    Rate::new(limit.per_s, limit.burst)
}
