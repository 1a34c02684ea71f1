//! Each row: what is served, who runs, and what else than speed is measured.

use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::Plan;
use super::client::{Steady, Transport, steady};
use super::common::message::Query;
use super::common::server::ZoneFile;
use super::contender::{Contender, Running, Setup};
use super::keep::Folder;
use super::race::{Entrant, Race, millis, ready_queries};
use super::results::{Number, Results};
use super::row::{Row, SIZES, What};
use super::sample::Sample;
use super::zones::{Many, Material, ORIGIN, Recipe, Signing};

/// Servers are started so often at most in rows that measure the start.
const STARTS_MAX: usize = 3;
/// Queries a second while the zone is reloaded: far less than a server can do.
const STEADY_PER_SECOND: u32 = 5_000;
/// How long a server may take to give memory back after a reload.
const SETTLE_PATIENCE: Duration = Duration::from_secs(5);
/// How often its memory is looked at.
const SETTLE_POLL: Duration = Duration::from_millis(100);

/// Measures one row.
///
/// # Errors
/// Something other than a peer fails.
pub(crate) fn measure(row: Row, plan: &Plan, results: &mut Results) -> io::Result<()> {
    let small = || Recipe::new(plan.seed, plan.small_names);
    let million = || Recipe::new(plan.seed, plan.million_names);
    let race = |material: &Material, transport, signing, is_kept, results: &mut Results| {
        let entrants = plan.contenders.iter().map(|who| Entrant { who: *who, material, cpu_as: What::Cpu }).collect();
        Race { row, transport, signing, entrants, is_kept }.run(plan, results)
    };
    match row {
        Row::Small => race(&small().material(Signing::Unsigned)?, Transport::Udp, Signing::Unsigned, false, results),
        Row::Million => race(&million().material(Signing::Unsigned)?, Transport::Udp, Signing::Unsigned, true, results),
        Row::Nsec => race(&small().material(Signing::Nsec)?, Transport::UdpDo, Signing::Nsec, false, results),
        Row::Nsec3 => race(&small().material(Signing::Nsec3)?, Transport::UdpDo, Signing::Nsec3, false, results),
        Row::Tcp => race(&small().material(Signing::Unsigned)?, Transport::Tcp, Signing::Unsigned, false, results),
        Row::TcpNew => {
            race(&small().material(Signing::Unsigned)?, Transport::TcpNew, Signing::Unsigned, false, results)
        }
        Row::Start => start(million(), plan, results),
        Row::Many => many(Many { seed: plan.seed, count: plan.many_zones }, plan, results),
        Row::Flat => flat(plan, results),
        Row::Reload => reload(million(), plan, results),
    }
}

/// Starts servers in turn on all CPUs and notes how long it takes and what memory it needs; `then` sees each of them.
fn starts(
    row: Row,
    material: &Material,
    plan: &Plan,
    results: &mut Results,
    mut then: impl FnMut(&Running, &mut Results) -> io::Result<()>,
) -> io::Result<()> {
    let ready = ready_queries(material);
    // Read once, so that the first does not wait for the disk where the others don't.
    for zone in &material.zones {
        io::copy(&mut fs::File::open(&zone.file)?, &mut io::sink())?;
    }
    let signing = Signing::Unsigned;
    let setup = Setup { fated: &plan.fated, material, signing, cpu: None, floor_bytes: 0, ready: &ready };
    let mut left: Vec<Contender> = plan.contenders.iter().copied().filter(|who| *who != Contender::Floor).collect();
    for round in 0..plan.rounds.min(STARTS_MAX) {
        for who in left.clone() {
            let running = match Running::start(who, &setup) {
                Ok(running) => running,
                Err(error) if who.is_peer() => {
                    left.retain(|other| *other != who);
                    results.note(format!("{row}: {who} is left out: {error}"));
                    continue;
                }
                Err(error) => return Err(error),
            };
            let (start, memory) = (running.start_time.as_secs_f64(), running.meter.memory_mib()?);
            eprintln!("{row}: {who}, start {}: {start:.2} s, {memory:.0} MiB", round + 1);
            let mut add = |what, value| results.add(Number { row, what, who, value, is_limited: false });
            add(What::Start, start);
            add(What::Memory, memory);
            add(What::Peak, running.meter.peak_mib()?);
            then(&running, results)?;
        }
    }
    Ok(())
}

