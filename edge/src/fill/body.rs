//! A body on its way: read from an origin, poured into slices.

use std::future::{Future, poll_fn};
use std::ops::Range;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::Frame;
use tokio::time::timeout;

use super::gate::Slot;
use super::runtime::let_others;
use crate::cache::{Cache, Lead, Object, SliceWriter, StoreError};
use crate::http::trailers;
use crate::limits::{OBJECT_MAX_BYTES, RUN_SLICES_MAX};
use crate::origin::Failure;
use crate::site::Site;

/// A response body; every byte of it is counted.
pub struct Incoming {
    frames: hyper::body::Incoming,
    idle: Duration,
    site: Arc<Site>,
    trailers: Vec<u8>,
    /// Its places among the connections of the site, and of the address.
    slots: Vec<Slot>,
}

impl Incoming {
    /// `frames`, each of which must come within `idle`.
    pub fn new(frames: hyper::body::Incoming, idle: Duration, site: Arc<Site>) -> Incoming {
        Incoming { frames, idle, site, trailers: Vec::new(), slots: Vec::new() }
    }

    /// Keeps `slot` for as long as it comes.
    pub fn hold(&mut self, slot: Slot) {
        self.slots.push(slot);
    }

    /// The next bytes, never empty; `None` at the end. A body shorter than its head said is
    /// [`Failure::Broken`].
    pub async fn next(&mut self) -> Result<Option<Bytes>, Failure> {
        self.next_or(|| ()).await
    }

    /// [`Incoming::next`]; `idle` is called if they are not here yet.
    pub async fn next_or(&mut self, mut idle: impl FnMut()) -> Result<Option<Bytes>, Failure> {
        loop {
            let frame = match self.frame(&mut idle).await? {
                None => return Ok(None),
                Some(Err(_)) => return Err(Failure::Broken),
                Some(Ok(frame)) => frame,
            };
            match frame.into_data() {
                Ok(bytes) if bytes.is_empty() => {}
                Ok(bytes) => {
                    self.site.metrics.fill.origin_bytes.add(bytes.len() as u64);
                    return Ok(Some(bytes));
                }
                Err(frame) => {
                    for (name, value) in frame.trailers_ref().into_iter().flatten() {
                        trailers::push(&mut self.trailers, name.as_str(), value.as_bytes());
                    }
                }
            }
        }
    }

    async fn frame(
        &mut self,
        idle: &mut impl FnMut(),
    ) -> Result<Option<hyper::Result<Frame<Bytes>>>, Failure> {
        let mut frame = std::pin::pin!(self.frames.frame());
        for _ in 0..2 {
            let now = poll_fn(|context| Poll::Ready(frame.as_mut().poll(context))).await;
            if let Poll::Ready(frame) = now {
                return Ok(frame);
            }
            // The connection's own task looks what its socket has.
            let_others().await;
        }
        idle();
        timeout(self.idle, frame).await.map_err(|_| Failure::Timeout)
    }

    /// The fields that followed the body, whole lines each with its CRLF.
    pub fn take_trailers(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.trailers)
    }

    /// Notes bytes that were received for nothing.
    pub fn wasted(&self, bytes: u64) {
        self.site.metrics.fill.wasted_bytes.add(bytes);
    }
}

/// Waits for room on a volume: this often, this long.
const NO_ROOM_TRIES_MAX: u32 = 300;
const NO_ROOM_PAUSE: Duration = Duration::from_millis(10);

/// How pouring ended.
#[derive(Debug)]
pub enum Poured {
    /// All of it is in.
    End,
    /// The origin broke off.
    Cut(Failure),
    /// What follows is there, or being brought in by somebody else.
    Met,
    /// Nobody waits for it and the site does not want it finished.
    Left,
    /// Others are to have the connection first.
    Yielded,
    /// The store failed.
    Disk(StoreError),
}

/// What is to become of a fill, asked at the end of each slice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It goes on.
    GoesOn,
    /// It goes on when more pressing ones have had the origin.
    Yields,
    /// It ends: nobody wants it.
    Ends,
}

