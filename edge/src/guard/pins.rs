//! The pinned maps: which there are, whether what is pinned fits, and opening them.

use std::io;
use std::path::Path;

use aya::maps::{Array, Map, MapData, MapInfo, MapType};
use edge_common::{
    ALLOW_MAX, Address4, Allow, Budget, Client, Conn, DENY_MAX, Deny, FLOWS_PER_STRANGER, Flow,
    FlowKey, LAYOUT, LISTENERS_MAX, Ports, PrimeKey, Settings, Total, reason,
};

use super::{GuardError, GuardNote};
use crate::config;
use crate::sys::mount;

/// Where `mount_bpffs` is tried when nothing is mounted yet.
const BPFFS: &str = "/sys/fs/bpf";
/// Bytes of a trie key before the address: the prefix length.
const TRIE_HEAD_BYTES: usize = 4;

/// What a map must look like to be adopted.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shape {
    /// Name in the kernel program and of the pin.
    pub name: &'static str,
    kind: MapType,
    key_bytes: usize,
    value_bytes: usize,
    max_entries: u32,
}

/// Sizes of the maps that a configuration decides on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sizes {
    /// Flows, and connections.
    pub flows: u32,
    /// Places for clients.
    pub clients: u32,
}

impl Sizes {
    pub fn of(config: &config::Guard) -> Sizes {
        Sizes { flows: config.flows.max(1), clients: config.clients.max(1) }
    }

    /// Flows of strangers.
    pub fn strangers(self) -> u32 {
        self.flows.div_ceil(FLOWS_PER_STRANGER)
    }
}

/// Every map.
pub(super) fn shapes(sizes: Sizes) -> [Shape; 16] {
    let shape = |name, kind, key_bytes, value_bytes, max_entries| Shape {
        name,
        kind,
        key_bytes,
        value_bytes,
        max_entries,
    };
    let trie = |name, address_bytes, value_bytes, max_entries| {
        shape(name, MapType::LpmTrie, TRIE_HEAD_BYTES + address_bytes, value_bytes, max_entries)
    };
    [
        shape("flows", MapType::LruHash, size_of::<FlowKey>(), size_of::<Flow>(), sizes.flows),
        shape(
            "strangers",
            MapType::LruHash,
            size_of::<FlowKey>(),
            size_of::<Flow>(),
            sizes.strangers(),
        ),
        trie("allow4", size_of::<Address4>(), size_of::<Allow>(), ALLOW_MAX),
        trie("allow6", 16, size_of::<Allow>(), ALLOW_MAX),
        trie("deny4", size_of::<Address4>(), size_of::<Deny>(), DENY_MAX),
        trie("deny6", 16, size_of::<Deny>(), DENY_MAX),
        shape("deny_hosts", MapType::Hash, 16, size_of::<Deny>(), DENY_MAX),
        shape("totals", MapType::PerCpuArray, 4, size_of::<Total>(), reason::COUNT),
        shape("conns", MapType::LruHash, size_of::<FlowKey>(), size_of::<Conn>(), sizes.flows),
        shape("proven", MapType::LruHash, 16, size_of::<Client>(), sizes.clients),
        shape("unproven", MapType::Array, 4, size_of::<Client>(), sizes.clients),
        shape("primed", MapType::LruHash, size_of::<PrimeKey>(), 8, LISTENERS_MAX),
        shape("budgets", MapType::PerCpuArray, 4, size_of::<Budget>(), 1),
        shape("epoch", MapType::Array, 4, 8, 1),
        shape("ports", MapType::Array, 4, size_of::<Ports>(), 1),
        shape("settings", MapType::Array, 4, size_of::<Settings>(), 1),
    ]
}

/// Makes `dir` a place for pins: on a BPF file system (mounted at its usual place if need be),
/// existing, for root only.
pub(super) fn prepare(dir: &Path) -> Result<(), GuardError> {
    use std::os::unix::fs::DirBuilderExt;

    let failed = |op, path: &Path, source| GuardError::io(op, path, source);
    if !mount::is_bpffs(dir).map_err(|error| failed("look at", dir, error))? {
        let usual = Path::new(BPFFS);
        if !dir.starts_with(usual) || !usual.exists() {
            return Err(GuardError::NotBpffs { path: dir.to_owned() });
        }
        mount::mount_bpffs(usual).map_err(|error| failed("mount bpf at", usual, error))?;
    }
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
        .map_err(|error| failed("create", dir, error))?;
    // The file system's root may be written by everybody.
    match mount::is_ours(dir).map_err(|error| failed("look at", dir, error))? {
        true => Ok(()),
        false => Err(GuardError::NotOurs { path: dir.to_owned() }),
    }
}

