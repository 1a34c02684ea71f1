//! Faults of the threads beside the workers: those that serve TCP, and the control plane.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use nix::unistd::Pid;
use socket2::{Domain, Socket, Type};

use crate::common::site::fault::Wedge;
use crate::common::site::subject::{Fated, threads_of};
use crate::common::site::{Family, Routing, clock};
use crate::scene::{PATIENCE, PROGRAM, Scene, measured};

/// How long a client waits for an answer over TCP.
const TCP_TIME: Duration = Duration::from_secs(2);
/// What every scene here shows.
const PAGES: &str = "[admin]\nlisten = \"127.0.0.1:9153\"";

/// Builds a site that shows its metrics.
fn build(test: &str) -> Option<Scene> {
    Scene::build_with(test, Routing::BirdBgp, Fated { more: PAGES.to_owned(), ..Fated::new(PROGRAM) })
}

/// Whether node1 answers a query for the root over TCP, asked at home.
fn answers_tcp(scene: &Scene, family: Family) -> bool {
    let address = SocketAddr::from((family.service(), 53));
    let ask = || -> std::io::Result<bool> {
        let mut stream = TcpStream::connect_timeout(&address, TCP_TIME)?;
        stream.set_read_timeout(Some(TCP_TIME))?;
        stream.write_all(&[0, 17, 7, 7, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 1])?;
        let mut reply = [0; 14];
        stream.read_exact(&mut reply)?;
        Ok(reply[2..4] == [7, 7] && reply[4] & 0x80 != 0)
    };
    scene.site.nodes[0].space.run(|| ask().unwrap_or(false))
}

/// How often node1 has replaced TCP threads, as `fated status` shows it.
fn tcp_repairs(scene: &Scene) -> u64 {
    let status = scene.status();
    let threads = status["anycast"]["tcp_threads"].as_array().expect("TCP threads").clone();
    threads.iter().map(|thread| thread["repairs"].as_u64().expect("a number")).sum()
}

/// Within this a control plane that hangs is logged: five seconds and two looks, and ten times that on a busy machine.
const LOGGED: Duration = Duration::from_secs(70);

#[test]
fn a_control_plane_that_hangs_is_logged_and_costs_no_answer() {
    let Some(mut scene) = build("a_control_plane_that_hangs_is_logged_and_costs_no_answer") else { return };
    assert_eq!(scene.metric("fated_control_plane_stalls_total"), 0);
    let from = clock::now();
    // The first thread of the process runs the control plane, and has the number of the process.
    let wedge = Wedge::put(scene.process());
    let took = scene.until("it is logged that the control plane hangs", LOGGED, |scene| {
        scene.log().contains("the control plane hangs")
    });
    measured("control plane hangs: logged", took);
    // Nothing of the site has changed meanwhile, and both transports are served.
    assert!(Family::ALL.into_iter().all(|family| answers_tcp(&scene, family)), "{}", scene.site.logs());
    scene.assert_route_untouched(from);
    drop(wedge);
    scene.until("it is logged that it goes on", LOGGED, |scene| scene.log().contains("the control plane goes on"));
    let log = scene.log();
    let count = |text: &str| log.matches(text).count();
    assert_eq!((count("the control plane hangs"), count("the control plane goes on")), (1, 1), "{log}");
    assert_eq!(scene.metric("fated_control_plane_stalls_total"), 1);
    let stalled_ms = scene.status()["control_plane"]["stalled_ms"].as_u64();
    assert!(stalled_ms > Some(5000), "{stalled_ms:?}");
    let (_, text, _) = scene.ask(&["status"]);
    assert!(text.contains("the control plane hung: 1 times"), "{text}");
    assert_eq!((scene.withdrawals(), scene.repairs(), tcp_repairs(&scene)), ([0, 0], 0, 0), "{}", scene.status());
    scene.assert_route_untouched(from);
    let report = scene.report_since(from);
    assert_eq!(report.lost, 0, "{report:?}");
}

