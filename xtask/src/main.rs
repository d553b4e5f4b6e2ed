//! `cargo xtask`: everything one does with this repository. One file per command.
#![forbid(unsafe_code)]

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;

mod apt;
mod bench;
mod build;
mod dist;
mod doctor;
mod ebpf;
mod fuzz;
mod host;
mod report;
mod run;
mod sample;
mod sh;
mod test;
mod toolchain;
mod vm;

/// Builds, runs, tests and packages edge.
#[derive(Parser)]
#[command(bin_name = "cargo xtask", version)]
enum Task {
    /// Build the kernel program (where a toolchain for it is found) and the node
    Build {
        /// Build the optimised node: target/release/edge
        #[arg(long)]
        release: bool,
    },
    /// Build the kernel program alone: target/bpf/edge.bpf.o
    Ebpf {
        /// Install nothing, use what is there
        #[arg(long)]
        no_install: bool,
    },
    /// Build all, then serve a sample directory on 127.0.0.1:8080
    Run {
        /// Install nothing, use what is there
        #[arg(long)]
        no_install: bool,
        /// Handed to `edge serve`, for example `-- --config edge.toml`
        #[arg(last = true)]
        serve: Vec<PathBuf>,
    },
    /// Everything CI runs; with FILTERs only the tests whose names contain one of them
    Test {
        /// Install nothing, skip what is missing
        #[arg(long)]
        no_install: bool,
        /// Parts of test names
        filters: Vec<String>,
    },
    /// Measure edge against nginx and others: target/bench/report.md, report.json, *.svg
    Bench(bench::Arguments),
    /// One of the benchmark's own servers, started by `bench`
    #[command(hide = true)]
    BenchLimit(bench::limits::Arguments),
    /// Fuzz everything that reads hostile bytes: heads, fields, bodies, configuration, volumes
    Fuzz(fuzz::Arguments),
    /// Stories that need another kernel (kTLS, netem, an older verifier), on stock Debian ones in QEMU
    VmTest {
        /// Install nothing, skip when QEMU is missing
        #[arg(long)]
        no_install: bool,
    },
    /// What this host can do, what it lacks, and the cure
    Doctor,
    /// Pack binary, unit file and example configuration: target/dist/edge-VERSION-ARCH-linux.tar.gz
    Dist,
}

fn main() -> ExitCode {
    let done = match Task::parse() {
        Task::Build { release } => build::build(release),
        Task::Ebpf { no_install } => ebpf::command(!no_install),
        Task::Run { no_install, serve } => run::run(!no_install, &serve),
        Task::Test { no_install, filters } => test::test(!no_install, &filters),
        Task::Bench(arguments) => bench::bench(&arguments),
        Task::BenchLimit(arguments) => bench::limits::serve(&arguments),
        Task::Fuzz(arguments) => fuzz::fuzz(&arguments),
        Task::VmTest { no_install } => vm::command(!no_install),
        Task::Doctor => doctor::doctor(),
        Task::Dist => dist::dist(),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}
