//! A body that may not be stored, on its way from an origin to one client, bounded in memory.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::task::Waker;

use bytes::Bytes;

use super::ticket::FillError;
use crate::limits::RELAY_BUFFER_MAX_BYTES;
use crate::mailbox::{Notify, Token};

/// What a client finds when it asks for more.
#[derive(Debug)]
pub enum Chunk {
    /// Bytes, in order.
    Data(Bytes),
    /// Nothing yet; the waiter left with [`Relay::next`] will be told.
    Pending,
    /// All of it was sent.
    End,
    /// The origin broke off: the client must be cut.
    Failed(FillError),
}

/// A pipe of chunks with a ceiling: the filler awaits room, the client is notified of bytes.
pub struct Relay {
    /// Status code.
    pub status: u16,
    /// End-to-end fields, in the form of [`super::Meta::headers`].
    pub headers: Box<[u8]>,
    /// Body length if the origin said it.
    pub len: Option<u64>,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    chunks: VecDeque<Bytes>,
    queued_bytes: usize,
    trailers: Vec<u8>,
    end: Option<Result<(), FillError>>,
    abandoned: bool,
    reader: Option<(std::sync::Arc<dyn Notify>, Token)>,
    writer: Option<Waker>,
}

impl Relay {
    /// An empty relay with the head of the answer.
    pub fn new(status: u16, headers: Box<[u8]>, len: Option<u64>) -> Relay {
        Relay { status, headers, len, inner: Mutex::new(Inner::default()) }
    }

    /// Whether what follows the head is no body but a protocol of its own (RFC 9110 §15.2.2).
    pub fn is_tunnel(&self) -> bool {
        self.status == 101
    }

    /// Sets the fields that come after the body, whole lines each with its CRLF; to be called
    /// before [`Relay::finish`].
    pub fn set_trailers(&self, lines: Vec<u8>) {
        self.lock().trailers = lines;
    }

    /// Takes the fields that come after the body.
    pub fn take_trailers(&self) -> Vec<u8> {
        std::mem::take(&mut self.lock().trailers)
    }

    /// The client's side: the next chunk, or a place in the queue.
    pub fn next(&self, notify: &std::sync::Arc<dyn Notify>, token: Token) -> Chunk {
        let mut inner = self.lock();
        if let Some(chunk) = inner.chunks.pop_front() {
            inner.queued_bytes -= chunk.len();
            if let Some(writer) = inner.writer.take() {
                writer.wake();
            }
            return Chunk::Data(chunk);
        }
        match inner.end {
            Some(Ok(())) => Chunk::End,
            Some(Err(error)) => Chunk::Failed(error),
            None => {
                inner.reader = Some((notify.clone(), token));
                Chunk::Pending
            }
        }
    }

    /// The client left; the filler stops at its next step.
    pub fn abandon(&self) {
        let mut inner = self.lock();
        inner.abandoned = true;
        inner.chunks.clear();
        inner.queued_bytes = 0;
        if let Some(writer) = inner.writer.take() {
            writer.wake();
        }
    }

    /// The filler's side: leaves a chunk. `Err` when the client has left. May overshoot the
    /// ceiling by one chunk; await [`Relay::room`] before the next.
    pub fn push(&self, chunk: Bytes) -> Result<(), FillError> {
        let mut inner = self.lock();
        if inner.abandoned {
            return Err(FillError::Broken);
        }
        if !chunk.is_empty() {
            inner.queued_bytes += chunk.len();
            inner.chunks.push_back(chunk);
        }
        wake_reader(&mut inner);
        Ok(())
    }

    /// Waits until the client has taken enough (or has left).
    pub async fn room(&self) {
        std::future::poll_fn(|context| {
            let mut inner = self.lock();
            if inner.abandoned || inner.queued_bytes < RELAY_BUFFER_MAX_BYTES {
                return std::task::Poll::Ready(());
            }
            inner.writer = Some(context.waker().clone());
            std::task::Poll::Pending
        })
        .await;
    }

    /// Ends the body, well or not.
    pub fn finish(&self, end: Result<(), FillError>) {
        let mut inner = self.lock();
        inner.end.get_or_insert(end);
        wake_reader(&mut inner);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn wake_reader(inner: &mut Inner) {
    if let Some((notify, token)) = inner.reader.take() {
        notify.notify(token);
    }
}
