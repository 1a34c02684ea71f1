//! The one place that speaks rtnetlink: requests, what the kernel has, and what it tells unasked.
//!
//! Owns two netlink sockets: one asks, so that replies never queue behind notifications, the other listens. Refuses to
//! know what is wanted. Dumps are filtered by the kernel (`NETLINK_GET_STRICT_CHK`): by device, table and protocol.

use std::io;
use std::net::IpAddr;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use ipnet::IpNet;
use netlink_packet_route::address::{
    AddressAttribute, AddressFlags, AddressHeaderFlags, AddressMessage, AddressProtocol, CacheInfo,
};
use netlink_packet_route::link::{LinkAttribute, LinkFlags};
use netlink_packet_route::route::{RouteAddress, RouteAttribute, RouteMessage, RouteProtocol, RouteScope, RouteType};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use rtnetlink::packet_core::{
    NLM_F_ACK, NLM_F_APPEND, NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE, NLM_F_REQUEST, NetlinkMessage, NetlinkPayload,
};
use rtnetlink::{Handle, LinkUnspec, MulticastGroup};

use super::PROTOCOL;
use super::plan::{Device, Kernel, Kind, Link, Route, TABLE_LOCAL, TABLE_MAIN};

/// The two sockets, and which devices are meant.
pub(super) struct Netlink {
    /// Asks.
    handle: Handle,
    /// Hears what the kernel tells unasked; bounded by the socket's buffer, which the kernel says when it overflows.
    events: BoxStream<'static, NetlinkMessage<RouteNetlinkMessage>>,
    /// The announcing device's index.
    announcing: u32,
    /// The receiving device's index.
    receiving: u32,
    /// The families that are looked at.
    families: Vec<AddressFamily>,
    /// The tables besides `local` that hold routes of ours.
    tables: Vec<u32>,
    /// The routes outside `local` as they were last read.
    outside: Vec<Route>,
    /// How long a lease is.
    lease: Option<Duration>,
}

