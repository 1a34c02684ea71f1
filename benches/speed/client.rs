//! The clients: dnsperf as fast as it goes, a connection for each query, and a steady rate whose every reply is timed.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use fated::sys::cpu::{self, Cpu};

use super::common::ask::{framed, udp_socket};
use super::common::message::Query;
use super::contender::output_on;

/// Sockets of dnsperf over UDP.
const UDP_CLIENTS: u32 = 20;
/// Queries under way over UDP: less than the 195 that fit into the smallest receive buffer of the servers (212,992
/// octets).
const UDP_UNDER_WAY: u32 = 180;
/// Connections of dnsperf over TCP.
const TCP_CLIENTS: u32 = 20;
/// Queries under way over TCP, for all connections together.
const TCP_UNDER_WAY: u32 = 400;
/// After this a query counts as lost, in seconds.
const LOST_AFTER_SECONDS: u32 = 2;
/// The same for a connection that carries one query.
const REPLY_PATIENCE: Duration = Duration::from_secs(LOST_AFTER_SECONDS as u64);
/// Connections that are open at once where each carries one query: Knot and BIND let ten wait to be accepted.
const CONNECTIONS: usize = 8;
/// How often the steady client sends.
const TICK: Duration = Duration::from_millis(1);
/// How long a reply to the steady client may take.
const STEADY_PATIENCE: Duration = Duration::from_secs(LOST_AFTER_SECONDS as u64);
/// IDs of a DNS message.
const IDS: usize = 1 << 16;

/// How queries travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Transport {
    /// Datagrams.
    Udp,
    /// Datagrams with an OPT record that says DO.
    UdpDo,
    /// Pipelined on connections that stay.
    Tcp,
    /// A new connection for each query.
    TcpNew,
}

/// What a client saw.
#[derive(Clone, Debug, Default)]
pub(crate) struct Load {
    /// Queries that were answered.
    pub(crate) answered: u64,
    /// Queries that were not.
    pub(crate) lost: u64,
    /// How long it took.
    pub(crate) time: Duration,
    /// Mean time to a reply.
    pub(crate) mean_latency: Duration,
    /// RCODEs by name; empty where the client does not report them.
    pub(crate) codes: BTreeMap<String, u64>,
}

impl Load {
    /// Answers a second.
    pub(crate) fn per_second(&self) -> f64 {
        self.answered as f64 / self.time.as_secs_f64().max(1e-9)
    }

    /// The share of queries that were lost.
    pub(crate) fn lost_share(&self) -> f64 {
        self.lost as f64 / (self.answered + self.lost).max(1) as f64
    }

    /// The share of answers with this RCODE.
    pub(crate) fn share_of(&self, code: &str) -> f64 {
        self.codes.get(code).copied().unwrap_or_default() as f64 / self.answered.max(1) as f64
    }
}

/// Asks as fast as it goes for a time.
///
/// # Errors
/// dnsperf fails, or says what can't be read.
pub(crate) fn load(
    server: SocketAddr,
    transport: Transport,
    file: &Path,
    queries: &[Query],
    time: Duration,
    cpu: Cpu,
) -> io::Result<Load> {
    if transport == Transport::TcpNew {
        let client = || cpu::pin(cpu).and_then(|()| connect_anew(server, queries, time));
        let panicked = |_| io::Error::other("the client panicked");
        return std::thread::scope(|scope| scope.spawn(client).join()).map_err(panicked)?;
    }
    let (mode, clients, under_way) = match transport {
        Transport::Tcp => ("tcp", TCP_CLIENTS, TCP_UNDER_WAY),
        _ => ("udp", UDP_CLIENTS, UDP_UNDER_WAY),
    };
    let mut command = Command::new("dnsperf");
    command.args(["-m", mode, "-T", "1", "-O", "suppress=timeout,unexpected"]);
    if transport == Transport::UdpDo {
        command.arg("-D");
    }
    let numbers = [
        ("-p", u32::from(server.port())),
        ("-c", clients),
        ("-q", under_way),
        ("-t", LOST_AFTER_SECONDS),
        ("-l", u32::try_from(time.as_secs()).unwrap_or(u32::MAX).max(1)),
    ];
    for (option, number) in numbers {
        command.args([option, &number.to_string()]);
    }
    command.arg("-s").arg(server.ip().to_string()).arg("-d").arg(file);
    let said = output_on(cpu, &mut command)?;
    report(&said).ok_or_else(|| io::Error::other(format!("dnsperf said what can't be read:\n{said}")))
}

/// Reads the report of dnsperf.
fn report(said: &str) -> Option<Load> {
    let behind = |label: &str| said.lines().find_map(|line| line.trim_start().strip_prefix(label));
    let number = |label: &str| behind(label)?.split_whitespace().next()?.parse::<f64>().ok();
    let codes = behind("Response codes:").unwrap_or_default().split(',').filter_map(|part| {
        let mut words = part.split_whitespace();
        Some((words.next()?.to_owned(), words.next()?.parse().ok()?))
    });
    Some(Load {
        answered: number("Queries completed:")? as u64,
        lost: number("Queries lost:")? as u64,
        time: Duration::try_from_secs_f64(number("Run time (s):")?).ok()?,
        mean_latency: Duration::try_from_secs_f64(number("Average Latency (s):")?).ok()?,
        codes: codes.collect(),
    })
}

