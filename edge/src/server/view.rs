//! What the admin API shows of the node.

use std::net::IpAddr;

use serde_json::{Value, json};

use super::node::Node;
use crate::admin::{Refusal, View};
use crate::cache::CacheMetrics;
use crate::config::GuardMode;
use crate::fill::FillMetrics;
use crate::guard;
use crate::metrics::Counter;
use crate::metrics::prometheus::{Family, Kind, counter, gauge};
use crate::metrics::{site_families, worker_families};
use crate::worker::Phase;

impl View for Node {
    fn metrics(&self, out: &mut String) {
        worker_families(out, &self.metrics);
        let sites = self.sites.load();
        let sites: Vec<_> =
            sites.iter().map(|site| (site.config.name.as_str(), &*site.metrics)).collect();
        site_families(out, &sites);
        self.origin_families(out);
        self.cache_families(out);
        self.volume_trouble(out);
        self.guard_families(out);
        self.desk_families(out);
        self.log.families(out);
        let seconds = self.started.elapsed().as_secs();
        gauge(out, "edge_uptime_seconds", "Seconds since the start.", seconds);
    }

    fn status(&self) -> Value {
        let sites = self.sites.load();
        let sites: Vec<&str> = sites.iter().map(|site| site.config.name.as_str()).collect();
        let volumes: Vec<Value> = self.cache.usage().iter().map(volume).collect();
        let guard = self.lock_guard().state();
        let interfaces: Vec<Value> = guard
            .interfaces
            .iter()
            .map(|(name, mode)| json!({ "name": name, "attached": mode.as_str() }))
            .collect();
        json!({
            "version": env!("CARGO_PKG_VERSION"),
            "phase": phase_name(self.phase()),
            "uptime_s": self.started.elapsed().as_secs(),
            "listen": self.addresses().iter().map(ToString::to_string).collect::<Vec<_>>(),
            "workers": self.metrics.workers.len(),
            "conns": self.metrics.conns_open(),
            "sites": sites,
            "origins": self.origins_shown(),
            "cache": { "entries": self.cache.entries(), "volumes": volumes },
            "guard": {
                "built_in": guard::is_built_in(),
                "mode": guard.mode.map(GuardMode::as_str),
                "interfaces": interfaces,
                "off": guard.off,
            },
        })
    }

    fn healthy(&self) -> Result<(), String> {
        match self.phase() {
            Phase::Serving => Ok(()),
            _ => Err("draining".to_owned()),
        }
    }

    fn why(&self, address: IpAddr) -> Value {
        self.why_json(address)
    }

    fn top(&self) -> Value {
        self.top_json()
    }

    fn conns(&self) -> Value {
        self.conns_json()
    }

    fn forgive(&self, prefix: &str) -> Result<String, String> {
        let prefix: guard::Prefix = prefix.parse().map_err(|error| format!("{error}"))?;
        let count = self.desk.forgive(|address| prefix.contains(address));
        Ok(format!("{count} clients of {prefix} begin anew"))
    }

    fn reload(&self) -> Result<String, String> {
        Node::reload(self)
    }

    fn purge(&self, order: &Value) -> Result<Value, Refusal> {
        self.carry_out_purge(order)
    }

    fn verify(&self) -> Result<Value, Refusal> {
        self.begin_verify()
    }

    fn verified(&self) -> Value {
        self.verified_shown()
    }

    fn prefetch(&self, order: &Value) -> Result<Value, Refusal> {
        self.prefetches.order(order)
    }

    fn prefetched(&self, number: u64) -> Option<Value> {
        self.prefetches.shown(number)
    }

    fn purges(&self) -> Value {
        self.purges_shown()
    }

    fn domains(&self) -> Value {
        self.domains_shown()
    }

    fn add_domain(&self, order: &Value) -> Result<Value, Refusal> {
        Node::add_domain(self, order)
    }

    fn remove_domain(&self, order: &Value) -> Result<Value, Refusal> {
        Node::remove_domain(self, order)
    }

    fn explain(&self, question: &Value) -> Result<Value, Refusal> {
        Node::explain(self, question)
    }
}

impl Node {
    fn cache_families(&self, out: &mut String) {
        let metrics = self.cache.metrics();
        for (name, help, field) in CACHE_FIELDS {
            counter(out, name, help, field(metrics).value());
        }
        let fills = self.fills.plane.metrics();
        for (name, help, field) in FILL_FIELDS {
            counter(out, name, help, field(fills).value());
        }
        gauge(out, "edge_fills_active", "Fills running now.", fills.active());
        gauge(out, "edge_cache_entries", "Entries of the index.", self.cache.entries() as u64);
        let rules = self.cache.purge_rules() as u64;
        gauge(out, "edge_purge_rules", "Purges that are still looked at.", rules);
        let usage = self.cache.usage();
        for (name, help, value) in VOLUME_FIELDS {
            let mut family = Family::begin(out, name, Kind::Gauge, help);
            for volume in &usage {
                family.sample(&[("volume", &volume.path.to_string_lossy())], value(volume));
            }
        }
    }

