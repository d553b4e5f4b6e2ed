//! One list of prefixes in the kernel: a trie for each address family, and perhaps a table of single
//! addresses beside them.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;

use aya::Pod;
use aya::maps::lpm_trie::{Key, LpmTrie};
use aya::maps::{HashMap, MapData, MapError};
use edge_common::{Address4, Allow, Deny, is_mapped, mapped};

use super::{GuardError, Prefix, pins};

/// A trie's value. It knows its prefix's length: a look-up alone finds the longest match.
pub(super) trait Entry: Pod {
    /// Length of the prefix it stands at.
    fn prefix_bits(&self) -> u32;
}

impl Entry for Allow {
    fn prefix_bits(&self) -> u32 {
        self.prefix_bits
    }
}

impl Entry for Deny {
    fn prefix_bits(&self) -> u32 {
        self.prefix_bits
    }
}

#[derive(Debug)]
pub(super) struct List<V: Entry> {
    v4: LpmTrie<MapData, Address4, V>,
    v6: LpmTrie<MapData, [u8; 16], V>,
    /// Single addresses, where the list keeps them apart.
    hosts: Option<HashMap<MapData, [u8; 16], V>>,
    max: u32,
}

impl<V: Entry> List<V> {
    /// The pinned tries `name4` and `name6`, of `max` entries each.
    pub fn open(dir: &Path, name: &str, max: u32) -> Result<List<V>, GuardError> {
        let trie = |family| pins::open(dir, &format!("{name}{family}"));
        let failed = |error| GuardError::bpf(format!("open map {name}"), error);
        Ok(List {
            v4: LpmTrie::try_from(trie(4)?).map_err(failed)?,
            v6: LpmTrie::try_from(trie(6)?).map_err(failed)?,
            hosts: None,
            max,
        })
    }

    /// With the pinned table `name` for single addresses, of as many entries.
    pub fn with_hosts(mut self, dir: &Path, name: &str) -> Result<List<V>, GuardError> {
        let failed = |error| GuardError::bpf(format!("open map {name}"), error);
        self.hosts = Some(pins::open(dir, name)?.try_into().map_err(failed)?);
        Ok(self)
    }

    /// The entry of exactly this prefix.
    pub fn entry(&self, prefix: Prefix) -> Result<Option<V>, GuardError> {
        if let (Some(hosts), true) = (&self.hosts, prefix.is_host()) {
            return match hosts.get(&key(prefix), 0) {
                Ok(value) => Ok(Some(value)),
                Err(MapError::KeyNotFound) => Ok(None),
                Err(error) => Err(GuardError::bpf(format!("look up {prefix}"), error)),
            };
        }
        let found = match prefix.address() {
            IpAddr::V4(address) => self.v4.get(&key4(prefix, address), 0),
            IpAddr::V6(address) => self.v6.get(&key6(prefix, address), 0),
        };
        match found {
            Ok(value) => {
                Ok(Some(value).filter(|value| value.prefix_bits() == u32::from(prefix.bits())))
            }
            Err(MapError::KeyNotFound) => Ok(None),
            Err(error) => Err(GuardError::bpf(format!("look up {prefix}"), error)),
        }
    }

    /// Adds or replaces an entry. [`GuardError::Full`] when there is no room.
    pub fn insert(&mut self, prefix: Prefix, value: V) -> Result<(), GuardError> {
        let inserted = match (&mut self.hosts, prefix.address()) {
            (Some(hosts), _) if prefix.is_host() => hosts.insert(key(prefix), value, 0),
            (_, IpAddr::V4(address)) => self.v4.insert(&key4(prefix, address), value, 0),
            (_, IpAddr::V6(address)) => self.v6.insert(&key6(prefix, address), value, 0),
        };
        inserted.map_err(|error| match super::error::kind(&error) {
            // Tries say the one, tables the other.
            Some(std::io::ErrorKind::StorageFull | std::io::ErrorKind::ArgumentListTooLong) => {
                GuardError::Full { max: self.max }
            }
            _ => GuardError::bpf(format!("insert {prefix}"), error),
        })
    }

    /// Removes an entry; one that is gone already is no error.
    pub fn remove(&mut self, prefix: Prefix) -> Result<(), GuardError> {
        let removed = match (&mut self.hosts, prefix.address()) {
            (Some(hosts), _) if prefix.is_host() => hosts.remove(&key(prefix)),
            (_, IpAddr::V4(address)) => self.v4.remove(&key4(prefix, address)),
            (_, IpAddr::V6(address)) => self.v6.remove(&key6(prefix, address)),
        };
        match removed {
            Err(error) if super::error::kind(&error) != Some(std::io::ErrorKind::NotFound) => {
                Err(GuardError::bpf(format!("remove {prefix}"), error))
            }
            _ => Ok(()),
        }
    }

    /// Every entry, in order of address.
    pub fn entries(&self) -> Result<BTreeMap<Prefix, V>, GuardError> {
        let failed = |error| GuardError::bpf("read list", error);
        // A walk that is overtaken by a deletion starts anew: the map's size bounds it, twice over.
        let steps = self.max as usize * 2;
        let mut entries = BTreeMap::new();
        for entry in self.v4.iter().take(steps) {
            let (key, value) = entry.map_err(failed)?;
            let Address4 { address, .. } = key.data();
            entries.insert(Prefix::network(address.into(), length(key.prefix_len())), value);
        }
        for entry in self.v6.iter().take(steps) {
            let (key, value) = entry.map_err(failed)?;
            entries.insert(Prefix::network(key.data().into(), length(key.prefix_len())), value);
        }
        for entry in self.hosts.iter().flat_map(|hosts| hosts.iter().take(steps)) {
            let (key, value) = entry.map_err(failed)?;
            entries.insert(host(key), value);
        }
        Ok(entries)
    }
}

fn key4(prefix: Prefix, address: Ipv4Addr) -> Key<Address4> {
    Key::new(prefix.bits().into(), Address4::new(address.octets()))
}

fn key6(prefix: Prefix, address: Ipv6Addr) -> Key<[u8; 16]> {
    Key::new(prefix.bits().into(), address.octets())
}

/// An address as the kernel program's tables have it.
fn key(prefix: Prefix) -> [u8; 16] {
    match prefix.address() {
        IpAddr::V4(address) => mapped(address.octets()),
        IpAddr::V6(address) => address.octets(),
    }
}

fn host(key: [u8; 16]) -> Prefix {
    let [.., a, b, c, d] = key;
    match is_mapped(&key) {
        true => Prefix::host(Ipv4Addr::new(a, b, c, d).into()),
        false => Prefix::host(Ipv6Addr::from(key).into()),
    }
}

fn length(prefix_len: u32) -> u8 {
    prefix_len.min(128) as u8
}
