//! The one place that asks rtnetlink: requests, and what the kernel has.
//!
//! Owns the socket that asks; the kernel's notifications come over another one (see [`super::events`]), so that replies
//! never queue behind notifications. Refuses to know what is wanted.
//!
//! **What is ours is asked for, and nothing else**: a host may have a million routes. Dumps are filtered by the kernel
//! (`NETLINK_GET_STRICT_CHK`) by device, table and protocol. That spares us the routes, but not the kernel: where
//! nobody has made a rule, IPv4's tables `local` and `main` are one trie, and a dump walks it all. So our IPv4 routes
//! of table `local` are looked up one by one, and dumped only where one is not found.

use std::io;
use std::net::IpAddr;
use std::time::Duration;

use futures_util::StreamExt;
use ipnet::IpNet;
use netlink_packet_route::address::{
    AddressAttribute, AddressFlags, AddressHeaderFlags, AddressMessage, AddressProtocol, AddressScope, CacheInfo,
};
use netlink_packet_route::link::{LinkAttribute, LinkFlags, LinkMessage};
use netlink_packet_route::route::{
    RouteAddress, RouteAttribute, RouteFlags, RouteMessage, RouteProtocol, RouteScope, RouteType,
};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use rtnetlink::packet_core::{
    NLM_F_ACK, NLM_F_APPEND, NLM_F_CREATE, NLM_F_DUMP, NLM_F_EXCL, NLM_F_REPLACE, NLM_F_REQUEST, NetlinkMessage,
    NetlinkPayload,
};
use rtnetlink::proto::{self, ConnectionHandle};
use rtnetlink::sys::protocols::NETLINK_ROUTE;
use rtnetlink::sys::{AsyncSocket, SocketAddr};

use super::PROTOCOL;
use super::plan::{Action, Device, Kernel, Kind, Layout, Link, Route, TABLE_LOCAL};

/// The socket, and which devices are meant.
pub(super) struct Netlink {
    /// Asks.
    handle: ConnectionHandle<RouteNetlinkMessage>,
    /// The announcing device's index.
    announcing: u32,
    /// The receiving device's index.
    receiving: u32,
    /// The families that are looked at.
    families: Vec<AddressFamily>,
    /// Our IPv4 routes of table `local`, which are always to be there.
    standing: Vec<Route>,
    /// Which of them were last found.
    found: Vec<Route>,
    /// Whether looking them up finds them. Rules of the host, or another route of the same prefix on the same device,
    /// may hide them.
    is_lookup_good: bool,
    /// The tables besides `local` that hold routes of ours.
    tables: Vec<u32>,
    /// The routes outside `local` as they were last read.
    outside: Vec<Route>,
    /// How long a lease is.
    lease: Option<Duration>,
}

/// A request to the kernel.
type Request = NetlinkMessage<RouteNetlinkMessage>;

/// An address of the host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct HostAddress {
    /// The device's index.
    pub(super) device: u32,
    /// The address with its prefix length.
    pub(super) net: IpNet,
    /// Whether it carries our protocol number.
    pub(super) is_marked: bool,
    /// Seconds that it is still valid; `u32::MAX` for ever.
    pub(super) valid_seconds: u32,
}

impl Netlink {
    /// Opens the socket in the calling thread's network namespace, to ask for what is in `layout` on these devices.
    /// Must be called inside the runtime.
    ///
    /// # Errors
    /// What the kernel says.
    pub(super) fn open(
        lease: Option<Duration>,
        (announcing, receiving): (u32, u32),
        layout: &Layout,
    ) -> io::Result<Self> {
        let (mut connection, handle, _) = proto::new_connection(NETLINK_ROUTE)?;
        connection.socket_mut().socket_mut().set_netlink_get_strict_chk(true)?;
        connection.set_forward_ack(true);
        tokio::spawn(connection);
        let has = |family| layout.stands.iter().any(|net| family_of(net.addr()) == family);
        let families = [AddressFamily::Inet, AddressFamily::Inet6].into_iter().filter(|family| has(*family)).collect();
        let is_standing = |route: &&Route| route.table == TABLE_LOCAL && route.prefix.addr().is_ipv4();
        let standing = layout.standing_routes.iter().filter(is_standing).copied().collect();
        let outside = layout.standing_routes.iter().map(|route| route.table).filter(|table| *table != TABLE_LOCAL);
        let mut tables: Vec<u32> = outside.chain(layout.kernel_route.map(|route| route.table)).collect();
        tables.sort_unstable();
        tables.dedup();
        let (found, outside) = (Vec::new(), Vec::new());
        let is_lookup_good = true;
        Ok(Self { handle, announcing, receiving, families, standing, found, is_lookup_good, tables, outside, lease })
    }

