//! The client-facing HTTP machine.
#![forbid(unsafe_code)]

pub mod demand;

pub use demand::Demand;
