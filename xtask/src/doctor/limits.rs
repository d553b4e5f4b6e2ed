//! What the host lets one process have.

use std::process::Command;

use super::State::{Degraded, Missing};
use super::{Finding, judge};
use crate::{host, sh};

const DESCRIPTORS_WANTED: u64 = 65_536;
/// Two workers' rings and buffers; rings count against it only for users without CAP_IPC_LOCK.
const LOCKED_WANTED_BYTES: u64 = 64 << 20;
/// 1,024 pipes of 1 MiB, in pages of 4 KiB.
const PIPE_PAGES_WANTED: u64 = 1_024 * 256;
const BACKLOG_WANTED: u64 = 4_096;
const DISK_WANTED_BYTES: u64 = 8 << 30;

/// Every line about limits.
pub fn examine() -> Vec<Finding> {
    vec![descriptors(), locked_memory(), pipe_pages(), backlog(), disk(), cores()]
}

fn descriptors() -> Finding {
    let (soft, hard) = host::limit("Max open files").unwrap_or((Some(0), Some(0)));
    let found = format!("soft {}, hard {}", number(soft), number(hard));
    // The node raises its soft limit to the hard one.
    let good = hard.is_none_or(|hard| hard >= DESCRIPTORS_WANTED);
    judge(
        "descriptors",
        good,
        Degraded,
        found,
        "LimitNOFILE=1048576 in the unit, or ulimit -Hn 1048576",
    )
}

fn locked_memory() -> Finding {
    let (soft, _) = host::limit("Max locked memory").unwrap_or((Some(0), Some(0)));
    let good = host::is_root() || soft.is_none_or(|soft| soft >= LOCKED_WANTED_BYTES);
    let found = soft.map_or("unlimited".to_owned(), sh::human);
    judge(
        "locked memory",
        good,
        Degraded,
        found,
        "LimitMEMLOCK=infinity in the unit, or ulimit -l unlimited",
    )
}

fn pipe_pages() -> Finding {
    let pages = parsed("fs/pipe-user-pages-soft");
    // Zero is no limit; neither holds for CAP_SYS_RESOURCE.
    let good = host::is_root() || pages == 0 || pages >= PIPE_PAGES_WANTED;
    judge(
        "pipe pages",
        good,
        Degraded,
        format!("fs.pipe-user-pages-soft = {pages}"),
        "sysctl -w fs.pipe-user-pages-soft=262144, else pipes beyond it shrink",
    )
}

fn backlog() -> Finding {
    let longest = parsed("net/core/somaxconn");
    let found = format!("net.core.somaxconn = {longest}");
    judge(
        "accept backlog",
        longest >= BACKLOG_WANTED,
        Degraded,
        found,
        "sysctl -w net.core.somaxconn=4096",
    )
}

fn disk() -> Finding {
    let mut df = Command::new("df");
    df.args(["--block-size=1", "--output=avail"]).arg(sh::root());
    let free = sh::read(&mut df).ok().and_then(|table| table.lines().nth(1)?.trim().parse().ok());
    let found =
        free.map_or("unknown".to_owned(), |bytes| format!("{} free here", sh::human(bytes)));
    judge(
        "disk",
        free >= Some(DISK_WANTED_BYTES),
        Degraded,
        found,
        "8 GiB are wanted to build and test everything",
    )
}

fn cores() -> Finding {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    judge(
        "cores",
        cores > 0,
        Missing,
        cores.to_string(),
        "the kernel does not tell; set server.workers",
    )
}

fn parsed(name: &str) -> u64 {
    host::sysctl(name).and_then(|text| text.parse().ok()).unwrap_or(0)
}

fn number(limit: Option<u64>) -> String {
    limit.map_or("unlimited".to_owned(), |limit| limit.to_string())
}
