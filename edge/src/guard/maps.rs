//! The maps as rows: read and written by the node, and by other processes through the pins.

use std::collections::HashMap as Table;
use std::fmt;
use std::path::Path;
use std::time::Duration;

use aya::maps::{Array, HashMap, MapData, MapError, PerCpuArray};
use edge_common::{
    ALLOW_MAX, Allow, Client, Conn, DENY_MAX, Deny, Flow, FlowKey, Ports, Settings, Total, reason,
};

use super::list::List;
use super::{BanRow, ConnRow, FlowRow, GuardError, Prefix, TotalRow, pins, rules};
use crate::config::GuardMode;
use crate::sys::monotonic::monotonic_ns;

/// The guard's maps, opened by their pins.
pub struct Maps {
    flows: HashMap<MapData, FlowKey, Flow>,
    flows_max: u32,
    strangers: HashMap<MapData, FlowKey, Flow>,
    epoch: Array<MapData, u64>,
    conns: HashMap<MapData, FlowKey, Conn>,
    proven: HashMap<MapData, [u8; 16], Client>,
    pub(super) allow: List<Allow>,
    pub(super) deny: List<Deny>,
    totals: PerCpuArray<MapData, Total>,
    pub(super) unproven: Array<MapData, Client>,
    pub(super) ports: Array<MapData, Ports>,
    settings: Array<MapData, Settings>,
}

impl Maps {
    /// Opens the maps pinned in `dir`. [`GuardError::NoMaps`] when there are none,
    /// [`GuardError::Layout`] when they are another version's.
    pub fn open(dir: &Path) -> Result<Maps, GuardError> {
        let failed = |error| GuardError::bpf("open map", error);
        let settings = pins::open_settings(dir)?;
        let flows: HashMap<MapData, FlowKey, Flow> =
            pins::open(dir, "flows")?.try_into().map_err(failed)?;
        let totals = pins::open(dir, "totals")?.try_into().map_err(failed)?;
        Ok(Maps {
            flows_max: aya::maps::MapInfo::from_pin(dir.join("flows"))
                .map_err(failed)?
                .max_entries(),
            flows,
            strangers: pins::open(dir, "strangers")?.try_into().map_err(failed)?,
            epoch: pins::open(dir, "epoch")?.try_into().map_err(failed)?,
            allow: List::open(dir, "allow", ALLOW_MAX)?,
            deny: List::open(dir, "deny", DENY_MAX)?.with_hosts(dir, "deny_hosts")?,
            totals,
            conns: pins::open(dir, "conns")?.try_into().map_err(failed)?,
            proven: pins::open(dir, "proven")?.try_into().map_err(failed)?,
            unproven: pins::open(dir, "unproven")?.try_into().map_err(failed)?,
            ports: pins::open(dir, "ports")?.try_into().map_err(failed)?,
            settings,
        })
    }

    /// Every flow, connections' and strangers', in no order. Flows may come and go meanwhile.
    pub fn flows(&self) -> Result<Vec<FlowRow>, GuardError> {
        let now_ns = monotonic_ns();
        let mut flows = Table::new();
        // A walk overtaken by an eviction starts anew: the map's size bounds it, twice over.
        for map in [&self.strangers, &self.flows] {
            for flow in map.iter().take(self.flows_max as usize * 2) {
                let (key, flow) = flow.map_err(|error| GuardError::bpf("read flows", error))?;
                let both: &mut Flow = flows.entry(key).or_default();
                // A connection that begins anew is a stranger's first.
                *both = match both.packets {
                    0 => flow,
                    _ => both.joined(&flow),
                };
            }
        }
        Ok(flows.iter().map(|(key, flow)| FlowRow::new(key, flow, now_ns)).collect())
    }

    /// Every connection that was followed, open or ended, in no order; the oldest may be gone.
    pub fn conns(&self) -> Result<Vec<ConnRow>, GuardError> {
        let mut conns = Table::new();
        for conn in self.conns.iter().take(self.flows_max as usize * 2) {
            let (key, conn) = conn.map_err(|error| GuardError::bpf("read connections", error))?;
            conns.insert(key, conn);
        }
        Ok(conns.iter().map(|(key, conn)| ConnRow::new(key, conn)).collect())
    }

    /// Bytes that clients acknowledged on connections that have ended, over all clients kept.
    pub fn delivered_bytes(&self) -> Result<u64, GuardError> {
        let clients = self.proven.iter().take(self.flows_max as usize * 2);
        let bytes = clients.map(|client| client.map(|(_, client)| client.acked_bytes));
        let sum = bytes.sum::<Result<u64, MapError>>();
        sum.map_err(|error| GuardError::bpf("read clients", error))
    }

    /// What is kept of a client that has proven itself.
    pub(super) fn proven_client(&self, key: [u8; 16]) -> Result<Option<Client>, GuardError> {
        match self.proven.get(&key, 0) {
            Ok(client) => Ok(Some(client)),
            Err(MapError::KeyNotFound) => Ok(None),
            Err(error) => Err(GuardError::bpf("read client", error)),
        }
    }

