//! Many datagrams in and many out with one system call each, through arrays that are laid out once.
//!
//! Owns the headers, addresses, control messages and buffers of one worker. Refuses to know what the octets mean.
//! Replies leave from the address that was asked where the socket reports it (RFC 3542 §6).
//!
//! ```text
//!   receive[i] ─► queries[i], names[i], controls[i]           i: index in the batch
//!   send[k]    ─► replies[i], names[i], controls[i]           k ≤ i: only what is answered
//! ```

use std::alloc::{self, Layout};
use std::io;
use std::marker::PhantomData;
use std::mem;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr::{self, NonNull};

/// The arrays of one worker.
///
/// One mapping, zeroed by the kernel, so that every octet that a slice can show is initialised. The headers point into
/// the same mapping, which never moves; only the lengths that the kernel changed are set again before the next call.
#[derive(Debug)]
pub struct Batch {
    /// All arrays. Owned: mapped in `new`, unmapped in `drop`, never shared.
    storage: NonNull<Storage>,
    /// How many datagrams the last receive brought.
    received_count: usize,
    /// How many replies are ready to be sent.
    staged_count: usize,
}

// SAFETY: the storage is owned by this value alone, holds plain memory without ties to a thread, and all access goes
// through `&self` or `&mut self`.
unsafe impl Send for Batch {}

/// One datagram as it came.
#[derive(Clone, Copy, Debug)]
pub struct Datagram<'a> {
    /// The octets; at most [`QUERY_BYTES_MAX`].
    pub octets: &'a [u8],
    /// Whether the datagram was longer than [`QUERY_BYTES_MAX`] and lost its end.
    pub is_cut_short: bool,
    /// The UDP port that it came from; 0 where there is no usable source address.
    pub source_port: u16,
    /// The address that it came from; unspecified where there is no usable one.
    pub source: IpAddr,
}

/// Whether a receive call waits for the first datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// Waits for one datagram, then takes what else is queued.
    ForOne,
    /// Takes what is queued; an empty queue is [`io::ErrorKind::WouldBlock`].
    Never,
}

impl Batch {
    /// Maps the arrays and points the headers at them.
    ///
    /// They are a mapping of their own and no part of the heap: they are made by the thread that replaces a worker and
    /// freed by the one that was replaced, and an allocator keeps such blocks for threads that never ask for them
    /// again.
    #[must_use]
    pub fn new() -> Self {
        const { assert!(align_of::<Storage>() <= PAGE_BYTES_MIN, "a mapping begins with a page") };
        let (access, kind) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
        // Present at once, so that no datagram waits for a page.
        let kind = kind | libc::MAP_POPULATE;
        // SAFETY: the kernel picks an address where nothing is mapped; no file is involved.
        let raw = unsafe { libc::mmap(ptr::null_mut(), size_of::<Storage>(), access, kind, -1, 0) };
        let mapped = (raw != libc::MAP_FAILED).then_some(raw.cast::<Storage>());
        let Some(storage) = mapped.and_then(NonNull::new) else { alloc::handle_alloc_error(Layout::new::<Storage>()) };
        let mut batch = Self { storage, received_count: 0, staged_count: 0 };
        for index in 0..BATCH_MAX {
            batch.link(index);
        }
        batch.received_count = BATCH_MAX;
        batch.rearm();
        batch.received_count = 0;
        batch
    }

    /// Takes up to [`BATCH_MAX`] datagrams from `socket` and returns how many came.
    ///
    /// What the last batch held is given up. One system call, no allocation.
    ///
    /// # Errors
    /// What `recvmmsg` says; [`io::ErrorKind::WouldBlock`] with [`Wait::Never`] and nothing queued.
    pub fn receive(&mut self, socket: BorrowedFd<'_>, wait: Wait) -> io::Result<usize> {
        self.rearm();
        self.received_count = 0;
        self.staged_count = 0;
        let flags = match wait {
            Wait::ForOne => libc::MSG_WAITFORONE,
            Wait::Never => libc::MSG_DONTWAIT,
        };
        // SAFETY: in bounds of the live storage; only the address is taken.
        let headers = unsafe { &raw mut (*self.storage.as_ptr()).receive }.cast::<libc::mmsghdr>();
        // SAFETY: the descriptor is open for its borrow. `headers` points at BATCH_MAX initialised headers whose
        // pointers and lengths (`link`, `rearm`) describe memory of the storage that nothing else borrows while
        // `self` is exclusively borrowed. A null timeout is allowed. Safe wrappers rebuild the headers per call.
        let count =
            unsafe { libc::recvmmsg(socket.as_raw_fd(), headers, BATCH_MAX as u32, flags as _, ptr::null_mut()) };
        let Ok(count) = usize::try_from(count) else { return Err(io::Error::last_os_error()) };
        self.received_count = count.min(BATCH_MAX);
        Ok(self.received_count)
    }

