//! What the kernel program and the node share: the layout of the maps and the reasons of verdicts.
//!
//! Map types are bytes and integers only (no `bool`, enum or `Option`: the other side may write any
//! bit pattern), without padding (the kernel hashes and compares whole keys), and their sizes are
//! asserted. Whoever changes one raises [`LAYOUT`]: pinned maps of another layout are replaced.
#![no_std]

mod flow;
mod list;
#[cfg(feature = "user")]
mod pod;
pub mod reason;
mod settings;
mod total;

pub use flow::{Flow, FlowKey, mapped};
pub use list::{Address4, Allow, Deny};
pub use settings::{MODE_ENFORCE, MODE_OBSERVE, Settings};
pub use total::Total;

/// Version of everything in this crate that lies in pinned maps.
pub const LAYOUT: u32 = 1;
/// Flows accounted for when the configuration says nothing.
pub const FLOWS_DEFAULT: u32 = 65_536;
/// Entries of each allow list.
pub const ALLOW_MAX: u32 = 4_096;
/// Entries of each deny list, configured prefixes and bans together.
pub const DENY_MAX: u32 = 65_536;
