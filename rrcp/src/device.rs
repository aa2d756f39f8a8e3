//! The answering side of RRCP and REP: what a switch does with such a frame. No clock, no I/O.
//!
//! The switch model asks [`Device::handle_frame`] about every frame with EtherType 0x8899 before
//! it forwards it, and does what the [`Verdict`] says. The registers are the model's
//! ([`RegisterSpace`]); identity, key and the switches of the protocol itself (0200 to 0209) are
//! kept here, because the rules for answering need them.
//!
//! The rules (RTL8316BP r1.2, 8.20; RTL8326 r3.1, 7.22):
//!
//! - Get and set are for one switch; a hello may be for all. For all: any key will do, but once
//!   the key was changed since power-on, nobody answers.
//! - For us but with a wrong key, or on a port that ignores RRCP: dropped without a word.
//! - For all or for others: relayed as normal traffic.
//! - A hello reply that passes through gets our address and port, if nobody did that before
//!   ([`Device::mark_uplink`]).

use macaddr::MacAddr6;
use vlan_table::{PortId, PortMask, Tag};

use crate::ParseError;
use crate::registers::{PortHalves, ProtocolControl, Reset, mac_from_words, mac_to_words};
use crate::wire::{
    Access, AuthKey, BROADCAST, ChipId, Frame, FrameView, HelloReply, MIN_LEN, Message, Op, RegisterAddress,
    Rep, Rrcp, VendorId,
};

/// Tags that a device looks behind, and returns in its answer.
pub const DEVICE_MAX_TAGS: usize = 2;

/// Room for every answer: a minimal frame and its tags.
pub const DEVICE_FRAME_LEN: usize = MIN_LEN + DEVICE_MAX_TAGS * Tag::LEN;

/// The registers of a switch model, but for 0200 to 0209.
pub trait RegisterSpace {
    /// The value of a register; `None` if there is none (the device then answers zero, as it is
    /// not known what chips do).
    fn read(&mut self, register: RegisterAddress) -> Option<u32>;

    /// Writes a register, or does nothing if there is none. Registers 0200 to 0209 are written
    /// here as well, so that the model can follow them.
    fn write(&mut self, register: RegisterAddress, data: u32);
}

/// Who the switch is, as its EEPROM says at power-on.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Identity {
    /// Its own address (0203-5).
    pub mac: MacAddr6,
    /// 0206.
    pub chip: ChipId,
    /// 0207-8.
    pub vendor: VendorId,
    /// 0209.
    pub key: AuthKey,
    /// 0200.
    pub control: ProtocolControl,
    /// Ports that ignore RRCP (0201-2).
    pub ignored_ports: PortMask,
}

impl Identity {
    /// A switch with the default key that answers on all ports and detects loops.
    pub const fn new(mac: MacAddr6, chip: ChipId, vendor: VendorId) -> Self {
        let control = ProtocolControl(0).with_loop_detection(true);
        Self { mac, chip, vendor, key: AuthKey::DEFAULT, control, ignored_ports: PortMask::EMPTY }
    }
}

/// What to do with a frame.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Verdict<'b> {
    /// Forward it like any other frame.
    Relay,
    /// Consume it, and send this out of the port it came in on.
    Answer(&'b [u8]),
    /// Send this out of the port it came in on, and forward the frame: others answer as well.
    AnswerAndRelay(&'b [u8]),
    /// Consume it: a register was written.
    Written {
        /// Which register.
        register: RegisterAddress,
        /// What was written.
        data: u32,
    },
    /// Consume it without a word.
    Drop(DropReason),
}

/// Why a frame to the switch itself was dropped.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum DropReason {
    /// Its fields are cut, or its source is no station.
    Malformed,
    /// Its key is not that of register 0209.
    WrongKey,
    /// It came in on a port that ignores RRCP.
    PortIgnored,
    /// RRCP or REP is switched off.
    Off,
    /// A reply, a probe, a CPU tag or something unknown: nothing that a switch answers.
    NotAsked,
}

impl DropReason {
    /// How many reasons there are.
    pub const COUNT: usize = Self::NotAsked as usize + 1;
}

/// What happened to frames: every frame is in exactly one number, but for answered broadcasts,
/// which are relayed too.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Counters {
    /// Frames that were answered.
    pub answered: u64,
    /// Registers that were written.
    pub written: u64,
    /// Frames that were left to normal forwarding.
    pub relayed: u64,
    /// Reads of registers that the model does not have; they were answered with zero.
    pub unknown_registers: u64,
    dropped: [u64; DropReason::COUNT],
}

impl Counters {
    /// Frames that were dropped for this reason.
    pub fn dropped(&self, reason: DropReason) -> u64 {
        self.dropped.get(reason as usize).copied().unwrap_or_default()
    }

    fn count(&mut self, verdict: &Verdict<'_>) {
        match verdict {
            Verdict::Relay => self.relayed += 1,
            Verdict::Answer(_) | Verdict::AnswerAndRelay(_) => self.answered += 1,
            Verdict::Written { .. } => self.written += 1,
            Verdict::Drop(reason) => {
                if let Some(count) = self.dropped.get_mut(*reason as usize) {
                    *count += 1;
                }
            }
        }
    }
}

