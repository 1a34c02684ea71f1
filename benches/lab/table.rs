//! The lab's figures as a table for people, and as JSON.

use std::time::Duration;

use serde_json::{Value, json};

use crate::common::site::{Fault, Round};

/// All rounds of one fault on one server.
#[derive(Debug)]
pub(crate) struct Row {
    /// The server's name.
    pub(crate) server: &'static str,
    /// The fault.
    pub(crate) fault: Fault,
    /// What came of it, each time.
    pub(crate) rounds: Vec<Round>,
}

impl Row {
    /// Without rounds yet.
    pub(crate) fn new(server: &'static str, fault: Fault) -> Self {
        Self { server, fault, rounds: Vec::new() }
    }

    /// Median and worst of a figure.
    fn figure<T: Ord + Copy>(&self, of: impl Fn(&Round) -> T) -> Option<(T, T)> {
        let mut values: Vec<T> = self.rounds.iter().map(of).collect();
        values.sort_unstable();
        Some((*values.get(values.len() / 2)?, *values.last()?))
    }
}

/// One round in a line.
pub(crate) fn line(round: &Round) -> String {
    format!(
        "dark {}, lost {} of {}, route gone after {}, lost on return {}, back after {}",
        span(round.during.dark),
        round.during.lost,
        round.during.sent,
        round.route_change.map_or("never".into(), span),
        round.after.lost,
        round.back_at.map_or("never".into(), |at| span(at - round.lifted_at)),
    )
}

/// All rows as a table in Markdown, faults together.
pub(crate) fn text(rows: &[Row], faults: &[Fault]) -> String {
    let mut text = String::from(
        "| fault | server | dark, median | worst | lost, median | worst | route gone, \
         median | worst | lost on return, worst |\n\
         |---|---|---:|---:|---:|---:|---:|---:|---:|\n",
    );
    for fault in faults {
        for row in rows.iter().filter(|row| row.fault == *fault) {
            let Some((dark, darkest)) = row.figure(|round| round.during.dark) else { continue };
            let Some((lost, lost_most)) = row.figure(|round| round.during.lost) else { continue };
            // A route that stayed is worse than any that went.
            let Some((gone, gone_last)) = row.figure(|round| round.route_change.unwrap_or(Duration::MAX)) else {
                continue;
            };
            let Some((_, lost_after)) = row.figure(|round| round.after.lost) else { continue };
            text.push_str(&format!(
                "| {fault} | {} | {} | {} | {lost} | {lost_most} | {} | {} | {lost_after} |\n",
                row.server,
                span(dark),
                span(darkest),
                route(gone),
                route(gone_last),
            ));
        }
    }
    text
}

/// A time for people.
fn span(span: Duration) -> String {
    let millis = span.as_secs_f64() * 1000.0;
    if millis < 100.0 { format!("{millis:.1} ms") } else { format!("{millis:.0} ms") }
}

/// When the route went, for people.
fn route(after: Duration) -> String {
    if after == Duration::MAX { "stays".into() } else { span(after) }
}

/// Every round, times in milliseconds.
pub(crate) fn json(rows: &[Row]) -> String {
    let millis = |span: Duration| span.as_secs_f64() * 1000.0;
    let rounds = rows.iter().flat_map(|row| {
        row.rounds.iter().map(move |round| {
            json!({
                "server": row.server,
                "fault": row.fault.word(),
                "dark_ms": millis(round.during.dark),
                "sent": round.during.sent,
                "lost": round.during.lost,
                "wrong": round.during.wrong,
                "duplicates": round.during.duplicates,
                "slowest_ms": millis(round.during.slowest),
                "route_gone_ms": round.route_change.map(millis),
                "lasted_ms": millis(round.lifted_at - round.at),
                "lost_on_return": round.after.lost,
                "back_ms": round.back_at.map(|at| millis(at - round.lifted_at)),
            })
        })
    });
    format!("{:#}\n", Value::Array(rounds.collect()))
}
