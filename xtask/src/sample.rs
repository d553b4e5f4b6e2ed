//! A directory worth serving: one large file, many small ones, an index.

use std::fs;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::sh;

/// The large file's name and length.
pub const LARGE: (&str, u64) = ("large.bin", 64 << 20);
const SMALL_COUNT: u64 = 100;

/// Makes the sample below `target/`, or what is missing of it.
pub fn make() -> Result<PathBuf> {
    let dir = sh::target().join("sample");
    fs::create_dir_all(dir.join("small"))
        .with_context(|| format!("could not make {}", dir.display()))?;
    fill(&dir.join(LARGE.0), LARGE.1, 1)?;
    for n in 0..SMALL_COUNT {
        // 1 KiB to 100 KiB: on both sides of where the node changes from copying to splicing.
        fill(&dir.join(small(n)), (n + 1) * 1024, n + 2)?;
    }
    let index = dir.join("index.html");
    fs::write(&index, page()).with_context(|| format!("could not write {}", index.display()))?;
    Ok(dir)
}

fn small(n: u64) -> String {
    format!("small/{n:02}.bin")
}

fn page() -> String {
    let links: String = (0..SMALL_COUNT)
        .map(|n| format!("<li><a href=\"/{0}\">{0}</a>, {1} KiB</li>\n", small(n), n + 1))
        .collect();
    let (large, bytes) = LARGE;
    format!(
        "<!doctype html>\n<title>edge</title>\n<h1>It serves</h1>\n\
         <p><a href=\"/{large}\">{large}</a>, {}</p>\n<ul>\n{links}</ul>\n",
        sh::human(bytes)
    )
}

/// Writes `bytes` bytes that no compression shortens and that are the same every time.
pub fn fill(path: &Path, bytes: u64, seed: u64) -> Result<()> {
    if fs::metadata(path).is_ok_and(|there| there.len() == bytes) {
        return Ok(());
    }
    let file =
        fs::File::create(path).with_context(|| format!("could not make {}", path.display()))?;
    let mut out = BufWriter::with_capacity(1 << 20, file);
    let mut words = noise(seed).take(bytes as usize / 8);
    let written = words.try_for_each(|word| out.write_all(&word.to_le_bytes()));
    written
        .and_then(|()| out.flush())
        .with_context(|| format!("could not write {}", path.display()))
}

/// xorshift64 (Marsaglia 2003).
fn noise(seed: u64) -> impl Iterator<Item = u64> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    std::iter::repeat_with(move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn noise_repeats_itself_and_differs_by_seed() {
        let first = |seed| noise(seed).take(4).collect::<Vec<_>>();
        assert_eq!(first(1), first(1));
        assert_ne!(first(1), first(2));
    }

    #[test]
    fn the_index_names_every_file() {
        let page = page();
        assert!(page.contains("/large.bin\"") && page.contains("/small/99.bin\""));
    }
}
