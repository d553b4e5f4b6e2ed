//! Why a ring cannot be had, and what to do about it.

use std::io;

use crate::sys::host;

/// Why a ring cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum RingError {
    /// A size that cannot be.
    #[error("ring setting {name} is {got}: {rule}")]
    Config {
        /// The setting.
        name: &'static str,
        /// Its value.
        got: usize,
        /// What it must be.
        rule: &'static str,
    },
    /// The host has io_uring switched off.
    #[error(
        "io_uring is switched off on this host (kernel.io_uring_disabled = {got}): set it to 0 (sysctl -w kernel.io_uring_disabled=0)"
    )]
    Disabled {
        /// The setting's value.
        got: u32,
    },
    /// The call was refused though the host has io_uring on.
    #[error(
        "io_uring was refused ({source}): most likely a seccomp filter, as containers have; allow io_uring_setup, io_uring_enter and io_uring_register"
    )]
    Refused {
        /// What the kernel said.
        source: io::Error,
    },
    /// The kernel is too old, or built without it.
    #[error(
        "{feature} is missing on linux {kernel}: linux >= 6.1 is required (or a seccomp filter hides it)"
    )]
    Missing {
        /// What was tried.
        feature: &'static str,
        /// The running kernel.
        kernel: String,
    },
    /// Another call failed.
    #[error("cannot set up a ring: {op}: {source}")]
    Setup {
        /// What was tried.
        op: &'static str,
        /// What the kernel said.
        source: io::Error,
    },
}

impl RingError {
    /// Reads what a failed setup call means.
    pub(super) fn of_setup(source: io::Error) -> RingError {
        match source.raw_os_error() {
            Some(libc::ENOSYS) => RingError::missing("io_uring"),
            Some(libc::EPERM | libc::EACCES) => match switched_off() {
                Some(got) => RingError::Disabled { got },
                None => RingError::Refused { source },
            },
            _ => RingError::Setup { op: "io_uring_setup", source },
        }
    }

    pub(super) fn missing(feature: &'static str) -> RingError {
        RingError::Missing { feature, kernel: host::kernel_release() }
    }
}

/// The value of `kernel.io_uring_disabled` (Linux 6.6) when it is on.
fn switched_off() -> Option<u32> {
    let value = std::fs::read_to_string("/proc/sys/kernel/io_uring_disabled").ok()?;
    value.trim().parse().ok().filter(|&value| value > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_name_the_cure() {
        let said = |errno| RingError::of_setup(io::Error::from_raw_os_error(errno)).to_string();
        assert!(said(libc::ENOSYS).contains("6.1 is required"));
        assert!(said(libc::ENOMEM).contains("io_uring_setup"));
        let refused = said(libc::EPERM);
        assert!(refused.contains("seccomp") || refused.contains("sysctl"), "{refused}");
    }
}
