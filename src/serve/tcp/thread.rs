//! One TCP thread: it waits for its connections and the listeners, gives each that is ready a turn, and closes whoever
//! is idle or slow.
//!
//! Refuses to know what a connection does in its turn.

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;

use super::channel::Channel;
use super::close::CloseReason;
use super::connection::{AnswerSource, Connection, IoBuffers, NextStep};
use super::listener::Listener;
use super::slab::{Key, Limit, Slab};
use super::state::TcpThreadState;
use crate::answer::Snapshot;
use crate::metrics::TcpBlock;
use crate::serve::admission::{Admission, Full};
use crate::serve::limits::TcpLimits;
use crate::serve::throttle::Throttle;
use crate::sys::epoll::{Epoll, Interest};
/// What one TCP thread starts with.
#[derive(Debug)]
pub(super) struct TcpThreadContext<C: Channel> {
    /// Which block of counters is ours.
    pub(super) index: usize,
    /// The listeners, shared with the other threads.
    pub(super) listeners: Arc<[Listener]>,
    /// What the channels of connections are made from.
    pub(super) acceptor: C::Acceptor,
    /// What clients may take.
    pub(super) limits: TcpLimits,
    /// Who may connect; shared with the other threads.
    pub(super) admission: Arc<Admission>,
    /// What answers are made from.
    pub(super) snapshot: Arc<ArcSwap<Snapshot>>,
    /// Our counters, our waker, and whether another thread has taken over.
    pub(super) state: Arc<TcpThreadState>,
    /// Set, before the thread is woken, when it is time to end.
    pub(super) is_stopping: Arc<AtomicBool>,
}

/// One thread at work.
#[derive(Debug)]
pub(super) struct TcpThread<C: Channel> {
    /// What it started with.
    context: TcpThreadContext<C>,
    /// What it waits for.
    epoll: Epoll,
    /// Of that, what is not to wait for the turns of clients: listeners and the prover's connections. Only looked at.
    urgent: Epoll,
    /// When that was looked at last.
    urgent_at: Instant,
    /// Its connections.
    connections: Slab<WatchedConnection<C>>,
    /// The big buffers.
    buffers: IoBuffers,
    /// The time when the last wait ended.
    now: Instant,
    /// Until when accepting rests after it failed; the listeners are not watched then.
    rest_end: Option<Instant>,
    /// Who was accepted and waits until connections that were evicted are closed.
    held: Option<HeldClient>,
    /// Whether somebody waited for that in vain and nobody was admitted since: whoever comes now is refused at once.
    is_stuck: bool,
    /// Whether it is time to end: each connection is read to its last octet and closed.
    is_closing: bool,
}

/// A connection that was accepted and not admitted yet.
#[derive(Debug)]
struct HeldClient {
    /// The connection.
    stream: TcpStream,
    /// Who it is.
    client: SocketAddr,
    /// When it is refused.
    end: Instant,
}

/// A connection and what it is watched for.
#[derive(Debug)]
struct WatchedConnection<C> {
    /// The connection.
    connection: Connection<C>,
    /// What the set watches it for.
    interest: Interest,
}

/// What a token stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ready {
    /// The waker was used.
    Waker,
    /// Somebody waits at a listener.
    Listener(usize),
    /// A connection can go on.
    Connection(Key),
}

impl<C: Channel> TcpThread<C> {
    /// Allocates what the thread needs at once, so that a failure shows before it starts.
    ///
    /// # Errors
    /// Descriptors or memory ran out.
    pub(super) fn new(context: TcpThreadContext<C>) -> io::Result<Self> {
        let epoll = Epoll::new()?;
        epoll.watch(context.state.waker.as_fd(), WAKER, Interest::NewInput)?;
        let tcp_thread = Self {
            connections: Slab::new(context.limits.idle_timeout, context.limits.io_timeout),
            context,
            epoll,
            urgent: Epoll::new()?,
            urgent_at: Instant::now(),
            buffers: IoBuffers::new(),
            now: Instant::now(),
            rest_end: None,
            held: None,
            is_stuck: false,
            is_closing: false,
        };
        tcp_thread.watch_listeners()?;
        Ok(tcp_thread)
    }

