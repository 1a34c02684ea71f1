//! The lab's timeline as an SVG: for each fault and server, who answered what was sent in each moment, and when the
//! route went.

use std::time::Duration;

use crate::common::site::clock;
use crate::common::site::load::Asked;
use crate::common::site::watch::RouteChange;
use crate::common::site::{Fault, NodeNumber, Round, Site};

/// Width of a bin.
const BIN: Duration = Duration::from_millis(10);
/// What is shown before the fault.
const BEFORE: Duration = Duration::from_millis(500);
/// What is shown after the fault.
const AFTER: Duration = Duration::from_millis(7500);
/// Pixels of a panel's plot.
const PLOT: (f64, f64) = (400.0, 70.0);
/// Pixels between panels, for titles and axes.
const GAP: (f64, f64) = (24.0, 44.0);
/// Pixels on the left, for the names of faults.
const LEFT: f64 = 90.0;
/// Pixels on top, for the legend.
const TOP: f64 = 50.0;
/// Pixels that the legend takes.
const LEGEND: f64 = 700.0;
/// The colours: node1, node2, lost.
const COLOURS: [&str; 3] = ["#2a7ab8", "#e08e1b", "#c62f3a"];

/// One round of a fault on a server.
#[derive(Debug)]
pub(crate) struct Panel {
    /// The server's name.
    server: &'static str,
    /// The fault.
    fault: Fault,
    /// When it was put on.
    at: Duration,
    /// When it was taken away.
    lifted_at: Duration,
    /// The queries that are shown.
    asked: Vec<Asked>,
    /// The changes of the route that are shown.
    changes: Vec<RouteChange>,
}

impl Panel {
    /// Takes what is shown of a round out of the site's notes. Waits until all that is shown has happened.
    pub(crate) fn of(site: &Site, server: &'static str, round: &Round) -> Self {
        let (from, to) = (round.at.saturating_sub(BEFORE), round.at + AFTER);
        clock::wait_until(AFTER, || clock::now() > to);
        site.wait_final(to);
        let mut changes = site.watch.changes();
        changes.retain(|change| (from..to).contains(&change.at));
        let asked = site.load.between(from, to);
        Self { server, fault: round.fault, at: round.at, lifted_at: round.lifted_at, asked, changes }
    }

    /// The place of a moment on the axis, in pixels from the plot's left.
    fn place(&self, moment: Duration) -> f64 {
        let from_start = (moment + BEFORE).as_secs_f64() - self.at.as_secs_f64();
        from_start / (BEFORE + AFTER).as_secs_f64() * PLOT.0
    }

    /// Answers of node1, answers of node2, and lost queries, for each bin.
    fn bins(&self) -> [Vec<u32>; 3] {
        let count = ((BEFORE + AFTER).as_millis() / BIN.as_millis()) as usize;
        let mut bins = [0; 3].map(|_: i32| vec![0; count]);
        for asked in &self.asked {
            let index = ((asked.sent + BEFORE).saturating_sub(self.at).as_millis() / BIN.as_millis()) as usize;
            let which = match asked.answer.filter(|_| asked.is_answered()) {
                None => 2,
                Some(answer) if answer.node == Some(NodeNumber::SECOND) => 1,
                Some(_) => 0,
            };
            if let Some(bin) = bins[which].get_mut(index) {
                *bin += 1;
            }
        }
        bins
    }

