//! The compiled bridge: per port a row of 16 bytes, per VLAN two port sets.

use super::{AcceptableFrames, PortConfig, PortState, TagType};
use crate::openvswitch::PriorityTags;
use crate::verdict::{Classified, DropReason, TagAction, Tags, tag};
use crate::{Fid, Header, PortId, PortMask, VlanId};

/// A VLAN bridge with room for `VLANS` VLANs and `64 * WORDS` ports, without allocation.
///
/// It takes 16 KiB and `16 * WORDS` bytes per VLAN, so a bridge for all 4094 VLANs wants a `Box`.
/// See the [module documentation](super) for an example.
#[derive(Clone, Debug)]
pub struct Bridge<const VLANS: usize = 4094, const WORDS: usize = 1> {
    pub(super) ports: PortMask<WORDS>,
    /// Ports without ingress filter.
    pub(super) unfiltered: PortMask<WORDS>,
    pub(super) forwarding: PortMask<WORDS>,
    pub(super) isolated: PortMask<WORDS>,
    /// Ports that send service tags.
    pub(super) service: PortMask<WORDS>,
    /// Ports that put the priority of untagged frames into a tag, if there is a priority.
    pub(super) priority_tags: PortMask<WORDS>,
    /// Ports that do so even for priority 0.
    pub(super) always_priority_tags: PortMask<WORDS>,
    pub(super) port_rows: [[PortRow; 64]; WORDS],
    pub(super) configs: [[PortConfig; 64]; WORDS],
    /// By VID.
    pub(super) vids: [Vid; 4096],
    pub(super) rows: [Row<WORDS>; VLANS],
    /// How many rows are in use: the first ones.
    pub(super) used: usize,
    /// The row of every VLAN that has none of its own.
    pub(super) rest: Row<WORDS>,
    /// The row of VIDs 0 and 4095, which are no VLANs.
    pub(super) nowhere: Row<WORDS>,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Vid {
    pub(super) row: u16,
    pub(super) fid: u16,
}

impl Vid {
    /// Row number of a VLAN without a row of its own.
    pub(super) const REST: u16 = u16::MAX;
    /// Row number of what is no VLAN.
    pub(super) const NOWHERE: u16 = u16::MAX - 1;
}

/// A VLAN.
#[derive(Clone, Copy, Debug)]
pub(super) struct Row<const WORDS: usize> {
    pub(super) members: PortMask<WORDS>,
    pub(super) untagged: PortMask<WORDS>,
}

impl<const WORDS: usize> Row<WORDS> {
    pub(super) const EMPTY: Self = Self { members: PortMask::EMPTY, untagged: PortMask::EMPTY };
}

/// A port, as classification needs it.
#[derive(Clone, Copy, Debug)]
pub(super) struct PortRow {
    tpid: u16,
    /// 0 if there is none.
    pvid: u16,
    /// Priority of untagged frames, where a tag has it.
    default_tci: u16,
    /// Which [kinds](kind) of frames are let in.
    accept: u8,
    forwards: bool,
    learns: bool,
    isolated: bool,
    single_tag: bool,
    /// Priority of tagged frames: three bits for each received priority.
    regenerated: u32,
}

/// Kinds of frames that [`AcceptableFrames`] tells apart, a bit each.
mod kind {
    pub(super) const UNTAGGED: u8 = 0b001;
    pub(super) const PRIORITY: u8 = 0b010;
    pub(super) const TAGGED: u8 = 0b100;
}

impl PortRow {
    pub(super) fn new(config: &PortConfig) -> Self {
        let accept = match config.acceptable {
            AcceptableFrames::All => kind::UNTAGGED | kind::PRIORITY | kind::TAGGED,
            AcceptableFrames::OnlyTagged => kind::TAGGED,
            AcceptableFrames::OnlyUntaggedAndPriority => kind::UNTAGGED | kind::PRIORITY,
        };
        let regenerated = config.priority_regeneration.iter().rev();
        Self {
            tpid: config.tag_type.tpid().0,
            pvid: config.pvid.map_or(0, VlanId::get),
            default_tci: u16::from(config.default_priority.get()) << 13,
            accept: if config.state >= PortState::Learning { accept } else { 0 },
            forwards: config.state == PortState::Forwarding,
            learns: config.learning && config.state >= PortState::Learning,
            isolated: config.isolated,
            single_tag: config.discard_double_tagged,
            regenerated: regenerated.fold(0, |map, pcp| map << 3 | u32::from(pcp.get())),
        }
    }

