//! The body of one generation of an object as a map of slices, and who is filling which.
//!
//! A filler claims a slice, moves a watermark through it and leaves; readers follow the watermark.
//! Whether a reader has to wait is decided, and its waiter left, under the lock the filler takes to
//! move: no wake-up is lost. A claim ends only after what it wrote is in the index: no reader sees a
//! gap between the two.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::key::Key;
use super::region::Pin;
use super::ticket::FillError;
use crate::mailbox::{Notify, Token};

const LEN_UNKNOWN: u64 = u64::MAX;
/// A filler that is so many slices away is not waited for without asking.
const FAR_SLICES: u32 = 4;

/// The slices of one generation.
#[derive(Debug)]
pub struct Slices {
    key: Key,
    generation: u64,
    slice_generation: u64,
    slice_bytes: u64,
    len: AtomicU64,
    /// Claims there are, so that readers of a body nobody fills take no lock.
    claims: AtomicUsize,
    /// Answers made of it that are not out yet.
    readers: AtomicUsize,
    /// Bytes that fillers brought in so far.
    came_bytes: AtomicU64,
    /// Whether the origin is known to send parts of it.
    in_parts: AtomicBool,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    fillings: Vec<Filling>,
    failed: Option<FillError>,
}

/// One claimed slice. Offsets are in the object.
struct Filling {
    index: u32,
    start: u64,
    watermark: u64,
    /// Where the bytes from `start` on are; `None` until the claim has its place.
    bytes: Option<(Pin, u64)>,
    /// The last slice that the same filler goes on to without a gap.
    through: u32,
    /// Whether what was beyond `through` was taken from it.
    is_cut: bool,
    waiters: HashMap<(usize, Token), Waiter>,
}

struct Waiter {
    offset: u64,
    notify: Arc<dyn Notify>,
}

impl std::fmt::Debug for Filling {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "slice {} [{}..{}]", self.index, self.start, self.watermark)
    }
}

/// What a reader finds in the slices being filled.
pub(super) enum InFlight {
    /// `len` bytes at `at` in the pinned volume.
    Bytes { pin: Pin, at: u64, len: u64 },
    /// Being filled, not there yet; the index may have an earlier run.
    Pending,
    /// A filler said it comes to it, but is far away.
    Reserved,
    /// Nobody fills it.
    None,
}

impl Slices {
    pub(super) fn new(
        key: Key,
        generation: u64,
        slice_generation: u64,
        slice_bytes: u64,
        len: Option<u64>,
    ) -> Slices {
        Slices {
            key,
            generation,
            slice_generation,
            slice_bytes,
            len: AtomicU64::new(len.unwrap_or(LEN_UNKNOWN)),
            claims: AtomicUsize::new(0),
            readers: AtomicUsize::new(0),
            came_bytes: AtomicU64::new(0),
            in_parts: AtomicBool::new(false),
            state: Mutex::default(),
        }
    }

    /// Length of the whole body; `None` while it is not known.
    pub fn len(&self) -> Option<u64> {
        match self.len.load(Ordering::Acquire) {
            LEN_UNKNOWN => None,
            len => Some(len),
        }
    }

    /// Whether the length is known to be zero.
    pub fn is_empty(&self) -> bool {
        self.len() == Some(0)
    }

    /// The generation as it was given to [`super::Cache::new_slices`].
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// The origin finished (or said so late): the body is `len` bytes. Wakes every waiter. Only the
    /// first call counts. To be called *before* the last writer is finished, so that the last,
    /// partial block is kept; insert the object again afterwards, so that its head is stored.
    pub fn set_len(&self, len: u64) {
        let state = self.lock();
        let known =
            self.len.compare_exchange(LEN_UNKNOWN, len, Ordering::AcqRel, Ordering::Acquire);
        if known.is_ok() {
            wake_all(state);
        }
    }

    /// The body can never be completed (an origin of unknown length broke off). Wakes every waiter.
    /// What is there is still read.
    pub fn fail(&self, error: FillError) {
        let mut state = self.lock();
        state.failed.get_or_insert(error);
        wake_all(state);
    }

    /// How many answers are being made of it now, whoever fills it: see [`super::Reading`].
    pub fn readers(&self) -> usize {
        self.readers.load(Ordering::Acquire)
    }

    pub(super) fn join(&self) {
        self.readers.fetch_add(1, Ordering::AcqRel);
    }

    pub(super) fn leave(&self) {
        self.readers.fetch_sub(1, Ordering::AcqRel);
    }

    pub(super) fn failed(&self) -> Option<FillError> {
        self.lock().failed
    }

    pub(super) fn key(&self) -> Key {
        self.key
    }

    /// The generation in the slices' keys: it fences lengths, too.
    pub(super) fn slice_generation(&self) -> u64 {
        self.slice_generation
    }

    /// What the index finds slice `index` by.
    pub(super) fn slice_key(&self, index: u32) -> Key {
        self.key.slice(self.slice_generation, index)
    }

    /// The slice that `offset` is in; `None` beyond what an index can count.
    pub(super) fn index_of(&self, offset: u64) -> Option<u32> {
        u32::try_from(offset / self.slice_bytes).ok()
    }

