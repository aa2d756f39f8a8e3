//! The compiled bridge: per port a row of 16 bytes, per VLAN one of 32.

use super::{AcceptableFrames, PortConfig, PortState, TagType};
use crate::openvswitch::PriorityTags;
use crate::verdict::{Classified, DropReason, TagAction, Tags, tag};
use crate::{Fid, Header, PortId, PortMask, VlanId};

/// A VLAN bridge with room for `VLANS` VLANs and `64 * WORDS` ports, without allocation.
///
/// It takes 16 KiB, 8 + `24 * WORDS` bytes per VLAN and 40 per port, so a bridge for all
/// 4094 VLANs wants a `Box`. See the [module documentation](super) for an example.
#[derive(Clone, Debug)]
pub struct Bridge<const VLANS: usize = 4094, const WORDS: usize = 1> {
    pub(super) ports: PortMask<WORDS>,
    /// Ports that accept VLAN-tagged frames.
    pub(super) take_tagged: PortMask<WORDS>,
    /// Ports that accept frames without a VID.
    pub(super) take_untagged: PortMask<WORDS>,
    /// Ports without ingress filter.
    pub(super) unfiltered: PortMask<WORDS>,
    pub(super) forwarding: PortMask<WORDS>,
    pub(super) isolated: PortMask<WORDS>,
    /// Ports that discard frames with two tags.
    pub(super) single_tag: PortMask<WORDS>,
    /// Ports that send service tags.
    pub(super) service: PortMask<WORDS>,
    /// Ports that put the priority of untagged frames into a tag, if there is a priority.
    pub(super) priority_tags: PortMask<WORDS>,
    /// Ports that do so even for priority 0.
    pub(super) always_priority_tags: PortMask<WORDS>,
    pub(super) port_rows: [[PortRow<WORDS>; 64]; WORDS],
    pub(super) configs: [[PortConfig; 64]; WORDS],
    /// Row numbers, doubled, by VID, then, by port, those of frames without a VID: [`NO_ROW`] if there is none or
    /// such frames do not go the short way. One table, so that nothing but an index is chosen.
    pub(super) places: [u16; PLACE_MASK + 1],
    pub(super) rows: [Row<WORDS>; VLANS],
    /// How many rows are in use: the first ones.
    pub(super) used: usize,
    /// Members of every VLAN that has no row of its own; all of them tagged.
    pub(super) everywhere: PortMask<WORDS>,
}

/// A place without row.
pub(super) const NO_ROW: u16 = u16::MAX - 1;
/// Marks ports' places: the row need not admit the port. The lowest bit, and loaded from memory, so
/// that it joins the row's answer by arithmetic; a computed condition becomes a branch, or chains
/// frames to each other through flags.
pub(super) const OWN: u16 = 1;

/// What stands at the place of a VID with this row.
pub(super) const fn of_row(row: usize) -> u16 {
    (row as u16) << 1
}

const PLACE_MASK: usize = 8191;

/// Where the row number of a port's frames without a VID stands.
#[inline]
pub(super) const fn own_place(port: PortId) -> usize {
    4096 | port.index()
}

/// A VLAN, as classification needs it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Row<const WORDS: usize> {
    /// Ports whose frames with this VID go the short way: they are let in and nothing else is looked at.
    pub(super) admit: PortMask<WORDS>,
    pub(super) members: PortMask<WORDS>,
    pub(super) untagged: PortMask<WORDS>,
    pub(super) vid: u16,
    pub(super) fid: Fid,
}

impl<const WORDS: usize> Row<WORDS> {
    pub(super) const EMPTY: Self = Self {
        admit: PortMask::EMPTY,
        members: PortMask::EMPTY,
        untagged: PortMask::EMPTY,
        vid: 0,
        fid: Fid::SHARED,
    };
}

/// A port, as classification needs it.
#[derive(Clone, Copy, Debug)]
pub(super) struct PortRow<const WORDS: usize> {
    /// Ports that frames from here may leave by.
    reach: PortMask<WORDS>,
    /// Priority of the frames: three bits for each received priority, then those of untagged frames.
    priorities: u32,
    tpid: u16,
    learns: bool,
}

impl<const WORDS: usize> PortRow<WORDS> {
    pub(super) fn new(config: &PortConfig, reach: PortMask<WORDS>) -> Self {
        let priorities = config.priority_regeneration.into_iter().chain([config.default_priority]);
        Self {
            reach,
            priorities: (0..)
                .step_by(3)
                .zip(priorities)
                .fold(0, |map, (at, pcp)| map | u32::from(pcp.get()) << at),
            tpid: config.tag_type.tpid().0,
            learns: config.learning && config.state >= PortState::Learning,
        }
    }

