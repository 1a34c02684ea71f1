//! The control socket: who may ask the server about itself, how, and what it replies.
//!
//! A client connects to a Unix socket, writes one request a line and reads one JSON object a line:
//!
//! ```text
//!   status          {"ok":true,"result":{…}}              [reply::Status]
//!   zones [FROM]    {"ok":true,"result":{…}}              [reply::ZonePage]
//!   reload [--force] [ZONE]  {"ok":true,"result":{…}}     [reply::Reload]
//!   zone status|refresh|retransfer|purge ZONE  {"ok":true,"result":{…}}  [reply::Secondary]
//!   zone notify ZONE      {"ok":true,"result":{…}}  [reply::Told]
//!   zone export ZONE         {"ok":true,"result":{…}}     [reply::Export]
//!   drain           {"ok":true,"result":{…}}              [reply::Drained]
//!   resume          {"ok":true,"result":{…}}              [reply::Drained]
//!   stop            {"ok":true,"result":{…}}              [reply::Stopping]; the stream ends when all is closed
//!   anything else   {"ok":false,"error":"…"}
//! ```
//!
//! The same is shown over HTTP, for those who only look: see [`http`].
//!
//! Owns the socket, its limits and the words. What a request means is decided by whoever takes the [`Command`]s.

pub mod client;
pub mod exposition;
pub mod history;
pub mod http;
mod page;
mod readings;
pub mod reply;
pub mod server;
pub mod socket;

use tokio::sync::oneshot;

use crate::wire::{Name, NameError};

/// The longest request line in octets, its end not counted: a verb and an escaped name.
pub const REQUEST_BYTES_MAX: usize = 1100;

/// What a client may ask for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// How the server is.
    Status,
    /// Some zones, from the one on that so many stand before.
    Zones(usize),
    /// Look at the zone files again.
    Reload(Reload),
    /// Something about one zone.
    Zone(ZoneVerb, Box<Name>),
    /// Withdraw, and stay withdrawn, over restarts too, until [`Request::Resume`].
    Drain,
    /// Announce again when the node is well.
    Resume,
    /// End.
    Stop,
}

/// What is asked about one zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ZoneVerb {
    /// How its transfers are.
    Status,
    /// Ask its primaries whether it has changed.
    Refresh,
    /// Have all of it from a primary, whatever is here.
    Retransfer,
    /// Tell those who want to know of it which version is served.
    Notify,
    /// Forget what is here of it, and have it from a primary anew.
    Purge,
    /// Write it as a zone file.
    Export,
}

impl ZoneVerb {
    /// Each with its word.
    const ALL: [(Self, &'static str); 6] = [
        (Self::Status, "status"),
        (Self::Refresh, "refresh"),
        (Self::Retransfer, "retransfer"),
        (Self::Notify, "notify"),
        (Self::Purge, "purge"),
        (Self::Export, "export"),
    ];
}

/// Which zone files are looked at again, and what may come of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reload {
    /// Those of one zone; `None` for all.
    pub zone: Option<Box<Name>>,
    /// Whether zones may go, however many.
    pub is_forced: bool,
}

/// Why a request line is none. `Copy`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// No verb that is known.
    #[error(
        "unknown request; known are: status, zones [FROM], reload [--force] [ZONE], \
        zone status|refresh|retransfer|notify|purge|export ZONE, drain, resume, stop"
    )]
    Unknown,
    /// What stands behind the verb is no name.
    #[error("that is no zone name: {0}")]
    Name(NameError),
    /// Over [`REQUEST_BYTES_MAX`].
    #[error("the request is too long")]
    TooLong,
}

impl Request {
    /// Reads a request line without its end.
    ///
    /// # Errors
    /// [`RequestError`].
    pub fn parse(line: &[u8]) -> Result<Self, RequestError> {
        if line.len() > REQUEST_BYTES_MAX {
            return Err(RequestError::TooLong);
        }
        let mut words = line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty()).peekable();
        let verb = words.next();
        if verb == Some(b"zone") {
            return Self::parse_zone(words.next(), words.next(), words.next());
        }
        let is_forced = verb == Some(b"reload") && words.next_if(|word| *word == b"--force").is_some();
        match (verb, words.next(), words.next()) {
            (Some(b"status"), None, _) => Ok(Self::Status),
            (Some(b"zones"), from, None) => {
                let from = from.map_or(Some(0), |from| std::str::from_utf8(from).ok()?.parse().ok());
                from.map(Self::Zones).ok_or(RequestError::Unknown)
            }
            (Some(b"reload"), None, _) => Ok(Self::Reload(Reload { zone: None, is_forced })),
            (Some(b"reload"), Some(zone), None) => Name::from_text(zone, Some(crate::wire::NameRef::ROOT))
                .map(|name| Self::Reload(Reload { zone: Some(Box::new(name)), is_forced }))
                .map_err(RequestError::Name),
            (Some(b"drain"), None, _) => Ok(Self::Drain),
            (Some(b"resume"), None, _) => Ok(Self::Resume),
            (Some(b"stop"), None, _) => Ok(Self::Stop),
            _ => Err(RequestError::Unknown),
        }
    }

    /// Reads what stands behind `zone`.
    fn parse_zone(verb: Option<&[u8]>, name: Option<&[u8]>, more: Option<&[u8]>) -> Result<Self, RequestError> {
        let known = ZoneVerb::ALL.iter().find(|(_, word)| verb == Some(word.as_bytes()));
        let (Some((verb, _)), Some(name), None) = (known, name, more) else { return Err(RequestError::Unknown) };
        let name = Name::from_text(name, Some(crate::wire::NameRef::ROOT)).map_err(RequestError::Name)?;
        Ok(Self::Zone(*verb, Box::new(name)))
    }
}

