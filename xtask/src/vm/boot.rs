//! Booting a guest, and reading its serial line.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

/// The emulator.
pub const QEMU: &str = "qemu-system-x86_64";
/// Seconds after which a guest is ended.
const GUEST_S: &str = "360";

/// What a guest said at its end.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// `None`: it never came to its end.
    counts: Option<(usize, usize)>,
    skips: Vec<String>,
    /// The last lines, for a guest that died.
    tail: Vec<String>,
}

/// Runs a guest to its end. What its tests print is shown when one fails.
pub fn boot(kernel: &Path, initrd: &Path) -> Result<Outcome> {
    let mut qemu = Command::new("timeout");
    qemu.args(["-k", "5", GUEST_S, QEMU, "-M", "pc", "-accel", "tcg,thread=multi"]);
    qemu.args(["-cpu", "max", "-smp", "2", "-m", "1024", "-nographic", "-no-reboot"]);
    qemu.args(["-nodefaults", "-serial", "stdio"]);
    qemu.args(["-netdev", "user,id=n0,restrict=on"]);
    qemu.args(["-device", "virtio-net-pci,netdev=n0,romfile="]);
    qemu.arg("-kernel").arg(kernel).arg("-initrd").arg(initrd);
    qemu.args(["-append", "console=ttyS0 quiet panic=-1 mitigations=off net.ifnames=0"]);
    let mut child = qemu
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .with_context(|| format!("could not start {QEMU}"))?;
    let serial = BufReader::new(child.stdout.take().expect("standard output was piped"));
    let mut outcome = Outcome::default();
    for line in serial.split(b'\n') {
        let line = line.context("could not read the guest's serial line")?;
        outcome.read(String::from_utf8_lossy(&line).trim_end());
    }
    child.wait().context("could not wait for the guest")?;
    Ok(outcome)
}

impl Outcome {
    fn read(&mut self, line: &str) {
        if let Some(counts) = line.strip_prefix("VM-RESULT ") {
            self.counts = counts_of(counts);
        }
        if line.starts_with("SKIP: ") {
            self.skips.push(line.to_owned());
        }
        if line.starts_with("test ") || line.starts_with("VM-") {
            println!("  {line}");
        }
        self.tail.push(line.to_owned());
    }

    /// Holds the guest's word to the plan.
    pub fn judge(self, planned: usize) -> Result<()> {
        let verdict = match self.counts {
            None => "the guest ended, or was ended, before its tests did".to_owned(),
            Some((_, 0)) if self.counts == Some((planned, 0)) => return Ok(()),
            Some((pass, fail)) => {
                format!("{pass} passed of {planned}, {fail} failed or skipped: {:?}", self.skips)
            }
        };
        let from = self.tail.len().saturating_sub(200);
        self.tail[from..].iter().for_each(|line| println!("  | {line}"));
        bail!(verdict)
    }
}

/// `pass=3 fail=0`
fn counts_of(text: &str) -> Option<(usize, usize)> {
    let (pass, fail) = text.split_once(' ')?;
    let number = |word: &str, name: &str| word.strip_prefix(name)?.parse().ok();
    Some((number(pass, "pass=")?, number(fail, "fail=")?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guest_is_believed_only_when_all_passed_and_it_said_so() {
        for (lines, good) in [
            (&["VM-RESULT pass=3 fail=0"][..], true),
            (&["VM-RESULT pass=2 fail=0"], false),
            (&["VM-RESULT pass=3 fail=1"], false),
            (&["VM-RESULT pass=3"], false),
            (&["test a ... ok", "Kernel panic"], false),
            (&[], false),
        ] {
            let mut outcome = Outcome::default();
            lines.iter().for_each(|line| outcome.read(line));
            assert_eq!(outcome.judge(3).is_ok(), good, "{lines:?}");
        }
    }
}
