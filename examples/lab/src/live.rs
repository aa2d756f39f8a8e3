//! A switch between real interfaces.

use core::fmt;
use core::sync::atomic::{AtomicBool, Ordering};
use core::time::Duration;
use std::collections::BTreeMap;
use std::io::{self, IsTerminal, Write};
use std::os::fd::AsFd;
use std::time::Instant;

use afpacket::{Interface, TAG_ROOM};
use anyhow::Context;
use serde::Serialize;
use vlan_table::PortId;

use crate::config::SwitchFile;
use crate::device::Device;
use crate::error::BadInput;
use crate::replay::unknown_port;
use crate::report::{Report, grouped};
use crate::seconds;

/// Which switch, and which interfaces are its jacks.
#[derive(Debug)]
pub struct Live<'a> {
    /// The switch.
    pub switch: &'a SwitchFile,
    /// Port names and interfaces.
    pub ports: &'a [(String, String)],
    /// When to stop by itself.
    pub duration: Option<Duration>,
    /// Ends it when set.
    pub stop: &'a AtomicBool,
}

/// How it went.
#[derive(Debug, Serialize)]
pub struct Summary {
    /// How long it switched, in seconds.
    #[serde(with = "seconds")]
    pub ran: Duration,
    /// What came in, over the whole time.
    pub average: Throughput,
    /// What came in, over the busiest second.
    pub busiest: Throughput,
    /// What an interface refused to send, or lost before it could be read.
    pub interfaces: BTreeMap<String, InterfaceCounters>,
    /// What the switch counted and knows.
    #[serde(flatten)]
    pub switch: Report,
}

/// Frames and bits per second.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Throughput {
    /// Frames.
    pub frames_per_second: f64,
    /// Bits, without FCS and gaps.
    pub bits_per_second: f64,
}

/// Trouble with an interface.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct InterfaceCounters {
    /// Frames that the kernel would not send: queue full, too long, link down.
    pub refused: u64,
    /// Frames that came faster than they could be read.
    pub missed: u64,
}

/// A port with its interface.
struct Jack {
    port: PortId,
    interface: Interface,
    /// Whether the interface was up when it was looked at last.
    up: bool,
    counters: InterfaceCounters,
}

/// Longest frame that is read: what segmentation offload can hand over at once.
const LONGEST: usize = 65_550;
/// Frames that are read from one interface before the next one gets its turn.
const BURST: usize = 64;
/// How often the rate is printed on a terminal.
const EVERY: Duration = Duration::from_secs(1);

impl Live<'_> {
    /// Switches until the time is up or [`stop`](Self::stop) is set.
    ///
    /// # Errors
    /// [`BadInput`] for a port that the switch does not have; else what the system says.
    pub fn run(&self) -> anyhow::Result<Summary> {
        let mut device = self.switch.build();
        let mut jacks = self.plug(&mut device)?;
        announce(&device, &jacks);
        let mut buffer = vec![0; TAG_ROOM + LONGEST];
        let start = Instant::now();
        let mut meter = Meter::new();
        let mut now = Duration::ZERO;
        while !self.stop.load(Ordering::Relaxed) && self.duration.is_none_or(|duration| now < duration) {
            wait(&jacks, self.patience(now, &device))?;
            now = start.elapsed();
            for index in 0..jacks.len() {
                serve(&mut device, &mut jacks, index, now, &mut buffer)?;
            }
            device.handle_timeout(now);
            meter.tick(now, &device);
        }
        meter.clear();
        summary(now, &device, jacks, &mut meter)
    }

    /// Which port gets which interface. All of it is checked before the first interface is opened, which may
    /// need rights that the caller lacks.
    fn assign(&self, device: &Device) -> Result<Vec<(PortId, &str)>, BadInput> {
        let mut assigned: Vec<(PortId, &str)> = Vec::new();
        for (name, interface) in self.ports {
            let place = format!("--port {name}={interface}");
            let port = device.port(name).ok_or_else(|| unknown_port("--port", name, interface, device))?;
            if assigned.iter().any(|(taken, _)| *taken == port) {
                return Err(BadInput::new(place, format_args!("port {name} is named twice"))
                    .help("a jack takes one plug"));
            }
            if assigned.iter().any(|(_, taken)| taken == interface) {
                return Err(BadInput::new(place, format_args!("interface {interface} is named twice"))
                    .help("two ports on one interface would be a loop"));
            }
            assigned.push((port, interface));
        }
        Ok(assigned)
    }

    fn plug(&self, device: &mut Device) -> anyhow::Result<Vec<Jack>> {
        let mut jacks: Vec<Jack> = Vec::new();
        for (port, interface) in self.assign(device)? {
            let interface = Interface::open(interface)?;
            jacks.push(Jack { port, interface, up: true, counters: InterfaceCounters::default() });
        }
        // A port without an interface is a jack without a plug: nothing is flooded there.
        for port in device.ports() {
            if !jacks.iter().any(|jack| jack.port == port) {
                device.set_link(Duration::ZERO, port, false);
            }
        }
        Ok(jacks)
    }

    /// How long nothing needs to be done unless a frame comes.
    fn patience(&self, now: Duration, device: &Device) -> Duration {
        let due = [self.duration, device.next_timeout()].into_iter().flatten();
        due.map(|at| at.saturating_sub(now)).min().unwrap_or(EVERY).min(EVERY)
    }
}