    /// Forgets which clients have proven themselves, and how many connections they hold.
    pub(super) fn forget_conns(&mut self) -> Result<(), GuardError> {
        let clients: Vec<[u8; 16]> = self.proven.keys().filter_map(Result::ok).collect();
        for client in clients {
            match self.proven.remove(&client) {
                Err(error) if super::error::kind(&error) != Some(std::io::ErrorKind::NotFound) => {
                    return Err(GuardError::bpf("forget clients", error));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Flows the table holds at most.
    pub fn flows_max(&self) -> u32 {
        self.flows_max
    }

    /// Bans and denied prefixes of the configuration that hold now, in order of address.
    pub fn bans(&self) -> Result<Vec<BanRow>, GuardError> {
        let now_ns = monotonic_ns();
        let entries = self.deny.entries()?;
        let holding = entries.iter().filter(|(_, deny)| deny.holds(now_ns));
        Ok(holding.map(|(prefix, deny)| BanRow::new(*prefix, deny, now_ns)).collect())
    }

    /// Drops packets from `prefix` from now on, for `lasting` or without end. `reason` is a drop
    /// reason of [`edge_common::reason`]. Banning again changes reason and end and keeps the counts.
    pub fn ban(
        &mut self,
        prefix: Prefix,
        reason: u32,
        lasting: Option<Duration>,
    ) -> Result<(), GuardError> {
        if prefix.bits() == 0 {
            return Err(GuardError::Everybody { prefix: prefix.to_string() });
        }
        let before = self.deny.entry(prefix)?;
        if before.is_some_and(|deny| deny.reason == reason::CONFIG) {
            return Err(GuardError::Configured { prefix: prefix.to_string() });
        }
        let until_ns = lasting.map_or(0, |lasting| {
            let lasting_ns = lasting.as_nanos().min(u64::MAX.into()) as u64;
            monotonic_ns().saturating_add(lasting_ns)
        });
        self.insert_deny(prefix, reason::of_entry(reason), until_ns)?;
        self.touch()
    }

    /// Whether a ban of exactly this prefix stands, ended or not.
    pub fn is_banned(&self, prefix: Prefix) -> Result<bool, GuardError> {
        Ok(self.deny.entry(prefix)?.is_some())
    }

    /// Ends a ban. [`GuardError::NotBanned`] when there is none of exactly this prefix.
    pub fn unban(&mut self, prefix: Prefix) -> Result<(), GuardError> {
        match self.deny.entry(prefix)? {
            None => Err(GuardError::NotBanned { prefix: prefix.to_string() }),
            Some(deny) if deny.reason == reason::CONFIG => {
                Err(GuardError::Configured { prefix: prefix.to_string() })
            }
            Some(_) => self.deny.remove(prefix),
        }
    }

    /// Removes bans that have ended; how many.
    pub fn sweep(&mut self) -> Result<usize, GuardError> {
        let now_ns = monotonic_ns();
        let entries = self.deny.entries()?;
        let ended = entries.iter().filter(|(_, deny)| !deny.holds(now_ns));
        let mut swept = 0;
        for (prefix, _) in ended {
            self.deny.remove(*prefix)?;
            swept += 1;
        }
        Ok(swept)
    }

    /// Packets by reason; every known reason, whether seen or not.
    pub fn totals(&self) -> Result<Vec<TotalRow>, GuardError> {
        reason::NAMES
            .iter()
            .map(|(number, _)| {
                let by_cpu = self.totals.get(number, 0);
                let by_cpu = by_cpu.map_err(|error| GuardError::bpf("read totals", error))?;
                Ok(TotalRow::new(*number, &by_cpu))
            })
            .collect()
    }

    /// Whether verdicts drop.
    pub fn mode(&self) -> Result<GuardMode, GuardError> {
        let settings = self.settings()?;
        Ok(rules::mode(settings.mode))
    }

    /// Has verdicts drop, or not; from the next packet on.
    pub fn set_mode(&mut self, mode: GuardMode) -> Result<(), GuardError> {
        let settings = self.settings()?;
        self.set_settings(Settings { mode: rules::mode_number(mode), ..settings })
    }

    /// Has flows that passed the rules before be looked at again.
    pub(super) fn touch(&mut self) -> Result<(), GuardError> {
        // The time: two processes at once must not agree on a number. An odd one is never a new flow's.
        let set = self.epoch.set(0, monotonic_ns() | 1, 0);
        set.map_err(|error| GuardError::bpf("write epoch", error))
    }

    pub(super) fn settings(&self) -> Result<Settings, GuardError> {
        self.settings.get(&0, 0).map_err(|error| GuardError::bpf("read settings", error))
    }

    pub(super) fn set_settings(&mut self, settings: Settings) -> Result<(), GuardError> {
        let set = self.settings.set(0, settings, 0);
        set.map_err(|error| GuardError::bpf("write settings", error))
    }

    /// Writes a deny entry; the counts of one that is there already stay. A full list is swept once.
    pub(super) fn insert_deny(
        &mut self,
        prefix: Prefix,
        reason: u32,
        until_ns: u64,
    ) -> Result<(), GuardError> {
        let before = self.deny.entry(prefix)?;
        let deny = Deny {
            until_ns,
            packets: before.map_or(0, |deny| deny.packets),
            bytes: before.map_or(0, |deny| deny.bytes),
            reason,
            prefix_bits: prefix.bits().into(),
        };
        match self.deny.insert(prefix, deny) {
            Err(GuardError::Full { .. }) if self.sweep()? > 0 => self.deny.insert(prefix, deny),
            inserted => inserted,
        }
    }
}

impl fmt::Debug for Maps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Maps").field("flows_max", &self.flows_max).finish_non_exhaustive()
    }
}
