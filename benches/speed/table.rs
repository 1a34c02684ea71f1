//! The table for people, in Markdown.

use super::contender::Contender;
use super::results::{Figure, Results};
use super::row::{Bound, Row, Verdict, What};

/// The whole report: the table, the bounds, and what was thrown away.
pub(crate) fn text(results: &Results, rows: &[Row], bounds: &[Bound]) -> String {
    let who = results.contenders();
    let mut text = String::from("| row | figure |");
    for contender in &who {
        let version = contender.version().map(|version| format!(" {version}")).unwrap_or_default();
        text.push_str(&format!(" {contender}{version} |"));
    }
    text.push_str(" fated to floor | to the best peer |\n|---|---|");
    text.push_str(&"---:|".repeat(who.len() + 2));
    text.push('\n');
    for row in rows {
        for what in results.figures_of(*row) {
            text.push_str(&line(results, *row, what, &who));
        }
    }
    text.push_str("\nMedian (least – most) of the rounds. *: the client was the limit, the server had time left.\n\n");
    text.push_str("| row | figure | bound | found | |\n|---|---|---|---|---|\n");
    for bound in bounds.iter().filter(|bound| rows.contains(&bound.row)) {
        let (found, word) = match bound.judge(results) {
            Verdict::Held(found) => (found, "held"),
            Verdict::Missed(found) => (found, "**missed**"),
            Verdict::Open(why) => (why, "open"),
        };
        let figure = bound.what.label();
        text.push_str(&format!("| {} | {figure} | {} | {found} | {word} |\n", bound.row, bound.text()));
    }
    if !results.notes.is_empty() {
        text.push_str("\nLeft out and thrown away:\n\n");
        for note in &results.notes {
            text.push_str(&format!("- {}\n", note.replace('\n', "\n  ")));
        }
    }
    text
}

/// One figure of all servers.
fn line(results: &Results, row: Row, what: What, who: &[Contender]) -> String {
    let mut line = format!("| {row} | {} |", what.label());
    for contender in who {
        match results.figure(row, what, *contender) {
            None => line.push_str(" |"),
            Some(figure) => {
                let is_limited = what == What::PerSecond && results.is_limited(row, *contender);
                line.push_str(&format!(" {}{} |", cell(figure, what), if is_limited { "*" } else { "" }));
            }
        }
    }
    let ours = results.median(row, what, Contender::Fated);
    let ratio = |other: Option<f64>| match (ours, other) {
        (Some(ours), Some(other)) if other > 0.0 => format!(" {:.2} |", ours / other),
        _ => " |".into(),
    };
    line.push_str(&ratio(results.median(row, what, Contender::Floor)));
    line.push_str(&ratio(results.best_peer(row, what).map(|(_, best)| best)));
    line.push('\n');
    line
}

/// Median and range.
fn cell(figure: Figure, what: What) -> String {
    let digits = what.digits();
    let Figure { median, least, most } = figure;
    if least == most {
        return format!("{median:.digits$}");
    }
    format!("{median:.digits$} ({least:.digits$} – {most:.digits$})")
}
