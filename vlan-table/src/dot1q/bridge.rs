//! The compiled bridge: per port a row of 16 bytes, per VLAN one of 32.

use core::hint::select_unpredictable;

use super::{AcceptableFrames, PortConfig, PortState, TagType};
use crate::openvswitch::PriorityTags;
use crate::verdict::{Classified, DropReason, Ingress, TagAction, Tags, tag};
use crate::{Fid, Header, PortId, PortMask, TagEdit, VlanId};

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
    /// Ports that learn.
    pub(super) learning: PortMask<WORDS>,
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

const CUSTOMER: u16 = TagType::Customer.tpid().0;
const SERVICE: u16 = TagType::Service.tpid().0;

/// Where the row number of a port's frames without a VID stands.
#[inline]
pub(super) const fn own_place(port: PortId) -> usize {
    4096 | port.index()
}

/// A VLAN, as classification needs it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Row<const WORDS: usize> {
    /// Ports whose frames with this VID go the short way: they are let in and learned, and nothing else
    /// is looked at.
    pub(super) admit: PortMask<WORDS>,
    pub(super) untagged: PortMask<WORDS>,
    pub(super) home: Home<WORDS>,
}

/// What a frame gets from its VLAN.
#[derive(Clone, Copy, Debug)]
pub(super) struct Home<const WORDS: usize> {
    pub(super) members: PortMask<WORDS>,
    pub(super) vid: u16,
    pub(super) fid: Fid,
}

impl<const WORDS: usize> Row<WORDS> {
    pub(super) const EMPTY: Self = Self {
        admit: PortMask::EMPTY,
        untagged: PortMask::EMPTY,
        home: Home { members: PortMask::EMPTY, vid: 0, fid: Fid::SHARED },
    };
}

/// A port, as classification needs it.
#[derive(Clone, Copy, Debug)]
pub(super) struct PortRow<const WORDS: usize> {
    /// Ports that frames from here may leave by.
    reach: PortMask<WORDS>,
    ingress: Ingress,
    pub(super) learns: bool,
}

impl<const WORDS: usize> PortRow<WORDS> {
    pub(super) fn new(config: &PortConfig, reach: PortMask<WORDS>) -> Self {
        let priorities = config.priority_regeneration.into_iter().chain([config.default_priority]);
        let priorities =
            (0..).step_by(3).zip(priorities).fold(0, |map, (at, pcp)| map | u32::from(pcp.get()) << at);
        Self {
            reach,
            ingress: Ingress { priorities, tpid: config.tag_type.tpid().0 },
            learns: config.learning && config.state >= PortState::Learning,
        }
    }

    /// TPID and TCI of a frame from here; 0 if they are none.
    #[inline]
    fn received(&self, header: &Header) -> u32 {
        select_unpredictable(header.tpid().0 == self.ingress.tpid, header.tag_word(), 0)
    }

    #[inline]
    fn classified(&self, received: u32, home: Home<WORDS>, learn: bool) -> Classified<WORDS> {
        let members = home.members.intersection(self.reach);
        let tags = Tags { received, vid: home.vid, assigned_vid: home.vid, ingress: self.ingress };
        Classified { members, reachable: members, fid: home.fid, learn, tags }
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
        let received = ingress.received(header);
        match self.home_at_once(port, received) {
            Some(home) => Ok(ingress.classified(received, home, true)),
            None => {
                let home = self.home_with_care(port, header)?;
                Ok(ingress.classified(received, home, ingress.learns))
            }
        }
    }

    /// [`classify`](Self::classify) for the frames that need no second look, which are most. `None` says
    /// nothing about the others.
    #[inline]
    pub fn glance(&self, port: PortId, header: &Header) -> Option<Classified<WORDS>> {
        let ingress = self.port_row(port)?;
        let received = ingress.received(header);
        Some(ingress.classified(received, self.home_at_once(port, received)?, true))
    }

    #[inline]
    fn home_at_once(&self, port: PortId, received: u32) -> Option<Home<WORDS>> {
        let vid = received & 0x0FFF;
        let place = select_unpredictable(vid == 0, own_place(port), vid as usize);
        let number = *self.places.get(place & PLACE_MASK)?;
        let row = self.rows.get(usize::from(number >> 1))?;
        ((u16::from(row.admit.contains(port)) | number) & OWN == OWN).then_some(row.home)
    }

    /// The rules one by one: for ports that look deeper or do not learn, VLANs without a row, and frames
    /// that are discarded.
    #[cold]
    #[inline(never)]
    fn home_with_care(&self, port: PortId, header: &Header) -> Result<Home<WORDS>, DropReason> {
        let (Some(config), Some(ingress)) = (self.port(port), self.port_row(port)) else {
            return Err(DropReason::NoSuchPort);
        };
        if config.state < PortState::Learning {
            return Err(DropReason::PortState);
        }
        let own_vid = (header.tpid().0 == ingress.ingress.tpid).then_some(header.tci() & 0x0FFF);
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
        let home = self.row_of(vid).home;
        if home.members.is_empty() {
            return Err(DropReason::UnknownVlan);
        }
        if config.ingress_filter && !home.members.contains(port) {
            return Err(DropReason::NotMember);
        }
        Ok(home)
    }

    /// What `port` does to the tags of a frame that leaves by it (8.8.10, 6.9). O(1).
    #[inline]
    pub fn egress(&self, frame: &Classified<WORDS>, port: PortId) -> TagAction {
        self.edit(frame, port).action()
    }

    /// [`egress`](Self::egress) for a data path.
    #[inline]
    pub fn edit(&self, frame: &Classified<WORDS>, port: PortId) -> TagEdit {
        let Tags { received, vid, .. } = frame.tags;
        let assigned = frame.tags.assigned();
        let is_bare = self.row(vid).map_or(0, |row| row.untagged.bit(port));
        let has_priority = is_bare & self.priority_tagging(assigned).bit(port);
        // Arithmetic: which of its VLANs a port sends untagged is as good as random.
        let service = self.service.bit(port) * u32::from(SERVICE ^ CUSTOMER);
        let all = (u32::from(CUSTOMER) ^ service) << 16 | assigned & 0xFFFF;
        let kept = !is_bare.wrapping_neg() | has_priority.wrapping_neg() & !0x1FFF;
        TagEdit::between(received, all & kept)
    }

    /// The copies of a frame that leaves by `ports`: ports with equal frames together. O(1).
    ///
    /// At most five, since a bridge has two types of tags, each with the VID or with VID 0.
    pub fn copies(
        &self,
        frame: &Classified<WORDS>,
        ports: PortMask<WORDS>,
    ) -> impl Iterator<Item = (TagAction, PortMask<WORDS>)> + use<VLANS, WORDS> {
        let (Tags { vid, received, .. }, assigned) = (frame.tags, frame.tags.assigned());
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
        let home = Home { members: self.everywhere, vid, fid: Fid::masked(vid) };
        self.row(vid).copied().unwrap_or(Row { home, ..Row::EMPTY })
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