#[test]
fn tcp_threads_that_hang_are_replaced_before_anything_is_withdrawn() {
    let Some(mut scene) = build("tcp_threads_that_hang_are_replaced_before_anything_is_withdrawn") else { return };
    let from = clock::now();
    assert!(Family::ALL.into_iter().all(|family| answers_tcp(&scene, family)), "{}", scene.site.logs());
    let process = scene.process();
    let threads = threads_of(process, "tcp-");
    assert_eq!(threads.len(), 2, "one for each worker");
    let wedges: Vec<Wedge> = threads.iter().map(|thread| Wedge::put(*thread)).collect();
    // Nobody is there to answer; a connection waits in the queue of the listener.
    let took = scene.until("both threads are replaced", PATIENCE, |scene| tcp_repairs(scene) == 2);
    measured("all TCP threads hang: replaced", took);
    let took = scene
        .until("TCP answers again", PATIENCE, |scene| Family::ALL.into_iter().all(|family| answers_tcp(scene, family)));
    measured("all TCP threads hang: answers after that", took);
    assert_eq!(threads_of(process, "tcp-").len(), 4, "the old ones still hang");
    for thread in 0..2 {
        assert_eq!(scene.metric(&format!("fated_tcp_repairs_total{{thread=\"{thread}\"}}")), 1);
    }
    assert_eq!(scene.log().matches("the TCP thread hung").count(), 2, "{}", scene.log());
    drop(wedges);
    scene.until("the replaced threads end", PATIENCE, |scene| threads_of(scene.process(), "tcp-").len() == 2);
    assert!(Family::ALL.into_iter().all(|family| answers_tcp(&scene, family)), "{}", scene.site.logs());
    assert_eq!((tcp_repairs(&scene), scene.repairs()), (2, 0), "{}", scene.status());
    assert_eq!(scene.withdrawals(), [0, 0], "{}", scene.site.logs());
    scene.assert_route_untouched(from);
    let report = scene.report_since(from);
    assert_eq!(report.lost, 0, "UDP has nothing to do with it: {report:?}");
}

#[test]
fn a_listener_whose_queue_stands_still_withdraws_however_full_it_is() {
    let Some(mut scene) = build("a_listener_whose_queue_stands_still_withdraws_however_full_it_is") else { return };
    // The queue of the listeners is short from the next start on, so that few connections fill it.
    scene.node().space.set(&[("net/core/somaxconn", QUEUE_LENGTH)]);
    scene.restart();
    let process = scene.process();
    let mut wedged: Vec<(Pid, Wedge)> = Vec::new();
    let mut strangers: Vec<Socket> = Vec::new();
    // Who takes over hangs too, until nobody may take over any more.
    let took = scene.until("it is withdrawn", PATIENCE, |scene| {
        for thread in threads_of(process, "tcp-") {
            if wedged.iter().all(|(known, _)| *known != thread) {
                wedged.push((thread, Wedge::put(thread)));
            }
        }
        // Others come all the time: the queue is full, and the kernel drops who comes on top.
        scene.site.client.run(|| strangers.extend(Family::ALL.map(knock)));
        Family::ALL.into_iter().all(|family| scene.is_away(family))
    });
    measured("nobody takes connections off the queue: route", took);
    for family in Family::ALL {
        let address = scene.address(family);
        assert!(address["reason"].as_str().is_some_and(|reason| reason.contains("TCP")), "{address}");
    }
    let log = scene.log();
    assert!(log.contains("no answer over TCP") && !log.contains("overload"), "{log}");
    drop((wedged, strangers));
    scene.until_well();
    assert!(Family::ALL.into_iter().all(|family| answers_tcp(&scene, family)), "{}", scene.site.logs());
}

/// How many connections may wait at a listener.
const QUEUE_LENGTH: &str = "8";

/// Begins to connect to a service address, in the namespace of the calling thread, and waits for nothing.
fn knock(family: Family) -> Socket {
    let to = SocketAddr::from((family.service(), 53));
    let socket = Socket::new(Domain::for_address(to), Type::STREAM, None).expect("there are sockets");
    socket.set_nonblocking(true).expect("the option is there");
    // It is under way, or there is no port left: one less.
    let _under_way = socket.connect(&to.into());
    socket
}
