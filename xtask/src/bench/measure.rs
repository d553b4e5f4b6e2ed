//! What a server costs, read from `/proc`: all its processes, all their threads, kernel workers too.
//!
//! io_uring's kernel workers are threads of the process since Linux 5.12, so they are in its times.

use std::fs;

use rustix::param::clock_ticks_per_second;

/// A server's processes.
pub struct Processes(Vec<u32>);

impl Processes {
    /// `parent` and all that descend from it now.
    pub fn of(parent: u32) -> Processes {
        let parents: Vec<(u32, u32)> = fs::read_dir("/proc")
            .into_iter()
            .flatten()
            .flatten()
            .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
            .filter_map(|id| Some((id, stat(id)?.parent)))
            .collect();
        let mut family = vec![parent];
        let mut at = 0;
        while let Some(&older) = family.get(at) {
            let born = parents.iter().filter(|(_, theirs)| *theirs == older).map(|(id, _)| *id);
            family.extend(born.collect::<Vec<_>>());
            at += 1;
        }
        Processes(family)
    }

    /// CPU time so far, user and system, s.
    pub fn cpu_s(&self) -> f64 {
        let ticks: u64 = self.0.iter().filter_map(|id| stat(*id)).map(|stat| stat.ticks).sum();
        ticks as f64 / clock_ticks_per_second() as f64
    }

    /// Resident anonymous memory: what is the server's own, not the page cache's.
    pub fn own_bytes(&self) -> u64 {
        let own = |id: &u32| {
            let status = fs::read_to_string(format!("/proc/{id}/status")).ok()?;
            let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"))?;
            line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()
        };
        self.0.iter().filter_map(own).sum::<u64>() * 1024
    }

    /// The process ids.
    pub fn ids(&self) -> &[u32] {
        &self.0
    }
}

struct Stat {
    parent: u32,
    ticks: u64,
}

/// See proc_pid_stat(5).
fn stat(id: u32) -> Option<Stat> {
    stat_of(&fs::read_to_string(format!("/proc/{id}/stat")).ok()?)
}

fn stat_of(text: &str) -> Option<Stat> {
    // The name, in brackets, may hold anything.
    let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
    let number = |at: usize| fields.get(at)?.parse::<u64>().ok();
    Some(Stat { parent: number(1)? as u32, ticks: number(11)? + number(12)? })
}

/// The middle of `values`; not a number when there is none.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.retain(|value| value.is_finite());
    values.sort_by(f64::total_cmp);
    match values.len() {
        0 => f64::NAN,
        len if len % 2 == 1 => values[len / 2],
        len => (values[len / 2 - 1] + values[len / 2]) / 2.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_brackets_and_spaces_is_skipped() {
        let text = "7 (a) b) S 3 7 7 0 -1 4 0 0 0 0 150 50 9 9 20 0 1 0 1 1 1";
        let stat = stat_of(text).unwrap();
        assert_eq!((stat.parent, stat.ticks), (3, 200));
    }

    #[test]
    fn our_own_family_is_found_and_costs_something() {
        let family = Processes::of(std::process::id());
        assert!(family.ids().contains(&std::process::id()) && family.own_bytes() > 0);
        assert!(family.cpu_s() >= 0.0);
    }

    #[test]
    fn medians_are_in_the_middle() {
        assert_eq!(median(vec![3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(vec![4.0, 1.0, f64::NAN, 2.0, 3.0]), 2.5);
        assert!(median(vec![]).is_nan());
    }
}
