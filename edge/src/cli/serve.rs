//! `edge serve`: runs a node.

use std::path::PathBuf;

use super::{CliError, logging};
use crate::config::{Config, GuardMode};
use crate::{server, sys};

/// Run a node; without --config it serves the current directory on 127.0.0.1:8080
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// Configuration file; SIGHUP reads it again
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,
}

/// The default without a file: this directory on loopback; for root with a guard that accounts for
/// every flow there and drops nothing.
fn embedded() -> Result<Config, CliError> {
    let mut config = Config::embedded(&std::env::current_dir().map_err(CliError::Directory)?);
    if sys::host::is_root() {
        config.guard.interfaces = vec!["lo".to_owned()];
        config.guard.mode = GuardMode::Observe;
    }
    Ok(config)
}

/// Runs the command: ends with the node.
pub fn run(args: Args) -> Result<(), CliError> {
    let config = match &args.config {
        Some(path) => Config::load(path)?,
        None => embedded()?,
    };
    logging::start(&config.log.level)?;
    Ok(server::serve(config, args.config)?)
}
