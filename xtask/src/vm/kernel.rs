//! A stock kernel: its package fetched and unpacked, never installed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, anyhow};

use crate::sh;

/// A kernel as its package brings it.
pub struct Kernel {
    /// `6.12.…-cloud-amd64`
    pub release: String,
    /// The bootable image.
    pub image: PathBuf,
    /// `lib/modules/RELEASE`, its modules unpacked and `modules.dep` made.
    pub modules: PathBuf,
    /// A static busybox, for the guest's shell.
    pub busybox: PathBuf,
}

impl Kernel {
    /// Today's package of one of `names` (separated by `|`), from `target/vm` or the archive.
    ///
    /// No version is pinned: the archive keeps the newest alone.
    pub fn of(names: &str) -> Result<Kernel> {
        let package = names.split('|').find_map(newest).or_else(|| {
            // Lists of a bare image are empty.
            let _ = sh::run(Command::new("apt-get").args(["-q", "update"]));
            names.split('|').find_map(newest)
        });
        let package = package.ok_or_else(|| anyhow!("no package {names} in the archive"))?;
        let home = sh::target().join("vm").join(&package);
        // Two steps, each renamed into its place when it is complete.
        let busybox = unpacked("busybox-static", &sh::target().join("vm/busybox"), |_| Ok(()))?;
        let busybox = busybox.join("bin/busybox");
        let release = package.trim_start_matches("linux-image-").to_owned();
        unpacked(&package, &home, |home| open_modules(home, &busybox, &release))?;
        let modules = home.join("lib/modules").join(&release);
        let image = home.join(format!("boot/vmlinuz-{release}"));
        Ok(Kernel { release, image, modules, busybox })
    }
}

/// What the package `name` depends on: the kernel itself.
fn newest(name: &str) -> Option<String> {
    let said = sh::read(Command::new("apt-cache").args(["depends", name])).ok()?;
    let of_ours = |line: &str| Some(line.trim().strip_prefix("Depends: ")?.to_owned());
    said.lines().filter_map(of_ours).find(|package| package.starts_with("linux-image-"))
}

/// The contents of `package` at `home`, made ready by `finish` if they were not there yet.
fn unpacked(
    package: &str,
    home: &Path,
    finish: impl FnOnce(&Path) -> Result<()>,
) -> Result<PathBuf> {
    if home.is_dir() {
        return Ok(home.to_owned());
    }
    let parent = home.parent().context("below target/vm")?;
    let draft = parent.join(format!(".{package}.{}", std::process::id()));
    fs::create_dir_all(&draft).with_context(|| format!("could not make {}", draft.display()))?;
    let made = fetch(package, &draft).and_then(|()| finish(&draft));
    let moved = made.and_then(|()| Ok(fs::rename(&draft, home)?));
    if let Err(error) = moved {
        let _ = fs::remove_dir_all(&draft);
        // Another run may have been quicker.
        return if home.is_dir() { Ok(home.to_owned()) } else { Err(error) };
    }
    Ok(home.to_owned())
}

fn fetch(package: &str, into: &Path) -> Result<()> {
    let mut download = Command::new("apt-get");
    download.args(["-q", "download", package]).current_dir(into);
    sh::run(&mut download).or_else(|_| {
        sh::run(Command::new("apt-get").args(["-q", "update"]))?;
        sh::run(&mut download)
    })?;
    let deb = fs::read_dir(into)?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .find(|path| path.extension().is_some_and(|extension| extension == "deb"))
        .ok_or_else(|| anyhow!("apt-get download {package} left no package"))?;
    sh::run(Command::new("dpkg-deb").arg("-x").arg(&deb).arg(into))?;
    Ok(fs::remove_file(deb)?)
}

fn open_modules(home: &Path, busybox: &Path, release: &str) -> Result<()> {
    // Debian 12 has them plain, later ones compressed.
    let mut find = Command::new("find");
    find.arg(home.join("lib/modules")).args(["-name", "*.ko.xz", "-exec", "xz", "-d", "{}", "+"]);
    sh::run(&mut find)?;
    sh::run(Command::new(busybox).args(["depmod", "-b"]).arg(home).arg(release))
}
