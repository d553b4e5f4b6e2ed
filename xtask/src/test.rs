//! `cargo xtask test`: everything CI runs.

use anyhow::Result;

use crate::ebpf::{self, Built};
use crate::report::{Stages, Verdict, run_tests};
use crate::{apt, build, sh, vm};

/// What the whole-node stories use, by package and program.
pub const TOOLS: [(&str, &str); 21] = [
    ("nginx", "nginx"),
    ("curl", "curl"),
    ("brotli", "brotli"),
    ("zstd", "zstd"),
    ("openssl", "openssl"),
    ("nghttp2-client", "nghttp"),
    ("nghttp2-client", "h2load"),
    ("wget", "wget"),
    ("aria2", "aria2c"),
    ("bpftool", "bpftool"),
    ("iproute2", "ip"),
    ("tcpdump", "tcpdump"),
    ("strace", "strace"),
    ("faketime", "faketime"),
    ("slowhttptest", "slowhttptest"),
    ("apt-utils", "apt-ftparchive"),
    ("python3-pip", "pip3"),
    ("git", "git"),
    ("ffmpeg", "ffmpeg"),
    ("zsync", "zsync"),
    ("tmux", "tmux"),
];

/// What is told again under the guard: clients of every kind, and as many at once as anywhere.
const GUARDED: [&str; 3] = ["accounts", "download", "filedir"];

/// Runs every stage, whatever the ones before it said, and sums up.
pub fn test(install: bool, filters: &[String]) -> Result<()> {
    let mut stages = Stages::default();
    stages.stage("install", || Ok(tools(install)));
    stages.stage("scapy", || Ok(scapy(install)));
    stages.stage("ebpf", || kernel_program(install));
    if filters.is_empty() {
        stages.stage("fmt", || checked(&format, "fmt", "rustfmt", install));
        stages.stage("clippy", || checked(&lint, "clippy", "clippy", install));
    }
    stages.stage("build", || build::node(false).map(|_| Verdict::Passed));
    let built = !stages.failed("build");
    stages.stage("test", || {
        if built { tests(filters) } else { Ok(Verdict::Skipped("no node".to_owned())) }
    });
    if filters.is_empty() {
        stages.stage("guarded", || {
            if built { guarded() } else { Ok(Verdict::Skipped("no node".to_owned())) }
        });
        stages.stage("vm-test", || {
            if built { vm::stage(install) } else { Ok(Verdict::Skipped("no node".to_owned())) }
        });
    }
    stages.finish()
}

fn tools(install: bool) -> Verdict {
    let absent = || TOOLS.iter().filter(|(_, program)| sh::find(program).is_none());
    let packages: Vec<&str> = absent().map(|(package, _)| *package).collect();
    if packages.is_empty() {
        return Verdict::Passed;
    }
    let installed = if install { apt::install(&packages) } else { Ok(()) };
    if let Err(error) = &installed {
        println!("{error:#}");
    }
    let still: Vec<&str> = absent().map(|(_, program)| *program).collect();
    match still.is_empty() {
        true => Verdict::Passed,
        false => Verdict::Skipped(format!("tests that need them will skip: {}", still.join(" "))),
    }
}

/// An independent maker of packets, in an environment of its own.
fn scapy(install: bool) -> Verdict {
    let home = sh::target().join("scapy");
    let python = home.join("bin/python3");
    let works = || {
        let mut command = std::process::Command::new(&python);
        sh::read(command.args(["-c", "import scapy"])).is_ok()
    };
    if install && !works() {
        let venv =
            || sh::run(std::process::Command::new("python3").args(["-m", "venv"]).arg(&home));
        let made = venv().or_else(|_| apt::install(&["python3-venv"]).and_then(|()| venv()));
        let mut pip = std::process::Command::new(&python);
        let installed =
            made.and_then(|()| sh::run(pip.args(["-m", "pip", "-q", "install", "scapy"])));
        if let Err(error) = installed {
            println!("{error:#}");
        }
    }
    match works() {
        true => Verdict::Passed,
        false => Verdict::Skipped("crafted packets are not run: no scapy".to_owned()),
    }
}

fn kernel_program(install: bool) -> Result<Verdict> {
    Ok(match ebpf::build(install)? {
        Built::At(_) => Verdict::Passed,
        Built::Without(why) => Verdict::Skipped(format!("guard off: {why}")),
    })
}

/// Runs `check` when cargo has `subcommand`, which rustup's `component` brings.
fn checked(
    check: &dyn Fn() -> Result<()>,
    subcommand: &str,
    component: &str,
    install: bool,
) -> Result<Verdict> {
    let present = || sh::read(&mut sh::cargo([subcommand, "--version"])).is_ok();
    if !present() && install {
        let mut rustup = std::process::Command::new("rustup");
        if let Err(error) = sh::run(rustup.args(["component", "add", component])) {
            println!("{error:#}");
        }
    }
    if !present() {
        return Ok(Verdict::Skipped(format!(
            "no cargo {subcommand}: rustup component add {component}"
        )));
    }
    check().map(|()| Verdict::Passed)
}

fn format() -> Result<()> {
    sh::run(&mut sh::cargo(["fmt", "--all", "--check"]))?;
    // The kernel program is no member of the workspace.
    sh::run(&mut sh::cargo(["fmt", "--manifest-path", "ebpf/Cargo.toml", "--check"]))
}

fn lint() -> Result<()> {
    sh::run(&mut sh::cargo(["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]))
}

/// Stories told again under a guard that enforces its defaults, in a network namespace with a loopback and
/// nothing else: a packet dropped of theirs is one too many.
fn guarded() -> Result<Verdict> {
    let enters = std::process::Command::new("unshare").args(["--net", "true"]).output();
    let has_program = sh::target().join("bpf/edge.bpf.o").is_file();
    if !has_program || !enters.is_ok_and(|output| output.status.success()) {
        let why =
            "no kernel program, or no right to a namespace: false positives are not looked for";
        return Ok(Verdict::Skipped(why.to_owned()));
    }
    // Of the workspace, so that nothing is built anew.
    let mut cargo = sh::cargo(["test", "--offline", "--workspace"]);
    for story in GUARDED {
        cargo.args(["--test", story]);
    }
    // One node after the other: each has the loopback for itself.
    cargo.args(["--", "--test-threads=1", "--show-output"]);
    cargo.env("EDGE_BIN", sh::cargo_target().join("debug/edge"));
    cargo.env("PATH", sh::path_with_admin_dirs()).env("EDGE_TEST_GUARD", "1");
    let mut unshare = std::process::Command::new("unshare");
    unshare.args(["--net", "sh", "-c", "ip link set lo up && exec \"$@\"", "sh"]);
    unshare.arg(cargo.get_program()).args(cargo.get_args()).current_dir(sh::root());
    for (name, value) in cargo.get_envs() {
        match value {
            Some(value) => unshare.env(name, value),
            None => unshare.env_remove(name),
        };
    }
    run_tests(&mut unshare)
}

fn tests(filters: &[String]) -> Result<Verdict> {
    let mut cargo = sh::cargo(["test", "--workspace", "--no-fail-fast", "--", "--show-output"]);
    cargo.args(filters);
    cargo.env("EDGE_BIN", sh::cargo_target().join("debug/edge"));
    cargo.env("PATH", sh::path_with_admin_dirs());
    println!("$ cargo test --workspace {}", filters.join(" "));
    run_tests(&mut cargo)
}