/// Opens a connection for each query, some at once; the oldest is read and closed before the next one is opened.
fn connect_anew(server: SocketAddr, queries: &[Query], time: Duration) -> io::Result<Load> {
    let packets: Vec<Vec<u8>> = queries.iter().map(|query| framed(&query.encode(0x4E57))).collect();
    let mut open: std::collections::VecDeque<(TcpStream, Instant)> = std::collections::VecDeque::new();
    let (mut load, mut total, mut next) = (Load::default(), Duration::ZERO, 0);
    let mut buffer = vec![0; 65_537];
    let begin = Instant::now();
    loop {
        let is_over = begin.elapsed() >= time;
        while !is_over && open.len() < CONNECTIONS {
            let asked = Instant::now();
            let mut stream = TcpStream::connect(server)?;
            stream.set_read_timeout(Some(REPLY_PATIENCE))?;
            stream.write_all(&packets[next % packets.len()])?;
            next += 1;
            open.push_back((stream, asked));
        }
        let Some((mut stream, asked)) = open.pop_front() else { break };
        match read_reply(&mut stream, &mut buffer) {
            Ok(()) => {
                load.answered += 1;
                total += asked.elapsed();
            }
            Err(_) => load.lost += 1,
        }
    }
    load.time = begin.elapsed();
    load.mean_latency = total / u32::try_from(load.answered.max(1)).unwrap_or(u32::MAX);
    Ok(load)
}

/// Reads one message with its length, which mostly comes with one call.
fn read_reply(stream: &mut TcpStream, buffer: &mut [u8]) -> io::Result<()> {
    let mut filled = 0;
    loop {
        filled += match stream.read(&mut buffer[filled..])? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            count => count,
        };
        if let [high, low, rest @ ..] = &buffer[..filled]
            && rest.len() >= usize::from(u16::from_be_bytes([*high, *low])).max(1)
        {
            return Ok(());
        }
    }
}

/// What a steady client saw.
#[derive(Debug)]
pub(crate) struct Steady {
    /// Queries that were sent.
    pub(crate) sent: usize,
    /// Queries that were not answered in time.
    pub(crate) lost: usize,
    /// Times to a reply, sorted.
    pub(crate) latencies: Vec<Duration>,
}

impl Steady {
    /// The latency that a share of the answers did not exceed.
    pub(crate) fn quantile(&self, share: f64) -> Duration {
        let index = (self.latencies.len() as f64 * share) as usize;
        self.latencies.get(index.min(self.latencies.len().saturating_sub(1))).copied().unwrap_or(Duration::MAX)
    }
}

/// Asks at a steady rate, from one socket, until `is_over`; waits for the last replies.
///
/// # Errors
/// The socket fails.
pub(crate) fn steady(
    server: SocketAddr,
    queries: &[Query],
    per_second: u32,
    is_over: &AtomicBool,
    cpu: Cpu,
) -> io::Result<Steady> {
    let socket = udp_socket(server);
    socket.set_read_timeout(Some(TICK * 100))?;
    let begin = Instant::now();
    // When a query with an ID was sent, in nanoseconds from the begin; 0 where none waits for a reply.
    let sent_at: Vec<AtomicU64> = (0..IDS).map(|_| AtomicU64::new(0)).collect();
    let nanos = || u64::try_from(begin.elapsed().as_nanos()).unwrap_or(u64::MAX);
    let (is_done, overrun) = (AtomicBool::new(false), AtomicUsize::new(0));
    let receive = || {
        cpu::pin(cpu)?;
        let (mut latencies, mut buffer) = (Vec::new(), [0; 4096]);
        while !is_done.load(Ordering::Acquire) {
            let Ok(length) = socket.recv(&mut buffer) else { continue };
            if length >= 2 {
                let id = usize::from(u16::from_be_bytes([buffer[0], buffer[1]]));
                let sent = sent_at[id].swap(0, Ordering::AcqRel);
                if sent != 0 {
                    latencies.push(Duration::from_nanos(nanos().saturating_sub(sent)));
                }
            }
        }
        Ok::<_, io::Error>(latencies)
    };
    let send = || {
        cpu::pin(cpu)?;
        let mut sent = 0;
        while !is_over.load(Ordering::Acquire) {
            let due = (begin.elapsed().as_secs_f64() * f64::from(per_second)) as usize;
            while sent < due {
                let id = sent % IDS;
                if sent_at[id].swap(nanos().max(1), Ordering::AcqRel) != 0 {
                    overrun.fetch_add(1, Ordering::Relaxed);
                }
                socket.send(&queries[sent % queries.len()].encode(id as u16))?;
                sent += 1;
            }
            std::thread::sleep(TICK);
        }
        std::thread::sleep(STEADY_PATIENCE);
        is_done.store(true, Ordering::Release);
        Ok::<_, io::Error>(sent)
    };
    let (sent, latencies) = std::thread::scope(|scope| {
        let receiver = scope.spawn(receive);
        let sent = scope.spawn(send).join().map_err(|_| io::Error::other("the sender panicked"));
        is_done.store(true, Ordering::Release);
        let latencies = receiver.join().map_err(|_| io::Error::other("the receiver panicked"));
        Ok::<_, io::Error>((sent??, latencies??))
    })?;
    let mut latencies = latencies;
    latencies.sort_unstable();
    let waiting = sent_at.iter().filter(|sent| sent.load(Ordering::Relaxed) != 0).count();
    Ok(Steady { sent, lost: waiting + overrun.into_inner(), latencies })
}
