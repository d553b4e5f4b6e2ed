//! Child processes that end with their handle, and waiting for states.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// What has not come about after so long never will.
pub const PATIENCE: Duration = Duration::from_secs(60);
const LINES_MAX: usize = 20_000;

/// Asks again and again until `check` answers; panics with `what` was expected when it never does.
#[track_caller]
pub fn eventually<T>(what: &str, mut check: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(answer) = check() {
            return answer;
        }
        assert!(Instant::now() < deadline, "never came about: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[derive(Default)]
struct Lines {
    state: Mutex<(VecDeque<String>, bool)>,
    changed: Condvar,
}

/// A running program whose standard error is kept; killed when dropped.
pub struct Process {
    name: String,
    child: Child,
    lines: Arc<Lines>,
}

impl Process {
    /// Starts `command`; panics when it cannot be started.
    #[track_caller]
    pub fn spawn(name: &str, command: &mut Command) -> Process {
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|e| panic!("start {name}: {e}"));
        let stderr = child.stderr.take().expect("it was asked for");
        let lines = Arc::new(Lines::default());
        let kept = lines.clone();
        std::thread::spawn(move || {
            let mut reader = BufReader::new(stderr);
            let mut line = Vec::new();
            while reader.read_until(b'\n', &mut line).is_ok_and(|count| count > 0) {
                let text = String::from_utf8_lossy(&line).trim_end().to_owned();
                line.clear();
                let mut state = kept.state.lock().expect("no panic under it");
                if state.0.len() == LINES_MAX {
                    state.0.pop_front();
                }
                state.0.push_back(text);
                kept.changed.notify_all();
            }
            kept.state.lock().expect("no panic under it").1 = true;
            kept.changed.notify_all();
        });
        Process { name: name.into(), child, lines }
    }

    /// Waits for a line of standard error that `pick` takes, earlier ones included.
    #[track_caller]
    pub fn wait_line<T>(&self, what: &str, pick: impl Fn(&str) -> Option<T>) -> T {
        let deadline = Instant::now() + PATIENCE;
        let mut state = self.lines.state.lock().expect("no panic under it");
        loop {
            if let Some(found) = state.0.iter().find_map(|line| pick(line)) {
                return found;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if state.1 || left.is_zero() {
                let why = if state.1 { "it ended" } else { "it did not say so" };
                drop(state);
                panic!("{}: expected {what}, but {why}; it said:\n{}", self.name, self.tail(40));
            }
            state = self.lines.changed.wait_timeout(state, left).expect("no panic under it").0;
        }
    }

    /// What `pick` makes of the lines of standard error so far.
    pub fn lines<T>(&self, pick: impl Fn(&str) -> Option<T>) -> Vec<T> {
        let state = self.lines.state.lock().expect("no panic under it");
        state.0.iter().filter_map(|line| pick(line)).collect()
    }

    /// How many lines of standard error hold `text`.
    pub fn count_lines(&self, text: &str) -> usize {
        let state = self.lines.state.lock().expect("no panic under it");
        state.0.iter().filter(|line| line.contains(text)).count()
    }

    /// The last lines of standard error.
    pub fn tail(&self, count: usize) -> String {
        let Ok(state) = self.lines.state.lock() else { return String::new() };
        let skip = state.0.len().saturating_sub(count);
        state.0.iter().skip(skip).map(|line| format!("  | {line}\n")).collect()
    }

    /// Process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Whether it has not ended.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        // A child that was not waited for keeps its id, so nobody else can be hit.
        let pid = Pid::from_child(&self.child);
        kill_process(pid, signal).unwrap_or_else(|e| panic!("signal {}: {e}", self.name));
    }

    /// Waits for the end.
    #[track_caller]
    pub fn wait(&mut self) -> ExitStatus {
        let what = format!("the end of {}", self.name);
        eventually(&what, || self.child.try_wait().expect("a child of ours"))
    }

    /// `kill -9`, and waits.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}