    /// Reads what the kernel has. Where the kernel would have to walk a table that a router's may make long, that is
    /// done only if `is_full`; otherwise those routes are what they were the last time.
    ///
    /// # Errors
    /// What the kernel says, or [`io::ErrorKind::TimedOut`] after [`REPLY_WITHIN`].
    pub(super) async fn read(&mut self, is_full: bool) -> io::Result<Kernel> {
        let announcing = self.link(self.announcing).await?;
        let receiving = self.link(self.receiving).await?;
        let mut addresses = Vec::new();
        for family in self.families.clone() {
            let found = self.host_addresses(family, self.announcing).await?;
            addresses.extend(found.into_iter().map(|address| address.net));
        }
        self.find_standing(is_full).await?;
        let mut routes = self.found.clone();
        if self.families.contains(&AddressFamily::Inet6) {
            routes.extend(self.routes(AddressFamily::Inet6, TABLE_LOCAL).await?);
        }
        if is_full {
            let mut outside = Vec::new();
            for family in self.families.clone() {
                for table in self.tables.clone() {
                    outside.extend(self.routes(family, table).await?);
                }
            }
            self.outside = outside;
        }
        routes.extend_from_slice(&self.outside);
        Ok(Kernel { announcing, receiving, addresses, routes })
    }

    /// Finds out which of our IPv4 routes are in table `local`.
    async fn find_standing(&mut self, is_full: bool) -> io::Result<()> {
        if self.is_lookup_good {
            let requests = self.standing.iter().map(|route| self.lookup(route)).collect();
            let replies = self.replies(requests).await?;
            let is_there = |(route, reply): (&Route, &NetlinkPayload<_>)| match reply {
                NetlinkPayload::InnerMessage(RouteNetlinkMessage::NewRoute(message)) if is_marked(message) => {
                    // The table is that in which the kernel looked, which may hold both.
                    self.route_of(message).is_some_and(|found| Route { table: route.table, ..found } == *route)
                }
                _ => false,
            };
            if self.standing.iter().zip(&replies).all(is_there) {
                self.found.clone_from(&self.standing);
                return Ok(());
            }
        } else if !is_full {
            return Ok(());
        }
        self.found = match self.standing.is_empty() {
            true => Vec::new(),
            false => self.routes(AddressFamily::Inet, TABLE_LOCAL).await?,
        };
        // What a lookup did not find though it is there, no lookup will find.
        self.is_lookup_good &= !self.standing.iter().all(|route| self.found.contains(route));
        Ok(())
    }

    /// Asks which route of table `local` takes packets for a prefix of ours on its device.
    fn lookup(&self, route: &Route) -> Request {
        let mut message = RouteMessage::default();
        message.header.address_family = family_of(route.prefix.addr());
        message.header.destination_prefix_length = route.prefix.prefix_len();
        message.header.flags = RouteFlags::FibMatch;
        message.attributes.push(RouteAttribute::Destination(route.prefix.addr().into()));
        message.attributes.push(RouteAttribute::Oif(self.index_of(route.device)));
        request(RouteNetlinkMessage::GetRoute(message), 0)
    }

    /// Returns how a device is.
    ///
    /// # Errors
    /// What the kernel says.
    pub(super) async fn link(&mut self, index: u32) -> io::Result<Link> {
        let mut message = LinkMessage::default();
        message.header.index = index;
        match self.replies(vec![request(RouteNetlinkMessage::GetLink(message), 0)]).await?.pop() {
            Some(NetlinkPayload::InnerMessage(RouteNetlinkMessage::NewLink(link))) => {
                Ok(if link.header.flags.contains(LinkFlags::Up) { Link::Up } else { Link::Down })
            }
            Some(NetlinkPayload::Error(error)) => match error.to_io() {
                error if error.raw_os_error() == Some(libc::ENODEV) => Ok(Link::Gone),
                error => Err(error),
            },
            _ => Err(io::ErrorKind::InvalidData.into()),
        }
    }

