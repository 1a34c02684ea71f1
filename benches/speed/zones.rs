//! Zones and query files, made from a seed: the same seed makes the same octets on every machine.
//!
//! Twenty names of a zone make a group of eighteen units: hosts, services, aliases and delegations, 48 records in all.
//! What is made is kept under `target/` for the next run; signed zones are made again before their signatures end.

use std::fmt::{self, Write as _};
use std::fs::{self, File};
use std::io::{self, BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::common::Dice;
use super::common::server::ZoneFile;
use super::common::sign::{Denial, sign};

/// Part of every file's name; to be raised whenever what is made changes.
const GENERATION: u32 = 1;
/// The zone of most rows.
pub(crate) const ORIGIN: &str = "speed.test.";
/// The zone above the many small ones, and the one that holds all their names.
pub(crate) const MANY_ORIGIN: &str = "many.test.";
/// The fewest lines of a query file.
const LINES_MIN: usize = 100_000;
/// The most lines of a query file: dnsperf holds it in memory.
const LINES_MAX: usize = 2_000_000;
/// Names of a group.
const GROUP_NAMES: usize = 20;
/// Units of a group.
const GROUP_UNITS: usize = 18;
/// After this, a signed zone is signed again; its signatures hold for 30 days.
const SIGNED_AGE_MAX: Duration = Duration::from_secs(20 * 24 * 3600);

/// What is asked of a hundred queries: names that are there, then names that are not; the rest meets the wildcard.
const SHARES: [usize; 2] = [85, 10];

/// What stands at a name, or at a name and its name server's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unit {
    /// A and AAAA.
    Host,
    /// A, AAAA, two MX and TXT.
    Service,
    /// A CNAME to a host.
    Alias,
    /// Two NS, the first below with A and AAAA: two names.
    Cut,
}

impl Unit {
    /// What unit number `number` is.
    fn of(number: usize) -> Self {
        match number % GROUP_UNITS {
            0..8 => Self::Host,
            8..12 => Self::Service,
            12..16 => Self::Alias,
            _ => Self::Cut,
        }
    }
}

/// Which zone: how many names, and what of it differs from version to version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Recipe {
    /// What names and addresses are drawn from.
    pub(crate) seed: u64,
    /// About how many names.
    pub(crate) names: usize,
    /// The serial. The TTL of every record changes with it, so that two versions have no node in common.
    pub(crate) version: u32,
}

/// How a zone is signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Signing {
    /// Not at all.
    Unsigned,
    /// With NSEC.
    Nsec,
    /// With NSEC3, no salt, no more iterations (RFC 9276).
    Nsec3,
}

/// Zones and the questions for them.
#[derive(Clone, Debug)]
pub(crate) struct Material {
    /// The zones.
    pub(crate) zones: Vec<ZoneFile>,
    /// The folder where they are `NAME.zone`, if there are too many to be named one by one.
    pub(crate) folder: Option<PathBuf>,
    /// The query file.
    pub(crate) queries: PathBuf,
    /// The share of queries for names that are not there.
    pub(crate) missing_share: f64,
}

/// The folder for what is kept.
fn folder() -> io::Result<PathBuf> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("speed");
    fs::create_dir_all(&folder)?;
    Ok(folder)
}

/// A number that depends on all bits of the seed and of `number` (the finaliser of SplitMix64).
fn mixed(seed: u64, number: usize) -> u64 {
    let mut z = seed ^ (number as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    z = (z ^ z >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ z >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ z >> 31
}

/// The label of unit `number`: three to ten letters, then the number, which no other unit has.
struct Label(u64, usize);

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = mixed(self.0, self.1);
        for _ in 0..3 + rest % 8 {
            rest = rest.rotate_right(7);
            f.write_char(char::from(b'a' + (rest % 26) as u8))?;
        }
        write!(f, "{}", self.1)
    }
}

impl Recipe {
    /// The zone of `names` names.
    pub(crate) fn new(seed: u64, names: usize) -> Self {
        Self { seed, names, version: 1 }
    }

    /// How many units the zone has.
    fn units(self) -> usize {
        (self.names / GROUP_NAMES).max(1) * GROUP_UNITS
    }

    /// The label of a unit.
    fn label(self, number: usize) -> Label {
        Label(self.seed, number)
    }

    /// The host of `number`'s group that an alias leads to, or that is asked about.
    fn host_near(number: usize, choice: u64) -> usize {
        number - number % GROUP_UNITS + (choice % 8) as usize
    }

