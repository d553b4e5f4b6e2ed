//! What a client sends on its way to an origin, bounded in memory: a request's body, or its half of
//! a tunnel.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;

use crate::limits::UPLOAD_BUFFER_MAX_BYTES;
use crate::mailbox::{Notify, Token};

/// What the origin's side takes.
#[derive(Debug, PartialEq, Eq)]
pub enum Piece {
    /// Bytes, in order.
    Data(Bytes),
    /// Trailer fields, whole lines each with its CRLF; nothing comes after them.
    Trailers(Box<[u8]>),
}

/// The client left before its body ended: the request must be broken off, never ended early.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("client left before the end of its request")]
pub struct ClientLeft;

/// A pipe of chunks with a ceiling, the mirror of [`super::Relay`]: the session is notified of room,
/// the fill plane awaits bytes.
pub struct Upload {
    notify: Arc<dyn Notify>,
    token: Token,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    chunks: VecDeque<Bytes>,
    queued_bytes: usize,
    /// Bytes that the origin's side took.
    taken_bytes: u64,
    /// The body has ended, with these trailers.
    end: Option<Box<[u8]>>,
    /// The client left.
    left: bool,
    /// Nothing is taken any more.
    closed: bool,
    /// The client waits for `100 Continue`: nothing is taken yet.
    held: bool,
    /// The session found no room and waits to be told of some.
    is_full: bool,
    reader: Option<Waker>,
    watcher: Option<Waker>,
}

impl Upload {
    /// An empty pipe whose client is `token`. When `held`, nothing is taken out before
    /// [`Upload::proceed`].
    pub fn new(notify: Arc<dyn Notify>, token: Token, held: bool) -> Arc<Upload> {
        let inner = Mutex::new(Inner { held, ..Inner::default() });
        Arc::new(Upload { notify, token, inner })
    }

    /// The client's side: bytes that fit now; zero when there is no room, and a notice then follows
    /// when there is. What nobody takes any more is swallowed.
    pub fn room(&self) -> usize {
        let mut inner = self.lock();
        if inner.closed {
            return usize::MAX;
        }
        let room = UPLOAD_BUFFER_MAX_BYTES.saturating_sub(inner.queued_bytes);
        inner.is_full |= room == 0;
        room
    }

    /// Whether there is room; asks for no notice, and takes none back.
    pub fn has_room(&self) -> bool {
        let inner = self.lock();
        inner.closed || inner.queued_bytes < UPLOAD_BUFFER_MAX_BYTES
    }

    /// The client's side: leaves bytes.
    pub fn push(&self, bytes: &[u8]) {
        let mut inner = self.lock();
        if inner.closed || inner.end.is_some() || bytes.is_empty() {
            return;
        }
        inner.queued_bytes += bytes.len();
        inner.chunks.push_back(Bytes::copy_from_slice(bytes));
        wake(&mut inner.reader);
    }

    /// The client's side: all was sent; `trailers` are whole lines.
    pub fn finish(&self, trailers: Vec<u8>) {
        let mut inner = self.lock();
        inner.end.get_or_insert(trailers.into());
        wake(&mut inner.reader);
    }

    /// The client's side: it wants neither to send more nor to hear an answer.
    pub fn leave(&self) {
        let mut inner = self.lock();
        inner.left = true;
        inner.chunks.clear();
        inner.queued_bytes = 0;
        wake(&mut inner.reader);
        wake(&mut inner.watcher);
    }

    /// Whether the origin takes no more.
    pub fn is_closed(&self) -> bool {
        self.lock().closed
    }

    /// The origin's side: the next piece; `None` at the end.
    pub fn poll_next(&self, context: &mut Context<'_>) -> Poll<Option<Result<Piece, ClientLeft>>> {
        let mut inner = self.lock();
        if inner.left {
            return Poll::Ready(Some(Err(ClientLeft)));
        }
        if !inner.held {
            if let Some(chunk) = inner.chunks.pop_front() {
                inner.queued_bytes -= chunk.len();
                inner.taken_bytes += chunk.len() as u64;
                let tell = inner.is_full && inner.queued_bytes <= UPLOAD_BUFFER_MAX_BYTES / 2;
                inner.is_full &= !tell;
                drop(inner);
                if tell {
                    self.notify.notify(self.token);
                }
                return Poll::Ready(Some(Ok(Piece::Data(chunk))));
            }
            if let Some(trailers) = &mut inner.end {
                let trailers = std::mem::take(trailers);
                let last = (!trailers.is_empty()).then_some(Ok(Piece::Trailers(trailers)));
                return Poll::Ready(last);
            }
        }
        inner.reader = Some(context.waker().clone());
        Poll::Pending
    }

    /// [`Upload::poll_next`] as a future.
    pub async fn next(&self) -> Option<Result<Piece, ClientLeft>> {
        std::future::poll_fn(|context| self.poll_next(context)).await
    }

    /// The origin's side: the body may be taken. Returns whether it was held until now.
    pub fn proceed(&self) -> bool {
        let mut inner = self.lock();
        let held = std::mem::take(&mut inner.held);
        wake(&mut inner.reader);
        held
    }

