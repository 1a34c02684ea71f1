//! What replication costs, whole processes side by side: fated, NSD and Knot DNS send a zone of many names, get one,
//! and get changes of one record. Ratios are what counts: all run on the same machine, one after the other.
//!
//! `cargo bench --bench replication -- [--names N] [--rounds N] [--changes N] [--members N]`; with `--names 0` or
//! `--members 0` that part is left out. Needs `nsd` and `knotd`; who is not
//! there is left out. All is bounded: rounds, changes and [`PATIENCE`].

#[path = "replication/fleet.rs"]
mod fleet;
#[path = "replication/primary.rs"]
mod primary;
#[path = "replication/server.rs"]
mod server;
#[path = "common/zone.rs"]
#[allow(dead_code)] // The other benches use the rest.
mod zone;

use std::time::{Duration, Instant};

use primary::Primary;
use server::{Kind, Role, Server};

/// The longest that anything may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(300);
/// How long a server may go on working behind its first answer, and is watched.
const SETTLE: Duration = Duration::from_secs(8);
/// A pause between changes, in which a server finishes what it does behind an answer.
const PAUSE: Duration = Duration::from_millis(150);

/// What is measured.
struct Plan {
    names: usize,
    rounds: usize,
    changes: u32,
    members: usize,
}

impl Plan {
    /// Reads the command line; cargo adds `--bench`.
    fn read() -> Self {
        let mut plan = Self { names: 1_000_000, rounds: 3, changes: 50, members: 100_000 };
        let mut words = std::env::args().skip(1).filter(|word| word != "--bench");
        while let Some(word) = words.next() {
            let number = words.next().and_then(|number| number.parse::<u32>().ok());
            let number = number.unwrap_or_else(|| panic!("{word} needs a number"));
            match word.as_str() {
                "--names" => plan.names = number as usize,
                "--rounds" => plan.rounds = number as usize,
                "--changes" => plan.changes = number,
                "--members" => plan.members = number as usize,
                _ => panic!("{word}: --names, --rounds, --changes or --members"),
            }
        }
        plan
    }
}

/// What came of one server.
struct Figures {
    kind: Kind,
    /// Records a second of CPU, sent.
    sent: f64,
    /// From the start of the process to the first right answer, when the zone has to come.
    first: Duration,
    /// CPU for that and what is done behind it.
    load: Duration,
    /// Memory of a secondary, and of the same server with a file, in MiB.
    memory: [f64; 2],
    /// From NOTIFY to the right answer: median and worst.
    visible: [Duration; 2],
    /// CPU of a change.
    change: Duration,
}

fn main() {
    let plan = Plan::read();
    let kinds: Vec<Kind> = Kind::ALL.into_iter().filter(|kind| kind.is_there()).collect();
    if plan.names > 0 {
        let text = zone::text(plan.names);
        let figures: Vec<Figures> = kinds.iter().map(|kind| measure(*kind, &text, &plan)).collect();
        show(&figures, &plan);
    }
    if plan.members > 0 {
        fleet::measure(&kinds, plan.members);
    }
}

/// Measures one server.
fn measure(kind: Kind, text: &str, plan: &Plan) -> Figures {
    let from_file = Server::start(kind, &Role::Primary { text });
    from_file.wait_for_serial(1);
    std::thread::sleep(SETTLE);
    let memory_of_file = from_file.memory_mib();
    let mut stream = None;
    let mut costs = Vec::new();
    for _ in 0..plan.rounds {
        let before = from_file.cpu_time();
        let taken = primary::fetch(from_file.address);
        // What is left of it in the server is short.
        std::thread::sleep(PAUSE);
        costs.push(taken.records as f64 / (from_file.cpu_time() - before).as_secs_f64());
        stream = Some(taken);
    }
    drop(from_file);

    let primary = Primary::start(stream.expect("there is a round"));
    let start = Instant::now();
    let secondary = Server::start(kind, &Role::Secondary { primary: primary.address() });
    secondary.wait_for_serial(1);
    let first = start.elapsed();
    std::thread::sleep(SETTLE);
    let (load, memory) = (secondary.cpu_time(), secondary.memory_mib());
    let mut visible = Vec::new();
    for _ in 0..plan.changes {
        let serial = primary.change();
        let start = Instant::now();
        primary.notify(secondary.address);
        secondary.wait_for_serial(serial);
        visible.push(start.elapsed());
        std::thread::sleep(PAUSE);
    }
    visible.sort();
    let change = (secondary.cpu_time() - load) / plan.changes.max(1);
    let at = |index: usize| visible.get(index).copied().unwrap_or_default();
    println!("{}: measured in {:.0} s", kind.word(), start.elapsed().as_secs_f64());
    Figures {
        kind,
        sent: median(&mut costs),
        first,
        load,
        memory: [memory, memory_of_file],
        visible: [at(visible.len() / 2), at(visible.len().saturating_sub(1))],
        change,
    }
}

/// The middle one.
fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}

/// Prints the table, as `docs/transfers.md` has it.
fn show(figures: &[Figures], plan: &Plan) {
    let seconds = |time: Duration| time.as_secs_f64();
    println!("\n{} names, {} rounds, {} changes\n", plan.names, plan.rounds, plan.changes);
    print!("| |");
    figures.iter().for_each(|one| print!(" {} |", one.kind.word()));
    println!(" fated to the best peer |\n|---|{}---|", "---|".repeat(figures.len()));
    let row = |what: &str, is_more_better: bool, read: &dyn Fn(&Figures) -> f64| {
        print!("| {what} |");
        figures.iter().for_each(|one| print!(" {:.4} |", read(one)));
        let peers = figures.iter().filter(|one| one.kind != Kind::Fated).map(read);
        let best = peers.reduce(|a, b| if is_more_better { a.max(b) } else { a.min(b) });
        let ours = figures.iter().find(|one| one.kind == Kind::Fated).map(read);
        match ours.zip(best) {
            Some((ours, best)) => println!(" {:.3} |", ours / best),
            None => println!(" |"),
        }
    };
    row("whole zone out, million records a second of CPU", true, &|one| one.sent / 1e6);
    row("whole zone in, seconds to the first answer", false, &|one| seconds(one.first));
    row("whole zone in, seconds of CPU", false, &|one| seconds(one.load));
    row("memory of a secondary, MiB", false, &|one| one.memory[0]);
    row("memory of a secondary to that of a file", false, &|one| one.memory[0] / one.memory[1]);
    row("one record, ms from NOTIFY to the answer, median", false, &|one| seconds(one.visible[0]) * 1e3);
    row("one record, ms from NOTIFY to the answer, worst", false, &|one| seconds(one.visible[1]) * 1e3);
    row("one record, ms of CPU", false, &|one| seconds(one.change) * 1e3);
    row("one record, CPU to that of the whole zone", false, &|one| seconds(one.change) / seconds(one.load));
}