/// Removes the pins in `dir` that do not fit, so that loading the program makes new ones in their
/// place. Loading itself adopts a pin whatever it looks like.
pub(super) fn keep_fitting(
    dir: &Path,
    sizes: Sizes,
    notes: &mut Vec<GuardNote>,
) -> Result<(), GuardError> {
    let layout = match layout(dir) {
        Ok(layout) => Some(layout),
        // Not ours to judge, and not ours to throw away.
        Err(error @ GuardError::NotPermitted { .. }) => return Err(error),
        Err(_) => None,
    };
    for wanted in shapes(sizes) {
        let path = dir.join(wanted.name);
        if !path.exists() {
            continue;
        }
        let why = match &layout {
            Some(LAYOUT) => misfit(&path, &wanted),
            Some(other) => Some(format!("layout {other} was pinned, {LAYOUT} is needed")),
            None => Some("maps without a layout were pinned".to_owned()),
        };
        if let Some(why) = why {
            std::fs::remove_file(&path).map_err(|error| GuardError::io("remove", &path, error))?;
            notes.push(GuardNote::Replaced { map: wanted.name, why });
        }
    }
    Ok(())
}

/// The map pinned as `name`.
pub(super) fn open(dir: &Path, name: &str) -> Result<Map, GuardError> {
    let path = dir.join(name);
    let data = MapData::from_pin(&path).map_err(|error| match super::error::kind(&error) {
        Some(io::ErrorKind::NotFound) => GuardError::NoMaps { path: dir.to_owned() },
        _ => GuardError::bpf(format!("open {}", path.display()), error),
    })?;
    Map::from_map_data(data).map_err(|error| GuardError::bpf(format!("open map {name}"), error))
}

/// The settings, if they are of our layout.
pub(super) fn open_settings(dir: &Path) -> Result<Array<MapData, Settings>, GuardError> {
    let settings = settings(dir)?;
    match layout_of(&settings)? {
        LAYOUT => Ok(settings),
        got => Err(GuardError::Layout { path: dir.to_owned(), got, expected: LAYOUT }),
    }
}

/// Marks the maps in `dir` as being of our layout; the mode stays.
pub(super) fn sign(dir: &Path) -> Result<(), GuardError> {
    let failed = |error| GuardError::bpf("write settings", error);
    let mut settings = settings(dir)?;
    let now = settings.get(&0, 0).map_err(failed)?;
    settings.set(0, Settings { layout: LAYOUT, ..now }, 0).map_err(failed)
}

fn layout(dir: &Path) -> Result<u32, GuardError> {
    layout_of(&settings(dir)?)
}

fn settings(dir: &Path) -> Result<Array<MapData, Settings>, GuardError> {
    Array::try_from(open(dir, "settings")?).map_err(|error| GuardError::bpf("open settings", error))
}

fn layout_of(settings: &Array<MapData, Settings>) -> Result<u32, GuardError> {
    let entry = settings.get(&0, 0).map_err(|error| GuardError::bpf("read settings", error))?;
    Ok(entry.layout)
}

fn misfit(path: &Path, wanted: &Shape) -> Option<String> {
    let info = match MapInfo::from_pin(path) {
        Ok(info) => info,
        Err(error) => return Some(super::error::causes(&error)),
    };
    let kind = info.map_type().ok();
    let numbers = [
        ("key bytes", info.key_size(), wanted.key_bytes as u32),
        ("value bytes", info.value_size(), wanted.value_bytes as u32),
        ("entries", info.max_entries(), wanted.max_entries),
    ];
    if kind != Some(wanted.kind) {
        return Some(format!("its type is {kind:?}, {:?} is needed", wanted.kind));
    }
    numbers
        .into_iter()
        .find(|(_, got, needed)| got != needed)
        .map(|(what, got, needed)| format!("it has {got} {what}, {needed} are needed"))
}
