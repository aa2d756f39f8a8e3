//! A switch that does not exist: frames in, frames out, and RRCP answered from its registers.

use std::num::NonZeroU32;
use std::time::Duration;

use rrcp::device::{DEVICE_FRAME_LEN, Device, Identity, Verdict};
use rrcp::wire::{ChipId, RegisterAddress, VendorId};
use rrcp::{Config, Event, LoopDetector, MacAddr6, PortId, PortMask};
use switch::registers::{Loops, Registers};
use switch::{Database, Switch, Transmit};
use vlan_table::{EtherType, Header};

/// Loop detector for as many ports as RRCP can name.
type Detector = LoopDetector<32, 1>;

/// Stations that the switch remembers, as many as an RTL8316B.
const STATIONS: u32 = 4096;

/// What kind of switch it is.
#[derive(Clone, Debug)]
pub struct Setup {
    /// Identity and key.
    pub identity: Identity,
    /// How many ports it has, 26 at most; each starts without a cable.
    pub ports: u16,
    /// Numbers that differ from run to run: for the hash table and the loop detector.
    pub seed: [u64; 2],
    /// What happens to answers on their way out.
    pub faults: Faults,
}

impl Setup {
    /// A switch of eight ports with the default key.
    pub fn new(mac: MacAddr6) -> Self {
        // The number in RTL8316B images, and that of the default EEPROM image.
        let identity = Identity::new(mac, ChipId(0x000C), VendorId(0x4342_4140));
        Self { identity, ports: 8, seed: [1, 2], faults: Faults::default() }
    }
}

/// Answers that get lost or come twice, counted from 1: for tests of clients.
#[derive(Clone, Copy, Debug, Default)]
pub struct Faults {
    /// Every so many answers one is lost.
    pub lose: Option<NonZeroU32>,
    /// Every so many answers one comes twice.
    pub double: Option<NonZeroU32>,
}

/// A switch with its registers.
#[derive(Debug)]
pub struct Simulated {
    switch: Switch<Detector>,
    registers: Registers,
    device: Device,
    faults: Faults,
    answers: u32,
}

/// Something that an operator of the switch would like to see.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Happening {
    /// A register was written.
    Written {
        /// Which.
        register: RegisterAddress,
        /// What.
        data: u32,
    },
    /// The loop detector found something.
    Loop(Event),
}

impl Simulated {
    /// A switch right after power-on.
    pub fn new(now: Duration, setup: &Setup) -> Self {
        let Setup { identity, ports, seed, faults } = setup;
        let mut registers = Registers::new(PortMask::first(*ports));
        let database = Database::hashed(STATIONS, *seed, fdb::Config::REALTEK);
        let detector = Detector::new(now, Config::new(identity.mac, seed[0]));
        let mut switch = Switch::dot1q(registers.rules(), database).with_guard(detector);
        switch.set_storm(registers.storm());
        for port in PortMask::<1>::first(*ports) {
            registers.over(now, &mut switch).set_cable(port, false);
        }
        let device = Device::new(*identity);
        Self { switch, registers, device, faults: *faults, answers: 0 }
    }

    /// Plugs a cable in, or pulls it out.
    pub fn set_cable(&mut self, now: Duration, port: PortId, plugged: bool) {
        self.registers.over(now, &mut self.switch).set_cable(port, plugged);
    }

    /// Takes a frame from a port; `send` gets what leaves, and by which port.
    pub fn receive(
        &mut self,
        now: Duration,
        port: PortId,
        frame: &mut [u8],
        mut send: impl FnMut(PortId, &[u8]),
    ) -> Option<Happening> {
        let Ok(header) = Header::read(frame) else { return None };
        if header.ether_type() == EtherType::REALTEK {
            let mut out = [0; DEVICE_FRAME_LEN];
            let mut registers = self.registers.over(now, &mut self.switch);
            match self.device.handle_frame(port, frame, &mut registers, &mut out) {
                Verdict::Relay => drop(self.device.mark_uplink(port, frame)),
                Verdict::Answer(answer) => {
                    self.answer(port, answer, &mut send);
                    return None;
                }
                Verdict::AnswerAndRelay(answer) => self.answer(port, answer, &mut send),
                Verdict::Written { register, data } => return Some(Happening::Written { register, data }),
                Verdict::Drop(_) => return None,
            }
        }
        let decision = self.switch.receive(now, port, frame);
        let mut out = vec![0; frame.len() + 2 * vlan_table::Tag::LEN + vlan_table::frame::MIN_LEN];
        for copy in self.switch.copies(&decision) {
            let Ok(len) = copy.write(frame, &mut out) else { continue };
            let Some(bytes) = out.get(..len) else { continue };
            copy.ports.iter().for_each(|port| send(port, bytes));
        }
        None
    }

    /// Does what is due, such as probes for loops.
    pub fn handle_timeout(&mut self, now: Duration, mut send: impl FnMut(PortId, &[u8])) {
        self.switch.handle_timeout(now);
        let mut probe = [0; Transmit::LONGEST];
        // The buffer is long enough.
        while let Ok(Some(Transmit { port, len })) = self.switch.poll_transmit(&mut probe) {
            probe.get(..len).into_iter().for_each(|bytes| send(port, bytes));
        }
    }

    /// When [`handle_timeout`](Self::handle_timeout) is due.
    pub fn poll_timeout(&self) -> Option<Duration> {
        self.switch.poll_timeout()
    }

    /// What the loop detector has found since.
    pub fn poll_event(&mut self) -> Option<Happening> {
        self.switch.guard_mut().poll_event().map(Happening::Loop)
    }

    /// The answering part, to be read.
    pub const fn device(&self) -> &Device {
        &self.device
    }

    /// Ports in a loop.
    pub fn looped(&self) -> PortMask {
        self.switch.guard().looped()
    }

    fn answer(&mut self, port: PortId, answer: &[u8], send: &mut impl FnMut(PortId, &[u8])) {
        self.answers = self.answers.wrapping_add(1);
        let hits = |every: Option<NonZeroU32>| every.is_some_and(|every| self.answers % every == 0);
        let copies = match (hits(self.faults.lose), hits(self.faults.double)) {
            (true, _) => 0,
            (false, true) => 2,
            (false, false) => 1,
        };
        (0..copies).for_each(|_| send(port, answer));
    }
}
