//! Frames in words.

use etherparse::{ArpOperation, Icmpv4Type, NetSlice, SlicedPacket, TransportSlice};
use vlan_table::{EtherType, FrameView};

use crate::mac::Mac;

pub(crate) use vlan_table::frame::MIN_LEN;

/// The address that everybody listens to.
pub(crate) const BROADCAST: Mac = [0xFF; 6];

pub(super) fn destination(frame: &[u8]) -> Mac {
    frame.first_chunk().copied().unwrap_or_default()
}

pub(super) fn source(frame: &[u8]) -> Mac {
    frame.get(6..).and_then(|rest| rest.first_chunk()).copied().unwrap_or_default()
}

/// What a frame says, in a few words.
pub(super) fn describe(frame: &[u8]) -> String {
    match SlicedPacket::from_ethernet(frame) {
        Ok(SlicedPacket { net: Some(NetSlice::Arp(arp)), .. }) => match arp.to_packet().try_eth_ipv4() {
            Ok(arp) if arp.sender_ipv4 == arp.target_ipv4 => {
                format!("ARP here is {}", arp.sender_ipv4_addr())
            }
            Ok(arp) if arp.operation == ArpOperation::REQUEST => {
                format!("ARP who has {}?", arp.target_ipv4_addr())
            }
            Ok(arp) => format!("ARP {} is here", arp.sender_ipv4_addr()),
            Err(_) => "ARP".into(),
        },
        Ok(SlicedPacket { transport: Some(TransportSlice::Icmpv4(icmp)), .. }) => match icmp.icmp_type() {
            Icmpv4Type::EchoRequest(echo) => format!("ping {}", echo.seq),
            Icmpv4Type::EchoReply(echo) => format!("pong {}", echo.seq),
            _ => "ICMP".into(),
        },
        _ => match FrameView::new(frame, 2).map(|view| view.ether_type()) {
            Ok(EtherType::REALTEK) => "Realtek 0x8899".into(),
            Ok(EtherType::ECTP) => "ECTP".into(),
            Ok(other) => format!("{} bytes of {other}", frame.len()),
            Err(_) => format!("{} bytes", frame.len()),
        },
    }
}
