//! `cargo xtask vm-test`: stories that need another kernel than this host's, run on stock Debian ones.
//!
//! A guest is a kernel package, never installed, and an initramfs with this host's own programs: the
//! node and the test binaries as `cargo test` built them, tools with their libraries. It runs the
//! tests one after the other; what they print comes back over the serial line. QEMU emulates the
//! processor by name (`tcg`): a `/dev/kvm` that opens may still be unable to run a guest. So no time
//! means anything there, and payloads are small.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, anyhow, bail};

use crate::report::{Stages, Verdict};
use crate::{apt, build, sh};

mod boot;
mod image;
mod kernel;

/// Turns a guest that cannot be run from a skip into a failure.
const REQUIRED: &str = "EDGE_VM_REQUIRED";
/// What guests take of this host's tools; the stories say what they need.
const TOOLS: [&str; 10] =
    ["ip", "tc", "curl", "openssl", "nginx", "bpftool", "strace", "tcpdump", "timeout", "xz"];

/// One kernel, and what is run on it.
struct Guest {
    /// As people call it.
    name: &'static str,
    /// The package that depends on today's.
    package: &'static str,
    /// Loaded, with what they need, before the tests; those built in are passed over.
    modules: &'static [&'static str],
    /// Test binaries of `tests/tests`, and the tests to run: those whose names hold the filter.
    runs: &'static [(&'static str, &'static str)],
}

const MODULES: &[&str] = &[
    "tls",
    "aesni-intel",
    "gcm",
    "ccm",
    "chacha20poly1305",
    "chacha-x86_64",
    "poly1305-x86_64",
    "ghash-clmulni-intel",
    "seqiv",
    "sch_netem",
    "sch_tbf",
    "tcp_bbr",
    "veth",
    "sch_ingress",
    "cls_bpf",
];

/// Every guest. A story for one is an ordinary test of `tests/tests`: name its binary here. There
/// `EDGE_TEST_GUEST` is the guest's name, and a test that prints `SKIP` counts as failed.
const GUESTS: [Guest; 2] = [
    Guest {
        name: "6.12",
        package: "linux-image-6.12-cloud-amd64",
        modules: MODULES,
        runs: &[("guest", "a_guest"), ("guest", "ktls"), ("guard", "conns::")],
    },
    Guest {
        name: "6.1",
        package: "linux-image-6.1-cloud-amd64|linux-image-cloud-amd64",
        modules: MODULES,
        runs: &[
            ("guest", "a_guest"),
            ("guest", "ktls_every_suite"),
            ("guard", "xdp_table::"),
            ("guard", "conns::"),
            ("guard", "limits::policies"),
        ],
    },
];

/// `cargo xtask vm-test`
pub fn command(install: bool) -> Result<()> {
    let mut stages = Stages::default();
    stages.stage("build", || {
        build::kernel_program(false);
        build::node(false).map(|_| Verdict::Passed)
    });
    stages.stage("vm-test", || stage(install));
    stages.finish()
}

/// All guests; a visible skip where there can be none, a failure when [`REQUIRED`] says so.
pub fn stage(install: bool) -> Result<Verdict> {
    if let Err(error) = prepare(install) {
        return match std::env::var_os(REQUIRED) {
            Some(_) => Err(error.context(format!("{REQUIRED} is set"))),
            None => Ok(Verdict::Skipped(format!("{error:#}"))),
        };
    }
    let tests = Tests::build()?;
    let mut failures = Vec::new();
    for guest in &GUESTS {
        if let Err(error) = run(guest, &tests) {
            println!("{}: {error:#}", guest.name);
            failures.push(format!("{}: {error:#}", guest.name));
        }
    }
    Ok(match failures.is_empty() {
        true => Verdict::Passed,
        false => Verdict::Failed(failures.join("; ")),
    })
}

/// Sees to QEMU and the kernels.
fn prepare(install: bool) -> Result<()> {
    if std::env::consts::ARCH != "x86_64" {
        bail!("guests are x86_64, this host is {}", std::env::consts::ARCH);
    }
    if install && (sh::find(boot::QEMU).is_none() || sh::find("xz").is_none()) {
        apt::install(&["qemu-system-x86", "xz-utils"])?;
    }
    if sh::find(boot::QEMU).is_none() {
        bail!("no {}: apt-get install --no-install-recommends qemu-system-x86", boot::QEMU);
    }
    for guest in &GUESTS {
        kernel::Kernel::of(guest.package)?;
    }
    Ok(())
}

fn run(guest: &Guest, tests: &Tests) -> Result<()> {
    let kernel = kernel::Kernel::of(guest.package)?;
    let mut planned = 0;
    let mut image = image::Image::new(&kernel)?;
    for module in guest.modules {
        image.module(module)?;
    }
    image.program("edge", &sh::cargo_target().join("debug/edge"))?;
    let absent: Vec<_> = TOOLS.iter().filter(|tool| sh::find(tool).is_none()).copied().collect();
    for tool in TOOLS.iter().filter_map(|tool| sh::find(tool)) {
        image.tool(&tool)?;
    }
    let object = sh::target().join("bpf/edge.bpf.o");
    if object.is_file() {
        image.file(&object, "/lib/edge.bpf.o")?;
    }
    for (binary, filter) in guest.runs {
        let path = tests.find(binary)?;
        planned += Tests::count(path, filter)?;
        image.run(binary, path, filter)?;
    }
    let initrd = image.pack(guest.name)?;
    println!(
        "guest {}: {}, {} tests, image {}{}",
        guest.name,
        kernel.release,
        planned,
        sh::human(std::fs::metadata(&initrd)?.len()),
        if absent.is_empty() { String::new() } else { format!(", without {}", absent.join(" ")) }
    );
    boot::boot(&kernel.image, &initrd)?.judge(planned)
}

/// The test binaries, as the stage `test` builds them.
struct Tests(BTreeMap<String, PathBuf>);

impl Tests {
    fn build() -> Result<Tests> {
        let mut names: Vec<_> =
            GUESTS.iter().flat_map(|guest| guest.runs).map(|run| run.0).collect();
        names.sort_unstable();
        names.dedup();
        // Of the workspace, so that libraries are built with the features that the stage `test` has.
        let mut cargo = sh::cargo(["test", "--workspace", "--no-run", "--message-format=json"]);
        names.iter().for_each(|name| {
            cargo.args(["--test", name]);
        });
        let said = sh::read(&mut cargo)?;
        let executables = said.lines().filter_map(|line| {
            let line: serde_json::Value = serde_json::from_str(line).ok()?;
            let name = line["target"]["name"].as_str()?.to_owned();
            Some((name, PathBuf::from(line["executable"].as_str()?)))
        });
        Ok(Tests(executables.collect()))
    }

    fn find(&self, binary: &str) -> Result<&Path> {
        let path = self.0.get(binary).map(PathBuf::as_path);
        path.ok_or_else(|| anyhow!("cargo built no tests/tests/{binary}"))
    }

    fn count(path: &Path, filter: &str) -> Result<usize> {
        let listed = sh::read(Command::new(path).args(["--list", "--format", "terse", filter]))?;
        match listed.lines().filter(|line| line.ends_with(": test")).count() {
            0 => Err(anyhow!("no test of {} is called {filter}", path.display())),
            count => Ok(count),
        }
    }
}
