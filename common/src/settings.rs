//! What the node tells the kernel program.

/// Verdicts are counted, packets pass. Also what a table of zeroes means: a program whose node has
/// not spoken yet drops nothing.
pub const MODE_OBSERVE: u32 = 0;
/// Verdicts drop.
pub const MODE_ENFORCE: u32 = 1;

/// Map `settings`, its one entry.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// [`crate::LAYOUT`] of the node that wrote the maps.
    pub layout: u32,
    /// [`MODE_OBSERVE`] or [`MODE_ENFORCE`]; what is neither observes.
    pub mode: u32,
}

const _: () = assert!(size_of::<Settings>() == 8);
