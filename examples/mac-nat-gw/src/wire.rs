//! A network interface or a TAP device of our own, for frames both ways.

use std::fmt;
use std::io;
use std::ops::Range;
use std::os::fd::{AsFd, BorrowedFd};

use afpacket::{Interface, TAG_ROOM};
use tappers::Tap;

/// Something that frames come from and go to.
pub enum Wire {
    /// An interface that is there, by a packet socket.
    Packet(Interface),
    /// The far end of an interface that exists as long as we run. Whatever stack uses it has its
    /// checksums and segments made by the kernel: frames are real without further settings.
    Tap(Tap, String),
}

impl Wire {
    /// Opens an interface, or makes a TAP device of this name and takes it up.
    ///
    /// # Errors
    /// Without the privilege, or if there is no such interface (a TAP device: one already).
    pub fn open(name: &str, tap: bool) -> io::Result<Self> {
        if !tap {
            return Ok(Self::Packet(Interface::open(name)?));
        }
        let of = |error: io::Error| io::Error::new(error.kind(), format!("TAP device {name}: {error}"));
        let interface = tappers::Interface::new(name).map_err(of)?;
        let mut tap = Tap::new_named(interface).map_err(of)?;
        tap.set_nonblocking(true).map_err(of)?;
        tap.set_up().map_err(of)?;
        Ok(Self::Tap(tap, name.to_owned()))
    }

    /// Its name.
    pub fn name(&self) -> &str {
        match self {
            Self::Packet(interface) => interface.name(),
            Self::Tap(_, name) => name,
        }
    }

    /// A frame into `buffer`, behind some room; `None` if none is waiting.
    ///
    /// # Errors
    /// What the system says, such as [`NetworkDown`](io::ErrorKind::NetworkDown).
    pub fn recv(&self, buffer: &mut [u8]) -> io::Result<Option<Range<usize>>> {
        match self {
            Self::Packet(interface) => interface.recv(buffer, TAG_ROOM),
            Self::Tap(tap, _) => match tap.recv(buffer.get_mut(TAG_ROOM..).unwrap_or_default()) {
                Ok(len) => Ok(Some(TAG_ROOM..TAG_ROOM + len)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
                Err(error) => Err(error),
            },
        }
    }

    /// A frame goes out.
    ///
    /// # Errors
    /// What the system says: the frame is gone then.
    pub fn send(&self, frame: &[u8]) -> io::Result<()> {
        match self {
            Self::Packet(interface) => interface.send(frame),
            Self::Tap(tap, _) => tap.send(frame).map(drop),
        }
    }
}

impl fmt::Debug for Wire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Wire").field(&self.name()).finish()
    }
}

impl AsFd for Wire {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Packet(interface) => interface.as_fd(),
            Self::Tap(tap, _) => tap.as_fd(),
        }
    }
}
