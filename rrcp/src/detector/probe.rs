//! The strict detector's probe: an RLDP long frame that says where, when and by whom it was sent.

use macaddr::MacAddr6;
use vlan_table::{PortId, VlanId};

use super::siphash::siphash24;
use crate::wire::{BROADCAST, MIN_LEN, Rldp, RldpRandom};
use crate::{Frame, FrameView, Message, Probe};

/// Key of a probe's tag; all switches of a network may share it or each have its own.
pub type ProbeKey = [u8; 16];

/// What a strict probe says.
///
/// | offset | length | field | value |
/// |---|---|---|---|
/// | 0 | 6 | destination | `FF:FF:FF:FF:FF:FF` |
/// | 6 | 6 | source | the sender |
/// | 12 | 2 | EtherType | `88 99` |
/// | 14 | 1 | protocol | `23`, RLDP |
/// | 15 | 1 | format | `81`: version 1; the top bit keeps the frame out of the short form |
/// | 16 | 1 | stake | low two bits: 0 listens, 1 waits, 2 claims, 3 presses ([`Stake`]); others 0, ignored |
/// | 17 | 4 | sequence | big-endian, one more with every round, wraps |
/// | 21 | 6 | RLDP magic | the sender's address again |
/// | 27 | 1 | RLDP port | low byte of the port |
/// | 28 | 4 | own magic | `4C 4F 4F 50`, "LOOP" |
/// | 32 | 2 | port | the sender's port that this copy left, big-endian |
/// | 34 | 2 | VLAN | 1..=4094, big-endian; 0 if the sender named none |
/// | 36 | 8 | nonce | differs from boot to boot, big-endian |
/// | 44 | 2 | priority | of the sender, big-endian; the lower acts first |
/// | 46 | 6 | reserved | 0, ignored |
/// | 52 | 8 | tag | SipHash-2-4 of the 38 bytes 14..52, big-endian; 0 without a key |
///
/// Sixty bytes, the shortest frame. VLAN tags shift every offset from 12 on by four and are not
/// under the tag, since switches rewrite them.
///
/// **Why this form.** RLDP hardware compares the magic with its own (the address unless configured
/// otherwise), so ours is another switch's probe there and is flooded; tcpdump and Wireshark name
/// it RLDP; [`Probe::Rldp`] reads it. The classic form has no room that chips are known to leave
/// alone: RTL8306E takes its bytes 16 and 17 for a TTL. Another EtherType would be no better
/// forwarded and would be one more number to know.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct StrictProbe {
    /// The sender.
    pub mac: MacAddr6,
    /// Differs from boot to boot of the sender.
    pub nonce: u64,
    /// Of the sender; among several that hear one loop, the lower acts first.
    pub priority: u16,
    /// Number of the sender's round; wraps.
    pub sequence: u32,
    /// The sender's port that this copy left.
    pub port: PortId,
    /// The VLAN that it was sent in; `None` if the sender named none.
    pub vlan: Option<VlanId>,
    /// What the sender will do if the probe comes back.
    pub stake: Stake,
}

/// What a sender will do if its probe comes back: how detectors that hear one loop take turns.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Stake {
    /// Report; it never blocks.
    Listens,
    /// Nothing yet: it has seen a loop that others should rather cut, and gives them time.
    Waits,
    /// Block, unless another that claims ranks before it.
    Claims,
    /// The same, and it has seen the loop before or has just cut another.
    Presses,
}

/// Length of an emitted probe, in bytes.
pub const PROBE_LEN: usize = MIN_LEN;

const FORMAT_1: u8 = 0x81;
const MAGIC: [u8; 4] = *b"LOOP";

/// Offsets behind the EtherType.
mod field {
    use core::ops::Range;

    /// What follows the fields of RLDP up to the tag.
    pub(super) const OWN: Range<usize> = 14..38;
    pub(super) const TAGGED: Range<usize> = 0..38;
    pub(super) const TAG: Range<usize> = 38..46;
    /// Where the payload starts in an untagged frame.
    pub(super) const PAYLOAD: usize = 14;
}

