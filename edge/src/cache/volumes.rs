//! The volumes of a node: opened, formatted or recovered; and one in memory when there is none.

use std::fs::{File, OpenOptions};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::{self, Seek, SeekFrom};
use std::os::unix::fs::{FileExt, FileTypeExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use super::error::StoreError;
use super::index::Index;
use super::key::{Key, Seed};
use super::layout::{Layout, Superblock};
use super::metrics::CacheMetrics;
use super::purge::{Journal, Kept};
use super::record::PAGE_BYTES;
use super::recovery;
use super::volume::Volume;
use crate::config;
use crate::sys::file::{fallocate, lock_exclusive, memfd, zero_range};

/// Size of a volume in memory (more where slices are large).
const SPARE_BYTES: u64 = 64 * 1024 * 1024;
/// A place names its volume by one byte; the last is kept for the spare.
const VOLUMES_MAX: usize = 255;

/// See the module.
pub(super) struct Volumes {
    configured: Box<[Arc<Volume>]>,
    spare: OnceLock<Arc<Volume>>,
    seed: Seed,
    slice_bytes: u64,
    sequences: Arc<AtomicU64>,
    /// The purges that all volumes together remember.
    kept: Kept,
}

/// A volume's file before it is known what it holds.
struct Candidate {
    path: PathBuf,
    file: File,
    layout: Layout,
    superblock: Option<Superblock>,
    /// Purges it remembers.
    kept: Option<Kept>,
}

impl Volumes {
    pub fn open(
        config: &config::Cache,
        index: &Index,
        metrics: &Arc<CacheMetrics>,
    ) -> Result<Volumes, StoreError> {
        if config.volumes.len() > VOLUMES_MAX {
            return Err(StoreError::TooManyVolumes { got: config.volumes.len(), max: VOLUMES_MAX });
        }
        let opened = config.volumes.iter().filter_map(|volume| {
            open_candidate(&volume.path, volume.size_bytes, config.slice_bytes)
                .inspect_err(|error| tracing::error!(%error, "volume left out"))
                .ok()
        });
        let candidates: Vec<Candidate> = opened.collect();
        let kept = candidates.iter().find_map(|candidate| Some(candidate.superblock?.seed));
        let seed = kept.unwrap_or_else(|| Seed([random_u64(), random_u64()]));
        let remembered = candidates.iter().filter_map(|candidate| candidate.kept.clone());
        let join = |mut all: Kept, kept| {
            all.join(kept);
            all
        };
        let mut volumes = Volumes {
            configured: Box::new([]),
            spare: OnceLock::new(),
            seed,
            slice_bytes: config.slice_bytes,
            sequences: Arc::default(),
            kept: remembered.fold(Kept::default(), join),
        };
        let mut found = Vec::new();
        for candidate in candidates {
            let id = found.len() as u8;
            match volumes.adopt(id, candidate, metrics) {
                Ok((volume, is_new)) => found.push((Arc::new(volume), is_new)),
                Err(error) => tracing::error!(%error, "volume left out"),
            }
        }
        volumes.configured = found.iter().map(|(volume, _)| volume.clone()).collect();
        recovery::recover(&volumes, &found, index, metrics);
        if let Some(spare) = volumes.spare(metrics) {
            spare?;
        }
        Ok(volumes)
    }

    pub fn seed(&self) -> Seed {
        self.seed
    }

    pub fn slice_bytes(&self) -> u64 {
        self.slice_bytes
    }

    /// The configured volumes, in use or not.
    pub fn configured(&self) -> &[Arc<Volume>] {
        &self.configured
    }

    /// The purges that the volumes remember.
    pub fn kept(&self) -> &Kept {
        &self.kept
    }

    /// A number that was never handed out.
    pub fn nonce(&self) -> u64 {
        random_u64()
    }

    /// The last sequence given to a region, or edition to a head, of any volume.
    pub fn sequences(&self) -> &AtomicU64 {
        &self.sequences
    }

    /// One more of them.
    pub fn next_sequence(&self) -> u64 {
        self.sequences.fetch_add(1, Ordering::Relaxed) + 1
    }

    pub fn by_id(&self, id: u8) -> Option<&Arc<Volume>> {
        let id = usize::from(id);
        self.configured.get(id).or_else(|| self.spare.get().filter(|_| id == self.configured.len()))
    }

    pub fn iter(&self) -> impl Iterator<Item = &Arc<Volume>> {
        self.configured.iter().chain(self.spare.get())
    }

    /// The volumes that take new bytes, beginning with that of `key`; each gets a share of keys as
    /// large as its share of regions.
    pub fn usable_from(&self, key: Key) -> impl Iterator<Item = &Arc<Volume>> {
        let regions = |volume: &Arc<Volume>| u64::from(volume.layout.regions);
        let all: u64 = self.configured.iter().map(regions).sum();
        let mut left = key.0[0] % all.max(1);
        let first = self.configured.iter().position(|volume| {
            let is_here = left < regions(volume);
            left = left.saturating_sub(regions(volume));
            is_here
        });
        let (before, after) = self.configured.split_at(first.unwrap_or(0));
        after.iter().chain(before).filter(|volume| !volume.is_broken())
    }

    /// The volume in memory, made when no configured one takes new bytes; `None` while one does.
    pub fn spare(&self, metrics: &Arc<CacheMetrics>) -> Option<Result<Arc<Volume>, StoreError>> {
        if self.configured.iter().any(|volume| !volume.is_broken()) {
            return None;
        }
        if let Some(spare) = self.spare.get() {
            return Some(Ok(spare.clone()));
        }
        let made = self.new_spare(metrics);
        Some(made.map(|made| self.spare.get_or_init(|| Arc::new(made)).clone()))
    }

    fn new_spare(&self, metrics: &Arc<CacheMetrics>) -> Result<Volume, StoreError> {
        let path = PathBuf::from("(memory)");
        let file = memfd("edge volume").map_err(StoreError::io("create", &path))?;
        let size = SPARE_BYTES.max(Layout::size_min_bytes(self.slice_bytes));
        file.set_len(size).map_err(StoreError::io("size", &path))?;
        let layout = layout(&path, size, self.slice_bytes)?;
        let candidate = Candidate { path, file, layout, superblock: None, kept: None };
        tracing::warn!(size_bytes = size, "no volume on a disk: bodies are kept in memory");
        Ok(self.adopt(self.configured.len() as u8, candidate, metrics)?.0)
    }

    /// Takes a volume as it is if it was made for this use, else formats it. Says whether it is new.
    fn adopt(
        &self,
        id: u8,
        candidate: Candidate,
        metrics: &Arc<CacheMetrics>,
    ) -> Result<(Volume, bool), StoreError> {
        let Candidate { path, file, layout, superblock, kept } = candidate;
        let problem = superblock.and_then(|found| self.problem(&found, &layout, kept.as_ref()));
        let (superblock, is_new) = match superblock.filter(|_| problem.is_none()) {
            Some(superblock) => (superblock, false),
            None => {
                if let Some(problem) = problem {
                    tracing::warn!(volume = %path.display(), "volume {problem}: begun anew");
                }
                let made = Superblock { layout, seed: self.seed, volume_id: random_u64() };
                format(&file, &made).map_err(StoreError::io("format", &path))?;
                (made, true)
            }
        };
        let sequences = self.sequences.clone();
        Ok((Volume::new(id, path, file, superblock, sequences, metrics.clone()), is_new))
    }

    /// Why a volume's contents are of no use here.
    fn problem(
        &self,
        found: &Superblock,
        layout: &Layout,
        kept: Option<&Kept>,
    ) -> Option<&'static str> {
        if found.layout != *layout || found.seed != self.seed {
            return Some("was made with another size, slice size or first volume");
        }
        match kept {
            None => Some("does not know any more what was purged"),
            Some(kept) if kept.newest() < self.kept.forgotten.any => {
                Some("was away while something was purged that no other volume knows any more")
            }
            Some(_) => None,
        }
    }
}

