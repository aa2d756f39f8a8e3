//! What the ingress rules make of a frame, and what the egress rules do to its tags.

use crate::{EtherType, Fid, FrameMut, NoRoom, Pcp, PortMask, Tag, TagVid, VlanId};

/// A frame that the ingress rules let in: its VLAN, and where it may go.
///
/// The tables make it ([`chip::Table::classify`](crate::chip::Table::classify),
/// [`dot1q::Bridge::classify`](crate::dot1q::Bridge::classify)), a forwarding database narrows
/// [`members`](Self::members) down, and the same table says what happens to the tags on each port.
/// The ingress port is in neither set.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Classified<const WORDS: usize = 1> {
    /// Where the frame goes if its destination is a group or unknown. May be empty.
    pub members: PortMask<WORDS>,
    /// Where the frame may go if the forwarding database names its port. Equal to `members` under
    /// IEEE 802.1Q; wider where unicast leaks out of its VLAN.
    pub reachable: PortMask<WORDS>,
    /// The forwarding database to learn and look up in.
    pub fid: Fid,
    /// Whether the source address may be learned.
    pub learn: bool,
    pub(crate) tags: Tags,
}

/// Tags on the way from ingress to egress.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Tags {
    /// The outer tag that the ingress port recognised, TPID and TCI as one number; 0 is no tag.
    pub(crate) received: u32,
    /// The VLAN, as a VID field would hold it.
    pub(crate) vid: u16,
    /// The VID of the tag that the frame gets where it leaves tagged.
    pub(crate) assigned_vid: u16,
    pub(crate) ingress: Ingress,
}

/// What a port makes of tags, as far as it matters where a frame leaves: few frames need it, so it is
/// carried along and not worked out.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(align(8))]
pub(crate) struct Ingress {
    /// Priority of the frames: three bits for each received priority, then those of untagged frames.
    pub(crate) priorities: u32,
    /// The TPID of tags that are recognised and assigned.
    pub(crate) tpid: u16,
}

impl Tags {
    /// The tag that the frame gets where it leaves tagged, TPID and TCI as one number.
    #[inline]
    pub(crate) const fn assigned(&self) -> u32 {
        let Ingress { priorities, tpid } = self.ingress;
        let column = if self.received == 0 { 8 } else { self.received >> 13 & 7 };
        let priority = (priorities >> (3 * column) & 7) << 13;
        (tpid as u32) << 16 | priority | self.received & 0x1000 | self.assigned_vid as u32
    }
}

impl<const WORDS: usize> Classified<WORDS> {
    /// The VLAN as a VID; `None` where the tables allow VLAN 0 or 4095 and the frame is in it.
    pub const fn vlan(&self) -> Option<VlanId> {
        VlanId::new(self.tags.vid)
    }

    /// The VLAN as the number that a tag would carry, `0..=4095`.
    pub const fn vid(&self) -> TagVid {
        TagVid::from_raw(self.tags.vid)
    }

    /// Priority code point: the received tag's, else the ingress port's default.
    pub const fn priority(&self) -> Pcp {
        self.assigned().pcp
    }

    /// The tag that the ingress port recognised; `None` if it took the frame as untagged.
    pub const fn received(&self) -> Option<Tag> {
        match self.tags.received {
            0 => None,
            word => Some(tag(word)),
        }
    }

    /// The tag that the frame gets where it leaves tagged.
    pub const fn assigned(&self) -> Tag {
        tag(self.tags.assigned())
    }
}

/// The tag whose TPID and TCI make up `word`.
#[inline]
pub(crate) const fn tag(word: u32) -> Tag {
    Tag::from_tci(EtherType((word >> 16) as u16), word as u16)
}

/// What a port does to the tags of a frame that leaves by it.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum TagAction {
    /// The frame leaves as it came.
    Keep,
    /// The outer tag is removed; pad the frame if it is too short now ([`FrameMut::pad`]).
    Pop,
    /// A tag is added in front of everything else.
    Push(Tag),
    /// The outer tag is replaced.
    Rewrite(Tag),
}

impl TagAction {
    /// Does it to `frame`; without a tag to remove or replace, nothing happens.
    ///
    /// # Errors
    /// [`NoRoom`] if a tag is to be added and the headroom is below four bytes; the frame is unchanged
    /// then.
    pub fn apply(self, frame: &mut FrameMut<'_>) -> Result<(), NoRoom> {
        match self {
            Self::Keep => {}
            Self::Pop => _ = frame.pop_tag(),
            Self::Push(tag) => frame.push_tag(tag)?,
            Self::Rewrite(tag) => _ = frame.rewrite_tag(tag),
        }
        Ok(())
    }
}

/// Why the ingress rules discard a frame.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum DropReason {
    /// The bridge has no such port.
    #[error("no such port")]
    NoSuchPort,
    /// The port is disabled, or blocked by a spanning tree.
    #[error("the port does not receive")]
    PortState,
    /// The port takes tagged frames only.
    #[error("untagged frame, the port takes tagged frames only")]
    Untagged,
    /// The port takes VLAN-tagged frames only, and a tag with VID 0 is none.
    #[error("priority-tagged frame, the port takes VLAN-tagged frames only")]
    PriorityTagged,
    /// The port takes untagged and priority-tagged frames only.
    #[error("VLAN-tagged frame, the port takes untagged frames only")]
    Tagged,
    /// The frame names no VLAN and the port has none to give.
    #[error("the frame names no VLAN and the port has no PVID")]
    NoPvid,
    /// The tag carries VID 4095.
    #[error("the frame carries the reserved VID 4095")]
    ReservedVid,
    /// No such VLAN is configured.
    #[error("the VLAN is not configured")]
    UnknownVlan,
    /// Ingress filtering: the port is not a member of the frame's VLAN.
    #[error("the port is not a member of the frame's VLAN")]
    NotMember,
    /// The frame ends inside a header that the rules need.
    #[error("the frame is cut short")]
    Truncated,
    /// The frame carries a second tag, and the port does not take that.
    #[error("the frame carries a second tag")]
    DoubleTagged,
    /// The port discards frames that are not of its own VLAN.
    #[error("the frame is not of the port's own VLAN")]
    NotPvid,
}

impl DropReason {
    /// All reasons, in the order of their numbers (`reason as usize`), for tables of counters.
    pub const ALL: [Self; 12] = [
        Self::NoSuchPort,
        Self::PortState,
        Self::Untagged,
        Self::PriorityTagged,
        Self::Tagged,
        Self::NoPvid,
        Self::ReservedVid,
        Self::UnknownVlan,
        Self::NotMember,
        Self::Truncated,
        Self::DoubleTagged,
        Self::NotPvid,
    ];

    /// A name for reports, such as `"not-member"`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::NoSuchPort => "no-such-port",
            Self::PortState => "port-state",
            Self::Untagged => "untagged",
            Self::PriorityTagged => "priority-tagged",
            Self::Tagged => "tagged",
            Self::NoPvid => "no-pvid",
            Self::ReservedVid => "reserved-vid",
            Self::UnknownVlan => "unknown-vlan",
            Self::NotMember => "not-member",
            Self::Truncated => "truncated",
            Self::DoubleTagged => "double-tagged",
            Self::NotPvid => "not-pvid",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_stands_at_its_number_under_its_own_name() {
        for (number, reason) in DropReason::ALL.into_iter().enumerate() {
            assert_eq!(reason as usize, number);
            assert_eq!(DropReason::ALL.iter().filter(|other| other.name() == reason.name()).count(), 1);
        }
    }
}
