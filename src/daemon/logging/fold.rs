//! Which lines are written, and which are only counted: a line that was written moments ago is not written again, but
//! counted.
//!
//! Owns the memory of what was written. Refuses to know clocks, threads and formats: the time is an argument, a line is
//! its text without the time, and a line in the source has a number.
//!
//! The first of its kind is always written at once. From then on, for [`WINDOW`], lines of the same line that say the
//! same are counted, and so are those beyond [`LINES_MAX`] different ones; what was counted is one line at the window's
//! end. A line that goes on being repeated is one line each window, however often it comes.

use std::collections::HashMap;
use std::hash::Hash;
use std::time::Duration;

use tracing::Level;

/// For how long lines that say the same are counted before the count is logged.
pub(super) const WINDOW: Duration = Duration::from_secs(5);
/// The most different lines of one line that are written in a window: as many as there are service addresses.
pub(super) const LINES_MAX: usize = 64;
/// The most octets of a line that are compared and counted.
pub(super) const TEXT_BYTES_MAX: usize = 512;

/// What was written lately, by the line in the source that wrote it. There are only so many lines in a program, and
/// each keeps [`LINES_MAX`] lines at most.
#[derive(Debug)]
pub(super) struct Fold<P> {
    lines: HashMap<P, SourceLine>,
}

/// What a line in the source wrote.
#[derive(Debug)]
struct SourceLine {
    level: Level,
    /// When the window began.
    since: Duration,
    /// The lines that were written, each with how often it came again in this window.
    lines: Vec<(String, u64)>,
    /// Lines of this window that were neither written nor repeated a written one, and the last of them.
    others: (u64, String),
}

/// One line that stands for many.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Summary {
    /// How grave it is.
    pub(super) level: Level,
    /// How many lines were not written.
    pub(super) count: u64,
    /// The one that came most often.
    pub(super) text: String,
    /// How many of them say something else.
    pub(super) others: u64,
}

impl<P> Default for Fold<P> {
    fn default() -> Self {
        Self { lines: HashMap::new() }
    }
}

impl<P: Eq + Hash> Fold<P> {
    /// Takes a line; returns whether it is to be written.
    pub(super) fn is_new(&mut self, now: Duration, line: P, level: Level, text: String) -> bool {
        let fresh = || SourceLine { level, since: now, lines: Vec::new(), others: (0, String::new()) };
        let line = self.lines.entry(line).or_insert_with(fresh);
        if let Some((_, repeats)) = line.lines.iter_mut().find(|(line, _)| *line == text) {
            *repeats += 1;
            return false;
        }
        if line.lines.len() >= LINES_MAX {
            line.others = (line.others.0 + 1, text);
            return false;
        }
        line.lines.push((text, 0));
        true
    }

    /// Returns when the next window ends; `None` while nothing is remembered.
    pub(super) fn deadline(&self) -> Option<Duration> {
        self.lines.values().map(|line| line.since + WINDOW).min()
    }

    /// Ends the windows that are over at `now`, all of them where there is no `now`, and returns what was counted in
    /// them. A line that did not come again is forgotten.
    pub(super) fn settle(&mut self, now: Option<Duration>) -> Vec<Summary> {
        let mut summaries = Vec::new();
        self.lines.retain(|_, line| {
            if now.is_some_and(|now| now < line.since + WINDOW) {
                return true;
            }
            line.lines.retain(|(_, repeats)| *repeats > 0);
            summaries.extend(line.summary());
            line.lines.iter_mut().for_each(|(_, repeats)| *repeats = 0);
            line.others = (0, String::new());
            line.since = now.unwrap_or(line.since);
            !line.lines.is_empty()
        });
        summaries
    }
}

impl SourceLine {
    /// What was counted, if anything.
    fn summary(&self) -> Option<Summary> {
        let (others, last) = &self.others;
        let count = others + self.lines.iter().map(|(_, repeats)| repeats).sum::<u64>();
        let most = self.lines.iter().max_by_key(|(_, repeats)| *repeats).filter(|(_, repeats)| *repeats > 0);
        let (text, shown) = most.map_or((last, 1), |(text, repeats)| (text, *repeats));
        (count > 0).then(|| Summary { level: self.level, count, text: text.clone(), others: count - shown })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Moments in milliseconds.
    fn at(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn the_first_is_written_at_once_and_the_others_are_one_line_a_window_for_as_long_as_they_come() {
        let mut fold = Fold::default();
        let mut written = 0;
        let mut counted = 0;
        // Two hundred a second for a minute.
        for step in 0..12_000 {
            let now = at(step * 5);
            let summaries = fold.settle(Some(now));
            assert!(summaries.len() <= 1);
            for summary in summaries {
                assert_eq!((summary.level, summary.text.as_str(), summary.others), (Level::WARN, "refused", 0));
                counted += summary.count;
                written += 1;
            }
            let is_new = fold.is_new(now, 1, Level::WARN, "refused".into());
            assert_eq!(is_new, step == 0, "{step}");
            written += u64::from(is_new);
        }
        counted += fold.settle(None).iter().map(|summary| summary.count).sum::<u64>();
        assert_eq!((written, counted), (12, 11_999));
    }

    #[test]
    fn what_says_something_else_or_comes_from_elsewhere_or_much_later_is_written() {
        let mut fold = Fold::default();
        let mut is_new = |millis, line, text: &str| {
            assert_eq!(fold.settle(Some(at(millis))), []);
            fold.is_new(at(millis), line, Level::ERROR, text.into())
        };
        assert!(is_new(0, 1, "down") && is_new(1, 1, "up") && is_new(2, 2, "down"));
        assert!(is_new(5001, 1, "down") && is_new(5002, 1, "up"), "nothing was repeated within the window");
    }

    #[test]
    fn lines_that_all_differ_are_bounded_too_and_none_is_lost_from_the_count() {
        let mut fold = Fold::default();
        let written = (0..1000).filter(|n| fold.is_new(at(0), 1, Level::WARN, format!("took {n}"))).count();
        assert_eq!(written, LINES_MAX);
        assert_eq!(fold.deadline(), Some(WINDOW));
        let logged = fold.settle(Some(WINDOW));
        let expected = Summary { level: Level::WARN, count: 936, text: "took 999".into(), others: 935 };
        assert_eq!(logged, [expected]);
        assert_eq!((fold.deadline(), fold.settle(None)), (None, vec![]), "and all is forgotten");
    }
}
