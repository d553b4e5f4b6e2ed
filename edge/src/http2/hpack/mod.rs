//! Field compression (RFC 7541).

mod decoder;
mod encoder;
mod huffman;
mod table;

pub use decoder::{Compression, Decoder};
pub use encoder::{Encoder, Keeping};
