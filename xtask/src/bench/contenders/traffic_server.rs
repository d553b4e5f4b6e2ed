//! Apache Traffic Server: a directory of its own, laid out as its packages lay out the file system.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::{Start, origin};

/// One line for each answer, in the combined format.
const LOGGING: &str = r#"logging:
  formats:
    - name: combined
      format: '%<chi> - %<caun> [%<cqtn>] "%<cqhm> %<pqu> %<cqpv>" %<pssc> %<pscl> "%<{Referer}cqh>" "%<{User-Agent}cqh>"'
  logs:
    - filename: access
      format: combined
      mode: ascii
"#;

/// Everybody may ask; without the file only some methods are.
const ALLOW: &str =
    "ip_allow:\n  - apply: in\n    ip_addrs: 0/0\n    action: allow\n    methods: ALL\n";

/// Makes its directories and files in `room`; the file that names them.
pub fn lay_out(start: &Start<'_>, address: SocketAddr, room: &Path) -> Result<PathBuf> {
    let etc = room.join("etc");
    for name in ["etc", "log", "run", "cache", "share"] {
        fs::create_dir_all(room.join(name)).context("could not make a directory")?;
    }
    let write = |path: PathBuf, text: String| {
        fs::write(&path, text).with_context(|| format!("could not write {}", path.display()))
    };
    write(etc.join("records.config"), records(start.workers, address))?;
    write(etc.join("storage.config"), format!("{} 4G\n", room.join("cache").display()))?;
    write(etc.join("remap.config"), format!("map / http://{}/\n", origin(start)?))?;
    write(etc.join("logging.yaml"), LOGGING.to_owned())?;
    write(etc.join("ip_allow.yaml"), ALLOW.to_owned())?;
    let layout = room.join("runroot.yaml");
    write(layout.clone(), directories(room))?;
    Ok(layout)
}

fn directories(room: &Path) -> String {
    let room = room.display();
    format!(
        "prefix: {room}\nexec_prefix: /usr\nbindir: /usr/bin\nsbindir: /usr/bin\n\
         sysconfdir: {room}/etc\ndatadir: {room}/share\nincludedir: /usr/include\n\
         libdir: /usr/lib/trafficserver\nlibexecdir: /usr/lib/trafficserver/modules\n\
         localstatedir: {room}\nruntimedir: {room}/run\nlogdir: {room}/log\n\
         cachedir: {room}/cache\n"
    )
}

fn records(workers: usize, address: SocketAddr) -> String {
    let (ip, port) = (address.ip(), address.port());
    let settings = [
        ("http.server_ports STRING", format!("{port}:ip-in={ip}")),
        ("exec_thread.autoconfig INT", "0".to_owned()),
        ("exec_thread.limit INT", workers.to_string()),
        ("accept_threads INT", "0".to_owned()),
        ("cache.ram_cache.size INT", (3_u64 << 30).to_string()),
        ("cache.ram_cache_cutoff INT", (2_u64 << 30).to_string()),
        // What the origin says nothing about is kept, as by the others.
        ("http.cache.required_headers INT", "0".to_owned()),
        ("http.keep_alive_no_activity_timeout_in INT", "3600".to_owned()),
        ("net.connections_throttle INT", "200000".to_owned()),
        // It stays the user that it was started as.
        ("admin.user_id STRING", "#-1".to_owned()),
        ("log.logging_enabled INT", "3".to_owned()),
        ("crash_log_helper STRING", "NULL".to_owned()),
    ];
    let line = |(name, value): &(&str, String)| format!("CONFIG proxy.config.{name} {value}\n");
    settings.iter().map(line).collect()
}
