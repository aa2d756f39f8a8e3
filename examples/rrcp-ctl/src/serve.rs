//! `serve`: a [`Simulated`] switch whose ports are interfaces of this machine.

use std::io::{ErrorKind, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use afpacket::{Interface, TAG_ROOM};
use anyhow::{Context, Result, ensure};
use rrcp::{Event, PortId};
use serde::Serialize;

use crate::commands;
use crate::simulated::{Happening, Setup, Simulated};

/// Frames of up to 9000 bytes and their headers.
const BUFFER_LEN: usize = 9216;

/// How often interfaces are asked whether they are up.
const LOOK_AT_LINKS: Duration = Duration::from_millis(200);

/// Frames of one port that are taken before the next port's turn.
const BURST: usize = 64;

/// Runs a switch until `time` is over (`None`: for ever); the interfaces are its ports 0, 1, ...
///
/// Prints what happens to it, a line each.
///
/// # Errors
/// If there are more interfaces than ports, or one fails.
pub fn run(
    setup: &Setup,
    interfaces: &[String],
    time: Option<Duration>,
    json: bool,
    out: &mut impl Write,
) -> Result<()> {
    let ports = usize::from(setup.ports);
    ensure!(interfaces.len() <= ports, "{} interfaces, but the switch has {ports} ports", interfaces.len());
    let interfaces = interfaces.iter().map(|name| Interface::open(name)).collect::<Result<Vec<_>, _>>()?;
    let started = Instant::now();
    let mut cables = Cables { switch: Simulated::new(Duration::ZERO, setup), interfaces };
    let mut look = Duration::ZERO;
    commands::print(out, json, &Report::ready(&setup.identity.mac.to_string().to_lowercase()))?;
    let mut buffer = vec![0; TAG_ROOM + BUFFER_LEN];
    loop {
        let now = started.elapsed();
        if time.is_some_and(|time| time <= now) {
            return Ok(());
        }
        if look <= now {
            cables.look_at_links(now);
            look = now + LOOK_AT_LINKS;
        }
        let due = [cables.switch.poll_timeout(), time, Some(look)].into_iter().flatten().min();
        let sources: Vec<BorrowedFd<'_>> = cables.interfaces.iter().map(AsFd::as_fd).collect();
        afpacket::wait(&sources, due.map(|due| due.saturating_sub(now)))?;
        let mut happenings = cables.receive(started, &mut buffer)?;
        happenings.extend(cables.handle_timeout(started.elapsed()));
        for happening in happenings {
            commands::print(out, json, &Report::new(started.elapsed(), happening))?;
        }
    }
}

/// A switch and what its ports are plugged into.
struct Cables {
    switch: Simulated,
    interfaces: Vec<Interface>,
}

impl Cables {
    /// An interface that is down or has no cable is a port without cable.
    fn look_at_links(&mut self, now: Duration) {
        for (port, interface) in (0..).filter_map(PortId::new).zip(&self.interfaces) {
            self.switch.set_cable(now, port, interface.has_carrier().unwrap_or(false));
        }
    }

    /// Takes the frames that wait at the ports.
    fn receive(&mut self, started: Instant, buffer: &mut [u8]) -> Result<Vec<Happening>> {
        let Self { switch, interfaces } = self;
        let mut happenings = Vec::new();
        for (port, interface) in (0..).filter_map(PortId::new).zip(interfaces.iter()) {
            for _ in 0..BURST {
                let received = interface.recv(buffer, TAG_ROOM);
                if received.as_ref().is_err_and(|error| error.kind() == ErrorKind::NetworkDown) {
                    break;
                }
                let received = received.with_context(|| format!("receiving on {}", interface.name()))?;
                let Some(frame) = received.and_then(|range| buffer.get_mut(range)) else { break };
                let send = |port, frame: &[u8]| transmit(interfaces, port, frame);
                happenings.extend(switch.receive(started.elapsed(), port, frame, send));
            }
        }
        Ok(happenings)
    }

    fn handle_timeout(&mut self, now: Duration) -> Vec<Happening> {
        let Self { switch, interfaces } = self;
        if switch.poll_timeout().is_some_and(|due| due <= now) {
            switch.handle_timeout(now, |port, frame| transmit(interfaces, port, frame));
        }
        std::iter::from_fn(|| switch.poll_event()).collect()
    }
}

/// Sends a frame if something is plugged in. A full queue loses it, as in any switch.
fn transmit(interfaces: &[Interface], port: PortId, frame: &[u8]) {
    if let Some(interface) = interfaces.get(port.index()) {
        _ = interface.send(frame);
    }
}

/// A line about the switch.
#[derive(Clone, Debug, Serialize)]
struct Report {
    #[serde(skip_serializing_if = "Option::is_none")]
    time: Option<f64>,
    #[serde(flatten)]
    what: What,
}

#[derive(Clone, Debug, Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
enum What {
    Ready { mac: String },
    Written { register: String, name: Option<&'static str>, data: u32 },
    Looped { tx: u16, rx: u16, blocked: Option<u16> },
    Cleared { port: u16, after: f64 },
    Latched { port: u16, trips: u8 },
    Other { text: String },
}

impl Report {
    fn ready(mac: &str) -> Self {
        Self { time: None, what: What::Ready { mac: mac.to_owned() } }
    }

    fn new(now: Duration, happening: Happening) -> Self {
        let what = match happening {
            Happening::Written { register, data } => {
                What::Written { register: register.to_string(), name: register.name(), data }
            }
            Happening::Loop(Event::Looped { found, blocked }) => {
                What::Looped { tx: found.tx.get(), rx: found.rx.get(), blocked: blocked.map(PortId::get) }
            }
            Happening::Loop(Event::Cleared { port, after }) => {
                What::Cleared { port: port.get(), after: after.as_secs_f64() }
            }
            Happening::Loop(Event::Latched { port, trips }) => What::Latched { port: port.get(), trips },
            Happening::Loop(other) => What::Other { text: format!("{other:?}") },
        };
        Self { time: Some((now.as_secs_f64() * 1e3).round() / 1e3), what }
    }
}

impl std::fmt::Display for Report {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if let Some(time) = self.time {
            write!(f, "{time:>10.3} ")?;
        }
        match &self.what {
            What::Ready { mac } => writeln!(f, "switch {mac} is there"),
            What::Written { register, name, data } => {
                writeln!(f, "{register} {} = {data:#06x}", name.unwrap_or("?"))
            }
            What::Looped { tx, rx, blocked } => {
                write!(f, "LOOP from port {tx} to port {rx}")?;
                match blocked {
                    Some(port) => writeln!(f, ", port {port} is blocked"),
                    None => writeln!(f, ", nothing is blocked"),
                }
            }
            What::Cleared { port, after } => writeln!(f, "port {port} is clear after {after:.3} s"),
            What::Latched { port, trips } => writeln!(f, "port {port} stays blocked after {trips} trips"),
            What::Other { text } => writeln!(f, "{text}"),
        }
    }
}