fn layout(path: &Path, size_bytes: u64, slice_bytes: u64) -> Result<Layout, StoreError> {
    Layout::new(size_bytes, slice_bytes).ok_or_else(|| StoreError::TooSmall {
        path: path.to_owned(),
        got: size_bytes,
        min: Layout::size_min_bytes(slice_bytes),
    })
}

/// Opens a volume's file, takes it for this process and gives it its size. A file that is not ours is
/// left as it is.
fn open_candidate(path: &Path, size_bytes: u64, slice_bytes: u64) -> Result<Candidate, StoreError> {
    let io = |op| StoreError::io(op, path);
    let layout = layout(path, size_bytes, slice_bytes)?;
    if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        std::fs::create_dir_all(parent).map_err(io("create the directory of"))?;
    }
    let mut options = OpenOptions::new();
    let file = options.read(true).write(true).create(true).truncate(false).open(path);
    let mut file = file.map_err(io("open"))?;
    lock_exclusive(&file).map_err(|error| match error.kind() {
        io::ErrorKind::WouldBlock => StoreError::InUse { path: path.to_owned() },
        _ => io("lock")(error),
    })?;
    let superblock = read_superblock(&file, path)?;
    let is_device = file.metadata().map_err(io("look at"))?.file_type().is_block_device();
    let size_now = file.seek(SeekFrom::End(0)).map_err(io("size"))?;
    if is_device && size_now < size_bytes {
        return Err(StoreError::TooSmall { path: path.to_owned(), got: size_now, min: size_bytes });
    }
    if !is_device {
        if size_now > size_bytes {
            file.set_len(size_bytes).map_err(io("shrink"))?;
        }
        fallocate(&file, 0, size_bytes).map_err(io("reserve the space of"))?;
    }
    let kept = superblock.and_then(|found| Journal::read(&file, &found.layout, found.volume_id));
    Ok(Candidate { path: path.to_owned(), file, layout, superblock, kept })
}

