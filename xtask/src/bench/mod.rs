//! `cargo xtask bench`: edge, nginx and others side by side on this machine.
//!
//! All contenders of a case run at once and are loaded one after the other, round by round, in an
//! order that turns around; what is compared are medians of ratios within a round. CPU time is that
//! of the server's processes, kernel workers included; the generator's does not count.

use anyhow::{Context, Result, bail};

mod arena;
mod cases;
mod contenders;
mod crowds;
mod evict;
mod fill;
mod index;
pub mod limits;
mod load;
mod measure;
mod own;
mod plot;
mod report;
mod runs;
mod shape;
mod sites;
mod special;
mod tls;

use arena::Arena;
use contenders::Contender;
use report::Report;
use runs::Pace;

use crate::{apt, build, host, sh};

/// What to measure.
#[derive(clap::Args)]
pub struct Arguments {
    /// Cases, all without any; see --list
    cases: Vec<String>,
    /// At most two minutes: fewer settings, fewer and shorter rounds
    #[arg(long)]
    quick: bool,
    /// Rounds of each setting
    #[arg(long)]
    rounds: Option<usize>,
    /// Who is measured, separated by commas; default: what the case names
    #[arg(long, value_delimiter = ',')]
    contenders: Vec<Contender>,
    /// Install what is missing from Debian's packages
    #[arg(long)]
    install: bool,
    /// For `evict`: a file of lines `time key size` instead of made-up requests
    #[arg(long, value_name = "FILE")]
    trace: Option<std::path::PathBuf>,
    /// Say what cases and contenders there are, and end
    #[arg(long)]
    list: bool,
}

/// Measures and reports.
pub fn bench(arguments: &Arguments) -> Result<()> {
    if arguments.list {
        list();
        return Ok(());
    }
    if arguments.cases == ["guard"] {
        return guard();
    }
    if let [case] = &arguments.cases[..]
        && ["flood", "overhead"].contains(&case.as_str())
    {
        return beside(case, arguments.install);
    }
    let wanted = cases::wanted(&arguments.cases)?;
    if arena::is_inside() {
        return measure(arguments, &wanted);
    }
    if arguments.install {
        let packages: Vec<_> = chosen(arguments, &wanted).filter_map(Contender::package).collect();
        apt::install(&packages)?;
    }
    if wanted.iter().any(|case| case.needs_node()) {
        build::node(true)?;
    }
    let status = arena::enter()?;
    if !status.success() {
        bail!("the benchmark ended with {status}");
    }
    Ok(())
}

/// What packets cost in the kernel program: no contenders, no network.
fn guard() -> Result<()> {
    build::node(false)?;
    let mut cargo = sh::cargo(["run", "-p", "edge-tests", "--bin", "guard-bench"]);
    sh::run(&mut cargo).context("as root, on a kernel that takes the program")
}

/// Good clients beside a flood, or what accounts cost, between two namespaces of their own.
fn beside(case: &str, install: bool) -> Result<()> {
    if install {
        let absent = |tool: &&str| sh::find(tool).is_none();
        let tools: Vec<_> = ["nginx", "nft"].into_iter().filter(absent).collect();
        let packages = tools.iter().map(|tool| if *tool == "nft" { "nftables" } else { tool });
        apt::install(&packages.collect::<Vec<_>>())?;
    }
    build::node(true)?;
    let mut cargo = sh::cargo(["run", "-p", "edge-tests", "--bin", "flood-bench", "--", case]);
    cargo.env("EDGE_BIN", sh::cargo_target().join("release/edge"));
    sh::run(&mut cargo).context("as root, on a kernel that takes the program")
}

fn measure(arguments: &Arguments, wanted: &[&'static cases::Case]) -> Result<()> {
    let arena = Arena::make()?;
    let pace = Pace::new(arguments.quick, arguments.rounds);
    let mut report = Report::new(circumstances(&arena, &pace));
    for who in chosen(arguments, wanted).filter(|who| who.program().is_none()) {
        if let Some(package) = who.package() {
            report.absent(who, package);
        }
    }
    let bar = indicatif::ProgressBar::new(0).with_style(
        indicatif::ProgressStyle::with_template("{elapsed_precise} [{bar:30}] {pos}/{len} {msg}")
            .context("a template that indicatif does not take")?,
    );
    for case in wanted {
        let contenders = present(arguments, case);
        bar.set_message(case.name);
        let trace = arguments.trace.as_deref();
        match case.run(&arena, &pace, &contenders, trace, &bar) {
            Ok(tables) => tables.into_iter().for_each(|table| report.add(table)),
            Err(error) => report.failed(case.name, &error),
        }
        // After each case: a benchmark that is ended early has not been for nothing.
        report.write(&arena.dir)?;
    }
    bar.finish_and_clear();
    println!("{}", report.markdown());
    println!("written: target/bench/report.md, report.json, and a plot for each table");
    Ok(())
}

/// Contenders that `case` is run with here.
fn present(arguments: &Arguments, case: &cases::Case) -> Vec<Contender> {
    let asked =
        |who: &Contender| arguments.contenders.is_empty() || arguments.contenders.contains(who);
    case.contenders.iter().copied().filter(asked).filter(|who| who.program().is_some()).collect()
}

fn chosen<'a>(
    arguments: &'a Arguments,
    wanted: &'a [&'static cases::Case],
) -> impl Iterator<Item = Contender> + 'a {
    Contender::all().filter(move |who| {
        let asked = arguments.contenders.is_empty() || arguments.contenders.contains(who);
        asked && wanted.iter().any(|case| case.contenders.contains(who))
    })
}

fn list() {
    println!("cases:");
    for case in cases::ALL {
        println!("  {:<18} {}", case.name, case.about);
    }
    println!("  {:<18} what a packet costs in the kernel program; by itself only", "guard");
    println!("  {:<18} good clients beside a flood; by itself only", "flood");
    println!("  {:<18} what accounts cost a server; by itself only", "overhead");
    println!("contenders:");
    for who in Contender::all() {
        let state = match who.program() {
            Some(_) => "here".to_owned(),
            None => match who.package() {
                Some(package) => format!("absent, package {package}"),
                None => "not built yet, or not named".to_owned(),
            },
        };
        println!("  {:<18} {state}", who.name());
    }
}

/// What was equal for all, and what the reader should know.
fn circumstances(arena: &Arena, pace: &Pace) -> Vec<String> {
    let network = match arena.is_own_network {
        true => "a network namespace of its own",
        false => "the host's network (no right to make a namespace)",
    };
    vec![
        format!(
            "Linux {}, {} cores, loopback in {network}, congestion control {}",
            host::sysctl("kernel/osrelease").unwrap_or_default(),
            arena.cores.len(),
            arena.congestion
        ),
        format!(
            "{} rounds of {:.1} s each, interleaved, order turned around every round; ratios are \
             medians of the ratios within a round",
            pace.rounds,
            pace.time.as_secs_f64()
        ),
        "access log on (combined) and keep-alive for all but the limits; the kernel guard is off: \
         loopback takes it in generic mode only"
            .to_owned(),
        format!(
            "load average at the start {}: a busy machine spoils throughput and latency first",
            host::text("/proc/loadavg").unwrap_or_default()
        ),
        "CPU is user and system time of all the server's processes, kernel workers included"
            .to_owned(),
    ]
}
