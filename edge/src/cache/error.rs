//! Why the store could not do it.

use std::io;
use std::path::{Path, PathBuf};

/// An error of the store. `Display` names what failed, where, and the cure; [`StoreError::as_str`]
/// is log field and metric label.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A system call failed.
    #[error("volume {path}: cannot {op}: {source}", path = path.display())]
    Io {
        /// What was tried.
        op: &'static str,
        /// The volume's file.
        path: PathBuf,
        /// Its answer.
        source: io::Error,
    },
    /// Another process has the volume open.
    #[error("volume {path} is in use by another process: stop it or choose another path", path = path.display())]
    InUse {
        /// The volume's file.
        path: PathBuf,
    },
    /// The file holds something that is not a volume; it is left alone.
    #[error("{path} is not a volume: remove it or choose another path", path = path.display())]
    NotAVolume {
        /// The file.
        path: PathBuf,
    },
    /// A volume too small for eight regions of two slices.
    #[error("volume {path} is too small: {got} bytes, needs {min}: make it larger or the slices smaller", path = path.display())]
    TooSmall {
        /// The volume's file.
        path: PathBuf,
        /// Its size, bytes.
        got: u64,
        /// The least size, bytes.
        min: u64,
    },
    /// More volumes than the index can name.
    #[error("too many volumes: {got}, at most {max}: join some")]
    TooManyVolumes {
        /// How many are configured.
        got: usize,
        /// How many there may be.
        max: usize,
    },
    /// A record or an object beyond what the format can hold.
    #[error("too large to store: {got} bytes, at most {max}")]
    TooLarge {
        /// Bytes.
        got: u64,
        /// Bytes.
        max: u64,
    },
    /// Every region is being read or written at this moment. Passes by itself.
    #[error("no room: every region of the volume is in use: try again, or make it larger")]
    NoRoom,
}

impl StoreError {
    pub(super) fn io(op: &'static str, path: &Path) -> impl FnOnce(io::Error) -> StoreError {
        let path = path.to_owned();
        move |source| StoreError::Io { op, path, source }
    }

    /// Stable name.
    pub fn as_str(&self) -> &'static str {
        match self {
            StoreError::Io { .. } => "store_io",
            StoreError::InUse { .. } => "store_in_use",
            StoreError::NotAVolume { .. } => "store_not_a_volume",
            StoreError::TooSmall { .. } => "store_too_small",
            StoreError::TooManyVolumes { .. } => "store_too_many_volumes",
            StoreError::TooLarge { .. } => "store_too_large",
            StoreError::NoRoom => "store_no_room",
        }
    }
}