    /// Serves until it is time to end, then finishes what was received within [`CLOSE_TIME_MAX`]; or until another
    /// thread has taken over, and then ends its connections at once.
    pub(super) fn run(mut self) {
        while !self.context.state.handle.is_replaced() {
            if self.context.is_stopping.load(Ordering::Acquire) {
                return self.close();
            }
            self.turn(None);
        }
        self.end_all();
    }

    /// Waits, until `end` at the latest, and lets everything go on that can.
    fn turn(&mut self, end: Option<Instant>) {
        let timeout = self.wait_time(end);
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
        self.urgent_at = self.now;
        self.context.state.advance();
        for index in 0..ready_count {
            let token = self.epoll.token(index);
            self.dispatch(token.map(Ready::of));
            self.dispatch_urgent();
        }
        for _ in 0..EXPIRIES_MAX {
            let surplus = || self.connections.surplus(Limit::Io, IO_CONNECTIONS_MAX);
            let Some(key) = self.connections.expired(self.now).or_else(surplus) else { break };
            let late = self.connections.find(key).map_or(CloseReason::Broken, |watched| watched.connection.late());
            self.end(key, late);
        }
        if self.rest_end.is_some_and(|end| end <= self.now) {
            self.resume_accepting();
        }
    }

    /// Does what is to be done about something that is ready.
    fn dispatch(&mut self, ready: Option<Ready>) {
        match ready {
            Some(Ready::Connection(key)) => self.serve_connection(key),
            Some(Ready::Listener(listener)) => self.accept(listener, ACCEPTS_MAX),
            // Input wakes one of the threads, and that one may be stuck: whoever waits at any listener is looked for.
            Some(Ready::Waker) => self.look_at_urgent(),
            None => {}
        }
    }

    /// Between the turns of clients, sees to the prover and to whoever waits to be accepted, if the last look is
    /// [`URGENT_INTERVAL`] ago: however many clients there are, nobody waits for more than that and one turn.
    fn dispatch_urgent(&mut self) {
        self.now = Instant::now();
        if self.is_closing || self.now.saturating_duration_since(self.urgent_at) < URGENT_INTERVAL {
            return;
        }
        self.look_at_urgent();
    }

    /// Sees to the prover and to whoever waits to be accepted. Where it cannot be looked at, all is seen to in its
    /// turn.
    fn look_at_urgent(&mut self) {
        self.urgent_at = self.now;
        for index in 0..self.urgent.wait(Some(Duration::ZERO)).unwrap_or(0) {
            let token = self.urgent.token(index);
            self.dispatch(token.map(Ready::of));
        }
    }

    /// How long to wait at most.
    fn wait_time(&self, end: Option<Instant>) -> Option<Duration> {
        let moments = [self.connections.deadline(), self.rest_end, end];
        // From the end of the last wait, which costs no look at the clock; what has passed since is too short to
        // matter.
        moments.into_iter().flatten().min().map(|moment| moment.saturating_duration_since(self.now))
    }

    /// Gives a connection its turn, or, when it is time to end, those that are left.
    fn serve_connection(&mut self, key: Key) {
        if !self.is_closing {
            self.step(key);
            return;
        }
        for _ in 0..LAST_TURNS_MAX {
            match self.step(key) {
                Some(NextStep::Read) => {}
                Some(NextStep::Empty) => break,
                Some(NextStep::Write | NextStep::Close(_)) | None => return,
            }
        }
        self.end(key, CloseReason::Stopped);
    }

    /// Gives a connection one turn and does what follows from it; `None` where it is gone.
    fn step(&mut self, key: Key) -> Option<NextStep> {
        let watched = self.connections.find(key)?;
        let turn = watched.connection.turn(&mut self.buffers, self.context.source());
        self.context.state.advance();
        // What is left of a stream may take for ever.
        let is_cut_off = self.is_closing && watched.connection.is_streaming();
        let next = if is_cut_off { NextStep::Close(CloseReason::Stopped) } else { turn.next };
        let interest = match next {
            NextStep::Empty | NextStep::Read => Interest::Input,
            NextStep::Write => Interest::Output,
            NextStep::Close(end) => {
                self.end(key, end);
                return Some(next);
            }
        };
        if watched.interest != interest {
            watched.interest = interest;
            let changed = self.epoll.change(watched.connection.stream().as_fd(), key.to_token(), interest);
            if let Err(error) = changed {
                tracing::error!(%error, "a TCP connection cannot be waited for and is closed");
                self.end(key, CloseReason::Broken);
                return None;
            }
        }
        if let Some(limit) = turn.limit {
            self.connections.allow(key, limit, self.now);
        }
        Some(next)
    }