/// The part of a switch that answers RRCP and REP.
///
/// ```
/// use rrcp::device::{DEVICE_FRAME_LEN, Device, Identity, RegisterSpace, Verdict};
/// use rrcp::wire::{AuthKey, BROADCAST, ChipId, Op, RegisterAddress, Rrcp, VendorId};
/// use rrcp::{Frame, MacAddr6, PortId};
///
/// struct Ports { off: u16 }
/// impl RegisterSpace for Ports {
///     fn read(&mut self, register: RegisterAddress) -> Option<u32> {
///         (register == RegisterAddress::PORTS_OFF).then_some(self.off.into())
///     }
///     fn write(&mut self, register: RegisterAddress, data: u32) {
///         if register == RegisterAddress::PORTS_OFF {
///             self.off = data as u16;
///         }
///     }
/// }
///
/// let mac = MacAddr6::new(0x52, 0x54, 0x4C, 1, 2, 3);
/// let mut device = Device::new(Identity::new(mac, ChipId(0x0C), VendorId(0x11F6_7005)));
/// let station = MacAddr6::new(2, 0, 0, 0, 0, 1);
/// let hello = Rrcp { key: AuthKey::DEFAULT, op: Op::Hello };
/// let mut frame = [0; 60];
/// Frame { dst: BROADCAST, src: station, message: hello.into() }.emit(&[], &mut frame)?;
///
/// let (port, mut out) = (PortId::new(7).unwrap(), [0; DEVICE_FRAME_LEN]);
/// let verdict = device.handle_frame(port, &frame, &mut Ports { off: 0 }, &mut out);
/// let Verdict::AnswerAndRelay(reply) = verdict else { unreachable!() };
/// assert_eq!(reply[..6], station.into_array());
/// assert_eq!(reply[12..19], [0x88, 0x99, 0x01, 0x80, 0x23, 0x79, 7]);
/// # Ok::<(), rrcp::BufferTooSmall>(())
/// ```
#[derive(Clone, Debug)]
pub struct Device {
    power_on: Identity,
    now: Identity,
    key_changed: bool,
    counters: Counters,
}

impl Device {
    /// A switch right after power-on.
    pub fn new(identity: Identity) -> Self {
        Self { power_on: identity, now: identity, key_changed: false, counters: Counters::default() }
    }

    /// Who the switch is now: sets may have changed it.
    pub const fn identity(&self) -> &Identity {
        &self.now
    }

