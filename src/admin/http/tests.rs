//! The pages as a plain TCP client sees them.

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;
use crate::admin::exposition::{FAMILIES, Kind};
use crate::admin::history::History;
use crate::admin::reply::{self, Anycast, Stance, Status, WorkerStatus};
use crate::metrics::Metrics;

/// A catalog whose last version was refused.
fn refused_catalog() -> reply::Catalog {
    let (name, refusal) = ("catalog.test.".to_owned(), Some("it is broken".to_owned()));
    reply::Catalog { name, members: 3, served: 2, refusal }
}

/// A status in which everything is there.
fn full_status() -> Status {
    let mut history = History::default();
    let now = std::time::Instant::now();
    let number = history.begin(now, "192.0.2.53", Stance::Withdraw, Stance::Announce, "20 good rounds");
    history.step(number, "address added", Duration::from_micros(81));
    let address = reply::Address {
        address: "192.0.2.53".to_owned(),
        prefix: "192.0.2.0/24".to_owned(),
        stance: Stance::Announce,
        reason: "2 of 2 workers proven".to_owned(),
        since_s: 9,
        announced: true,
        lease_age_ms: Some(120),
        proof_age_ms: Some(31),
        announcements: 1,
        withdrawals: 0,
        dropped: 4,
        path: reply::PathStatus::Trusted,
    };
    let worker = reply::Worker {
        worker: 1,
        state: WorkerStatus::Proven,
        proof_age_ms: Some(31),
        latency_us: Some(88),
        repairs: 2,
    };
    Status {
        version: "9.9.9".to_owned(),
        pid: 1,
        uptime_s: 12,
        listen: vec!["127.0.0.1:5300".to_owned()],
        workers: 2,
        catalogs: vec![refused_catalog()],
        companions: vec![companion(address.clone())],
        zone_counts: reply::ZoneCounts { served: 1, kept: 1, refused: 0 },
        zones: vec![refused_zone()],
        ready: Readiness { is_ready: true, reason: "zones: 1".to_owned() },
        drained: false,
        anycast: Some(Anycast {
            interface: "fated0".to_owned(),
            dry_run: false,
            workers_min: 1,
            lease_s: Some(1),
            addresses: vec![address],
            workers: vec![worker],
            tcp_threads: vec![reply::TcpThread { thread: 0, state: reply::ThreadState::Moving, repairs: 3 }],
            transitions: history.transitions(now),
            neighbors: vec![neighbor()],
            ..Anycast::default()
        }),
        secondaries: Some(secondaries()),
        last_reload: Some(reply::LastReload { age_s: 5, took_ms: 1, outcome: Err("nothing".to_owned()) }),
        certificate_s: Some(86_400),
        control_plane: reply::ControlPlane { stalls: 2, stalled_ms: 12_500 },
        counters: vec![reply::Counter { name: "fated_queries_total{transport=\"udp\"}".to_owned(), value: 5 }],
    }
}

/// A zone of which the version before is served.
fn refused_zone() -> reply::Zone {
    reply::Zone {
        name: "a\\\"b.test.".to_owned(),
        file: "zones/<a>.zone".to_owned(),
        state: reply::State::Kept,
        serial: Some(7),
        records: 3,
        names: 2,
        signed: false,
        age_s: Some(1),
        errors: 1,
        warnings: 0,
        faults: "error: <b> & \"c\"\n".to_owned(),
    }
}

/// Another service beside the server.
fn companion(address: reply::Address) -> reply::Companion {
    reply::Companion {
        name: "kdc".to_owned(),
        probe: "kerberos".to_owned(),
        interface: "fated1".to_owned(),
        addresses: vec![address],
        ..reply::Companion::default()
    }
}

/// A router with BFD beside its session.
fn neighbor() -> reply::Neighbor {
    reply::Neighbor {
        address: "198.51.100.1".to_owned(),
        state: "established".to_owned(),
        announced: 2,
        other_routes: 9,
        sent: reply::Messages { keepalives: 11, ..reply::Messages::default() },
        bfd: Some(reply::Beat { state: "up".to_owned(), withheld: 4, ..reply::Beat::default() }),
        ..reply::Neighbor::default()
    }
}

/// Zones from primaries, some of each.
fn secondaries() -> reply::Secondaries {
    reply::Secondaries { awaited: 1, current: 2, late: 3, expired: 4, oldest_s: Some(77), behind_max: 9 }
}

