//! The plot: CPU time of a query, a group of bars for each row, a bar for each server.

use super::contender::Contender;
use super::results::Results;
use super::row::{Row, What};

/// Pixels of a bar, and what stands between bars.
const BAR: (f64, f64) = (14.0, 3.0);
/// Pixels between groups.
const GROUP_GAP: f64 = 22.0;
/// Pixels of the longest bar.
const PLOT: f64 = 520.0;
/// Pixels on the left, for the names of rows.
const LEFT: f64 = 80.0;
/// Pixels on the right, for the numbers behind the bars.
const RIGHT: f64 = 90.0;
/// Pixels on top, for the legend.
const TOP: f64 = 44.0;
/// Longer bars than so many times the longest of fated and floor are cut, and say how long they are.
const CUT: f64 = 4.0;
/// The colour of each server.
const COLOURS: [(Contender, &str); 6] = [
    (Contender::Fated, "#2a7ab8"),
    (Contender::Floor, "#b9b9b4"),
    (Contender::Nsd, "#e08e1b"),
    (Contender::Knot, "#4f9d4f"),
    (Contender::PowerDns, "#8a63a8"),
    (Contender::Bind, "#c62f3a"),
];

/// Draws the rows in which a query's CPU time was measured.
pub(crate) fn svg(results: &Results, rows: &[Row]) -> String {
    let who = results.contenders();
    let groups: Vec<(Row, Vec<(Contender, f64)>)> =
        rows.iter().map(|row| (*row, bars(results, *row, &who))).filter(|(_, bars)| !bars.is_empty()).collect();
    let of_ours = groups.iter().flat_map(|(_, bars)| bars).filter(|(who, _)| !who.is_peer());
    let scale = of_ours.map(|(_, value)| *value).fold(0.0, f64::max).max(1e-9) * CUT;
    let longest = groups.iter().flat_map(|(_, bars)| bars).map(|(_, value)| *value).fold(0.0, f64::max);
    let scale = if scale > 1e-6 { scale.min(longest) } else { longest.max(1e-9) };
    let step = BAR.0 + BAR.1;
    let height: f64 = TOP + groups.iter().map(|(_, bars)| bars.len() as f64 * step + GROUP_GAP).sum::<f64>();
    let width = LEFT + PLOT + RIGHT;
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" \
         viewBox=\"0 0 {width} {height:.0}\" width=\"{width}\" height=\"{height:.0}\">\n\
         <style>text{{font:12px sans-serif;fill:#222}}.title{{font-weight:bold}}.value{{font-size:10px}}</style>\n\
         <rect width=\"{width}\" height=\"{height:.0}\" fill=\"#fff\"/>\n"
    );
    for (index, contender) in who.iter().enumerate() {
        let x = LEFT + 90.0 * index as f64;
        let colour = colour(*contender);
        out.push_str(&format!("<rect x=\"{x}\" y=\"8\" width=\"12\" height=\"12\" fill=\"{colour}\"/>"));
        out.push_str(&format!("<text x=\"{}\" y=\"18\">{contender}</text>\n", x + 17.0));
    }
    out.push_str(&format!("<text x=\"{LEFT}\" y=\"36\" class=\"value\">CPU time of the server, µs a query</text>\n"));
    let mut y = TOP;
    for (row, bars) in &groups {
        let middle = y + bars.len() as f64 * step / 2.0 + 4.0;
        out.push_str(&format!("<text x=\"8\" y=\"{middle:.1}\" class=\"title\">{row}</text>\n"));
        for (contender, value) in bars {
            let length = (value / scale).min(1.0) * PLOT;
            let cut = if *value > scale * 1.0001 { " →" } else { "" };
            out.push_str(&format!(
                "<rect x=\"{LEFT}\" y=\"{y:.1}\" width=\"{length:.1}\" height=\"{}\" fill=\"{}\">\
                 <title>{row}, {contender}: {value:.2} µs</title></rect>",
                BAR.0,
                colour(*contender)
            ));
            out.push_str(&format!(
                "<text x=\"{:.1}\" y=\"{:.1}\" class=\"value\">{value:.1}{cut}</text>\n",
                LEFT + length + 5.0,
                y + BAR.0 - 3.0
            ));
            y += step;
        }
        y += GROUP_GAP;
    }
    out.push_str("</svg>\n");
    out
}

/// The medians of a row.
fn bars(results: &Results, row: Row, who: &[Contender]) -> Vec<(Contender, f64)> {
    who.iter().filter_map(|who| Some((*who, results.median(row, What::Cpu, *who)?))).collect()
}

/// The colour of a server.
fn colour(contender: Contender) -> &'static str {
    COLOURS.iter().find(|(who, _)| *who == contender).map_or("#000", |(_, colour)| *colour)
}
