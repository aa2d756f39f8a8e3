//! Loop probes: four forms. None carries a VLAN id, a time or an authenticator.

use macaddr::MacAddr6;

use super::message::{Head, Payload, protocol};
use crate::ParseError;

/// A loop probe. All are broadcast, and the source address is the originator.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Probe {
    /// `03 00`, from RTL8305SB, 8316B, 8324, 8326: the source address is its only identity.
    /// RTL8306E puts a TTL into the fourth byte.
    Classic {
        /// Zero unless the sender counts hops.
        ttl: Ttl,
    },
    /// `23 00 00 0T`, from RTL8305NB.
    Short {
        /// Zero unless the sender counts hops.
        ttl: Ttl,
    },
    /// `23` and a random number, from RTL8367C and kin.
    Rldp(Rldp),
    /// `25 80`: a spanning-tree-like vector.
    Vector(Vector),
}

/// The long form of Realtek's loop detection (RLDP).
///
/// Which field is which is inferred from captures (tcpdump `print-realtek.c`) and from the
/// registers of the vendor's SDK (`rldp.h`): a random number, a magic number, a looped port pair.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Rldp {
    /// Changes with every frame.
    pub random: RldpRandom,
    /// The originator's address unless configured otherwise.
    pub magic: [u8; 6],
    /// Constant per capture; presumably the egress port.
    pub port: u8,
}

/// The vector of the loop prevention in unmanaged switches.
///
/// The meaning is inferred: root identifier, cost, bridge identifier and port, as in a BPDU. In
/// every known frame root and bridge are the source address, "I am root".
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Vector {
    /// Presumably who the sender holds for the root.
    pub root: VectorId,
    /// Presumably the cost to the root.
    pub cost: u16,
    /// Presumably the sender.
    pub bridge: VectorId,
    /// Always 80 so far.
    pub port_priority: u8,
    /// Presumably the egress port.
    pub port: u8,
}

/// Three bytes of priority (80 00 00 so far) before an address.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct VectorId {
    /// As they stand.
    pub priority: [u8; 3],
    /// Address of a switch.
    pub mac: MacAddr6,
}

impl VectorId {
    /// The identifier with the priority of every known frame.
    pub const fn new(mac: MacAddr6) -> Self {
        Self { priority: [0x80, 0, 0], mac }
    }
}

mod field {
    pub(super) const SHORT_LEN: usize = 4;
    pub(super) const RLDP_LEN: usize = 14;
    pub(super) const VECTOR_LEN: usize = 23;
}

impl Probe {
    #[inline]
    pub(super) fn parse_classic(payload: Payload<'_>) -> Self {
        // Anything but a small number there is filler, and the frame a classic probe all the same.
        Self::Classic { ttl: Ttl::at_end_of(short_form(payload)).unwrap_or_default() }
    }

    #[inline]
    pub(super) fn parse_rldp(payload: Payload<'_>) -> Result<Self, ParseError> {
        if let Some(ttl) = Ttl::at_end_of(short_form(payload)) {
            return Ok(Self::Short { ttl });
        }
        let &[_, r0, r1, r2, r3, r4, r5, m0, m1, m2, m3, m4, m5, port] =
            payload.head::<{ field::RLDP_LEN }>("RLDP probe")?;
        Ok(Self::Rldp(Rldp {
            random: RldpRandom([r0, r1, r2, r3, r4, r5]),
            magic: [m0, m1, m2, m3, m4, m5],
            port,
        }))
    }

    #[inline]
    pub(super) fn parse_vector(payload: Payload<'_>) -> Result<Self, ParseError> {
        let &[_, r0, r1, r2, a0, a1, a2, a3, a4, a5, c0, c1, b0, b1, b2, m0, m1, m2, m3, m4, m5, p0, port] =
            payload.head::<{ field::VECTOR_LEN }>("loop prevention vector")?;
        Ok(Self::Vector(Vector {
            root: VectorId { priority: [r0, r1, r2], mac: MacAddr6::new(a0, a1, a2, a3, a4, a5) },
            cost: u16::from_be_bytes([c0, c1]),
            bridge: VectorId { priority: [b0, b1, b2], mac: MacAddr6::new(m0, m1, m2, m3, m4, m5) },
            port_priority: p0,
            port,
        }))
    }

    #[inline]
    pub(super) fn write(&self, head: &mut Head) {
        match self {
            Self::Classic { ttl } => [head[0], head[3]] = [protocol::CLASSIC_PROBE, ttl.0],
            Self::Short { ttl } => [head[0], head[3]] = [protocol::RLDP, ttl.0],
            Self::Rldp(rldp) => {
                head[0] = protocol::RLDP;
                [head[1], head[2], head[3], head[4], head[5], head[6]] = rldp.random.0;
                [head[7], head[8], head[9], head[10], head[11], head[12]] = rldp.magic;
                head[13] = rldp.port;
            }
            Self::Vector(vector) => {
                head[0] = protocol::VECTOR;
                [head[1], head[2], head[3]] = vector.root.priority;
                [head[4], head[5], head[6], head[7], head[8], head[9]] = vector.root.mac.into_array();
                [head[10], head[11]] = vector.cost.to_be_bytes();
                [head[12], head[13], head[14]] = vector.bridge.priority;
                [head[15], head[16], head[17], head[18], head[19], head[20]] = vector.bridge.mac.into_array();
                [head[21], head[22]] = [vector.port_priority, vector.port];
            }
        }
    }
}

/// The first four bytes, zero behind the end of the frame.
#[inline]
fn short_form(payload: Payload<'_>) -> [u8; field::SHORT_LEN] {
    match payload.bytes.first_chunk() {
        Some(head) => *head,
        None => [0, 1, 2, 3].map(|at| payload.byte_or_zero(at)),
    }
}

/// A hop count, `0..=15`; 0 also where the sender has none.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Ttl(u8);

impl Ttl {
    /// No hop count.
    pub const NONE: Self = Self(0);

    /// Returns `None` unless `raw` is in `0..=15`.
    pub const fn new(raw: u8) -> Option<Self> {
        if raw <= 15 { Some(Self(raw)) } else { None }
    }

    /// The count as a number.
    pub const fn get(self) -> u8 {
        self.0
    }

    /// The count in the last four bits, if all before them but the protocol byte is zero.
    const fn at_end_of(head: [u8; field::SHORT_LEN]) -> Option<Self> {
        match head {
            [_, 0, 0, last] => Self::new(last),
            _ => None,
        }
    }
}

/// The random number of an [`Rldp`] probe, in frame order.
///
/// Numbers that begin with twenty zero bits do not exist: such a frame is the short form.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct RldpRandom([u8; 6]);

impl RldpRandom {
    /// Returns `None` if `bytes` begin with twenty zero bits.
    pub const fn new(bytes: [u8; 6]) -> Option<Self> {
        match bytes {
            [0, 0, 0..=15, ..] => None,
            _ => Some(Self(bytes)),
        }
    }

    /// The number in frame order.
    pub const fn get(self) -> [u8; 6] {
        self.0
    }
}
