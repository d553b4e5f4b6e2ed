//! What the commands that read the guard's maps share: where the maps are, and how rows are shown.

use std::fmt::Write as _;
use std::io::{self, Write};
use std::path::PathBuf;

use serde_json::Value;
use thiserror::Error;

use crate::guard::{GuardError, Maps};

/// Why such a command failed.
#[derive(Debug, Error)]
pub enum ReaderError {
    /// The maps could not be read or written.
    #[error(transparent)]
    Guard(#[from] GuardError),
    /// Standard output could not be written.
    #[error("write to standard output: {0}")]
    Output(#[from] io::Error),
}

/// Options of every such command.
#[derive(Clone, Debug, clap::Args)]
pub struct Reader {
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    /// Where the node's guard pins its maps
    #[arg(long, value_name = "DIR", default_value = "/sys/fs/bpf/edge")]
    pub pin_dir: PathBuf,
}

impl Reader {
    pub(super) fn maps(&self) -> Result<Maps, ReaderError> {
        Ok(Maps::open(&self.pin_dir)?)
    }

    /// Prints the one or the other.
    pub(super) fn show(
        &self,
        json: impl FnOnce() -> Value,
        text: impl FnOnce() -> String,
    ) -> Result<(), ReaderError> {
        let out = if self.json { format!("{:#}\n", json()) } else { text() };
        match io::stdout().write_all(out.as_bytes()) {
            // The reader of a pipe has seen enough.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            written => Ok(written?),
        }
    }
}

/// Columns under their heads, as wide as needed; those whose head starts with `>` are flush right.
pub(super) fn table<const N: usize>(heads: [&str; N], rows: &[[String; N]]) -> String {
    let titles = heads.map(|head| head.trim_start_matches('>').to_owned());
    let mut widths = titles.each_ref().map(String::len);
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.len());
        }
    }
    let mut text = String::new();
    for row in std::iter::once(&titles).chain(rows) {
        let start = text.len();
        for (index, cell) in row.iter().enumerate() {
            let (gap, width) = (if index == 0 { "" } else { "  " }, widths[index]);
            // Writing to a `String` cannot fail.
            let _ = match heads[index].starts_with('>') {
                true => write!(text, "{gap}{cell:>width$}"),
                false => write!(text, "{gap}{cell:<width$}"),
            };
        }
        let end = start + text[start..].trim_end().len();
        text.truncate(end);
        text.push('\n');
    }
    text
}

/// `1.5 MiB`.
pub(super) fn bytes(bytes: u64) -> String {
    let units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    let mut unit = 0;
    let mut value = bytes as f64;
    while value >= 1024.0 && unit + 1 < units.len() {
        value /= 1024.0;
        unit += 1;
    }
    match unit {
        0 => format!("{bytes} B"),
        _ => format!("{value:.1} {}", units[unit]),
    }
}

/// The two largest units of a time: `3s`, `2m05s`, `4h07m`, `9d03h`.
pub(super) fn time(time_ms: u64) -> String {
    let seconds = time_ms / 1000;
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match () {
        () if days > 0 => format!("{days}d{:02}h", hours % 24),
        () if hours > 0 => format!("{hours}h{:02}m", minutes % 60),
        () if minutes > 0 => format!("{minutes}m{:02}s", seconds % 60),
        () => format!("{seconds}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = [["a".to_owned(), "1".to_owned()], ["long".to_owned(), "1000".to_owned()]];
        assert_eq!(table(["NAME", ">N"], &rows), "NAME     N\na        1\nlong  1000\n");
        assert_eq!(table(["NAME", "WHY"], &[]), "NAME  WHY\n");
    }

    #[test]
    fn numbers_are_said_in_the_largest_fitting_unit() {
        for (number, said) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (1_610_612_736, "1.5 GiB"),
            (u64::MAX, "16.0 EiB"),
        ] {
            assert_eq!(bytes(number), said);
        }
        for (time_ms, said) in [
            (999, "0s"),
            (59_000, "59s"),
            (125_000, "2m05s"),
            (14_820_000, "4h07m"),
            (788_400_000, "9d03h"),
        ] {
            assert_eq!(time(time_ms), said);
        }
    }
}