/// Start, memory, and memory in a reload that leaves no node as it was.
fn start(recipe: Recipe, plan: &Plan, results: &mut Results) -> io::Result<()> {
    let versions = Versions::new(recipe)?;
    let row = Row::Start;
    starts(row, &versions.material, plan, results, |running, results| {
        if running.contender != Contender::Fated {
            return Ok(());
        }
        let before = running.meter.memory_mib()?;
        running.meter.reset_peak()?;
        let time = versions.reload(plan, running)?;
        let peak = running.meter.peak_mib()?;
        let after = settled(running, before)?;
        let who = Contender::Fated;
        let mut add = |what, value| results.add(Number { row, what, who, value, is_limited: false });
        add(What::ReloadPeak, peak);
        add(What::ReloadMemory, after);
        add(What::ReloadTime, time.as_secs_f64());
        // The next start is to find the first version again.
        versions.show(false)
    })
}

/// The least memory until it is about what it was before, or until that has taken too long.
fn settled(running: &Running, before: f64) -> io::Result<f64> {
    let begin = Instant::now();
    let mut least = running.meter.memory_mib()?;
    while least > before && begin.elapsed() < SETTLE_PATIENCE {
        std::thread::sleep(SETTLE_POLL);
        least = least.min(running.meter.memory_mib()?);
    }
    Ok(least)
}

/// Many small zones: start and memory, then speed beside one zone of all their names.
fn many(many: Many, plan: &Plan, results: &mut Results) -> io::Result<()> {
    let (apart, together) = (many.apart()?, many.together()?);
    starts(Row::Many, &apart, plan, results, |_, _| Ok(()))?;
    let mut entrants: Vec<Entrant<'_>> =
        plan.contenders.iter().map(|who| Entrant { who: *who, material: &apart, cpu_as: What::Cpu }).collect();
    if plan.contenders.contains(&Contender::Fated) {
        entrants.push(Entrant { who: Contender::Fated, material: &together, cpu_as: What::CpuInOneZone });
    }
    let (transport, signing) = (Transport::Udp, Signing::Unsigned);
    Race { row: Row::Many, transport, signing, entrants, is_kept: true }.run(plan, results)
}

/// One size after the other.
fn flat(plan: &Plan, results: &mut Results) -> io::Result<()> {
    let sizes = SIZES.iter().filter(|size| **size <= plan.flat_names_max);
    let materials = sizes
        .map(|size| Ok((*size, Recipe::new(plan.seed, *size).material(Signing::Unsigned)?)))
        .collect::<io::Result<Vec<_>>>()?;
    let entrants = materials
        .iter()
        .map(|(size, material)| Entrant { who: Contender::Fated, material, cpu_as: What::CpuAt(*size) })
        .collect();
    let (transport, signing) = (Transport::Udp, Signing::Unsigned);
    Race { row: Row::Flat, transport, signing, entrants, is_kept: true }.run(plan, results)
}

