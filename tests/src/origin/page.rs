//! What a path of the scripted origin does.

use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use crate::content::Content;

/// The script of one path: `Page { chunked: true, ..Page::of(content) }`.
#[derive(Clone, Debug)]
pub struct Page {
    /// The body.
    pub content: Content,
    /// Status of a whole answer; ranges and conditions are looked at for 200 only.
    pub status: u16,
    /// `ETag`.
    pub etag: Option<String>,
    /// `Last-Modified`.
    pub last_modified: Option<String>,
    /// `Cache-Control`.
    pub cache_control: Option<String>,
    /// Further fields, `Name: value`.
    pub fields: Vec<String>,
    /// So many requests are answered 503 first.
    pub failures_left: u32,
    /// Time before the head.
    pub delay: Duration,
    /// Most body bytes a second.
    pub bytes_per_s: Option<u64>,
    /// Where the body waits for somebody.
    pub hold: Option<Hold>,
    /// The connection is cut before the byte at this offset of the representation …
    pub cut_at: Option<u64>,
    /// … for so many answers.
    pub cuts: Cuts,
    /// Whether `Range` is understood.
    pub ranges: bool,
    /// Whether the length is kept back: chunks instead.
    pub chunked: bool,
    /// Whether 206 names another range than it holds.
    pub wrong_content_range: bool,
}

impl Page {
    /// A well-behaved page: ETag, an hour of freshness, ranges.
    pub fn of(content: Content) -> Page {
        Page {
            content,
            status: 200,
            etag: Some(format!("\"v{}\"", content.seed)),
            last_modified: Some("Sun, 06 Nov 1994 08:49:37 GMT".into()),
            cache_control: Some("max-age=3600".into()),
            fields: Vec::new(),
            failures_left: 0,
            delay: Duration::ZERO,
            bytes_per_s: None,
            hold: None,
            cut_at: None,
            cuts: Cuts::default(),
            ranges: true,
            chunked: false,
            wrong_content_range: false,
        }
    }

    /// What unknown targets get.
    pub(super) fn missing() -> Page {
        Page { status: 404, etag: None, cache_control: None, ..Page::of(Content::new(404, 16)) }
    }
}

/// How many answers are cut; shared by a page and the answers made from it. Endless by default.
#[derive(Clone, Debug, Default)]
pub struct Cuts(Arc<Mutex<Option<u32>>>);

impl Cuts {
    /// The first `count` answers that reach the place.
    pub fn times(count: u32) -> Cuts {
        Cuts(Arc::new(Mutex::new(Some(count))))
    }

    /// Whether this answer is cut.
    pub(super) fn take(&self) -> bool {
        match &mut *self.0.lock().expect("nothing panics under it") {
            None => true,
            Some(0) => false,
            Some(left) => {
                *left -= 1;
                true
            }
        }
    }
}

/// The byte at `at` (of the representation) and those after it wait for the gate.
#[derive(Clone, Debug)]
pub struct Hold {
    /// First byte that waits.
    pub at: u64,
    /// What it waits for.
    pub gate: Gate,
}

/// Shut until it is opened: puts things in order without looking at a clock.
#[derive(Clone, Debug, Default)]
pub struct Gate(Arc<(Mutex<bool>, Condvar)>);

impl Gate {
    /// A shut gate.
    pub fn new() -> Gate {
        Gate::default()
    }

    /// Lets everybody through, now and later.
    pub fn open(&self) {
        *self.0.0.lock().expect("nothing panics under it") = true;
        self.0.1.notify_all();
    }

    /// Whether it was opened.
    pub fn is_open(&self) -> bool {
        *self.0.0.lock().expect("nothing panics under it")
    }

    /// Waits a little; whether it is open then.
    pub(super) fn wait_a_little(&self) -> bool {
        let open = self.0.0.lock().expect("nothing panics under it");
        let turn = Duration::from_millis(50);
        *self.0.1.wait_timeout_while(open, turn, |open| !*open).expect("no panic under it").0
    }
}

/// What was asked of a target.
#[derive(Clone, Debug, Default)]
pub struct Counts {
    /// Requests.
    pub requests: u64,
    /// Of those, conditional ones (`If-None-Match`).
    pub conditional: u64,
    /// 304 answers.
    pub not_modified: u64,
    /// Body bytes handed to the kernel, but for a last piece (64 KiB at most) that it did not take
    /// whole.
    pub body_bytes: u64,
    /// `Range` of each request.
    pub ranges: Vec<Option<String>>,
}
