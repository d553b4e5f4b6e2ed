//! The one room that knows which runtime the fill plane runs on: tokio-uring, a current-thread tokio
//! with a ring in it.

use std::future::Future;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::task::Poll;

use tokio::io::unix::AsyncFd;

use crate::mailbox::Mailbox;
use crate::sys::readiness::readable;

/// Entries of the ring's submission queue.
const RING_ENTRIES: u32 = 256;

/// Runs `work` on this thread to its end, then drops what it had spawned. `started` is told first
/// whether a runtime could be made; without one `work` is not begun.
pub fn run(started: impl FnOnce(io::Result<()>), work: impl Future<Output = ()>) {
    match tokio_uring::Runtime::new(tokio_uring::builder().entries(RING_ENTRIES)) {
        Ok(runtime) => {
            started(Ok(()));
            runtime.block_on(work);
        }
        Err(error) => started(Err(error)),
    }
}

/// Starts a task on this thread.
pub fn spawn(task: impl Future<Output = ()> + 'static) {
    drop(tokio_uring::spawn(task));
}

/// Where hyper runs its connections: among the tasks they feed, so that handing a piece of a body
/// over does not go round by the poller.
#[derive(Clone)]
pub struct Local;

impl<F: Future + 'static> hyper::rt::Executor<F> for Local {
    fn execute(&self, task: F) {
        spawn(async move { drop(task.await) });
    }
}

/// Lets the tasks that are ready now have their turn. Unlike `yield_now` it does not ask the poller.
pub async fn let_others() {
    let mut is_second = false;
    std::future::poll_fn(|context| {
        if std::mem::replace(&mut is_second, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// Runs what blocks for long on another thread.
/// `None`: it ended early.
pub async fn off_thread<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    let done = tokio::task::spawn_blocking(work).await;
    done.inspect_err(|error| tracing::error!(%error, "work beside the fill plane ended early")).ok()
}

/// A mailbox that can be awaited.
pub struct Inbox<T> {
    mailbox: Arc<Mailbox<T>>,
    eventfd: AsyncFd<OwnedFd>,
}

impl<T> Inbox<T> {
    /// Begins to watch `mailbox`.
    pub fn new(mailbox: Arc<Mailbox<T>>) -> io::Result<Inbox<T>> {
        let eventfd = readable(mailbox.eventfd())?;
        Ok(Inbox { mailbox, eventfd })
    }

    /// The next message. Cancelling loses none.
    pub async fn next(&self) -> T {
        loop {
            if let Some(message) = self.mailbox.pop() {
                return message;
            }
            self.mailbox.acknowledge();
            if let Some(message) = self.mailbox.pop() {
                return message;
            }
            match self.eventfd.readable().await {
                Ok(mut ready) => ready.clear_ready(),
                // Only when the runtime is ending.
                Err(_) => std::future::pending().await,
            }
        }
    }
}
