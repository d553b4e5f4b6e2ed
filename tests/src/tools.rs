//! Real clients and tracers, when this host has them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use rustix::process::Signal;

use crate::process::Process;

/// The tool, or a line that says what is skipped and how to get it.
pub fn need(name: &str) -> Option<Tool> {
    let found = find(name);
    if found.is_none() {
        eprintln!("SKIP: no {name} on this host; `cargo xtask test` installs it");
    }
    found
}

fn find(name: &str) -> Option<Tool> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let extra = [PathBuf::from("/usr/sbin"), PathBuf::from("/sbin")];
    let mut dirs = std::env::split_paths(&path).chain(extra);
    let found = dirs.find_map(|dir| Some(dir.join(name)).filter(|file| file.is_file()));
    found.map(|path| Tool { path })
}

/// A program of this host.
#[derive(Clone, Debug)]
pub struct Tool {
    path: PathBuf,
}

impl Tool {
    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Runs it in `dir` and returns what it gave, whatever that was.
    #[track_caller]
    pub fn run(&self, dir: &Path, args: &[&str]) -> Output {
        let output = Command::new(&self.path).args(args).current_dir(dir).output();
        output.unwrap_or_else(|e| panic!("run {:?}: {e}", self.path))
    }

    /// Runs it in `dir` and returns its standard output; panics when it fails.
    #[track_caller]
    pub fn expect(&self, dir: &Path, args: &[&str]) -> Vec<u8> {
        let output = self.run(dir, args);
        assert!(
            output.status.success(),
            "{:?} {args:?}: {}\n{}",
            self.path,
            output.status,
            tail(&String::from_utf8_lossy(&output.stderr))
        );
        output.stdout
    }
}

fn tail(text: &str) -> String {
    let lines: Vec<_> = text.lines().collect();
    lines[lines.len().saturating_sub(30)..].join("\n")
}

/// `strace` counting the system calls of some threads.
pub struct Strace {
    process: Process,
    report: PathBuf,
}

impl Strace {
    /// Attaches to `threads`; returns once all are traced, `None` (with a SKIP line) when this host
    /// does not let processes be traced. `dir` holds its report.
    #[track_caller]
    pub fn attach(strace: &Tool, threads: &[u32], dir: &Path) -> Option<Strace> {
        let report = dir.join("strace.txt");
        let mut command = Command::new(strace.path());
        command.arg("-c").arg("-o").arg(&report);
        for thread in threads {
            command.arg("-p").arg(thread.to_string());
        }
        let process = Process::spawn("strace", &mut command);
        for thread in threads {
            let attached = format!("Process {thread} attached");
            let allowed = process.wait_line(&attached, |line| {
                let refused = line.contains("Operation not permitted");
                (refused || line.contains(&attached)).then_some(!refused)
            });
            if !allowed {
                eprintln!("SKIP: processes may not be traced here (ptrace_scope, seccomp)");
                return None;
            }
        }
        Some(Strace { process, report })
    }

    /// Detaches and returns how often each system call was made.
    #[track_caller]
    pub fn finish(mut self) -> BTreeMap<String, u64> {
        self.process.signal(Signal::INT);
        self.process.wait();
        let report = std::fs::read_to_string(&self.report).expect("strace wrote its report");
        parse_counts(&report)
    }
}

/// The table of `strace -c`: `% time, seconds, usecs/call, calls, [errors,] syscall`.
fn parse_counts(report: &str) -> BTreeMap<String, u64> {
    let row = |line: &str| {
        let words: Vec<_> = line.split_ascii_whitespace().collect();
        let name = *words.last()?;
        (words.len() >= 5 && name != "total").then_some(())?;
        Some((name.to_owned(), words[3].parse().ok()?))
    };
    report.lines().filter_map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_counted() {
        let report = concat!(
            "% time     seconds  usecs/call     calls    errors syscall\n",
            "------ ----------- ----------- --------- --------- ----------------\n",
            " 99.00    0.000010           1        29         1 splice\n",
            "  1.00    0.000000           0        12           futex\n",
            "------ ----------- ----------- --------- --------- ----------------\n",
            "100.00    0.000010           0        41         1 total\n",
        );
        let counts: Vec<_> = parse_counts(report).into_iter().collect();
        assert_eq!(counts, [("futex".to_owned(), 12), ("splice".to_owned(), 29)]);
    }

    #[test]
    fn a_tool_that_is_not_there_is_none() {
        assert!(find("no-such-tool-of-ours").is_none());
    }
}
