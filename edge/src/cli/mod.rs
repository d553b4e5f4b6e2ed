//! The command line.
#![forbid(unsafe_code)]

pub mod bans;
pub mod conns;
pub mod drops;
mod reader;

pub use reader::ReaderError;