/// Puts a body's bytes where they belong in an object's slices, one writer at a time.
pub struct Pour {
    cache: Arc<Cache>,
    object: Arc<Object>,
    /// Offset in the object of the next byte that comes.
    at: u64,
    /// Bytes before this one are there, or cannot be put anywhere.
    skip_to: u64,
    writer: Option<SliceWriter>,
    /// End of the body, exclusive.
    end: Option<u64>,
    kept_bytes: u64,
    /// Whether what is there already is passed over; otherwise pouring ends at it.
    passes_over: bool,
}

impl Pour {
    /// A body that begins at `start` and goes to `end`, if that is known. Slices that are present or
    /// being filled are passed over. The first is claimed at once: whoever is told of the object now
    /// finds it being filled.
    pub fn whole(
        cache: Arc<Cache>,
        object: Arc<Object>,
        start: u64,
        end: Option<u64>,
    ) -> Result<Pour, StoreError> {
        let lead = cache.lead(&object, start)?;
        let mut pour = Pour::new(cache, object, start, end, true);
        pour.follow(lead);
        Ok(pour)
    }

    /// The run from where `writer` is up to `end`; it ends early at a slice that somebody else has.
    pub fn run(cache: Arc<Cache>, object: Arc<Object>, writer: SliceWriter, end: u64) -> Pour {
        let mut pour = Pour::new(cache, object, writer.offset(), Some(end), false);
        pour.follow(Lead::Writer(writer));
        pour
    }

    fn new(
        cache: Arc<Cache>,
        object: Arc<Object>,
        at: u64,
        end: Option<u64>,
        passes_over: bool,
    ) -> Pour {
        let (writer, kept_bytes) = (None, 0);
        Pour { cache, object, at, skip_to: at, writer, end, kept_bytes, passes_over }
    }

    /// The bytes that are still missing, of which the first is then the next to come; `None` when
    /// there are none or nobody knows where they end.
    pub fn missing(&mut self) -> Option<Range<u64>> {
        self.heed_cut();
        self.at = self.writer.as_ref().map_or(self.skip_to.max(self.at), SliceWriter::offset);
        self.end.filter(|end| self.at < *end).map(|end| self.at..end)
    }

    /// The body begins at byte zero after all: what comes before the run is skipped.
    pub fn rewind(&mut self) {
        self.at = 0;
    }

    /// Offset of the next byte that comes.
    pub fn at(&self) -> u64 {
        self.at
    }

    /// One past the last byte, if it is known.
    pub fn end(&self) -> Option<u64> {
        self.end
    }

    /// Bytes kept so far.
    pub fn kept_bytes(&self) -> u64 {
        self.kept_bytes
    }

    /// Takes the whole of `body`. At the end of each slice `fate` is asked, with the offset
    /// reached, whether to stop. Ends as [`Poured::End`] only when every byte up to the end came.
    pub async fn take(&mut self, body: &mut Incoming, fate: impl Fn(u64) -> Fate) -> Poured {
        let poured = self.take_all(body, fate).await;
        self.show();
        poured
    }

    async fn take_all(&mut self, body: &mut Incoming, fate: impl Fn(u64) -> Fate) -> Poured {
        let mut next_look = self.next_slice();
        while self.end.is_none_or(|end| self.at < end) {
            let bytes = match body.next_or(|| self.show()).await {
                Ok(Some(bytes)) => bytes,
                Ok(None) if self.end.is_none() => break,
                Ok(None) => return Poured::Cut(Failure::Broken),
                Err(failure) => return Poured::Cut(failure),
            };
            let (came, kept) = (bytes.len() as u64, self.kept_bytes);
            let put = self.put_patiently(&bytes).await;
            body.wasted(came.saturating_sub(self.kept_bytes - kept));
            match put {
                Ok(true) => {}
                Ok(false) => return Poured::Met,
                Err(error) => return Poured::Disk(error),
            }
            if self.at > OBJECT_MAX_BYTES {
                return Poured::Cut(Failure::Broken);
            }
            if self.at >= next_look {
                next_look = self.next_slice();
                match fate(self.at) {
                    Fate::GoesOn => {}
                    Fate::Yields => return Poured::Yielded,
                    Fate::Ends => return Poured::Left,
                }
            }
        }
        Poured::End
    }

