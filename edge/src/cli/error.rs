//! How a command fails, and the exit code that says so.

use std::io;

use super::{ClientError, ReaderError};
use crate::config::ConfigErrors;
use crate::server::ServerError;

pub(super) const DONE: u8 = 0;
const FAILED: u8 = 1;
pub(super) const USAGE: u8 = 2;

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub enum CliError {
    /// The configuration is wrong.
    #[error(transparent)]
    Config(#[from] ConfigErrors),
    /// `EDGE_LOG` is wrong.
    #[error("EDGE_LOG: {got:?} is not a log filter; write \"info\" or \"warn,edge=debug\"")]
    LogFilter {
        /// What it is.
        got: String,
    },
    /// The command line does not go together.
    #[error("{0}")]
    Usage(String),
    /// The node could not start.
    #[error(transparent)]
    Server(#[from] ServerError),
    /// A running node could not be asked.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The guard's maps could not be read.
    #[error(transparent)]
    Reader(#[from] ReaderError),
    /// The directory to serve could not be found out.
    #[error("the current directory is gone: {0}; change to another, or give --config")]
    Directory(io::Error),
    /// A volume could not be looked at.
    #[error(transparent)]
    Store(#[from] crate::cache::StoreError),
    /// What is stored is damaged.
    #[error("{count} bad records; a running node drops them and fetches them again")]
    Damaged {
        /// How many.
        count: u64,
    },
    /// A list of URLs could not be read.
    #[error("{path}: {source}", path = path.display())]
    List {
        /// The list.
        path: std::path::PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Not all that was to be prefetched could be had.
    #[error("{failed} of them could not be had")]
    Unfetched {
        /// How many.
        failed: u64,
    },
    /// Standard output could not be written.
    #[error("write to standard output: {0}")]
    Output(io::Error),
    /// What draws on a terminal has none.
    #[error(
        "standard output is no terminal; `edge top --once` prints one look, --json the same as JSON"
    )]
    NoTerminal,
    /// The terminal failed.
    #[error("the terminal: {0}")]
    Terminal(io::Error),
}

impl CliError {
    /// The process's exit code.
    pub(super) fn code(&self) -> u8 {
        match self {
            CliError::Config(_)
            | CliError::LogFilter { .. }
            | CliError::Usage(_)
            | CliError::NoTerminal => USAGE,
            _ => FAILED,
        }
    }

    /// What is printed. Lines about a file begin with its name, as compilers do it.
    pub(super) fn report(&self) -> String {
        match self {
            CliError::Config(errors) => errors.to_string(),
            error => format!("edge: {error}"),
        }
    }
}
