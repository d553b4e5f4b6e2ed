//! What came of it: Markdown for people, JSON for machines.

use std::fmt::Write;
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::contenders::Contender;
use super::measure::median;
use super::plot;
use super::runs::{Cores, Sample, Series, Setting};

/// What is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Metric {
    /// Server CPU per GB.
    CpuPerGb,
    /// Server CPU per answer.
    CpuPerRequest,
    /// Bytes per second; more is better.
    Throughput,
    /// Latency that 99 % stay under.
    P99,
    /// Latency that 99.9 % stay under.
    P999,
}

/// What each contender is compared by with the one that ratios are taken to.
const COMPARED: [Metric; 5] =
    [Metric::CpuPerGb, Metric::CpuPerRequest, Metric::Throughput, Metric::P99, Metric::P999];

/// A ratio of edge to another that is to be reached.
pub struct Target {
    /// Of what.
    pub metric: Metric,
    /// At most, for throughput at least.
    pub ratio: f64,
    /// To whom.
    pub against: Contender,
}

/// One setting of one case.
pub struct Table {
    title: String,
    name: String,
    note: String,
    baseline: Contender,
    series: Vec<Series>,
    targets: Vec<Target>,
    /// For cases of another shape: header and rows, and what is said of them.
    plain: Option<(Vec<String>, Vec<Vec<String>>)>,
    said: Vec<String>,
}

/// All tables.
pub struct Report {
    circumstances: Vec<String>,
    tables: Vec<Table>,
}

impl Metric {
    fn of(self, sample: &Sample) -> f64 {
        match self {
            Metric::CpuPerGb => sample.cpu_s_per_gb(),
            Metric::CpuPerRequest => sample.cpu_us_per_request(),
            Metric::Throughput => sample.gb_per_s(),
            Metric::P99 => sample.latency_us(0.99),
            Metric::P999 => sample.latency_us(0.999),
        }
    }

    /// Whether the generator's limit makes it meaningless.
    fn needs_generator(self) -> bool {
        matches!(self, Metric::Throughput | Metric::P99 | Metric::P999)
    }

    fn as_str(self) -> &'static str {
        match self {
            Metric::CpuPerGb => "CPU/GB",
            Metric::CpuPerRequest => "CPU/request",
            Metric::Throughput => "throughput",
            Metric::P99 => "p99",
            Metric::P999 => "p99.9",
        }
    }
}

impl Series {
    fn median(&self, of: impl Fn(&Sample) -> f64) -> f64 {
        median(self.samples.iter().map(of).collect())
    }

    /// Whether more than half of the measurements say more of the generator than of the server.
    fn is_bound_by_generator(&self) -> bool {
        let bound = self.samples.iter().filter(|sample| sample.is_bound_by_generator).count();
        bound * 2 > self.samples.len()
    }
}

impl Table {
    /// A table of measurements; `baseline` is what ratios are taken to.
    pub fn new(
        case: &str,
        setting: Setting,
        cores: &Cores,
        series: Vec<Series>,
        baseline: Contender,
        targets: Vec<Target>,
    ) -> Table {
        let Setting { workers, connections } = setting;
        Table {
            title: format!("{case}: {workers} worker(s), {connections} connection(s)"),
            name: format!("{case}-{workers}w-{connections}c"),
            note: cores.said(),
            baseline,
            series,
            targets,
            plain: None,
            said: Vec::new(),
        }
    }

    /// A table of another shape.
    pub fn plain(case: &str, note: String, header: &[&str], rows: Vec<Vec<String>>) -> Table {
        Table {
            title: case.to_owned(),
            name: case.to_owned(),
            note,
            baseline: Contender::Nginx,
            series: Vec::new(),
            targets: Vec::new(),
            plain: Some((header.iter().map(|&word| word.to_owned()).collect(), rows)),
            said: Vec::new(),
        }
    }

    /// Says whether targets of a table of another shape are met, a line each.
    pub fn said(mut self, verdicts: Vec<String>) -> Table {
        self.said = verdicts;
        self
    }

