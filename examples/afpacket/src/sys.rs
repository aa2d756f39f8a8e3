//! The system calls: every `unsafe` of this package, each with the reason why it holds.
#![allow(unsafe_code)]

use std::ffi::CString;
use std::io;
use std::mem::{size_of, zeroed};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::ptr::from_mut;
use std::time::Duration;

use libc::{c_int, c_void, socklen_t};

/// From `linux/if_packet.h`; the `libc` crate does not carry it.
const PACKET_IGNORE_OUTGOING: c_int = 23;

pub(crate) fn interface_index(name: &str) -> io::Result<c_int> {
    let name = CString::new(name).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
    // SAFETY: the pointer is to a NUL-terminated string that outlives the call.
    match unsafe { libc::if_nametoindex(name.as_ptr()) } {
        0 => Err(io::Error::last_os_error()),
        index => Ok(index as c_int),
    }
}

/// A non-blocking packet socket for all protocols, bound to the interface and promiscuous.
pub(crate) fn packet_socket(index: c_int) -> io::Result<OwnedFd> {
    // Protocol 0 until `bind`, so that no frame of another interface gets into the queue.
    // SAFETY: no pointers.
    let opened = check(unsafe {
        libc::socket(libc::AF_PACKET, libc::SOCK_RAW | libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC, 0)
    })?;
    // SAFETY: the descriptor was just opened and is owned by nobody else.
    let socket = unsafe { OwnedFd::from_raw_fd(opened as RawFd) };
    set_option(&socket, libc::PACKET_AUXDATA, &1_i32)?;
    set_option(&socket, PACKET_IGNORE_OUTGOING, &1_i32)?;

    // SAFETY: all-zero is a valid value of these C structures.
    let (mut address, mut membership) =
        unsafe { (zeroed::<libc::sockaddr_ll>(), zeroed::<libc::packet_mreq>()) };
    membership.mr_ifindex = index;
    membership.mr_type = libc::PACKET_MR_PROMISC as u16;
    set_option(&socket, libc::PACKET_ADD_MEMBERSHIP, &membership)?;

    address.sll_family = libc::AF_PACKET as u16;
    address.sll_protocol = (libc::ETH_P_ALL as u16).to_be();
    address.sll_ifindex = index;
    // SAFETY: pointer and length describe `address`.
    check(unsafe {
        libc::bind(
            socket.as_raw_fd(),
            (&raw const address).cast(),
            size_of::<libc::sockaddr_ll>() as socklen_t,
        )
    })?;
    Ok(socket)
}

/// The address of the interface that the socket is bound to.
pub(crate) fn hardware_address(socket: BorrowedFd<'_>) -> io::Result<[u8; 6]> {
    // SAFETY: all-zero is a valid value; pointer and length describe `address`.
    let mut address = unsafe { zeroed::<libc::sockaddr_ll>() };
    let mut len = size_of::<libc::sockaddr_ll>() as socklen_t;
    check(unsafe { libc::getsockname(socket.as_raw_fd(), (&raw mut address).cast(), &raw mut len) })?;
    let [a, b, c, d, e, f, ..] = address.sll_addr;
    Ok([a, b, c, d, e, f])
}

/// Whether the interface of this name is up and its cable is plugged in.
pub(crate) fn has_carrier(socket: BorrowedFd<'_>, name: &str) -> io::Result<bool> {
    // SAFETY: all-zero is a valid value of this C structure.
    let mut request = unsafe { zeroed::<libc::ifreq>() };
    // The last byte stays zero: a name that was opened is shorter.
    let room = request.ifr_name.len() - 1;
    for (to, from) in request.ifr_name.iter_mut().zip(name.bytes().take(room)) {
        *to = from as libc::c_char;
    }
    // SAFETY: the request reads the name and writes the flags of `request`, which is live.
    check(unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCGIFFLAGS, &raw mut request) })?;
    // SAFETY: the call succeeded, so it wrote the flags.
    let flags = c_int::from(unsafe { request.ifr_ifru.ifru_flags });
    Ok(flags & libc::IFF_UP != 0 && flags & libc::IFF_RUNNING != 0)
}