    /// Shows what the last receive brought, and apart from it where the replies go.
    #[must_use]
    pub fn split(&mut self) -> (Queries<'_>, Replies<'_>) {
        let queries = Queries { storage: self.storage, count: self.received_count, borrow: PhantomData };
        (queries, Replies { batch: self })
    }

    /// Returns how many replies are staged.
    #[must_use]
    pub fn staged_count(&self) -> usize {
        self.staged_count
    }

    /// Returns the length of staged reply `index`.
    #[must_use]
    pub fn staged_bytes(&self, index: usize) -> usize {
        if index >= self.staged_count {
            return 0;
        }
        // SAFETY: in bounds of the live, initialised storage; the length is read by copy.
        unsafe { (*self.storage.as_ptr()).send_vectors[index].iov_len }
    }

    /// Sends the staged replies from number `start` on and returns how many the kernel took, from the first.
    ///
    /// Never waits. Fewer than asked for means that the next one failed or would fail: call again from there, and its
    /// error is returned. One system call, no allocation.
    ///
    /// # Errors
    /// Why the reply `start` was not taken; the others were not tried.
    pub fn send(&mut self, socket: BorrowedFd<'_>, start: usize) -> io::Result<usize> {
        let count = self.staged_count.saturating_sub(start);
        if count == 0 {
            return Ok(0);
        }
        // SAFETY: `start` is below `staged_count`, which is at most BATCH_MAX; only the address is taken.
        let headers = unsafe { &raw mut (*self.storage.as_ptr()).send[start] };
        // SAFETY: the descriptor is open for its borrow. `count` headers from `headers` on were filled by `stage`;
        // what they point at is initialised memory of the storage that nobody borrows while `self` is.
        let sent = unsafe { libc::sendmmsg(socket.as_raw_fd(), headers, count as u32, libc::MSG_DONTWAIT as _) };
        let Ok(sent) = usize::try_from(sent) else { return Err(io::Error::last_os_error()) };
        Ok(sent.min(count))
    }

    /// Points the headers of datagram `index` at its buffers, once.
    fn link(&mut self, index: usize) {
        let storage = self.storage.as_ptr();
        assert!(index < BATCH_MAX, "datagrams are counted by a constant");
        // SAFETY: in bounds of the live storage; each line writes a plain pointer or length into memory that only
        // `self` owns, or takes the address of such memory.
        unsafe {
            (*storage).receive_vectors[index].iov_base = (&raw mut (*storage).queries[index].octets).cast();
            (*storage).receive_vectors[index].iov_len = QUERY_BYTES_MAX;
            let receive = &raw mut (*storage).receive[index].msg_hdr;
            (*receive).msg_iov = &raw mut (*storage).receive_vectors[index];
            (*receive).msg_iovlen = 1;
            (*receive).msg_name = (&raw mut (*storage).names[index]).cast();
            (*receive).msg_control = (&raw mut (*storage).controls[index]).cast();
            let send = &raw mut (*storage).send[index].msg_hdr;
            (*send).msg_iov = &raw mut (*storage).send_vectors[index];
            (*send).msg_iovlen = 1;
        }
    }

    /// Sets the lengths again that the kernel shortened in the last receive; those that were not used keep theirs.
    fn rearm(&mut self) {
        let storage = self.storage.as_ptr();
        // The one behind the last may have been begun before the queue was found empty.
        for index in 0..(self.received_count + 1).min(BATCH_MAX) {
            // SAFETY: in bounds of the live storage; nothing else borrows the header while `self` is borrowed.
            let header = unsafe { &mut (*storage).receive[index].msg_hdr };
            header.msg_namelen = size_of::<libc::sockaddr_in6>() as libc::socklen_t;
            header.msg_controllen = size_of::<Control>() as _;
            header.msg_flags = 0;
        }
    }
}

