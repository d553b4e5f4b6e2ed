//! A cache, one fill thread and a client that does what a session does.

use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use super::super::{Plane, spawn};
use super::origin::ScriptedOrigin;
use crate::cache::relay::Chunk;
use crate::cache::{Cache, FillError, Key, KeyBuilder, Object, Opened, Read, Relay, Ticket};
use crate::config::{self, Finish, Origin, OriginAddress, Preset, Protection};
use crate::limits::SLICE_MIN_BYTES;
use crate::mailbox::{Mailbox, Notify, Token};
use crate::metrics::{Outcome, SiteMetrics};
use crate::session::Demand;
use crate::session::demand::Want;
use crate::site::Site;

/// Slices of the rig's cache.
pub const SLICE: usize = SLICE_MIN_BYTES as usize;

/// See the module.
pub struct Rig {
    pub cache: Arc<Cache>,
    pub plane: Arc<Plane>,
    pub site: Arc<Site>,
    mailbox: Arc<Mailbox<Demand>>,
    thread: Option<JoinHandle<()>>,
}

/// An HTTP origin.
pub fn http(addresses: Vec<OriginAddress>, read_timeout_ms: u64) -> Origin {
    let (host, connect_timeout_ms, retries) = (None, 10_000, 2);
    let protection = Protection::default();
    let policy = Box::default();
    Origin::Http {
        addresses,
        host,
        connect_timeout_ms,
        read_timeout_ms,
        retries,
        protection,
        policy,
    }
}

/// Something that can be waited on by a test.
#[derive(Default)]
pub struct Bell(Mutex<bool>, Condvar);

impl Notify for Bell {
    fn notify(&self, _: Token) {
        *self.0.lock().unwrap() = true;
        self.1.notify_all();
    }
}

impl Bell {
    fn wait(&self) {
        let rung = self.0.lock().unwrap();
        let limit = Duration::from_secs(60);
        let (mut rung, waited) = self.1.wait_timeout_while(rung, limit, |rung| !*rung).unwrap();
        assert!(!waited.timed_out(), "a notice was lost");
        *rung = false;
    }
}

/// A demand that was left, and the bell its answer rings.
pub struct Waiting {
    pub ticket: Arc<Ticket>,
    bell: Arc<Bell>,
}

impl Waiting {
    /// The answer to an opening.
    pub fn opened(&self) -> Result<Opened, FillError> {
        loop {
            self.bell.wait();
            if let Some(answer) = self.ticket.take() {
                return answer;
            }
        }
    }

    /// The object that must have been opened.
    pub fn object(&self) -> (Arc<Object>, Outcome) {
        match self.opened() {
            Ok(Opened::Object(object, outcome)) => (object, outcome),
            Ok(Opened::Relay(relay)) => panic!("a relay: {}", relay.status),
            Ok(Opened::Word(word)) => panic!("a word: {word:?}"),
            Err(error) => panic!("{error:?}"),
        }
    }

    /// The relay that must have been opened, and its body.
    pub fn relayed(&self) -> (Arc<Relay>, Result<Vec<u8>, FillError>) {
        let Ok(Opened::Relay(relay)) = self.opened() else { panic!("no relay") };
        let (notify, mut body): (Arc<dyn Notify>, _) = (self.bell.clone(), Vec::new());
        loop {
            match relay.next(&notify, Token(1)) {
                Chunk::Data(bytes) => body.extend_from_slice(&bytes),
                Chunk::Pending => self.bell.wait(),
                Chunk::End => return (relay, Ok(body)),
                Chunk::Failed(error) => return (relay, Err(error)),
            }
        }
    }
}

impl Rig {
    /// A rig whose site has these HTTP origins.
    pub fn new(origins: &[&ScriptedOrigin]) -> Rig {
        Rig::with_addresses(origins.iter().map(|origin| origin.address.clone()).collect())
    }

    pub fn with_addresses(addresses: Vec<OriginAddress>) -> Rig {
        Rig::with_origin(http(addresses, 30_000))
    }

    pub fn with_files(root: &Path) -> Rig {
        Rig::with_origin(Origin::File { root: root.into() })
    }

    pub fn with_origin(origin: Origin) -> Rig {
        Rig::with(origin, Finish::Always)
    }

