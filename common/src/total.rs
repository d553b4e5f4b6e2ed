//! Totals by reason.

/// Map `totals`, value; one a CPU, so no update is lost.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Total {
    /// Packets judged so.
    pub packets: u64,
    /// Their bytes, link-layer header included.
    pub bytes: u64,
    /// Of those, packets dropped; in observe mode none.
    pub dropped_packets: u64,
    /// Their bytes.
    pub dropped_bytes: u64,
    /// Bucket of reports, ns.
    pub event_ns: u64,
}

const _: () = assert!(size_of::<Total>() == 40);
