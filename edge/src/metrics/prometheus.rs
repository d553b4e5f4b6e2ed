//! The text format scrapers read (Prometheus exposition format 0.0.4).

use std::fmt::Write;

/// `Content-Type` of the text.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Whether a number only grows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It only grows, and begins at zero with the process.
    Counter,
    /// It goes up and down.
    Gauge,
}

/// One name with its help; samples of it follow before the next begins.
pub struct Family<'o> {
    out: &'o mut String,
    name: &'static str,
}

impl<'o> Family<'o> {
    /// Writes the head of a family.
    pub fn begin(out: &'o mut String, name: &'static str, kind: Kind, help: &str) -> Family<'o> {
        let kind = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
        };
        out.push_str("# HELP ");
        out.push_str(name);
        out.push(' ');
        push_escaped(out, help, false);
        let _ = write!(out, "\n# TYPE {name} {kind}\n");
        Family { out, name }
    }

    /// Writes one sample; values of labels may be any text.
    pub fn sample(&mut self, labels: &[(&str, &str)], value: u64) -> &mut Self {
        self.out.push_str(self.name);
        for (index, (label, text)) in labels.iter().enumerate() {
            self.out.push_str(if index == 0 { "{" } else { "," });
            self.out.push_str(label);
            self.out.push_str("=\"");
            push_escaped(self.out, text, true);
            self.out.push('"');
        }
        if !labels.is_empty() {
            self.out.push('}');
        }
        // Writing to a String cannot fail.
        let _ = writeln!(self.out, " {value}");
        self
    }
}

/// A counter of one sample without labels.
pub fn counter(out: &mut String, name: &'static str, help: &str, value: u64) {
    Family::begin(out, name, Kind::Counter, help).sample(&[], value);
}

/// A gauge of one sample without labels.
pub fn gauge(out: &mut String, name: &'static str, help: &str, value: u64) {
    Family::begin(out, name, Kind::Gauge, help).sample(&[], value);
}

fn push_escaped(out: &mut String, text: &str, quoted: bool) {
    for letter in text.chars() {
        match letter {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '"' if quoted => out.push_str("\\\""),
            letter => out.push(letter),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_family_is_help_type_samples() {
        let mut out = String::new();
        Family::begin(&mut out, "edge_x_total", Kind::Counter, "Back\\slash,\nline, \"quote\".")
            .sample(&[], 1)
            .sample(&[("site", "a"), ("path", "C:\\ \"x\"\n")], u64::MAX);
        gauge(&mut out, "edge_y", "Y.", 0);
        assert_eq!(
            out,
            "# HELP edge_x_total Back\\\\slash,\\nline, \"quote\".\n\
             # TYPE edge_x_total counter\n\
             edge_x_total 1\n\
             edge_x_total{site=\"a\",path=\"C:\\\\ \\\"x\\\"\\n\"} 18446744073709551615\n\
             # HELP edge_y Y.\n\
             # TYPE edge_y gauge\n\
             edge_y 0\n"
        );
    }
}
