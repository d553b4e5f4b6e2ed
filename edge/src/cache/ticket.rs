//! What a session holds while the fill plane works for it.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering::Acquire, Ordering::Release};
use std::sync::{Arc, Mutex, PoisonError};

use super::{Object, Relay};
use crate::limits::INTERIMS_WAITING_MAX;
use crate::mailbox::{Notify, Token};
use crate::metrics::{Denial, Outcome};

/// The answer to "open this URL".
#[derive(Clone)]
pub enum Opened {
    /// A stored (or now being stored) response, and how it was come by.
    Object(Arc<Object>, Outcome),
    /// A response that may not be stored: it passes through memory to this one client.
    Relay(Arc<Relay>),
    /// Whether the request that was asked about is let in.
    Word(Result<(), Denial>),
}

/// How pressing it is to ask an origin; the order of its queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Urgency {
    /// A client waits for it.
    Awaited,
    /// A client will want it soon.
    Ahead,
    /// Somebody asked for it to be stored.
    Prefetch,
    /// Its clients have left; it is finished for those to come.
    Left,
}

/// Why the fill plane could not do what was asked. `as_str` is log field and metric label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FillError {
    /// No such file in a `file://` origin.
    NotFound,
    /// A file that may not be read, or a target that is no regular file.
    Forbidden,
    /// No origin could be connected to.
    Connect,
    /// The origin's certificate is not believed, or it does not speak TLS.
    Tls,
    /// The origin is this node (RFC 8586).
    Loop,
    /// The origin does not take this node's credentials.
    Denied,
    /// The origin did not answer in time.
    Timeout,
    /// The origin's answer broke off or was not HTTP.
    Broken,
    /// The object changed at the origin: its missing bytes cannot be had any more.
    Changed,
    /// The origin has no such range.
    Unsatisfiable,
    /// Too much is waiting already.
    Overloaded,
    /// What is stored may not be used without asking, and the origin cannot be asked (RFC 9111
    /// §5.2.2.2).
    Unvalidated,
    /// Nothing is stored that may be used, and the client wants no origin asked (RFC 9111 §5.2.1.7).
    NotCached,
    /// The disk failed and there was no other way.
    Disk,
}

impl FillError {
    /// Stable name.
    pub fn as_str(self) -> &'static str {
        match self {
            FillError::NotFound => "not_found",
            FillError::Forbidden => "forbidden",
            FillError::Connect => "origin_connect",
            FillError::Tls => "origin_tls",
            FillError::Loop => "origin_loop",
            FillError::Denied => "origin_denied",
            FillError::Timeout => "origin_timeout",
            FillError::Broken => "origin_broken",
            FillError::Changed => "origin_changed",
            FillError::Unsatisfiable => "unsatisfiable",
            FillError::Overloaded => "overloaded",
            FillError::Unvalidated => "unvalidated",
            FillError::NotCached => "only_if_cached",
            FillError::Disk => "disk",
        }
    }

    /// The status a client gets when nothing was sent yet.
    pub fn status(self) -> u16 {
        match self {
            FillError::NotFound => 404,
            FillError::Forbidden => 403,
            FillError::Connect | FillError::Broken | FillError::Changed => 502,
            FillError::Tls | FillError::Denied => 502,
            FillError::Loop => 508,
            FillError::Timeout | FillError::Unvalidated | FillError::NotCached => 504,
            FillError::Unsatisfiable => 416,
            FillError::Overloaded => 503,
            FillError::Disk => 500,
        }
    }
}

enum State {
    Waiting,
    Opened(Opened),
    Failed(FillError),
}

/// One demand's life: the session waits, the fill plane answers once, a notice wakes the session.
pub struct Ticket {
    notify: Arc<dyn Notify>,
    token: Token,
    state: Mutex<State>,
    interims: Mutex<VecDeque<Box<[u8]>>>,
    abandoned: AtomicBool,
    urgency: AtomicU8,
}

impl Ticket {
    /// A ticket whose answer wakes `token`.
    pub fn new(notify: Arc<dyn Notify>, token: Token) -> Arc<Ticket> {
        Arc::new(Ticket {
            notify,
            token,
            state: Mutex::new(State::Waiting),
            interims: Mutex::default(),
            abandoned: AtomicBool::new(false),
            urgency: AtomicU8::new(Urgency::Awaited as u8),
        })
    }

    /// A ticket nobody holds, for work that is done ahead.
    pub fn ahead() -> Arc<Ticket> {
        let ticket = Ticket::new(Arc::new(Nobody), Token(0));
        ticket.set_urgency(Urgency::Ahead);
        ticket
    }

    /// How pressing the demand is.
    pub fn urgency(&self) -> Urgency {
        match self.urgency.load(Acquire) {
            0 => Urgency::Awaited,
            1 => Urgency::Ahead,
            2 => Urgency::Prefetch,
            _ => Urgency::Left,
        }
    }

    /// Says how pressing the demand is; [`Urgency::Awaited`] without.
    pub fn set_urgency(&self, urgency: Urgency) {
        self.urgency.store(urgency as u8, Release);
    }

    /// Answers with an object or relay.
    pub fn open(&self, opened: Opened) {
        self.settle(State::Opened(opened));
    }

    /// Answers that it cannot be done.
    pub fn fail(&self, error: FillError) {
        self.settle(State::Failed(error));
    }

    /// Hands on an interim answer (1xx), a whole head; one too many is dropped.
    pub fn inform(&self, head: Box<[u8]>) {
        let mut interims = self.interims.lock().unwrap_or_else(PoisonError::into_inner);
        if interims.len() < INTERIMS_WAITING_MAX {
            interims.push_back(head);
        }
        drop(interims);
        self.nudge();
    }

    /// The next interim answer.
    pub fn take_interim(&self) -> Option<Box<[u8]>> {
        self.interims.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
    }

    /// Tells the session to look again: the bytes it asked for are coming.
    pub fn nudge(&self) {
        self.notify.notify(self.token);
    }

    /// The answer, once there is one; an `Opened` is handed out once.
    pub fn take(&self) -> Option<Result<Opened, FillError>> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        match std::mem::replace(&mut *state, State::Waiting) {
            State::Waiting => None,
            State::Opened(opened) => Some(Ok(opened)),
            State::Failed(error) => {
                *state = State::Failed(error);
                Some(Err(error))
            }
        }
    }

    /// Says that nobody waits for an answer any more: the client left, or reads the object now
    /// (see [`super::Reading`]).
    pub fn abandon(&self) {
        self.abandoned.store(true, Release);
    }

    /// Whether nobody waits for an answer.
    pub fn is_abandoned(&self) -> bool {
        self.abandoned.load(Acquire)
    }

    fn settle(&self, to: State) {
        *self.state.lock().unwrap_or_else(PoisonError::into_inner) = to;
        self.nudge();
    }
}

struct Nobody;

impl Notify for Nobody {
    fn notify(&self, _: Token) {}
}