/// Serves pages on a port that the kernel chooses; returns where, and the commands that are asked.
async fn served(client_time: Duration) -> (SocketAddr, mpsc::Receiver<Command>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback has free ports");
    let address = listener.local_addr().expect("an address");
    let (commands, receiver) = mpsc::channel(8);
    let counters = Metrics::new(2, 1);
    counters.udp()[1].answers.queries.add(41);
    let samples = Box::new(move || counters.samples());
    tokio::spawn(serve_for(listener, Source { commands, samples }, client_time));
    (address, receiver)
}

/// Answers commands as a server would.
fn serve_commands(mut commands: mpsc::Receiver<Command>, readiness: Readiness) {
    tokio::spawn(async move {
        while let Some(command) = commands.recv().await {
            match command {
                Command::Status(reply) => drop(reply.send(full_status())),
                Command::Zones(from, _, reply) => {
                    let zones = full_status().zones;
                    let _ = reply.send(reply::ZonePage { all: 1, from, zones, next: Some(from + 1) });
                }
                Command::Readiness(reply) => drop(reply.send(readiness.clone())),
                other => panic!("the pages must not ask for {other:?}"),
            }
        }
    });
}

fn ready() -> Readiness {
    Readiness { is_ready: true, reason: "zones: 1".to_owned() }
}

/// Asks and reads to the end; returns head and body.
async fn ask(address: SocketAddr, request: &str) -> (String, String) {
    let mut stream = TcpStream::connect(address).await.expect("connects");
    stream.write_all(request.as_bytes()).await.expect("writes");
    let mut reply = String::new();
    stream.read_to_string(&mut reply).await.expect("reads");
    let (head, body) = reply.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no reply: {reply:?}"));
    (head.to_lowercase(), body.to_owned())
}

