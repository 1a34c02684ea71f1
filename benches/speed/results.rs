//! The numbers of a run, and what they come to.

use serde_json::{Value, json};

use super::contender::Contender;
use super::row::{Bound, Row, Verdict, What};

/// One number of one round.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Number {
    /// The row.
    pub(crate) row: Row,
    /// What it says.
    pub(crate) what: What,
    /// Of whom.
    pub(crate) who: Contender,
    /// The number.
    pub(crate) value: f64,
    /// Whether the client was the limit: the server had time left.
    pub(crate) is_limited: bool,
}

/// All that was measured.
#[derive(Debug, Default)]
pub(crate) struct Results {
    /// The numbers, in the order in which they came.
    numbers: Vec<Number>,
    /// What was thrown away, or left out, and why.
    pub(crate) notes: Vec<String>,
}

/// Median and range of a figure.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Figure {
    /// The median; of an even count the mean of the middle two.
    pub(crate) median: f64,
    /// The least.
    pub(crate) least: f64,
    /// The most.
    pub(crate) most: f64,
}

impl Results {
    /// Adds a number.
    pub(crate) fn add(&mut self, number: Number) {
        self.numbers.push(number);
    }

    /// Prints, now and below the table, what was thrown away or left out.
    pub(crate) fn note(&mut self, text: String) {
        eprintln!("*** {text}");
        self.notes.push(text);
    }

    /// What the rounds of a figure come to; `None` where there were none.
    pub(crate) fn figure(&self, row: Row, what: What, who: Contender) -> Option<Figure> {
        let is_it = |number: &&Number| (number.row, number.what, number.who) == (row, what, who);
        let mut values: Vec<f64> = self.numbers.iter().filter(is_it).map(|number| number.value).collect();
        values.sort_by(f64::total_cmp);
        let middle = values.len() / 2;
        let upper = *values.get(middle)?;
        let median = if values.len().is_multiple_of(2) { f64::midpoint(values[middle - 1], upper) } else { upper };
        Some(Figure { median, least: values[0], most: values[values.len() - 1] })
    }

    /// The median of a figure.
    pub(crate) fn median(&self, row: Row, what: What, who: Contender) -> Option<f64> {
        self.figure(row, what, who).map(|figure| figure.median)
    }

    /// The best peer and its median.
    pub(crate) fn best_peer(&self, row: Row, what: What) -> Option<(Contender, f64)> {
        let medians = Contender::PEERS.iter().filter_map(|who| Some((*who, self.median(row, what, *who)?)));
        let sign = if what.is_better_high() { -1.0 } else { 1.0 };
        medians.min_by(|left, right| (left.1 * sign).total_cmp(&(right.1 * sign)))
    }

    /// Whether the client was the limit in most rounds of a server.
    pub(crate) fn is_limited(&self, row: Row, who: Contender) -> bool {
        let rounds = || self.numbers.iter().filter(|n| (n.row, n.what, n.who) == (row, What::PerSecond, who));
        rounds().filter(|number| number.is_limited).count() * 2 > rounds().count()
    }

    /// What was measured in a row, in order, each once.
    pub(crate) fn figures_of(&self, row: Row) -> Vec<What> {
        let mut found: Vec<What> = self.numbers.iter().filter(|n| n.row == row).map(|number| number.what).collect();
        found.sort_unstable();
        found.dedup();
        found
    }

    /// Who was measured, in the order of the table.
    pub(crate) fn contenders(&self) -> Vec<Contender> {
        let is_there = |who: &Contender| self.numbers.iter().any(|number| number.who == *who);
        Contender::ALL.into_iter().filter(is_there).collect()
    }

    /// Everything, for programs.
    pub(crate) fn json(&self, machine: &Value, bounds: &[Bound], rows: &[Row]) -> String {
        let numbers = self.numbers.iter().map(|number| {
            json!({
                "row": number.row.word(),
                "figure": number.what.key(),
                "server": number.who.name(),
                "value": number.value,
                "client_limited": number.is_limited,
            })
        });
        let bounds = bounds.iter().filter(|bound| rows.contains(&bound.row)).map(|bound| {
            let (word, found) = match bound.judge(self) {
                Verdict::Held(found) => ("held", found),
                Verdict::Missed(found) => ("missed", found),
                Verdict::Open(why) => ("open", why),
            };
            json!({
                "row": bound.row.word(),
                "figure": bound.what.key(),
                "bound": bound.text(),
                "verdict": word,
                "found": found,
            })
        });
        let all = json!({
            "machine": machine,
            "numbers": numbers.collect::<Vec<_>>(),
            "bounds": bounds.collect::<Vec<_>>(),
            "notes": self.notes,
        });
        format!("{all:#}\n")
    }
}
