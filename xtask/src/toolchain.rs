//! The compiler and linker of the kernel program: found where they are, installed where that is possible.
//!
//! Two compilers will do, both with the sources of `core` beside them: a rustup nightly, or Debian's
//! `rustc-web`. `bpf-linker` reads the compiler's bitcode, so its LLVM must be at least the compiler's.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, anyhow, bail};

use crate::{apt, sh};

const DEBIAN_RUSTC: &str = "/usr/bin/rustc";
const DEBIAN_COMPILER: [&str; 2] = ["rustc-web", "rust-web-src"];
/// LLVM releases the linker can be built against, as features `llvm-NN`.
const LINKER_LLVM: std::ops::RangeInclusive<u32> = 21..=23;
const LINKER_VERSION: &str = "^0.13";

/// How people without apt or root get there.
pub const CURE: &str = "`cargo xtask ebpf` as root on Debian installs it; elsewhere: \
     rustup toolchain install nightly --component rust-src, and bpf-linker on the PATH";

/// All that is needed to build the kernel program.
pub struct Toolchain {
    /// What compiles.
    pub compiler: Compiler,
    /// Path of `bpf-linker`.
    pub linker: PathBuf,
}

/// A compiler that can build `core`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Compiler {
    /// A rustup toolchain's name, or none for Debian's own.
    rustup: Option<&'static str>,
    /// As `rustc -vV` says.
    release: String,
    llvm_major: u32,
}

impl Toolchain {
    /// What is there; an error says what is missing.
    pub fn find() -> Result<Toolchain> {
        let compilers = Compiler::all();
        let found = compilers.iter().find_map(|compiler| {
            let linker = find_linker(compiler.llvm_major)?;
            Some(Toolchain { compiler: compiler.clone(), linker })
        });
        found.ok_or_else(|| match compilers.first() {
            Some(compiler) => {
                anyhow!("no bpf-linker for LLVM {} ({compiler})", compiler.llvm_major)
            }
            None => anyhow!(
                "no compiler with the sources of core: neither rustup's nightly nor {DEBIAN_RUSTC}"
            ),
        })
    }

    /// What is there, else what can be installed.
    pub fn find_or_install() -> Result<Toolchain> {
        if let Ok(found) = Toolchain::find() {
            return Ok(found);
        }
        let complete = |compiler: Compiler| {
            let linker = install_linker(&compiler)?;
            Ok(Toolchain { compiler, linker })
        };
        for compiler in Compiler::all() {
            match complete(compiler.clone()) {
                Ok(toolchain) => return Ok(toolchain),
                Err(error) => println!("{compiler} will not do: {error:#}"),
            }
        }
        apt::install(&DEBIAN_COMPILER)?;
        let compiler = Compiler::debian()
            .with_context(|| format!("{DEBIAN_RUSTC} came without the sources of core"))?;
        complete(compiler)
    }

    /// A cargo in `dir` that compiles for the kernel.
    pub fn cargo<S: AsRef<OsStr>>(&self, dir: &Path, args: impl IntoIterator<Item = S>) -> Command {
        let mut cargo = sh::cargo(args);
        cargo.current_dir(dir);
        // What is meant for the node's compiler is not meant for this one.
        for key in
            ["RUSTC", "RUSTC_WRAPPER", "RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "CARGO_TARGET_DIR"]
        {
            cargo.env_remove(key);
        }
        match self.compiler.rustup {
            Some(name) => cargo.env("RUSTUP_TOOLCHAIN", name),
            None => cargo.env("RUSTC", DEBIAN_RUSTC).env("RUSTC_BOOTSTRAP", "1"),
        };
        cargo.env("CARGO_TARGET_BPFEL_UNKNOWN_NONE_LINKER", &self.linker);
        cargo
    }
}

impl Compiler {
    /// Those that are there, best first.
    fn all() -> Vec<Compiler> {
        [Compiler::nightly(), Compiler::debian()].into_iter().flatten().collect()
    }

    fn nightly() -> Option<Compiler> {
        Compiler::probe(Some("nightly"), || {
            let mut command = Command::new("rustup");
            command.args(["run", "nightly", "rustc"]);
            command
        })
    }

    fn debian() -> Option<Compiler> {
        Compiler::probe(None, || Command::new(DEBIAN_RUSTC))
    }

