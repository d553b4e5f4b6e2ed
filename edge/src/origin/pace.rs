//! How many streams one object comes on: more as long as that makes it come faster.

/// Time between two looks, ms.
pub const TICK_MS: u64 = 50;
/// Looks that one judgement takes.
const WINDOW_TICKS: u64 = 5;
/// Looks that a new stream has to bring its first byte.
const PATIENCE_TICKS: u64 = 40;
/// Less than this is left to come as it comes, ms.
const REST_MS: u64 = 500;

/// What is seen at one look.
#[derive(Clone, Copy, Debug)]
pub struct Look {
    /// Bytes that came since the last.
    pub came_bytes: u64,
    /// Whether somebody waits for bytes: else the client is what limits.
    pub is_awaited: bool,
    /// Streams that there are.
    pub streams: usize,
    /// Of those, streams that have brought bytes.
    pub flowing: usize,
    /// Bytes that could be brought in by more streams.
    pub rest_bytes: u64,
}

/// What is advised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct More {
    /// So many streams, all together.
    pub streams: usize,
    /// What all of them bring now.
    pub bytes_per_s: u64,
}

/// Judges, look by look, whether more streams help. Streams are doubled while a doubling brings at
/// least a quarter more; once it does not, they stay as they are.
#[derive(Debug)]
pub struct Pace {
    streams_max: usize,
    streams: usize,
    /// Streams and bytes per second before the last doubling.
    before: Option<u64>,
    is_settled: bool,
    /// Looks since the number of streams changed, until all of them flow.
    starting: Option<u64>,
    ticks: u64,
    awaited: u64,
    bytes: u64,
}

impl Pace {
    /// A pace for at most `streams_max`.
    pub fn new(streams_max: usize) -> Pace {
        Pace {
            streams_max,
            streams: 1,
            before: None,
            is_settled: streams_max < 2,
            starting: None,
            ticks: 0,
            awaited: 0,
            bytes: 0,
        }
    }

    /// Takes a look into account.
    pub fn look(&mut self, look: &Look) -> Option<More> {
        if self.is_settled || look.streams < self.streams {
            // A stream that has ended says nothing of what more would do.
            self.streams = self.streams.min(look.streams.max(1));
            self.begin_window();
            return None;
        }
        if look.streams > self.streams {
            self.streams = look.streams;
            self.starting = Some(0);
        }
        if let Some(ticks) = self.starting {
            let is_late = ticks >= PATIENCE_TICKS;
            self.starting = (look.flowing < look.streams && !is_late).then_some(ticks + 1);
            self.begin_window();
            return None;
        }
        if look.came_bytes == 0 {
            // It has not begun, or it stalls: more questions would not be answered sooner.
            self.begin_window();
            return None;
        }
        self.ticks += 1;
        self.bytes += look.came_bytes;
        self.awaited += u64::from(look.is_awaited);
        (self.ticks == WINDOW_TICKS).then(|| self.judge(look)).flatten()
    }

    fn judge(&mut self, look: &Look) -> Option<More> {
        let bytes_per_s = self.bytes * 1_000 / (WINDOW_TICKS * TICK_MS);
        let is_awaited = self.awaited * 2 > WINDOW_TICKS;
        self.begin_window();
        if !is_awaited || look.rest_bytes < bytes_per_s * REST_MS / 1_000 {
            return None;
        }
        if self.before.is_some_and(|before| bytes_per_s < before + before / 4) {
            self.is_settled = true;
            return None;
        }
        self.before = Some(bytes_per_s);
        let streams = (look.streams * 2).min(self.streams_max);
        (streams > look.streams).then_some(More { streams, bytes_per_s })
    }

    fn begin_window(&mut self) {
        (self.ticks, self.awaited, self.bytes) = (0, 0, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Streams after a time in which `bytes` come at each look, by the number of streams.
    fn streams(max: usize, is_awaited: bool, bytes: impl Fn(usize) -> u64) -> usize {
        let (mut pace, mut streams, mut late) = (Pace::new(max), 1, 0);
        for _ in 0..400 {
            late = if late > 0 { late - 1 } else { 0 };
            let flowing = if late > 0 { streams - 1 } else { streams };
            let came_bytes = bytes(flowing);
            let look = Look { came_bytes, is_awaited, streams, flowing, rest_bytes: 1 << 40 };
            if let Some(more) = pace.look(&look) {
                assert!(more.streams > streams && more.bytes_per_s == came_bytes * 20);
                (streams, late) = (more.streams, 3);
            }
        }
        streams
    }

    #[test]
    fn streams_are_added_as_long_as_they_help() {
        assert_eq!(streams(8, true, |streams| streams as u64 * 1_000), 8, "a limit for each");
        assert_eq!(streams(6, true, |streams| streams as u64 * 1_000), 6, "no more than allowed");
        assert_eq!(streams(8, true, |_| 1_000), 2, "one limit for all: one try");
        assert_eq!(streams(8, true, |streams| streams.min(3) as u64 * 1_000), 8);
        assert_eq!(streams(8, true, |streams| streams.min(2) as u64 * 1_000), 4);
        assert_eq!(streams(1, true, |streams| streams as u64 * 1_000), 1);
    }

    #[test]
    fn nothing_is_tried_for_a_slow_client_or_a_stalled_origin() {
        assert_eq!(streams(8, false, |streams| streams as u64 * 1_000), 1);
        assert_eq!(streams(8, true, |_| 0), 1);
    }

    #[test]
    fn what_is_nearly_done_is_left_alone() {
        let mut pace = Pace::new(8);
        let look =
            Look { came_bytes: 1_000, is_awaited: true, streams: 1, flowing: 1, rest_bytes: 9_000 };
        assert!((0..100).all(|_| pace.look(&look).is_none()));
    }
}