    /// Priority where a tag has it; `received` is 8 for a frame without tag (6.9.4).
    const fn priority(&self, received: u16) -> u16 {
        ((self.priorities >> (3 * received as u32)) as u16 & 7) << 13
    }

    #[inline]
    fn classified(&self, header: &Header, row: &Row<WORDS>) -> Classified<WORDS> {
        let tagged = mask(header.tpid().0 == self.tpid);
        let members = row.members.intersection(self.reach);
        let tci = header.tci() & tagged;
        let priority = self.priority(tci >> 13 | 8 & !tagged);
        Classified {
            members,
            reachable: members,
            fid: row.fid,
            learn: self.learns,
            tags: Tags {
                vid: row.vid,
                received: header.tag_word() & (u32::from(tagged) << 16 | u32::from(tagged)),
                assigned: u32::from(self.tpid) << 16 | u32::from(priority | tci & 0x1000 | row.vid),
            },
        }
    }
}

/// All ones if `condition` holds: choosing by arithmetic, since mixed traffic mispredicts branches.
#[inline]
const fn mask(condition: bool) -> u16 {
    (condition as u16).wrapping_neg()
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
        let vid = header.tci() & 0x0FFF;
        let own = own_place(port);
        let place = if vid == 0 { own } else { usize::from(vid) };
        let place = if header.tpid().0 == ingress.tpid { place } else { own };
        let number = self.places.get(place & PLACE_MASK).copied().unwrap_or(NO_ROW);
        match self.rows.get(usize::from(number >> 1)) {
            Some(row) if (u16::from(row.admit.contains(port)) | number) & OWN == OWN => {
                Ok(ingress.classified(header, row))
            }
            _ => self.classify_with_care(port, header),
        }
    }

    /// The rules one by one: for ports that look deeper, VLANs without a row, and frames that are
    /// discarded.
    #[cold]
    #[inline(never)]
    fn classify_with_care(&self, port: PortId, header: &Header) -> Result<Classified<WORDS>, DropReason> {
        let (Some(config), Some(ingress)) = (self.port(port), self.port_row(port)) else {
            return Err(DropReason::NoSuchPort);
        };
        if config.state < PortState::Learning {
            return Err(DropReason::PortState);
        }
        let own_vid = (header.tpid().0 == ingress.tpid).then_some(header.tci() & 0x0FFF);
        match (config.acceptable, own_vid) {
            (AcceptableFrames::OnlyTagged, None) => return Err(DropReason::Untagged),
            (AcceptableFrames::OnlyTagged, Some(0)) => return Err(DropReason::PriorityTagged),
            (AcceptableFrames::OnlyUntaggedAndPriority, Some(1..)) => return Err(DropReason::Tagged),
            (_, Some(_)) if config.discard_double_tagged && header.inner_type().is_tag() => {
                return Err(DropReason::DoubleTagged);
            }
            _ => {}
        }
        let vid = match own_vid.filter(|vid| *vid != 0).or(config.pvid.map(VlanId::get)) {
            None => return Err(DropReason::NoPvid),
            Some(vid) => VlanId::new(vid).ok_or(DropReason::ReservedVid)?,
        };
        let row = self.row_of(vid);
        if row.members.is_empty() {
            return Err(DropReason::UnknownVlan);
        }
        if config.ingress_filter && !row.members.contains(port) {
            return Err(DropReason::NotMember);
        }
        Ok(ingress.classified(header, &row))
    }

    /// What `port` does to the tags of a frame that leaves by it (8.8.10, 6.9). O(1).
    #[inline]
    pub fn egress(&self, frame: &Classified<WORDS>, port: PortId) -> TagAction {
        let Tags { vid, received, assigned, .. } = frame.tags;
        let tpid = if self.service.contains(port) { TagType::Service } else { TagType::Customer }.tpid();
        let wanted = u32::from(tpid.0) << 16 | assigned & 0xFFFF;
        if !self.row(vid).is_some_and(|row| row.untagged.contains(port)) {
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
        let untagged_set = self.row(vid).map_or(PortMask::EMPTY, |row| row.untagged);
        let bare = ports.intersection(untagged_set);
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
    pub(super) fn port_row(&self, port: PortId) -> Option<&PortRow<WORDS>> {
        self.port_rows.get(port.index() / 64)?.get(port.index() % 64)
    }

    #[inline]
    pub(super) fn row(&self, vid: u16) -> Option<&Row<WORDS>> {
        self.rows.get(usize::from(*self.places.get(usize::from(vid & 0x0FFF))? >> 1))
    }

    /// The row of a VLAN, or what it would be.
    pub(super) fn row_of(&self, vid: VlanId) -> Row<WORDS> {
        let vid = vid.get();
        self.row(vid).copied().unwrap_or(Row {
            members: self.everywhere,
            vid,
            fid: Fid::masked(vid),
            ..Row::EMPTY
        })
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
