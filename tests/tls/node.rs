//! fated with TLS, and clients of it.

use std::cell::RefCell;
use std::fmt::Write as _;
use std::fs::Permissions;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};

use super::authority::Issued;
use super::command::{Server, Site};
use super::common::ask::{framed, read_framed};
use super::common::message::{Message, Query, Record};
use super::common::{name, program};

/// How long anything may take that has no bound of its own.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// One that runs.
pub(crate) struct Node {
    pub(crate) site: Site,
    pub(crate) server: Server,
    /// Where TLS is spoken; port 0 where it is not.
    pub(crate) tls: SocketAddr,
    /// The lines of its log so far.
    seen: RefCell<Vec<String>>,
}

impl Node {
    /// Starts one with that configuration, which shows `identity` where it speaks TLS.
    pub(crate) fn start(identity: Option<&Issued>, text: &str) -> Self {
        Self::start_with(identity, text, &[])
    }

    /// The same, with files beside the configuration.
    pub(crate) fn start_with(identity: Option<&Issued>, text: &str, files: &[(&str, String)]) -> Self {
        let site = Site::new();
        files.iter().for_each(|(file, text)| site.write(file, text));
        let mut config = String::new();
        if let Some(identity) = identity {
            let keys = identity.as_keys();
            write!(config, "[server.tls]\nlisten = [\"127.0.0.1:0\"]\n{keys}").expect("a string takes it");
        }
        config.push_str(text);
        site.write("fated.toml", config);
        std::fs::set_permissions(site.path("fated.toml"), Permissions::from_mode(0o600)).expect("the file is ours");
        let server = site.serve(&["--config", "fated.toml"]);
        let tls = identity.map(|_| server.wait_for_line("over TLS on"));
        let tls = tls.map(|line| line.rsplit(' ').next().and_then(|word| word.parse().ok()).expect("an address"));
        let tls = tls.unwrap_or(SocketAddr::from(([127, 0, 0, 1], 0)));
        Self { site, server, tls, seen: RefCell::default() }
    }

    /// Puts one part of the configuration in the place of another.
    pub(crate) fn edit(&self, from: &str, to: &str) {
        let text = std::fs::read_to_string(self.site.path("fated.toml")).expect("it was written");
        assert!(text.contains(from), "{from:?} is missing in:\n{text}");
        self.site.write("fated.toml", text.replace(from, to));
    }

    /// The lines of its log so far that hold `part`.
    pub(crate) fn log(&self, part: &str) -> Vec<String> {
        let mut seen = self.seen.borrow_mut();
        seen.extend(self.server.lines.try_iter());
        seen.iter().filter(|line| line.contains(part)).cloned().collect()
    }