    /// Lists the names of all devices with their indices.
    ///
    /// # Errors
    /// What the kernel says.
    pub(super) async fn names(&mut self) -> io::Result<Vec<(u32, String)>> {
        let named = |message: RouteNetlinkMessage| {
            let RouteNetlinkMessage::NewLink(link) = message else { return None };
            let index = link.header.index;
            link.attributes.into_iter().find_map(|attribute| match attribute {
                LinkAttribute::IfName(name) => Some((index, name)),
                _ => None,
            })
        };
        let links = self.dump(RouteNetlinkMessage::GetLink(LinkMessage::default())).await?;
        Ok(links.into_iter().filter_map(named).collect())
    }

    /// Lists the addresses of one family on one device; 0 is all devices.
    ///
    /// # Errors
    /// What the kernel says.
    pub(super) async fn host_addresses(&mut self, family: AddressFamily, device: u32) -> io::Result<Vec<HostAddress>> {
        let mut message = AddressMessage::default();
        message.header.family = family;
        message.header.index = device;
        let found = match self.dump(RouteNetlinkMessage::GetAddress(message)).await {
            // The kernel says so where the device is gone.
            Err(error) if error.raw_os_error() == Some(libc::ENODEV) => Vec::new(),
            found => found?,
        };
        let address = |message: &RouteNetlinkMessage| match message {
            RouteNetlinkMessage::NewAddress(message) => host_address(message),
            _ => None,
        };
        let is_meant = |address: &HostAddress| device == 0 || address.device == device;
        Ok(found.iter().filter_map(address).filter(is_meant).collect())
    }

    /// Lists our routes of one family and table over our devices.
    async fn routes(&mut self, family: AddressFamily, table: u32) -> io::Result<Vec<Route>> {
        let found = self.marked(family, table).await?;
        Ok(found.iter().filter_map(|message| self.route_of(message)).collect())
    }

    /// Lists the routes of one family and table that carry our protocol number; table 0 is all tables.
    async fn marked(&mut self, family: AddressFamily, table: u32) -> io::Result<Vec<RouteMessage>> {
        let mut message = RouteMessage::default();
        message.header.address_family = family;
        message.header.protocol = RouteProtocol::Other(PROTOCOL);
        set_table(&mut message, table);
        let found = match self.dump(RouteNetlinkMessage::GetRoute(message)).await {
            // A table that nobody put a route into does not exist.
            Err(error) if error.raw_os_error() == Some(libc::ENOENT) => Vec::new(),
            found => found?,
        };
        // A kernel that does not filter sends all.
        let ours = |message| match message {
            RouteNetlinkMessage::NewRoute(message) => Some(message).filter(is_marked),
            _ => None,
        };
        Ok(found.into_iter().filter_map(ours).collect())
    }

    /// Removes every route that carries our protocol number and goes over one of `devices`. Returns how many.
    ///
    /// # Errors
    /// What the kernel says to the dumps or to a removal.
    pub(super) async fn purge_routes(&mut self, devices: &[u32]) -> io::Result<usize> {
        let mut count = 0;
        for family in [AddressFamily::Inet, AddressFamily::Inet6] {
            for message in self.marked(family, 0).await? {
                if output_of(&message).is_some_and(|device| devices.contains(&device)) {
                    self.ask(vec![request(RouteNetlinkMessage::DelRoute(message), NLM_F_ACK)]).await.remove(0)?;
                    count += 1;
                }
            }
        }
        Ok(count)
    }

    /// Takes all steps with one request, in their order, and returns how each ended. What is to be removed and is gone
    /// already is no failure.
    pub(super) async fn act(&mut self, actions: &[Action]) -> Vec<io::Result<()>> {
        let requests = actions.iter().map(|action| self.request_of(action)).collect();
        let results = self.ask(requests).await;
        let judged = actions.iter().zip(results).map(|(action, result)| match action {
            Action::RemoveRoute(_) | Action::RemoveAddress { .. } => absent_is_well(result),
            Action::Up(_) | Action::PutRoute(_) | Action::PutAddress { .. } => result,
        });
        judged.collect()
    }

