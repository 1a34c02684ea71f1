//! TCP threads: accept, answer pipelined queries, close whoever is idle or slow (RFC 7766, RFC 1035 §4.2.2).
//!
//! One thread waits for all its connections, the listeners and a bell with one epoll set. It owns the big buffers; an idle
//! connection owns no buffer at all: input is read into the thread's, and only an unfinished message or replies that the
//! client does not take yet are copied aside. Refuses to know what a query means.
//!
//! ```text
//!   listeners ─accept4─▶ Connection in a Slab          per batch of pipelined queries:
//!   bell ──────┐             │ ▲                         epoll_wait ─▶ recv ─▶ exchange … ─▶ send
//!              └─▶ epoll ◀───┘ └─ deadlines, by class
//! ```
//!
//! Connections are watched for input as long as there is some, so that a read that did not fill the buffer is the last
//! one; only one whose client does not take its replies is watched for output, and then for nothing else.

mod connection;
mod crew;
mod messages;
mod slab;

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;

use super::TcpLimits;
use super::admission::{Admission, Refusal};
use crate::answer::Snapshot;
use crate::metrics::TcpBlock;
use crate::sys::epoll::{Epoll, Interest};
use crate::sys::socket;
use connection::{Bench, Connection, End, Next, Source};
use crew::Shift;
use slab::{Key, Slab};

pub(super) use crew::Crew;

/// What one TCP thread starts with.
#[derive(Debug)]
struct Office {
    /// Which block of counters is ours.
    index: usize,
    /// The listeners, shared with the other threads.
    listeners: Arc<[TcpListener]>,
    /// What clients may take.
    limits: TcpLimits,
    /// Who may connect; shared with the other threads.
    admission: Arc<Admission>,
    /// What answers are made from.
    snapshot: Arc<ArcSwap<Snapshot>>,
    /// Our counters, our bell, and whether another thread has taken over.
    shift: Arc<Shift>,
    /// Set, before the bell is rung, when it is time to end.
    is_stopping: Arc<AtomicBool>,
}

/// One thread at work.
#[derive(Debug)]
struct Desk {
    /// What it started with.
    office: Office,
    /// What it waits for.
    epoll: Epoll,
    /// Its connections.
    connections: Slab<Seated>,
    /// The big buffers.
    bench: Bench,
    /// The time when the last wait ended.
    now: Instant,
    /// Until when accepting rests after it failed; the listeners are not watched then.
    rest_end: Option<Instant>,
    /// Whether a failed accept was logged and accepting has not worked since.
    is_failure_told: bool,
    /// Whether it is time to end: each connection is read to its last octet and closed.
    is_closing: bool,
}

/// A connection and what it is watched for.
#[derive(Debug)]
struct Seated {
    /// The connection.
    connection: Connection,
    /// What the set watches it for.
    interest: Interest,
}

/// What a token stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ready {
    /// The bell was rung.
    Bell,
    /// Somebody waits at a listener.
    Listener(usize),
    /// A connection can go on.
    Connection(Key),
}

impl Desk {
    /// Allocates what the thread needs at once, so that a failure is told before it starts.
    ///
    /// # Errors
    /// Descriptors or memory ran out.
    fn new(office: Office) -> io::Result<Self> {
        let epoll = Epoll::new()?;
        epoll.watch(office.shift.bell.as_fd(), BELL, Interest::NewInput)?;
        let desk = Self {
            connections: Slab::new(office.limits.idle_timeout, office.limits.io_timeout),
            office,
            epoll,
            bench: Bench::new(),
            now: Instant::now(),
            rest_end: None,
            is_failure_told: false,
            is_closing: false,
        };
        desk.watch_listeners()?;
        Ok(desk)
    }

    /// Serves until it is time to end, then finishes what was received within [`CLOSE_TIME_MAX`]; or until another thread
    /// has taken over, and then ends its connections at once.
    fn run(mut self) {
        while !self.office.shift.duty.is_relieved() {
            if self.office.is_stopping.load(Ordering::Acquire) {
                return self.close();
            }
            self.turn(None);
        }
        self.end_all();
    }

