//! Watches the router's kernel: when the route of a service address changed, and to whom.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use futures_util::StreamExt;
use rtnetlink::packet_core::NetlinkPayload;
use rtnetlink::packet_route::RouteNetlinkMessage;
use rtnetlink::packet_route::route::{RouteAddress, RouteAttribute, RouteMessage, RouteType};
use rtnetlink::{MulticastGroup, new_multicast_connection};
use tokio::sync::oneshot;

use super::namespace::Namespace;
use super::{Family, NodeNumber, clock};

/// A change of the route to a service address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RouteChange {
    /// When the router's kernel reported it.
    pub(crate) at: Duration,
    /// Which address.
    pub(crate) family: Family,
    /// Where queries go from then on; `None`: nowhere.
    pub(crate) to: Option<NodeNumber>,
}

/// A thread in the router's namespace that notes each change.
#[derive(Debug)]
pub(crate) struct RouteWatch {
    /// What was seen, in order.
    changes: Arc<Mutex<Vec<RouteChange>>>,
    /// Ends the thread when dropped.
    stop: Option<oneshot::Sender<()>>,
    /// The thread.
    thread: Option<JoinHandle<()>>,
}

impl RouteWatch {
    /// Starts to watch; what is there already is not reported.
    pub(crate) fn start(router: &Namespace) -> Self {
        let changes = Arc::new(Mutex::new(Vec::new()));
        let (stop, stopped) = oneshot::channel();
        let (ready, is_ready) = std::sync::mpsc::channel();
        let seen = Arc::clone(&changes);
        let thread = router.run(|| {
            std::thread::spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
                runtime.block_on(watch(&seen, stopped, &ready));
            })
        });
        is_ready.recv().expect("the watch stands");
        Self { changes, stop: Some(stop), thread: Some(thread) }
    }

    /// All changes so far.
    pub(crate) fn changes(&self) -> Vec<RouteChange> {
        self.changes.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Where the route of a family leads now.
    pub(crate) fn current(&self, family: Family) -> Option<NodeNumber> {
        let changes = self.changes.lock().unwrap_or_else(PoisonError::into_inner);
        changes.iter().rev().find(|change| change.family == family).and_then(|change| change.to)
    }
}

impl Drop for RouteWatch {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Notes changes until it is stopped.
async fn watch(seen: &Mutex<Vec<RouteChange>>, stopped: oneshot::Receiver<()>, ready: &std::sync::mpsc::Sender<()>) {
    let groups = [MulticastGroup::Ipv4Route, MulticastGroup::Ipv6Route];
    let (connection, _handle, mut messages) = new_multicast_connection(&groups).expect("routes can be watched");
    tokio::spawn(connection);
    let _ = ready.send(());
    let mut gateways: [Option<IpAddr>; 2] = [None, None];
    let mut take = |message: &RouteNetlinkMessage| {
        let (route, is_new) = match message {
            RouteNetlinkMessage::NewRoute(route) => (route, true),
            RouteNetlinkMessage::DelRoute(route) => (route, false),
            _ => return,
        };
        let Some((family, gateway)) = service_route(route) else { return };
        let gateway_now = &mut gateways[family as usize];
        // The end of a route that another has replaced already is no change.
        if is_new == (*gateway_now == Some(gateway)) {
            return;
        }
        *gateway_now = is_new.then_some(gateway);
        let to = gateway_now.and_then(NodeNumber::of_gateway);
        let change = RouteChange { at: clock::now(), family, to };
        seen.lock().unwrap_or_else(PoisonError::into_inner).push(change);
    };
    let notifications = async {
        while let Some((message, _)) = messages.next().await {
            if let NetlinkPayload::InnerMessage(message) = message.payload {
                take(&message);
            }
        }
    };
    tokio::select! {
        () = notifications => panic!("the kernel stopped reporting routes"),
        _ = stopped => {}
    }
}

/// The family and gateway of a route to a service address in the main table.
fn service_route(route: &RouteMessage) -> Option<(Family, IpAddr)> {
    if route.header.table != MAIN_TABLE || route.header.kind != RouteType::Unicast {
        return None;
    }
    let address = |address: &RouteAddress| match address {
        RouteAddress::Inet(address) => Some(IpAddr::V4(*address)),
        RouteAddress::Inet6(address) => Some(IpAddr::V6(*address)),
        _ => None,
    };
    let (mut destination, mut gateway) = (None, None);
    for attribute in &route.attributes {
        match attribute {
            RouteAttribute::Destination(to) => destination = address(to),
            RouteAttribute::Gateway(via) => gateway = address(via),
            _ => {}
        }
    }
    let family = Family::ALL.into_iter().find(|family| destination == Some(family.service()))?;
    Some((family, gateway?))
}

/// The number of the main table (RT_TABLE_MAIN in linux/rtnetlink.h).
const MAIN_TABLE: u8 = 254;