    /// Lays out the request for a step.
    ///
    /// An IPv4 route is appended: table `local` may already have the kernel's own route for an announced address, which
    /// must not be replaced. IPv6 routes of different origin differ in their metric.
    fn request_of(&self, action: &Action) -> Request {
        let (message, flags) = match action {
            Action::Up(device) => {
                let mut message = LinkMessage::default();
                message.header.index = self.index_of(*device);
                (message.header.flags, message.header.change_mask) = (LinkFlags::Up, LinkFlags::Up);
                (RouteNetlinkMessage::NewLink(message), 0)
            }
            Action::PutRoute(route) => {
                let how = if route.prefix.addr().is_ipv4() { NLM_F_APPEND } else { NLM_F_EXCL };
                (RouteNetlinkMessage::NewRoute(self.route_message(route)), NLM_F_CREATE | how)
            }
            Action::RemoveRoute(route) => (RouteNetlinkMessage::DelRoute(self.route_message(route)), 0),
            Action::PutAddress { net, .. } => {
                (RouteNetlinkMessage::NewAddress(self.leased_address(*net)), NLM_F_CREATE | NLM_F_REPLACE)
            }
            Action::RemoveAddress { net, .. } => {
                (RouteNetlinkMessage::DelAddress(address_message(*net, self.announcing)), 0)
            }
        };
        request(message, NLM_F_ACK | flags)
    }

    /// Lays out a service address with its lease, so that the host does not use it as a source of its own: for what it
    /// sends by itself it takes an IPv6 address that is not deprecated (RFC 6724 §5, rule 3), and an IPv4 address whose
    /// scope is wider.
    fn leased_address(&self, net: IpNet) -> AddressMessage {
        let mut message = address_message(net, self.announcing);
        message.attributes.push(AddressAttribute::Protocol(AddressProtocol::Other(PROTOCOL)));
        let is_ipv6 = net.addr().is_ipv6();
        let valid = self.lease.map_or(u32::MAX, seconds);
        let mut lifetime = CacheInfo::default();
        (lifetime.ifa_preferred, lifetime.ifa_valid) = (if is_ipv6 { 0 } else { valid }, valid);
        message.attributes.push(AddressAttribute::CacheInfo(lifetime));
        if is_ipv6 {
            // Nobody else on a tun or on `lo` could have it, and an anycast address is meant to be had by others.
            message.header.flags = AddressHeaderFlags::Nodad;
            message.attributes.push(AddressAttribute::Flags(AddressFlags::Nodad));
        } else {
            message.header.scope = AddressScope::Link;
        }
        message
    }

    /// Removes an address from any device. One that is gone already is no failure.
    ///
    /// # Errors
    /// What the kernel says.
    pub(super) async fn remove_address_from(&mut self, net: IpNet, device: u32) -> io::Result<()> {
        let message = RouteNetlinkMessage::DelAddress(address_message(net, device));
        absent_is_well(self.ask(vec![request(message, NLM_F_ACK)]).await.remove(0))
    }

    /// Sends requests in one piece, which the kernel carries out in their order, and returns how each ended.
    async fn ask(&mut self, requests: Vec<Request>) -> Vec<io::Result<()>> {
        let count = requests.len();
        let mut results: Vec<io::Result<()>> = match self.replies(requests).await {
            Ok(replies) => replies.into_iter().map(outcome).collect(),
            Err(error) => (0..count).map(|_| Err(again(&error))).collect(),
        };
        results.resize_with(count, || Err(io::ErrorKind::UnexpectedEof.into()));
        results
    }

    /// Sends requests in one piece and waits for one reply to each.
    ///
    /// # Errors
    /// The kernel does not reply in time, or the socket is gone.
    async fn replies(&mut self, requests: Vec<Request>) -> io::Result<Vec<NetlinkPayload<RouteNetlinkMessage>>> {
        if requests.is_empty() {
            return Ok(Vec::new());
        }
        let mut replies = Vec::with_capacity(requests.len());
        let mut stream = self.handle.request_batch(requests, SocketAddr::new(0, 0)).map_err(io::Error::other)?;
        while let Some(reply) = within(stream.next()).await? {
            replies.push(reply.payload);
        }
        Ok(replies)
    }