    /// What went wrong on each volume, and what came of it.
    fn volume_trouble(&self, out: &mut String) {
        let usage = self.cache.usage();
        let help =
            "1 for the state a volume is in: ok, failing (reads), read-only (until a restart).";
        let mut family = Family::begin(out, "edge_volume_state", Kind::Gauge, help);
        for volume in &usage {
            let path = volume.path.to_string_lossy();
            for name in ["ok", "failing", "read-only"] {
                let is_in = u64::from(state(volume) == name);
                family.sample(&[("volume", &path), ("state", name)], is_in);
            }
        }
        let help = "Errors of a volume's disk, by what was tried.";
        let mut family = Family::begin(out, "edge_volume_errors_total", Kind::Counter, help);
        for volume in &usage {
            let path = volume.path.to_string_lossy();
            family.sample(&[("volume", &path), ("op", "read")], volume.read_errors);
            family.sample(&[("volume", &path), ("op", "write")], volume.write_errors);
        }
    }

    /// Totals by reason, read from the kernel's map at this moment.
    fn guard_families(&self, out: &mut String) {
        let guard = self.lock_guard();
        let Some(totals) = guard.maps().and_then(|maps| maps.totals().ok()) else { return };
        let name = "edge_guard_packets_total";
        let mut family = Family::begin(out, name, Kind::Counter, "Packets seen, by verdict.");
        for total in &totals {
            family.sample(&[("reason", total.reason)], total.packets);
        }
        let name = "edge_guard_bytes_total";
        let mut family = Family::begin(out, name, Kind::Counter, "Bytes seen, by verdict.");
        for total in &totals {
            family.sample(&[("reason", total.reason)], total.bytes);
        }
    }
}

fn volume(usage: &crate::cache::VolumeUsage) -> Value {
    json!({
        "path": usage.path,
        "size_bytes": usage.size_bytes,
        "used_bytes": usage.used_bytes,
        "free_regions": usage.free_regions,
        "broken": usage.broken,
        "state": state(usage),
        "read_errors": usage.read_errors,
        "write_errors": usage.write_errors,
    })
}

/// `ok`; `failing`: some of it cannot be read; `read-only`: it takes no new bytes until a restart.
fn state(usage: &crate::cache::VolumeUsage) -> &'static str {
    match (usage.broken, usage.read_errors) {
        (true, _) => "read-only",
        (false, 0) => "ok",
        (false, _) => "failing",
    }
}

type CounterField<T> = (&'static str, &'static str, fn(&T) -> &Counter);

const CACHE_FIELDS: [CounterField<CacheMetrics>; 15] = [
    ("edge_cache_verified_total", "Records from before the start found whole at first use.", |m| {
        &m.verified
    }),
    ("edge_cache_corrupt_total", "Records found damaged, and dropped.", |m| &m.corrupt),
    ("edge_cache_reclaimed_regions_total", "Regions emptied to make room.", |m| {
        &m.reclaimed_regions
    }),
    ("edge_cache_evicted_total", "Slices and heads dropped with them.", |m| &m.evicted_entries),
    ("edge_cache_kept_total", "Slices and heads written again instead.", |m| &m.kept_entries),
    ("edge_cache_kept_bytes_total", "Bytes of those.", |m| &m.kept_bytes),
    ("edge_cache_evicted_objects_total", "Objects dropped from memory to make room.", |m| {
        &m.evicted_objects
    }),
    ("edge_cache_recovered_total", "Slices and heads found again at the start.", |m| {
        &m.recovered_entries
    }),
    ("edge_cache_write_errors_total", "Writes that a volume refused.", |m| &m.write_errors),
    ("edge_cache_written_bytes_total", "Bytes written to volumes, headers included.", |m| {
        &m.written_bytes
    }),
    ("edge_cache_checkpoints_total", "Checkpoints written.", |m| &m.checkpoints),
    ("edge_cache_scrubbed_bytes_total", "Bytes read by passes over what is stored.", |m| {
        &m.scrubbed_bytes
    }),
    ("edge_purges_total", "Purges ordered, each pattern for itself.", |m| &m.purges),
    ("edge_purged_objects_total", "Objects that a look-up found purged.", |m| &m.purged),
    ("edge_cache_no_room_total", "Slices not stored because every region was in use.", |m| {
        &m.no_room
    }),
];

const FILL_FIELDS: [CounterField<FillMetrics>; 9] = [
    ("edge_fill_demands_total", "Demands of workers.", |m| &m.demands),
    ("edge_fill_opens_total", "Demands for an object's head.", |m| &m.opens),
    ("edge_fill_joins_total", "Demands answered together with an earlier one.", |m| &m.joins),
    ("edge_fill_retries_total", "Requests to origins sent again, or resumed.", |m| &m.retries),
    ("edge_passes_total", "Requests passed on as clients put them.", |m| &m.passes),
    ("edge_tunnels_total", "Of those, that switched to another protocol.", |m| &m.tunnels),
    ("edge_fill_overloads_total", "Demands turned away.", |m| &m.overloads),
    ("edge_coded_total", "Bodies coded for clients that take it.", |m| &m.coded),
    ("edge_fill_fenced_total", "Objects that changed at the origin while being filled.", |m| {
        &m.fenced
    }),
];

type VolumeField = (&'static str, &'static str, fn(&crate::cache::VolumeUsage) -> u64);

const VOLUME_FIELDS: [VolumeField; 3] = [
    ("edge_volume_size_bytes", "Bytes a volume may use.", |usage| usage.size_bytes),
    ("edge_volume_used_bytes", "Bytes of records in a volume.", |usage| usage.used_bytes),
    ("edge_volume_broken", "1 when a volume failed and is not written any more.", |usage| {
        u64::from(usage.broken)
    }),
];

fn phase_name(phase: Phase) -> &'static str {
    match phase {
        Phase::Serving => "serving",
        Phase::Draining => "draining",
        Phase::Stopping => "stopping",
    }
}
