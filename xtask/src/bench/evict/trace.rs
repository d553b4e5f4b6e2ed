//! Who asks for what: made from a seed, or read from a file.

use std::io::{BufRead, BufReader};
use std::path::Path;

use anyhow::{Context, Result};

const KIB: f64 = 1024.0;

/// One request for a whole object.
#[derive(Clone, Copy, Debug)]
pub struct Request {
    /// The object.
    pub key: u64,
    /// Its size, bytes.
    pub size_bytes: u64,
}

/// Requests in order.
pub struct Trace {
    /// What it is.
    pub name: String,
    /// All of them.
    pub requests: Vec<Request>,
}

/// A few well mixed bits of a number (splitmix64).
pub fn mix(number: u64) -> u64 {
    let mut z = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// A stream of numbers from a seed.
struct Dice(u64);

impl Dice {
    /// In 0 .. 1.
    fn throw(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(1);
        share(mix(self.0))
    }
}

fn share(bits: u64) -> f64 {
    (bits >> 11) as f64 / (1u64 << 53) as f64
}

/// Size of an object: seven in ten are small (1–64 KiB), a quarter medium (to 1 MiB), one in twenty
/// large (to 64 MiB), evenly by their logarithm.
fn size_of(key: u64) -> u64 {
    let (kind, at) = (share(mix(key ^ 0x51)), share(mix(key ^ 0xa7)));
    let (low, high) = match kind {
        kind if kind < 0.70 => (KIB, 64.0 * KIB),
        kind if kind < 0.95 => (64.0 * KIB, KIB * KIB),
        _ => (KIB * KIB, 64.0 * KIB * KIB),
    };
    (low * (high / low).powf(at)) as u64
}

fn request(key: u64) -> Request {
    Request { key, size_bytes: size_of(key) }
}

/// Popularity by rank: the n-th is asked for in proportion to n^-alpha.
struct Zipf(Vec<f64>);

impl Zipf {
    fn new(objects: usize, alpha: f64) -> Zipf {
        let mut sum = 0.0;
        let mut up_to = |rank: usize| {
            sum += (rank as f64).powf(-alpha);
            sum
        };
        Zipf((1..=objects).map(&mut up_to).collect())
    }

    fn draw(&self, dice: &mut Dice) -> u64 {
        let at = dice.throw() * self.0.last().copied().unwrap_or(0.0);
        self.0.partition_point(|&up_to| up_to < at) as u64
    }
}

/// Independent draws by popularity.
pub fn zipf(objects: usize, requests: usize, alpha: f64) -> Trace {
    let (law, mut dice) = (Zipf::new(objects, alpha), Dice(1));
    Trace {
        name: format!("zipf {alpha}"),
        requests: (0..requests).map(|_| request(law.draw(&mut dice))).collect(),
    }
}

/// Draws by popularity; now and then somebody goes through a stretch of the catalogue of things that
/// nobody else asks for, in order, and makes a third of all requests so.
pub fn scans(objects: usize, requests: usize) -> Trace {
    let (law, mut dice) = (Zipf::new(objects, 0.9), Dice(2));
    let stretch = objects / 20;
    let (mut next, mut left) = (objects as u64, 0);
    let mut draw = |_| {
        // A stretch is gone through at twice the pace of everybody else.
        if left == 0 && dice.throw() < 1.0 / (stretch as f64 * 1.5) {
            left = stretch;
        }
        if left > 0 && dice.throw() < 2.0 / 3.0 {
            (left, next) = (left - 1, next + 1);
            return request(next);
        }
        request(law.draw(&mut dice))
    };
    Trace { name: "scan-mixed".to_owned(), requests: (0..requests).map(&mut draw).collect() }
}

/// Draws by popularity; as many requests are for something that is never asked for again.
pub fn one_hits(objects: usize, requests: usize) -> Trace {
    let (law, mut dice) = (Zipf::new(objects, 0.9), Dice(3));
    let mut next = objects as u64;
    let mut draw = |_| {
        if dice.throw() < 0.5 {
            next += 1;
            return request(next);
        }
        request(law.draw(&mut dice))
    };
    Trace { name: "one-hit-heavy".to_owned(), requests: (0..requests).map(&mut draw).collect() }
}

/// Lines of `time key size`, in order; empty lines and those that begin with `#` are passed over.
/// Keys that are no numbers are hashed.
pub fn read(path: &Path) -> Result<Trace> {
    let file = std::fs::File::open(path).with_context(|| format!("cannot open {path:?}"))?;
    let mut requests = Vec::new();
    for (number, line) in (1..).zip(BufReader::new(file).lines()) {
        let line = line.with_context(|| format!("cannot read {path:?}"))?;
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let request = parse(line).with_context(|| {
            format!("{path:?}, line {number}: `{line}` is not `time key size` with a size in bytes")
        })?;
        requests.push(request);
    }
    let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
    Ok(Trace { name, requests })
}

fn parse(line: &str) -> Option<Request> {
    let mut words = line.split(|c: char| c.is_ascii_whitespace() || c == ',');
    let mut word = || words.find(|word| !word.is_empty());
    let (_time, key, size) = (word()?, word()?, word()?);
    let hashed = |key: &str| key.bytes().fold(7, |hash, byte| mix(hash ^ u64::from(byte)));
    let key = key.parse().unwrap_or_else(|_| hashed(key));
    Some(Request { key, size_bytes: size.parse().ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_or_refused() {
        let read = |line| parse(line).map(|it| (it.key, it.size_bytes));
        assert_eq!(read("0.5 17 4096"), Some((17, 4096)));
        assert_eq!(read("1,17,5,more"), Some((17, 5)));
        assert_eq!(read("1 /a 5").map(|it| it.1), Some(5));
        assert_ne!(read("1 /a 5"), read("1 /b 5"));
        for bad in ["", "1", "1 2", "1 2 x", "1 2 -3"] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }

    #[test]
    fn the_same_seed_makes_the_same_trace() {
        let keys = |trace: Trace| trace.requests.iter().map(|it| it.key).collect::<Vec<_>>();
        assert_eq!(keys(scans(1000, 5000)), keys(scans(1000, 5000)));
        let once = keys(one_hits(1000, 10_000)).iter().filter(|key| **key > 1000).count();
        assert!((4500..5500).contains(&once), "{once}");
        let scanned = keys(scans(1000, 20_000)).iter().filter(|key| **key > 1000).count();
        assert!((4000..10_000).contains(&scanned), "{scanned}");
    }
}
