//! The configured rules, as the kernel program reads them.

use std::hash::{BuildHasher, Hasher, RandomState};

use edge_common::{
    LAYOUT, MODE_ENFORCE, MODE_OBSERVE, MODE_OFF, POLICY_DROP, POLICY_LIMIT, POLICY_PASS, Ports,
    Rate, Settings, mask,
};

use super::{GuardError, Maps};
use crate::config::{self, GuardLimit, GuardMode, GuardPolicy};

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
    maps.set_settings(settings(config, clients, seed))
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
        zero: 0,
        seed,
        mask4: mask(MAPPED_BITS + u32::from(rules.prefix_v4)),
        mask6: mask(rules.prefix_v6.into()),
        syn: rate(rules.syn),
        packets: rate(rules.packets),
        bytes: rate(rules.bytes),
        conns_max: rules.conns_max,
    }
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
