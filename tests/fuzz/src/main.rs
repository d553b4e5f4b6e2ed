//! libFuzzer's entry: checks the target that `EDGE_FUZZ_TARGET` names.
#![no_main]

use std::sync::LazyLock;

use edge_tests::fuzz::{Target, target};
use libfuzzer_sys::fuzz_target;

static TARGET: LazyLock<Target> = LazyLock::new(|| {
    let name = std::env::var("EDGE_FUZZ_TARGET").unwrap_or_default();
    target(&name).unwrap_or_else(|| panic!("EDGE_FUZZ_TARGET={name}: no such target"))
});

fuzz_target!(|bytes: &[u8]| (TARGET.check)(bytes));