/// A reload on the one CPU that also answers, which is the worst case, while queries come at a steady rate.
fn reload(recipe: Recipe, plan: &Plan, results: &mut Results) -> io::Result<()> {
    let versions = Versions::new(recipe)?;
    let material = &versions.material;
    let (ready, sample) = (ready_queries(material), Sample::read(&material.queries, false)?);
    let (signing, cpu) = (Signing::Unsigned, Some(plan.server_cpu));
    let setup = Setup { fated: &plan.fated, material, signing, cpu, floor_bytes: 0, ready: &ready };
    let running = Running::start(Contender::Fated, &setup)?;
    for round in 0..plan.rounds {
        let quiet = asked_while(plan, &running, sample.queries(), || {
            std::thread::sleep(plan.time);
            Ok(plan.time)
        })?;
        let busy = asked_while(plan, &running, sample.queries(), || versions.reload(plan, &running))?;
        let [quiet_p99, busy_p99] = [&quiet.0, &busy.0].map(|seen| millis(seen.quantile(0.99)));
        let lost = quiet.0.lost + busy.0.lost;
        eprintln!(
            "reload, round {} of {}: {lost} of {} lost, p99 {quiet_p99:.2} ms, then {busy_p99:.2} ms for {:.1} s",
            round + 1,
            plan.rounds,
            quiet.0.sent + busy.0.sent,
            busy.1.as_secs_f64()
        );
        let (row, who) = (Row::Reload, Contender::Fated);
        let mut add = |what, value| results.add(Number { row, what, who, value, is_limited: false });
        add(What::Lost, lost as f64);
        add(What::QuietP99, quiet_p99);
        add(What::ReloadP99, busy_p99);
        add(What::ReloadTime, busy.1.as_secs_f64());
    }
    Ok(())
}

/// Asks at a steady rate for as long as `act` takes.
fn asked_while(
    plan: &Plan,
    running: &Running,
    queries: &[Query],
    act: impl FnOnce() -> io::Result<Duration>,
) -> io::Result<(Steady, Duration)> {
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let asking = scope.spawn(|| steady(running.address, queries, STEADY_PER_SECOND, &is_over, plan.client_cpu));
        let acted = act();
        is_over.store(true, Ordering::Release);
        let seen = asking.join().map_err(|_| io::Error::other("the client panicked"))?;
        Ok((seen?, acted?))
    })
}

/// Two versions of a zone that share no record, behind one name that leads to either.
struct Versions {
    /// The zone under that name, and its queries.
    material: Material,
    /// The files of both versions.
    files: [PathBuf; 2],
    /// The folder of the name.
    folder: Folder,
}

impl Versions {
    /// Makes both versions; the first one is shown.
    fn new(recipe: Recipe) -> io::Result<Self> {
        let files = [recipe.zone_file()?, Recipe { version: 2, ..recipe }.zone_file()?];
        let folder = Folder::new()?;
        let zones = vec![ZoneFile::new(ORIGIN, folder.path().join("zone"))];
        let material = Material { zones, ..recipe.material(Signing::Unsigned)? };
        let versions = Self { material, files, folder };
        versions.show(false)?;
        Ok(versions)
    }

    /// Shows the first version, or the second.
    fn show(&self, is_second: bool) -> io::Result<()> {
        let beside = self.folder.path().join("beside");
        symlink(&self.files[usize::from(is_second)], &beside)?;
        fs::rename(beside, self.folder.path().join("zone"))
    }

    /// Whether the second version is shown.
    fn is_second(&self) -> io::Result<bool> {
        Ok(fs::read_link(self.folder.path().join("zone"))? == self.files[1])
    }

    /// Shows the other version and has fated read it; returns how long that took.
    fn reload(&self, plan: &Plan, running: &Running) -> io::Result<Duration> {
        self.show(!self.is_second()?)?;
        let begin = Instant::now();
        command(&plan.fated, "reload", running)?;
        Ok(begin.elapsed())
    }
}

/// Sends fated a command over its control socket.
fn command(fated: &Path, word: &str, running: &Running) -> io::Result<()> {
    let mut command = Command::new(fated);
    command.arg(word).arg("--control").arg(running.control()).stdin(Stdio::null());
    let output = command.output()?;
    if output.status.success() {
        return Ok(());
    }
    Err(io::Error::other(format!("fated {word}: {}", String::from_utf8_lossy(&output.stderr))))
}
