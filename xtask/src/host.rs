//! What the running kernel says of itself and of us.

use std::fs;
use std::path::Path;

/// Capabilities the guard needs (`linux/capability.h`).
pub const CAP_NET_ADMIN: u32 = 12;
/// See [`CAP_NET_ADMIN`].
pub const CAP_SYS_ADMIN: u32 = 21;
/// See [`CAP_NET_ADMIN`]; since Linux 5.8.
pub const CAP_PERFMON: u32 = 38;
/// See [`CAP_NET_ADMIN`]; since Linux 5.8.
pub const CAP_BPF: u32 = 39;

/// A small file's text without the final newline; `None` when it cannot be read.
pub fn text(path: impl AsRef<Path>) -> Option<String> {
    fs::read_to_string(path).ok().map(|text| text.trim().to_owned())
}

/// A value below `/proc/sys`, named as sysctl does, with slashes.
pub fn sysctl(name: &str) -> Option<String> {
    text(Path::new("/proc/sys").join(name))
}

/// Whether we run with the effective user id 0.
pub fn is_root() -> bool {
    status_field("Uid").is_some_and(|ids| ids.split_whitespace().nth(1) == Some("0"))
}

/// Whether capability `number` is effective.
pub fn has_capability(number: u32) -> bool {
    let set = status_field("CapEff").and_then(|hex| u64::from_str_radix(&hex, 16).ok());
    set.is_some_and(|set| set >> number & 1 == 1)
}

/// Soft and hard limit of `name` as `/proc/self/limits` names it; `None` stands for unlimited.
pub fn limit(name: &str) -> Option<(Option<u64>, Option<u64>)> {
    limit_in(&text("/proc/self/limits")?, name)
}

/// Major and minor number of the running kernel.
pub fn kernel() -> Option<(u32, u32)> {
    version_of(&sysctl("kernel/osrelease")?)
}

/// The two leading numbers of a version.
pub fn version_of(text: &str) -> Option<(u32, u32)> {
    let mut numbers = text.split(|c: char| !c.is_ascii_digit()).map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

fn status_field(name: &str) -> Option<String> {
    let status = text("/proc/self/status")?;
    let line = status
        .lines()
        .find(|line| line.starts_with(name) && line[name.len()..].starts_with(':'))?;
    Some(line[name.len() + 1..].trim().to_owned())
}

fn limit_in(limits: &str, name: &str) -> Option<(Option<u64>, Option<u64>)> {
    let line = limits.lines().find(|line| line.starts_with(name))?;
    let mut values = line[name.len()..].split_whitespace().map(|word| word.parse().ok());
    Some((values.next()?, values.next()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_and_limits_are_read() {
        assert_eq!(version_of("6.12.5-amd64"), Some((6, 12)));
        assert_eq!(version_of("6.1"), Some((6, 1)));
        assert_eq!(version_of("linux"), None);
        let limits = "Max locked memory         8388608              unlimited            bytes";
        assert_eq!(limit_in(limits, "Max locked memory"), Some((Some(8_388_608), None)));
        assert_eq!(limit_in(limits, "Max open files"), None);
    }

    #[test]
    fn our_own_status_is_readable() {
        assert!(kernel().is_some_and(|version| version > (2, 6)));
        assert!(limit("Max open files").is_some());
        assert!(status_field("CapEff").is_some());
    }
}
