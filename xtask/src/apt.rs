//! Debian packages: which are missing, and how they get here.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, anyhow};

use crate::{host, sh};

/// Installs those of `packages` that are missing and says so; an error tells the cure.
pub fn install(packages: &[&str]) -> Result<()> {
    if sh::find("apt-get").is_none() {
        return Err(anyhow!(
            "no apt-get on this host; install by other means: {}",
            packages.join(" ")
        ));
    }
    let wanted = missing(packages);
    if wanted.is_empty() {
        return Ok(());
    }
    let cure = format!("as root: apt-get install -y {}", wanted.join(" "));
    let apt = Apt::new().with_context(|| cure.clone())?;
    println!("installing {}", wanted.join(" "));
    let before = nginx_masters();
    apt.install(&wanted).with_context(|| format!("could not install; cure: {cure}"))?;
    if wanted.contains(&"nginx") {
        apt.silence_nginx(&before)?;
    }
    Ok(())
}

/// Those of `packages` that dpkg does not list as installed.
pub fn missing<'a>(packages: &[&'a str]) -> Vec<&'a str> {
    packages.iter().copied().filter(|package| !is_installed(package)).collect()
}

fn is_installed(package: &str) -> bool {
    let mut query = Command::new("dpkg-query");
    query.args(["--show", "--showformat=${db:Status-Status}", package]);
    sh::read(&mut query).is_ok_and(|status| status == "installed")
}

/// apt-get with the rights it needs.
struct Apt {
    sudo: bool,
}

impl Apt {
    fn new() -> Result<Apt> {
        if host::is_root() {
            return Ok(Apt { sudo: false });
        }
        let asks_nothing = || Command::new("sudo").args(["-n", "true"]).output();
        match asks_nothing() {
            Ok(output) if output.status.success() => Ok(Apt { sudo: true }),
            _ => Err(anyhow!(
                "packages are missing, and neither root nor a sudo without password is at hand"
            )),
        }
    }

    /// One retry, with fresh lists: mirrors do hiccup, and lists of a bare image are empty or old.
    fn install(&self, packages: &[&str]) -> Result<()> {
        for attempt in 1.. {
            let updated = sh::run(&mut self.command(&["apt-get", "-q", "update"]));
            if let Err(error) = &updated {
                println!("package lists stay as they are: {error:#}");
            }
            let mut command =
                self.command(&["apt-get", "-q", "install", "-y", "--no-install-recommends"]);
            match sh::run(command.args(packages)) {
                Err(error) if attempt == 1 => println!("{error:#}; once more"),
                done => return done,
            }
        }
        unreachable!("the second attempt returns")
    }

    /// The tests start nginx themselves, with their own configuration: the packaged service must neither
    /// hold port 80 nor come up at the next boot. One that ran before stays as it was.
    fn silence_nginx(&self, before: &BTreeSet<u32>) -> Result<()> {
        if !before.is_empty() {
            return Ok(());
        }
        if Path::new("/run/systemd/system").exists() {
            return sh::run(&mut self.command(&["systemctl", "disable", "--now", "nginx"]));
        }
        if nginx_masters().is_empty() {
            return Ok(());
        }
        sh::run(&mut self.command(&["service", "nginx", "stop"]))
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut all = vec!["env", "DEBIAN_FRONTEND=noninteractive", "RUNLEVEL=1"];
        if self.sudo {
            all.splice(0..0, ["sudo", "-n"]);
        }
        all.extend(words);
        let mut command = Command::new(all[0]);
        command.args(&all[1..]);
        command
    }
}

/// Process ids of nginx masters: an nginx whose parent is no nginx.
fn nginx_masters() -> BTreeSet<u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let ids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    ids.filter(|id: &u32| {
        let read =
            |name: &str| fs::read_to_string(format!("/proc/{id}/{name}")).unwrap_or_default();
        read("comm").trim() == "nginx" && read("cmdline").contains("master")
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_package_that_cannot_be_is_missing() {
        assert_eq!(missing(&["no-such-package-as-this"]), ["no-such-package-as-this"]);
    }
}
