//! Assembles the planes.
#![forbid(unsafe_code)]

use std::path::PathBuf;

use crate::config::Config;

/// Why a node did not start.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// The planes are not put together in this build.
    #[error("this build has no data plane")]
    NoDataPlane,
}

/// Runs a node until it is told to stop. `source` is the file to read again on reload.
///
/// # Errors
/// The node cannot start.
pub fn serve(_config: Config, _source: Option<PathBuf>) -> Result<(), ServerError> {
    Err(ServerError::NoDataPlane)
}