    /// Commits the last slice. For a body of unknown length its length must have been set.
    pub fn finish(mut self) -> Result<(), StoreError> {
        self.writer.take().map_or(Ok(()), SliceWriter::finish)
    }

    /// Puts `bytes`; when every region is in use just now (readers hold one for a turn, other fills
    /// for a slice) the origin waits for room rather than the client for an error.
    async fn put_patiently(&mut self, bytes: &[u8]) -> Result<bool, StoreError> {
        let start = self.at;
        for _ in 0..NO_ROOM_TRIES_MAX {
            let done = usize::try_from(self.at - start).unwrap_or(usize::MAX).min(bytes.len());
            match self.put(&bytes[done..]) {
                Err(StoreError::NoRoom) => tokio::time::sleep(NO_ROOM_PAUSE).await,
                put => return put,
            }
        }
        Err(StoreError::NoRoom)
    }

    /// Puts `bytes`, which begin at `at`; `false` when pouring ends here. After an error `at` says
    /// how far it came.
    fn put(&mut self, bytes: &[u8]) -> Result<bool, StoreError> {
        let room = self.end.map_or(u64::MAX, |end| end - self.at);
        let mut bytes = &bytes[..bytes.len().min(usize::try_from(room).unwrap_or(usize::MAX))];
        while !bytes.is_empty() && self.end.is_none_or(|end| self.at < end) {
            if self.at < self.skip_to {
                let skipped = (self.skip_to - self.at).min(bytes.len() as u64);
                self.at += skipped;
                bytes = &bytes[skipped as usize..];
            } else if let Some(writer) = &mut self.writer {
                let written = writer.put(bytes)?;
                self.at += written as u64;
                self.kept_bytes += written as u64;
                bytes = &bytes[written..];
                if (written == 0 || writer.offset() >= writer.end()) && !self.turn()? {
                    return Ok(false);
                }
            } else {
                let lead = self.cache.lead(&self.object, self.at)?;
                if !self.follow(lead) {
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }

    /// Leaves a full writer for the next, without a gap if that is of the next slice; `false` when
    /// pouring ends here.
    fn turn(&mut self) -> Result<bool, StoreError> {
        self.heed_cut();
        let Some(writer) = self.writer.take() else { return Ok(true) };
        if self.end.is_some_and(|end| self.at >= end) {
            writer.finish()?;
            return Ok(true);
        }
        if self.at.is_multiple_of(self.cache.slice_bytes()) {
            let lead = self.cache.lead_next(writer)?;
            return Ok(self.follow(lead));
        }
        if writer.offset() < writer.end() {
            // It takes no more for reasons of its own; the next may.
            self.skip_to = self.next_slice();
        }
        writer.finish()?;
        Ok(true)
    }

    /// Takes what there is to write, or sets how far to skip; `false` when pouring ends here.
    fn follow(&mut self, lead: Lead) -> bool {
        match lead {
            Lead::Writer(mut writer) if writer.offset() >= self.at => {
                // Without an end nobody can ask for what is further on, either.
                let ahead = self.at.saturating_add(RUN_SLICES_MAX * self.cache.slice_bytes());
                writer.goes_on_to(self.end.unwrap_or(ahead));
                self.skip_to = writer.offset();
                self.writer = Some(writer);
            }
            // It begins with bytes that are gone by already.
            Lead::Writer(_) => self.skip_to = self.next_slice(),
            Lead::Present | Lead::Busy if !self.passes_over => return false,
            Lead::Present | Lead::Busy => self.skip_to = self.next_slice(),
        }
        true
    }

    /// Ends where others took over what it was to bring in.
    fn heed_cut(&mut self) {
        if let Some(cut_end) = self.writer.as_ref().and_then(SliceWriter::cut_end) {
            self.end = self.end.map(|end| end.min(cut_end));
        }
    }

    /// Lets readers have what came.
    fn show(&mut self) {
        if let Some(writer) = &mut self.writer {
            writer.show();
        }
    }

    fn next_slice(&self) -> u64 {
        let slice_bytes = self.cache.slice_bytes();
        (self.at / slice_bytes + 1).saturating_mul(slice_bytes)
    }
}
