//! What can go wrong between the node and its kernel program.

use std::error::Error;
use std::io;
use std::path::PathBuf;

use aya::programs::ProgramError;
use thiserror::Error;

use super::PrefixError;

/// What the kernel says to who may not (`errno-base.h`).
const EPERM: i32 = 1;
/// Of a cause that is told.
const CAUSE_MAX_BYTES: usize = 2_000;

/// Why the guard could not do something.
#[derive(Debug, Error)]
pub enum GuardError {
    /// The build found no BPF toolchain.
    #[error("built without the kernel program: run `cargo xtask build`")]
    NotBuilt,
    /// Pins live on a BPF file system only.
    #[error(
        "{} is not on a bpf file system: choose a pin_dir in /sys/fs/bpf, or mount one there \
         (mount -t bpf bpf DIR)",
        path.display()
    )]
    NotBpffs {
        /// The configured folder.
        path: PathBuf,
    },
    /// Somebody else made the folder, and could change what is pinned there.
    #[error("{} belongs to another user: remove it", path.display())]
    NotOurs {
        /// The configured folder.
        path: PathBuf,
    },
    /// No pinned maps.
    #[error("no guard maps in {}: is a node running with its guard on?", path.display())]
    NoMaps {
        /// Where they were looked for.
        path: PathBuf,
    },
    /// Maps of another version of `edge`.
    #[error(
        "guard maps in {} have layout {got}, this edge knows {expected}: restart the node with it",
        path.display()
    )]
    Layout {
        /// Where they are.
        path: PathBuf,
        /// Their layout.
        got: u32,
        /// Ours.
        expected: u32,
    },
    /// Missing privileges.
    #[error("{op}: not permitted: run as root, or with CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON")]
    NotPermitted {
        /// What was tried.
        op: String,
    },
    /// A file operation failed.
    #[error("{op} {}: {source}", path.display())]
    Io {
        /// What was tried.
        op: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The kernel, or the library between, refused.
    #[error("{op}: {cause}")]
    Bpf {
        /// What was tried.
        op: String,
        /// The whole chain of causes.
        cause: String,
    },
    /// A list has no room.
    #[error("the deny list is full ({max} entries): remove some with `edge unban`")]
    Full {
        /// Its capacity.
        max: u32,
    },
    /// A prefix of the configuration is not to be changed by hand.
    #[error("{prefix} is denied by the configuration: change `guard.deny` and reload instead")]
    Configured {
        /// The prefix.
        prefix: String,
    },
    /// Nothing to unban.
    #[error("{prefix} is not banned: `edge bans` lists what is")]
    NotBanned {
        /// The prefix.
        prefix: String,
    },
    /// A prefix of length zero.
    #[error("{prefix} is every address: nobody could reach this host; ban longer prefixes")]
    Everybody {
        /// The prefix.
        prefix: String,
    },
    /// Not a prefix.
    #[error(transparent)]
    Prefix(#[from] PrefixError),
}

impl GuardError {
    /// From an error of the BPF library while doing `op`.
    pub(super) fn bpf(op: impl Into<String>, error: impl Error + 'static) -> GuardError {
        let op = op.into();
        if kind(&error) == Some(io::ErrorKind::PermissionDenied) && !is_of_verifier(&error) {
            return GuardError::NotPermitted { op };
        }
        GuardError::Bpf { op, cause: shortened(causes(&error)) }
    }

    /// From an error of the file system.
    pub(super) fn io(
        op: &'static str,
        path: impl Into<PathBuf>,
        source: impl Into<io::Error>,
    ) -> GuardError {
        let (path, source) = (path.into(), source.into());
        if source.kind() == io::ErrorKind::PermissionDenied {
            return GuardError::NotPermitted { op: format!("{op} {}", path.display()) };
        }
        GuardError::Io { op, path, source }
    }
}

/// Whether it is the program that is refused, and not the user: the verifier says `EACCES`, the check of
/// rights `EPERM`.
fn is_of_verifier(error: &(dyn Error + 'static)) -> bool {
    chain(error).any(|error| match error.downcast_ref() {
        Some(ProgramError::LoadError { io_error, .. }) => io_error.raw_os_error() != Some(EPERM),
        _ => false,
    })
}

/// A verifier's log can be megabytes long; what matters stands at its end.
fn shortened(text: String) -> String {
    let cut = text.len().saturating_sub(CAUSE_MAX_BYTES);
    match text.char_indices().map(|(at, _)| at).find(|at| *at >= cut) {
        Some(at) if at > 0 => format!("… {}", &text[at..]),
        _ => text,
    }
}

/// The system's error at the bottom of a chain.
pub(super) fn kind(error: &(dyn Error + 'static)) -> Option<io::ErrorKind> {
    chain(error).find_map(|error| error.downcast_ref::<io::Error>()).map(io::Error::kind)
}

/// Every message of a chain, outermost first; one that repeats its source is not repeated.
pub(super) fn causes(error: &(dyn Error + 'static)) -> String {
    let mut text = String::new();
    for message in chain(error).map(|error| error.to_string()) {
        if text.contains(&message) {
            continue;
        }
        if !text.is_empty() {
            text.push_str(": ");
        }
        text.push_str(&message);
    }
    text
}

fn chain<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |&error| error.source())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_long_cause_the_end_is_kept() {
        assert_eq!(shortened("short".to_owned()), "short");
        let long = format!("{}the reason", "ä".repeat(CAUSE_MAX_BYTES));
        let short = shortened(long);
        assert!(short.starts_with("… ä") && short.ends_with("äthe reason"), "{short}");
        assert!(short.len() <= CAUSE_MAX_BYTES + 6);
    }
}
