//! A bar for each contender, a dot for each round.

use std::fmt::Write;

use super::measure::median;

const WIDTH: f64 = 720.0;
const NAMES: f64 = 110.0;
const ROW: f64 = 26.0;
const TOP: f64 = 34.0;

/// An SVG of medians (bars) and single measurements (dots).
pub fn bars(title: &str, series: &[(String, Vec<f64>)]) -> String {
    let highest = series.iter().flat_map(|(_, values)| values).copied();
    let highest = highest.filter(|value| value.is_finite()).fold(f64::MIN_POSITIVE, f64::max);
    let height = TOP + ROW * series.len() as f64 + 8.0;
    let scale = (WIDTH - NAMES - 70.0) / highest;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{height}\" \
         font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n\
         <text x=\"8\" y=\"20\" font-weight=\"bold\">{title}</text>\n"
    );
    for (at, (name, values)) in series.iter().enumerate() {
        let y = TOP + ROW * at as f64;
        let middle = median(values.clone());
        let length = if middle.is_finite() { middle * scale } else { 0.0 };
        let colour = if name.starts_with("edge") { "#1f6f8b" } else { "#b0b7bf" };
        let _ = write!(
            svg,
            "<text x=\"8\" y=\"{text}\">{name}</text>\n\
             <rect x=\"{NAMES}\" y=\"{y}\" width=\"{length:.1}\" height=\"18\" fill=\"{colour}\"/>\n\
             <text x=\"{end}\" y=\"{text}\" text-anchor=\"end\">{middle:.3}</text>\n",
            text = y + 13.0,
            end = WIDTH - 8.0,
        );
        for value in values.iter().filter(|value| value.is_finite()) {
            let (x, y) = (NAMES + value * scale, y + 9.0);
            let _ = writeln!(svg, "<circle cx=\"{x:.1}\" cy=\"{y}\" r=\"2\" fill=\"#222\"/>");
        }
    }
    svg + "</svg>\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_bar_fits_and_what_is_missing_has_none() {
        let svg = bars("t", &[("edge".into(), vec![1.0, 3.0, 2.0]), ("none".into(), vec![])]);
        assert_eq!(svg.matches("<circle").count(), 3);
        assert!(svg.contains("width=\"360.0\"") && svg.contains("width=\"0.0\""), "{svg}");
    }
}
