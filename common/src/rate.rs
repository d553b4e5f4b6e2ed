//! Token buckets as one number: the theoretical arrival time of the generic cell rate algorithm
//! (ITU-T I.371, annex A). A bucket is full when its time has passed, empty when it lies a whole
//! burst ahead.

/// Binary places of [`Rate::cost`] behind the point: bytes at 10 GB/s cost a tenth of a nanosecond.
const COST_SHIFT: u32 = 20;
const NS_PER_S: u64 = 1_000_000_000;

/// A limit, as the kernel program reads it. All zero: there is no limit.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rate {
    /// Time a unit takes up, 2^-20 ns; 0: no limit.
    pub cost: u64,
    /// How far ahead of the clock a bucket may run, ns.
    pub tolerance_ns: u64,
}

impl Rate {
    /// No limit.
    pub const NONE: Rate = Rate { cost: 0, tolerance_ns: 0 };

    /// `per_s` units a second, and `burst` of them at once. `per_s` 0: no limit.
    pub const fn new(per_s: u64, burst: u64) -> Rate {
        if per_s == 0 {
            return Rate::NONE;
        }
        let cost = (NS_PER_S << COST_SHIFT) / per_s;
        let cost = if cost == 0 { 1 } else { cost };
        let tolerance_ns = (cost as u128 * burst as u128) >> COST_SHIFT;
        let most = u64::MAX as u128 >> 2;
        let tolerance_ns = if tolerance_ns > most { most } else { tolerance_ns };
        Rate { cost, tolerance_ns: tolerance_ns as u64 }
    }

    /// Whether it limits anything.
    #[inline(always)]
    pub const fn limits(&self) -> bool {
        self.cost != 0
    }

    /// Time `units` take up, ns.
    #[inline(always)]
    pub const fn cost_ns(&self, units: u64) -> u64 {
        self.cost.wrapping_mul(units) >> COST_SHIFT
    }

    /// The bucket's time after `units` more at `now_ns`; `None`: they are too many, and the bucket
    /// stays as it is.
    #[inline(always)]
    pub const fn admit(&self, bucket_ns: u64, now_ns: u64, units: u64) -> Option<u64> {
        let start_ns = if bucket_ns > now_ns { bucket_ns } else { now_ns };
        let next_ns = start_ns + self.cost_ns(units);
        if next_ns - now_ns > self.tolerance_ns { None } else { Some(next_ns) }
    }

    /// The limit of a bucket that is not to get less than half full.
    #[inline(always)]
    pub const fn half(&self) -> Rate {
        Rate { cost: self.cost, tolerance_ns: self.tolerance_ns / 2 }
    }

    /// Units a bucket would still admit at once, for people to see.
    pub const fn left(&self, bucket_ns: u64, now_ns: u64) -> u64 {
        if self.cost == 0 {
            return u64::MAX;
        }
        let used_ns = bucket_ns.saturating_sub(now_ns);
        let left_ns = self.tolerance_ns.saturating_sub(used_ns);
        (((left_ns as u128) << COST_SHIFT) / self.cost as u128) as u64
    }
}

const _: () = assert!(size_of::<Rate>() == 16);

#[cfg(test)]
mod tests {
    use super::*;

    /// Units admitted of `units` each, offered every `step_ns` for `steps` steps.
    fn admitted(rate: Rate, units: u64, step_ns: u64, steps: u64) -> u64 {
        let mut bucket_ns = 0;
        let mut admitted = 0;
        for step in 0..steps {
            // A clock that has run for a while.
            let now_ns = 1_000 * NS_PER_S + step * step_ns;
            if let Some(next_ns) = rate.admit(bucket_ns, now_ns, units) {
                bucket_ns = next_ns;
                admitted += units;
            }
        }
        admitted
    }

    #[test]
    fn a_burst_passes_at_once_and_no_more() {
        let rate = Rate::new(1_000, 50);
        assert_eq!(admitted(rate, 1, 0, 500), 50);
        assert_eq!(admitted(Rate::new(1, 1), 1, 0, 10), 1);
        assert_eq!(admitted(Rate::new(1_000, 0), 1, 0, 10), 0);
    }

    #[test]
    fn over_time_the_rate_passes_whatever_is_offered() {
        // Ten times the rate for ten seconds.
        let got = admitted(Rate::new(1_000, 50), 1, 100_000, 100_000);
        assert!((10_040..=10_051).contains(&got), "{got}");
        // 1 GB/s offered to 125 MB/s, for a second.
        let got = admitted(Rate::new(125_000_000, 1_000_000), 1_500, 1_500, 666_667);
        assert!((125_500_000..=126_700_000).contains(&got), "{got}");
    }

    #[test]
    fn below_the_rate_nothing_is_refused() {
        assert_eq!(admitted(Rate::new(1_000, 1), 1, 1_000_000, 10_000), 10_000);
        assert_eq!(admitted(Rate::new(10_000_000_000, 3_000), 1_500, 150, 10_000), 15_000_000);
    }

    #[test]
    fn what_is_left_is_what_would_pass() {
        let rate = Rate::new(1_000, 50);
        let now_ns = 5 * NS_PER_S;
        assert_eq!(rate.left(0, now_ns), 50);
        let after = rate.admit(0, now_ns, 30).unwrap();
        assert_eq!(rate.left(after, now_ns), 20);
        assert!(rate.admit(after, now_ns, 20).is_some());
        assert!(rate.admit(after, now_ns, 21).is_none());
        assert_eq!(rate.left(after, now_ns + NS_PER_S), 50);
    }

    proptest::proptest! {
        /// In any stretch of time at most the burst and the rate over that stretch pass.
        #[test]
        fn never_more_than_burst_and_rate(
            per_s in 60u64..10_000_000_000,
            burst in 1u64..1_000_000,
            offers in proptest::collection::vec((0u64..50_000_000, 1u64..70_000), 1..200),
        ) {
            let rate = Rate::new(per_s, burst);
            let start_ns = 10 * NS_PER_S;
            let (mut now_ns, mut bucket_ns, mut units) = (start_ns, 0, 0u128);
            for (step_ns, offered) in offers {
                now_ns += step_ns;
                if let Some(next_ns) = rate.admit(bucket_ns, now_ns, offered) {
                    bucket_ns = next_ns;
                    units += u128::from(offered);
                    let rounding = u128::from(per_s) / u128::from(NS_PER_S) + 1;
                    let elapsed_ns = u128::from(now_ns - start_ns);
                    let most = u128::from(burst) + elapsed_ns * u128::from(per_s) / u128::from(NS_PER_S);
                    // A nanosecond is lost to rounding with every packet, and 2^-20 ns a unit.
                    let slack = 200 * rounding + most / 1_000 + ((most * u128::from(per_s)) >> 50);
                    proptest::prop_assert!(units <= most + slack, "{units} of {most}");
                }
            }
        }

        #[test]
        fn no_number_panics(per_s: u64, burst: u64, bucket_ns in 0u64..1 << 62, units in 0u64..1 << 20) {
            let rate = Rate::new(per_s, burst);
            let _ = rate.admit(bucket_ns, 1 << 40, units);
            let _ = rate.left(bucket_ns, 1 << 40);
        }
    }
}
