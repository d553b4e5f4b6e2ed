//! The `edge` binary.
fn main() {}