/// The datagrams of the last receive. `Copy`.
#[derive(Clone, Copy, Debug)]
pub struct Queries<'b> {
    /// The arrays of the batch, of which this reads `receive`, `names` and `queries`; nothing writes to these while
    /// the batch is borrowed for `'b`.
    storage: NonNull<Storage>,
    /// How many there are.
    count: usize,
    borrow: PhantomData<&'b Storage>,
}

impl<'b> Queries<'b> {
    /// Datagram `index`; `None` behind the last.
    #[must_use]
    pub fn get(self, index: usize) -> Option<Datagram<'b>> {
        if index >= self.count {
            return None;
        }
        let storage = self.storage.as_ptr();
        // SAFETY: index is below BATCH_MAX and the storage is live and initialised; the header is read by copy.
        let header = unsafe { (*storage).receive[index] };
        // SAFETY: as above; the address is read by copy. It was zeroed at first, and the kernel writes only whole
        // ones.
        let name = unsafe { (*storage).names[index] };
        // SAFETY: in bounds and initialised since `new`. The kernel writes to it only inside `receive`, which needs
        // the batch that is borrowed for 'b; `Replies` reaches other fields only.
        let query = unsafe { &(*storage).queries[index].octets };

        let has_source = header.msg_hdr.msg_namelen as usize >= size_of::<libc::sockaddr_in>();
        Some(Datagram {
            // The length comes from the kernel and is never above the iovec's, but a slice is cut with a check.
            octets: query[..QUERY_BYTES_MAX].get(..header.msg_len as usize).unwrap_or_default(),
            is_cut_short: header.msg_hdr.msg_flags & libc::MSG_TRUNC != 0,
            // The port lies at the same place in both families (asserted below).
            source_port: if has_source { u16::from_be(name.sin6_port) } else { 0 },
            source: if has_source { source(&name) } else { IpAddr::V4(Ipv4Addr::UNSPECIFIED) },
        })
    }
}

/// Where the replies to the datagrams of the last receive go.
#[derive(Debug)]
pub struct Replies<'b> {
    batch: &'b mut Batch,
}

