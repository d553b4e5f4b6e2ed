//! What is said of stages and tests: times, verdicts, and skipped tests made visible.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// How a stage ended.
pub enum Verdict {
    /// All of it passed.
    Passed,
    /// It passed as far as it ran: what was left out and why.
    Partly(Vec<String>),
    /// Not run: why.
    Skipped(String),
    /// It failed: why.
    Failed(String),
}

/// The stages of one run, in order.
#[derive(Default)]
pub struct Stages {
    rows: Vec<(&'static str, Verdict, Duration)>,
}

impl Stages {
    /// Announces `name`, does it, says how it ended. Later stages go on after a failure.
    pub fn stage(&mut self, name: &'static str, work: impl FnOnce() -> Result<Verdict>) {
        println!("\n== {name}");
        let start = Instant::now();
        let verdict = work().unwrap_or_else(|error| Verdict::Failed(format!("{error:#}")));
        let took = start.elapsed();
        println!("== {}", row(name, &verdict, took));
        self.rows.push((name, verdict, took));
    }

    /// Whether the stage `name` failed.
    pub fn failed(&self, name: &str) -> bool {
        self.rows.iter().any(|(stage, verdict, _)| *stage == name && is_failure(verdict))
    }

    /// Prints the table; an error when a stage failed.
    pub fn finish(self) -> Result<()> {
        println!("\n== summary");
        for (name, verdict, took) in &self.rows {
            println!("{}", row(name, verdict, *took));
            if let Verdict::Partly(skips) = verdict {
                skips.iter().for_each(|skip| println!("       {skip}"));
            }
        }
        let failed: Vec<_> = self
            .rows
            .iter()
            .filter(|(_, verdict, _)| is_failure(verdict))
            .map(|(name, ..)| *name)
            .collect();
        if !failed.is_empty() {
            bail!("failed: {}", failed.join(", "));
        }
        Ok(())
    }
}

fn is_failure(verdict: &Verdict) -> bool {
    matches!(verdict, Verdict::Failed(_))
}

fn row(name: &str, verdict: &Verdict, took: Duration) -> String {
    let (word, why) = match verdict {
        Verdict::Passed => ("ok", String::new()),
        Verdict::Partly(skips) => ("ok", format!("{} skipped", skips.len())),
        Verdict::Skipped(why) => ("SKIP", why.clone()),
        Verdict::Failed(why) => ("FAIL", why.clone()),
    };
    format!("{word:<5} {name:<8} {:>7.1} s  {why}", took.as_secs_f64()).trim_end().to_owned()
}

/// Runs a `cargo test … -- --show-output` and gathers the `SKIP` lines of tests that passed.
pub fn run_tests(command: &mut Command) -> Result<Verdict> {
    let mut child = command.stdout(Stdio::piped()).spawn().context("could not start cargo test")?;
    let out = BufReader::new(child.stdout.take().expect("standard output was piped"));
    let mut output = Output::default();
    // Bytes, not text: what a test prints need not be UTF-8.
    for line in out.split(b'\n') {
        let line = line.context("could not read what the tests print")?;
        let line = String::from_utf8_lossy(&line);
        if output.shows(&line) {
            println!("{line}");
        }
    }
    let status = child.wait().context("could not wait for cargo test")?;
    Ok(match (status.success(), output.skips.is_empty()) {
        (false, _) => Verdict::Failed("tests failed, see above".to_owned()),
        (true, true) => Verdict::Passed,
        (true, false) => Verdict::Partly(output.skips),
    })
}

/// Tells the output of passed tests, of which only `SKIP` lines are shown, from the rest.
#[derive(Default)]
struct Output {
    in_successes: bool,
    skips: Vec<String>,
}

impl Output {
    fn shows(&mut self, line: &str) -> bool {
        match line {
            "successes:" => self.in_successes = true,
            "failures:" => self.in_successes = false,
            _ if line.starts_with("test result:") => self.in_successes = false,
            _ => {}
        }
        if !self.in_successes {
            return true;
        }
        // As tests say it: at the start of the line, with the colon.
        let skip = line.starts_with("SKIP: ");
        if skip {
            self.skips.push(line.trim_end().to_owned());
        }
        skip
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_skips_of_passed_tests_are_shown() {
        let lines = [
            ("running 2 tests", true),
            ("test a ... ok", true),
            ("successes:", false),
            ("---- a stdout ----", false),
            ("SKIP: no nginx", true),
            ("chatter", false),
            ("   SKIP: a summary that a test printed", false),
            ("successes:", false),
            ("    a", false),
            ("failures:", true),
            ("---- b stdout ----", true),
            ("SKIP is also said here", true),
            ("test result: FAILED. 1 passed; 1 failed", true),
            ("running 0 tests", true),
        ];
        let mut output = Output::default();
        for (line, shown) in lines {
            assert_eq!(output.shows(line), shown, "{line}");
        }
        assert_eq!(output.skips, ["SKIP: no nginx"]);
    }

    #[test]
    fn one_failure_fails_the_whole_and_is_named() {
        let mut stages = Stages::default();
        stages.stage("good", || Ok(Verdict::Passed));
        stages.stage("absent", || Ok(Verdict::Skipped("no root".to_owned())));
        stages.stage("bad", || bail!("broken"));
        assert!(stages.failed("bad") && !stages.failed("absent"));
        assert_eq!(stages.finish().unwrap_err().to_string(), "failed: bad");
    }

    #[test]
    fn a_run_without_failures_succeeds() {
        let mut stages = Stages::default();
        stages.stage("partly", || Ok(Verdict::Partly(vec!["SKIP: x".to_owned()])));
        stages.finish().unwrap();
    }
}