    /// First byte of slice `index`.
    pub(super) fn start_of(&self, index: u32) -> u64 {
        u64::from(index) * self.slice_bytes
    }

    /// Bytes of slice `index`: less than a whole slice at the known end.
    pub(super) fn slice_len(&self, index: u32) -> u64 {
        let rest = self.len().map_or(u64::MAX, |len| len.saturating_sub(self.start_of(index)));
        rest.min(self.slice_bytes)
    }

    /// What a filler has at `offset`, at most up to `end`.
    pub(super) fn in_flight(&self, index: u32, offset: u64, end: u64) -> InFlight {
        // Zero claims: everything ever filled is in the index by now.
        if self.claims.load(Ordering::Acquire) == 0 {
            return InFlight::None;
        }
        let state = self.lock();
        let Some(filling) = state.covering(index) else { return InFlight::None };
        match &filling.bytes {
            Some((pin, at)) if filling.has(offset) => InFlight::Bytes {
                pin: pin.clone(),
                at: at + (offset - filling.start),
                len: filling.watermark.min(end) - offset,
            },
            _ if index - filling.index >= FAR_SLICES => InFlight::Reserved,
            _ => InFlight::Pending,
        }
    }

    /// Leaves a waiter for `offset`; `false` when there is nothing to wait for, or `is_stored` says
    /// that the byte is there.
    pub(super) fn wait(
        &self,
        index: u32,
        offset: u64,
        waiter: (&Arc<dyn Notify>, Token),
        is_stored: impl FnOnce() -> bool,
    ) -> bool {
        let (notify, token) = waiter;
        let mut state = self.lock();
        if state.failed.is_some() || self.len().is_some_and(|len| offset >= len) {
            return false;
        }
        let Some(filling) = state.covering(index) else { return false };
        if filling.has(offset) || is_stored() {
            return false;
        }
        let at = filling.index;
        let address = Arc::as_ptr(notify).cast::<()>() as usize;
        if let Some(filling) = state.fillings.iter_mut().find(|filling| filling.index == at) {
            let waiter = Waiter { offset, notify: notify.clone() };
            filling.waiters.insert((address, token), waiter);
        }
        true
    }

    /// Claims slice `index`; `None` while another has it, or is coming to it.
    pub(super) fn claim(self: &Arc<Self>, index: u32) -> Option<Claim> {
        let state = self.lock();
        state.covering(index).is_none().then(|| self.enter(state, index))
    }

    /// Claims the slice after that of `claim`, to which its filler may have said it comes.
    pub(super) fn claim_after(self: &Arc<Self>, claim: &Claim) -> Option<Claim> {
        let index = claim.index.checked_add(1)?;
        let state = self.lock();
        let is_others = state.covering(index).is_some_and(|filling| filling.index != claim.index);
        if is_others {
            return None;
        }
        let own = state.fillings.iter().find(|filling| filling.index == claim.index);
        let (through, is_cut) = own.map_or((index, false), |own| (own.through, own.is_cut));
        let next = self.enter(state, index);
        next.update(|filling| {
            filling.through = through.max(index);
            filling.is_cut = is_cut;
        });
        Some(next)
    }

    /// Takes from the filler that said it comes to byte `offset` the slice of that byte and what
    /// follows: it ends before, who waited looks again. `false` when the slice is being written, nobody
    /// comes to it, or the origin may not send parts.
    pub fn cut(&self, offset: u64) -> bool {
        let Some(index) = self.index_of(offset) else { return false };
        let mut state = self.lock();
        let is_written = state.fillings.iter().any(|filling| filling.index == index);
        if is_written || self.len().is_none() || !self.takes_parts() {
            return false;
        }
        let covers = |filling: &&mut Filling| (filling.index..=filling.through).contains(&index);
        let Some(filling) = state.fillings.iter_mut().find(covers) else { return false };
        filling.through = index - 1;
        filling.is_cut = true;
        let start = self.start_of(index);
        let beyond = filling.waiters.extract_if(|_, waiter| waiter.offset >= start);
        let woken = beyond.map(|((_, token), waiter)| (waiter.notify, token)).collect();
        drop(state);
        wake(woken);
        true
    }

    /// How many bytes the filler that said it comes to byte `offset` has before it still, if that
    /// is far.
    pub fn ahead_bytes(&self, offset: u64) -> Option<u64> {
        let index = self.index_of(offset)?;
        let state = self.lock();
        let filling = state.covering(index).filter(|one| index - one.index >= FAR_SLICES)?;
        Some(offset.saturating_sub(filling.watermark))
    }

    /// The longest stretch that one filler is on: where it is, and where it ends.
    pub fn longest_stretch(&self) -> Option<(u64, u64)> {
        let state = self.lock();
        let longest =
            state.fillings.iter().max_by_key(|filling| filling.through - filling.index)?;
        let end = self.start_of(longest.through).saturating_add(self.slice_bytes);
        Some((longest.watermark, self.len().map_or(end, |len| end.min(len))))
    }

    /// Fillers that have got bytes.
    pub fn flowing(&self) -> usize {
        self.lock().fillings.iter().filter(|filling| filling.bytes.is_some()).count()
    }