fn summary(ran: Duration, device: &Device, jacks: Vec<Jack>, meter: &mut Meter) -> anyhow::Result<Summary> {
    let mut interfaces = BTreeMap::new();
    for mut jack in jacks {
        jack.counters.missed += u64::from(jack.interface.missed()?);
        interfaces.insert(jack.interface.name().to_owned(), jack.counters);
    }
    Ok(Summary {
        ran,
        average: Throughput::of(device.received(), ran),
        busiest: meter.busiest(ran, device),
        interfaces,
        switch: device.report(ran),
    })
}

impl Summary {
    /// The summary for people.
    pub fn text(&self) -> String {
        let mut text = format!(
            "switched for {:.1} s: {}; busiest second: {}\n\n{}: {}",
            self.ran.as_secs_f64(),
            self.average,
            self.busiest,
            self.switch.model,
            self.switch.text()
        );
        for (name, InterfaceCounters { refused, missed }) in &self.interfaces {
            if refused + missed > 0 {
                text.push_str(&format!("  {name}: {refused} frames not sent, {missed} missed\n"));
            }
        }
        text
    }
}

/// Says on standard error that frames flow from now on.
fn announce(device: &Device, jacks: &[Jack]) {
    let wired = jacks.iter().map(|jack| format!("{}={}", device.name(jack.port), jack.interface.name()));
    let wired: Vec<_> = wired.collect();
    // A standard error that is closed is no reason not to switch.
    _ = writeln!(io::stderr(), "switching between {}; Ctrl-C ends it", wired.join(", "));
}

fn wait(jacks: &[Jack], patience: Duration) -> io::Result<bool> {
    let sources: Vec<_> = jacks.iter().map(|jack| jack.interface.as_fd()).collect();
    afpacket::wait(&sources, Some(patience))
}

/// Reads a burst from one interface and sends what the switch makes of it.
fn serve(
    device: &mut Device,
    jacks: &mut [Jack],
    index: usize,
    now: Duration,
    buffer: &mut [u8],
) -> anyhow::Result<()> {
    for _ in 0..BURST {
        let Some(jack) = jacks.get_mut(index) else { break };
        let port = jack.port;
        let range = match jack.interface.recv(buffer, TAG_ROOM) {
            Ok(Some(range)) => range,
            Ok(None) => break,
            // The interface was taken down: a pulled plug, not the end of the switch.
            Err(e) if e.kind() == io::ErrorKind::NetworkDown => {
                jack.up = false;
                device.set_link(now, port, false);
                break;
            }
            Err(e) => return Err(e).with_context(|| format!("interface {}", jack.interface.name())),
        };
        if !core::mem::replace(&mut jack.up, true) {
            device.set_link(now, port, true);
        }
        let frame = buffer.get(range).unwrap_or_default();
        _ = device.receive(now, port, frame, |port, copy| send(jacks, port, copy));
    }
    Ok(())
}

fn send(jacks: &mut [Jack], port: PortId, frame: &[u8]) {
    if let Some(jack) = jacks.iter_mut().find(|jack| jack.port == port)
        && jack.interface.send(frame).is_err()
    {
        jack.counters.refused += 1;
    }
}

impl Throughput {
    fn of((frames, bytes): (u64, u64), time: Duration) -> Self {
        let per_second = |count: u64| count as f64 / time.as_secs_f64().max(f64::EPSILON);
        Self { frames_per_second: per_second(frames), bits_per_second: per_second(bytes * 8) }
    }
}

impl fmt::Display for Throughput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = match self.bits_per_second {
            bits if bits >= 1e9 => format!("{:.2} Gbit/s", bits / 1e9),
            bits if bits >= 1e6 => format!("{:.1} Mbit/s", bits / 1e6),
            bits => format!("{:.1} kbit/s", bits / 1e3),
        };
        write!(f, "{} frames/s, {unit}", grouped(self.frames_per_second.round() as u64))
    }
}

/// Looks at the counters every second; shows the rate on standard error if that is a terminal.
struct Meter {
    terminal: bool,
    looked: Duration,
    received: (u64, u64),
    busiest: Throughput,
}

impl Meter {
    fn new() -> Self {
        let terminal = io::stderr().is_terminal();
        Self { terminal, looked: Duration::ZERO, received: (0, 0), busiest: Throughput::default() }
    }

    fn tick(&mut self, now: Duration, device: &Device) {
        if now.saturating_sub(self.looked) < EVERY {
            return;
        }
        let rate = self.look(now, device);
        if self.terminal {
            // A terminal that is gone is no reason to stop switching.
            _ = write!(io::stderr(), "\r{:<50}\r", rate.to_string());
        }
    }

    /// The rate since it looked last.
    fn look(&mut self, now: Duration, device: &Device) -> Throughput {
        let received = device.received();
        let new = (received.0 - self.received.0, received.1 - self.received.1);
        let rate = Throughput::of(new, now.saturating_sub(self.looked));
        (self.looked, self.received) = (now, received);
        if rate.frames_per_second > self.busiest.frames_per_second {
            self.busiest = rate;
        }
        rate
    }

    /// The rate of the busiest second; of the whole run if that was shorter.
    fn busiest(&mut self, now: Duration, device: &Device) -> Throughput {
        if now < EVERY {
            return Throughput::of(device.received(), now);
        }
        // What is left counts as a second, so that a burst at the very end is no record.
        self.looked = self.looked.min(now.saturating_sub(EVERY));
        self.look(now, device);
        self.busiest
    }

    fn clear(&self) {
        if self.terminal {
            _ = write!(io::stderr(), "\r{:<50}\r", "");
        }
    }
}