/// Receives one frame; beside its length, the VLAN tag that the kernel took out of it.
pub(crate) fn receive(socket: BorrowedFd<'_>, room: &mut [u8]) -> io::Result<(usize, Option<[u8; 4]>)> {
    /// Enough for one `tpacket_auxdata` message, aligned as control messages want it.
    #[repr(C, align(8))]
    struct Control([u8; 64]);

    let mut control = Control([0; 64]);
    let mut part = libc::iovec { iov_base: room.as_mut_ptr().cast(), iov_len: room.len() };
    // SAFETY: all-zero is a valid value of this C structure.
    let mut message = unsafe { zeroed::<libc::msghdr>() };
    message.msg_iov = from_mut(&mut part);
    message.msg_iovlen = 1;
    message.msg_control = control.0.as_mut_ptr().cast();
    message.msg_controllen = control.0.len() as _;
    // SAFETY: the message points to `room` and `control`, both live and writable.
    let len = check(unsafe { libc::recvmsg(socket.as_raw_fd(), &raw mut message, 0) })?;
    Ok((len, stripped_tag(&message)))
}

fn stripped_tag(message: &libc::msghdr) -> Option<[u8; 4]> {
    // SAFETY: the kernel filled the control buffer that `message` points to; the CMSG functions
    // stay within the length it wrote, and the data may be unaligned.
    let aux = unsafe {
        let mut header = libc::CMSG_FIRSTHDR(message);
        loop {
            let found = header.as_ref()?;
            if (found.cmsg_level, found.cmsg_type) == (libc::SOL_PACKET, libc::PACKET_AUXDATA) {
                break libc::CMSG_DATA(header).cast::<libc::tpacket_auxdata>().read_unaligned();
            }
            header = libc::CMSG_NXTHDR(message, header);
        }
    };
    let has = |flag| aux.tp_status & flag != 0;
    if !has(libc::TP_STATUS_VLAN_VALID) {
        return None;
    }
    let tpid = if has(libc::TP_STATUS_VLAN_TPID_VALID) { aux.tp_vlan_tpid } else { libc::ETH_P_8021Q as u16 };
    let ([a, b], [c, d]) = (tpid.to_be_bytes(), aux.tp_vlan_tci.to_be_bytes());
    Some([a, b, c, d])
}

pub(crate) fn send(socket: BorrowedFd<'_>, frame: &[u8]) -> io::Result<()> {
    // SAFETY: pointer and length describe `frame`.
    check(unsafe { libc::send(socket.as_raw_fd(), frame.as_ptr().cast(), frame.len(), 0) }).map(drop)
}

pub(crate) fn dropped(socket: BorrowedFd<'_>) -> io::Result<u32> {
    // SAFETY: all-zero is a valid value; pointer and length describe `stats`.
    let mut stats = unsafe { zeroed::<libc::tpacket_stats>() };
    let mut len = size_of::<libc::tpacket_stats>() as socklen_t;
    check(unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_PACKET,
            libc::PACKET_STATISTICS,
            (&raw mut stats).cast(),
            &raw mut len,
        )
    })?;
    Ok(stats.tp_drops)
}

pub(crate) fn poll_readable(
    sources: impl Iterator<Item = RawFd>,
    timeout: Option<Duration>,
) -> io::Result<bool> {
    let mut polled: Vec<_> =
        sources.map(|fd| libc::pollfd { fd, events: libc::POLLIN, revents: 0 }).collect();
    // Round up: a wait that ends too early would spin.
    let millis =
        timeout.map_or(-1, |time| time.as_nanos().div_ceil(1_000_000).try_into().unwrap_or(c_int::MAX));
    // SAFETY: pointer and length describe `polled`.
    match check(unsafe { libc::poll(polled.as_mut_ptr(), polled.len() as libc::nfds_t, millis) }) {
        Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(false),
        ready => Ok(ready? > 0),
    }
}

fn set_option<T>(socket: &OwnedFd, option: c_int, value: &T) -> io::Result<()> {
    let value: *const T = value;
    // SAFETY: pointer and length describe `value`; every caller passes the C type of the option.
    check(unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_PACKET,
            option,
            value.cast::<c_void>(),
            size_of::<T>() as socklen_t,
        )
    })
    .map(drop)
}

/// The result of a call that answers -1 and sets `errno` when it fails.
fn check(result: impl TryInto<usize>) -> io::Result<usize> {
    result.try_into().map_err(|_| io::Error::last_os_error())
}