    /// Waits for a line of its log.
    pub(crate) fn wait_for_log(&self, part: &str) -> String {
        let end = Instant::now() + PATIENCE;
        loop {
            if let Some(line) = self.log(part).pop() {
                return line;
            }
            assert!(Instant::now() < end, "no line with {part:?} in:\n{}", self.log("").join("\n"));
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Waits until it serves that version of a zone.
    pub(crate) fn wait_for(&self, zone: &str, serial: u32) {
        let query = Query::new(&name::name(zone), SOA);
        let is_there = super::common::ask::ask_until(self.server.address, &query, PATIENCE, |reply| {
            reply.sections[0].first().is_some_and(|soa| serial_of(&soa.rdata) == serial)
        });
        assert!(is_there, "{zone} does not come:\n{}", self.log("").join("\n"));
    }

    /// Asks by kdig over TLS; what it says.
    pub(crate) fn kdig(&self, arguments: &[&str]) -> String {
        let mut kdig = Command::new(program("kdig").expect("it was looked for"));
        kdig.args(["@127.0.0.1", "-p", &self.tls.port().to_string(), "+tls", "+timeout=10", "+retry=0"]);
        let output = kdig.args(arguments).output().expect("kdig runs");
        [output.stdout, output.stderr].map(|octets| String::from_utf8_lossy(&octets).into_owned()).concat()
    }

    /// Connects over TLS.
    pub(crate) fn connect(&self, config: ClientConfig) -> Client {
        Client::connect(self.tls, config).expect("TLS is spoken")
    }
}

/// QTYPE SOA.
pub(crate) const SOA: u16 = 6;
/// QTYPE AXFR.
pub(crate) const AXFR: u16 = 252;

/// SERIAL of a SOA.
pub(crate) fn serial_of(rdata: &[u8]) -> u32 {
    let at = rdata.len() - 20;
    u32::from_be_bytes(rdata[at..at + 4].try_into().expect("four octets"))
}

/// Asks for a whole zone; the SOA is among its records twice.
///
/// # Errors
/// The RCODE with which it is refused.
pub(crate) fn whole(stream: &mut (impl Read + Write), zone: &str) -> Result<Vec<Record>, u16> {
    stream.write_all(&framed(&Query::new(&name::name(zone), AXFR).encode(8))).expect("the server reads");
    stream.flush().expect("the server reads");
    let mut records: Vec<Record> = Vec::new();
    while records.iter().filter(|record| record.rtype == SOA).count() < 2 {
        let octets = read_framed(stream).expect("a message comes");
        let message = Message::parse(&octets).unwrap_or_else(|fault| panic!("{fault}: {octets:02x?}"));
        if message.rcode() != 0 {
            return Err(message.rcode());
        }
        records.extend(message.sections[0].iter().cloned());
    }
    records.sort();
    Ok(records)
}

/// A client over TLS.
pub(crate) struct Client(pub(crate) StreamOwned<ClientConnection, TcpStream>);

impl Client {
    /// Connects.
    ///
    /// # Errors
    /// Why TLS was not set up.
    pub(crate) fn connect(address: SocketAddr, config: ClientConfig) -> io::Result<Self> {
        let name = ServerName::try_from("dot.test").expect("a name");
        let connection = ClientConnection::new(Arc::new(config), name).expect("settings");
        let stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let mut client = Self(StreamOwned::new(connection, stream));
        client.0.conn.complete_io(&mut client.0.sock)?;
        Ok(client)
    }

    /// Sends a query.
    pub(crate) fn send(&mut self, zone: &str, qtype: u16, id: u16) {
        self.0.write_all(&framed(&Query::new(&name::name(zone), qtype).encode(id))).expect("the server reads");
        self.0.flush().expect("the server reads");
    }

    /// Reads a message.
    pub(crate) fn receive(&mut self) -> Message {
        let octets = read_framed(&mut self.0).expect("a message comes");
        Message::parse(&octets).unwrap_or_else(|fault| panic!("{fault}: {octets:02x?}"))
    }

    /// Sends octets as a message, and reads those of the reply.
    pub(crate) fn exchange(&mut self, message: &[u8]) -> Vec<u8> {
        self.0.write_all(&framed(message)).expect("the server reads");
        self.0.flush().expect("the server reads");
        read_framed(&mut self.0).expect("a message comes")
    }

    /// Asks, and reads the reply.
    pub(crate) fn ask(&mut self, zone: &str, qtype: u16) -> Message {
        self.send(zone, qtype, 7);
        self.receive()
    }

    /// Asks for a whole zone; see [`whole`].
    ///
    /// # Errors
    /// As there.
    pub(crate) fn whole(&mut self, zone: &str) -> Result<Vec<Record>, u16> {
        whole(&mut self.0, zone)
    }

    /// Asks for a whole zone and returns how many records come, the last SOA among them.
    ///
    /// # Errors
    /// The RCODE with which it is refused.
    pub(crate) fn count_whole(&mut self, zone: &str) -> Result<usize, u16> {
        self.whole(zone).map(|records| records.len())
    }

    /// Whether the server has ended the connection.
    pub(crate) fn is_ended(&mut self) -> bool {
        !matches!(self.0.read(&mut [0; 1]), Ok(count) if count > 0)
    }
}