    /// Draws the panel with the plot's left upper corner at (x, y).
    fn draw(&self, x: f64, y: f64, out: &mut String) {
        let (width, height) = PLOT;
        let mut bins = self.bins();
        // Stacked: each series stands on those before it, and is drawn before them.
        for series in 1..bins.len() {
            for index in 0..bins[series].len() {
                bins[series][index] += bins[series - 1][index];
            }
        }
        let most = bins.iter().flatten().copied().max().unwrap_or(1).max(1);
        out.push_str(&format!("<g transform=\"translate({x:.1} {y:.1})\">\n"));
        out.push_str(&format!("<text y=\"-6\" class=\"title\">{}</text>\n", self.server));
        out.push_str(&format!("<rect width=\"{width}\" height=\"{height}\" class=\"plot\"/>\n"));
        for (bins, colour) in bins.iter().zip(COLOURS).rev() {
            out.push_str(&format!("<path d=\"{}\" fill=\"{colour}\"/>\n", area(bins, most)));
        }
        for (moment, class) in [(self.at, "fault"), (self.lifted_at, "lifted")] {
            let place = self.place(moment);
            if place <= width {
                out.push_str(&format!("<path d=\"M{place:.1} -4V{height}\" class=\"{class}\"/>\n"));
            }
        }
        for change in &self.changes {
            let place = self.place(change.at);
            let title = change.to.map_or("no route".into(), |node| format!("route to {node}"));
            let after = (change.at.as_secs_f64() - self.at.as_secs_f64()) * 1000.0;
            out.push_str(&format!(
                "<path d=\"M{place:.1} {height}v7\" class=\"route\"><title>\
                 {:?}: {title}, {after:.1} ms</title></path>\n",
                change.family
            ));
        }
        for second in 0..=AFTER.as_secs() {
            let place = self.place(self.at + Duration::from_secs(second));
            out.push_str(&format!(
                "<text x=\"{place:.1}\" y=\"{:.1}\" class=\"tick\">{second} s</text>\n",
                height + 18.0
            ));
        }
        out.push_str("</g>\n");
    }
}

/// A stepped area over the bins, scaled to the plot.
fn area(bins: &[u32], most: u32) -> String {
    let (width, height) = PLOT;
    let step = width / bins.len() as f64;
    let mut path = format!("M0 {height}");
    let mut last = 0;
    for (index, count) in bins.iter().enumerate() {
        if *count != last {
            let level = height - f64::from(*count) / f64::from(most) * height;
            path.push_str(&format!("H{:.1}V{level:.1}", index as f64 * step));
            last = *count;
        }
    }
    path.push_str(&format!("H{width}V{height}Z"));
    path
}

/// All panels: a row for each fault, a column for each server.
pub(crate) fn svg(panels: &[Panel]) -> String {
    let mut servers: Vec<&str> = Vec::new();
    let mut faults: Vec<Fault> = Vec::new();
    for panel in panels {
        if !servers.contains(&panel.server) {
            servers.push(panel.server);
        }
        if !faults.contains(&panel.fault) {
            faults.push(panel.fault);
        }
    }
    let (column, row) = (PLOT.0 + GAP.0, PLOT.1 + GAP.1);
    let (width, height) = ((LEFT + column * servers.len() as f64).max(LEGEND), TOP + row * faults.len() as f64);
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" \
         viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\">\n\
         <style>text{{font:12px sans-serif;fill:#222}}.title{{font-weight:bold}}.tick{{font-size:9px;\
         text-anchor:middle}}.plot{{fill:#f4f4f2}}.fault{{stroke:#111;stroke-width:1.5}}\
         .lifted{{stroke:#111;stroke-dasharray:3 2}}\
         .route{{stroke:#6b2fa0;stroke-width:2}}</style>\n<rect width=\"{width}\" height=\"{height}\" fill=\"#fff\"/>\n"
    );
    for (index, (label, colour)) in ["answered by node1", "answered by node2", "lost", "the route changes"]
        .iter()
        .zip(COLOURS.iter().chain(["#6b2fa0"].iter()))
        .enumerate()
    {
        let x = LEFT + 150.0 * index as f64;
        out.push_str(&format!("<rect x=\"{x}\" y=\"8\" width=\"12\" height=\"12\" fill=\"{colour}\"/>"));
        out.push_str(&format!("<text x=\"{}\" y=\"18\">{label}</text>\n", x + 18.0));
    }
    for (index, fault) in faults.iter().enumerate() {
        let y = TOP + row * index as f64 + PLOT.1 / 2.0;
        out.push_str(&format!("<text x=\"8\" y=\"{y:.1}\" class=\"title\">{fault}</text>\n"));
    }
    for panel in panels {
        let column_index = servers.iter().position(|server| *server == panel.server).unwrap_or_default();
        let row_index = faults.iter().position(|fault| *fault == panel.fault).unwrap_or_default();
        panel.draw(LEFT + column * column_index as f64, TOP + row * row_index as f64, &mut out);
    }
    out.push_str("</svg>\n");
    out
}
