//! `edge check`: says what is wrong with a configuration, or what it stands for.

use std::fmt::Write;
use std::path::PathBuf;

use super::CliError;
use crate::config::{Config, Origin, Site, size_text};
use crate::server::ServerError;
use crate::site::Geo;

/// Check a configuration file, and show what a node would do with it
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// Configuration file
    #[arg(short, long, value_name = "FILE")]
    config: PathBuf,
}

/// Runs the command.
pub fn run(args: Args) -> Result<(), CliError> {
    let config = Config::load(&args.config)?;
    if let Some(path) = &config.geo {
        Geo::open(path).map_err(ServerError::from)?;
    }
    super::print(&format!("{}: ok\n{}", args.config.display(), summary(&config)))
}

fn summary(config: &Config) -> String {
    let mut text = String::new();
    // Writing to a String cannot fail.
    for listen in &config.listen {
        let _ = writeln!(text, "  listen  {}", listen.addr);
    }
    if let Some(addr) = config.admin.addr {
        let _ = writeln!(text, "  admin   {addr}");
    }
    if let Some(socket) = &config.admin.socket {
        let _ = writeln!(text, "  admin   {}", socket.display());
    }
    for volume in &config.cache.volumes {
        let _ =
            writeln!(text, "  volume  {} {}", volume.path.display(), size_text(volume.size_bytes));
    }
    if config.cache.volumes.is_empty() {
        text.push_str("  volume  temporary\n");
    }
    match config.guard.interfaces.as_slice() {
        [] => text.push_str("  guard   off\n"),
        names => {
            let _ = writeln!(text, "  guard   {}", names.join(", "));
        }
    }
    for site in &config.sites {
        let _ = writeln!(text, "  site    {} <- {}", site.hosts.join(", "), origin(site));
    }
    text
}

fn origin(site: &Site) -> String {
    match &site.origin {
        Origin::File { root } => {
            let note = if root.is_dir() { "" } else { " (no such directory at the moment)" };
            format!("file://{}{note}", root.display())
        }
        Origin::Http { addresses, .. } => {
            addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_summary_names_what_matters() {
        let text = r#"
            [[listen]]
            addr = "0.0.0.0:80"
            [admin]
            socket = "/run/admin.sock"
            [cache]
            volumes = [{ path = "/v0", size = "10GiB" }]
            [[site]]
            hosts = ["a.example", "*.a.example"]
            origin = ["http://10.0.0.2", "http://[2001:db8::1]:81"]
            [[site]]
            hosts = "*"
            origin = "file:///nonexistent"
        "#;
        let config = Config::parse(text, "edge.toml").unwrap();
        assert_eq!(
            summary(&config),
            "  listen  0.0.0.0:80\n  \
               admin   /run/admin.sock\n  \
               volume  /v0 10GiB\n  \
               guard   off\n  \
               site    a.example, *.a.example <- http://10.0.0.2:80, http://[2001:db8::1]:81\n  \
               site    * <- file:///nonexistent (no such directory at the moment)\n"
        );
    }
}
