//! The `edge` binary.

use std::process::ExitCode;

/// Counts allocations, so that "a warm hit allocates nothing" can be read from the metrics.
#[global_allocator]
static ALLOCATOR: edge::sys::alloc::Counting = edge::sys::alloc::Counting;

fn main() -> ExitCode {
    edge::cli::run()
}
