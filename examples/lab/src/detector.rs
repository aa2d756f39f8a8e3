//! The loop detector of a simulated switch: none, the chip's, or the strict one.

use core::time::Duration;

use rrcp::{
    ClassicDetector, Config, Disposition, Event, Hint, Loop, LoopDetector, LoopKind, LoopSignal, MacAddr6,
    PROBE_LEN, PortConfig, Role, Transmit,
};
use serde::{Deserialize, Serialize};
use switch::Guard;
use vlan_table::{PortId, PortMask, VlanId};

use crate::mac::Mac;
use crate::seconds;

/// Which detector a switch has.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// None.
    Off,
    /// The chip's: a probe every three to five minutes, a lamp, nothing else.
    Classic,
    /// One that is sure of what it sees, within a second or five, and blocks one port of a loop.
    #[default]
    Strict,
}

/// How a detector is set up.
#[derive(Clone, Debug)]
pub(crate) struct Setup {
    pub(crate) mode: Mode,
    pub(crate) mac: Mac,
    /// Differs from boot to boot.
    pub(crate) nonce: u64,
    /// Ports that are blocked last.
    pub(crate) uplinks: PortMask,
    /// VLANs to probe in, and the ports that are members of each.
    pub(crate) vlans: Vec<(VlanId, PortMask)>,
}

/// Ports and VLANs of the largest switch.
const PORTS: usize = 64;
const VLANS: usize = 16;

/// A detector at work.
#[derive(Debug)]
pub(crate) enum Detector {
    Classic(Box<ClassicDetector<PORTS>>),
    Strict(Box<LoopDetector<PORTS, VLANS>>),
}

/// What a detector has to say; ports by their names.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "alarm", rename_all = "snake_case")]
pub enum Alarm<Port = String> {
    /// A loop was found.
    Looped {
        /// `"pair"`, `"self_loop"` or `"inter_vlan"`.
        kind: &'static str,
        /// The port that the probe left by.
        tx: Port,
        /// The port that it came back to.
        rx: Port,
        /// The VLAN that it was sent in.
        tx_vlan: Option<u16>,
        /// The VLAN that it came back in.
        rx_vlan: Option<u16>,
        /// The port that is blocked from now on.
        blocked: Option<Port>,
    },
    /// The chip lights the lamp of a port.
    LampOn {
        /// The port.
        port: Port,
    },
    /// The chip puts the lamp of a port out.
    LampOff {
        /// The port.
        port: Port,
    },
    /// Probes stopped returning: the port forwards again.
    Cleared {
        /// The port.
        port: Port,
        /// Since the loop was found, in seconds.
        #[serde(with = "seconds")]
        after: Duration,
    },
    /// The port tripped too often: an operator must release it.
    Latched {
        /// The port.
        port: Port,
        /// How often within the hour.
        trips: u8,
    },
    /// Something looks like a loop; probes follow faster.
    Suspected {
        /// The port.
        port: Port,
        /// What it was.
        why: &'static str,
    },
    /// Another switch has the same address: no loop.
    DuplicateMac {
        /// Where its probe came in.
        port: Port,
    },
}

impl Setup {
    /// The detector, all links down; `None` for [`Mode::Off`].
    pub(crate) fn build(&self) -> Option<Detector> {
        let mac = MacAddr6::from(self.mac);
        match self.mode {
            Mode::Off => None,
            Mode::Classic => {
                let classic = ClassicDetector::new(Duration::ZERO, mac, self.nonce);
                Some(Detector::Classic(Box::new(classic)))
            }
            Mode::Strict => {
                let mut strict = LoopDetector::new(Duration::ZERO, Config::new(mac, self.nonce));
                for port in self.uplinks {
                    // Every port is below `PORTS`.
                    _ = strict.set_port(Duration::ZERO, port, PortConfig::with_role(Role::Uplink));
                }
                for (vlan, members) in &self.vlans {
                    // The scenario was checked to name no more than `MOST_VLANS`.
                    members.iter().for_each(|port| _ = strict.add_vlan(port, *vlan));
                }
                Some(Detector::Strict(Box::new(strict)))
            }
        }
    }

    /// VLANs that a detector can probe in.
    pub(crate) const MOST_VLANS: usize = VLANS;
}

impl Detector {
    /// What it says next.
    pub(crate) fn poll_alarm(&mut self) -> Option<Alarm<PortId>> {
        match self {
            Self::Classic(classic) => Some(match classic.poll_event()? {
                LoopSignal::Looped(port) => Alarm::LampOn { port },
                LoopSignal::Cleared(port) => Alarm::LampOff { port },
            }),
            Self::Strict(strict) => loop {
                if let Some(alarm) = alarm(strict.poll_event()?) {
                    return Some(alarm);
                }
            },
        }
    }

