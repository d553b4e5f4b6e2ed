//! Under construction.
/// Holds a region.
#[derive(Debug)]
pub struct Pin;
