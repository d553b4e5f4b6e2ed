//! The initramfs of a guest: programs with their libraries, modules in order, a shell script.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, anyhow, bail};

use super::kernel::Kernel;
use crate::sh;

/// Seconds that one test binary may take in the guest.
const RUN_S: u32 = 180;

/// What a guest's first file system will hold.
pub struct Image {
    /// Where it is put together.
    root: PathBuf,
    modules: PathBuf,
    busybox: PathBuf,
    /// `modules.dep`: a module's file to those of all it needs, by name.
    needs: BTreeMap<String, (PathBuf, Vec<PathBuf>)>,
    /// Module files in the order of their loading.
    order: Vec<PathBuf>,
    libraries: BTreeSet<PathBuf>,
    plan: String,
}

impl Image {
    /// An empty one for `kernel`.
    pub fn new(kernel: &Kernel) -> Result<Image> {
        let root = sh::target().join(format!("vm/.image.{}", std::process::id()));
        let _ = fs::remove_dir_all(&root);
        for dir in [
            "bin",
            "dev",
            "etc",
            "lib/modules",
            "proc",
            "sys",
            "tmp",
            "tests",
            "root",
            "run",
            "var/log/nginx",
            "var/lib/nginx",
        ] {
            fs::create_dir_all(root.join(dir)).with_context(|| root.display().to_string())?;
        }
        // As on Debian: what was linked for either place is found.
        for (link, to) in [("sbin", "bin"), ("lib64", "lib"), ("usr", ".")] {
            symlink(to, root.join(link))?;
        }
        let dep = fs::read_to_string(kernel.modules.join("modules.dep"))?;
        let needs = dep.lines().filter_map(dependencies).collect();
        let (modules, busybox) = (kernel.modules.clone(), kernel.busybox.clone());
        fs::write(
            root.join("etc/passwd"),
            "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534::/:/bin/sh\nwww-data:x:33:33::/:/bin/sh\n",
        )?;
        fs::write(root.join("etc/group"), "root:x:0:\nnogroup:x:65534:\nwww-data:x:33:\n")?;
        fs::write(root.join("etc/hosts"), "127.0.0.1 localhost\n::1 localhost\n")?;
        let image = Image {
            root,
            modules,
            busybox,
            needs,
            order: Vec::new(),
            libraries: BTreeSet::new(),
            plan: String::new(),
        };
        copy(&image.busybox, &image.root.join("bin/busybox"))?;
        Ok(image)
    }

    /// Has `name` loaded, and first what it needs. One that the kernel has built in, or not at all, is
    /// passed over: its test tells.
    pub fn module(&mut self, name: &str) -> Result<()> {
        let Some((file, needs)) = self.needs.get(&canonical(name)).cloned() else { return Ok(()) };
        // depmod lists what must be loaded last to first.
        for file in needs.into_iter().rev().chain([file]) {
            if self.order.contains(&file) {
                continue;
            }
            let flat = file.file_name().context("a module is a file")?;
            copy(&self.modules.join(&file), &self.root.join("lib/modules").join(flat))?;
            self.order.push(file);
        }
        Ok(())
    }

    /// Adds a program under another name, without its debugging information.
    pub fn program(&mut self, name: &str, from: &Path) -> Result<()> {
        self.stripped(from, &format!("bin/{name}"))
    }

    /// Adds a tool of this host.
    pub fn tool(&mut self, from: &Path) -> Result<()> {
        let name = from.file_name().context("a tool is a file")?.to_string_lossy().into_owned();
        copy(from, &self.root.join("bin").join(name))?;
        self.add_libraries(from)
    }

    /// Adds a file as it is.
    pub fn file(&mut self, from: &Path, to: &str) -> Result<()> {
        copy(from, &self.root.join(to.trim_start_matches('/')))
    }

    /// Has the tests of a binary run whose names hold `filter`.
    pub fn run(&mut self, name: &str, from: &Path, filter: &str) -> Result<()> {
        let to = format!("tests/{name}");
        if !self.root.join(&to).exists() {
            self.stripped(from, &to)?;
        }
        writeln!(self.plan, "run {name} '{filter}'")?;
        Ok(())
    }