    /// Whether its probes, and those that it lets pass, overtake what waits for a cable. Of the chip's
    /// no document says so.
    pub(crate) const fn overtakes(&self) -> bool {
        matches!(self, Self::Strict(_))
    }
}

fn alarm(event: Event) -> Option<Alarm<PortId>> {
    Some(match event {
        Event::Looped { found, blocked } => {
            let Loop { tx, rx, tx_vlan, rx_vlan } = found;
            let [tx_vlan, rx_vlan] = [tx_vlan, rx_vlan].map(|vlan| vlan.map(VlanId::get));
            Alarm::Looped { kind: kind(found.kind()), tx, rx, tx_vlan, rx_vlan, blocked }
        }
        Event::Cleared { port, after } => Alarm::Cleared { port, after },
        Event::Latched { port, trips } => Alarm::Latched { port, trips },
        Event::Suspected { port, hint } => Alarm::Suspected { port, why: why(hint) },
        Event::DuplicateMac { port, .. } => Alarm::DuplicateMac { port },
        _ => return None,
    })
}

impl<Port> Alarm<Port> {
    /// The same with other names for ports.
    pub(crate) fn map<Name>(self, mut name: impl FnMut(Port) -> Name) -> Alarm<Name> {
        match self {
            Self::Looped { kind, tx, rx, tx_vlan, rx_vlan, blocked } => {
                let [tx, rx] = [tx, rx].map(&mut name);
                Alarm::Looped { kind, tx, rx, tx_vlan, rx_vlan, blocked: blocked.map(name) }
            }
            Self::LampOn { port } => Alarm::LampOn { port: name(port) },
            Self::LampOff { port } => Alarm::LampOff { port: name(port) },
            Self::Cleared { port, after } => Alarm::Cleared { port: name(port), after },
            Self::Latched { port, trips } => Alarm::Latched { port: name(port), trips },
            Self::Suspected { port, why } => Alarm::Suspected { port: name(port), why },
            Self::DuplicateMac { port } => Alarm::DuplicateMac { port: name(port) },
        }
    }

    /// Whether it says that there is a loop.
    pub const fn is_loop(&self) -> bool {
        matches!(self, Self::Looped { .. } | Self::LampOn { .. })
    }

    /// Whether a port was blocked with it.
    pub const fn blocks(&self) -> bool {
        matches!(self, Self::Looped { blocked: Some(_), .. })
    }
}

const fn kind(kind: LoopKind) -> &'static str {
    match kind {
        LoopKind::Pair => "pair",
        LoopKind::SelfLoop => "self_loop",
        LoopKind::InterVlan => "inter_vlan",
    }
}

const fn why(hint: Hint) -> &'static str {
    match hint {
        Hint::DuplicateProbe => "a probe of another switch came in twice",
        Hint::OwnSource => "a frame came in with our address",
        Hint::StationMove => "a station moved",
        Hint::Storm => "broadcasts beyond the storm guard",
        _ => "something looks like one",
    }
}

impl Guard for Detector {
    fn handle_frame(
        &mut self,
        now: Duration,
        port: PortId,
        vlan: Option<VlanId>,
        frame: &[u8],
    ) -> Disposition {
        self.inner_mut().handle_frame(now, port, vlan, frame)
    }

    fn handle_hint(&mut self, now: Duration, port: PortId, hint: Hint) {
        self.inner_mut().handle_hint(now, port, hint);
    }

    fn handle_link(&mut self, now: Duration, port: PortId, up: bool) {
        self.inner_mut().handle_link(now, port, up);
    }

    fn blocked(&self) -> PortMask {
        self.inner().blocked()
    }

    fn poll_timeout(&self) -> Option<Duration> {
        self.inner().poll_timeout()
    }

    fn handle_timeout(&mut self, now: Duration) {
        self.inner_mut().handle_timeout(now);
    }

    fn poll_transmit(&mut self, frame: &mut [u8; PROBE_LEN]) -> Option<Transmit> {
        self.inner_mut().poll_transmit(frame)
    }
}

impl Detector {
    fn inner(&self) -> &dyn Guard {
        match self {
            Self::Classic(classic) => &**classic,
            Self::Strict(strict) => &**strict,
        }
    }

    fn inner_mut(&mut self) -> &mut dyn Guard {
        match self {
            Self::Classic(classic) => &mut **classic,
            Self::Strict(strict) => &mut **strict,
        }
    }
}
