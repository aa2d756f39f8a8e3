//! From a received frame to what leaves which port.

use core::time::Duration;

use fdb::{DirectCam, Fdb, FlushScope, Key};
use rrcp::device::{DEVICE_FRAME_LEN, Device, Identity, Verdict};
use rrcp::wire::{ChipId, VendorId};
use rrcp::{ClassicDetector, Disposition, MacAddr6, PROBE_LEN};
use vlan_table::chip::{self, Model, Table};
use vlan_table::{Classified, DropReason, FrameMut, Header, PortId, PortMask, TagAction};

use crate::PhyAccess;

/// How many ports there are.
pub const PORTS: usize = 5;
/// The longest frame that is taken, without FCS.
pub const FRAME_LEN: usize = 1536;
/// In front of a frame for a tag, and behind it for padding.
const ROOM: usize = 4;

/// What became of a frame.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Fate {
    /// Copies left these ports, possibly none.
    Forwarded(PortMask),
    /// The VLAN rules discard it.
    Dropped(DropReason),
    /// It is no frame, too long, or to an address that is not forwarded.
    Refused,
    /// It was for the switch itself, or one of its own probes.
    Consumed,
}

/// The switch.
#[derive(Debug)]
pub struct Switch {
    table: Table,
    stations: Fdb<DirectCam>,
    loops: ClassicDetector<PORTS>,
    device: Device,
    registers: PhyAccess,
    buffer: [u8; ROOM + FRAME_LEN + ROOM],
}

impl Switch {
    /// A switch after reset, all links up.
    pub fn new(mac: MacAddr6, seed: u64) -> Option<Self> {
        let registers = PhyAccess::after_reset(Model::RTL8305SC);
        let mut loops = ClassicDetector::new(Duration::ZERO, mac, seed);
        for port in Model::RTL8305SC.port_mask() {
            loops.handle_link(Duration::ZERO, port, true);
        }
        Some(Self {
            table: Table::new(registers.image.to_config(Model::RTL8305SC).ok()?).ok()?,
            stations: Fdb::new(DirectCam::new(), fdb::Config::REALTEK),
            loops,
            device: Device::new(Identity::new(mac, ChipId(2), VendorId(0))),
            registers,
            buffer: [0; ROOM + FRAME_LEN + ROOM],
        })
    }

    /// Takes a frame and hands its copies to `send`.
    pub fn receive(
        &mut self,
        now: Duration,
        port: PortId,
        frame: &[u8],
        mut send: impl FnMut(PortId, &[u8]),
    ) -> Fate {
        let Ok(header) = Header::read(frame) else { return Fate::Refused };
        if frame.len() > FRAME_LEN || !self.table.config().reserved_addresses().relays(header.dst_bits()) {
            return Fate::Refused;
        }
        if self.loops.handle_frame(now, port, frame) == Disposition::OwnProbe
            || self.answer(now, port, frame, &mut send)
        {
            return Fate::Consumed;
        }
        let verdict = match self.table.classify(port, &header) {
            Ok(verdict) => verdict,
            Err(reason) => return Fate::Dropped(reason),
        };
        if verdict.learn {
            // A full table is no error: the frame is forwarded all the same.
            _ = self.stations.learn(now, Key::from_octets(verdict.fid, header.src()), port);
        }
        let known = self.stations.lookup(now, Key::from_octets(verdict.fid, header.dst()));
        let ports = match known.filter(|_| !header.is_group()) {
            Some(station) => PortMask::EMPTY.with(station.port).intersection(verdict.reachable),
            None => verdict.members,
        };
        self.send_copies(frame, &verdict, ports, send);
        Fate::Forwarded(ports)
    }

    /// Sends what is due, such as loop probes; to be called at [`next_timeout`](Self::next_timeout).
    pub fn tick(&mut self, now: Duration, mut send: impl FnMut(PortId, &[u8])) {
        self.loops.handle_timeout(now);
        self.stations.expire(now);
        let mut probe = [0; PROBE_LEN];
        while let Some(sent) = self.loops.poll_transmit(&mut probe) {
            send(sent.port, &probe);
        }
        while self.loops.poll_event().is_some() {}
    }

    /// When [`tick`](Self::tick) wants to be called.
    pub fn next_timeout(&self) -> Option<Duration> {
        [self.loops.poll_timeout(), self.stations.next_expiry()].into_iter().flatten().min()
    }

    /// Lets RRCP have the frame; `true` if it went no further.
    fn answer(
        &mut self,
        now: Duration,
        port: PortId,
        frame: &[u8],
        send: &mut impl FnMut(PortId, &[u8]),
    ) -> bool {
        let mut out = [0; DEVICE_FRAME_LEN];
        match self.device.handle_frame(port, frame, &mut self.registers, &mut out) {
            Verdict::Relay => false,
            Verdict::Answer(answer) => {
                send(port, answer);
                true
            }
            Verdict::AnswerAndRelay(answer) => {
                send(port, answer);
                false
            }
            Verdict::Written { .. } => {
                self.follow_registers(now);
                true
            }
            Verdict::Drop(_) => true,
        }
    }

    /// Compiles the VLAN table anew; registers that mean nothing leave it as it is.
    fn follow_registers(&mut self, now: Duration) {
        let config = self.registers.image.to_config(self.table.config().model);
        if let Some(table) =
            config.ok().filter(|new| new != self.table.config()).and_then(|new| Table::new(new).ok())
        {
            self.table = table;
            self.stations.flush(now, FlushScope::ALL);
        }
    }

    /// One buffer for all copies: each starts from the frame as it came.
    fn send_copies(
        &mut self,
        frame: &[u8],
        verdict: &Classified,
        ports: PortMask,
        mut send: impl FnMut(PortId, &[u8]),
    ) {
        for (action, group) in self.table.copies(verdict, ports) {
            let Some(space) = self.buffer.get_mut(ROOM..ROOM + frame.len()) else { return };
            space.copy_from_slice(frame);
            let Ok(mut copy) = FrameMut::with_tailroom(&mut self.buffer, ROOM, frame.len()) else { return };
            // There is room for one tag and for the padding that its removal takes.
            _ = action.apply(&mut copy);
            if action == TagAction::Pop {
                _ = copy.pad(chip::PADDING);
            }
            group.iter().for_each(|port| send(port, copy.as_bytes()));
        }
    }
}