    /// Whether untagged frames get past the port, if their VLAN lets them in.
    pub(super) const fn takes_untagged(&self) -> bool {
        self.accept & kind::UNTAGGED != 0
    }

    /// PCP and DEI of a received tag, after priority regeneration (6.9.4).
    #[inline]
    const fn priority(&self, tci: u16) -> u16 {
        ((self.regenerated >> ((tci >> 13) * 3)) as u16) << 13 | tci & 0x1000
    }
}

impl<const VLANS: usize, const WORDS: usize> Bridge<VLANS, WORDS> {
    /// Which VLAN a frame that arrives on `port` belongs to, and where it may go (6.9, 8.6.1, 8.6.2,
    /// 8.6.4). O(1).
    ///
    /// Addresses that a bridge never relays are not looked at here: see
    /// [`ReservedAddresses`](crate::ReservedAddresses).
    ///
    /// # Errors
    /// [`DropReason`] if an ingress rule discards the frame, which must not be learned then.
    #[inline]
    pub fn classify(&self, port: PortId, header: &Header) -> Result<Classified<WORDS>, DropReason> {
        let Some(ingress) = self.port_row(port) else { return Err(DropReason::NoSuchPort) };
        let tagged = header.tpid().0 == ingress.tpid;
        let own_vid = if tagged { header.tci() & 0x0FFF } else { 0 };
        let kind = kind::UNTAGGED << (u8::from(tagged) + u8::from(own_vid != 0));
        let vid = if own_vid == 0 { ingress.pvid } else { own_vid };
        let (row, fid) = self.row(vid);
        let admitted = ingress.accept & kind != 0
            && !row.members.is_empty()
            && row.members.union(self.unfiltered).contains(port)
            && !(ingress.single_tag && tagged && header.inner_type().is_tag());
        if !admitted {
            return Err(self.refusal(port, header));
        }
        let mut members = row.members.intersection(self.forwarding).without(port);
        if ingress.isolated {
            members = members.difference(self.isolated);
        }
        if !ingress.forwards {
            members = PortMask::EMPTY;
        }
        let priority = if tagged { ingress.priority(header.tci()) } else { ingress.default_tci };
        Ok(Classified {
            members,
            reachable: members,
            fid: Fid::masked(fid),
            learn: ingress.learns,
            tags: Tags {
                vid,
                received: if tagged { header.tag_word() } else { 0 },
                assigned: u32::from(ingress.tpid) << 16 | u32::from(priority | vid),
            },
        })
    }

    /// Why the frame was discarded: the rules again, one by one.
    #[cold]
    fn refusal(&self, port: PortId, header: &Header) -> DropReason {
        let Some(config) = self.port(port) else { return DropReason::NoSuchPort };
        if config.state < PortState::Learning {
            return DropReason::PortState;
        }
        let vid = (header.tpid() == config.tag_type.tpid()).then_some(header.tci() & 0x0FFF);
        match (config.acceptable, vid) {
            (AcceptableFrames::OnlyTagged, None) => return DropReason::Untagged,
            (AcceptableFrames::OnlyTagged, Some(0)) => return DropReason::PriorityTagged,
            (AcceptableFrames::OnlyUntaggedAndPriority, Some(1..)) => return DropReason::Tagged,
            (_, Some(_)) if config.discard_double_tagged && header.inner_type().is_tag() => {
                return DropReason::DoubleTagged;
            }
            _ => {}
        }
        match vid.filter(|vid| *vid != 0).or(config.pvid.map(VlanId::get)) {
            None => DropReason::NoPvid,
            Some(4095) => DropReason::ReservedVid,
            Some(vid) if self.row(vid).0.members.is_empty() => DropReason::UnknownVlan,
            Some(_) => DropReason::NotMember,
        }
    }