impl StrictProbe {
    /// The probe in `frame`; `None` if it is another form, another version or cut, or if its two
    /// copies of the sender's address differ. The tag is not looked at: see
    /// [`is_authentic`](Self::is_authentic).
    pub fn parse(frame: &FrameView<'_>) -> Option<Self> {
        let Message::Probe(Probe::Rldp(Rldp { random, magic, .. })) = frame.message() else {
            return None;
        };
        let [FORMAT_1, stake, s0, s1, s2, s3] = random.get() else { return None };
        let own: &[u8; 24] = frame.payload().get(field::OWN)?.first_chunk()?;
        let [m0, m1, m2, m3, p0, p1, v0, v1, n0, n1, n2, n3, n4, n5, n6, n7, r0, r1, ..] = *own;
        if [m0, m1, m2, m3] != MAGIC || frame.src() != MacAddr6::from(magic) {
            return None;
        }
        Some(Self {
            mac: frame.src(),
            nonce: u64::from_be_bytes([n0, n1, n2, n3, n4, n5, n6, n7]),
            priority: u16::from_be_bytes([r0, r1]),
            sequence: u32::from_be_bytes([s0, s1, s2, s3]),
            port: PortId::new(u16::from_be_bytes([p0, p1]))?,
            vlan: match u16::from_be_bytes([v0, v1]) {
                0 => None,
                raw => Some(VlanId::new(raw)?),
            },
            stake: match stake & 3 {
                0 => Stake::Listens,
                1 => Stake::Waits,
                2 => Stake::Claims,
                _ => Stake::Presses,
            },
        })
    }

    /// Whether the tag of `frame`, which holds a strict probe, was made with `key`.
    pub fn is_authentic(frame: &FrameView<'_>, key: ProbeKey) -> bool {
        let (tagged, tag) = (frame.payload().get(field::TAGGED), frame.payload().get(field::TAG));
        tagged.is_some_and(|bytes| tag == Some(&siphash24(key, bytes).to_be_bytes()))
    }

    /// Writes the untagged frame, with a tag if there is a key.
    pub fn emit(&self, key: Option<ProbeKey>, frame: &mut [u8; PROBE_LEN]) {
        let ([s0, s1, s2, s3], [_, port_low]) = (self.sequence.to_be_bytes(), self.port.get().to_be_bytes());
        // The format byte is not zero, so the random number exists and the frame fits.
        let Some(random) = RldpRandom::new([FORMAT_1, self.stake as u8, s0, s1, s2, s3]) else { return };
        let rldp = Rldp { random, magic: self.mac.into_array(), port: port_low };
        let head = Frame { dst: BROADCAST, src: self.mac, message: Probe::Rldp(rldp).into() };
        if head.emit(&[], frame).is_err() {
            return;
        }
        let vlan = self.vlan.map_or(0, VlanId::get);
        let own = MAGIC
            .into_iter()
            .chain(self.port.get().to_be_bytes())
            .chain(vlan.to_be_bytes())
            .chain(self.nonce.to_be_bytes())
            .chain(self.priority.to_be_bytes());
        let Some(payload) = frame.get_mut(field::PAYLOAD..) else { return };
        for (to, from) in payload.iter_mut().skip(field::OWN.start).zip(own) {
            *to = from;
        }
        let tag = key.zip(payload.get(field::TAGGED)).map(|(key, bytes)| siphash24(key, bytes));
        for (to, from) in payload.iter_mut().skip(field::TAG.start).zip(tag.unwrap_or(0).to_be_bytes()) {
            *to = from;
        }
    }

    /// Who acts first when several hear one loop: the lower.
    pub(super) const fn rank(&self) -> Rank {
        Rank { priority: self.priority, mac: self.mac, nonce: self.nonce }
    }
}