impl Replies<'_> {
    /// The buffer for the reply to datagram `index`; `None` behind the last.
    ///
    /// It has [`REPLY_BYTES_MAX`] octets and holds what an earlier reply left there.
    #[must_use]
    pub fn buffer(&mut self, index: usize) -> Option<&mut [u8]> {
        if index >= self.batch.received_count {
            return None;
        }
        // SAFETY: in bounds and initialised since `new`. `self` is exclusively borrowed, no other value reaches this
        // field but `Batch::send`, which needs the batch that is borrowed here, and `Queries` reaches other fields
        // only.
        let reply = unsafe { &mut (*self.batch.storage.as_ptr()).replies[index].octets };
        Some(&mut reply[..REPLY_BYTES_MAX])
    }

    /// Sends the first `length` octets of the reply buffer of datagram `index` at once, over a socket of the caller's
    /// choice.
    ///
    /// Never waits. Leaves from the address that the socket is bound to. One system call, no allocation.
    ///
    /// # Errors
    /// What `sendto` says; [`io::ErrorKind::InvalidInput`] where there is no such datagram or the length is above
    /// [`REPLY_BYTES_MAX`].
    #[allow(clippy::unnecessary_cast, reason = "the C libraries differ in the type of this length")]
    pub fn send_apart(&self, index: usize, length: usize, socket: BorrowedFd<'_>) -> io::Result<()> {
        if index >= self.batch.received_count || length > REPLY_BYTES_MAX {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let storage = self.batch.storage.as_ptr();
        // SAFETY: in bounds of the live, initialised storage; the header is read by copy.
        let asked = unsafe { (*storage).receive[index].msg_hdr };
        // SAFETY: in bounds; only the address is taken.
        let octets = unsafe { &raw const (*storage).replies[index].octets };
        // SAFETY: the descriptor is open for its borrow. `octets` are at least `length` initialised octets, and the
        // name is of the length that the kernel wrote; nothing else writes to either while `self` is borrowed.
        let sent = unsafe {
            libc::sendto(
                socket.as_raw_fd(),
                octets.cast(),
                length,
                libc::MSG_DONTWAIT,
                asked.msg_name.cast(),
                asked.msg_namelen as libc::socklen_t,
            )
        };
        if sent < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }

    /// Queues the first `length` octets of the reply buffer of datagram `index` for [`Batch::send`].
    ///
    /// Each datagram is staged at most once, in rising order; anything else is ignored, as is a length above
    /// [`REPLY_BYTES_MAX`]. Returns whether it was queued.
    #[allow(clippy::unnecessary_cast, reason = "the C libraries differ in the type of this length")]
    pub fn stage(&mut self, index: usize, length: usize) -> bool {
        let batch = &mut *self.batch;
        if index >= batch.received_count || batch.staged_count > index || length > REPLY_BYTES_MAX {
            return false;
        }
        let storage = batch.storage.as_ptr();
        // SAFETY: in bounds of the live, initialised storage; the header is read by copy.
        let asked = unsafe { (*storage).receive[index].msg_hdr };
        // SAFETY: in bounds; the batch is exclusively borrowed and no other reference to this field exists.
        let control = unsafe { &mut (*storage).controls[index] };
        let control_bytes = control.answer_from(asked.msg_controllen as usize);
        // SAFETY: in bounds; the two elements written here are borrowed by nobody else.
        let (header, vector) =
            unsafe { (&mut (*storage).send[batch.staged_count], &mut (*storage).send_vectors[batch.staged_count]) };
        // SAFETY: in bounds; only the address is taken.
        vector.iov_base = unsafe { &raw mut (*storage).replies[index].octets }.cast();
        vector.iov_len = length;
        header.msg_hdr.msg_name = asked.msg_name;
        header.msg_hdr.msg_namelen = asked.msg_namelen;
        header.msg_hdr.msg_control = if control_bytes == 0 { ptr::null_mut() } else { asked.msg_control };
        header.msg_hdr.msg_controllen = control_bytes as _;
        batch.staged_count += 1;
        true
    }
}

