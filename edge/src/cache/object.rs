//! One response of an origin: its head, and where its body is.

use std::fs::File;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::key::Key;
use super::purge::Stamp;
use super::reuse::Reuse;
use super::slices::Slices;
use super::vary::Variants;
use crate::clock::Now;
use crate::limits::REFRESH_EVERY_MS;

/// A response as it was received, immutable. A refresh (304) makes a new `Object` that shares the
/// body of the old one.
#[derive(Debug)]
pub struct Object {
    /// What it is found by.
    pub key: Key,
    /// Everything but the body.
    pub meta: Meta,
    /// The body.
    pub body: Body,
    /// When the origin was last asked about it while it was used stale, monotonic ms.
    refresh_ms: AtomicU64,
    /// When something was last asked to be made of it, monotonic ms.
    derive_ms: AtomicU64,
}

/// Where the bytes are.
#[derive(Clone, Debug)]
pub enum Body {
    /// A file of a `file://` origin, sent as it is. `len` was its size when it was opened.
    File {
        /// Open for reading.
        file: Arc<File>,
        /// Bytes.
        len: u64,
        /// All of them, when they are few ([`crate::limits::SMALL_OBJECT_MAX_BYTES`]).
        content: Option<bytes::Bytes>,
    },
    /// Slices on a volume, some of them perhaps missing or being filled.
    Slices(Arc<Slices>),
    /// No body at all, or a short one that is not worth a slice (an error page).
    Memory(bytes::Bytes),
    /// No response at all: the list of the variants of this URL.
    Variants(Arc<Variants>),
}

/// The head of a stored response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Meta {
    /// Status code; 206 answers are stored as the 200 they are part of.
    pub status: u16,
    /// End-to-end fields as they go to the client, each `Name: value\r\n`: without framing fields
    /// (`Content-Length`, `Content-Range`, `Transfer-Encoding`, `Connection` …), `Age`, `Accept-Ranges`.
    /// `Date`, `ETag`, `Last-Modified`, `Content-Type` are in here too.
    pub headers: Box<[u8]>,
    /// The entity tag as received, quotes and any `W/` included.
    pub etag: Option<Box<str>>,
    /// `Last-Modified` in Unix seconds.
    pub last_modified_unix_s: Option<i64>,
    /// When the response (or the 304 that refreshed it) arrived.
    pub received_unix_ms: u64,
    /// Its age then (RFC 9111 §4.2.3, corrected initial age).
    pub initial_age_ms: u64,
    /// How long it is fresh, counted from age zero (RFC 9111 §4.2.1).
    pub lifetime_ms: u64,
    /// What it says about being used.
    pub reuse: Reuse,
    /// The key of its URL, when it is one of several variants and lies under a key of its own.
    pub variant_of: Option<Key>,
    /// The key's text, for purge and `explain`: site name, a space, path and query.
    pub key_text: Box<str>,
    /// Tags the origin gave it for purges (`Surrogate-Key`, `Cache-Tag`): see [`super::purge::tags`].
    pub tags: Box<str>,
    /// Up to which purge it was looked at: see [`super::Cache::stamp_at`].
    pub stamp: Stamp,
}

impl Meta {
    /// A plain 200, for tests.
    #[cfg(test)]
    pub fn example() -> Meta {
        Meta {
            status: 200,
            headers: Box::default(),
            etag: None,
            last_modified_unix_s: None,
            received_unix_ms: 0,
            initial_age_ms: 0,
            lifetime_ms: 0,
            reuse: Reuse::default(),
            variant_of: None,
            key_text: "".into(),
            tags: "".into(),
            stamp: Stamp::default(),
        }
    }

    /// Age in milliseconds (RFC 9111 §4.2.3).
    pub fn age_ms(&self, now: Now) -> u64 {
        self.initial_age_ms + now.unix_ms.saturating_sub(self.received_unix_ms)
    }

    /// Whether it may be used without asking the origin (RFC 9111 §4.2).
    pub fn is_fresh(&self, now: Now) -> bool {
        self.age_ms(now) < self.lifetime_ms
    }

    /// Whether a request that leaves it to the node is answered without asking the origin.
    pub fn is_unasked(&self, now: Now) -> bool {
        self.is_fresh(now) && !self.reuse.no_cache
    }

    /// The entity tag if it is a strong one (RFC 9110 §8.8.3).
    pub fn strong_etag(&self) -> Option<&str> {
        self.etag.as_deref().filter(|tag| tag.starts_with('"'))
    }
}

impl Object {
    /// An object as it is.
    pub fn new(key: Key, meta: Meta, body: Body) -> Object {
        Object { key, meta, body, refresh_ms: AtomicU64::new(0), derive_ms: AtomicU64::new(0) }
    }

    /// The key of its URL.
    pub fn url_key(&self) -> Key {
        self.meta.variant_of.unwrap_or(self.key)
    }

    /// Whether the origin is to be asked about it now, while it is used stale: one in
    /// [`REFRESH_EVERY_MS`] is told so.
    pub fn takes_refresh(&self, now: Now) -> bool {
        takes(&self.refresh_ms, now)
    }

    /// Whether something that is missed is to be made of it now: as often.
    pub fn takes_derivation(&self, now: Now) -> bool {
        takes(&self.derive_ms, now)
    }

    /// Length of the representation; `None` while an origin has not said and not finished.
    pub fn len(&self) -> Option<u64> {
        match &self.body {
            Body::File { len, .. } => Some(*len),
            Body::Slices(slices) => slices.len(),
            Body::Memory(bytes) => Some(bytes.len() as u64),
            Body::Variants(_) => None,
        }
    }

    /// Whether bytes that cannot be read can be had again.
    pub fn is_replaceable(&self) -> bool {
        matches!(self.body, Body::Slices(_))
    }

    /// Whether the length is known to be zero.
    pub fn is_empty(&self) -> bool {
        self.len() == Some(0)
    }
}

/// Whether the caller is the one who does now what is done once in [`REFRESH_EVERY_MS`].
fn takes(last: &AtomicU64, now: Now) -> bool {
    let last_ms = last.load(Relaxed);
    let is_due = last_ms == 0 || now.mono_ms.saturating_sub(last_ms) >= REFRESH_EVERY_MS;
    is_due && last.compare_exchange(last_ms, now.mono_ms.max(1), Relaxed, Relaxed).is_ok()
}
