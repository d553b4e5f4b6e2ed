//! `cargo xtask doctor`: what this host can do, what it lacks, and the cure.

use anyhow::{Result, bail};

mod building;
mod kernel;
mod limits;

/// How well one thing stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Ok,
    /// The node works without it, less well.
    Degraded,
    /// The node does not work without it.
    Missing,
}

/// One line of the report.
#[derive(Debug)]
struct Finding {
    state: State,
    what: &'static str,
    found: String,
    /// What to do about it; said only when something is amiss.
    cure: &'static str,
}

/// A thing that is well when `good`, and otherwise `bad`.
fn judge(
    what: &'static str,
    good: bool,
    bad: State,
    found: impl Into<String>,
    cure: &'static str,
) -> Finding {
    Finding { state: if good { State::Ok } else { bad }, what, found: found.into(), cure }
}

/// Prints the report; fails when something is missing that the node cannot do without.
pub fn doctor() -> Result<()> {
    let mut missing = Vec::new();
    for (title, findings) in [
        ("kernel", kernel::examine()),
        ("limits", limits::examine()),
        ("building and testing", building::examine()),
    ] {
        println!("{title}");
        for finding in findings {
            println!("{}", line(&finding));
            if finding.state == State::Missing {
                missing.push(finding.what);
            }
        }
    }
    if !missing.is_empty() {
        bail!("the node cannot run here: {}", missing.join(", "));
    }
    Ok(())
}

fn line(finding: &Finding) -> String {
    let Finding { state, what, found, cure } = finding;
    let word = match state {
        State::Ok => "ok",
        State::Degraded => "degraded",
        State::Missing => "missing",
    };
    let cure = if *state == State::Ok { String::new() } else { format!(" -> {cure}") };
    format!("  {word:<9} {what:<22} {found}{cure}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cure_is_said_only_when_needed() {
        let well = judge("io_uring", true, State::Missing, "enabled", "enable it");
        assert!(!line(&well).contains("enable it"));
        let ill = judge("io_uring", false, State::Missing, "disabled", "enable it");
        assert!(line(&ill).contains("missing") && line(&ill).ends_with("-> enable it"));
    }

    #[test]
    fn every_thing_is_named_once() {
        let all = [kernel::examine(), limits::examine(), building::examine()];
        let mut names: Vec<_> = all.iter().flatten().map(|finding| finding.what).collect();
        names.sort_unstable();
        let count = names.len();
        names.dedup();
        assert_eq!(names.len(), count);
    }
}
