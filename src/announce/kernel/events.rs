//! The kernel's notifications, as far as they are about what is ours.
//!
//! Owns the socket that listens. A filter in the kernel lets through what concerns our devices or carries our protocol
//! number, so that the churn of a router's own routes costs us nothing and fills no buffer.

use std::io;

use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use ipnet::IpNet;
use netlink_packet_route::RouteNetlinkMessage;
use rtnetlink::MulticastGroup;
use rtnetlink::packet_core::{NetlinkMessage, NetlinkPayload};
use rtnetlink::sys::AsyncSocket;
use socket2::{SockFilter, SockRef};

use super::PROTOCOL;
use super::netlink::{host_address, is_marked, output_of};

/// The socket, and which devices are meant.
pub(super) struct Events {
    /// Bounded by the socket's buffer, which the kernel says when it overflows.
    messages: BoxStream<'static, NetlinkMessage<RouteNetlinkMessage>>,
    /// The announcing device's index.
    announcing: u32,
    /// The receiving device's index.
    receiving: u32,
}

/// Something that happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// An address now stands on the announcing device, or its lease was renewed.
    AddressStands(IpNet),
    /// An address or link of ours changed, or a route of ours was removed.
    Changed,
    /// Notifications were lost.
    Lost,
    /// There will be no more.
    Ended,
}

impl Events {
    /// Opens the socket in the calling thread's network namespace. Must be called inside the runtime.
    ///
    /// # Errors
    /// What the kernel says.
    pub(super) fn open((announcing, receiving): (u32, u32)) -> io::Result<Self> {
        let (mut connection, _, messages) = rtnetlink::new_multicast_connection(&[
            MulticastGroup::Link,
            MulticastGroup::Ipv4Ifaddr,
            MulticastGroup::Ipv6Ifaddr,
            MulticastGroup::Ipv4Route,
            MulticastGroup::Ipv6Route,
        ])?;
        SockRef::from(connection.socket_mut().socket_ref()).attach_filter(&filter(announcing, receiving))?;
        tokio::spawn(connection);
        let messages = messages.map(|(message, _)| message).boxed();
        Ok(Self { messages, announcing, receiving })
    }

    /// Waits for something that is our business. May be dropped at any time and loses nothing.
    pub(super) async fn next(&mut self) -> Event {
        loop {
            let Some(message) = self.messages.next().await else { return Event::Ended };
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
            RouteNetlinkMessage::DelRoute(message) => {
                let is_ours = is_marked(&message) && output_of(&message).is_some_and(is_ours);
                is_ours.then_some(Event::Changed)
            }
            _ => None,
        }
    }
}

/// Writes the filter: routes that were removed by their protocol, links and addresses by their device. All else passes,
/// as errors do, and what a later kernel may send; but no route that was added.
///
/// ```text
///   struct nlmsghdr  length (32) | type (16) | flags (16) | sequence (32) | port (32)
///   behind it        rtmsg: protocol is octet 5 · ifinfomsg, ifaddrmsg: the device's index is octets 4 to 7
/// ```
///
/// Numbers stand in the host's order there, and a filter loads them with the most significant octet first.
fn filter(announcing: u32, receiving: u32) -> [SockFilter; INSTRUCTIONS] {
    let step = |code: u32, operand: u32| SockFilter::new(code as u16, 0, 0, operand);
    let load = |size: u32, offset: u32| step(libc::BPF_LD | size | libc::BPF_ABS, offset);
    // Jumps are counted from the next instruction.
    let jump_if = |operand: u32, is_so: u8| {
        SockFilter::new((libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16, is_so, 0, operand)
    };
    let jump_unless = |operand: u32, is_not: u8| {
        SockFilter::new((libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16, 0, is_not, operand)
    };
    let is_type = |number: u16, jump: u8| jump_if(u32::from(number.to_be()), jump);
    let finish = |octets: u32| step(libc::BPF_RET | libc::BPF_K, octets);
    [
        load(libc::BPF_H, 4),
        is_type(libc::RTM_NEWROUTE, 12),
        is_type(libc::RTM_DELROUTE, 5),
        is_type(libc::RTM_NEWADDR, 7),
        is_type(libc::RTM_DELADDR, 6),
        is_type(libc::RTM_NEWLINK, 5),
        is_type(libc::RTM_DELLINK, 4),
        finish(PASS),
        load(libc::BPF_B, HEADER_BYTES + 5),
        jump_unless(u32::from(PROTOCOL), 4),
        finish(PASS),
        load(libc::BPF_W, HEADER_BYTES + 4),
        jump_if(announcing.to_be(), 2),
        jump_if(receiving.to_be(), 1),
        finish(DROP),
        finish(PASS),
    ]
}

/// How long the filter is.
const INSTRUCTIONS: usize = 16;
/// Octets of `struct nlmsghdr`.
const HEADER_BYTES: u32 = 16;
/// The message passes whole.
const PASS: u32 = u32::MAX;
/// None of it passes.
const DROP: u32 = 0;