/// A detector's place among those that hear each other: the lower acts first.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) struct Rank {
    pub(super) priority: u16,
    pub(super) mac: MacAddr6,
    pub(super) nonce: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROBE: StrictProbe = StrictProbe {
        mac: MacAddr6::new(0x02, 0, 0, 0, 0, 0x0A),
        nonce: 0x0102_0304_0506_0708,
        priority: 0x8000,
        sequence: 0xCAFE_F00D,
        port: PortId::new(0x0103).unwrap(),
        vlan: VlanId::new(10),
        stake: Stake::Claims,
    };

    /// Assembled by hand from the table above.
    const BYTES: [u8; PROBE_LEN] = [
        0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x02, 0, 0, 0, 0, 0x0A, 0x88, 0x99, // to all
        0x23, 0x81, 0x02, 0xCA, 0xFE, 0xF0, 0x0D, // RLDP, format, stake, sequence
        0x02, 0, 0, 0, 0, 0x0A, 0x03, b'L', b'O', b'O', b'P', // both magics
        0x01, 0x03, 0x00, 0x0A, 1, 2, 3, 4, 5, 6, 7, 8, 0x80, 0x00, // port, VLAN, nonce, priority
        0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, // reserved, no tag
    ];

    fn emitted(key: Option<ProbeKey>) -> [u8; PROBE_LEN] {
        let mut frame = [0xEE; PROBE_LEN];
        PROBE.emit(key, &mut frame);
        frame
    }

    #[test]
    fn layout_is_the_documented_one_in_both_directions() {
        assert_eq!(emitted(None), BYTES);
        assert_eq!(StrictProbe::parse(&FrameView::new(&BYTES, 0).unwrap()), Some(PROBE));
    }

    #[test]
    fn every_stake_survives() {
        for stake in [Stake::Listens, Stake::Waits, Stake::Claims, Stake::Presses] {
            let mut frame = [0; PROBE_LEN];
            StrictProbe { stake, ..PROBE }.emit(None, &mut frame);
            let parsed = StrictProbe::parse(&FrameView::new(&frame, 0).unwrap());
            assert_eq!(parsed.map(|probe| probe.stake), Some(stake));
        }
    }

    #[test]
    fn every_cut_is_no_strict_probe() {
        for len in 0..PROBE_LEN {
            let strict = FrameView::new(&BYTES[..len], 0).ok().and_then(|view| StrictProbe::parse(&view));
            // The tag may be cut where nobody asks for one.
            assert_eq!(strict, (len >= 52).then_some(PROBE), "{len} bytes");
        }
    }

    #[test]
    fn a_tag_holds_for_its_key_and_for_untouched_bytes_only() {
        let (key, frame) = ([7; 16], emitted(Some([7; 16])));
        let authentic =
            |bytes: &[u8], key| StrictProbe::is_authentic(&FrameView::new(bytes, 0).unwrap(), key);
        assert!(authentic(&frame, key));
        assert!(!authentic(&frame, [8; 16]));
        assert!(!authentic(&emitted(None), key));
        assert!(!authentic(&frame[..59], key), "a cut tag");
        for at in 16..PROBE_LEN {
            let mut forged = frame;
            forged[at] ^= 0x40;
            assert!(!authentic(&forged, key), "byte {at}");
        }
    }

    #[test]
    fn other_versions_magics_and_senders_are_foreign() {
        for (at, what) in [(11, "sender"), (15, "format"), (21, "RLDP magic"), (28, "own magic")] {
            let mut other = BYTES;
            other[at] ^= 1;
            assert_eq!(StrictProbe::parse(&FrameView::new(&other, 0).unwrap()), None, "{what}");
        }
        let mut vlan = BYTES;
        [vlan[34], vlan[35]] = [0x0F, 0xFF];
        assert_eq!(StrictProbe::parse(&FrameView::new(&vlan, 0).unwrap()), None, "VLAN 4095");
    }
}