    /// The origin's side: nothing more will be taken.
    pub fn close(&self) {
        let mut inner = self.lock();
        inner.closed = true;
        inner.chunks.clear();
        inner.queued_bytes = 0;
        drop(inner);
        self.notify.notify(self.token);
    }

    /// Waits until the client has left.
    pub async fn left(&self) {
        std::future::poll_fn(|context| {
            let mut inner = self.lock();
            if inner.left {
                return Poll::Ready(());
            }
            inner.watcher = Some(context.waker().clone());
            Poll::Pending
        })
        .await;
    }

    /// Whether no byte was taken: the request may be sent elsewhere.
    pub fn is_untouched(&self) -> bool {
        self.lock().taken_bytes == 0
    }

    /// Bytes taken so far, and whether the origin waits for the client rather than the other way
    /// round.
    pub fn progress(&self) -> (u64, bool) {
        let inner = self.lock();
        let waits = !inner.held && !inner.closed && inner.chunks.is_empty() && inner.end.is_none();
        (inner.taken_bytes, waits)
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn wake(waker: &mut Option<Waker>) {
    if let Some(waker) = waker.take() {
        waker.wake();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering::SeqCst};

    use super::*;

    #[derive(Default)]
    struct Bell(AtomicU32);

    impl Notify for Bell {
        fn notify(&self, _: Token) {
            self.0.fetch_add(1, SeqCst);
        }
    }

    fn next(upload: &Upload) -> Poll<Option<Result<Piece, ClientLeft>>> {
        upload.poll_next(&mut Context::from_waker(Waker::noop()))
    }

    fn data(text: &'static str) -> Poll<Option<Result<Piece, ClientLeft>>> {
        Poll::Ready(Some(Ok(Piece::Data(Bytes::from_static(text.as_bytes())))))
    }

    #[test]
    fn bytes_come_out_in_order_then_trailers_then_nothing() {
        let upload = Upload::new(Arc::new(Bell::default()), Token(1), false);
        assert!(next(&upload).is_pending());
        assert_eq!(upload.progress(), (0, true));
        upload.push(b"ab");
        upload.push(b"");
        upload.push(b"c");
        upload.finish(b"X: 1\r\n".to_vec());
        assert_eq!(upload.progress(), (0, false));
        assert_eq!((next(&upload), next(&upload)), (data("ab"), data("c")));
        let trailers = Piece::Trailers(b"X: 1\r\n"[..].into());
        assert_eq!(next(&upload), Poll::Ready(Some(Ok(trailers))));
        assert_eq!(next(&upload), Poll::Ready(None));
    }

    #[test]
    fn nothing_is_taken_before_the_origin_is_ready() {
        let upload = Upload::new(Arc::new(Bell::default()), Token(1), true);
        upload.push(b"a");
        upload.finish(Vec::new());
        assert!(next(&upload).is_pending());
        assert!(upload.is_untouched() && upload.proceed() && !upload.proceed());
        assert_eq!((next(&upload), next(&upload)), (data("a"), Poll::Ready(None)));
        assert!(!upload.is_untouched());
    }

    #[test]
    fn a_full_pipe_tells_of_room_once() {
        let bell = Arc::new(Bell::default());
        let upload = Upload::new(bell.clone(), Token(1), false);
        for _ in 0..UPLOAD_BUFFER_MAX_BYTES / 1024 {
            assert!(upload.room() >= 1024);
            upload.push(&[0; 1024]);
        }
        assert_eq!(upload.room(), 0);
        while next(&upload).is_ready() {}
        assert_eq!(bell.0.load(SeqCst), 1);
        assert_eq!(upload.room(), UPLOAD_BUFFER_MAX_BYTES);
    }

    #[test]
    fn a_notice_once_asked_for_comes_whatever_is_asked_meanwhile() {
        let bell = Arc::new(Bell::default());
        let upload = Upload::new(bell.clone(), Token(1), false);
        for _ in 0..UPLOAD_BUFFER_MAX_BYTES / 1024 {
            upload.push(&[0; 1024]);
        }
        assert!(upload.room() == 0 && !upload.has_room());
        // A little room, too little to tell of: nobody who looks at it takes the notice back.
        assert!(next(&upload).is_ready());
        assert!(upload.has_room() && upload.room() == 1024);
        while next(&upload).is_ready() {}
        assert_eq!(bell.0.load(SeqCst), 1);
    }

    #[test]
    fn who_left_is_not_taken_for_an_end() {
        let upload = Upload::new(Arc::new(Bell::default()), Token(1), false);
        upload.push(b"a");
        upload.leave();
        assert_eq!(next(&upload), Poll::Ready(Some(Err(ClientLeft))));
        let closed = Upload::new(Arc::new(Bell::default()), Token(1), false);
        closed.push(b"a");
        closed.close();
        assert_eq!((closed.room(), closed.is_closed()), (usize::MAX, true));
        closed.push(b"b");
        assert!(next(&closed).is_pending());
    }
}