/// What the kernel tells unasked, as far as it is our business.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// An address now stands on the announcing device, or its lease was renewed.
    AddressStands(IpNet),
    /// An address, route or link of ours changed.
    Changed,
    /// Notifications were lost.
    Lost,
    /// There will be no more.
    Ended,
}

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
    /// Opens both sockets in the calling thread's network namespace. Must be called inside the runtime.
    ///
    /// # Errors
    /// What the kernel says.
    pub(super) fn open(lease: Option<Duration>) -> io::Result<Self> {
        let (connection, handle, _) = rtnetlink::new_connection_with_strict_check()?;
        tokio::spawn(connection);
        let (connection, _, events) = rtnetlink::new_multicast_connection(&[
            MulticastGroup::Link,
            MulticastGroup::Ipv4Ifaddr,
            MulticastGroup::Ipv6Ifaddr,
            MulticastGroup::Ipv4Route,
            MulticastGroup::Ipv6Route,
        ])?;
        tokio::spawn(connection);
        let events = events.map(|(message, _)| message).boxed();
        let (families, tables, outside) = (Vec::new(), Vec::new(), Vec::new());
        Ok(Self { handle, events, announcing: 0, receiving: 0, families, tables, outside, lease })
    }

    /// Says which devices, families and tables are meant; `routes` has one of each that will be put.
    pub(super) fn look_at(&mut self, announcing: u32, receiving: u32, nets: &[IpNet], table: Option<u32>) {
        (self.announcing, self.receiving) = (announcing, receiving);
        self.families.clear();
        for family in [AddressFamily::Inet, AddressFamily::Inet6] {
            if nets.iter().any(|net| family_of(net.addr()) == family) {
                self.families.push(family);
            }
        }
        self.tables = vec![TABLE_MAIN];
        self.tables.extend(table.filter(|table| *table != TABLE_MAIN && *table != TABLE_LOCAL));
    }

    /// Reads what the kernel has. Routes outside table `local` are read only if `is_full`, since the kernel walks the
    /// whole table for that, which a router's may make long; otherwise they are those of the last time.
    ///
    /// # Errors
    /// What the kernel says, or [`io::ErrorKind::TimedOut`] after [`REPLY_WITHIN`].
    pub(super) async fn read(&mut self, is_full: bool) -> io::Result<Kernel> {
        let announcing = self.link(self.announcing).await?;
        let receiving = self.link(self.receiving).await?;
        let (mut addresses, mut routes) = (Vec::new(), Vec::new());
        for family in self.families.clone() {
            let found = self.host_addresses(family, self.announcing).await?;
            addresses.extend(found.into_iter().map(|address| address.net));
            routes.extend(self.routes(family, TABLE_LOCAL).await?);
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

    /// Tells how a device is.
    ///
    /// # Errors
    /// What the kernel says.
    pub(super) async fn link(&mut self, index: u32) -> io::Result<Link> {
        let mut request = self.handle.link().get().match_index(index).execute().boxed();
        match within(request.next()).await? {
            Some(Ok(link)) if link.header.flags.contains(LinkFlags::Up) => Ok(Link::Up),
            Some(Ok(_)) => Ok(Link::Down),
            Some(Err(error)) => match io_error(error) {
                error if error.raw_os_error() == Some(libc::ENODEV) => Ok(Link::Gone),
                error => Err(error),
            },
            None => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }

    /// Lists the names of all devices with their indices.
    ///
    /// # Errors
    /// What the kernel says.
    pub(super) async fn names(&mut self) -> io::Result<Vec<(u32, String)>> {
        let links = collect(self.handle.link().get().execute()).await?;
        let name = |attribute: LinkAttribute| match attribute {
            LinkAttribute::IfName(name) => Some(name),
            _ => None,
        };
        let named =
            links.into_iter().filter_map(|link| Some((link.header.index, link.attributes.into_iter().find_map(name)?)));
        Ok(named.collect())
    }

    /// Lists the addresses of one family on one device; 0 is all devices.
    ///
    /// # Errors
    /// What the kernel says.
    pub(super) async fn host_addresses(&mut self, family: AddressFamily, device: u32) -> io::Result<Vec<HostAddress>> {
        let mut request = self.handle.address().get();
        request.message_mut().header.family = family;
        request.message_mut().header.index = device;
        let found = match collect(request.execute()).await {
            // The kernel says so where the device is gone.
            Err(error) if error.raw_os_error() == Some(libc::ENODEV) => Vec::new(),
            found => found?,
        };
        Ok(found.iter().filter_map(host_address).filter(|address| device == 0 || address.device == device).collect())
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
        match collect(self.handle.route().get(message).execute()).await {
            // A table that nobody put a route into does not exist.
            Err(error) if error.raw_os_error() == Some(libc::ENOENT) => Ok(Vec::new()),
            Err(error) => Err(error),
            // A kernel that does not filter sends all.
            Ok(found) => Ok(found.into_iter().filter(is_marked).collect()),
        }
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
                    self.ask(RouteNetlinkMessage::DelRoute(message), 0).await?;
                    count += 1;
                }
            }
        }
        Ok(count)
    }

    /// Sets a device up.
    ///
    /// # Errors
    /// What the kernel says.
    pub(super) async fn up(&mut self, device: Device) -> io::Result<()> {
        let message = LinkUnspec::new_with_index(self.index_of(device)).up().build();
        self.ask(RouteNetlinkMessage::NewLink(message), 0).await
    }

    /// Adds a route, or renews its expiry.
    ///
    /// An IPv4 route is appended: table `local` may already have the kernel's own route for an announced address, which
    /// must not be replaced. IPv6 routes of different origin differ in their metric.
    ///
    /// # Errors
    /// What the kernel says.
    pub(super) async fn put_route(&mut self, route: &Route, is_renewal: bool) -> io::Result<()> {
        let mut message = self.route_message(route);
        let is_ipv6 = route.prefix.addr().is_ipv6();
        if let (true, Device::Announcing, Some(lease)) = (is_ipv6, route.device, self.lease) {
            message.attributes.push(RouteAttribute::Expires(seconds(lease)));
        }
        let how = match (is_ipv6, is_renewal) {
            (true, true) => NLM_F_REPLACE,
            (true, false) => NLM_F_EXCL,
            (false, _) => NLM_F_APPEND,
        };
        self.ask(RouteNetlinkMessage::NewRoute(message), NLM_F_CREATE | how).await
    }

    /// Removes a route. One that is gone already is no failure.
    ///
    /// # Errors
    /// What the kernel says.
    pub(super) async fn remove_route(&mut self, route: &Route) -> io::Result<()> {
        let message = self.route_message(route);
        absent_is_well(self.ask(RouteNetlinkMessage::DelRoute(message), 0).await)
    }

    /// Adds an address to the announcing device, or renews its lease.
    ///
    /// # Errors
    /// What the kernel says.
    pub(super) async fn put_address(&mut self, net: IpNet) -> io::Result<()> {
        let mut message = self.address_message(net, self.announcing);
        message.attributes.push(AddressAttribute::Protocol(AddressProtocol::Other(PROTOCOL)));
        if net.addr().is_ipv6() {
            // Nobody else on a tun or on `lo` could have it, and an anycast address is meant to be had by others.
            message.header.flags = AddressHeaderFlags::Nodad;
            message.attributes.push(AddressAttribute::Flags(AddressFlags::Nodad));
        }
        if let Some(lease) = self.lease {
            let mut lifetime = CacheInfo::default();
            (lifetime.ifa_preferred, lifetime.ifa_valid) = (seconds(lease), seconds(lease));
            message.attributes.push(AddressAttribute::CacheInfo(lifetime));
        }
        self.ask(RouteNetlinkMessage::NewAddress(message), NLM_F_CREATE | NLM_F_REPLACE).await
    }

    /// Removes an address from the announcing device. One that is gone already is no failure.
    ///
    /// # Errors
    /// What the kernel says.
    pub(super) async fn remove_address(&mut self, net: IpNet) -> io::Result<()> {
        self.remove_address_from(net, self.announcing).await
    }

    /// Removes an address from any device. One that is gone already is no failure.
    ///
    /// # Errors
    /// What the kernel says.
    pub(super) async fn remove_address_from(&mut self, net: IpNet, device: u32) -> io::Result<()> {
        let message = self.address_message(net, device);
        absent_is_well(self.ask(RouteNetlinkMessage::DelAddress(message), 0).await)
    }

    /// Waits for the kernel to tell something that is our business. May be dropped at any time and loses nothing.
    pub(super) async fn event(&mut self) -> Event {
        loop {
            let Some(message) = self.events.next().await else { return Event::Ended };
            if let Some(event) = self.sort(message.payload) {
                return event;
            }
        }
    }

    /// Sorts a notification; `None` if it is not our business.
    fn sort(&self, payload: NetlinkPayload<RouteNetlinkMessage>) -> Option<Event> {
        let message = match payload {
            NetlinkPayload::InnerMessage(message) => message,
            NetlinkPayload::Overrun(_) => return Some(Event::Lost),
            _ => return None,
        };
        let is_ours = |device: u32| device == self.announcing || device == self.receiving;
        match message {
            RouteNetlinkMessage::NewLink(link) | RouteNetlinkMessage::DelLink(link) => {
                is_ours(link.header.index).then_some(Event::Changed)
            }
            RouteNetlinkMessage::NewAddress(message) => {
                let address = host_address(&message).filter(|address| address.device == self.announcing)?;
                Some(Event::AddressStands(address.net))
            }
            RouteNetlinkMessage::DelAddress(message) => {
                (message.header.index == self.announcing).then_some(Event::Changed)
            }
            RouteNetlinkMessage::DelRoute(message) => is_marked(&message).then_some(Event::Changed),
            _ => None,
        }
    }

    /// Sends one request and waits for what the kernel says.
    async fn ask(&mut self, message: RouteNetlinkMessage, flags: u16) -> io::Result<()> {
        let mut request = NetlinkMessage::from(message);
        request.header.flags = NLM_F_REQUEST | NLM_F_ACK | flags;
        let mut replies = self.handle.request(request).map_err(io_error)?;
        while let Some(reply) = within(replies.next()).await? {
            match reply.payload {
                NetlinkPayload::Error(error) if error.code.is_some() => return Err(error.to_io()),
                NetlinkPayload::Overrun(_) => return Err(io::ErrorKind::Interrupted.into()),
                _ => {}
            }
        }
        Ok(())
    }

    /// The index of a device.
    fn index_of(&self, device: Device) -> u32 {
        match device {
            Device::Announcing => self.announcing,
            Device::Receiving => self.receiving,
        }
    }

    /// Lays out an address.
    fn address_message(&self, net: IpNet, device: u32) -> AddressMessage {
        let mut message = AddressMessage::default();
        message.header.family = family_of(net.addr());
        message.header.index = device;
        message.header.prefix_len = net.prefix_len();
        message.attributes.push(AddressAttribute::Local(net.addr()));
        message.attributes.push(AddressAttribute::Address(net.addr()));
        message
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
        if let Some(source) = route.source {
            message.attributes.push(RouteAttribute::PrefSource(source.into()));
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
        let (mut address, mut table, mut metric, mut source) = (None, u32::from(message.header.table), 0, None);
        for attribute in &message.attributes {
            match attribute {
                RouteAttribute::Destination(found) => address = ip_of(found),
                RouteAttribute::Table(found) => table = *found,
                RouteAttribute::Priority(found) => metric = *found,
                RouteAttribute::PrefSource(found) => source = ip_of(found),
                _ => {}
            }
        }
        let prefix = IpNet::new(address?, message.header.destination_prefix_length).ok()?;
        Some(Route { prefix, table, metric, kind, device, source })
    }
}

