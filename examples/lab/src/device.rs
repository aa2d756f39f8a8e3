//! A switch whose ports have names, and whose copies are bytes.

mod reason;

use core::time::Duration;
use std::collections::HashMap;

use serde::Serialize;
use switch::fdb::{Key, Kind, Learned};
use switch::vlan_table::openvswitch::VlanMode;
use switch::vlan_table::{EtherType, Header, PortId, PortMask, TagVid, VlanId};
use switch::{Decision, Dropped, Outcome, Rules, Switch, Transmit};

use crate::detector::{Alarm, Detector};
use crate::report::{PortCounters, Report, Station, Storm};

/// The composed switch, ready to be wired up.
#[derive(Debug)]
pub struct Device {
    model: String,
    switch: Switch<Option<Detector>>,
    /// By port number.
    names: Vec<String>,
    /// What left by each port, tags and padding included.
    sent: Vec<Sent>,
    drops: HashMap<(PortId, Dropped), u64>,
    storms: Vec<Raging>,
    /// A copy on its way out.
    buffer: Box<[u8]>,
}

/// What a switch did with a frame.
#[derive(Clone, Debug, Serialize)]
pub struct Handling {
    /// The VLAN that the frame is in; `None` if the switch has none or did not let it in.
    pub vlan: Option<u16>,
    /// What the switch learned from it.
    pub learning: Learning,
    /// Whether it left.
    pub fate: Fate,
    /// The ports that it left by.
    pub ports: Vec<String>,
}

/// What a switch learned from the source of a frame.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Learning {
    /// Nothing that it did not know.
    Nothing,
    /// A new station.
    New,
    /// A known station is behind another port now.
    Moved {
        /// The port it was behind.
        from: String,
    },
}

