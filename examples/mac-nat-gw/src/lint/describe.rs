//! A frame in one line, as `tcpdump` would say it.

use std::fmt::Write;
use std::net::{Ipv4Addr, Ipv6Addr};

use super::field::{ARP, Field, ICMPV6, IPV4, IPV6, Layer, Layers, RARP};
use super::judge::lower_case;

/// Addresses, protocol, and what of it concerns MACs.
pub(crate) fn describe(frame: &[u8]) -> String {
    let Some(layers) = Layers::of(frame) else { return format!("{} bytes", frame.len()) };
    let mut text = format!("{} > {}, ", mac(frame, Field::EthSrc), mac(frame, Field::EthDst));
    if let Some(tci) = Field::VlanTci.read(frame).filter(|tci| *tci != 0) {
        let _ = write!(text, "vlan {}, ", tci & 0xFFF);
    }
    match layers.kind {
        ARP | RARP => arp(&mut text, frame, layers.kind),
        IPV4 => {
            let _ = write!(text, "{} > {}", ip4(frame, Field::Ip4Src), ip4(frame, Field::Ip4Dst));
            upper(&mut text, frame);
        }
        IPV6 => {
            let _ = write!(text, "{} > {}", ip6(frame, Field::Ip6Src), ip6(frame, Field::Ip6Dst));
            upper(&mut text, frame);
        }
        kind => {
            let _ = write!(text, "type 0x{kind:04x}");
        }
    }
    text
}

fn arp(text: &mut String, frame: &[u8], kind: u16) {
    let name = if kind == RARP { "RARP" } else { "ARP" };
    let operation = Field::ArpOp.read(frame).unwrap_or_default();
    let (sender, target) = (mac(frame, Field::ArpSha), mac(frame, Field::ArpTha));
    let (spa, tpa) = (ip4(frame, Field::ArpSpa), ip4(frame, Field::ArpTpa));
    let _ = match operation {
        1 => write!(text, "{name} who-has {tpa} ({target}) tell {spa} ({sender})"),
        2 => write!(text, "{name} {spa} is-at {sender}, to {tpa} ({target})"),
        _ => write!(text, "{name} operation {operation}, sender {sender}, target {target}"),
    };
}

fn upper(text: &mut String, frame: &[u8]) {
    const CHADDR: u32 = (8 + 28) * 8;
    if Field::Fragment.read(frame).is_some_and(|fragment| fragment == 3) {
        text.push_str(", later fragment");
        return;
    }
    let ports = (Field::SrcPort.read(frame), Field::DstPort.read(frame));
    let _ = match ports {
        (Some(67), Some(68)) | (Some(68), Some(67)) => {
            write!(text, ", DHCP, client {}", mac(frame, Field::Raw(Layer::Transport, CHADDR, 48)))
        }
        (Some(src), Some(dst)) => write!(text, ", ports {src} > {dst}"),
        _ => Ok(()),
    };
    if Field::Upper.read(frame) == Some(ICMPV6.into()) {
        discovery(text, frame);
    }
}

fn discovery(text: &mut String, frame: &[u8]) {
    let kind = Field::IcmpType.read(frame).unwrap_or_default();
    let name = match kind {
        133 => "router solicitation",
        134 => "router advertisement",
        135 => "neighbour solicitation",
        136 => "neighbour advertisement",
        137 => "redirect",
        _ => "ICMPv6",
    };
    let _ = write!(text, ", {name}");
    let target = Field::Raw(Layer::Transport, 64, 128).read(frame).filter(|_| matches!(kind, 135 | 136));
    if let Some(target) = target {
        let _ = write!(text, " for {}", Ipv6Addr::from(target));
    }
    for (name, field) in [("source", Field::NdSource), ("target", Field::NdTargetLink)] {
        if field.read(frame).is_some() {
            let _ = write!(text, ", {name} at {}", mac(frame, field));
        }
    }
}

fn mac(frame: &[u8], field: Field) -> String {
    let [_, _, mac @ ..] =
        u64::try_from(field.read(frame).unwrap_or_default()).unwrap_or_default().to_be_bytes();
    lower_case(mac)
}

fn ip4(frame: &[u8], field: Field) -> Ipv4Addr {
    u32::try_from(field.read(frame).unwrap_or_default()).unwrap_or_default().into()
}

fn ip6(frame: &[u8], field: Field) -> Ipv6Addr {
    field.read(frame).unwrap_or_default().into()
}