impl std::fmt::Display for Request {
    /// Writes the request line without its end.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Status => f.write_str("status"),
            Self::Zones(from) => write!(f, "zones {from}"),
            Self::Reload(Reload { zone, is_forced }) => {
                f.write_str(if *is_forced { "reload --force" } else { "reload" })?;
                zone.iter().try_for_each(|zone| write!(f, " {zone}"))
            }
            Self::Zone(verb, name) => {
                let word = ZoneVerb::ALL.iter().find(|(known, _)| known == verb).map_or("", |(_, word)| word);
                write!(f, "zone {word} {name}")
            }
            Self::Drain => f.write_str("drain"),
            Self::Resume => f.write_str("resume"),
            Self::Stop => f.write_str("stop"),
        }
    }
}

/// A request with the way back to who asked.
#[derive(Debug)]
pub enum Command {
    /// How the server is.
    Status(oneshot::Sender<reply::Status>),
    /// Some zones, from the one on that so many stand before, and so many at the most.
    Zones(usize, usize, oneshot::Sender<reply::ZonePage>),
    /// Look at the zone files again.
    Reload(Reload, oneshot::Sender<Result<reply::Reload, String>>),
    /// Whether the server is ready for queries; cheaper than the whole status.
    Readiness(oneshot::Sender<reply::Readiness>),
    /// How the transfers of a zone are, or that its primaries are to be asked.
    Zone(ZoneVerb, Box<Name>, oneshot::Sender<Result<reply::Secondary, String>>),
    /// Tell others which version of a zone is served.
    Notify(Box<Name>, oneshot::Sender<Result<reply::Told, String>>),
    /// Write a zone as a zone file.
    Export(Box<Name>, oneshot::Sender<Result<reply::Export, String>>),
    /// Withdraw (`true`) or announce again (`false`).
    Drain(bool, oneshot::Sender<reply::Drained>),
    /// End. Who asked has the reply already: nobody may be left to send one afterwards.
    Stop,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_read_and_written_alike() {
        let zone: Name = "a\\032b.test.".parse().expect("a name");
        let reload = |zone: Option<Name>, is_forced| Request::Reload(Reload { zone: zone.map(Box::new), is_forced });
        let plain =
            [Request::Status, Request::Zones(0), Request::Zones(500), Request::Drain, Request::Resume, Request::Stop];
        let reloads = [None, Some(zone)].map(|zone| [reload(zone, false), reload(zone, true)]);
        let of_zone = ZoneVerb::ALL.map(|(verb, _)| Request::Zone(verb, Box::new(Name::ROOT)));
        for request in plain.into_iter().chain(of_zone).chain(reloads.into_iter().flatten()) {
            assert_eq!(Request::parse(request.to_string().as_bytes()), Ok(request));
        }
        assert_eq!(Request::parse(b"zones"), Ok(Request::Zones(0)));
        assert_eq!(Request::parse(b"  reload\t.\r"), Ok(reload(Some(Name::ROOT), false)));
    }

    #[test]
    fn the_longest_name_fits_a_request_and_more_does_not() {
        let label = format!("{}.", "\\000".repeat(63));
        let longest = format!("reload {label}{label}{label}{}.", "\\000".repeat(61));
        assert!(longest.len() <= REQUEST_BYTES_MAX);
        assert!(matches!(Request::parse(longest.as_bytes()), Ok(Request::Reload(Reload { zone: Some(_), .. }))));
        assert_eq!(Request::parse(&[b'a'; REQUEST_BYTES_MAX + 1]), Err(RequestError::TooLong));
    }

    #[test]
    fn what_is_no_request_is_refused() {
        for line in [
            &b""[..],
            b"quit",
            b"status now",
            b"reload a b",
            b"reload --force a b",
            b"status --force",
            b"zones -1",
            b"zones 1 2",
            b"drain a",
            b"resume now",
            b"STOP",
            b"\xff\x00",
        ] {
            assert_eq!(Request::parse(line), Err(RequestError::Unknown), "{line:?}");
        }
        assert_eq!(Request::parse(b"reload a..b"), Err(RequestError::Name(NameError::EmptyLabel)));
    }
}
