//! The streams of a connection: those under way, and what is remembered of the last that were.

use super::super::priority::Priority;

/// Streams over that are remembered: frames for them may still be on their way.
const OVER_MAX: usize = 256;

/// What of a request's body is still to come.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Body {
    /// Nothing: the client has ended its side.
    Ended,
    /// This many bytes, as the request's head says.
    Length(u64),
    /// Until the client ends its side.
    Open,
}

/// One under way.
pub struct Stream {
    pub id: u32,
    /// What the client takes.
    pub send_window: i64,
    /// What the client may still send.
    pub receive_window: i64,
    /// Bytes of the body handed on and not yet taken.
    pub unread: i64,
    pub body: Body,
    /// Our side has ended; the client's has not.
    pub answered: bool,
    pub priority: Priority,
}

/// How a stream came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Over {
    /// Both sides ended theirs.
    Ended,
    /// The client reset it.
    Left,
    /// We reset it: what the client sent before it knew is ignored.
    Reset,
}

/// One that is over.
#[derive(Clone, Copy)]
pub struct Past {
    id: u32,
    pub over: Over,
    pub send_window: i64,
}

/// By slot.
#[derive(Default)]
pub struct Streams {
    /// Stream numbers; 0: the slot is free.
    ids: Vec<u32>,
    slots: Vec<Option<Stream>>,
    len: usize,
    past: Vec<Past>,
    past_at: usize,
}

impl Streams {
    pub fn len(&self) -> usize {
        self.len
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub fn find(&self, id: u32) -> Option<usize> {
        self.ids.iter().position(|other| *other == id)
    }

    pub fn at(&mut self, slot: usize) -> Option<&mut Stream> {
        self.slots.get_mut(slot)?.as_mut()
    }

    pub fn peek(&self, slot: usize) -> Option<&Stream> {
        self.slots.get(slot)?.as_ref()
    }

    pub fn all(&mut self) -> impl Iterator<Item = &mut Stream> {
        self.slots.iter_mut().flatten()
    }

    pub fn insert(&mut self, stream: Stream) -> usize {
        self.len += 1;
        let slot = self.ids.iter().position(|id| *id == 0).unwrap_or_else(|| {
            self.ids.push(0);
            self.slots.push(None);
            self.ids.len() - 1
        });
        self.ids[slot] = stream.id;
        self.slots[slot] = Some(stream);
        slot
    }

    pub fn remove(&mut self, slot: usize, over: Over) -> Option<Stream> {
        let stream = self.slots.get_mut(slot)?.take()?;
        self.ids[slot] = 0;
        self.len -= 1;
        self.remember(stream.id, over, stream.send_window);
        Some(stream)
    }

    /// A stream that was never under way is over.
    pub fn remember(&mut self, id: u32, over: Over, send_window: i64) {
        let past = Past { id, over, send_window };
        if self.past.len() < OVER_MAX {
            self.past.push(past);
        } else {
            self.past[self.past_at % OVER_MAX] = past;
            self.past_at += 1;
        }
    }

    pub fn past(&mut self, id: u32) -> Option<&mut Past> {
        self.past.iter_mut().find(|past| past.id == id)
    }
}
