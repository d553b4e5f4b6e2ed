//! What a session asks of the fill plane.

use std::sync::Arc;

use crate::cache::derived::Derivation;
use crate::cache::{Key, Object, Ticket, Upload};
use crate::http::cache_control::RequestControl;
use crate::origin::Passing;
use crate::site::{QuestionKey, Site};

/// Names and values of fields.
pub type Keyed = Box<[(Box<str>, Box<[u8]>)]>;

/// A message from a worker to the fill plane. The answer goes through its [`Ticket`].
pub struct Demand {
    /// Where the answer goes.
    pub ticket: Arc<Ticket>,
    /// Whose origin.
    pub site: Arc<Site>,
    /// Host the client asked for, lower-case, without port.
    pub host: Box<str>,
    /// Path and query as they go to the origin; begins with `/`.
    pub target: Box<str>,
    /// Request fields that are part of the key, for the origin: lower-case name and value.
    pub keyed: Keyed,
    /// The client's end-to-end fields, as lines (see [`crate::origin::request::fields`]).
    pub fields: Box<[u8]>,
    /// The client's range and conditions, as lines (see [`crate::origin::request::conditions`]).
    pub conditions: Box<[u8]>,
    /// Whether the client spoke TLS.
    pub is_secure: bool,
    /// What the client asks of caches.
    pub control: RequestControl,
    /// What is wanted.
    pub want: Want,
}

/// See [`Demand::want`].
pub enum Want {
    /// The object: answered with [`Ticket::open`] as soon as its head is known, while the body
    /// goes on to be filled.
    Open {
        /// What the URL is found by.
        key: Key,
        /// The bytes the client wants first: start and (exclusive) end, if it asked for a range
        /// that begins somewhere known. `None`: the whole.
        range: Option<(u64, Option<u64>)>,
        /// Whether only the head is wanted (HEAD).
        head_only: bool,
        /// The object in memory that may not be used unasked, if there is one.
        stale: Option<Arc<Object>>,
    },
    /// Bytes `start .. end` of an object whose head is known: the ticket is nudged when slices
    /// begin to be filled, failed when they cannot be.
    Bytes {
        /// Whose bytes.
        object: Arc<Object>,
        /// First byte.
        start: u64,
        /// One past the last.
        end: u64,
    },
    /// Something is to be made of an object for clients to come; nobody waits for it.
    Derive {
        /// Of what.
        object: Arc<Object>,
        /// What.
        how: Derivation,
    },
    /// The request itself is passed on, its answer is for this client only: answered with a
    /// [`crate::cache::Relay`].
    Pass(Box<Pass>),
    /// The site's own service is asked whether the request is let in: answered with a word.
    Ask(Box<Question>),
}

/// See [`Want::Ask`].
pub struct Question {
    /// What its answer is remembered by.
    pub key: QuestionKey,
    /// Path and query of the question.
    pub target: Box<str>,
    /// Its fields: lower-case name and value.
    pub fields: Vec<(Box<str>, Box<[u8]>)>,
}

/// See [`Want::Pass`].
pub struct Pass {
    /// What is passed on.
    pub request: Passing,
    /// What a GET of the same target is stored under.
    pub key: Key,
    /// The request's body. Also without one the client's leaving is told here.
    pub body: Arc<Upload>,
    /// What the client says in the other protocol, should the origin switch to it.
    pub tunnel: Option<Arc<Upload>>,
}

impl Demand {
    /// Another demand about the same object.
    pub fn errand(&self, ticket: Arc<Ticket>, want: Want) -> Demand {
        Demand {
            ticket,
            site: self.site.clone(),
            host: self.host.clone(),
            target: self.target.clone(),
            keyed: self.keyed.clone(),
            fields: self.fields.clone(),
            conditions: self.conditions.clone(),
            is_secure: self.is_secure,
            control: self.control,
            want,
        }
    }

    /// The key of the URL it is about.
    pub fn key(&self) -> Key {
        match &self.want {
            Want::Open { key, .. } => *key,
            Want::Bytes { object, .. } | Want::Derive { object, .. } => object.url_key(),
            Want::Pass(pass) => pass.key,
            // It is about no object.
            Want::Ask(question) => Key([question.key as u64, (question.key >> 64) as u64]),
        }
    }

    /// Which of `threads` fill threads works on it. One key, one thread: flights need no lock.
    pub fn thread(&self, threads: usize) -> usize {
        let number = match &self.want {
            // Nobody shares it: they are spread.
            Want::Pass(pass) => Arc::as_ptr(&pass.body) as usize as u64 >> 8,
            _ => self.key().0[0],
        };
        (number % threads.max(1) as u64) as usize
    }
}
