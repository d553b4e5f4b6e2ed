//! `cargo xtask fuzz`: libFuzzer over everything that reads hostile bytes.
//!
//! The targets are functions of `tests/src/fuzz`; here they are built with the compiler's own coverage
//! instrumentation, for which any toolchain will do. What a run learns stays under `target/fuzz`;
//! `--keep` distils it into the corpora of the repository, which `tests/tests/fuzz.rs` replays.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};

use anyhow::{Context, Result, bail};

use crate::sh;

/// What libFuzzer listens to: a counter at each edge, and what comparisons compare.
const INSTRUMENTATION: &str = "-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
     -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
     -Cllvm-args=-sanitizer-coverage-pc-table -Cllvm-args=-sanitizer-coverage-trace-compares \
     -Ccodegen-units=1 --cfg fuzzing";
/// Longest input; heads and configurations are shorter, volumes' pages as long.
const INPUT_MAX_BYTES: u32 = 8192;
/// A single input that takes longer is a finding, seconds.
const INPUT_MAX_S: u32 = 10;
/// Memory of one fuzzer; more is a finding, MiB.
const MEMORY_MAX_MIB: u32 = 2048;

/// Command line of `cargo xtask fuzz`.
#[derive(clap::Args)]
pub struct Arguments {
    /// Targets; all of them when none is named
    targets: Vec<String>,
    /// How long each is fuzzed
    #[arg(long, default_value_t = 60)]
    seconds: u32,
    /// How many are fuzzed at once
    #[arg(long, default_value_t = 2)]
    jobs: usize,
    /// Distil what earlier runs found into tests/fuzz/corpus instead of fuzzing
    #[arg(long)]
    keep: bool,
}

/// Runs it.
pub fn fuzz(arguments: &Arguments) -> Result<()> {
    let known = targets()?;
    for name in &arguments.targets {
        if !known.contains(name) {
            bail!("no fuzz target `{name}`; there are: {}", known.join(" "));
        }
    }
    let wanted = if arguments.targets.is_empty() { &known } else { &arguments.targets };
    let fuzzer = build()?;
    if arguments.keep {
        return wanted.iter().try_for_each(|name| keep(&fuzzer, name));
    }
    let mut findings = Vec::new();
    for batch in wanted.chunks(arguments.jobs.max(1)) {
        let running: Vec<(&String, Child)> = batch
            .iter()
            .map(|name| Ok((name, start(&fuzzer, name, arguments.seconds)?)))
            .collect::<Result<_>>()?;
        for (name, mut child) in running {
            let status = child.wait().with_context(|| format!("waiting for {name}"))?;
            println!("{name}: {}", summary(name));
            if !status.success() {
                findings.push(name.as_str());
            }
        }
    }
    if !findings.is_empty() {
        bail!(
            "findings in {}: inputs under {}, logs beside them",
            findings.join(", "),
            work().join("findings").display()
        );
    }
    Ok(())
}

/// Names of all targets: each has a corpus.
fn targets() -> Result<Vec<String>> {
    let corpora = sh::root().join("tests/fuzz/corpus");
    let listed = fs::read_dir(&corpora).with_context(|| corpora.display().to_string())?;
    let mut names: Vec<String> =
        listed.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect();
    names.sort();
    Ok(names)
}

fn work() -> PathBuf {
    sh::target().join("fuzz")
}

fn build() -> Result<PathBuf> {
    let host = sh::read(Command::new("rustc").arg("-vV"))?;
    let triple = host.lines().find_map(|line| line.strip_prefix("host: "));
    let triple = triple.context("rustc -vV names no host")?;
    let target_dir = work().join("build");
    // A target is named so that build scripts and macros go without instrumentation.
    let mut cargo = sh::cargo(["build", "--release", "--target", triple, "--manifest-path"]);
    cargo.arg("tests/fuzz/Cargo.toml").arg("--target-dir").arg(&target_dir);
    sh::run(cargo.env("RUSTFLAGS", INSTRUMENTATION))?;
    Ok(target_dir.join(triple).join("release/edge-fuzz"))
}

fn command(fuzzer: &Path, name: &str) -> Command {
    let mut command = Command::new(fuzzer);
    command.env("EDGE_FUZZ_TARGET", name).current_dir(work());
    command.arg(format!("-max_len={INPUT_MAX_BYTES}"));
    command.arg(format!("-timeout={INPUT_MAX_S}"));
    command.arg(format!("-rss_limit_mb={MEMORY_MAX_MIB}"));
    command
}

fn start(fuzzer: &Path, name: &str, seconds: u32) -> Result<Child> {
    let (learnt, findings) = (work().join("corpus").join(name), work().join("findings").join(name));
    fs::create_dir_all(&learnt)?;
    fs::create_dir_all(&findings)?;
    let log = fs::File::create(log_of(name))?;
    let mut command = command(fuzzer, name);
    command.arg(format!("-max_total_time={seconds}")).arg("-print_final_stats=1");
    command.arg(format!("-artifact_prefix={}/", findings.display()));
    command.arg(learnt).arg(sh::root().join("tests/fuzz/corpus").join(name));
    println!("fuzzing {name} for {seconds} s");
    command.stdout(log.try_clone()?).stderr(log).spawn().context("could not start the fuzzer")
}

fn log_of(name: &str) -> PathBuf {
    work().join("findings").join(format!("{name}.log"))
}

/// What a run did, in a line.
fn summary(name: &str) -> String {
    let log = fs::read(log_of(name)).unwrap_or_default();
    let log = String::from_utf8_lossy(&log);
    let count = |label: &str| {
        let line = log.lines().find(|line| line.contains(label));
        line.and_then(|line| line.split_whitespace().last()).unwrap_or("?").to_owned()
    };
    let ended = match log.lines().find(|line| line.starts_with("SUMMARY:")) {
        Some(finding) => finding.to_owned(),
        None => "no finding".to_owned(),
    };
    format!("{} executions, {ended}", count("stat::number_of_executed_units"))
}

/// The smallest set of inputs that covers what all do, in place of the corpus.
fn keep(fuzzer: &Path, name: &str) -> Result<()> {
    let corpus = sh::root().join("tests/fuzz/corpus").join(name);
    let distilled = work().join("distilled").join(name);
    let _ = fs::remove_dir_all(&distilled);
    fs::create_dir_all(&distilled)?;
    let learnt = work().join("corpus").join(name);
    fs::create_dir_all(&learnt)?;
    let mut merge = command(fuzzer, name);
    merge.arg("-set_cover_merge=1").arg(&distilled).arg(&corpus).arg(&learnt);
    let output = merge.output().context("could not start the fuzzer")?;
    if !output.status.success() {
        bail!("{name}: {}", String::from_utf8_lossy(&output.stderr));
    }
    for entry in fs::read_dir(&distilled)? {
        let from = entry?.path();
        let to = corpus.join(from.file_name().unwrap_or_default());
        fs::copy(&from, to)?;
    }
    println!("{name}: {} inputs kept", fs::read_dir(&corpus)?.count());
    Ok(())
}
