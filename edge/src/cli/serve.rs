//! `edge serve`: runs a node.

use std::path::PathBuf;

use super::{CliError, logging};
use crate::config::Config;
use crate::server;

/// Run a node; without --config it serves the current directory on 127.0.0.1:8080
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// Configuration file; SIGHUP reads it again
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,
}

/// Runs the command: ends with the node.
pub fn run(args: Args) -> Result<(), CliError> {
    let config = match &args.config {
        Some(path) => Config::load(path)?,
        None => Config::embedded(&std::env::current_dir().map_err(CliError::Directory)?),
    };
    logging::start(&config.log.level)?;
    Ok(server::serve(config, args.config)?)
}
