//! Reading the configuration again: what follows it at once, and what waits for a restart.

use std::sync::{Arc, PoisonError};

use super::node::{Node, geo, report, timeouts};
use super::{certificates, origins};
use crate::config::Config;
use crate::sys;

impl Node {
    /// Reads the configuration again. Sites, domains, certificates, time-outs, the checkpoint's period, the guard's
    /// lists and the log file follow it; running downloads go on. The answer says in a line each what
    /// waits for a restart. An error leaves everything as it was.
    pub(super) fn reload(&self) -> Result<String, String> {
        self.log.reopen();
        let Some(source) = &self.source else {
            return Ok("no configuration file; the access log was reopened".to_owned());
        };
        let _one_at_a_time = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let new = aside(|| Config::load(source)).map_err(|errors| errors.to_string())?;
        let tls = certificates::acceptor(&new, self.shared.tls.load().as_deref())
            .map_err(|error| error.to_string())?;
        let geo = geo(&new).map_err(|error| error.to_string())?;
        origins::install(self.fills.plane.groups(), &new)?;
        // A listener stays open until a restart: it never goes on in plain text.
        if let Some(tls) = tls {
            self.shared.tls.store(Some(Arc::new(tls)));
        }
        // With the ports that the kernel chose: the doors are those of the start.
        report(&self.lock_guard().reload(&new.guard.serving(self.addresses())));
        self.desk.reload(&new.guard);
        self.shared.timeouts.store(Arc::new(timeouts(&new)));
        self.fills.plane.set_checkpoint_ms(new.cache.checkpoint_ms);
        let mut done = format!("reloaded: {} sites", new.sites.len());
        for (key, why) in waiting(&self.begun, &new) {
            done.push_str(&format!("\n{key} waits for a restart: {why}"));
        }
        self.install(new, geo);
        Ok(done)
    }

    /// [`Node::reload`] for a signal: the log says how it went.
    pub(super) fn reload_logged(&self) {
        match self.reload() {
            Ok(done) => done.lines().for_each(|line| tracing::info!("{line}")),
            Err(error) => tracing::error!("reload refused, nothing was changed:\n{error}"),
        }
    }
}

/// Does work that takes long on a thread that lets the workers go first.
pub(super) fn aside<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    let done = std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            if let Err(error) = sys::thread::step_back() {
                tracing::debug!(%error, "work aside has the workers' priority");
            }
            work()
        });
        thread.join()
    });
    done.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// What `new` has otherwise than the configuration the node was started with, and cannot have now.
fn waiting(begun: &Config, new: &Config) -> Vec<(&'static str, &'static str)> {
    let (server, cache, log) = (&begun.server, &begun.cache, &begun.log);
    let table = [
        ("server.workers", server.workers != new.server.workers, "threads are started once"),
        (
            "server.fill_threads",
            server.fill_threads != new.server.fill_threads,
            "threads are started once",
        ),
        ("server.pin", server.pin != new.server.pin, "threads are pinned as they start"),
        ("[[listen]]", begun.listen != new.listen, "addresses are opened once, by every worker"),
        ("[admin]", begun.admin != new.admin, "its doors are opened once"),
        ("cache.volumes", cache.volumes != new.cache.volumes, "volumes are opened once"),
        ("cache.ram", cache.ram_bytes != new.cache.ram_bytes, "memory is shared out once"),
        ("cache.slice", cache.slice_bytes != new.cache.slice_bytes, "volumes are laid out for it"),
        ("log.access", log.access != new.log.access, "SIGHUP reopens the file it was started with"),
        ("log.format", log.format != new.log.format, "workers begin with it"),
        ("log.level", log.level != new.log.level, "the filter is set once"),
    ];
    table.into_iter().filter(|(_, changed, _)| *changed).map(|(key, _, why)| (key, why)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_waits_is_named() {
        let config = |text: &str| {
            let site = "\n[[site]]\nhosts = \"a\"\norigin = \"file:///s\"\n";
            Config::parse(&format!("{text}{site}"), "e.toml").unwrap()
        };
        let begun = config("[server]\nworkers = 1");
        for (text, expected) in [
            ("[server]\nworkers = 1\nhead_timeout = \"1s\"\n[cache]\ncheckpoint = \"1s\"", vec![]),
            ("[server]\nworkers = 1\n[domains]\nmax = 3", vec![]),
            ("[server]\nworkers = 2", vec!["server.workers"]),
            (
                "[server]\nworkers = 1\n[[listen]]\naddr = \"127.0.0.1:1\"\n[log]\nlevel = \"warn\"",
                vec!["[[listen]]", "log.level"],
            ),
            (
                "[server]\nworkers = 1\n[admin]\naddr = \"off\"\n[cache]\nram = \"1MiB\"",
                vec!["[admin]", "cache.ram"],
            ),
        ] {
            let found: Vec<_> =
                waiting(&begun, &config(text)).into_iter().map(|(key, _)| key).collect();
            assert_eq!(found, expected, "{text}");
        }
    }
}
