//! The real command in a folder of its own: what it says, and servers that are ended when a test is.
//!
//! Each test program uses its own part of this.
#![allow(dead_code)]

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

/// How long anything may take before a test fails.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Makes a host with IPv4 and without IPv6 out of a new network namespace.
pub(crate) const WITHOUT_IPV6: &str = "sysctl -q -w net.ipv6.conf.all.disable_ipv6=1\nip link set lo up";

/// Asks for a page over HTTP; returns the status code and the body.
pub(crate) fn page(address: SocketAddr, path: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).expect("connects");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: fated\r\n\r\n").as_bytes()).expect("writes");
    let mut reply = String::new();
    stream.read_to_string(&mut reply).expect("reads");
    let (head, body) = reply.split_once("\r\n\r\n").expect("a reply");
    (head.split(' ').nth(1).and_then(|code| code.parse().ok()).expect(head), body.to_owned())
}

/// A folder with `zones/`, in which commands are run.
pub(crate) struct Site {
    pub(crate) folder: TempDir,
}

impl Site {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        fs::create_dir(folder.path().join("zones")).expect("a folder");
        Self { folder }
    }

    pub(crate) fn path(&self, file: &str) -> PathBuf {
        self.folder.path().join(file)
    }

    pub(crate) fn write(&self, file: &str, text: impl AsRef<[u8]>) {
        fs::write(self.path(file), text).expect("writes");
    }

    pub(crate) fn control(&self) -> PathBuf {
        self.path("control.sock")
    }

    /// The command, run in the folder and knowing nothing of the user's own server.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_fated"));
        command.args(arguments).current_dir(self.folder.path()).env("XDG_RUNTIME_DIR", self.folder.path());
        command.stdin(Stdio::null());
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Said {
        Said::from(self.command(arguments).output().expect("runs"))
    }

    /// Runs a command that talks to the server of this site.
    pub(crate) fn ask(&self, arguments: &[&str]) -> Said {
        let control = self.control();
        self.run(&[arguments, &["--control", control.to_str().expect("UTF-8")]].concat())
    }

    pub(crate) fn serve(&self, arguments: &[&str]) -> Server {
        let control = self.control();
        let usual =
            ["serve", "--listen", "127.0.0.1:0", "--workers", "1", "--control", control.to_str().expect("UTF-8")];
        Server::start(self.command(&[&usual[..], arguments].concat()))
    }

    /// What the server of this site says about itself.
    pub(crate) fn status(&self) -> Value {
        let said = self.ask(&["status", "--json"]);
        assert_eq!(said.code, 0, "{said:?}");
        let status: Value = serde_json::from_str(&said.out).expect("JSON");
        status["result"].clone()
    }

    /// The serials that are served, by zone.
    pub(crate) fn serials(&self) -> Vec<(String, u64)> {
        let zones = self.status()["zones"].as_array().expect("zones").clone();
        let serial = |zone: &Value| Some((zone["name"].as_str()?.to_owned(), zone["serial"].as_u64()?));
        zones.iter().filter_map(serial).collect()
    }
}

/// What a command said.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl From<Output> for Said {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code().expect("ended by itself"),
            out: String::from_utf8(output.stdout).expect("UTF-8"),
            err: String::from_utf8(output.stderr).expect("UTF-8"),
        }
    }
}

impl Said {
    /// Asserts the exit code and what stderr holds.
    pub(crate) fn expect(&self, code: i32, parts: &[&str]) {
        assert_eq!(self.code, code, "{self:?}");
        for part in parts {
            assert!(self.err.contains(part), "{part:?} is missing in:\n{}", self.err);
        }
        assert!(!self.err.contains("panic"), "{}", self.err);
    }
}

/// A server that has said what it serves; ended at the latest when this is dropped.
pub(crate) struct Server {
    pub(crate) child: Child,
    pub(crate) lines: Receiver<String>,
    pub(crate) address: SocketAddr,
    /// What it said before it said what it serves.
    pub(crate) seen: Vec<String>,
}