    /// Waits, until `end` at the latest, and lets everything go on that can.
    fn turn(&mut self, end: Option<Instant>) {
        let timeout = self.patience(end);
        let ready_count = match self.epoll.wait(timeout) {
            Ok(count) => count,
            Err(error) => {
                if error.kind() != io::ErrorKind::Interrupted {
                    tracing::error!(%error, "a TCP thread cannot wait for its connections");
                    thread::sleep(ERROR_PAUSE);
                }
                0
            }
        };
        self.now = Instant::now();
        self.office.shift.beat();
        for index in 0..ready_count {
            match self.epoll.token(index).map(Ready::of) {
                Some(Ready::Connection(key)) => self.go_on(key),
                Some(Ready::Listener(listener)) => self.accept(listener, ACCEPTS_MAX),
                Some(Ready::Bell) => self.accept_all(),
                None => {}
            }
        }
        while let Some(key) = self.connections.expired(self.now) {
            let late = self.connections.find(key).map_or(End::Broken, |seated| seated.connection.late());
            self.end(key, late);
        }
        if self.rest_end.is_some_and(|end| end <= self.now) {
            self.resume_accepting();
        }
    }

    /// How long to wait at most.
    fn patience(&self, end: Option<Instant>) -> Option<Duration> {
        let moments = [self.connections.deadline(), self.rest_end, end];
        // From the end of the last wait, which costs no look at the clock; what has passed since is too short to matter.
        moments.into_iter().flatten().min().map(|moment| moment.saturating_duration_since(self.now))
    }

    /// Gives a connection its turn, or, when it is time to end, those that are left.
    fn go_on(&mut self, key: Key) {
        if !self.is_closing {
            self.step(key);
            return;
        }
        for _ in 0..LAST_TURNS_MAX {
            match self.step(key) {
                Some(Next::Read) => {}
                Some(Next::Empty) => break,
                Some(Next::Write | Next::End(_)) | None => return,
            }
        }
        self.end(key, End::Stopped);
    }

    /// Gives a connection one turn and does what follows from it; `None` where it is gone.
    fn step(&mut self, key: Key) -> Option<Next> {
        let seated = self.connections.find(key)?;
        let turn = seated.connection.turn(&mut self.bench, self.office.source());
        self.office.shift.beat();
        let interest = match turn.next {
            Next::Empty | Next::Read => Interest::Input,
            Next::Write => Interest::Output,
            Next::End(end) => {
                self.end(key, end);
                return Some(turn.next);
            }
        };
        if seated.interest != interest {
            seated.interest = interest;
            let changed = self.epoll.change(seated.connection.stream().as_fd(), key.to_token(), interest);
            if let Err(error) = changed {
                tracing::error!(%error, "a TCP connection cannot be waited for and is closed");
                self.end(key, End::Broken);
                return None;
            }
        }
        if let Some(limit) = turn.limit {
            self.connections.allow(key, limit, self.now);
        }
        Some(turn.next)
    }

    /// Counts why a connection ends and closes it, in this order: who sees it closed finds it counted.
    fn end(&mut self, key: Key, end: End) {
        if let Some(connection) = self.connections.remove(key) {
            end.count(self.office.block());
            drop(connection);
        }
    }

    /// Takes whoever waits at any listener: input wakes one of the threads, and that one may be stuck.
    fn accept_all(&mut self) {
        for listener in 0..self.office.listeners.len() {
            self.accept(listener, ACCEPTS_MAX);
        }
    }

    /// Takes up to `count_max` connections off the queue of a listener.
    fn accept(&mut self, listener: usize, count_max: usize) {
        if self.rest_end.is_some() {
            return;
        }
        for _ in 0..count_max {
            let Some(listener) = self.office.listeners.get(listener) else { return };
            match socket::accept(listener.as_fd()) {
                Ok((stream, client)) => {
                    self.is_failure_told = false;
                    self.welcome(stream, client);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) => {
                    self.office.block().accept_errors.add(1);
                    // What the client did (gone before it was accepted) says nothing about the next one.
                    if !matches!(error.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::Interrupted) {
                        return self.rest_after(&error);
                    }
                }
            }
        }
    }

    /// Leaves the listeners alone for a while, since accepting would fail again at once.
    fn rest_after(&mut self, error: &io::Error) {
        if !std::mem::replace(&mut self.is_failure_told, true) {
            tracing::warn!(%error, "TCP connections cannot be accepted for now");
        }
        self.forget_listeners();
        self.rest_end = Some(self.now + ACCEPT_PAUSE);
    }

