//! Sends rules to the kernel's nf_tables.

use std::io;
use std::os::fd::AsRawFd;

use anyhow::{Result, bail};
use mac_nat::export::netlink::{Rule, batch};
use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, recv, sendto, setsockopt, socket,
    sockopt::ReceiveTimeout,
};
use nix::sys::time::{TimeVal, TimeValLike};

/// Rules in one batch: a batch has to fit into the socket's send buffer.
const AT_ONCE: usize = 64;
/// `linux/netlink.h`
const HEADER: usize = 16;
const ERROR: u16 = 2;

/// Adds rules in front of those that their chains have. A batch that fails adds nothing.
///
/// # Errors
/// What the kernel says: no permission, or the table is not there.
pub fn send(rules: &[Rule]) -> Result<()> {
    let socket = socket(
        AddressFamily::Netlink,
        SockType::Raw,
        SockFlag::SOCK_CLOEXEC,
        SockProtocol::NetlinkNetFilter,
    )?;
    setsockopt(&socket, ReceiveTimeout, &TimeVal::seconds(5))?;
    for rules in rules.chunks(AT_ONCE) {
        let batch = batch(rules);
        let kernel = NetlinkAddr::new(0, 0);
        sendto(socket.as_raw_fd(), &batch, &kernel, MsgFlags::empty())?;
        let mut answers = 0;
        while answers < rules.len() {
            let mut buffer = [0; 8192];
            let len = recv(socket.as_raw_fd(), &mut buffer, MsgFlags::empty())?;
            answers += acknowledged(buffer.get(..len).unwrap_or_default(), rules)?;
        }
    }
    Ok(())
}

/// How many rules these messages acknowledge.
fn acknowledged(mut messages: &[u8], rules: &[Rule]) -> Result<usize> {
    let mut count = 0;
    while let Some(header) = messages.first_chunk::<HEADER>() {
        let [l0, l1, l2, l3, k0, k1, _, _, s0, s1, s2, s3, ..] = *header;
        let len = u32::from_ne_bytes([l0, l1, l2, l3]) as usize;
        let sequence = u32::from_ne_bytes([s0, s1, s2, s3]) as usize;
        let error = messages.get(HEADER..len).and_then(|body| body.first_chunk());
        if let (ERROR, Some(error)) = (u16::from_ne_bytes([k0, k1]), error) {
            match i32::from_ne_bytes(*error) {
                0 => count += 1,
                code => {
                    let why = io::Error::from_raw_os_error(code.wrapping_neg());
                    let rule = sequence.checked_sub(1).and_then(|at| rules.get(at));
                    bail!("{why}{}", rule.map(|rule| format!(" at\n{rule}")).unwrap_or_default());
                }
            }
        }
        messages = messages.get(len.max(HEADER).next_multiple_of(4)..).unwrap_or_default();
    }
    Ok(count)
}