    fn probe(rustup: Option<&'static str>, rustc: impl Fn() -> Command) -> Option<Compiler> {
        let sysroot = sh::read(rustc().args(["--print", "sysroot"])).ok()?;
        let core = Path::new(sysroot.trim()).join("lib/rustlib/src/rust/library/core");
        let said = sh::read(rustc().arg("-vV")).ok()?;
        let compiler = Compiler {
            rustup,
            release: field(&said, "release: ")?.to_owned(),
            llvm_major: field(&said, "LLVM version: ")?.split('.').next()?.parse().ok()?,
        };
        // An older distribution compiler cannot build the kernel program's libraries.
        (core.is_dir() && compiler.llvm_major >= *LINKER_LLVM.start()).then_some(compiler)
    }
}

impl std::fmt::Display for Compiler {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{} {}, LLVM {}",
            self.rustup.unwrap_or(DEBIAN_RUSTC),
            self.release,
            self.llvm_major
        )
    }
}

/// A `bpf-linker` that reads bitcode of LLVM `major`: our own, then the user's.
fn find_linker(major: u32) -> Option<PathBuf> {
    let home = std::env::var_os("HOME").map(PathBuf::from).unwrap_or_default();
    let candidates =
        [Some(own_linker()), sh::find("bpf-linker"), Some(home.join(".cargo/bin/bpf-linker"))];
    candidates.into_iter().flatten().find(|path| path.is_file() && linker_reads(path, major))
}

/// A linker with LLVM inside does not tell its release: it is taken at its word.
fn linker_reads(path: &Path, major: u32) -> bool {
    let Ok(libraries) = sh::read(Command::new("ldd").arg(path)) else { return true };
    llvm_in(&libraries).is_none_or(|own| own >= major)
}

/// The LLVM release in a list of libraries: `libLLVM.so.22.1`, `libLLVM-16.so.1`.
fn llvm_in(libraries: &str) -> Option<u32> {
    let (_, rest) = libraries.split_once("libLLVM")?;
    let digits = rest.trim_start_matches(|c: char| !c.is_ascii_digit());
    digits.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

fn install_linker(compiler: &Compiler) -> Result<PathBuf> {
    let major = compiler.llvm_major;
    if let Some(linker) = find_linker(major) {
        return Ok(linker);
    }
    if !LINKER_LLVM.contains(&major) {
        bail!("bpf-linker {LINKER_VERSION} knows LLVM {LINKER_LLVM:?}, not {major}");
    }
    let (llvm, polly) = (format!("llvm-{major}-dev"), format!("libpolly-{major}-dev"));
    apt::install(&[llvm.as_str(), polly.as_str(), "libzstd-dev", "zlib1g-dev"])?;
    println!("building bpf-linker for LLVM {major}, once, about a minute");
    let mut cargo = sh::cargo(["install", "bpf-linker", "--version", LINKER_VERSION, "--quiet"]);
    cargo.args(["--no-default-features", "--features", &format!("llvm-{major}"), "--root"]);
    cargo.arg(sh::target().join("tools"));
    // Its build script reads the one, llvm-sys the other.
    let prefix = format!("/usr/lib/llvm-{major}");
    cargo.env("LLVM_PREFIX", &prefix).env(format!("LLVM_SYS_{major}1_PREFIX"), &prefix);
    sh::run(&mut cargo)?;
    Ok(own_linker())
}

fn own_linker() -> PathBuf {
    sh::target().join("tools/bin/bpf-linker")
}

fn field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.lines().find_map(|line| line.strip_prefix(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_linkers_llvm_is_read_from_its_libraries() {
        assert_eq!(
            llvm_in("\tlibLLVM.so.22.1 => /usr/lib/llvm-22/lib/libLLVM.so.22.1 (0x7f)"),
            Some(22)
        );
        assert_eq!(llvm_in("\tlibLLVM-16.so.1 => /lib/x86_64-linux-gnu/libLLVM-16.so.1"), Some(16));
        assert_eq!(llvm_in("\tlibc.so.6 => /lib/x86_64-linux-gnu/libc.so.6"), None);
    }

    #[test]
    fn fields_of_the_compilers_word_are_found() {
        let said = "rustc 1.96.0\nrelease: 1.96.0\nLLVM version: 22.1.8\n";
        assert_eq!(field(said, "LLVM version: "), Some("22.1.8"));
        assert_eq!(field(said, "host: "), None);
    }
}
