//! Would this packet pass the filter of that device, and by which rule?

use std::{
    net::{IpAddr, SocketAddr},
    path::Path,
    str::FromStr,
};

use anyhow::{Context, Result};
use secgroup_rpc::{Direction, Packet, Protocol, Verdict, macaddr::MacAddr6};

use crate::{
    files::{self, BadInput},
    reply::{find, info_of, rule_text},
};

/// A packet as typed: `ingress tcp 10.0.3.14:40000 10.0.1.145:22`, `egress icmp 10.0.1.145 10.0.3.14 8/0`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct PacketText(pub Packet);

impl FromStr for PacketText {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let words: Vec<&str> = text.split_whitespace().collect();
        let (direction, protocol, source, destination, icmp) = match *words.as_slice() {
            [direction, protocol, source, destination] => (direction, protocol, source, destination, None),
            [direction, protocol, source, destination, icmp] => {
                (direction, protocol, source, destination, Some(icmp))
            }
            _ => return Err("wanted: ingress|egress PROTOCOL SOURCE DESTINATION [TYPE/CODE]".into()),
        };
        let direction = match direction {
            "ingress" => Direction::Ingress,
            "egress" => Direction::Egress,
            other => return Err(format!("{other:?} is neither ingress nor egress")),
        };
        let protocol: Protocol = protocol.parse().map_err(|error| format!("{protocol:?} is {error}"))?;
        let ((source, from), (destination, to)) = (endpoint(source)?, endpoint(destination)?);
        if source.is_ipv4() != destination.is_ipv4() {
            return Err(format!("{source} and {destination} are of different IP versions"));
        }
        let number = match protocol.number() {
            // Plain icmp on IPv6 is ICMPv6, as in rules.
            1 if source.is_ipv6() => 58,
            number => number,
        };
        let ports = match (protocol.is_icmp(), protocol.has_ports(), from.zip(to), icmp) {
            (true, _, None, Some(icmp)) if from.or(to).is_none() => Some(type_and_code(icmp)?),
            (_, true, Some(ports), None) => Some(ports),
            (false, false, None, None) if from.or(to).is_none() => None,
            (true, ..) => return Err("ICMP takes TYPE/CODE at the end and no ports, such as 8/0".into()),
            (_, true, ..) => return Err(format!("{protocol} takes ADDRESS:PORT twice")),
            _ => return Err(format!("{protocol} takes neither ports nor TYPE/CODE")),
        };
        Ok(Self(Packet { direction, source, destination, protocol: number, ports }))
    }
}

/// `10.0.0.4`, `10.0.0.4:22`, `2001:db8::4` or `[2001:db8::4]:22`.
fn endpoint(text: &str) -> Result<(IpAddr, Option<u16>), String> {
    if let Ok(address) = text.parse::<IpAddr>() {
        return Ok((address, None));
    }
    let socket: SocketAddr =
        text.parse().map_err(|_| format!("{text:?} is neither ADDRESS nor ADDRESS:PORT"))?;
    Ok((socket.ip(), Some(socket.port())))
}

fn type_and_code(text: &str) -> Result<(u16, u16), String> {
    let numbers = text.split_once('/').and_then(|(kind, code)| {
        Some((u16::from(kind.parse::<u8>().ok()?), u16::from(code.parse::<u8>().ok()?)))
    });
    numbers.ok_or_else(|| format!("{text:?} is not an ICMP TYPE/CODE such as 8/0"))
}

/// Says whether `packet` passes the filter of `device` (an id or an interface name) and returns that.
///
/// `mac` is the source MAC of what goes out; without it the port's own.
pub fn check(input: &Path, device: &str, mac: Option<MacAddr6>, packet: &Packet) -> Result<bool> {
    let message = files::read(input)?.message;
    let info = info_of(&message, "check")?;
    let device = find(&info, device).ok_or_else(|| {
        let count = info.devices.len();
        BadInput(format!("no device {device}: see its {count} devices with secgroup decode"))
    })?;
    let mac = mac.unwrap_or(device.mac);
    let (text, passes) = if device.may_send(mac, packet) {
        let verdict = info.check(device.id, packet);
        (describe(&verdict), verdict.passes())
    } else {
        let mac = mac.to_string().to_lowercase();
        (format!("denied: {} with {mac} is no source of this port", packet.source), false)
    };
    files::write(Path::new("-"), (text + "\n").as_bytes()).context("cannot say the verdict")?;
    Ok(passes)
}

fn describe(verdict: &Verdict) -> String {
    match verdict {
        Verdict::UnknownDevice => "passes: trusted, the message does not have the device".into(),
        Verdict::Unfiltered => "passes: port security is off".into(),
        Verdict::Discovery => "passes: neighbour discovery always does".into(),
        Verdict::DhcpClient => "passes: a DHCP client may always ask".into(),
        Verdict::Forbidden => "denied: only routers and DHCP servers send this".into(),
        Verdict::Allowed(rule) => format!("passes: {}", rule_text(rule)),
        Verdict::Denied => "denied: no rule lets it pass".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_are_read_as_typed() {
        let tcp: PacketText = "ingress tcp 10.0.3.14:40000 10.0.1.145:22".parse().unwrap();
        assert_eq!((tcp.0.protocol, tcp.0.ports), (6, Some((40_000, 22))));
        let icmp6: PacketText = "egress icmp 2001:db8::1 2001:db8::2 128/0".parse().unwrap();
        assert_eq!((icmp6.0.protocol, icmp6.0.ports), (58, Some((128, 0))));
        let vrrp: PacketText = "ingress vrrp 10.0.0.1 224.0.0.18".parse().unwrap();
        assert_eq!((vrrp.0.protocol, vrrp.0.ports), (112, None));
    }

    #[test]
    fn half_packets_are_refused() {
        for text in [
            "",
            "sideways tcp 10.0.0.1:1 10.0.0.2:2",
            "ingress tcp 10.0.0.1 10.0.0.2:2",
            "ingress tcp 10.0.0.1:1 10.0.0.2:2 8/0",
            "ingress tcp 10.0.0.1:1 [2001:db8::2]:2",
            "ingress icmp 10.0.0.1 10.0.0.2",
            "ingress icmp 10.0.0.1:1 10.0.0.2 8/0",
            "ingress icmp 10.0.0.1 10.0.0.2 256/0",
            "ingress vrrp 10.0.0.1:1 10.0.0.2",
            "ingress nonsense 10.0.0.1 10.0.0.2",
        ] {
            assert!(text.parse::<PacketText>().is_err(), "{text}");
        }
    }
}
