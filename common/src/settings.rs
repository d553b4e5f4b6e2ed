//! What the node tells the kernel program.

use crate::Rate;

/// Verdicts are counted, packets pass. Also what a table of zeroes means: a program whose node has
/// not spoken yet drops nothing.
pub const MODE_OBSERVE: u32 = 0;
/// Verdicts drop.
pub const MODE_ENFORCE: u32 = 1;

/// Packets pass unseen.
pub const MODE_OFF: u32 = 2;

/// A policy: such packets pass.
pub const POLICY_PASS: u32 = 0;
/// They pass within the client's limits of packets and bytes.
pub const POLICY_LIMIT: u32 = 1;
/// They are dropped.
pub const POLICY_DROP: u32 = 2;

/// An answer with a cookie offers a segment size and nothing else.
pub const COOKIE_PLAIN: u32 = u32::MAX;

/// Datagrams to ports from here on are answers to what this host asked; no policy touches them.
/// The least of `net.ipv4.ip_local_port_range` as Linux comes.
pub const EPHEMERAL_PORT_MIN: u16 = 32_768;

/// Map `settings`, its one entry.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// [`crate::LAYOUT`] of the node that wrote the maps.
    pub layout: u32,
    /// [`MODE_ENFORCE`] or [`MODE_OFF`]; what is neither observes.
    pub mode: u32,
    /// Fragments: [`POLICY_PASS`] or [`POLICY_DROP`].
    pub fragments: u32,
    /// Connection attempts to ports the node does not serve: pass or drop.
    pub unserved: u32,
    /// Datagrams: pass, limit or drop.
    pub udp: u32,
    /// Echo requests: pass, limit or drop. Other ICMP carries errors, and always passes.
    pub icmp: u32,
    /// Places of the map `unproven`.
    pub clients: u32,
    /// What an answer with a cookie offers: [`COOKIE_PLAIN`], else the window scale the kernel will
    /// choose, with timestamps and selective acknowledgements.
    pub cookie_scale: u32,
    /// Where unproven clients are kept, see [`crate::slot`].
    pub seed: u64,
    /// What of an IPv4 address is a client, as the address is kept in flows.
    pub mask4: [u8; 16],
    /// What of an IPv6 address is a client.
    pub mask6: [u8; 16],
    /// Connection attempts a client may make.
    pub syn: Rate,
    /// Packets it may send.
    pub packets: Rate,
    /// Bytes it may send, link-layer header included.
    pub bytes: Rate,
    /// Live connections it may hold; 0: any number.
    pub conns_max: u64,
    /// Handshakes that strangers may begin, on each CPU; above it they are answered with cookies.
    pub handshakes: Rate,
    /// Flows of strangers that may be entered into their table, on each CPU.
    pub strangers: Rate,
    /// Drops of each reason that are reported, on each CPU.
    pub events: Rate,
}

const _: () = assert!(size_of::<Settings>() == 176);
