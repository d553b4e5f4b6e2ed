//! The configuration of a node under test, section by section.

use std::path::Path;

/// What a story changes of a node that is small, quick to checkpoint and without a guard.
#[derive(Clone, Debug, Default)]
pub struct NodeConfig {
    server: Vec<String>,
    cache: Vec<String>,
    sites: Vec<String>,
    pub(crate) environment: Vec<(String, String)>,
    heads: Vec<String>,
    top: Vec<String>,
    guard: Vec<String>,
    volume_mib: Option<u64>,
    volumes: Option<String>,
    guarded: Option<String>,
}

impl NodeConfig {
    /// Any host, one origin (`http://…` or `file:///…`).
    pub fn of(origin: &str) -> NodeConfig {
        NodeConfig::default().site("*", origin, &[])
    }

    /// Adds a site; `lines` are further keys of it.
    pub fn site(mut self, host: &str, origin: &str, lines: &[&str]) -> NodeConfig {
        let more: String = lines.iter().map(|line| format!("{line}\n")).collect();
        let site = format!("[[site]]\nhosts = [\"{host}\"]\norigin = [\"{origin}\"]\n{more}");
        self.sites.push(site);
        self
    }

    /// Sets a variable of the node's environment.
    pub fn environment(mut self, name: &str, value: &str) -> NodeConfig {
        self.environment.push((name.into(), value.into()));
        self
    }

    /// Adds a table that stands before the sites.
    pub fn head(mut self, text: &str) -> NodeConfig {
        self.heads.push(text.into());
        self
    }

    /// Adds a line to `[server]`.
    pub fn server(mut self, line: &str) -> NodeConfig {
        self.server.push(line.into());
        self
    }

    /// Adds a line to `[cache]`, for instance another `checkpoint` than 500 ms.
    pub fn cache(mut self, line: &str) -> NodeConfig {
        self.cache.push(line.into());
        self
    }

    /// Adds whole sections, as TOML text.
    pub fn section(mut self, text: &str) -> NodeConfig {
        self.top.push(text.into());
        self
    }

    /// Adds a TLS listener, with these pairs of certificate and key.
    pub fn tls(self, pairs: &[(&Path, &Path)]) -> NodeConfig {
        let listen = "[[listen]]\naddr = \"127.0.0.1:0\"\ntls = true\n";
        pairs.iter().fold(self.section(listen), |config, (cert, key)| {
            let (cert, key) = (cert.display(), key.display());
            config.section(&format!("[[certificate]]\ncert = \"{cert}\"\nkey = \"{key}\"\n"))
        })
    }

    /// Turns the guard on at the loopback, for namespaces of one's own, with its maps in `pins`.
    pub fn guarded(self, pins: &Path) -> NodeConfig {
        self.guarded_at("lo", pins)
    }

    /// Turns the guard on at `interface`.
    pub fn guarded_at(mut self, interface: &str, pins: &Path) -> NodeConfig {
        let pins = pins.display();
        self.guarded = Some(format!(
            "interfaces = [\"{interface}\"]
pin_dir = \"{pins}\""
        ));
        self
    }

    /// Adds a line to `[guard]`.
    pub fn guard(mut self, line: &str) -> NodeConfig {
        self.guard.push(line.into());
        self
    }

    /// Size of the one volume; 256 MiB otherwise.
    pub fn volume_mib(mut self, mib: u64) -> NodeConfig {
        self.volume_mib = Some(mib);
        self
    }

    /// Other volumes than the one: the TOML of `cache.volumes`.
    pub fn volumes(mut self, toml: &str) -> NodeConfig {
        self.volumes = Some(toml.into());
        self
    }

    /// The TOML text of a node that lives in `dir`.
    pub fn text(&self, dir: &Path) -> String {
        let dir = dir.display();
        let lines = |lines: &[String]| lines.iter().map(|line| format!("{line}\n")).collect();
        let (server, cache): (String, String) = (lines(&self.server), lines(&self.cache));
        let guard: String = lines(&self.guard);
        let interfaces = self.guarded.as_deref().unwrap_or("interfaces = []");
        let checkpoint = if cache.contains("checkpoint") { "" } else { "checkpoint = \"500ms\"\n" };
        let size = self.volume_mib.unwrap_or(256);
        let own = format!("[{{ path = \"{dir}/volume\", size = \"{size}MiB\" }}]");
        let volumes = self.volumes.as_deref().unwrap_or(&own);
        let sites = [&self.heads[..], &self.sites].concat().join("\n");
        let top = self.top.join("\n");
        format!(
            "[server]
workers = 2
{server}
[[listen]]
addr = \"127.0.0.1:0\"

{top}
[admin]
addr = \"127.0.0.1:0\"

[cache]
volumes = {volumes}
slice = \"1MiB\"
{checkpoint}{cache}
[guard]
{interfaces}
{guard}
[log]
access = \"{dir}/access.log\"
format = \"json\"
level = \"info\"

{sites}"
        )
    }
}
