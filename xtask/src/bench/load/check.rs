//! Whether the bytes are the right ones: a server that is fast with others wins nothing.

use std::fs::File;
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::client::head_of;
use super::{connect, get};

/// A server that says nothing for so long is broken.
const PATIENCE: Duration = Duration::from_secs(20);

/// Asks for `path` (or `start..end` of it) and compares the body with `file`.
pub fn check(server: SocketAddr, path: &str, range: Option<(u64, u64)>, file: &Path) -> Result<()> {
    let mut stream = connect(server)?;
    stream.set_read_timeout(Some(PATIENCE)).context("could not set a time-out")?;
    stream.write_all(&get(path, range, true)).context("could not ask")?;
    let expected =
        File::open(file).with_context(|| format!("could not open {}", file.display()))?;
    let len = expected.metadata().context("could not measure the file")?.len();
    let (start, end) = range.unwrap_or((0, len));
    let mut bytes = Vec::new();
    let head = loop {
        read_some(&mut stream, &mut bytes)?;
        if let Some(head) = head_of(&bytes)? {
            break head;
        }
    };
    let due = if range.is_some() { 206 } else { 200 };
    if (head.status, head.body) != (due, end - start) {
        bail!(
            "{path}: status {} with {} bytes, due {due} with {}",
            head.status,
            head.body,
            end - start
        );
    }
    bytes.drain(..head.len);
    let mut at = start;
    loop {
        let mut wanted = vec![0; bytes.len()];
        expected.read_exact_at(&mut wanted, at).context("could not read the file")?;
        if wanted != bytes {
            bail!("{path}: wrong bytes near {at}");
        }
        at += bytes.len() as u64;
        if at == end {
            return Ok(());
        }
        bytes.clear();
        read_some(&mut stream, &mut bytes)?;
    }
}

fn read_some(stream: &mut impl Read, bytes: &mut Vec<u8>) -> Result<()> {
    let before = bytes.len();
    bytes.resize(before + (256 << 10), 0);
    let got = stream.read(&mut bytes[before..]).context("could not read an answer")?;
    bytes.truncate(before + got);
    if got == 0 {
        bail!("the server closed before the end of its answer");
    }
    Ok(())
}