    /// Writes the zone.
    pub(crate) fn write_zone(self, out: &mut impl io::Write) -> io::Result<()> {
        let Self { version, .. } = self;
        write!(
            out,
            "$ORIGIN {ORIGIN}\n$TTL {}\n@ IN SOA ns1 hostmaster {version} 7200 3600 1209600 300\n\
             @ IN NS ns1\n@ IN NS ns2\nns1 IN A 192.0.2.1\nns1 IN AAAA 2001:db8::1\nns2 IN A 192.0.2.2\n\
             ns2 IN AAAA 2001:db8::2\nmx1 IN A 192.0.2.3\nmx2 IN A 192.0.2.4\n*.wild IN A 192.0.2.5\n",
            3599 + version
        )?;
        for number in 0..self.units() {
            let (label, drawn) = (self.label(number), mixed(!self.seed, number));
            let [.., a, b, c] = drawn.to_be_bytes();
            let v4 = format_args!("10.{a}.{b}.{c}").to_string();
            let v6 = format!("2001:db8:{:x}::{:x}", drawn >> 48, drawn >> 24 & 0xFFFF);
            match Unit::of(number) {
                Unit::Host => write!(out, "{label} IN A {v4}\n{label} IN AAAA {v6}\n")?,
                Unit::Service => write!(
                    out,
                    "{label} IN A {v4}\n{label} IN AAAA {v6}\n{label} IN MX 10 mx1\n{label} IN MX 20 mx2\n\
                     {label} IN TXT \"v=spf1 ip4:{v4} -all\"\n"
                )?,
                Unit::Alias => {
                    writeln!(out, "{label} IN CNAME {}", self.label(Self::host_near(number, drawn)))?;
                }
                Unit::Cut => write!(
                    out,
                    "{label} IN NS ns1.{label}\n{label} IN NS ns2.elsewhere.example.\nns1.{label} IN A {v4}\n\
                     ns1.{label} IN AAAA {v6}\n"
                )?,
            }
        }
        Ok(())
    }

    /// Draws one question: `name type`, and whether there is no such name.
    fn draw(self, dice: &mut Dice) -> (String, bool) {
        let (share, choice) = (dice.below(100), dice.roll() >> 20);
        let number = dice.below(self.units());
        let label = self.label(number);
        if share >= SHARES[0] + SHARES[1] {
            return (format!("{label}.wild.{ORIGIN} A"), false);
        }
        if share >= SHARES[0] {
            let host = self.label(Self::host_near(number, choice));
            let name = if choice & 0x100 == 0 { format!("no{choice}") } else { format!("no{choice}.{host}") };
            return (format!("{name}.{ORIGIN} A"), true);
        }
        let question = match (Unit::of(number), choice % 10) {
            (Unit::Host, 0..6) => format!("{label}.{ORIGIN} A"),
            (Unit::Host, _) => format!("{label}.{ORIGIN} AAAA"),
            (Unit::Service, 0..3) => format!("{label}.{ORIGIN} A"),
            (Unit::Service, 3..5) => format!("{label}.{ORIGIN} AAAA"),
            (Unit::Service, 5..8) => format!("{label}.{ORIGIN} MX"),
            (Unit::Service, _) => format!("{label}.{ORIGIN} TXT"),
            (Unit::Alias, 0..7) => format!("{label}.{ORIGIN} A"),
            (Unit::Alias, _) => format!("{label}.{ORIGIN} CNAME"),
            (Unit::Cut, _) => format!("www.{label}.{ORIGIN} A"),
        };
        (question, false)
    }

    /// The lines of the query file, and how many of them ask for what is not there.
    pub(crate) fn questions(self, lines: usize) -> (Vec<String>, usize) {
        let mut dice = Dice::new(self.seed);
        let drawn: Vec<(String, bool)> = (0..lines).map(|_| self.draw(&mut dice)).collect();
        let missing = drawn.iter().filter(|(_, is_missing)| *is_missing).count();
        (drawn.into_iter().map(|(line, _)| line).collect(), missing)
    }

    /// The name of the files that are kept.
    fn stem(self) -> String {
        format!("g{GENERATION}-s{}-n{}-v{}", self.seed, self.names, self.version)
    }

    /// The zone's file, made where it is not there.
    pub(crate) fn zone_file(self) -> io::Result<PathBuf> {
        let path = folder()?.join(format!("{}.zone", self.stem()));
        kept(&path, None, |out| self.write_zone(out))?;
        Ok(path)
    }

    /// The zone, signed or not, and its queries.
    pub(crate) fn material(self, signing: Signing) -> io::Result<Material> {
        let denial = match signing {
            Signing::Unsigned => None,
            Signing::Nsec => Some(Denial::Nsec),
            Signing::Nsec3 => Some(Denial::Nsec3),
        };
        let file = match denial {
            None => self.zone_file()?,
            Some(denial) => {
                let path = folder()?.join(format!("{}-{denial:?}.zone", self.stem()));
                kept(&path, Some(SIGNED_AGE_MAX), |out| out.write_all(self.signed(denial)?.as_bytes()))?;
                path
            }
        };
        let (lines, missing) = self.questions(self.names.clamp(LINES_MIN, LINES_MAX));
        let queries = folder()?.join(format!("{}.queries", Self { version: 1, ..self }.stem()));
        write_lines(&queries, &lines)?;
        let missing_share = missing as f64 / lines.len() as f64;
        Ok(Material { zones: vec![ZoneFile::new(ORIGIN, file)], folder: None, queries, missing_share })
    }

    /// The zone, signed.
    pub(crate) fn signed(self, denial: Denial) -> io::Result<String> {
        let mut text = Vec::new();
        self.write_zone(&mut text)?;
        let text = String::from_utf8(text).map_err(io::Error::other)?;
        let folder = tempfile::tempdir()?;
        Ok(sign(folder.path(), ORIGIN, &text, denial).text)
    }
}