    /// What happened to frames.
    pub const fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Decides what becomes of a frame that came in on `ingress`; an answer is written to `out`,
    /// behind the tags of the question. O(1).
    pub fn handle_frame<'b>(
        &mut self,
        ingress: PortId,
        frame: &[u8],
        registers: &mut impl RegisterSpace,
        out: &'b mut [u8; DEVICE_FRAME_LEN],
    ) -> Verdict<'b> {
        let verdict = match FrameView::new(frame, DEVICE_MAX_TAGS) {
            Ok(view) => match self.decide(ingress, &view, registers) {
                Decision::Relay => Verdict::Relay,
                Decision::Drop(reason) => Verdict::Drop(reason),
                Decision::Written { register, data } => Verdict::Written { register, data },
                Decision::Answer(message) => {
                    let answer = Frame { dst: view.src(), src: self.now.mac, message };
                    let answer = emit_behind_tags_of(&view, &answer, out);
                    let for_all = view.dst() == BROADCAST;
                    if for_all { Verdict::AnswerAndRelay(answer) } else { Verdict::Answer(answer) }
                }
            },
            Err(ParseError::NotOurs { .. }) => Verdict::Relay,
            Err(_) if frame.starts_with(self.now.mac.as_ref()) => Verdict::Drop(DropReason::Malformed),
            Err(_) => Verdict::Relay,
        };
        self.counters.count(&verdict);
        verdict
    }

    /// Writes our address and `ingress` into a hello reply that passes through, unless a switch
    /// before us did; says whether the frame was changed.
    ///
    /// Call it for frames that [`Verdict::Relay`] lets pass. That the first switch writes and
    /// later ones leave it alone is how the datasheets are read here; their wording is not clear.
    pub fn mark_uplink(&self, ingress: PortId, frame: &mut [u8]) -> bool {
        let Ok(view) = FrameView::new(frame, DEVICE_MAX_TAGS) else { return false };
        let Message::Rrcp(Rrcp { op: Op::HelloReply(reply), .. }) = view.message() else { return false };
        if !self.now.control.rrcp() || reply.uplink().is_some() {
            return false;
        }
        let at = view.payload_offset();
        HelloReply::write_uplink(frame, at, self.now.mac, ingress.get() as u8)
    }

    fn decide(
        &mut self,
        ingress: PortId,
        view: &FrameView<'_>,
        registers: &mut impl RegisterSpace,
    ) -> Decision {
        let (for_us, for_all) = (view.dst() == self.now.mac, view.dst() == BROADCAST);
        // Whatever is not for us goes its way.
        let refuse = |reason| if for_us { Decision::Drop(reason) } else { Decision::Relay };
        if !view.src().is_unicast() || view.src().is_nil() {
            return refuse(DropReason::Malformed);
        }
        match view.message() {
            Message::Rep(Rep { reply: false, cookie }) if for_us || for_all => {
                if !self.now.control.rep() {
                    return refuse(DropReason::Off);
                }
                Decision::Answer(Rep { reply: true, cookie }.into())
            }
            Message::Rrcp(Rrcp { key, op: op @ (Op::Hello | Op::Get(_) | Op::Set(_)) }) => {
                if !self.now.control.rrcp() {
                    refuse(DropReason::Off)
                } else if self.now.ignored_ports.contains(ingress) {
                    refuse(DropReason::PortIgnored)
                } else if for_all && op == Op::Hello && !self.key_changed {
                    self.answer(ingress, op, registers)
                } else if !for_us {
                    Decision::Relay
                } else if key != self.now.key {
                    Decision::Drop(DropReason::WrongKey)
                } else {
                    self.answer(ingress, op, registers)
                }
            }
            _ => refuse(DropReason::NotAsked),
        }
    }

    fn answer(&mut self, ingress: PortId, op: Op, registers: &mut impl RegisterSpace) -> Decision {
        let key = self.now.key;
        let op = match op {
            Op::Get(access) => Op::GetReply(Access { data: self.read(access.register, registers), ..access }),
            Op::Set(access) => {
                let data = if access.register.is_wide() { access.data } else { access.data & 0xFFFF };
                self.write(access.register, data, registers);
                return Decision::Written { register: access.register, data };
            }
            _ => Op::HelloReply(HelloReply {
                downlink_port: ingress.get() as u8,
                uplink_port: 0,
                uplink_mac: MacAddr6::nil(),
                chip: self.now.chip,
                vendor: self.now.vendor,
            }),
        };
        Decision::Answer(Rrcp { key, op }.into())
    }

    fn read(&mut self, register: RegisterAddress, registers: &mut impl RegisterSpace) -> u32 {
        let PortHalves { low, high } = PortHalves::from_ports(self.now.ignored_ports);
        let [mac0, mac1, mac2] = mac_to_words(self.now.mac);
        let own = match register.0 {
            0x0200 => self.now.control.0,
            0x0201 => low,
            0x0202 => high,
            0x0203 => mac0,
            0x0204 => mac1,
            0x0205 => mac2,
            0x0206 => self.now.chip.0,
            0x0207 => self.now.vendor.0 as u16,
            0x0208 => (self.now.vendor.0 >> 16) as u16,
            0x0209 => self.now.key.0,
            _ => {
                let data = registers.read(register);
                self.counters.unknown_registers += u64::from(data.is_none());
                let data = data.unwrap_or_default();
                return if register.is_wide() { data } else { data & 0xFFFF };
            }
        };
        own.into()
    }

    fn write(&mut self, register: RegisterAddress, data: u32, registers: &mut impl RegisterSpace) {
        let mut ignored = PortHalves::from_ports(self.now.ignored_ports);
        let mut mac = mac_to_words(self.now.mac);
        let [mac0, mac1, mac2] = &mut mac;
        let word = data as u16;
        match register.0 {
            0x0000 if Reset::from_bits(word) == Some(Reset::Hard) => {
                (self.now, self.key_changed) = (self.power_on, false);
            }
            0x0200 => self.now.control = ProtocolControl(word),
            0x0201 => ignored.low = word,
            0x0202 => ignored.high = word,
            0x0203 => *mac0 = word,
            0x0204 => *mac1 = word,
            0x0205 => *mac2 = word,
            0x0209 => {
                self.key_changed |= self.now.key != AuthKey(word);
                self.now.key = AuthKey(word);
            }
            _ => {}
        }
        match register.0 {
            0x0201..=0x0202 => self.now.ignored_ports = ignored.ports(),
            0x0203..=0x0205 => self.now.mac = mac_from_words(mac),
            _ => {}
        }
        registers.write(register, data);
    }
}

/// A [`Verdict`] whose answer is not written yet.
enum Decision {
    Relay,
    Drop(DropReason),
    Answer(Message<'static>),
    Written { register: RegisterAddress, data: u32 },
}

fn emit_behind_tags_of<'b>(
    view: &FrameView<'_>,
    answer: &Frame<'_>,
    out: &'b mut [u8; DEVICE_FRAME_LEN],
) -> &'b [u8] {
    let mut tags = [Tag::from_bytes([0; Tag::LEN]); DEVICE_MAX_TAGS];
    for (tag, asked) in tags.iter_mut().zip(view.tags()) {
        *tag = asked;
    }
    // The view looked behind as many tags at most as there is room for.
    let tags = tags.get(..view.tags().len()).unwrap_or_default();
    let len = answer.emit(tags, out).unwrap_or_default();
    out.get(..len).unwrap_or_default()
}