/// The superblock or its copy; `None` for a file that is new or once was ours.
fn read_superblock(file: &File, path: &Path) -> Result<Option<Superblock>, StoreError> {
    let mut pages = [[0; PAGE_BYTES as usize]; 2];
    for (page, at) in pages.iter_mut().zip([0, PAGE_BYTES]) {
        read_as_far(file, page, at).map_err(StoreError::io("read", path))?;
    }
    if let Some(superblock) = pages.iter().find_map(Superblock::decode) {
        return Ok(Some(superblock));
    }
    let is_blank = pages.iter().all(|page| page.iter().all(|&byte| byte == 0));
    if is_blank || pages.iter().any(Superblock::is_ours) {
        return Ok(None);
    }
    Err(StoreError::NotAVolume { path: path.to_owned() })
}

/// Reads until `bytes` is full or the file ends; the rest stays zero.
fn read_as_far(file: &File, bytes: &mut [u8], at: u64) -> io::Result<()> {
    let mut filled = 0;
    while filled < bytes.len() {
        match file.read_at(&mut bytes[filled..], at + filled as u64) {
            Ok(0) => break,
            Ok(got) => filled += got,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Regions are zeroed when their lives begin; the bookkeeping is now. The superblock comes last.
fn format(file: &File, superblock: &Superblock) -> io::Result<()> {
    zero_range(file, 0, superblock.layout.data_at)?;
    let page = superblock.encode();
    file.write_all_at(&page, PAGE_BYTES)?;
    file.write_all_at(&page, 0)
}

/// Random enough for a secret: `SipHash` under keys the standard library drew from the kernel.
fn random_u64() -> u64 {
    static CALLS: AtomicU64 = AtomicU64::new(0);
    let mut hasher = RandomState::new().build_hasher();
    hasher.write_u64(CALLS.fetch_add(1, Ordering::Relaxed));
    hasher.finish()
}

#[cfg(test)]
impl Volumes {
    /// Puts a volume of the same file, open for reading only, in the place of the first.
    pub fn refuse_writes(&mut self, path: &Path, metrics: &Arc<CacheMetrics>) {
        let file = File::open(path).unwrap();
        let superblock = read_superblock(&file, path).unwrap().unwrap();
        let sequences = self.sequences.clone();
        let volume = Volume::new(0, path.into(), file, superblock, sequences, metrics.clone());
        self.configured[0] = Arc::new(volume);
    }
}
