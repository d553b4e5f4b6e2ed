//! Configurations, equal in what they do: same files, same workers, access log on, keep-alive.

use std::net::SocketAddr;
use std::path::Path;

use anyhow::Result;

use super::{Contender, Start, origin};
use crate::bench::tls;
use crate::host;

/// `edge.toml`.
pub fn edge(
    who: Contender,
    start: &Start<'_>,
    (address, admin): (SocketAddr, SocketAddr),
    room: &Path,
) -> Result<String> {
    let (origin, cache) = match who {
        Contender::EdgeCache => (
            format!("http://{}", origin(start)?),
            format!("volumes = [{{ path = \"{}\", size = \"4GiB\" }}]", room.join("v0").display()),
        ),
        _ => (format!("file://{}", start.arena.root().display()), String::new()),
    };
    // What a setting is worth: edge-other may have it, and edge not.
    let more = match who {
        Contender::EdgeSteered if start.workers == start.cores.len() => {
            "steer = \"cpu\"".to_owned()
        }
        Contender::EdgeOther => std::env::var("EDGE_BENCH_OTHER_LISTEN").unwrap_or_default(),
        _ => String::new(),
    };
    let (tls, certificate) = match start.tls {
        true => tls::edge_lines(start.arena)?,
        false => Default::default(),
    };
    Ok(format!(
        "[server]\nworkers = {}\nfill_threads = 1\npin = {}\ndrain_timeout = \"1s\"\n\
         idle_timeout = \"1h\"\n\
         [[listen]]\naddr = \"{address}\"\n{more}\n{tls}\n{certificate}\
         [admin]\naddr = \"{admin}\"\n\
         [cache]\n{cache}\n\
         [log]\naccess = \"{}\"\nformat = \"combined\"\nlevel = \"warn\"\n\
         [[site]]\nhosts = [\"*\"]\norigin = [\"{origin}\"]\n",
        start.workers,
        start.workers == start.cores.len(),
        room.join("access.log").display(),
    ))
}

/// `nginx.conf`.
pub fn nginx(
    who: Contender,
    start: &Start<'_>,
    address: SocketAddr,
    room: &Path,
) -> Result<String> {
    let mut main = format!("daemon off;\nworker_processes {};\npid pid;\n", start.workers);
    if host::is_root() {
        main += "user root;\n";
    }
    if start.workers == start.cores.len() && start.workers > 1 {
        main += "worker_cpu_affinity auto;\n";
    }
    let serve = match who {
        Contender::NginxCache | Contender::NginxSlice => {
            let origin = origin(start)?;
            let slice = match who {
                Contender::NginxSlice => {
                    "slice 1m; proxy_cache_key $uri$slice_range; proxy_cache_valid 206 1h;\n\
                     proxy_set_header Range $slice_range;\n"
                }
                _ => "",
            };
            format!(
                "proxy_cache_path cache levels=1:2 keys_zone=c:16m max_size=4g inactive=1h \
                 use_temp_path=off;\n\
                 upstream origin {{ server {origin}; keepalive 64; }}\n\
                 server {{ listen {address} reuseport backlog=4096; location / {{\n\
                 proxy_pass http://origin; proxy_http_version 1.1;\n\
                 proxy_set_header Connection \"\"; proxy_cache c; proxy_cache_valid 200 1h;\n\
                 proxy_cache_lock on; {slice} }} }}\n"
            )
        }
        _ if start.tls => format!(
            "server {{ listen {address} ssl reuseport backlog=4096; {} root {}; }}\n",
            tls::nginx_lines(start.arena)?,
            start.arena.root().display()
        ),
        _ => format!(
            "server {{ listen {address} reuseport backlog=4096; root {}; }}\n",
            start.arena.root().display()
        ),
    };
    let aio = if start.cold { "aio threads;" } else { "" };
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .iter()
        .map(|name| format!("{name}_temp_path {};\n", room.join(name).display()))
        .collect();
    Ok(format!(
        "{main}worker_rlimit_nofile 200000;\nerror_log error.log warn;\n\
         events {{ worker_connections 100000; }}\nhttp {{\n{temporary}\
         sendfile on; tcp_nopush on; {aio}\n\
         open_file_cache max=10000 inactive=1h; open_file_cache_valid 1h;\n\
         keepalive_timeout 1h; keepalive_requests 1000000000;\n\
         default_type application/octet-stream;\n\
         access_log access.log combined buffer=64k flush=1s;\n{serve}}}\n"
    ))
}

/// `lighttpd.conf`.
pub fn lighttpd(start: &Start<'_>, address: SocketAddr, room: &Path) -> String {
    // Of one worker it makes none: the parent serves.
    let workers = if start.workers > 1 { start.workers } else { 0 };
    format!(
        "server.modules = (\"mod_accesslog\")\nserver.document-root = \"{}\"\n\
         server.bind = \"{}\"\nserver.port = {}\nserver.max-worker = {workers}\n\
         server.max-keep-alive-requests = 1000000000\nserver.max-keep-alive-idle = 3600\n\
         server.max-fds = 100000\naccesslog.filename = \"{}\"\n",
        start.arena.root().display(),
        address.ip(),
        address.port(),
        room.join("access.log").display(),
    )
}

/// `Caddyfile`.
pub fn caddy(start: &Start<'_>, address: SocketAddr, room: &Path) -> String {
    format!(
        "{{\n admin off\n auto_https off\n}}\nhttp://:{} {{\n bind {}\n root * {}\n file_server\n\
         log {{\n output file {}\n }}\n}}\n",
        address.port(),
        address.ip(),
        start.arena.root().display(),
        room.join("access.log").display(),
    )
}

/// `squid.conf`.
pub fn squid(start: &Start<'_>, address: SocketAddr, room: &Path) -> Result<String> {
    let origin = origin(start)?;
    let room = room.display();
    Ok(format!(
        "http_port {address} accel defaultsite=bench no-vhost\n\
         cache_peer {} parent {} 0 no-query originserver\n\
         http_access allow all\ncache_mem 3 GB\nmaximum_object_size_in_memory 2 GB\n\
         maximum_object_size 2 GB\n\
         access_log stdio:{room}/access.log combined\ncache_log {room}/cache.log\n\
         pid_filename {room}/pid\ncoredump_dir {room}\nrefresh_pattern . 60 100% 60\n\
         shutdown_lifetime 0 seconds\n",
        origin.ip(),
        origin.port(),
    ))
}