    /// The finished archive.
    pub fn pack(mut self, guest: &str) -> Result<PathBuf> {
        for library in std::mem::take(&mut self.libraries) {
            let at = library.strip_prefix("/usr").or_else(|_| library.strip_prefix("/"))?;
            let at = at.to_string_lossy().replacen("lib64", "lib", 1);
            copy(&library, &self.root.join(at))?;
        }
        let names = self.order.iter().filter_map(|file| file.file_name()?.to_str());
        let insert: String = names
            .map(|name| format!("insmod /lib/modules/{name} || echo \"VM-MODULE {name} failed\"\n"))
            .collect();
        let init = INIT
            .replace("@GUEST@", guest)
            .replace("@MODULES@", &insert)
            .replace("@RUN_S@", &RUN_S.to_string())
            .replace("@PLAN@", &self.plan);
        let path = self.root.join("init");
        fs::write(&path, init)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755))?;
        let archive = sh::target().join(format!("vm/{guest}.cpio"));
        self.archive(&archive)?;
        fs::remove_dir_all(&self.root)?;
        Ok(archive)
    }

    fn archive(&self, to: &Path) -> Result<()> {
        let listed = sh::read(Command::new("find").arg(".").current_dir(&self.root))?;
        let mut cpio = Command::new(&self.busybox);
        cpio.args(["cpio", "-o", "-H", "newc"]).current_dir(&self.root);
        let file = fs::File::create(to).with_context(|| to.display().to_string())?;
        let mut child = cpio.stdin(Stdio::piped()).stdout(file).stderr(Stdio::null()).spawn()?;
        child.stdin.take().expect("it was piped").write_all(listed.as_bytes())?;
        match child.wait()?.success() {
            true => Ok(()),
            false => Err(anyhow!("cpio failed")),
        }
    }

    fn stripped(&mut self, from: &Path, to: &str) -> Result<()> {
        self.add_libraries(from)?;
        let to = self.root.join(to);
        let mut strip = Command::new("strip");
        match sh::read(strip.arg("-o").arg(&to).arg(from)) {
            Ok(_) => Ok(()),
            // Larger, and no worse.
            Err(_) => copy(from, &to),
        }
    }

    fn add_libraries(&mut self, program: &Path) -> Result<()> {
        // Fails on a static program.
        let listed = sh::read(Command::new("ldd").arg(program)).unwrap_or_default();
        if listed.contains("not found") {
            bail!("{} lacks libraries: {listed}", program.display());
        }
        self.libraries.extend(listed.lines().filter_map(library));
        Ok(())
    }
}

impl Drop for Image {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.root);
    }
}

/// The guest's first process.
const INIT: &str = r#"#!/bin/busybox sh
export PATH=/bin:/applets HOME=/root EDGE_BIN=/bin/edge EDGE_TEST_GUEST=@GUEST@
/bin/busybox mkdir -p /applets
/bin/busybox --install -s /applets
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
mkdir -p /dev/shm /dev/pts
mount -t devpts pts /dev/pts
mount -t tmpfs shm /dev/shm
mount -t tmpfs tmp /tmp
mount -t tmpfs run /run
mkdir -p /run/netns
mount -t bpf bpf /sys/fs/bpf
mount -t cgroup2 cgroup /sys/fs/cgroup
mount -t tracefs trace /sys/kernel/tracing
ulimit -n 65536
ulimit -l unlimited
ip link set lo up
@MODULES@
pass=0 fail=0
run() {
    echo "VM-RUN $1 $2"
    timeout @RUN_S@ /tests/$1 --test-threads 1 --show-output "$2" >/tmp/output 2>&1
    code=$?
    cat /tmp/output
    passed=$(grep -c '^test .* \.\.\. ok' /tmp/output)
    failed=$(grep -c '^test .* \.\.\. FAILED' /tmp/output)
    skipped=$(grep -c '^SKIP: ' /tmp/output)
    [ $code = 0 ] || [ $failed != 0 ] || failed=1
    pass=$((pass + passed)) fail=$((fail + failed + skipped))
}
cd /root
@PLAN@
echo "VM-RESULT pass=$pass fail=$fail"
poweroff -f
"#;

/// A line of `modules.dep`: the module's name, its file, those it needs.
fn dependencies(line: &str) -> Option<(String, (PathBuf, Vec<PathBuf>))> {
    let (file, needs) = line.split_once(':')?;
    let name = Path::new(file).file_stem()?.to_str()?;
    let needs = needs.split_ascii_whitespace().map(PathBuf::from).collect();
    Some((canonical(name), (PathBuf::from(file), needs)))
}

/// Dashes and underscores are the same in names of modules.
fn canonical(name: &str) -> String {
    name.replace('-', "_")
}

/// A library in a line of `ldd`: `libc.so.6 => /lib/… (0x…)`, or the loader by its path alone.
fn library(line: &str) -> Option<PathBuf> {
    let path = line.split_ascii_whitespace().find(|word| word.starts_with('/'))?;
    Some(PathBuf::from(path))
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    let what = || format!("could not copy {} to {}", from.display(), to.display());
    fs::create_dir_all(to.parent().context("below the image")?).with_context(what)?;
    fs::copy(from, to).map(drop).with_context(what)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modules_are_found_by_either_spelling_and_with_what_they_need() {
        let line =
            "kernel/arch/x86/crypto/aesni-intel.ko: kernel/crypto/simd.ko kernel/crypto/cryptd.ko";
        let (name, (file, needs)) = dependencies(line).unwrap();
        assert_eq!((name.as_str(), needs.len()), ("aesni_intel", 2));
        assert!(file.ends_with("aesni-intel.ko"));
        assert_eq!(canonical("ghash-clmulni-intel"), "ghash_clmulni_intel");
    }

    #[test]
    fn libraries_are_read_from_both_kinds_of_lines() {
        let at = |line| library(line).map(|path| path.display().to_string());
        assert_eq!(
            at("\tlibz.so.1 => /lib/x86_64-linux-gnu/libz.so.1 (0x1)").unwrap(),
            "/lib/x86_64-linux-gnu/libz.so.1"
        );
        assert_eq!(
            at("\t/lib64/ld-linux-x86-64.so.2 (0x2)").unwrap(),
            "/lib64/ld-linux-x86-64.so.2"
        );
        assert_eq!(at("\tlinux-vdso.so.1 (0x3)"), None);
    }
}