    /// Adds to what is said under the title.
    pub fn noted(mut self, more: &str) -> Table {
        self.note = format!("{}; {more}", self.note);
        self
    }

    /// Says one more thing under the table.
    pub fn told(mut self, verdict: String) -> Table {
        self.said.push(verdict);
        self
    }

    fn series(&self, who: Contender) -> Option<&Series> {
        self.series.iter().find(|series| series.who == who)
    }

    /// Median of the ratios within the rounds.
    fn ratio(&self, who: Contender, against: Contender, metric: Metric) -> Option<f64> {
        let (mine, theirs) = (self.series(who)?, self.series(against)?);
        let bound = mine.is_bound_by_generator() || theirs.is_bound_by_generator();
        if metric.needs_generator() && bound {
            return None;
        }
        let pairs = mine.samples.iter().zip(&theirs.samples);
        let ratio = median(pairs.map(|(a, b)| metric.of(a) / metric.of(b)).collect());
        ratio.is_finite().then_some(ratio)
    }

    fn cells(&self) -> (Vec<String>, Vec<Vec<String>>) {
        if let Some((header, rows)) = &self.plain {
            return (header.clone(), rows.clone());
        }
        let base = self.baseline.name();
        let header = [
            "contender",
            "CPU s/GB",
            "CPU µs/request",
            "GB/s",
            "requests/s",
            "p50 µs",
            "p99 µs",
            "p99.9 µs",
            "errors",
        ];
        let mut header: Vec<String> = header.iter().map(|&word| word.to_owned()).collect();
        for metric in COMPARED {
            header.push(format!("{} / {base}", metric.as_str()));
        }
        (header, self.series.iter().map(|series| self.row(series)).collect())
    }

    fn row(&self, series: &Series) -> Vec<String> {
        let bound = series.is_bound_by_generator();
        let seen =
            |value: f64, digits| if bound { "bound".to_owned() } else { number(value, digits) };
        let errors: u64 = series.samples.iter().map(|sample| sample.outcome.errors).sum();
        let mut row = vec![
            series.who.name(),
            number(series.median(Sample::cpu_s_per_gb), 3),
            number(series.median(Sample::cpu_us_per_request), 2),
            seen(series.median(Sample::gb_per_s), 2),
            seen(series.median(Sample::requests_per_s), 0),
            seen(series.median(|sample| sample.latency_us(0.5)), 0),
            seen(series.median(|sample| sample.latency_us(0.99)), 0),
            seen(series.median(|sample| sample.latency_us(0.999)), 0),
            errors.to_string(),
        ];
        for metric in COMPARED {
            let ratio = self.ratio(series.who, self.baseline, metric);
            row.push(ratio.map_or("–".to_owned(), |ratio| format!("{ratio:.2}")));
        }
        row
    }

    fn verdicts(&self) -> Vec<String> {
        let ours = |who: &Contender| {
            matches!(who, Contender::Edge | Contender::EdgeSteered | Contender::EdgeCache)
        };
        let mut said = self.said.clone();
        for target in &self.targets {
            for series in self.series.iter().filter(|series| ours(&series.who)) {
                let Some(ratio) = self.ratio(series.who, target.against, target.metric) else {
                    continue;
                };
                let more = target.metric == Metric::Throughput;
                let met = if more { ratio >= target.ratio } else { ratio <= target.ratio };
                said.push(format!(
                    "{} {}: {} {ratio:.2}x of {}, to reach {} {:.2}x",
                    if met { "met" } else { "NOT met" },
                    series.who.name(),
                    target.metric.as_str(),
                    target.against.name(),
                    if more { ">=" } else { "<=" },
                    target.ratio,
                ));
            }
        }
        if self.series.iter().any(Series::is_bound_by_generator) {
            said.push(
                "`bound`: the load generator was at its limit and the server was not, so that \
                 throughput and latency would be the generator's"
                    .to_owned(),
            );
        }
        said
    }