impl Server {
    pub(crate) fn start(command: Command) -> Self {
        let mut server = Self::spawn(command);
        server.seen = server.lines_until("serving ");
        let line = server.seen.last().expect("the last line is the one");
        let word = line.split([' ', ',']).find(|word| word.starts_with("127.0.0.1:")).expect("an address");
        server.address = word.parse().expect("an address");
        server
    }

    /// Where the pages are, as the server has said.
    pub(crate) fn pages(&self) -> SocketAddr {
        let line = self.seen.iter().find(|line| line.contains("http://")).expect("the pages' address is logged");
        let (_, rest) = line.split_once("http://").expect("an address");
        rest.split('/').next().and_then(|word| word.parse().ok()).expect("an address")
    }

    /// Asks for one of the pages; returns the status code and the body.
    pub(crate) fn page(&self, path: &str) -> (u16, String) {
        page(self.pages(), path)
    }

    /// Starts the command and waits for nothing; the address is not known yet.
    pub(crate) fn spawn(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("starts");
        let stderr = BufReader::new(child.stderr.take().expect("piped"));
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        Self { child, lines, address: SocketAddr::from(([0; 4], 0)), seen: Vec::new() }
    }

    /// The next line of stderr that holds `part`.
    pub(crate) fn wait_for_line(&self, part: &str) -> String {
        self.lines_until(part).pop().expect("the last line is the one")
    }

    /// The next lines of stderr up to one that holds `part`.
    fn lines_until(&self, part: &str) -> Vec<String> {
        let (end, mut seen) = (Instant::now() + PATIENCE, Vec::new());
        loop {
            match self.lines.recv_timeout(end.saturating_duration_since(Instant::now())) {
                Ok(line) => seen.push(line),
                Err(error) => panic!("{error}: no line with {part:?} in:\n{}", seen.join("\n")),
            }
            if seen.last().is_some_and(|line| line.contains(part)) {
                return seen;
            }
        }
    }

    pub(crate) fn signal(&self, signal: &str) {
        let sent = Command::new("kill").args([signal, &self.child.id().to_string()]).status().expect("kill runs");
        assert!(sent.success());
    }

    /// Waits for the end.
    pub(crate) fn wait(mut self) -> ExitStatus {
        let end = Instant::now() + PATIENCE;
        // The stream of lines ends when the process does.
        while self.lines.recv_timeout(end.saturating_duration_since(Instant::now())).is_ok() {}
        assert!(Instant::now() < end, "the server does not end");
        self.child.wait().expect("ends")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The command in a network namespace of its own, after the lines of `setup`; `None`, said loudly, where that can't be.
///
/// Nothing that is set in there is seen outside, and it ends with the command.
pub(crate) fn alone(test: &str, command: &Command, setup: &str) -> Option<Command> {
    let sandboxed = |script: &str| {
        let mut sandboxed = Command::new("unshare");
        sandboxed.args(["--net", "sh", "-e", "-c", script]).stdin(Stdio::null());
        sandboxed
    };
    let tried = sandboxed(setup).output();
    if !tried.as_ref().is_ok_and(|output| output.status.success()) {
        eprintln!("\n*** SKIPPED {test}: no network namespace here, which needs root, unshare and ip: {tried:?} ***\n");
        return None;
    }
    let mut alone = sandboxed(&format!("{setup}\nexec \"$0\" \"$@\""));
    alone.arg(command.get_program()).args(command.get_args());
    alone.current_dir(command.get_current_dir().expect("the command has a folder"));
    alone.envs(command.get_envs().filter_map(|(key, value)| Some((key, value?))));
    Some(alone)
}

/// A zone with one serial.
pub(crate) fn zone(serial: u32) -> String {
    format!("$TTL 3600\n@ IN SOA ns hostmaster {serial} 7200 3600 1209600 300\n@ IN NS ns\nns IN A 192.0.2.1\n")
}
