//! Whole Ethernet frames in and out of a Linux network interface.
//!
//! A packet socket (`packet(7)`) bound to one interface, in promiscuous mode, that gives what was
//! on the wire:
//!
//! - Linux strips the outermost VLAN tag from a received frame and hands it over beside the frame
//!   (`PACKET_AUXDATA`). [`Interface::recv`] puts it back, TPID included.
//! - Frames that this host sends are not received (`PACKET_IGNORE_OUTGOING`), so a bridge between
//!   two interfaces does not hear itself.
//!
//! No library on crates.io does both, and this is the whole of what the examples need: hence the
//! few system calls in `sys`.
//!
//! Between virtual interfaces the kernel merges segments and leaves checksums to "hardware".
//! Switch that off where frames must be real: `ethtool -K IFACE tx off tso off gso off gro off`.

mod sys;

use std::io;
use std::ops::Range;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::time::Duration;

/// Free bytes that [`Interface::recv`] needs in front of a frame to put a stripped tag back.
pub const TAG_ROOM: usize = 4;

/// One interface, open for frames. Needs `CAP_NET_RAW`.
#[derive(Debug)]
pub struct Interface {
    socket: OwnedFd,
    name: String,
    mac: [u8; 6],
}

impl Interface {
    /// Opens `name`, such as `"eth0"`, non-blocking and promiscuous until it is dropped.
    ///
    /// # Errors
    /// Names the interface and says what to do: without `CAP_NET_RAW`, or when there is no such
    /// interface.
    pub fn open(name: &str) -> io::Result<Self> {
        let index = sys::interface_index(name).map_err(|error| {
            io::Error::new(error.kind(), format!("interface {name}: {error}; `ip link` lists what there is"))
        })?;
        let socket = sys::packet_socket(index).map_err(|error| match error.raw_os_error() {
            Some(libc::EPERM | libc::EACCES) => io::Error::new(
                error.kind(),
                format!("interface {name}: raw frames need CAP_NET_RAW; run as root or `setcap cap_net_raw+ep` the program"),
            ),
            _ => io::Error::new(error.kind(), format!("interface {name}: {error}")),
        })?;
        let mac = sys::hardware_address(socket.as_fd())?;
        Ok(Self { socket, name: name.to_owned(), mac })
    }

    /// The name it was opened by.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The interface's own address.
    pub fn mac(&self) -> [u8; 6] {
        self.mac
    }

    /// Whether the interface is up and its cable is plugged in.
    ///
    /// # Errors
    /// What `ioctl(2)` says, such as `ENODEV` when the interface is gone.
    pub fn has_carrier(&self) -> io::Result<bool> {
        sys::has_carrier(self.socket.as_fd(), &self.name)
    }

    /// Receives one frame into `buffer[headroom..]`; `None` if none is waiting.
    ///
    /// The frame stands at the returned range, which starts at `headroom`, or [`TAG_ROOM`] bytes
    /// before it if a VLAN tag had to be put back. A frame longer than the buffer is cut.
    ///
    /// # Errors
    /// What `recvmsg(2)` says, such as `ENETDOWN`; `InvalidInput` if `headroom` is below
    /// [`TAG_ROOM`] or leaves no room for a frame.
    pub fn recv(&self, buffer: &mut [u8], headroom: usize) -> io::Result<Option<Range<usize>>> {
        if headroom < TAG_ROOM {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "headroom is below TAG_ROOM"));
        }
        let Some(room) = buffer.get_mut(headroom..).filter(|room| !room.is_empty()) else {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "the buffer has no room for a frame"));
        };
        let (len, stripped) = match sys::receive(self.socket.as_fd(), room) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
            result => result?,
        };
        let frame = headroom..headroom + len;
        Ok(Some(match stripped {
            Some(tag) => put_back(buffer, frame, tag),
            None => frame,
        }))
    }

    /// Sends one frame, tags and all, without FCS; the kernel pads it.
    ///
    /// # Errors
    /// What `send(2)` says: `EMSGSIZE` for a frame beyond the MTU, `WouldBlock` or `ENOBUFS` when
    /// the queue is full (the frame is then gone: count it and go on).
    pub fn send(&self, frame: &[u8]) -> io::Result<()> {
        sys::send(self.socket.as_fd(), frame)
    }

    /// Frames that the kernel dropped since the last call, because nobody received them in time.
    ///
    /// # Errors
    /// What `getsockopt(2)` says.
    pub fn missed(&self) -> io::Result<u32> {
        sys::dropped(self.socket.as_fd())
    }
}

impl AsFd for Interface {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// Waits until one of `sources` can be read, or `timeout` has passed (`None`: for ever).
///
/// Returns whether one can. A signal ends the wait with `Ok(false)`, so that a program can look
/// at its stop flag.
///
/// # Errors
/// What `poll(2)` says.
pub fn wait(sources: &[BorrowedFd<'_>], timeout: Option<Duration>) -> io::Result<bool> {
    sys::poll_readable(sources.iter().map(|source| source.as_raw_fd()), timeout)
}

/// Moves the addresses at the start of `frame` four bytes to the front and writes `tag` behind.
fn put_back(buffer: &mut [u8], frame: Range<usize>, tag: [u8; TAG_ROOM]) -> Range<usize> {
    const ADDRESSES: usize = 12;
    let start = frame.start - TAG_ROOM;
    if frame.len() < ADDRESSES {
        return frame;
    }
    buffer.copy_within(frame.start..frame.start + ADDRESSES, start);
    if let Some(room) = buffer.get_mut(start + ADDRESSES..start + ADDRESSES + TAG_ROOM) {
        room.copy_from_slice(&tag);
    }
    start..frame.end
}