    /// What `port` does to the tags of a frame that leaves by it (8.8.10, 6.9). O(1).
    #[inline]
    pub fn egress(&self, frame: &Classified<WORDS>, port: PortId) -> TagAction {
        let Tags { vid, received, assigned, .. } = frame.tags;
        let tpid = if self.service.contains(port) { TagType::Service } else { TagType::Customer }.tpid();
        let wanted = u32::from(tpid.0) << 16 | assigned & 0xFFFF;
        if !self.row(vid).0.untagged.contains(port) {
            return tagged(received, wanted);
        }
        if self.priority_tagging(assigned).contains(port) {
            return tagged(received, wanted & !0x0FFF);
        }
        untagged(received)
    }

    /// The copies of a frame that leaves by `ports`: ports with equal frames together. O(1).
    ///
    /// At most five, since a bridge has two types of tags, each with the VID or with VID 0.
    pub fn copies(
        &self,
        frame: &Classified<WORDS>,
        ports: PortMask<WORDS>,
    ) -> impl Iterator<Item = (TagAction, PortMask<WORDS>)> + use<VLANS, WORDS> {
        let Tags { vid, received, assigned, .. } = frame.tags;
        let bare = ports.intersection(self.row(vid).0.untagged);
        let with_priority = bare.intersection(self.priority_tagging(assigned));
        let with_vid = ports.difference(bare);
        let customer = u32::from(TagType::Customer.tpid().0) << 16 | assigned & 0xFFFF;
        let service = u32::from(TagType::Service.tpid().0) << 16 | assigned & 0xFFFF;
        [
            (untagged(received), bare.difference(with_priority)),
            (tagged(received, customer & !0x0FFF), with_priority.difference(self.service)),
            (tagged(received, service & !0x0FFF), with_priority.intersection(self.service)),
            (tagged(received, customer), with_vid.difference(self.service)),
            (tagged(received, service), with_vid.intersection(self.service)),
        ]
        .into_iter()
        .filter(|(_, ports)| !ports.is_empty())
    }

    /// Ports that put the priority of `assigned` into a tag where the frame would leave untagged.
    #[inline]
    fn priority_tagging(&self, assigned: u32) -> PortMask<WORDS> {
        if assigned & 0xE000 == 0 { self.always_priority_tags } else { self.priority_tags }
    }

    #[inline]
    pub(super) fn port_row(&self, port: PortId) -> Option<&PortRow> {
        self.port_rows.get(port.index() / 64)?.get(port.index() % 64)
    }

    /// The row of a VLAN, and its filtering identifier.
    #[inline]
    pub(super) fn row(&self, vid: u16) -> (&Row<WORDS>, u16) {
        let Some(entry) = self.vids.get(usize::from(vid)) else { return (&self.nowhere, 0) };
        let row = match self.rows.get(usize::from(entry.row)) {
            Some(row) => row,
            None if entry.row == Vid::REST => &self.rest,
            None => &self.nowhere,
        };
        (row, entry.fid)
    }
}

#[inline]
fn tagged(received: u32, wanted: u32) -> TagAction {
    match received {
        0 => TagAction::Push(tag(wanted)),
        _ if received == wanted => TagAction::Keep,
        _ => TagAction::Rewrite(tag(wanted)),
    }
}

#[inline]
const fn untagged(received: u32) -> TagAction {
    if received == 0 { TagAction::Keep } else { TagAction::Pop }
}

impl PriorityTags {
    /// Whether the port is in [`Bridge::priority_tags`] and in [`Bridge::always_priority_tags`].
    pub(super) const fn sets(self) -> (bool, bool) {
        match self {
            Self::Never => (false, false),
            Self::IfNonzero => (true, false),
            Self::Always => (true, true),
        }
    }
}
