//! `ports` and `mib`: the state of each port, and what it counted.

use std::fmt;

use anyhow::Result;
use rrcp::registers::{Counter, LinkStates, MAX_PORTS, MIB_BYTES, PvidIndices, Rate, RateLimits, loop_ports};
use rrcp::wire::RegisterAddress;
use rrcp::{PortId, PortMask};
use serde::Serialize;

use crate::remote::Remote;

/// All ports.
#[derive(Clone, Debug, Serialize)]
pub struct Ports {
    ports: Vec<Port>,
}

/// One port.
#[derive(Clone, Debug, Serialize)]
struct Port {
    port: u16,
    on: bool,
    link: bool,
    mbps: Option<u16>,
    full_duplex: bool,
    flow_control: bool,
    autonegotiation: bool,
    looped: bool,
    answers_rrcp: bool,
    pvid_index: u8,
    receive_kbps: Option<u32>,
    send_kbps: Option<u32>,
}

/// Reads the state of the first `count` ports.
///
/// # Errors
/// If the switch does not answer.
pub fn ports(switch: &mut impl Remote, count: u16) -> Result<Ports> {
    let off = switch.read_ports(RegisterAddress::PORTS_OFF)?;
    let ignoring = switch.read_ports(RegisterAddress::RRCP_IGNORED)?;
    let looped = loop_ports(switch.read(RegisterAddress::LOOP_PORTS)?);
    let mut ports = Vec::new();
    for port in first(count) {
        let link = LinkStates(switch.read_word(RegisterAddress::LINK_STATES.of_port_pair(port))?).of(port);
        let rates = RateLimits(switch.read_word(RegisterAddress::RATE_LIMITS.of_port_pair(port))?);
        let pvids = PvidIndices(switch.read_word(RegisterAddress::PVID_INDICES.of_port_pair(port))?);
        ports.push(Port {
            port: port.get(),
            on: !off.contains(port),
            link: link.is_up(),
            mbps: link.speed().map(rrcp::registers::Speed::mbps),
            full_duplex: link.full_duplex(),
            flow_control: link.flow_control(),
            autonegotiation: link.autonegotiation(),
            looped: looped.contains(port),
            answers_rrcp: !ignoring.contains(port),
            pvid_index: pvids.of(port),
            receive_kbps: rates.receive(port).kbps(),
            send_kbps: rates.send(port).kbps(),
        });
    }
    Ok(Ports { ports })
}

impl fmt::Display for Ports {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "port state link           rrcp    pvid-index receive         send            loop")?;
        for port in &self.ports {
            let link = match (port.link, port.mbps) {
                (false, _) => "down".to_owned(),
                (true, None) => "up, speed ?".to_owned(),
                (true, Some(mbps)) => format!("{mbps} {}", if port.full_duplex { "full" } else { "half" }),
            };
            let rate = |kbps: Option<u32>| match kbps {
                Some(kbps) => format!("{kbps} kbit/s"),
                None => Rate::UNLIMITED.to_string(),
            };
            writeln!(
                f,
                "{:>4} {:<5} {link:<14} {:<7} {:>10} {:<15} {:<15} {}",
                port.port,
                if port.on { "on" } else { "off" },
                if port.answers_rrcp { "answers" } else { "ignores" },
                port.pvid_index,
                rate(port.receive_kbps),
                rate(port.send_kbps),
                if port.looped { "LOOP" } else { "-" },
            )?;
        }
        Ok(())
    }
}

/// The counters of all ports.
#[derive(Clone, Debug, Serialize)]
pub struct Mib {
    ports: Vec<PortCounters>,
}

/// The counters of one port.
#[derive(Clone, Debug, Serialize)]
struct PortCounters {
    port: u16,
    received: u32,
    sent: u32,
    dropped: u32,
}

/// Reads the counters of the first `count` ports, which are told to count bytes first.
///
/// # Errors
/// If the switch does not answer.
pub fn mib(switch: &mut impl Remote, count: u16) -> Result<Mib> {
    let mut ports = Vec::new();
    for port in first(count) {
        if port.get() % 2 == 0 {
            switch.update(RegisterAddress::MIB_SELECT.of_port_pair(port), MIB_BYTES)?;
        }
        let mut read = |counter| switch.read(RegisterAddress::counter(counter, port));
        ports.push(PortCounters {
            port: port.get(),
            received: read(Counter::Received)?,
            sent: read(Counter::Sent)?,
            dropped: read(Counter::Dropped)?,
        });
    }
    Ok(Mib { ports })
}

impl fmt::Display for Mib {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "port   received       sent    dropped")?;
        self.ports.iter().try_for_each(|PortCounters { port, received, sent, dropped }| {
            writeln!(f, "{port:>4} {received:>10} {sent:>10} {dropped:>10}")
        })
    }
}

/// The ports `0..count`, as many as such a switch can have.
fn first(count: u16) -> impl Iterator<Item = PortId> {
    PortMask::<1>::first(count.min(MAX_PORTS)).into_iter()
}