async fn get(address: SocketAddr, path: &str) -> (String, String) {
    ask(address, &format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n")).await
}

/// Names with what belongs to each.
type Pairs<T> = Vec<(String, T)>;

/// Holds the text to the rules that Prometheus' own checker has; returns each family with its type, and each number.
fn parse_metrics(text: &str) -> (Pairs<String>, Pairs<f64>) {
    let (mut families, mut numbers): (Pairs<String>, Pairs<f64>) = (vec![], vec![]);
    let mut lines = text.lines().peekable();
    assert_eq!(text.lines().last(), Some("# EOF"));
    while let Some(line) = lines.next().filter(|line| *line != "# EOF") {
        let (name, help) = line.strip_prefix("# HELP ").expect(line).split_once(' ').expect(line);
        assert!(help.len() > 5 && help.ends_with('.') && !help.ends_with(".."), "{line}");
        assert!(name.chars().all(|character| character.is_ascii_lowercase() || character == '_'), "{name}");
        assert!(families.iter().all(|(known, _)| known != name), "{name} appears twice");
        let kind = lines.next().and_then(|line| line.strip_prefix(&format!("# TYPE {name} "))).expect(name);
        let suffix = match kind {
            "counter" => "_total",
            "info" => "_info",
            "gauge" => "",
            other => panic!("{name} has the type {other}"),
        };
        assert!(!["_total", "_info", "_count", "_sum", "_bucket"].iter().any(|end| name.ends_with(end)), "{name}");
        let before = numbers.len();
        while let Some(line) = lines.next_if(|line| !line.starts_with('#')) {
            let rest = line.strip_prefix(&format!("{name}{suffix}")).expect(line);
            let (labels, value) = rest.rsplit_once(' ').expect(line);
            assert!(
                labels.is_empty() || labels.starts_with('{') && labels.ends_with('}') && labels.len() > 2,
                "{line}"
            );
            numbers.push((format!("{name}{suffix}{labels}"), value.parse().expect(line)));
        }
        assert!(numbers.len() > before, "{name} has no number");
        families.push((format!("{name}{suffix}"), kind.to_owned()));
    }
    for (index, (number, _)) in numbers.iter().enumerate() {
        assert!(numbers[..index].iter().all(|(other, _)| other != number), "{number} appears twice");
    }
    (families, numbers)
}

#[tokio::test]
async fn metrics_are_well_formed_and_hold_every_family_that_is_described() {
    let (address, commands) = served(CLIENT_TIME_MAX).await;
    serve_commands(commands, ready());
    let (head, body) = get(address, "/metrics").await;
    assert!(
        head.starts_with("http/1.1 200 ") && head.contains("application/openmetrics-text; version=1.0.0"),
        "{head}"
    );
    let (families, numbers) = parse_metrics(&body);
    let described: Vec<(String, String)> =
        FAMILIES.iter().map(|family| (family.name.to_owned(), family.kind.word().to_owned())).collect();
    assert_eq!(families, described, "what is printed is what is described, in that order");
    for family in FAMILIES.iter().filter(|family| family.name != "fated_build_info") {
        assert_eq!(family.kind == Kind::Counter, family.name.ends_with("_total"), "{}", family.name);
        assert!(family.name.starts_with("fated_"), "{}", family.name);
    }
    let value = |name: &str| numbers.iter().find(|(known, _)| known == name).map(|(_, value)| *value);
    for (name, expected) in [
        ("fated_build_info{version=\"9.9.9\"}", 1.0),
        ("fated_ready", 1.0),
        ("fated_zones{state=\"kept\"}", 1.0),
        ("fated_zone_serial{zone=\"a\\\\\\\"b.test.\"}", 7.0),
        ("fated_queries_total{transport=\"udp\"}", 41.0),
        ("fated_last_reload_success", 0.0),
        ("fated_control_plane_stalls_total", 2.0),
        ("fated_control_plane_stalled_seconds_total", 12.5),
        ("fated_anycast_stance{address=\"192.0.2.53\",stance=\"announce\"}", 1.0),
        ("fated_anycast_stance{address=\"192.0.2.53\",stance=\"withdraw\"}", 0.0),
        ("fated_anycast_lease_age_seconds{address=\"192.0.2.53\"}", 0.12),
        ("fated_worker_latency_seconds{worker=\"1\"}", 0.000_088),
        ("fated_bgp_established{neighbor=\"198.51.100.1\"}", 1.0),
        ("fated_bgp_prefixes{neighbor=\"198.51.100.1\",direction=\"received\"}", 9.0),
        ("fated_bgp_messages_total{neighbor=\"198.51.100.1\",direction=\"sent\",type=\"KEEPALIVE\"}", 11.0),
        ("fated_bfd_packets_total{neighbor=\"198.51.100.1\",outcome=\"withheld\"}", 4.0),
        ("fated_worker_repairs_total{worker=\"1\"}", 2.0),
        ("fated_tcp_repairs_total{thread=\"0\"}", 3.0),
    ] {
        assert_eq!(value(name), Some(expected), "{name} in\n{body}");
    }
}

#[tokio::test]
async fn labels_are_those_that_are_described() {
    let (address, commands) = served(CLIENT_TIME_MAX).await;
    serve_commands(commands, ready());
    let (_, numbers) = parse_metrics(&get(address, "/metrics").await.1);
    for (number, _) in numbers {
        let (name, labels) = number.split_once('{').unwrap_or((&number, ""));
        let family = FAMILIES.iter().find(|family| family.name == name).expect("described");
        let keys: Vec<&str> = labels.split("=\"").filter_map(|part| part.rsplit(['"', ',']).next()).collect();
        let keys: Vec<&str> = keys.into_iter().filter(|key| !key.is_empty() && *key != "}").collect();
        assert_eq!(keys, family.labels, "{number}");
    }
}

#[tokio::test]
async fn health_is_a_reply_of_the_control_plane() {
    let (address, commands) = served(CLIENT_TIME_MAX).await;
    serve_commands(commands, Readiness { is_ready: false, reason: "no zone is served".to_owned() });
    let (head, body) = get(address, "/healthz").await;
    assert!(head.starts_with("http/1.1 200 "), "{head}");
    assert_eq!(body, "ok\n");
    let (address, commands) = served(CLIENT_TIME_MAX).await;
    drop(commands);
    let (head, body) = get(address, "/healthz").await;
    assert!(head.starts_with("http/1.1 503 "), "{head}");
    assert_eq!(body, "the server is ending\n");
}

#[tokio::test]
async fn a_control_plane_that_hangs_is_reported_and_the_counters_are_served_still() {
    let (address, commands) = served(CLIENT_TIME_MAX).await;
    let (health, readiness, metrics) =
        tokio::join!(get(address, "/healthz"), get(address, "/readyz"), get(address, "/metrics"));
    let (head, body) = health;
    assert!(head.starts_with("http/1.1 503 "), "{head}");
    assert!(body.contains("the control plane did not reply within 2s"), "{body}");
    let (head, body) = readiness;
    assert!(head.starts_with("http/1.1 503 ") && body.starts_with("not ready: the control plane"), "{head} {body}");
    let (head, body) = metrics;
    assert!(head.starts_with("http/1.1 200 "), "{head}");
    assert!(body.contains("fated_queries_total{transport=\"udp\"} 41\n") && !body.contains("fated_ready"), "{body}");
    parse_metrics(&body);
    drop(commands);
}

#[tokio::test]
async fn readiness_is_given_with_its_reason() {
    for (readiness, status, text) in [
        (ready(), "200", "ready: zones: 1\n"),
        (Readiness { is_ready: false, reason: "drained".to_owned() }, "503", "not ready: drained\n"),
    ] {
        let (address, commands) = served(CLIENT_TIME_MAX).await;
        serve_commands(commands, readiness);
        let (head, body) = get(address, "/readyz").await;
        assert!(head.starts_with(&format!("http/1.1 {status} ")), "{head}");
        assert_eq!(body, text);
    }
}

#[tokio::test]
async fn the_page_shows_everything_and_nothing_becomes_markup() {
    let (address, commands) = served(CLIENT_TIME_MAX).await;
    serve_commands(commands, ready());
    let (head, body) = get(address, "/").await;
    for part in ["http/1.1 200 ", "text/html", "connection: close", "default-src 'none'", "no-store"] {
        assert!(head.contains(part), "{part}: {head}");
    }
    for part in [
        "ready: zones: 1",
        "BROKEN, the old zone is served",
        "error: &lt;b&gt; &amp; &quot;c&quot;",
        "yes, as 192.0.2.0/24",
        "withdraw → announce",
        "address added 81 µs",
        "fated_queries_total{transport=&quot;udp&quot;}",
    ] {
        assert!(body.contains(part), "{part}: {body}");
    }
    assert!(!body.contains("<a>") && !body.contains("<b>") && !body.contains("<script"), "{body}");
}

#[tokio::test]
async fn other_paths_and_methods_are_refused() {
    let (address, commands) = served(CLIENT_TIME_MAX).await;
    serve_commands(commands, ready());
    let (head, body) = get(address, "/nothing").await;
    assert!(head.starts_with("http/1.1 404 ") && body.contains("/metrics"), "{head} {body}");
    let (head, _) = ask(address, "POST /readyz HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n").await;
    assert!(head.starts_with("http/1.1 405 "), "{head}");
    let (head, _) = ask(address, "nonsense\r\n\r\n").await;
    assert!(head.starts_with("http/1.1 400 "), "{head}");
}

#[tokio::test]
async fn silent_clients_are_let_go_and_leave_their_places_to_others() {
    let (address, commands) = served(Duration::from_secs(1)).await;
    serve_commands(commands, ready());
    let mut silent = Vec::new();
    for _ in 0..CLIENTS_MAX {
        let mut stream = TcpStream::connect(address).await.expect("connects");
        stream.write_all(b"GET / HTTP/1.1\r\n").await.expect("writes");
        silent.push(stream);
    }
    // Every place is taken: this one is served only when the time of one of the silent ones is over.
    let (head, _) = get(address, "/healthz").await;
    assert!(head.starts_with("http/1.1 200 "), "{head}");
    for mut stream in silent {
        let mut rest = Vec::new();
        // A broken stream is let go as well as a closed one.
        let _ = stream.read_to_end(&mut rest).await;
        assert!(!rest.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&rest));
    }
}

#[tokio::test]
async fn surplus_clients_are_answered_and_those_behind_them_too() {
    let (address, commands) = served(CLIENT_TIME_MAX).await;
    serve_commands(commands, ready());
    let mut silent = Vec::new();
    for _ in 0..CLIENTS_MAX {
        silent.push(TcpStream::connect(address).await.expect("connects"));
    }
    // More of them than may wait at once, who ask before they are refused.
    let asking = (0..WAITING_MAX + 20).map(|_| tokio::spawn(get(address, "/healthz")));
    let mut counts = std::collections::BTreeMap::new();
    for asked in asking.collect::<Vec<_>>() {
        let (head, body) = asked.await.expect("no panic");
        let status = head.split(' ').nth(1).expect("a status").to_owned();
        assert!(body.contains(if status == "503" { "too many HTTP clients" } else { "ok" }), "{head} {body}");
        *counts.entry(status).or_insert(0) += 1;
    }
    assert!(counts.get("503").is_some_and(|count| *count >= WAITING_MAX), "{counts:?}");
    drop(silent);
    assert!(get(address, "/healthz").await.0.starts_with("http/1.1 200 "));
}