/// Reads an address of the host; `None` if it is not one that could overlap.
fn host_address(message: &AddressMessage) -> Option<HostAddress> {
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
fn is_marked(message: &RouteMessage) -> bool {
    u8::from(message.header.protocol) == PROTOCOL
}

/// The device that a route names.
fn output_of(message: &RouteMessage) -> Option<u32> {
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

/// Turns an error of the wrapped crate into the system's.
fn io_error(error: rtnetlink::Error) -> io::Error {
    match error {
        rtnetlink::Error::NetlinkError(error) => error.to_io(),
        error => io::Error::other(error.to_string()),
    }
}

/// Collects a dump, of which at most [`DUMP_ENTRIES_MAX`] are kept.
async fn collect<T>(stream: impl futures_util::Stream<Item = Result<T, rtnetlink::Error>>) -> io::Result<Vec<T>> {
    let mut stream = std::pin::pin!(stream);
    let mut found = Vec::new();
    while let Some(item) = within(stream.next()).await? {
        found.push(item.map_err(io_error)?);
        if found.len() > DUMP_ENTRIES_MAX {
            return Err(io::Error::other("the kernel has more addresses or routes than can be looked through"));
        }
    }
    Ok(found)
}

/// Waits for a reply, but not for ever: the kernel may have lost it for want of memory.
async fn within<T>(reply: impl Future<Output = T>) -> io::Result<T> {
    tokio::time::timeout(REPLY_WITHIN, reply).await.map_err(|_| io::ErrorKind::TimedOut.into())
}

/// How long a reply may take.
const REPLY_WITHIN: Duration = Duration::from_millis(250);
/// The most entries of one dump.
const DUMP_ENTRIES_MAX: usize = 1 << 20;