    /// Asks for all of a kind that the kernel has, of which at most [`DUMP_ENTRIES_MAX`] are kept.
    async fn dump(&mut self, message: RouteNetlinkMessage) -> io::Result<Vec<RouteNetlinkMessage>> {
        let request = request(message, NLM_F_DUMP);
        let mut stream = self.handle.request(request, SocketAddr::new(0, 0)).map_err(io::Error::other)?;
        let mut found = Vec::new();
        while let Some(reply) = within(stream.next()).await? {
            match reply.payload {
                NetlinkPayload::InnerMessage(message) => found.push(message),
                payload => outcome(payload)?,
            }
            if found.len() > DUMP_ENTRIES_MAX {
                return Err(io::Error::other("the kernel has more addresses or routes than can be looked through"));
            }
        }
        Ok(found)
    }

    /// The index of a device.
    fn index_of(&self, device: Device) -> u32 {
        match device {
            Device::Announcing => self.announcing,
            Device::Receiving => self.receiving,
        }
    }

    /// Lays out a route.
    fn route_message(&self, route: &Route) -> RouteMessage {
        let mut message = RouteMessage::default();
        let is_ipv4 = route.prefix.addr().is_ipv4();
        message.header.address_family = family_of(route.prefix.addr());
        message.header.destination_prefix_length = route.prefix.prefix_len();
        message.header.protocol = RouteProtocol::Other(PROTOCOL);
        message.header.kind = match route.kind {
            Kind::Local => RouteType::Local,
            Kind::Unicast => RouteType::Unicast,
        };
        message.header.scope = match route.kind {
            Kind::Local if is_ipv4 => RouteScope::Host,
            Kind::Unicast if is_ipv4 => RouteScope::Link,
            Kind::Local | Kind::Unicast => RouteScope::Universe,
        };
        set_table(&mut message, route.table);
        message.attributes.push(RouteAttribute::Destination(route.prefix.addr().into()));
        message.attributes.push(RouteAttribute::Oif(self.index_of(route.device)));
        if route.metric != 0 {
            message.attributes.push(RouteAttribute::Priority(route.metric));
        }
        message
    }

    /// Reads a route of ours; `None` if it goes over another device or is of a kind that we never make.
    fn route_of(&self, message: &RouteMessage) -> Option<Route> {
        let output = output_of(message)?;
        let kind = match message.header.kind {
            RouteType::Local => Kind::Local,
            RouteType::Unicast => Kind::Unicast,
            _ => return None,
        };
        let device = match kind {
            // Both may be `lo`; then its local routes are the receiving ones.
            Kind::Local if output == self.receiving => Device::Receiving,
            Kind::Local | Kind::Unicast if output == self.announcing => Device::Announcing,
            Kind::Local | Kind::Unicast if output == self.receiving => Device::Receiving,
            Kind::Local | Kind::Unicast => return None,
        };
        let (mut address, mut table, mut metric) = (None, u32::from(message.header.table), 0);
        for attribute in &message.attributes {
            match attribute {
                RouteAttribute::Destination(found) => address = ip_of(found),
                RouteAttribute::Table(found) => table = *found,
                RouteAttribute::Priority(found) => metric = *found,
                _ => {}
            }
        }
        let prefix = IpNet::new(address?, message.header.destination_prefix_length).ok()?;
        Some(Route { prefix, table, metric, kind, device })
    }
}

/// A request with these flags.
fn request(message: RouteNetlinkMessage, flags: u16) -> Request {
    let mut request = NetlinkMessage::from(message);
    request.header.flags = NLM_F_REQUEST | flags;
    request
}

/// How a request ended that asks for nothing.
fn outcome(payload: NetlinkPayload<RouteNetlinkMessage>) -> io::Result<()> {
    match payload {
        NetlinkPayload::Error(error) if error.code.is_some() => Err(error.to_io()),
        NetlinkPayload::Overrun(_) => Err(io::ErrorKind::Interrupted.into()),
        _ => Ok(()),
    }
}