    fn markdown(&self, out: &mut String) {
        let (header, rows) = self.cells();
        let _ = writeln!(out, "\n## {}\n\n{}\n", self.title, self.note);
        let _ = writeln!(out, "| {} |", header.join(" | "));
        let _ = writeln!(out, "|{}", "---|".repeat(header.len()));
        for row in rows {
            let _ = writeln!(out, "| {} |", row.join(" | "));
        }
        let verdicts = self.verdicts();
        if !verdicts.is_empty() {
            let _ = writeln!(out);
        }
        for verdict in verdicts {
            let _ = writeln!(out, "* {verdict}");
        }
    }

    fn json(&self) -> Value {
        let (header, rows) = self.cells();
        let rows: Vec<Value> = rows
            .iter()
            .map(|row| header.iter().cloned().zip(row.iter().map(|cell| json!(cell))).collect())
            .collect();
        let rounds: Vec<Value> = self
            .series
            .iter()
            .map(|series| {
                let samples: Vec<Value> = series.samples.iter().map(sample_json).collect();
                json!({ "contender": series.who.name(), "rounds": samples })
            })
            .collect();
        json!({ "name": self.name, "note": self.note, "rows": rows, "series": rounds,
                "verdicts": self.verdicts() })
    }
}

impl Report {
    /// Nothing measured yet.
    pub fn new(circumstances: Vec<String>) -> Report {
        Report { circumstances, tables: Vec::new() }
    }

    /// Says that a contender is not here.
    pub fn absent(&mut self, who: Contender, package: &str) {
        self.circumstances
            .push(format!("absent: {} (package {package}; `--install` installs it)", who.name()));
    }

    /// Says that a case could not be measured.
    pub fn failed(&mut self, case: &str, error: &anyhow::Error) {
        self.circumstances.push(format!("FAILED: {case}: {error:#}"));
    }

    /// One more table.
    pub fn add(&mut self, table: Table) {
        self.tables.push(table);
    }

    /// All of it, for people.
    pub fn markdown(&self) -> String {
        let mut out = "# Benchmark\n\n".to_owned();
        self.circumstances.iter().for_each(|line| {
            let _ = writeln!(out, "* {line}");
        });
        self.tables.iter().for_each(|table| table.markdown(&mut out));
        out
    }

    /// Writes `report.md`, `report.json` and the plots below `dir`.
    pub fn write(&self, dir: &Path) -> Result<()> {
        let tables: Vec<Value> = self.tables.iter().map(Table::json).collect();
        let json = json!({ "circumstances": self.circumstances, "tables": tables });
        let mut files = vec![
            ("report.md".to_owned(), self.markdown()),
            ("report.json".to_owned(), format!("{json:#}\n")),
        ];
        for table in self.tables.iter().filter(|table| table.plain.is_none()) {
            let metric = match table.series.iter().any(|it| it.median(Sample::requests_per_s) > 1e3)
            {
                true => Metric::CpuPerRequest,
                false => Metric::CpuPerGb,
            };
            let bars: Vec<_> = table
                .series
                .iter()
                .map(|it| (it.who.name(), it.samples.iter().map(|s| metric.of(s)).collect()))
                .collect();
            let unit = if metric == Metric::CpuPerGb { "s per GB" } else { "µs per request" };
            let title = format!("{}, server CPU, {unit}", table.title);
            files.push((format!("{}.svg", table.name), plot::bars(&title, &bars)));
        }
        for (name, text) in files {
            std::fs::write(dir.join(&name), text)
                .with_context(|| format!("could not write {name}"))?;
        }
        Ok(())
    }
}

/// `value` with so many digits; a dash when there is none.
pub fn number(value: f64, digits: usize) -> String {
    if value.is_finite() { format!("{value:.digits$}") } else { "–".to_owned() }
}

fn sample_json(sample: &Sample) -> Value {
    let outcome = &sample.outcome;
    json!({
        "wall_s": outcome.wall_s, "bytes": outcome.bytes, "requests": outcome.requests,
        "errors": outcome.errors, "cpu_s": sample.cpu_s, "generator_busiest": outcome.busiest,
        "bound_by_generator": sample.is_bound_by_generator,
        "p50_us": sample.latency_us(0.5), "p99_us": sample.latency_us(0.99),
        "p999_us": sample.latency_us(0.999),
    })
}