/// What became of a frame.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Fate {
    /// It left by the one port behind which its destination is.
    Known,
    /// It left by every port of its VLAN.
    Flooded,
    /// It ended here, as it should.
    Filtered(&'static str),
    /// A rule discarded it.
    Dropped(&'static str),
}

#[derive(Clone, Copy, Debug, Default)]
struct Sent {
    frames: u64,
    bytes: u64,
}

/// The longest frame, with the two tags that a switch may add: what an interface with segmentation
/// offload hands over at once.
const LONGEST: usize = 65_536 + 8;

/// A storm, so far.
#[derive(Clone, Copy, Debug)]
struct Raging {
    port: PortId,
    class: &'static str,
    first: Duration,
    last: Duration,
    dropped: u64,
}

/// Without a discarded frame for so long, a storm is over.
const PEACE: Duration = Duration::from_secs(1);
const MOST_STORMS: usize = 1000;

impl Device {
    /// `names` has a name for each port of `switch`, in order.
    pub(crate) fn new(model: impl Into<String>, switch: Switch, names: Vec<String>) -> Self {
        Self {
            model: model.into(),
            switch: switch.with_guard(None),
            sent: vec![Sent::default(); names.len()],
            names,
            drops: HashMap::new(),
            storms: Vec::new(),
            buffer: vec![0; LONGEST].into(),
        }
    }

    /// Gives the switch a loop detector that has seen no link yet.
    pub(crate) fn set_detector(&mut self, detector: Option<Detector>) {
        *self.switch.guard_mut() = detector;
    }

    /// The names of the ports, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(String::as_str)
    }

    /// The ports, in order.
    pub fn ports(&self) -> PortMask {
        PortMask::first(self.names.len() as u16)
    }

    /// The port of this name.
    pub fn port(&self, name: &str) -> Option<PortId> {
        let index = self.names.iter().position(|known| known == name)?;
        PortId::new(index as u16)
    }

    /// The name of a port.
    pub fn name(&self, port: PortId) -> &str {
        self.names.get(port.index()).map_or("?", String::as_str)
    }

    /// A frame arrives; every copy that leaves is handed to `send` with its port.
    pub fn receive(
        &mut self,
        now: Duration,
        port: PortId,
        frame: &[u8],
        mut send: impl FnMut(PortId, &[u8]),
    ) -> Decision {
        let decision = self.switch.receive(now, port, frame);
        if let Outcome::Dropped(reason) = decision.outcome {
            *self.drops.entry((port, reason)).or_default() += 1;
            if let Dropped::Storm(_) = reason {
                self.note_storm(now, port, reason::dropped(reason));
            }
        }
        for copy in self.switch.copies(&decision) {
            let len = copy.write(frame, &mut self.buffer).unwrap_or(0);
            let bytes = self.buffer.get(..len).unwrap_or_default();
            for port in copy.ports {
                if let Some(sent) = self.sent.get_mut(port.index()) {
                    sent.frames += 1;
                    sent.bytes += len as u64;
                }
                send(port, bytes);
            }
        }
        decision
    }

    /// A frame was discarded by storm control: a new storm, or more of one that goes on.
    fn note_storm(&mut self, now: Duration, port: PortId, class: &'static str) {
        let room = self.storms.len() < MOST_STORMS;
        let latest = self.storms.iter_mut().rev().find(|storm| (storm.port, storm.class) == (port, class));
        match latest.filter(|storm| now.saturating_sub(storm.last) <= PEACE) {
            Some(storm) => {
                storm.last = storm.last.max(now);
                storm.dropped += 1;
            }
            None if room => self.storms.push(Raging { port, class, first: now, last: now, dropped: 1 }),
            None => {}
        }
    }

    /// What a decision about `frame` amounts to, for people.
    pub fn explain(&self, now: Duration, frame: &[u8], decision: &Decision) -> Handling {
        let known = || {
            let (header, classified) = (Header::read(frame).ok()?, decision.classified?);
            self.switch.database().lookup(now, Key::from_octets(classified.fid(), header.dst()))
        };
        Handling {
            vlan: decision.classified.map(|classified| classified.vid().raw()),
            learning: match decision.learned {
                Some(Learned::New | Learned::Replaced { .. }) => Learning::New,
                Some(Learned::Moved { from }) => Learning::Moved { from: self.name(from).to_owned() },
                _ => Learning::Nothing,
            },
            fate: match decision.outcome {
                Outcome::Forwarded if known().is_some() => Fate::Known,
                Outcome::Forwarded => Fate::Flooded,
                Outcome::Filtered(why) => Fate::Filtered(reason::filtered(why)),
                Outcome::Dropped(why) => Fate::Dropped(reason::dropped(why)),
            },
            ports: decision.ports.iter().map(|port| self.name(port).to_owned()).collect(),
        }
    }

    /// Lets time pass.
    pub fn handle_timeout(&mut self, now: Duration) {
        self.switch.handle_timeout(now);
    }

    /// When [`handle_timeout`](Self::handle_timeout) has something to do.
    pub fn next_timeout(&self) -> Option<Duration> {
        self.switch.poll_timeout()
    }

    /// A cable is plugged in or pulled.
    pub fn set_link(&mut self, now: Duration, port: PortId, up: bool) {
        _ = self.switch.set_link(now, port, up); // every port of `ports` is the switch's
    }

    /// Frames and bytes that came in so far.
    pub fn received(&self) -> (u64, u64) {
        let total = self.switch.counters().total();
        (total.received, total.received_bytes)
    }

    /// The next frame of the switch's own, and the port that it leaves by.
    pub(crate) fn poll_transmit(&mut self) -> Option<(PortId, &[u8])> {
        // The buffer holds the longest frame.
        let Transmit { port, len } = self.switch.poll_transmit(&mut self.buffer).ok().flatten()?;
        if let Some(sent) = self.sent.get_mut(port.index()) {
            sent.frames += 1;
            sent.bytes += len as u64;
        }
        Some((port, self.buffer.get(..len)?))
    }

    /// What the loop detector says next.
    pub(crate) fn poll_alarm(&mut self) -> Option<Alarm> {
        let alarm = self.switch.guard_mut().as_mut()?.poll_alarm()?;
        Some(alarm.map(|port| self.name(port).to_owned()))
    }

    /// Whether `frame`, about which the switch has decided, overtakes others on the cables that it
    /// leaves by: a probe that a loop detector had flooded.
    pub(crate) fn overtakes(&self, frame: &[u8], decision: &Decision) -> bool {
        let detector = self.switch.guard().as_ref();
        decision.learned.is_none()
            && detector.is_some_and(Detector::overtakes)
            && Header::read(frame).is_ok_and(|header| header.ether_type() == EtherType::REALTEK)
    }

    /// Whether probes of the switch's own overtake other frames.
    pub(crate) fn own_probes_overtake(&self) -> bool {
        self.switch.guard().as_ref().is_some_and(Detector::overtakes)
    }

    /// The ports that are in a VLAN.
    pub(crate) fn members(&self, vlan: VlanId) -> PortMask {
        match self.switch.rules() {
            Rules::Chip(table) => {
                let entry = table.config().entries.iter().find(|entry| entry.vid == vlan.get());
                entry.map_or(PortMask::EMPTY, |entry| entry.members)
            }
            Rules::Dot1q(bridge) => bridge.vlan(vlan).members,
            Rules::OpenVSwitch(bridge) => {
                let carries = |port: &PortId| {
                    bridge.port(*port).is_some_and(|config| {
                        let one = matches!(config.vlan_mode, VlanMode::Access | VlanMode::Dot1qTunnel);
                        let trunks = config.trunks.as_ref().is_none_or(|trunks| trunks.contains(vlan.get()));
                        config.tag == TagVid::Vlan(vlan) || (!one && trunks)
                    })
                };
                self.ports().iter().filter(carries).collect()
            }
        }
    }

    /// What the switch has learned, in the order of addresses.
    pub fn stations(&self, now: Duration) -> Vec<Station> {
        let database = self.switch.database();
        let age_resolution = database.ageing().resolution();
        let rows = database.rows(now);
        rows.into_iter()
            .map(|row| Station {
                mac: row.key.mac().into_array(),
                host: None,
                fid: row.key.fid().get(),
                vlan: VlanId::new(row.key.fid().get()).map(VlanId::get),
                port: self.name(row.entry.port).to_owned(),
                kind: kind(row.entry.kind),
                age: row.age,
                age_resolution: row.age.map(|_| age_resolution),
            })
            .collect()
    }

    /// Everything that was counted and learned.
    pub fn report(&self, now: Duration) -> Report {
        let counters = self.switch.counters();
        let total = counters.total();
        Report {
            model: self.model.clone(),
            received: total.received,
            forwarded: total.forwarded,
            filtered: total.filtered,
            dropped: total.dropped,
            filters: counters.filtered().map(|(why, count)| (reason::filtered(why), count)).collect(),
            drops: counters.dropped().map(|(why, count)| (reason::dropped(why), count)).collect(),
            ports: self
                .ports()
                .iter()
                .zip(&self.names)
                .map(|(port, name)| (name.clone(), self.port_report(port)))
                .collect(),
            fdb: self.stations(now),
            storms: self.storms.iter().map(|storm| self.storm_report(storm)).collect(),
        }
    }

    fn storm_report(&self, storm: &Raging) -> Storm {
        let Raging { port, class, first, last, dropped } = *storm;
        Storm { port: self.name(port).to_owned(), class, first, last, dropped }
    }

    fn port_report(&self, port: PortId) -> PortCounters {
        let counters = self.switch.counters().port(port);
        let sent = self.sent.get(port.index()).copied().unwrap_or_default();
        let of_port = self.drops.iter().filter(|((from, _), _)| *from == port);
        PortCounters {
            rx_frames: counters.received,
            rx_bytes: counters.received_bytes,
            tx_frames: sent.frames,
            tx_bytes: sent.bytes,
            forwarded: counters.forwarded,
            filtered: counters.filtered,
            dropped: counters.dropped,
            drops: of_port.map(|((_, why), count)| (reason::dropped(*why), *count)).collect(),
        }
    }
}

const fn kind(kind: Kind) -> &'static str {
    match kind {
        Kind::Dynamic => "dynamic",
        Kind::Sticky => "sticky",
        Kind::Locked => "locked",
        Kind::Static => "static",
        Kind::Drop => "drop",
        Kind::Local => "local",
        Kind::External => "external",
    }
}
