//! A tun device of our own, which lives no longer than its descriptor.
//!
//! Owns the descriptor. The device is not persistent: the kernel removes it, with its addresses and routes, when the
//! last copy of the descriptor is closed, however the process ends. Refuses to know what the packets mean.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::fs::OpenOptionsExt;

/// A device that hands us whole IP packets, without a header in front.
#[derive(Debug)]
pub struct Tun {
    /// The descriptor that keeps the device; close-on-exec, so that no child prolongs its life.
    file: File,
    /// The device's name as the kernel has it.
    name: String,
    /// The device's index in the network namespace that it was made in.
    index: u32,
}

/// Why there is no device.
#[derive(Debug, thiserror::Error)]
pub enum TunError {
    /// The name is empty, too long, or holds what the kernel does not take or would take as a pattern.
    #[error("`{name}` is no name for a device: it takes 1 to {NAME_BYTES_MAX} octets without `/`, `:`, `%` or spaces")]
    Name {
        /// The name as it was asked for.
        name: String,
    },
    /// `/dev/net/tun` cannot be opened.
    #[error("{TUN_PATH} cannot be opened: {0}")]
    Path(#[source] io::Error),
    /// A device of that name is there already.
    #[error("a device `{name}` exists already")]
    Taken {
        /// The name as it was asked for.
        name: String,
    },
    /// The kernel refuses for another reason.
    #[error("the device `{name}` cannot be made: {source}")]
    Refused {
        /// The name as it was asked for.
        name: String,
        /// What the kernel says; `EPERM` without CAP_NET_ADMIN.
        source: io::Error,
    },
}

impl Tun {
    /// Makes the device `name` in the calling thread's network namespace. It is down and has no address.
    ///
    /// The descriptor never blocks. Source: Linux, Documentation/networking/tuntap.rst.
    ///
    /// # Errors
    /// See [`TunError`]. A device that exists is never taken over, since it might be persistent and outlive us.
    pub fn open(name: &str) -> Result<Self, TunError> {
        let mut request = request_of(name).ok_or_else(|| TunError::Name { name: name.into() })?;
        // `std` opens every file with O_CLOEXEC.
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .custom_flags(libc::O_NONBLOCK)
            .open(TUN_PATH)
            .map_err(TunError::Path)?;
        // SAFETY: the descriptor is open for as long as `file` lives; `request` is initialised and exclusively
        // borrowed, and TUNSETIFF reads and writes one `ifreq`.
        let status = unsafe { libc::ioctl(file.as_raw_fd(), libc::TUNSETIFF, &raw mut request) };
        if status != 0 {
            let source = io::Error::last_os_error();
            return Err(match source.raw_os_error() {
                // EINVAL: a device of another kind has the name.
                Some(libc::EBUSY | libc::EEXIST | libc::EINVAL) => TunError::Taken { name: name.into() },
                _ => TunError::Refused { name: name.into(), source },
            });
        }
        // SAFETY: `ifr_name` is a string that ends with NUL: we wrote at most NAME_BYTES_MAX octets of its IFNAMSIZ
        // and the kernel writes the name back in the same form.
        let index = unsafe { libc::if_nametoindex(request.ifr_name.as_ptr()) };
        if index == 0 {
            return Err(TunError::Refused { name: name.into(), source: io::Error::last_os_error() });
        }
        Ok(Self { file, name: name.into(), index })
    }

    /// Returns the device's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the device's index in the network namespace that it was made in.
    #[must_use]
    pub fn index(&self) -> u32 {
        self.index
    }

    /// Reads one packet and returns its length in octets. What does not fit in `packet` is cut off. Never waits.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] when there is none, `EIO` while the device is down, `EBADFD` once it was deleted.
    pub fn read(&self, packet: &mut [u8]) -> io::Result<usize> {
        (&self.file).read(packet)
    }

    /// Gives the kernel one packet as if it had come in on the device.
    ///
    /// # Errors
    /// `EIO` while the device is down, `EINVAL` for what is neither IPv4 nor IPv6, `EBADFD` once it was deleted.
    pub fn write(&self, packet: &[u8]) -> io::Result<()> {
        let written = (&self.file).write(packet)?;
        if written == packet.len() { Ok(()) } else { Err(io::ErrorKind::WriteZero.into()) }
    }
}

impl AsFd for Tun {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

/// Returns the index of the device `name` in the calling thread's network namespace; `None` where there is none.
#[must_use]
pub fn index_of(name: &str) -> Option<u32> {
    let request = request_of(name)?;
    // SAFETY: `ifr_name` is a string that ends with NUL, since `request_of` zeroes it and fills all octets but the
    // last.
    let index = unsafe { libc::if_nametoindex(request.ifr_name.as_ptr()) };
    (index != 0).then_some(index)
}

/// Lays out the request for a new tun device; `None` for a name that is none.
fn request_of(name: &str) -> Option<libc::ifreq> {
    let is_refused = |octet: u8| octet.is_ascii_whitespace() || octet.is_ascii_control() || b"/:%".contains(&octet);
    let is_dots = name == "." || name == "..";
    if name.is_empty() || name.len() > NAME_BYTES_MAX || name.bytes().any(is_refused) || is_dots {
        return None;
    }
    // SAFETY: `ifreq` is made of integers and arrays of them, for which all zero bits are a valid value.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (to, octet) in request.ifr_name.iter_mut().zip(name.bytes()) {
        *to = octet as libc::c_char;
    }
    // The flags are unsigned bits in a signed field.
    request.ifr_ifru.ifru_flags = (libc::IFF_TUN | libc::IFF_NO_PI | libc::IFF_TUN_EXCL) as libc::c_short;
    Some(request)
}

/// The most octets of a device's name (`IFNAMSIZ` without the NUL).
pub const NAME_BYTES_MAX: usize = libc::IFNAMSIZ - 1;

/// Where tun devices come from.
const TUN_PATH: &str = "/dev/net/tun";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_the_kernel_would_not_take_as_they_are_are_refused() {
        for name in ["", "a-name-of-16-oct", "fated%d", "a b", "a/b", "a:b", ".", ".."] {
            assert!(matches!(Tun::open(name), Err(TunError::Name { .. })), "{name:?}");
            assert_eq!(index_of(name), None);
        }
        assert!(request_of("a-name-of-15-oc").is_some());
    }

    #[test]
    fn loopback_has_an_index_and_a_missing_device_has_none() {
        assert!(index_of("lo").is_some());
        assert_eq!(index_of("no-such-device0"), None);
    }
}