    /// Watches the listeners again.
    fn resume_accepting(&mut self) {
        match self.watch_listeners() {
            Ok(()) => self.rest_end = None,
            Err(error) => {
                tracing::warn!(%error, "the TCP listeners cannot be watched for now");
                self.forget_listeners();
                self.rest_end = Some(self.now + ACCEPT_PAUSE);
            }
        }
    }

    /// Begins to wait for connections, as one of several threads.
    fn watch_listeners(&self) -> io::Result<()> {
        (LISTENERS..)
            .zip(&*self.office.listeners)
            .try_for_each(|(token, listener)| self.epoll.watch(listener.as_fd(), token, Interest::SharedInput))
    }

    /// Waits for connections no longer.
    fn forget_listeners(&self) {
        for listener in &*self.office.listeners {
            // An error: it was not watched.
            let _forgotten = self.epoll.forget(listener.as_fd());
        }
    }

    /// Starts to serve a connection, or closes it at once where a limit is reached.
    fn welcome(&mut self, stream: TcpStream, client: SocketAddr) {
        let block = self.office.block();
        let seat = match self.office.admission.admit(client.ip()) {
            Ok(seat) => seat,
            Err(Refusal::All) => return block.refused_all.add(1),
            Err(Refusal::Client) => return block.refused_client.add(1),
        };
        let connection = Connection::new(stream, client.ip(), seat);
        let seated = Seated { connection, interest: Interest::Input };
        let Some(key) = self.connections.insert(seated, self.now) else { return block.refused_all.add(1) };
        block.opened.add(1);
        let stream = self.connections.find(key).map(|seated| seated.connection.stream());
        let watched = stream.map(|stream| self.epoll.watch(stream.as_fd(), key.to_token(), Interest::Input));
        if let Some(Err(error)) = watched {
            tracing::error!(%error, "a TCP connection cannot be waited for and is closed");
            self.end(key, End::Broken);
        }
    }

    /// Takes the connections that wait already, answers what was received, and closes everything.
    fn close(mut self) {
        (self.now, self.rest_end, self.is_closing) = (Instant::now(), None, true);
        for listener in 0..self.office.listeners.len() {
            self.accept(listener, LATE_CLIENTS_MAX);
        }
        self.forget_listeners();
        self.office.listeners = Arc::new([]);
        for key in self.connections.keys() {
            self.go_on(key);
        }
        // What is left has replies that its client does not take yet.
        let end = self.now + CLOSE_TIME_MAX;
        while self.connections.count() > 0 && self.now < end {
            self.turn(Some(end));
        }
        self.end_all();
    }

    /// Closes what is left.
    fn end_all(&mut self) {
        for key in self.connections.keys() {
            self.end(key, End::Stopped);
        }
    }
}

impl Office {
    /// Returns our counters.
    fn block(&self) -> &TcpBlock {
        self.shift.duty.block()
    }

    /// What answers are made from and counted in.
    fn source(&self) -> Source<'_> {
        // There are at most a few TCP threads.
        let thread = u16::try_from(self.index).unwrap_or(u16::MAX);
        Source { thread, snapshot: &self.snapshot, block: self.block() }
    }
}

impl Ready {
    /// Reads a token.
    fn of(token: u64) -> Self {
        match token {
            BELL => Self::Bell,
            LISTENERS.. => Self::Listener(usize::try_from(token - LISTENERS).unwrap_or(usize::MAX)),
            token => Self::Connection(Key::from_token(token)),
        }
    }
}

/// The token of the bell.
const BELL: u64 = u64::MAX;

/// The token of the first listener; the others follow.
const LISTENERS: u64 = u64::MAX - u32::MAX as u64;

/// How many connections are taken off one queue at once, so that others have their turn and other threads their share.
const ACCEPTS_MAX: usize = 8;

/// How long accepting rests when the system has no descriptors or memory.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How long a thread rests when it cannot wait, so that it does not spin.
const ERROR_PAUSE: Duration = Duration::from_millis(5);

/// How long connections may take to finish when the server stops; less than [`super::STOP_TIME_MAX`].
const CLOSE_TIME_MAX: Duration = Duration::from_secs(3);

/// Connections per listener and thread that are still taken from the queue when the server stops.
const LATE_CLIENTS_MAX: usize = 4096;

/// How often a connection is read at once when the server stops.
const LAST_TURNS_MAX: usize = 64;

#[cfg(test)]
mod tests;
