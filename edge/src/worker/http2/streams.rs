//! The sessions of a connection, and whose turn it is.

use std::collections::VecDeque;

use crate::clock::Now;
use crate::http::request::RequestError;
use crate::http2::{Connection, Events};
use crate::limits::H2_SPARE_SESSIONS_MAX;
use crate::session::{Context, Session};

/// Levels of urgency (RFC 9218 §4.1).
const LEVELS: usize = 8;

/// One stream.
pub(super) struct Stream {
    pub(super) session: Session,
    /// The head cannot be told for this.
    pub(super) bad_head: Option<RequestError>,
    /// The final answer's head is framed.
    pub(super) has_head: bool,
    /// The last frame made of it: number of the filling, and place in the buffer.
    pub(super) last_frame: Option<(u64, usize)>,
    /// Bytes ahead that are known to be in the page cache.
    pub(super) resident_bytes: u64,
    /// It waits until a kernel worker is free to bring its bytes in.
    pub(super) is_cold: bool,
    queued: bool,
}

/// By slot; see [`Connection`].
#[derive(Default)]
pub(super) struct Streams {
    slots: Vec<Option<Stream>>,
    len: usize,
    emptied: bool,
    /// Those that something happened to.
    woken: Vec<usize>,
    /// Those with something to do, by urgency.
    levels: [VecDeque<usize>; LEVELS],
    served: Vec<usize>,
    /// Sessions of streams that are over, to be logged.
    parted: Vec<Session>,
    spare: Vec<Session>,
    requests: u32,
}

impl Streams {
    pub(super) fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub(super) fn at(&mut self, slot: usize) -> Option<&mut Stream> {
        self.slots.get_mut(slot)?.as_mut()
    }

    pub(super) fn live(&self) -> impl Iterator<Item = &Stream> {
        self.slots.iter().flatten()
    }

    pub(super) fn sessions(&self) -> impl Iterator<Item = &Session> {
        self.live().map(|stream| &stream.session).chain(&self.spare)
    }

    pub(super) fn all_sessions(&mut self) -> impl Iterator<Item = &mut Session> {
        self.slots.iter_mut().flatten().map(|stream| &mut stream.session).chain(&mut self.spare)
    }

    /// Whether it has become empty since the last call.
    pub(super) fn take_emptied(&mut self) -> bool {
        std::mem::take(&mut self.emptied)
    }

    /// Something happened to a stream.
    pub(super) fn wake(&mut self, slot: usize) {
        if let Some(Some(stream)) = self.slots.get_mut(slot)
            && !std::mem::replace(&mut stream.queued, true)
        {
            self.woken.push(slot);
        }
    }

    pub(super) fn notify(&mut self, slot: usize) {
        if let Some(stream) = self.at(slot) {
            stream.session.handle_wake();
            self.wake(slot);
        }
    }

    pub(super) fn wake_all(&mut self) {
        for slot in 0..self.slots.len() {
            self.notify(slot);
        }
    }

    /// The stream whose turn it is.
    pub(super) fn next(&mut self, connection: &Connection) -> Option<usize> {
        for slot in self.woken.drain(..) {
            let level = usize::from(connection.priority(slot).urgency);
            self.levels[level.min(LEVELS - 1)].push_back(slot);
        }
        loop {
            let slot = self.levels.iter_mut().find_map(VecDeque::pop_front)?;
            if let Some(Some(stream)) = self.slots.get_mut(slot)
                && std::mem::take(&mut stream.queued)
            {
                self.served.push(slot);
                return Some(slot);
            }
        }
    }

    /// It has more to do: after the others of its urgency, or first again (RFC 9218 §4.2).
    pub(super) fn again(&mut self, slot: usize, connection: &Connection) {
        let priority = connection.priority(slot);
        let level = &mut self.levels[usize::from(priority.urgency).min(LEVELS - 1)];
        if let Some(Some(stream)) = self.slots.get_mut(slot)
            && !std::mem::replace(&mut stream.queued, true)
        {
            if priority.incremental { level.push_back(slot) } else { level.push_front(slot) }
        }
    }

    /// The turn ends: nothing stays pinned, and what was resident may be gone.
    pub(super) fn end_turn(&mut self) {
        while let Some(slot) = self.served.pop() {
            if let Some(stream) = self.at(slot) {
                stream.session.end_turn();
                stream.resident_bytes = 0;
            }
        }
    }

