//! Runs `fated check` and the checkers of BIND, Knot DNS and NSD on one file, each within bounds of memory and time.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use crate::files::ZoneFile;

/// Another implementation that reads zone files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Peer {
    /// `named-checkzone`.
    Bind,
    /// `kzonecheck`.
    Knot,
    /// `nsd-checkzone`.
    Nsd,
}

impl Peer {
    /// The program's path, if it is installed.
    pub(crate) fn program(self) -> Option<PathBuf> {
        let name = match self {
            Self::Bind => "named-checkzone",
            Self::Knot => "kzonecheck",
            Self::Nsd => "nsd-checkzone",
        };
        let folders = std::env::var_os("PATH").unwrap_or_default();
        let folders = std::env::split_paths(&folders).chain(["/usr/sbin".into(), "/usr/local/sbin".into()]);
        folders.map(|folder| folder.join(name)).find(|path| path.is_file())
    }

    /// Checks a file; `None` where the program is not installed.
    pub(crate) fn check(self, file: &ZoneFile) -> Option<Output> {
        let arguments: &[&str] = match self {
            // `local`: nothing is asked over the network. What names of hosts may look like is no matter of ours.
            Self::Bind => {
                &["-i", "local", "-k", "ignore", "-m", "ignore", "-n", "ignore", "-r", "ignore", "-W", "ignore"]
            }
            Self::Knot => &["-d", "off", "-o"],
            Self::Nsd => &[],
        };
        let mut command = bounded(&self.program()?);
        command.args(arguments).arg(&file.zone).arg(file.file_name());
        Some(output(command.current_dir(folder(file))))
    }

    /// The zone in `path` as this peer prints it: one line a record, sorted, owners in lower case.
    ///
    /// `None` where the peer is not installed, prints nothing (Knot), or refuses the file.
    pub(crate) fn dump(self, zone: &str, path: &Path) -> Option<Vec<String>> {
        let mut command = bounded(&self.program()?);
        match self {
            Self::Bind => command.args([
                "-i", "none", "-k", "ignore", "-m", "ignore", "-n", "ignore", "-r", "ignore", "-W", "ignore", "-q",
                "-D", "-s", "full", "-o", "-",
            ]),
            Self::Nsd => command.arg("-p"),
            Self::Knot => return None,
        };
        let name = path.file_name().expect("a zone file has a name");
        let output = output(command.arg(zone).arg(name).current_dir(path.parent().expect("a zone file has a folder")));
        output.status.success().then(|| lines(&output.stdout))
    }
}

/// What `fated check --print` says about a file.
pub(crate) fn fated(file: &ZoneFile) -> Output {
    let mut command = bounded(Path::new(env!("CARGO_BIN_EXE_fated")));
    command
        .arg("check")
        .arg("--zone")
        .arg(format!("{}={}", file.zone, file.file_name()))
        .arg("--print")
        .args(["--include-dir", ".."]);
    output(command.env("NO_COLOR", "1").env("COLUMNS", "200").current_dir(folder(file)))
}

/// Parts a dump into records and takes away what is but manner: blanks, the case of owners, comments, order.
fn lines(dump: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(dump);
    let records = text.lines().filter(|line| !line.is_empty() && !line.starts_with(';') && !line.starts_with('$'));
    let mut owner = String::new();
    let mut lines: Vec<String> = records
        .map(|line| {
            // NSD leaves an owner out that the line before has.
            let (written, rest) = line.split_at(line.find([' ', '\t']).unwrap_or(line.len()));
            if !written.is_empty() {
                owner = written.to_ascii_lowercase();
            }
            let (front, rdata) = rest.split_at(rest.find('"').unwrap_or(rest.len()));
            let front = front.split_ascii_whitespace().collect::<Vec<_>>().join(" ");
            format!("{owner} {front} {rdata}")
        })
        .collect();
    lines.sort();
    lines
}

fn folder(file: &ZoneFile) -> &Path {
    file.path.parent().expect("a zone file has a folder")
}

/// A command that may take 4 GB of address space and 20 seconds: a checker that is given nonsense can eat a machine.
fn bounded(program: &Path) -> Command {
    let mut command = Command::new("/bin/sh");
    command.args(["-c", "ulimit -v 4000000; exec timeout 20 \"$@\"", "sh"]).arg(program);
    command.stdin(Stdio::null());
    command
}

fn output(command: &mut Command) -> Output {
    command.output().expect("a shell can be started")
}
