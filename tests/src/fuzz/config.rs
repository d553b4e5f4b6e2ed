//! Configuration files.

use edge::config::Config;

/// Any text is a configuration or has at least one error with something to say.
pub fn config(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Err(errors) = Config::parse(text, "edge.toml") {
        assert!(!errors.to_string().trim().is_empty(), "an error that says nothing");
    }
}
