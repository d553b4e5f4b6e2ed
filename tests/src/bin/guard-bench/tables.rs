//! What the tables hold while packets are measured.

use std::path::Path;

use aya::maps::{HashMap, Map, MapData};
use edge::config;
use edge_common::{Client, Deny, Flow, FlowKey, PrimeKey, mapped, reason};

use crate::Outcome;

pub const LOCAL: [u8; 4] = [198, 51, 100, 1];
pub const PORT: u16 = 80;
pub const REMOTE_PORT: u16 = 40_000;
const ENTRIES: u32 = 65_536;
const HALF: u32 = ENTRIES / 2;
const PROVEN_FIRST: u32 = 0x0a00_0000;
const DENIED_FIRST: u32 = 0x0b00_0000;
const STRANGERS_FIRST: u32 = 0x1000_0000;
const STRANGERS: u32 = 1 << 24;
const TCP: u8 = 6;
const NS_PER_S: u64 = 1_000_000_000;

/// Where packets come from.
#[derive(Clone, Copy)]
pub enum Sources {
    Proven,
    Denied,
    Strangers,
}

impl Sources {
    /// The lowest address, and how many follow.
    pub fn range(self) -> (u32, u32) {
        match self {
            Sources::Proven => (PROVEN_FIRST, HALF),
            Sources::Denied => (DENIED_FIRST, HALF),
            Sources::Strangers => (STRANGERS_FIRST, STRANGERS),
        }
    }
}

/// The defaults, enforced on no interface; `budget` 0 is none.
pub fn config(pins: &Path, budget: u64) -> Outcome<config::Guard> {
    let text = format!(
        "[[listen]]\naddr = \"0.0.0.0:{PORT}\"\n[guard]\ninterfaces = [\"none-such\"]\n\
         syn_budget = {budget}\n[[site]]\nhosts = \"*\"\norigin = \"file:///srv\""
    );
    let config = config::Config::parse(&text, "/etc/edge/edge.toml").map_err(|e| e.to_string())?;
    Ok(config::Guard { pin_dir: pins.to_owned(), ..config.guard })
}

/// Half fills them.
pub fn fill(pins: &Path) -> Outcome<()> {
    let mut flows = open::<FlowKey, Flow>(pins, "flows")?;
    let mut proven = open::<[u8; 16], Client>(pins, "proven")?;
    let mut denied = open::<[u8; 16], Deny>(pins, "deny_hosts")?;
    let mut primed = open::<PrimeKey, u64>(pins, "primed")?;
    for index in 0..HALF {
        let remote = mapped((PROVEN_FIRST + index).to_be_bytes());
        let key = FlowKey {
            remote,
            local: mapped(LOCAL),
            remote_port: REMOTE_PORT,
            local_port: PORT,
            protocol: TCP,
            zero: [0; 3],
        };
        flows.insert(key, Flow::default(), 0)?;
        proven.insert(remote, Client::default(), 0)?;
        let deny =
            Deny { until_ns: 0, packets: 0, bytes: 0, reason: reason::FLOOD, prefix_bits: 32 };
        denied.insert(mapped((DENIED_FIRST + index).to_be_bytes()), deny, 0)?;
    }
    let key = PrimeKey { local: mapped(LOCAL), port: PORT, zero: [0; 6] };
    primed.insert(key, u64::MAX - NS_PER_S, 0)?;
    Ok(())
}

fn open<K: aya::Pod, V: aya::Pod>(pins: &Path, name: &str) -> Outcome<HashMap<MapData, K, V>> {
    Ok(HashMap::try_from(Map::from_map_data(MapData::from_pin(pins.join(name))?)?)?)
}
