//! `cargo xtask`: everything one does with this repository.
fn main() {}