    /// Counts why a connection ends and closes it, in this order: who sees it closed finds it counted.
    fn end(&mut self, key: Key, end: CloseReason) {
        if let Some(watched) = self.connections.remove(key) {
            watched.connection.end(end, self.context.block());
        }
    }

    /// Takes up to `count_max` connections off the queue of a listener.
    fn accept(&mut self, listener: usize, count_max: usize) {
        for _ in 0..count_max {
            if self.rest_end.is_some() {
                return;
            }
            let Some(listener) = self.context.listeners.get(listener) else { return };
            match listener.accept() {
                Ok((stream, client)) => {
                    self.start_serving(stream, client, self.now + HELD_TIME_MAX);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) => {
                    self.context.block().accept_errors.add(1);
                    // What the client did (gone before it was accepted) says nothing about the next one.
                    if !matches!(error.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::Interrupted) {
                        return self.rest_after(&error);
                    }
                }
            }
        }
    }

    /// Leaves the listeners alone for a while, since accepting would fail again at once. One connection ends
    /// meanwhile, so that there is a descriptor for the next.
    fn rest_after(&mut self, error: &io::Error) {
        self.context.admission.evict_one(self.context.block());
        if let Some(unlogged) = ACCEPT_LINES.admit(self.now) {
            tracing::warn!(%error, unlogged, "TCP connections cannot be accepted for now");
        }
        self.rest(ACCEPT_PAUSE);
    }

    /// Leaves the listeners alone for a while.
    fn rest(&mut self, pause: Duration) {
        self.forget_listeners();
        self.rest_end = Some(self.now + pause);
    }

    /// Watches the listeners again, unless the one that waits has to wait on.
    fn resume_accepting(&mut self) {
        self.rest_end = None;
        if let Some(HeldClient { stream, client, end }) = self.held.take() {
            self.start_serving(stream, client, end);
        }
        if self.rest_end.is_some() {
            return;
        }
        match self.watch_listeners() {
            Ok(()) => {}
            Err(error) => {
                tracing::warn!(%error, "the TCP listeners cannot be watched for now");
                self.rest(ACCEPT_PAUSE);
            }
        }
    }

    /// Begins to wait for connections, as one of several threads.
    fn watch_listeners(&self) -> io::Result<()> {
        (LISTENERS..).zip(&*self.context.listeners).try_for_each(|(token, listener)| {
            self.epoll.watch(listener.as_fd(), token, Interest::SharedInput)?;
            self.urgent.watch(listener.as_fd(), token, Interest::Input)
        })
    }

    /// Waits for connections no longer.
    fn forget_listeners(&self) {
        for listener in &*self.context.listeners {
            for set in [&self.epoll, &self.urgent] {
                // An error: it was not watched.
                let _forgotten = set.forget(listener.as_fd());
            }
        }
    }

    /// Starts to serve a connection. Where no room can be made for it, it waits until `end`, and everybody behind it,
    /// the prover among them; after that, and where somebody has waited in vain, it is closed.
    fn start_serving(&mut self, stream: TcpStream, client: SocketAddr, end: Instant) {
        let handle = &self.context.state.handle;
        let permit = match self.context.admission.admit(stream, client, handle, self.now) {
            Ok(permit) => permit,
            Err(Full(stream)) if self.now < end && !self.is_stuck && !self.is_closing => {
                self.held = Some(HeldClient { stream, client, end });
                return self.rest(HELD_PAUSE);
            }
            Err(Full(_)) => {
                self.is_stuck = true;
                return handle.block().refused.add(1);
            }
        };
        self.is_stuck &= permit.is_prover();
        let is_prover = permit.is_prover();
        let Some(channel) = C::open(&self.context.acceptor) else { return handle.block().refused.add(1) };
        let connection = Connection::new(permit, channel);
        let limit = connection.first_limit();
        let watched = WatchedConnection { connection, interest: Interest::Input };
        let Some(key) = self.connections.insert(watched, self.now) else { return handle.block().refused.add(1) };
        handle.block().opened.add(1);
        if limit != Limit::Idle {
            self.connections.allow(key, limit, self.now);
        }
        let Some(watched) = self.connections.find(key) else { return };
        let descriptor = watched.connection.stream().as_fd();
        let mut watched = self.epoll.watch(descriptor, key.to_token(), Interest::Input);
        if is_prover {
            watched = watched.and(self.urgent.watch(descriptor, key.to_token(), Interest::Input));
        }
        if let Err(error) = watched {
            tracing::error!(%error, "a TCP connection cannot be waited for and is closed");
            self.end(key, CloseReason::Broken);
        }
    }