    pub fn with(origin: Origin, finish: Finish) -> Rig {
        let cache = Cache::open(&config::Cache {
            volumes: Vec::new(),
            ram_bytes: 1 << 20,
            slice_bytes: SLICE_MIN_BYTES,
            checkpoint_ms: 60_000,
            scrub_bytes_per_s: 0,
        });
        let (cache, mailbox) = (cache.unwrap(), Arc::new(Mailbox::new(64).unwrap()));
        let plane = Plane::new(cache.clone(), 60_000);
        let thread = Some(spawn(&plane, 0, mailbox.clone()).unwrap());
        let config = config::Site {
            name: "site".into(),
            hosts: vec!["*".into()],
            preset: Preset::Download,
            origin,
            default_ttl_ms: 60_000,
            finish,
            index: Some("index.html".into()),
            ..config::Site::of_directory("/nowhere".as_ref())
        };
        let site = Arc::new(Site::new(0, config, Arc::new(SiteMetrics::new(1))));
        Rig { cache, plane, site, mailbox, thread }
    }

    pub fn key(&self, target: &str) -> Key {
        KeyBuilder::new(self.cache.seed(), "site").part(target.as_bytes()).finish()
    }

    pub fn demand(&self, target: &str, want: Want) -> Waiting {
        self.demand_with(Arc::default(), target, want)
    }

    fn demand_with(&self, bell: Arc<Bell>, target: &str, want: Want) -> Waiting {
        let ticket = Ticket::new(bell.clone(), Token(1));
        let demand = Demand {
            ticket: ticket.clone(),
            site: self.site.clone(),
            host: "h.example".into(),
            target: target.into(),
            keyed: Box::default(),
            fields: Box::default(),
            conditions: Box::default(),
            is_secure: false,
            control: Default::default(),
            want,
        };
        assert!(self.mailbox.push(demand).is_ok());
        Waiting { ticket, bell }
    }

    pub fn open(&self, target: &str) -> Waiting {
        self.open_range(target, None)
    }

    pub fn open_range(&self, target: &str, range: Option<(u64, Option<u64>)>) -> Waiting {
        let key = self.key(target);
        self.demand(target, Want::Open { key, range, head_only: false, stale: None })
    }

    pub fn head(&self, target: &str) -> Waiting {
        let key = self.key(target);
        self.demand(target, Want::Open { key, range: None, head_only: true, stale: None })
    }

    pub fn revalidate(&self, target: &str, stale: &Arc<Object>) -> Waiting {
        let (key, stale) = (self.key(target), Some(stale.clone()));
        self.demand(target, Want::Open { key, range: None, head_only: false, stale })
    }

    /// Reads `start .. end` as a session does: what is absent is demanded, what is pending awaited.
    pub fn read(
        &self,
        target: &str,
        object: &Arc<Object>,
        start: u64,
        end: u64,
    ) -> Result<Vec<u8>, FillError> {
        let bell = Arc::new(Bell::default());
        let notify: Arc<dyn Notify> = bell.clone();
        let mut body = Vec::new();
        let mut demanded: Option<Waiting> = None;
        loop {
            let at = start + body.len() as u64;
            if at >= end {
                return Ok(body);
            }
            if let Some(Err(error)) = demanded.as_ref().and_then(|demand| demand.ticket.take()) {
                return Err(error);
            }
            match self.cache.read(object, at, end) {
                Read::Span(span) => {
                    let mut bytes = vec![0; span.len as usize];
                    span.file.read_exact_at(&mut bytes, span.offset).unwrap();
                    body.append(&mut bytes);
                }
                Read::Bytes(bytes) => body.extend_from_slice(&bytes),
                Read::Reserved if demanded.is_none() => {
                    let want = Want::Bytes { object: object.clone(), start: at, end };
                    demanded = Some(self.demand_with(bell.clone(), target, want));
                    bell.wait();
                }
                Read::Pending | Read::Reserved => {
                    if self.cache.subscribe(object, at, &notify, Token(2)) {
                        bell.wait();
                    }
                }
                Read::Absent => {
                    let want = Want::Bytes { object: object.clone(), start: at, end };
                    demanded = Some(self.demand_with(bell.clone(), target, want));
                    bell.wait();
                }
                Read::End => return Ok(body),
                Read::Failed(error) => return Err(error),
            }
        }
    }

    pub fn read_all(&self, target: &str, object: &Arc<Object>) -> Result<Vec<u8>, FillError> {
        self.read(target, object, 0, object.len().unwrap_or(u64::MAX))
    }

    pub fn origin_bytes(&self) -> u64 {
        self.site.metrics.fill.origin_bytes.value()
    }

    /// Waits until `holds`; the caller says what, so that a failure names it.
    pub fn until(&self, what: &str, holds: impl Fn(&Rig) -> bool) {
        for _ in 0..6_000 {
            if holds(self) {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("never happened: {what}");
    }

    /// Lets what goes on end within `within`, and the thread.
    pub fn drain(&mut self, within: Duration) {
        self.plane.drain(within);
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        self.plane.drain(Duration::ZERO);
        if let Some(thread) = self.thread.take() {
            let ended = thread.join();
            assert!(ended.is_ok() || std::thread::panicking());
        }
    }
}
