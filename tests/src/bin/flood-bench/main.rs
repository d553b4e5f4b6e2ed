//! What good clients notice of a flood (`cargo xtask bench flood`), and what accounts cost a server that is
//! not attacked (`cargo xtask bench overhead`).
//!
//! ```text
//!   edge-c-…: good clients, flood ───veth─── edge-s-…: the server, and what guards it
//! ```
//!
//! The flood is SYN segments from a million addresses, made by the kernel on one CPU as fast as it can. Beside
//! it stands the same program on the same CPU with nowhere to send: what that leaves for good clients is all
//! that any guard could.

use std::error::Error;
use std::path::PathBuf;

use serde_json::{Value, json};

mod flood;
mod overhead;
mod stage;

type Outcome<T> = Result<T, Box<dyn Error>>;

fn main() -> Outcome<()> {
    match std::env::args().nth(1).as_deref() {
        Some("flood") => flood::run(),
        Some("overhead") => overhead::run(),
        _ => Err("say `flood` or `overhead`".into()),
    }
}

/// Prints a table and keeps it beside the others of the benchmark.
fn report(name: &str, table: &str, rows: &[Value]) -> Outcome<()> {
    println!("{table}");
    let dir = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../target/bench");
    std::fs::create_dir_all(&dir)?;
    std::fs::write(dir.join(format!("{name}.md")), table)?;
    let json = format!("{:#}\n", json!({ "rows": rows }));
    Ok(std::fs::write(dir.join(format!("{name}.json")), json)?)
}