/// The same error once more.
fn again(error: &io::Error) -> io::Error {
    error.raw_os_error().map_or_else(|| error.kind().into(), io::Error::from_raw_os_error)
}

/// Lays out an address.
fn address_message(net: IpNet, device: u32) -> AddressMessage {
    let mut message = AddressMessage::default();
    message.header.family = family_of(net.addr());
    message.header.index = device;
    message.header.prefix_len = net.prefix_len();
    message.attributes.push(AddressAttribute::Local(net.addr()));
    message.attributes.push(AddressAttribute::Address(net.addr()));
    message
}

/// Reads an address of the host; `None` if it is not one that could overlap.
pub(super) fn host_address(message: &AddressMessage) -> Option<HostAddress> {
    let (mut address, mut local, mut is_marked, mut valid_seconds) = (None, None, false, u32::MAX);
    for attribute in &message.attributes {
        match attribute {
            AddressAttribute::Address(found) => address = Some(*found),
            AddressAttribute::Local(found) => local = Some(*found),
            AddressAttribute::Protocol(protocol) => is_marked = u8::from(*protocol) == PROTOCOL,
            AddressAttribute::CacheInfo(lifetime) => valid_seconds = lifetime.ifa_valid,
            _ => {}
        }
    }
    // On a point-to-point device `Address` is the peer's.
    let net = IpNet::new(local.or(address)?, message.header.prefix_len).ok()?;
    Some(HostAddress { device: message.header.index, net, is_marked, valid_seconds })
}

/// Whether a route carries our protocol number.
pub(super) fn is_marked(message: &RouteMessage) -> bool {
    u8::from(message.header.protocol) == PROTOCOL
}

/// The device that a route names.
pub(super) fn output_of(message: &RouteMessage) -> Option<u32> {
    message.attributes.iter().find_map(|attribute| match attribute {
        RouteAttribute::Oif(device) => Some(*device),
        _ => None,
    })
}

/// Names a table; those above 255 do not fit in the header.
fn set_table(message: &mut RouteMessage, table: u32) {
    match u8::try_from(table) {
        Ok(table) => message.header.table = table,
        Err(_) => message.attributes.push(RouteAttribute::Table(table)),
    }
}

/// The address in a route's attribute.
fn ip_of(address: &RouteAddress) -> Option<IpAddr> {
    match address {
        RouteAddress::Inet(address) => Some(IpAddr::V4(*address)),
        RouteAddress::Inet6(address) => Some(IpAddr::V6(*address)),
        _ => None,
    }
}

/// The family of an address.
fn family_of(address: IpAddr) -> AddressFamily {
    match address {
        IpAddr::V4(_) => AddressFamily::Inet,
        IpAddr::V6(_) => AddressFamily::Inet6,
    }
}

/// A lease in whole seconds.
fn seconds(lease: Duration) -> u32 {
    u32::try_from(lease.as_secs()).unwrap_or(u32::MAX)
}

/// Takes it as done where what is to be removed is not there.
fn absent_is_well(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if matches!(error.raw_os_error(), Some(libc::EADDRNOTAVAIL | libc::ESRCH | libc::ENODEV)) => Ok(()),
        result => result,
    }
}

/// Waits for a reply, but not for ever: the kernel may have lost it for want of memory.
///
/// The kernel carries a request out within the call that sends it, and waits there for whoever else changes devices or
/// routes. That may use up the time and more, and then the reply is there: so it is looked for once more.
async fn within<T>(reply: impl Future<Output = T>) -> io::Result<T> {
    let mut reply = std::pin::pin!(reply);
    if let Ok(reply) = tokio::time::timeout(REPLY_WITHIN, &mut reply).await {
        return Ok(reply);
    }
    tokio::time::timeout(LAST_LOOK, reply).await.map_err(|_| io::ErrorKind::TimedOut.into())
}

/// How long a reply may take.
const REPLY_WITHIN: Duration = Duration::from_millis(250);
/// How long is left then for a reply that is there to be taken.
const LAST_LOOK: Duration = Duration::from_millis(10);
/// The most entries of one dump.
const DUMP_ENTRIES_MAX: usize = 1 << 20;
