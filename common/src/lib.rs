//! What the kernel program and the node share: the layout of the maps and the reasons of verdicts.
//!
//! Map types are bytes and integers only (no `bool`, enum or `Option`: the other side may write any
//! bit pattern), without padding (the kernel hashes and compares whole keys), and their sizes are
//! asserted. Whoever changes one raises [`LAYOUT`]: pinned maps of another layout are replaced.
#![no_std]

mod client;
mod conn;
mod event;
mod flow;
mod list;
#[cfg(feature = "user")]
mod pod;
mod ports;
mod prime;
pub mod range;
mod rate;
pub mod reason;
mod settings;
pub mod tcp;
mod total;

pub use client::{Client, mask, prefix, slot};
pub use conn::{
    Conn, STATE_CLOSED, STATE_CLOSING, STATE_ESTABLISHED, STATE_FIN_WAIT_2, STATE_LAST_ACK,
};
pub use event::Event;
pub use flow::{Flow, FlowKey, is_mapped, mapped};
pub use list::{Address4, Allow, Deny};
pub use ports::Ports;
pub use prime::{Budget, PrimeKey};
pub use rate::Rate;
pub use settings::{
    COOKIE_PLAIN, EPHEMERAL_PORT_MIN, MODE_ENFORCE, MODE_OBSERVE, MODE_OFF, POLICY_DROP,
    POLICY_LIMIT, POLICY_PASS, Settings,
};
pub use total::Total;

/// Version of everything in this crate that lies in pinned maps.
pub const LAYOUT: u32 = 4;
/// Flows accounted for when the configuration says nothing.
pub const FLOWS_DEFAULT: u32 = 65_536;
/// Flows of strangers for every so many of clients that are proven.
pub const FLOWS_PER_STRANGER: u32 = 4;
/// Listening addresses whose state is known.
pub const LISTENERS_MAX: u32 = 1_024;
/// Bytes of the ring of events.
pub const EVENTS_BYTES: u32 = 256 << 10;
/// Connections followed when the configuration says nothing.
pub const CONNS_DEFAULT: u32 = 65_536;
/// Clients kept apart when the configuration says nothing.
pub const CLIENTS_DEFAULT: u32 = 65_536;
/// Entries of each allow list.
pub const ALLOW_MAX: u32 = 4_096;
/// Entries of each deny list, configured prefixes and bans together.
pub const DENY_MAX: u32 = 65_536;