/// A hundred thousand small zones, or as many as wanted, and the one zone with the same names.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Many {
    /// What names are drawn from.
    pub(crate) seed: u64,
    /// How many zones.
    pub(crate) count: usize,
}

impl Many {
    /// The small zones: nine records each.
    pub(crate) fn apart(self) -> io::Result<Material> {
        let home = folder()?.join(format!("g{GENERATION}-s{}-many{}", self.seed, self.count));
        let complete = home.join(".complete");
        let is_complete = complete.exists();
        fs::create_dir_all(&home)?;
        let mut zones = Vec::with_capacity(self.count);
        for number in 0..self.count {
            let origin = format!("{}.{MANY_ORIGIN}", Label(self.seed, number));
            let file = home.join(format!("{origin}zone"));
            if !is_complete {
                let [.., a, b, c] = mixed(!self.seed, number).to_be_bytes();
                fs::write(
                    &file,
                    format!(
                        "$ORIGIN {origin}\n$TTL 3600\n@ IN SOA ns1 hostmaster 1 7200 3600 1209600 300\n@ IN NS ns1\n\
                         @ IN NS ns2\nns1 IN A 192.0.2.1\nns2 IN A 192.0.2.2\n@ IN A 10.{a}.{b}.{c}\n\
                         @ IN MX 10 mail\nwww IN A 10.{a}.{b}.{c}\nmail IN A 10.{a}.{b}.{c}\n"
                    ),
                )?;
            }
            zones.push(ZoneFile::new(&origin, file));
        }
        fs::write(complete, "")?;
        self.asked(zones, Some(home))
    }

    /// One zone with the same names and addresses.
    pub(crate) fn together(self) -> io::Result<Material> {
        let path = folder()?.join(format!("g{GENERATION}-s{}-one{}.zone", self.seed, self.count));
        kept(&path, None, |out| {
            write!(
                out,
                "$ORIGIN {MANY_ORIGIN}\n$TTL 3600\n@ IN SOA ns1 hostmaster 1 7200 3600 1209600 300\n@ IN NS ns1\n\
                 ns1 IN A 192.0.2.1\n"
            )?;
            for number in 0..self.count {
                let label = Label(self.seed, number);
                let [.., a, b, c] = mixed(!self.seed, number).to_be_bytes();
                let v4 = format!("10.{a}.{b}.{c}");
                write!(
                    out,
                    "{label} IN A {v4}\n{label} IN MX 10 mail.{label}\nns1.{label} IN A 192.0.2.1\n\
                     ns2.{label} IN A 192.0.2.2\nwww.{label} IN A {v4}\nmail.{label} IN A {v4}\n"
                )?;
            }
            Ok(())
        })?;
        self.asked(vec![ZoneFile::new(MANY_ORIGIN, path)], None)
    }

    /// The zones with their questions, which are the same for both forms: 90 of 100 for names that are there.
    fn asked(self, zones: Vec<ZoneFile>, home: Option<PathBuf>) -> io::Result<Material> {
        let mut dice = Dice::new(self.seed);
        let (mut lines, mut missing) = (Vec::with_capacity(LINES_MIN), 0);
        for _ in 0..LINES_MIN.max(self.count) {
            let (share, label) = (dice.below(100), Label(self.seed, dice.below(self.count)));
            lines.push(match share {
                0..30 => format!("{label}.{MANY_ORIGIN} A"),
                30..60 => format!("www.{label}.{MANY_ORIGIN} A"),
                60..75 => format!("mail.{label}.{MANY_ORIGIN} A"),
                75..90 => format!("{label}.{MANY_ORIGIN} MX"),
                _ => {
                    missing += 1;
                    format!("no{}.{label}.{MANY_ORIGIN} A", dice.roll() >> 30)
                }
            });
        }
        let queries = folder()?.join(format!("g{GENERATION}-s{}-many{}.queries", self.seed, self.count));
        write_lines(&queries, &lines)?;
        Ok(Material { zones, folder: home, queries, missing_share: f64::from(missing) / lines.len() as f64 })
    }
}

/// Writes a file beside its place and renames it, so that a broken-off run leaves none; not where it is there already.
fn kept(
    path: &Path,
    age_max: Option<Duration>,
    write: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>,
) -> io::Result<()> {
    if let Ok(found) = fs::metadata(path) {
        let age = found.modified()?.elapsed().unwrap_or_default();
        if age_max.is_none_or(|age_max| age < age_max) {
            return Ok(());
        }
    }
    eprintln!("making {}", path.display());
    let beside = path.with_extension("part");
    let mut out = BufWriter::with_capacity(1 << 20, File::create(&beside)?);
    write(&mut out)?;
    out.flush()?;
    fs::rename(&beside, path)
}

/// Writes a file of lines where it is not there already.
fn write_lines(path: &Path, lines: &[String]) -> io::Result<()> {
    kept(path, None, |out| lines.iter().try_for_each(|line| writeln!(out, "{line}")))
}
