//! What a process holds at one instant.

use std::path::Path;

/// Memory and descriptors of a process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sample {
    /// Anonymous memory in use, bytes: mapped files come and go with the page cache.
    pub rss_bytes: u64,
    /// Open descriptors.
    pub fds: usize,
    /// Of those, ends of pipes.
    pub pipe_fds: usize,
    /// Of those, sockets.
    pub socket_fds: usize,
    /// Threads.
    pub threads: usize,
}

impl Sample {
    /// Reads `/proc` for a process of ours.
    #[track_caller]
    pub fn of(pid: u32) -> Sample {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("it runs");
        let rss = status.lines().find_map(|line| line.strip_prefix("RssAnon:"));
        let rss_kib = rss.and_then(|text| text.trim().strip_suffix(" kB")?.parse::<u64>().ok());
        let mut sample = Sample {
            rss_bytes: rss_kib.expect("RssAnon in /proc/PID/status") * 1024,
            threads: entries(&format!("/proc/{pid}/task")).count(),
            ..Sample::default()
        };
        for entry in entries(&format!("/proc/{pid}/fd")) {
            // One that was closed meanwhile is not held.
            let Ok(target) = std::fs::read_link(entry) else { continue };
            let target = target.to_string_lossy();
            sample.fds += 1;
            sample.pipe_fds += usize::from(target.starts_with("pipe:"));
            sample.socket_fds += usize::from(target.starts_with("socket:"));
        }
        sample
    }
}

/// Ids of the threads of a process whose names begin with `prefix`.
pub fn threads_named(pid: u32, prefix: &str) -> Vec<u32> {
    let name = |path: &Path| std::fs::read_to_string(path.join("comm")).unwrap_or_default();
    let id = |path: &Path| path.file_name()?.to_str()?.parse().ok();
    entries(&format!("/proc/{pid}/task"))
        .filter(|path| name(path).starts_with(prefix))
        .filter_map(|path| id(&path))
        .collect()
}

fn entries(dir: &str) -> impl Iterator<Item = std::path::PathBuf> {
    let entries = std::fs::read_dir(dir).unwrap_or_else(|e| panic!("{dir}: {e}"));
    entries.filter_map(|entry| Some(entry.ok()?.path()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pipe_is_two_descriptors() {
        // Other tests of this process open and close things meanwhile: only lower bounds are sure.
        let pipes: Vec<_> = (0..50).map(|_| std::io::pipe().expect("a pipe")).collect();
        let sample = Sample::of(std::process::id());
        assert!(sample.pipe_fds >= 2 * pipes.len(), "{sample:?}");
        assert!(sample.fds >= sample.pipe_fds && sample.threads >= 1, "{sample:?}");
        assert!(sample.rss_bytes > 0, "{sample:?}");
    }
}
