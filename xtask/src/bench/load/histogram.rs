//! Latencies in log-linear buckets: every value within 1/64 of itself, in 30 KiB.

const SUB_BITS: u32 = 6;
const SUBS: u64 = 1 << SUB_BITS;

/// Counts of durations, ns.
#[derive(Clone)]
pub struct Histogram {
    counts: Vec<u64>,
    total: u64,
}

impl Histogram {
    /// Nothing counted yet.
    pub fn new() -> Histogram {
        Histogram { counts: vec![0; ((64 - SUB_BITS as usize) + 1) * SUBS as usize], total: 0 }
    }

    /// Counts one duration.
    pub fn add(&mut self, value_ns: u64) {
        self.counts[bucket(value_ns)] += 1;
        self.total += 1;
    }

    /// Counts all that `other` counted.
    pub fn merge(&mut self, other: &Histogram) {
        self.counts.iter_mut().zip(&other.counts).for_each(|(mine, theirs)| *mine += theirs);
        self.total += other.total;
    }

    /// The duration that a share `quantile` (0 to 1) of all stays at or under, ns; 0 when there is none.
    pub fn quantile(&self, quantile: f64) -> u64 {
        let wanted = ((self.total as f64 * quantile).ceil() as u64).max(1);
        let mut seen = 0;
        for (index, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= wanted {
                return highest(index as u64);
            }
        }
        0
    }
}

fn bucket(value: u64) -> usize {
    if value < SUBS {
        return value as usize;
    }
    let exponent = 63 - value.leading_zeros();
    let sub = value >> (exponent - SUB_BITS) & (SUBS - 1);
    (u64::from(exponent - SUB_BITS + 1) * SUBS + sub) as usize
}

/// The largest value of a bucket.
fn highest(bucket: u64) -> u64 {
    if bucket < SUBS {
        return bucket;
    }
    let shift = bucket / SUBS - 1;
    let low = (SUBS + bucket % SUBS) << shift;
    low + ((1 << shift) - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_lies_in_its_bucket() {
        for value in (0..2_000).chain([1 << 20, (1 << 40) + 12_345, u64::MAX / 3, u64::MAX]) {
            let top = highest(bucket(value) as u64);
            assert!(top >= value && top - value <= value / 64 + 1, "{value} {top}");
        }
    }

    #[test]
    fn quantiles_are_of_what_was_added() {
        let mut all = Histogram::new();
        assert_eq!(all.quantile(0.5), 0);
        let mut rest = Histogram::new();
        (1..=50).for_each(|value| all.add(value));
        (51..=100).for_each(|value| rest.add(value * 1_000));
        all.merge(&rest);
        assert_eq!(all.quantile(0.5), 50);
        let top = all.quantile(0.99);
        assert!((99_000..=101_000).contains(&top), "{top}");
    }
}
