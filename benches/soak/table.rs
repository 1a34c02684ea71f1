//! The soak as lines and a table for people, and as JSON.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::Duration;

use serde_json::{Value, json};

use crate::fault::Kind;
use crate::run::{Event, Outcome, Quiet, Return};
use crate::sample::Life;

/// One fault in a line.
pub(crate) fn line(number: usize, event: &Event) -> String {
    let seen = match event.seen {
        Some(true) => "seen",
        Some(false) => "NOT SEEN",
        None => "need not be seen",
    };
    let back = match event.back {
        Return::ByItself(time) => format!("back after {}", span(time)),
        Return::Released(time) => format!("held down, back {} after the operator's word", span(time)),
        Return::Stuck => "STUCK".to_owned(),
    };
    let gone = event.route_gone.map_or("stays".to_owned(), |time| format!("gone after {}", span(time)));
    let unneeded = if event.unneeded > 0 { format!(", UNNEEDED {}", event.unneeded) } else { String::new() };
    format!(
        "{number:3} at {:6.1} s: {} for {}: {seen}, route {gone}, dark {}, lost {} of {}, {back}, \
         repairs {}, [{}]{unneeded}",
        event.at.as_secs_f64(),
        event.kind,
        span(event.span),
        span(event.report.dark),
        event.report.lost,
        event.report.sent,
        event.repairs,
        event.causes.join(" "),
    )
}

/// A time for people.
fn span(span: Duration) -> String {
    let millis = span.as_secs_f64() * 1000.0;
    if millis < 1000.0 { format!("{millis:.0} ms") } else { format!("{:.1} s", millis / 1000.0) }
}

/// Median and worst.
fn figure<T: Ord + Copy>(values: impl Iterator<Item = T>) -> Option<(T, T)> {
    let mut values: Vec<T> = values.collect();
    values.sort_unstable();
    Some((*values.get(values.len() / 2)?, *values.last()?))
}

/// How long node1 took until it was back by itself.
fn returned(event: &Event) -> Option<Duration> {
    match event.back {
        Return::ByItself(time) => Some(time),
        Return::Released(_) | Return::Stuck => None,
    }
}

/// The summary.
pub(crate) fn text(outcome: &Outcome) -> String {
    let mut text = String::from(
        "\n| fault | count | not seen | repairs | dark, median | worst | lost, median | worst | back, median | worst | \
         held down | stuck | unneeded |\n|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|\n",
    );
    for kind in Kind::ALL {
        row(&mut text, kind, &outcome.events.iter().filter(|event| event.kind == kind).collect::<Vec<_>>());
    }
    let sum = |of: fn(&Quiet) -> usize| outcome.quiets.iter().map(of).sum::<usize>();
    let quiet_time: Duration = outcome.quiets.iter().map(|quiet| quiet.span).sum();
    let total = &outcome.total;
    let _ = write!(
        text,
        "\n{} of soak, {} faults; {} queries, {} lost, {} wrong, {} answered twice\n\
         quiet: {} stretches, {} in all, {} queries, {} lost ({} of them late), {} not by node1, {} route changes, \
         {} withdrawals\n\
         withdrawals of node2: {}; old threads left: {}; errors logged: {}\n",
        span(outcome.span),
        outcome.events.len(),
        total.sent,
        total.lost,
        total.wrong,
        total.duplicates,
        outcome.quiets.len(),
        span(quiet_time),
        sum(|quiet| quiet.sent),
        sum(|quiet| quiet.lost),
        sum(|quiet| quiet.late),
        sum(|quiet| quiet.strayed),
        sum(|quiet| quiet.route_changes),
        sum(|quiet| quiet.withdrawals),
        outcome.withdrawals_of_second,
        outcome.left_threads,
        outcome.errors.len(),
    );
    for ((node, process), life) in &outcome.lives {
        let _ = writeln!(text, "{node} as {process}: {}", life_line(life));
    }
    let _ = writeln!(text, "causes of withdrawals: {:?}", causes(outcome));
    let _ = writeln!(text, "{}", if outcome.is_clean() { "clean" } else { "NOT CLEAN" });
    text
}

