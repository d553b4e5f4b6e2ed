//! The log as the node holds it, and as one worker writes to it.

use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;

use super::writer::{Shared, Target, Writer};
use super::{AccessRecord, format};
use crate::clock::Now;
use crate::config::{self, LogFormat};
use crate::metrics::prometheus;

/// Bytes of one buffer.
const BUFFER_BYTES: usize = 64 * 1024;
/// Buffers a sink brings with it: one it writes to, the others wait for the disk.
const BUFFERS_PER_SINK: usize = 8;
/// Age at which a buffer is handed over although it is not full, ms.
const BUFFER_AGE_MAX_MS: u64 = 1_000;

const _: () = assert!(format::LINE_MAX_BYTES <= BUFFER_BYTES, "any line must fit an empty buffer");

/// The access log and its writer thread. Sinks are to be flushed or dropped before it.
#[derive(Debug)]
pub struct AccessLog {
    running: Option<Running>,
}

#[derive(Debug)]
struct Running {
    shared: Arc<Shared>,
    format: LogFormat,
    thread: JoinHandle<()>,
}

impl AccessLog {
    /// Opens the file (to append, made if absent) and starts the writer thread. Without
    /// `log.access` nothing is started and sinks do nothing.
    ///
    /// # Errors
    /// The file cannot be opened, or no thread be started.
    pub fn start(config: &config::Log) -> io::Result<AccessLog> {
        let Some(path) = &config.access else { return Ok(AccessLog { running: None }) };
        let target = Target::open(path)?;
        let shared = Arc::new(Shared::new());
        let writer = Writer::new(shared.clone(), target);
        let thread =
            std::thread::Builder::new().name("edge-log".to_owned()).spawn(move || writer.run())?;
        Ok(AccessLog { running: Some(Running { shared, format: config.format, thread }) })
    }

    /// A sink for one worker, with buffers of its own.
    pub fn sink(&self) -> AccessSink {
        let Some(running) = &self.running else { return AccessSink { writing: None } };
        for _ in 1..BUFFERS_PER_SINK {
            running.shared.give_empty(Vec::with_capacity(BUFFER_BYTES));
        }
        AccessSink {
            writing: Some(Writing {
                shared: running.shared.clone(),
                writer: running.thread.thread().clone(),
                format: running.format,
                buffer: Vec::with_capacity(BUFFER_BYTES),
                due_ms: None,
            }),
        }
    }

    /// Opens the file anew (after it was moved away); soon, by the writer thread. If that fails the
    /// old one is written to further, and the node's log says so.
    pub fn reopen(&self) {
        if let Some(running) = &self.running {
            running.shared.ask_reopen();
            running.thread.thread().unpark();
        }
    }

    /// Lines that were dropped because the disk was too slow, or refused them.
    pub fn dropped(&self) -> u64 {
        self.running.as_ref().map_or(0, |running| running.shared.dropped.value())
    }

    /// Appends the log's counters in the Prometheus text format.
    pub fn families(&self, out: &mut String) {
        let help = "Access log lines that were dropped because the disk was too slow or full.";
        prometheus::counter(out, "edge_log_dropped_lines_total", help, self.dropped());
    }

    /// Writes out what sinks have handed over, and ends the writer thread.
    pub fn finish(mut self) {
        self.end();
    }

    fn end(&mut self) {
        if let Some(running) = self.running.take() {
            running.shared.ask_finish();
            running.thread.thread().unpark();
            let _ = running.thread.join();
        }
    }
}

impl Drop for AccessLog {
    fn drop(&mut self) {
        self.end();
    }
}

/// One worker's way into the log. Neither blocks nor allocates; flushes when dropped.
#[derive(Debug)]
pub struct AccessSink {
    writing: Option<Writing>,
}

#[derive(Debug)]
struct Writing {
    shared: Arc<Shared>,
    writer: std::thread::Thread,
    format: LogFormat,
    buffer: Vec<u8>,
    /// When the buffer is to be handed over; `None` until it has been looked at with a line in it.
    due_ms: Option<u64>,
}

impl AccessSink {
    /// Whether there is a log: a record need not be made up when not.
    pub fn is_on(&self) -> bool {
        self.writing.is_some()
    }

    /// Logs one request.
    pub fn write(&mut self, record: &AccessRecord<'_>) {
        let Some(writing) = &mut self.writing else { return };
        if format::append(&mut writing.buffer, writing.format, record) {
            return;
        }
        // The buffer is full: go on in another. Any line fits an empty one.
        let fits =
            writing.hand_over() && format::append(&mut writing.buffer, writing.format, record);
        if !fits {
            writing.shared.dropped.add(1);
        }
    }

    /// Hands lines over that have waited for a second; to be called every turn. Answers when
    /// (`mono_ms`) it wants to be called again at the latest, if lines are waiting.
    pub fn flush_due(&mut self, now: Now) -> Option<u64> {
        let writing = self.writing.as_mut().filter(|writing| !writing.buffer.is_empty())?;
        let due_ms = *writing.due_ms.get_or_insert(now.mono_ms + BUFFER_AGE_MAX_MS);
        if now.mono_ms < due_ms {
            return Some(due_ms);
        }
        if writing.hand_over() {
            return None;
        }
        // No buffer is free: ask again when the disk has had some time.
        let again_ms = now.mono_ms + BUFFER_AGE_MAX_MS;
        writing.due_ms = Some(again_ms);
        Some(again_ms)
    }

    /// Hands all lines over. When no buffer is free they stay for the next time.
    pub fn flush(&mut self) {
        if let Some(writing) = self.writing.as_mut().filter(|writing| !writing.buffer.is_empty()) {
            writing.hand_over();
        }
    }
}

impl Drop for AccessSink {
    fn drop(&mut self) {
        if let Some(writing) = self.writing.as_mut().filter(|writing| !writing.buffer.is_empty()) {
            writing.give(Vec::new());
        }
    }
}

impl Writing {
    /// Gives the buffer to the writer for an empty one; `false` when there is none.
    fn hand_over(&mut self) -> bool {
        let Some(empty) = self.shared.take_empty() else { return false };
        self.give(empty);
        true
    }

    fn give(&mut self, next: Vec<u8>) {
        let full = std::mem::replace(&mut self.buffer, next);
        self.due_ms = None;
        self.shared.give_full(full);
        self.writer.unpark();
    }
}

#[cfg(test)]
#[path = "access_tests.rs"]
mod tests;