impl Default for Batch {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Batch {
    fn drop(&mut self) {
        // SAFETY: mapped in `new` with this same size, unmapped only here; the content needs no drop of its own. The
        // kernel refuses only what is no mapping.
        let _unmapped = unsafe { libc::munmap(self.storage.as_ptr().cast(), size_of::<Storage>()) };
    }
}

/// Reads the address out of either form: that of IPv4 lies where the longer form has its flow label (asserted below).
fn source(name: &libc::sockaddr_in6) -> IpAddr {
    if libc::c_int::from(name.sin6_family) == libc::AF_INET6 {
        Ipv6Addr::from(name.sin6_addr.s6_addr).into()
    } else {
        Ipv4Addr::from(u32::from_be(name.sin6_flowinfo)).into()
    }
}

/// A page has at least so many octets on every machine that Linux runs on.
const PAGE_BYTES_MIN: usize = 4096;

/// Everything that the two system calls read and write.
#[repr(C)]
struct Storage {
    /// What `recvmmsg` fills.
    receive: [libc::mmsghdr; BATCH_MAX],
    /// What `sendmmsg` reads; the first `staged_count` are valid.
    send: [libc::mmsghdr; BATCH_MAX],
    /// One buffer each for `receive`.
    receive_vectors: [libc::iovec; BATCH_MAX],
    /// One buffer each for `send`.
    send_vectors: [libc::iovec; BATCH_MAX],
    /// Where the datagrams came from; also holds the shorter IPv4 form.
    names: [libc::sockaddr_in6; BATCH_MAX],
    /// Which address was asked, where the socket reports it.
    controls: [Control; BATCH_MAX],
    /// What came.
    queries: [QuerySlot; BATCH_MAX],
    /// What goes out.
    replies: [ReplySlot; BATCH_MAX],
}

/// The buffer of one query.
#[repr(C, align(64))]
struct QuerySlot {
    /// More than [`QUERY_BYTES_MAX`], so that the slots' starts spread over the sets of the cache.
    octets: [u8; QUERY_BYTES_MAX + SLOT_SPREAD_BYTES],
}

/// The buffer of one reply.
#[repr(C, align(64))]
struct ReplySlot {
    /// More than [`REPLY_BYTES_MAX`], as for the queries.
    octets: [u8; REPLY_BYTES_MAX + SLOT_SPREAD_BYTES],
}

/// One control message: packet information of either family.
///
/// ```text
///   IPv4: payload = interface index | our address for the reply | address in the packet's header
///   IPv6: payload = address (4 words) | interface index
/// ```
#[repr(C)]
struct Control {
    /// Length, level and type.
    header: libc::cmsghdr,
    /// The packet information in the kernel's layout; one word is padding.
    payload: [u32; 6],
}

impl Control {
    /// Turns "this was asked" into "answer from there" and returns the octets of it; 0 where there is nothing to say.
    ///
    /// `filled_bytes` is how much the kernel wrote. The interface is left to the routing table, since a reply may well
    /// leave by another one; only a link-local address means nothing without its link, so that it keeps it.
    #[allow(clippy::unnecessary_cast, reason = "the C libraries differ in the type of this length")]
    fn answer_from(&mut self, filled_bytes: usize) -> usize {
        if filled_bytes < size_of::<libc::cmsghdr>() {
            return 0;
        }
        let length = self.header.cmsg_len as usize;
        if length > filled_bytes {
            return 0;
        }
        match (self.header.cmsg_level, self.header.cmsg_type) {
            (libc::IPPROTO_IP, libc::IP_PKTINFO) if length == PACKET_INFO_V4_BYTES => {
                self.payload[0] = 0;
                PACKET_INFO_V4_SPACE
            }
            (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO) if length == PACKET_INFO_V6_BYTES => {
                if u32::from_be(self.payload[0]) & LINK_LOCAL_MASK != LINK_LOCAL_PREFIX {
                    self.payload[4] = 0;
                }
                PACKET_INFO_V6_SPACE
            }
            _ => 0,
        }
    }
}

/// How many datagrams one call takes at most.
pub const BATCH_MAX: usize = 64;

/// The longest query that is taken whole: as long as the longest UDP reply (RFC 6891 §6.2.5 speaks of 4096).
pub const QUERY_BYTES_MAX: usize = 4096;

/// The room for one reply: the highest UDP payload size that the settings allow.
pub const REPLY_BYTES_MAX: usize = 4096;

/// One cache line, so that the distance between two slots is no power of two.
const SLOT_SPREAD_BYTES: usize = 64;

/// `CMSG_LEN` of the IPv4 packet information.
const PACKET_INFO_V4_BYTES: usize = size_of::<libc::cmsghdr>() + size_of::<libc::in_pktinfo>();

/// `CMSG_SPACE` of the IPv4 packet information.
const PACKET_INFO_V4_SPACE: usize = PACKET_INFO_V4_BYTES.next_multiple_of(size_of::<usize>());

/// `CMSG_LEN` of the IPv6 packet information.
const PACKET_INFO_V6_BYTES: usize = size_of::<libc::cmsghdr>() + size_of::<libc::in6_pktinfo>();

/// `CMSG_SPACE` of the IPv6 packet information.
const PACKET_INFO_V6_SPACE: usize = PACKET_INFO_V6_BYTES.next_multiple_of(size_of::<usize>());

/// The bits of the first address word that make fe80::/10 (RFC 4291 §2.5.6).
const LINK_LOCAL_MASK: u32 = 0xFFC0_0000;

/// fe80::/10.
const LINK_LOCAL_PREFIX: u32 = 0xFE80_0000;

const _: () = {
    assert!(size_of::<Control>() >= PACKET_INFO_V6_SPACE);
    assert!(size_of::<libc::cmsghdr>().is_multiple_of(align_of::<usize>()));
    assert!(mem::offset_of!(libc::sockaddr_in, sin_port) == mem::offset_of!(libc::sockaddr_in6, sin6_port));
    assert!(mem::offset_of!(libc::sockaddr_in, sin_addr) == mem::offset_of!(libc::sockaddr_in6, sin6_flowinfo));
    assert!(size_of::<libc::sockaddr_in>() <= size_of::<libc::sockaddr_in6>());
};
