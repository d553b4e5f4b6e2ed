//! `edge guard`: the running guard's mode.

use clap::ValueEnum;
use serde_json::json;

use super::reader::{Reader, ReaderError};
use crate::config::GuardMode;

/// Have the running guard enforce, only observe, or do nothing; until the next reload or start
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// From the next packet on
    mode: Mode,
    #[command(flatten)]
    reader: Reader,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Mode {
    /// Verdicts drop packets
    Enforce,
    /// Verdicts are counted, packets pass
    Observe,
    /// Packets pass unseen
    Off,
}

/// Runs the command.
pub fn run(args: Args) -> Result<(), ReaderError> {
    let mode = match args.mode {
        Mode::Enforce => GuardMode::Enforce,
        Mode::Observe => GuardMode::Observe,
        Mode::Off => GuardMode::Off,
    };
    let mut maps = args.reader.maps()?;
    let before = maps.mode()?;
    maps.set_mode(mode)?;
    args.reader.show(
        || json!({ "mode": mode.as_str(), "before": before.as_str() }),
        || {
            format!(
                "guard: {}, was {}; a reload follows the configuration\n",
                mode.as_str(),
                before.as_str()
            )
        },
    )
}