    /// Takes the connections that wait already, answers what was received, and closes everything.
    fn close(mut self) {
        (self.now, self.rest_end, self.is_closing) = (Instant::now(), None, true);
        for listener in 0..self.context.listeners.len() {
            self.accept(listener, LATE_CLIENTS_MAX);
        }
        self.forget_listeners();
        self.context.listeners = Arc::new([]);
        for key in self.connections.keys() {
            self.serve_connection(key);
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
            self.end(key, CloseReason::Stopped);
        }
    }
}

impl<C: Channel> TcpThreadContext<C> {
    /// Returns our counters.
    fn block(&self) -> &TcpBlock {
        self.state.handle.block()
    }

    /// What answers are made from and counted in.
    fn source(&self) -> AnswerSource<'_> {
        // There are at most a few TCP threads.
        let thread = u16::try_from(self.index).unwrap_or(u16::MAX);
        AnswerSource { thread, snapshot: &self.snapshot, block: self.block() }
    }
}

impl Ready {
    /// Reads a token.
    fn of(token: u64) -> Self {
        match token {
            WAKER => Self::Waker,
            LISTENERS.. => Self::Listener(usize::try_from(token - LISTENERS).unwrap_or(usize::MAX)),
            token => Self::Connection(Key::from_token(token)),
        }
    }
}

/// The token of the waker.
const WAKER: u64 = u64::MAX;

/// The token of the first listener; the others follow.
const LISTENERS: u64 = u64::MAX - u32::MAX as u64;

/// How many connections are taken off one queue at once, so that others have their turn and other threads their share.
const ACCEPTS_MAX: usize = 8;

/// How many connections may have unfinished messages, or replies that their clients have not taken, in buffers at
/// once; the one of them that began first makes room. A network's share of the permits is as many, where it is spread
/// over four threads.
const IO_CONNECTIONS_MAX: usize = 512;

/// How many connections whose time is over are closed at once; what is left is closed in the next turn.
const EXPIRIES_MAX: usize = 64;

/// How long clients may have their turns before the prover and new connections are seen to.
const URGENT_INTERVAL: Duration = Duration::from_millis(1);

/// Counts the lines about accepting that failed, of all threads: one a second.
static ACCEPT_LINES: Throttle = Throttle::new(1);

/// How long accepting rests when the system has no descriptors or memory.
const ACCEPT_PAUSE: Duration = Duration::from_millis(10);

/// How long somebody who was accepted waits at most for connections that were evicted: a thread that waits for a
/// CPU closes them much sooner, one that hangs does not in any case. Far less than the prover waits for its answer.
pub(super) const HELD_TIME_MAX: Duration = Duration::from_millis(250);

/// How long it waits between two looks.
const HELD_PAUSE: Duration = Duration::from_millis(1);

/// How long a thread rests when it cannot wait, so that it does not spin.
const ERROR_PAUSE: Duration = Duration::from_millis(5);

/// How long connections may take to finish when the server stops; less than [`super::STOP_TIME_MAX`].
const CLOSE_TIME_MAX: Duration = Duration::from_secs(3);

/// Connections per listener and thread that are still taken from the queue when the server stops.
const LATE_CLIENTS_MAX: usize = 4096;

/// How often a connection is read at once when the server stops.
const LAST_TURNS_MAX: usize = 64;