    /// Whether a stream waits for a kernel worker.
    pub(super) fn is_stalled(&self) -> bool {
        self.live().any(|stream| stream.is_cold)
    }

    /// Bytes of a stream were brought in, or could not be; others that wait look again.
    pub(super) fn brought(&mut self, slot: usize, moved: std::io::Result<usize>) {
        if let Some(stream) = self.at(slot) {
            match moved {
                Ok(moved @ 1..) => stream.resident_bytes = moved as u64,
                _ => stream.session.handle_unreadable(),
            }
        }
        self.wake_cold();
    }

    /// Those that wait for a kernel worker look again.
    pub(super) fn wake_cold(&mut self) {
        for slot in 0..self.slots.len() {
            if self.at(slot).is_some_and(|stream| std::mem::take(&mut stream.is_cold)) {
                self.wake(slot);
            }
        }
    }

    /// Ends what is due; how many clients were at fault.
    pub(super) fn time_out(&mut self, context: &Context<'_>) -> u64 {
        let mut late = 0;
        for slot in 0..self.slots.len() {
            let Some(stream) = self.at(slot) else { continue };
            if stream.session.poll_timeout() <= context.now.mono_ms {
                late += u64::from(stream.session.handle_timeout(context));
                self.wake(slot);
            }
        }
        late
    }

    /// Takes a stream's session out of its slot.
    pub(super) fn remove(&mut self, slot: usize) -> Option<Session> {
        let stream = self.slots.get_mut(slot)?.take()?;
        self.len -= 1;
        self.emptied |= self.len == 0;
        Some(stream.session)
    }

    /// The client is gone, for one stream.
    pub(super) fn part(&mut self, slot: usize) {
        if let Some(mut session) = self.remove(slot) {
            session.handle_gone();
            self.parted.push(session);
        }
    }

    /// The client is gone.
    pub(super) fn part_all(&mut self) {
        for slot in 0..self.slots.len() {
            self.part(slot);
        }
    }

    /// A session that is over and not yet logged.
    pub(super) fn take_parted(&mut self) -> Option<Session> {
        self.parted.pop()
    }

    /// A session without a stream: kept for the next, or let go.
    pub(super) fn keep(&mut self, mut session: Session, context: &Context<'_>) {
        if session.is_reusable() && self.spare.len() < H2_SPARE_SESSIONS_MAX {
            self.spare.push(session);
        } else {
            session.leave(context.desk, 0, context.now);
        }
    }

    fn begin(&mut self, slot: usize, session: Session, bad_head: Option<RequestError>) {
        if self.slots.len() <= slot {
            self.slots.resize_with(slot + 1, || None);
        }
        self.len += 1;
        self.slots[slot] = Some(Stream {
            session,
            bad_head,
            has_head: false,
            last_frame: None,
            resident_bytes: 0,
            is_cold: false,
            queued: false,
        });
        self.wake(slot);
    }
}

/// Takes what a client says to its streams.
pub(super) struct Receiver<'r> {
    pub(super) streams: &'r mut Streams,
    pub(super) parent: &'r Session,
    pub(super) now: Now,
}

impl Events for Receiver<'_> {
    fn request(&mut self, slot: usize, head: Result<&[u8], RequestError>) {
        let streams = &mut *self.streams;
        let mut session = streams.spare.pop().unwrap_or_else(|| self.parent.stream(self.now));
        session.set_requests(streams.requests);
        streams.requests = streams.requests.saturating_add(1);
        if let Ok(head) = head {
            session.handle_bytes(head, self.now);
        }
        streams.begin(slot, session, head.err());
    }

    fn body(&mut self, slot: usize, bytes: &[u8]) {
        if let Some(stream) = self.streams.at(slot) {
            stream.session.handle_bytes(bytes, self.now);
            self.streams.wake(slot);
        }
    }

    fn reset(&mut self, slot: usize) {
        self.streams.part(slot);
    }

    fn opened(&mut self, slot: usize) {
        self.streams.wake(slot);
    }

    fn all_opened(&mut self) {
        for slot in 0..self.streams.slots.len() {
            self.streams.wake(slot);
        }
    }
}
