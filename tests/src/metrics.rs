//! `/metrics` as numbers.

use std::collections::{BTreeMap, BTreeSet};

/// Families the stories look at, as the node names them.
pub mod names {
    /// Connections accepted.
    pub const ACCEPTED: &str = "edge_conns_accepted_total";
    /// Connections closed.
    pub const CLOSED: &str = "edge_conns_closed_total";
    /// Bytes read from clients.
    pub const RECEIVED: &str = "edge_received_bytes_total";
    /// Bytes written to clients, heads included.
    pub const SENT: &str = "edge_sent_bytes_total";
    /// Heap allocations of the worker threads since they started.
    pub const ALLOCATIONS: &str = "edge_worker_allocations_total";
    /// Requests by `site` and `outcome`.
    pub const SITE_REQUESTS: &str = "edge_site_requests_total";
    /// Bytes sent by `site` and `outcome`, heads included.
    pub const SITE_SENT: &str = "edge_site_sent_bytes_total";
    /// Body bytes received from origins, by `site`.
    pub const ORIGIN_BYTES: &str = "edge_origin_bytes_total";
    /// Requests sent to origins, by `site`.
    pub const ORIGIN_REQUESTS: &str = "edge_origin_requests_total";
    /// Access log lines that found no room.
    pub const LOG_DROPPED: &str = "edge_log_dropped_lines_total";
    /// Checkpoints of the index.
    pub const CHECKPOINTS: &str = "edge_cache_checkpoints_total";
}

type Labels = BTreeMap<String, String>;

/// One scrape.
#[derive(Clone, Debug, Default)]
pub struct Metrics {
    samples: Vec<(String, Labels, f64)>,
    families: BTreeSet<String>,
}

impl Metrics {
    /// Parses the Prometheus text format; panics on a line that is none.
    #[track_caller]
    pub fn parse(text: &str) -> Metrics {
        let mut metrics = Metrics::default();
        for line in text.lines().filter(|line| !line.trim().is_empty()) {
            if let Some(comment) = line.strip_prefix("# ") {
                metrics.families.extend(comment.split(' ').nth(1).map(str::to_owned));
                continue;
            }
            let (name, labels, value) =
                sample(line).unwrap_or_else(|| panic!("not a sample of Prometheus: {line:?}"));
            metrics.families.insert(name.clone());
            metrics.samples.push((name, labels, value));
        }
        metrics
    }

    /// The sum over all samples of a family whose labels contain `labels`; panics when the node
    /// does not know the family.
    #[track_caller]
    pub fn sum(&self, name: &str, labels: &[(&str, &str)]) -> u64 {
        assert!(
            self.families.contains(name),
            "/metrics has no {name}; it has {}",
            self.families.iter().map(String::as_str).collect::<Vec<_>>().join(" ")
        );
        let wanted = |sample: &Labels| {
            labels.iter().all(|(key, value)| sample.get(*key).is_some_and(|have| have == value))
        };
        let samples = self.samples.iter().filter(|(key, has, _)| key == name && wanted(has));
        samples.map(|(_, _, value)| *value).sum::<f64>() as u64
    }
}

fn sample(line: &str) -> Option<(String, Labels, f64)> {
    let (series, value) = line.rsplit_once(' ')?;
    let value = value.parse().ok()?;
    let Some((name, rest)) = series.split_once('{') else {
        return Some((series.into(), Labels::new(), value));
    };
    Some((name.into(), labels(rest.strip_suffix('}')?)?, value))
}

fn labels(text: &str) -> Option<Labels> {
    let mut labels = Labels::new();
    let mut rest = text;
    while !rest.is_empty() {
        let (key, quoted) = rest.split_once("=\"")?;
        let (value, after) = unquote(quoted)?;
        labels.insert(key.into(), value);
        rest = after.strip_prefix(',').unwrap_or(after);
    }
    Some(labels)
}

/// The text before the closing quote, escapes resolved, and what follows the quote.
fn unquote(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((at, char)) = chars.next() {
        match char {
            '"' => return Some((value, &text[at + 1..])),
            '\\' => value.push(match chars.next()?.1 {
                'n' => '\n',
                other => other,
            }),
            other => value.push(other),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_summed_by_label() {
        let metrics = Metrics::parse(concat!(
            "# HELP a_total things\n# TYPE a_total counter\n",
            "a_total{site=\"x\",outcome=\"hit\"} 3\n",
            "a_total{site=\"y \\\"}\\n\",outcome=\"hit\"} 4\n",
            "a_total{site=\"x\",outcome=\"miss\"} 5\nplain 7\n# TYPE empty_total counter\n",
        ));
        assert_eq!(metrics.sum("a_total", &[]), 12);
        assert_eq!(metrics.sum("a_total", &[("outcome", "hit")]), 7);
        assert_eq!(metrics.sum("a_total", &[("site", "y \"}\n")]), 4);
        assert_eq!(metrics.sum("a_total", &[("site", "x"), ("outcome", "miss")]), 5);
        assert_eq!((metrics.sum("plain", &[]), metrics.sum("empty_total", &[])), (7, 0));
    }

    #[test]
    #[should_panic(expected = "/metrics has no b_total")]
    fn an_unknown_family_is_no_zero() {
        Metrics::parse("a_total 1\n").sum("b_total", &[]);
    }
}
