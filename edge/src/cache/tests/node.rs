//! A cache in a directory, with objects whose bytes are known from key, generation and offset alone.

use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use tempfile::TempDir;

use crate::cache::layout::Layout;
use crate::cache::{Body, Cache, Key, KeyBuilder, Lead, Meta, Object, Read};
use crate::clock::Now;
use crate::config;
use crate::mailbox::{Notify, Token};

pub const SLICE: u64 = 64 * 1024;
pub const BLOCK: u64 = SLICE / 64;

pub struct Node {
    pub dir: TempDir,
    pub config: config::Cache,
    pub cache: Arc<Cache>,
}

impl Node {
    /// With one volume of the smallest size.
    pub fn new() -> Node {
        Node::with_volumes(&[Layout::size_min_bytes(SLICE)])
    }

    pub fn with_volumes(sizes: &[u64]) -> Node {
        let dir = tempfile::tempdir().unwrap();
        let volumes = sizes.iter().enumerate().map(|(number, &size_bytes)| config::Volume {
            path: dir.path().join(format!("v{number}")),
            size_bytes,
        });
        let config = config::Cache {
            volumes: volumes.collect(),
            ram_bytes: 1 << 20,
            slice_bytes: SLICE,
            checkpoint_ms: 1000,
            scrub_bytes_per_s: 0,
        };
        let cache = Cache::open(&config).unwrap();
        Node { dir, config, cache }
    }

    pub fn volume_path(&self) -> PathBuf {
        self.config.volumes[0].path.clone()
    }

    /// What `kill -9` and a new start do: nothing is written in between.
    pub fn restart(&mut self) {
        self.close();
        self.cache = Cache::open(&self.config).unwrap();
    }

    /// Lets go of the volumes.
    pub fn close(&mut self) {
        static NOTHING: OnceLock<Arc<Cache>> = OnceLock::new();
        let none = || config::Cache { volumes: Vec::new(), ..self.config.clone() };
        self.cache = NOTHING.get_or_init(|| Cache::open(&none()).unwrap()).clone();
    }

    pub fn key(&self, name: &str) -> Key {
        KeyBuilder::new(self.cache.seed(), "site").part(name.as_bytes()).finish()
    }

    /// A new object in slices, inserted.
    pub fn object(&self, name: &str, generation: u64, len: Option<u64>) -> Arc<Object> {
        let key = self.key(name);
        let slices = self.cache.new_slices(key, generation, len, &meta(name));
        let object = Arc::new(Object::new(key, meta(name), Body::Slices(slices)));
        self.cache.insert(object.clone(), Now::read());
        object
    }

    pub fn memory_object(&self, name: &str, body: &'static [u8]) -> Arc<Object> {
        let body = Body::Memory(bytes::Bytes::from_static(body));
        let object = Arc::new(Object::new(self.key(name), meta(name), body));
        self.cache.insert(object.clone(), Now::read());
        object
    }

    /// Fills what is missing of `start .. end`, by leads and writes of odd sizes.
    pub fn fill(&self, object: &Object, start: u64, end: u64) {
        let mut at = start;
        while at < end {
            at = match self.cache.lead(object, at).unwrap() {
                Lead::Busy => panic!("nobody else fills"),
                Lead::Present => (at / SLICE + 1) * SLICE,
                Lead::Writer(mut writer) => {
                    let stop = writer.end().min(end.next_multiple_of(BLOCK));
                    while writer.offset() < stop {
                        let some = (stop - writer.offset()).min(3001);
                        let bytes = content(object, writer.offset(), some);
                        assert_eq!(writer.write(&bytes).unwrap() as u64, some);
                    }
                    let next = writer.offset();
                    writer.finish().unwrap();
                    next
                }
            };
        }
    }

    /// Verifies all of `start .. end` that is stored; returns how many bytes were read, each as it
    /// should be, and counts as hits. Never fills.
    pub fn read_checked(&self, object: &Object, start: u64, end: u64) -> u64 {
        let (mut at, mut right) = (start, 0);
        while at < end {
            match self.cache.look(object, at, end, true) {
                Read::Span(span) => {
                    assert!(span.len > 0 && at + span.len <= end);
                    let mut bytes = vec![0; span.len as usize];
                    span.file.read_exact_at(&mut bytes, span.offset).unwrap();
                    assert!(bytes == content(object, at, span.len), "wrong bytes at {at}");
                    at += span.len;
                    right += span.len;
                }
                Read::Bytes(bytes) => {
                    at += bytes.len() as u64;
                    right += bytes.len() as u64;
                }
                Read::End => break,
                Read::Pending | Read::Reserved | Read::Absent | Read::Failed(_) => {
                    at = (at / BLOCK + 1) * BLOCK
                }
            }
        }
        right
    }

    /// Has every slice of `start .. end` verified, and reads it.
    pub fn verify_and_read(&self, object: &Object, start: u64, end: u64) -> u64 {
        let mut at = start;
        while at < end {
            drop(self.cache.lead(object, at).unwrap());
            at = (at / SLICE + 1) * SLICE;
        }
        self.read_checked(object, start, end)
    }
}

/// The bytes at `offset` of an object: they differ by key, generation and place.
pub fn content(object: &Object, offset: u64, len: u64) -> Vec<u8> {
    let Body::Slices(slices) = &object.body else { panic!("an object in slices") };
    let salt = object.key.0[0] ^ slices.generation().wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (offset..offset + len)
        .map(|at| {
            let mixed = (at ^ salt).wrapping_mul(0xff51_afd7_ed55_8ccd);
            (mixed >> 48) as u8 ^ (mixed >> 24) as u8
        })
        .collect()
}

pub fn meta(name: &str) -> Meta {
    Meta {
        status: 200,
        headers: (*b"Content-Type: text/plain\r\n").into(),
        etag: Some(format!("\"{name}\"").into()),
        last_modified_unix_s: None,
        received_unix_ms: 1,
        initial_age_ms: 0,
        lifetime_ms: 1000,
        reuse: Default::default(),
        variant_of: None,
        key_text: format!("site /{name}").into(),
        tags: "".into(),
        stamp: Default::default(),
    }
}

/// Counts its notices.
#[derive(Default)]
pub struct Bell(pub AtomicU64);

impl Notify for Bell {
    fn notify(&self, _token: Token) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

impl Bell {
    pub fn new() -> (Arc<Bell>, Arc<dyn Notify>) {
        let bell = Arc::new(Bell::default());
        (bell.clone(), bell)
    }

    pub fn rings(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }
}
