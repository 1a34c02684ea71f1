//! The status as a page for people: plain HTML, no script, nothing from elsewhere.

use std::fmt::{Arguments, Write};

use super::reply::{Anycast, Readiness, State, Status, Zone, ZoneCounts, ZonePage};

/// What stands above the body.
const HEAD: &str = "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>fated</title><style>
body{font:14px/1.4 system-ui,sans-serif;margin:2em;max-width:70em}table{border-collapse:collapse;margin:0 0 1.5em}
th,td{text-align:left;padding:.15em .8em .15em 0;border-bottom:1px solid #ddd;vertical-align:top}
pre{background:#f4f4f4;padding:.5em;overflow:auto}.good{color:#060}.bad{color:#a00;font-weight:bold}
</style></head><body>\n";

/// Makes the page.
pub(super) fn status(status: &Status) -> String {
    let mut page = Page(HEAD.to_owned());
    page.put(format_args!("<h1>fated {}</h1>\n", Text(&status.version)));
    let Readiness { is_ready, reason } = &status.ready;
    let (class, word) = if *is_ready { ("good", "ready") } else { ("bad", "not ready") };
    page.put(format_args!("<p class=\"{class}\">{word}: {}</p>\n", Text(reason)));
    let (pid, up, workers) = (status.pid, status.uptime_s, status.workers);
    let listen = status.listen.join(", ");
    page.put(format_args!("<p>process {pid}, serving for {up} s, {workers} UDP workers on {}</p>\n", Text(&listen)));
    if let Some(anycast) = &status.anycast {
        page.anycast(anycast);
    }
    let ZoneCounts { served, kept, refused } = status.zone_counts;
    page.put(format_args!("<h2>{} zones</h2>\n<p>{served} served", served + refused));
    for (count, what) in [(kept, "of them BROKEN and as they were"), (refused, "BROKEN, answered with SERVFAIL")] {
        if count > 0 {
            page.put(format_args!(", <span class=\"bad\">{count} {what}</span>"));
        }
    }
    page.0.push_str("</p>\n");
    if let Some(secondaries) = &status.secondaries {
        page.put(format_args!("<p>{}</p>\n", Text(&secondaries.line())));
    }
    page.zones(&status.zones);
    if served + refused > status.zones.len() {
        page.0.push_str("<p><a href=\"/zones?from=0\">all zones</a></p>\n");
    }
    page.put(format_args!("<h2>Counters</h2>\n"));
    let counters = status.counters.iter().filter(|counter| counter.value > 0);
    let rows = counters.map(|counter| [counter.name.clone(), counter.value.to_string()]);
    page.table(["counter", "value"], rows);
    page.0.push_str("</body></html>\n");
    page.0
}

/// Makes a page of zones.
pub(super) fn zones(zones: &ZonePage) -> String {
    let mut page = Page(HEAD.to_owned());
    let end = zones.from + zones.zones.len();
    page.put(format_args!("<h1>zones {} to {end} of {}</h1>\n", zones.from + usize::from(end > zones.from), zones.all));
    page.zones(&zones.zones);
    if let Some(next) = zones.next {
        page.put(format_args!("<p><a href=\"/zones?from={next}\">next</a></p>\n"));
    }
    page.0.push_str("</body></html>\n");
    page.0
}

/// A page that grows.
struct Page(String);

impl Page {
    fn put(&mut self, arguments: Arguments<'_>) {
        self.0.write_fmt(arguments).expect("a String takes everything");
    }

    /// Adds a table; its cells are plain text.
    fn table<const COLUMNS: usize>(&mut self, head: [&str; COLUMNS], rows: impl Iterator<Item = [String; COLUMNS]>) {
        self.0.push_str("<table><tr>");
        for cell in head {
            self.put(format_args!("<th>{}</th>", Text(cell)));
        }
        self.0.push_str("</tr>\n");
        for row in rows {
            self.0.push_str("<tr>");
            for cell in row {
                self.put(format_args!("<td>{}</td>", Text(&cell)));
            }
            self.0.push_str("</tr>\n");
        }
        self.0.push_str("</table>\n");
    }

    fn anycast(&mut self, anycast: &Anycast) {
        let mode = if anycast.dry_run { " (dry run: nothing is announced)" } else { "" };
        self.put(format_args!("<h2>Anycast on {}{mode}</h2>\n", Text(&anycast.interface)));
        let ms = |age: Option<u64>| age.map_or_else(|| "-".to_owned(), |age| format!("{age} ms"));
        let addresses = anycast.addresses.iter().map(|address| {
            let announced = if address.announced { format!("yes, as {}", address.prefix) } else { "no".to_owned() };
            let since = format!("{} s", address.since_s);
            let (lease, proof) = (ms(address.lease_age_ms), ms(address.proof_age_ms));
            let (stance, path) = (address.stance.word().to_owned(), address.path.word().to_owned());
            [address.address.clone(), stance, since, announced, lease, proof, path, address.reason.clone()]
        });
        self.table(
            ["address", "stance", "for", "announced", "lease renewed", "last proof", "path", "reason"],
            addresses,
        );
        let workers = anycast.workers.iter().map(|worker| {
            let latency = worker.latency_us.map_or_else(|| "-".to_owned(), |latency| format!("{latency} µs"));
            let (number, repairs) = (worker.worker.to_string(), worker.repairs.to_string());
            [number, worker.state.word().to_owned(), ms(worker.proof_age_ms), latency, repairs]
        });
        self.table(["worker", "state", "last proof", "latency", "repairs"], workers);
        let threads = anycast
            .tcp_threads
            .iter()
            .map(|thread| [thread.thread.to_string(), thread.state.word().to_owned(), thread.repairs.to_string()]);
        self.table(["TCP thread", "state", "repairs"], threads);
        if !anycast.zone_faults.is_empty() {
            let faults = anycast.zone_faults.iter();
            let rows = faults.map(|fault| [fault.zone.clone(), fault.fault.clone(), format!("{} s", fault.since_s)]);
            self.table(["zone", "fault", "for"], rows);
        }
        let transitions = anycast.transitions.iter().map(|change| {
            let steps: Vec<String> =
                change.steps.iter().map(|step| format!("{} {} µs", step.what, step.took_us)).collect();
            let stances = format!("{} → {}", change.from.word(), change.to.word());
            let age = format!("{} s ago", change.age_ms / 1000);
            [age, change.address.clone(), stances, change.cause.clone(), steps.join(", ")]
        });
        self.table(["change", "address", "stance", "cause", "steps"], transitions);
    }

    fn zones(&mut self, zones: &[Zone]) {
        let broken = zones.iter().filter(|zone| zone.state != State::Served);
        let served = zones.iter().filter(|zone| zone.state == State::Served);
        let rows = broken.clone().chain(served).map(|zone| {
            let state = match zone.state {
                State::Served => "served",
                State::Kept => "BROKEN, the old zone is served",
                State::Refused => "BROKEN, answered with SERVFAIL",
                State::Awaited => "AWAITED from its primaries, answered with SERVFAIL",
                State::Expired => "EXPIRED, answered with SERVFAIL",
            };
            let serial = zone.serial.map_or_else(|| "-".to_owned(), |serial| serial.to_string());
            [zone.name.clone(), serial, zone.records.to_string(), state.to_owned(), zone.file.clone()]
        });
        self.table(["zone", "serial", "records", "state", "file"], rows);
        for zone in broken {
            self.put(format_args!("<pre>{}</pre>\n", Text(zone.faults.trim_end())));
        }
    }
}

/// Text in which nothing is taken for markup.
struct Text<'a>(&'a str);

impl std::fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for character in self.0.chars() {
            match character {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                other => f.write_char(other)?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_from_outside_becomes_markup() {
        assert_eq!(Text("<a href='x'>\"&").to_string(), "&lt;a href=&#39;x&#39;&gt;&quot;&amp;");
    }
}