    /// Whether somebody waits for bytes to come.
    pub fn is_awaited(&self) -> bool {
        self.lock().fillings.iter().any(|filling| !filling.waiters.is_empty())
    }

    /// Bytes that fillers brought in so far.
    pub fn came_bytes(&self) -> u64 {
        self.came_bytes.load(Ordering::Relaxed)
    }

    /// Notes that the origin sends parts of it (RFC 9110 §14.3).
    pub fn note_parts(&self) {
        self.in_parts.store(true, Ordering::Relaxed);
    }

    /// Whether the origin is known to send parts of it.
    pub fn takes_parts(&self) -> bool {
        self.in_parts.load(Ordering::Relaxed)
    }

    /// Whether slice `index` is being filled, or a filler is coming to it.
    pub(super) fn is_claimed(&self, index: u32) -> bool {
        self.lock().covering(index).is_some()
    }

    fn enter(self: &Arc<Self>, mut state: MutexGuard<'_, State>, index: u32) -> Claim {
        let start = self.start_of(index);
        state.fillings.push(Filling {
            index,
            start,
            watermark: start,
            bytes: None,
            through: index,
            is_cut: false,
            waiters: HashMap::new(),
        });
        self.claims.fetch_add(1, Ordering::AcqRel);
        Claim { slices: self.clone(), index }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// The filling of slice `index`, or the one whose filler said it comes to it.
    fn covering(&self, index: u32) -> Option<&Filling> {
        let exact = self.fillings.iter().find(|filling| filling.index == index);
        exact.or_else(|| {
            self.fillings.iter().find(|filling| (filling.index..=filling.through).contains(&index))
        })
    }
}

impl Filling {
    fn has(&self, offset: u64) -> bool {
        (self.start..self.watermark).contains(&offset)
    }
}

/// The exclusive right to fill a slice; given back on drop, when whoever still waits is woken.
#[derive(Debug)]
pub(super) struct Claim {
    slices: Arc<Slices>,
    index: u32,
}

impl Claim {
    pub fn slices(&self) -> &Arc<Slices> {
        &self.slices
    }

    pub fn index(&self) -> u32 {
        self.index
    }

    pub fn slice_key(&self) -> Key {
        self.slices.slice_key(self.index)
    }

    /// Bytes from object offset `start` on will stand at `at` in the pinned volume.
    pub fn begin(&self, start: u64, pin: Pin, at: u64) {
        self.update(|filling| {
            filling.start = start;
            filling.watermark = start;
            filling.bytes = Some((pin, at));
        });
    }

    /// The same bytes stand in another place from now on.
    pub fn moved(&self, pin: Pin, at: u64) {
        self.update(|filling| filling.bytes = Some((pin, at)));
    }

    /// Bytes up to `watermark` are there: wakes those who wait for one of them.
    pub fn advance(&self, watermark: u64) {
        let mut woken = Vec::new();
        let mut came_bytes = 0;
        self.update(|filling| {
            came_bytes = watermark.saturating_sub(filling.watermark);
            filling.watermark = watermark;
            let start = filling.start;
            let there = |waiter: &Waiter| (start..watermark).contains(&waiter.offset);
            let passed = filling.waiters.extract_if(|_, waiter| there(waiter));
            woken.extend(passed.map(|((_, token), waiter)| (waiter.notify, token)));
        });
        self.slices.came_bytes.fetch_add(came_bytes, Ordering::Relaxed);
        wake(woken);
    }

    pub fn goes_on_through(&self, index: u32) {
        self.update(|filling| filling.through = index.max(filling.index));
    }

    /// Where the filler must end because others took what follows.
    pub fn cut_end(&self) -> Option<u64> {
        let mut end = None;
        self.update(|filling| end = filling.is_cut.then_some(filling.through));
        end.map(|through| self.slices.start_of(through).saturating_add(self.slices.slice_bytes))
    }

    fn update(&self, change: impl FnOnce(&mut Filling)) {
        let mut state = self.slices.lock();
        if let Some(filling) = state.fillings.iter_mut().find(|filling| filling.index == self.index)
        {
            change(filling);
        }
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        let mut state = self.slices.lock();
        let Some(at) = state.fillings.iter().position(|filling| filling.index == self.index) else {
            return;
        };
        let mut filling = state.fillings.swap_remove(at);
        self.slices.claims.fetch_sub(1, Ordering::AcqRel);
        drop(state);
        wake(take_waiters(&mut filling));
    }
}

fn take_waiters(filling: &mut Filling) -> Vec<(Arc<dyn Notify>, Token)> {
    filling.waiters.drain().map(|((_, token), waiter)| (waiter.notify, token)).collect()
}

fn wake_all(mut state: MutexGuard<'_, State>) {
    let woken: Vec<_> = state.fillings.iter_mut().flat_map(take_waiters).collect();
    drop(state);
    wake(woken);
}

/// Never under the lock: a notice may be looked into at once.
fn wake(woken: Vec<(Arc<dyn Notify>, Token)>) {
    for (notify, token) in woken {
        notify.notify(token);
    }
}
