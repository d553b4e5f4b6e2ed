//! What the kernel program keeps of all strangers together.

/// Map `budgets`, its one entry, one a CPU: buckets nobody else writes.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Budget {
    /// Handshakes begun by strangers.
    pub handshake_ns: u64,
    /// Segments that belong to no known connection.
    pub stray_ns: u64,
    /// Flows entered into the table of strangers.
    pub stranger_ns: u64,
}

/// Map `primed`, key: a listening address. The value is the time, ns, until which its socket is known
/// to accept cookies: it does so only after it has been seen to overflow.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PrimeKey {
    /// As flows have it.
    pub local: [u8; 16],
    /// In host order.
    pub port: u16,
    /// Always zero.
    pub zero: [u8; 6],
}

const _: () = assert!(size_of::<Budget>() == 24);
const _: () = assert!(size_of::<PrimeKey>() == 24);