/// One kind's row.
fn row(text: &mut String, kind: Kind, events: &[&Event]) {
    let Some((dark, darkest)) = figure(events.iter().map(|event| event.report.dark)) else { return };
    let (lost, lost_most) = figure(events.iter().map(|event| event.report.lost)).unwrap_or_default();
    let back = figure(events.iter().filter_map(|event| returned(event)));
    let (back, back_last) = back.map_or(("-".into(), "-".into()), |(half, last)| (span(half), span(last)));
    let count = |of: fn(&Event) -> bool| events.iter().filter(|event| of(event)).count();
    let _ = writeln!(
        text,
        "| {kind} | {} | {} | {} | {} | {} | {lost} | {lost_most} | {back} | {back_last} | {} | {} | {} |",
        events.len(),
        count(|event| event.seen == Some(false)),
        events.iter().map(|event| event.repairs).sum::<usize>(),
        span(dark),
        span(darkest),
        count(|event| matches!(event.back, Return::Released(_))),
        count(|event| event.back == Return::Stuck),
        events.iter().map(|event| event.unneeded).sum::<usize>(),
    );
}

/// What a life took.
fn life_line(life: &Life) -> String {
    let Some(growth) = life.growth() else { return format!("{} samples, too few to judge", life.samples.len()) };
    format!(
        "{} samples, memory {} -> {} KiB, files {} -> {}, threads {} -> {}{}",
        life.samples.len(),
        growth.memory.0,
        growth.memory.1,
        growth.files.0,
        growth.files.1,
        growth.threads.0,
        growth.threads.1,
        if growth.is_leak() { ": GROWS" } else { "" },
    )
}

/// How often each cause withdrew an address.
fn causes(outcome: &Outcome) -> BTreeMap<&str, usize> {
    let mut counts = BTreeMap::new();
    for cause in outcome.events.iter().flat_map(|event| &event.causes) {
        *counts.entry(cause.as_str()).or_default() += 1;
    }
    counts
}

/// Milliseconds.
fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// Everything.
pub(crate) fn json(outcome: &Outcome, seed: u64) -> String {
    let events: Vec<Value> = outcome.events.iter().map(event_json).collect();
    let quiets = outcome.quiets.iter().map(|quiet| {
        json!({
            "at_ms": millis(quiet.at), "span_ms": millis(quiet.span), "sent": quiet.sent, "lost": quiet.lost,
            "late": quiet.late, "cpu_wait_ms": millis(quiet.cpu_wait), "not_by_node1": quiet.strayed,
            "route_changes": quiet.route_changes, "withdrawals": quiet.withdrawals,
        })
    });
    let lives = outcome.lives.iter().map(|((node, process), life)| {
        let samples = life.samples.iter().map(|sample| json!([sample.memory, sample.files, sample.threads]));
        json!({
            "node": node.to_string(), "process": process, "leak": life.growth().is_some_and(|growth| growth.is_leak()),
            "memory_kib_files_threads": samples.collect::<Vec<_>>(),
        })
    });
    let all = json!({
        "seed": seed, "span_ms": millis(outcome.span), "is_clean": outcome.is_clean(), "faults": events,
        "quiet": quiets.collect::<Vec<_>>(), "lives": lives.collect::<Vec<_>>(),
        "withdrawals_of_node2": outcome.withdrawals_of_second, "left_threads": outcome.left_threads,
        "errors": outcome.errors, "sent": outcome.total.sent, "lost": outcome.total.lost,
        "wrong": outcome.total.wrong, "duplicates": outcome.total.duplicates,
    });
    format!("{all:#}\n")
}

/// One fault.
fn event_json(event: &Event) -> Value {
    json!({
        "fault": event.kind.word(), "at_ms": millis(event.at), "span_ms": millis(event.span), "seen": event.seen,
        "route_gone_ms": event.route_gone.map(millis), "dark_ms": millis(event.report.dark),
        "sent": event.report.sent, "lost": event.report.lost, "wrong": event.report.wrong,
        "back_ms": returned(event).map(millis), "stuck": event.back == Return::Stuck,
        "released": matches!(event.back, Return::Released(_)), "repairs": event.repairs,
        "causes": event.causes, "unneeded": event.unneeded,
    })
}
