//! The node's own log: compact lines on standard error.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

use super::CliError;

const VARIABLE: &str = "EDGE_LOG";

/// Starts logging at `level`, or at what `EDGE_LOG` says.
pub(super) fn start(level: &str) -> Result<(), CliError> {
    let chosen = std::env::var(VARIABLE).unwrap_or_else(|_| level.to_owned());
    let filter = EnvFilter::try_new(&chosen).map_err(|_| CliError::LogFilter { got: chosen })?;
    let subscriber = tracing_subscriber::fmt()
        .compact()
        .with_env_filter(filter)
        .with_target(false)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr)
        .finish();
    // A second call, as tests make, leaves the first one's log in place.
    let _ = tracing::subscriber::set_global_default(subscriber);
    Ok(())
}
