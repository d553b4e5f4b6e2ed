//! The writer thread: the only place that waits for the log's disk.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::AcqRel, Ordering::Acquire, Ordering::Release};

use crossbeam::queue::ArrayQueue;

use crate::metrics::Counter;

/// Buffers in use at once, over all sinks; 64 KiB each, made as sinks are.
const BUFFERS_MAX: usize = 4_096;

/// What sinks and the writer thread meet in.
#[derive(Debug)]
pub(super) struct Shared {
    full: ArrayQueue<Vec<u8>>,
    empty: ArrayQueue<Vec<u8>>,
    /// Lines that never reached the file.
    pub dropped: Counter,
    reopen: AtomicBool,
    finish: AtomicBool,
}

impl Shared {
    pub(super) fn new() -> Shared {
        Shared {
            full: ArrayQueue::new(BUFFERS_MAX),
            empty: ArrayQueue::new(BUFFERS_MAX),
            dropped: Counter::default(),
            reopen: AtomicBool::new(false),
            finish: AtomicBool::new(false),
        }
    }

    pub(super) fn take_empty(&self) -> Option<Vec<u8>> {
        self.empty.pop()
    }

    /// Beyond the ceiling a buffer is let go.
    pub(super) fn give_empty(&self, buffer: Vec<u8>) {
        let _ = self.empty.push(buffer);
    }

    pub(super) fn give_full(&self, buffer: Vec<u8>) {
        if let Err(buffer) = self.full.push(buffer) {
            self.drop_lines(&buffer);
        }
    }

    pub(super) fn ask_reopen(&self) {
        self.reopen.store(true, Release);
    }

    pub(super) fn ask_finish(&self) {
        self.finish.store(true, Release);
    }

    fn drop_lines(&self, buffer: &[u8]) {
        self.dropped.add(buffer.iter().filter(|byte| **byte == b'\n').count() as u64);
    }
}

/// Where lines go.
#[derive(Debug)]
pub(super) enum Target {
    /// `log.access = "-"`
    Stdout,
    /// A file, appended to.
    File { path: PathBuf, file: File },
}

impl Target {
    pub(super) fn open(path: &Path) -> io::Result<Target> {
        if path == Path::new("-") {
            return Ok(Target::Stdout);
        }
        let file = OpenOptions::new().append(true).create(true).open(path)?;
        Ok(Target::File { path: path.to_owned(), file })
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Target::Stdout => {
                let mut stdout = io::stdout().lock();
                stdout.write_all(bytes)?;
                stdout.flush()
            }
            Target::File { file, .. } => file.write_all(bytes),
        }
    }

    fn reopen(&mut self) {
        let Target::File { path, .. } = self else { return };
        match Target::open(path) {
            Ok(target) => *self = target,
            Err(error) => {
                let path = path.display();
                tracing::error!(%path, %error, "access log cannot be opened anew; the old file goes on");
            }
        }
    }
}

/// See [`Writer::run`].
pub(super) struct Writer {
    shared: Arc<Shared>,
    target: Target,
    failing: bool,
}

impl Writer {
    pub(super) fn new(shared: Arc<Shared>, target: Target) -> Writer {
        Writer { shared, target, failing: false }
    }

    /// Writes buffers until it is asked to finish and none is left.
    pub(super) fn run(mut self) {
        loop {
            // Read before the queue is drained: what was handed over before is then written.
            let finish = self.shared.finish.load(Acquire);
            if self.shared.reopen.swap(false, AcqRel) {
                self.drain();
                self.target.reopen();
            }
            self.drain();
            if finish {
                return;
            }
            std::thread::park();
        }
    }

    fn drain(&mut self) {
        while let Some(mut buffer) = self.shared.full.pop() {
            let written = self.target.write(&buffer);
            if let Err(error) = &written {
                self.shared.drop_lines(&buffer);
                if !self.failing {
                    tracing::error!(%error, "access log cannot be written; lines are dropped");
                }
            }
            self.failing = written.is_err();
            buffer.clear();
            self.shared.give_empty(buffer);
        }
    }
}
