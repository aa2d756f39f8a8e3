//! Ports, and the way of a frame from one of them to others.

use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;

use super::config::{PortConfig, PriorityTags, VlanMode};
use super::stack::Stack;
use crate::{DropReason, EtherType, Fid, PortId, PortMask, PortOutOfRange, TagEdit, VidSet, frame};

/// Bits of the priority code point in the tag control information.
const PCP: u32 = 0xE000;
const VID: u32 = 0x0FFF;
const CUSTOMER: u32 = (EtherType::VLAN.0 as u32) << 16;

/// The ports of a bridge and which VLANs they carry; up to `64 * WORDS` ports.
///
/// Every port starts as a trunk of all VLANs. Classification takes one look at the frame and one
/// at a table of 4096 rows whatever the number of ports.
///
/// ```
/// use vlan_table::openvswitch::{Bridge, PortConfig, VlanMode};
/// use vlan_table::{PortId, Tag, TagVid, VlanId};
///
/// let [access, trunk] = [0, 1].map(|raw| PortId::new(raw).unwrap());
/// let mut bridge = Bridge::<1>::new(2, 1);
/// bridge.set_port(access, PortConfig::new(VlanMode::Access, TagVid::from_raw(10)))?;
///
/// let frame = bridge.classify(access, &[0xFF; 60])?;
/// assert_eq!(frame.vid, TagVid::from_raw(10));
/// let (ports, edit) = bridge.copies(&frame, frame.members).next().unwrap();
/// assert!(ports.contains(trunk));
/// assert_eq!(edit.pushed().next(), VlanId::new(10).map(Tag::customer));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Bridge<const WORDS: usize = 1> {
    ports: Vec<PortConfig>,
    vlan_limit: usize,
    /// By VID.
    carriers: Box<[Carriers<WORDS>]>,
    protected: PortMask<WORDS>,
    /// Ports that get no floods.
    quiet: PortMask<WORDS>,
    flood_vlans: VidSet,
}

/// The ports that carry a VLAN.
#[derive(Clone, Copy, Debug)]
struct Carriers<const WORDS: usize> {
    trunks: PortMask<WORDS>,
    access: PortMask<WORDS>,
    tunnels: PortMask<WORDS>,
    /// Tunnels, of whatever VLAN, that take this one as a customer's.
    customers: PortMask<WORDS>,
}

/// A frame that a port let in.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Classified<const WORDS: usize = 1> {
    /// Where the frame goes if its destination is a group or unknown; never the ingress port.
    pub members: PortMask<WORDS>,
    /// Where the frame may go if the forwarding database names its port.
    pub reachable: PortMask<WORDS>,
    /// The VLAN; 0 and 4095 are VLANs here.
    pub vid: crate::TagVid,
    /// The forwarding database: one for each VLAN.
    pub fid: Fid,
    /// Whether stations of this VLAN are learned and looked for; else all its frames are flooded, see
    /// [`Bridge::set_flood_vlans`].
    pub learn: bool,
    received: Stack,
    /// The tags that the frame has inside of the bridge; the first may be without TPID and VID.
    inside: [u32; 2],
}

impl<const WORDS: usize> Bridge<WORDS> {
    /// A bridge with the ports `0..ports`, at most [`PortMask::CAPACITY`], that reads
    /// `vlan_limit` tags of a frame: Open vSwitch takes 1 or 2, and 1 unless configured.
    pub fn new(ports: u16, vlan_limit: usize) -> Self {
        let nothing = PortMask::EMPTY;
        let carriers = Carriers { trunks: nothing, access: nothing, tunnels: nothing, customers: nothing };
        let ports = usize::from(ports.min(PortMask::<WORDS>::CAPACITY));
        let mut bridge = Self {
            ports: vec![PortConfig::default(); ports],
            vlan_limit: vlan_limit.clamp(1, 2),
            carriers: vec![carriers; 4096].into_boxed_slice(),
            protected: nothing,
            quiet: nothing,
            flood_vlans: VidSet::EMPTY,
        };
        let everywhere = PortMask::first(ports as u16);
        bridge.carriers.iter_mut().for_each(|row| row.trunks = everywhere);
        bridge
    }

    /// Reconfigures `port`. O(4096); stations learned on the port are to be forgotten.
    ///
    /// # Errors
    /// [`PortOutOfRange`] if the bridge has no such port.
    pub fn set_port(&mut self, port: PortId, config: PortConfig) -> Result<(), PortOutOfRange> {
        let capacity = self.ports.len() as u16;
        let slot = self.ports.get_mut(port.index()).ok_or(PortOutOfRange { port: port.get(), capacity })?;
        for (row, vid) in self.carriers.iter_mut().zip(0..) {
            let (own, mode) = (vid == config.tag.raw(), config.vlan_mode);
            let tunnel = mode == VlanMode::Dot1qTunnel;
            let trunk = !tunnel && mode != VlanMode::Access;
            assign(&mut row.access, port, mode == VlanMode::Access && own);
            assign(&mut row.tunnels, port, tunnel && own);
            assign(&mut row.trunks, port, trunk && config.trunks_vlan(vid));
            assign(&mut row.customers, port, tunnel && config.allows_cvlan(vid));
        }
        assign(&mut self.protected, port, config.protected);
        *slot = config;
        Ok(())
    }

    /// From now on the bridge reads `vlan_limit` tags of a frame; see [`new`](Self::new).
    pub fn set_vlan_limit(&mut self, vlan_limit: usize) {
        self.vlan_limit = vlan_limit.clamp(1, 2);
    }

    /// The VLANs of which no station is learned or looked for: the column `flood_vlans` of the bridge,
    /// empty at first. All stations are to be forgotten when it changes, as Open vSwitch does.
    pub fn set_flood_vlans(&mut self, vlans: VidSet) {
        self.flood_vlans = vlans;
    }

    /// The VLANs of which no station is learned or looked for.
    pub fn flood_vlans(&self) -> &VidSet {
        &self.flood_vlans
    }

    /// Whether `port` gets floods: OpenFlow's port flag `no-flood`, off at first. Frames to stations that
    /// are known there still leave by it.
    ///
    /// # Errors
    /// [`PortOutOfRange`] if there is no such port.
    pub fn set_no_flood(&mut self, port: PortId, no_flood: bool) -> Result<(), PortOutOfRange> {
        let capacity = self.ports.len() as u16;
        self.port(port).ok_or(PortOutOfRange { port: port.get(), capacity })?;
        assign(&mut self.quiet, port, no_flood);
        Ok(())
    }

    /// The ports of the bridge.
    pub fn ports(&self) -> PortMask<WORDS> {
        PortMask::first(self.ports.len() as u16)
    }

    /// The configuration of `port`; `None` if the bridge has no such port.
    pub fn port(&self, port: PortId) -> Option<&PortConfig> {
        self.ports.get(port.index())
    }

    /// Whether `port` takes `frame`, its VLAN and where it may go. O(1).
    ///
    /// # Errors
    /// [`DropReason`]: a tag is cut, the port does not carry the VLAN, or there is no such port.
    pub fn classify(&self, port: PortId, frame: &[u8]) -> Result<Classified<WORDS>, DropReason> {
        let config = self.port(port).ok_or(DropReason::NoSuchPort)?;
        let received = self.read_tags(frame)?;
        let [outer, inner] = received.0;
        let vid = (outer & VID) as u16;
        match config.vlan_mode {
            VlanMode::Access if vid != 0 => return Err(DropReason::Tagged),
            VlanMode::Trunk if !config.trunks_vlan(vid) => return Err(DropReason::NotMember),
            VlanMode::NativeTagged | VlanMode::NativeUntagged if vid != 0 && !config.trunks_vlan(vid) => {
                return Err(DropReason::NotMember);
            }
            VlanMode::Dot1qTunnel if !config.allows_cvlan(vid) => return Err(DropReason::NotMember),
            _ => {}
        }
        // The frame in the port's own VLAN; it keeps the TPID and the priority that it came with.
        let tpid = if outer == 0 { CUSTOMER } else { outer & 0xFFFF_0000 };
        let own = tpid | outer & PCP | u32::from(config.tag.raw());
        let inside = match config.vlan_mode {
            VlanMode::Access => [own, 0],
            VlanMode::NativeTagged | VlanMode::NativeUntagged if vid == 0 => [own, inner],
            VlanMode::Trunk | VlanMode::NativeTagged | VlanMode::NativeUntagged => [outer, inner],
            // Room for two: a third tag is lost.
            VlanMode::Dot1qTunnel => {
                [u32::from(config.qinq_ethtype.0) << 16 | u32::from(config.tag.raw()), outer]
            }
        };
        Ok(self.admit(port, received, inside))
    }

    fn admit(&self, port: PortId, received: Stack, inside: [u32; 2]) -> Classified<WORDS> {
        let [vid, inner] = inside.map(|word| (word & VID) as u16);
        let hidden = if self.protected.contains(port) { self.protected } else { PortMask::EMPTY };
        let hidden = hidden.with(port);
        let mut members = PortMask::EMPTY;
        if let (Some(row), Some(customer)) =
            (self.carriers.get(usize::from(vid)), self.carriers.get(usize::from(inner)))
        {
            members = row.trunks.union(row.tunnels.intersection(customer.customers));
            // An access port hides tags from its station, so it does not pass an inner VLAN on.
            members = if inner == 0 { members.union(row.access) } else { members };
        }
        Classified {
            members: members.difference(hidden).difference(self.quiet),
            reachable: self.ports().difference(hidden),
            vid: crate::TagVid::from_raw(vid),
            fid: Fid::masked(vid),
            learn: !self.flood_vlans.contains(vid),
            received,
            inside,
        }
    }

    /// At most `vlan_limit` tags.
    fn read_tags(&self, frame: &[u8]) -> Result<Stack, DropReason> {
        let mut tags = Stack::default();
        let mut at = frame::HEADER_LEN - 2;
        while tags.len() < self.vlan_limit {
            match frame.get(at..).and_then(<[u8]>::first_chunk) {
                Some([a, b, c, d, _, _]) if is_tpid([*a, *b]) => {
                    tags.push(u32::from_be_bytes([*a, *b, *c, *d]));
                    at += 4;
                }
                _ => break,
            }
        }
        // A tag that is cut is an error only where no whole one precedes it.
        match ether_type(frame).map(is_tpid) {
            Some(false) => Ok(tags),
            Some(true) if tags.len() > 0 => Ok(tags),
            _ => Err(DropReason::Truncated),
        }
    }

    /// The copies of a frame that goes to `ports`: each with the ports that get it, and what
    /// happens to the tags.
    ///
    /// O(ports), and that once more for every distinct copy.
    pub fn copies<'a>(&'a self, frame: &'a Classified<WORDS>, ports: PortMask<WORDS>) -> Copies<'a, WORDS> {
        Copies { bridge: self, frame, ports, left: ports }
    }

    /// The tags that `frame` should have on `port`; the DEI is not looked at.
    fn wanted(&self, frame: &Classified<WORDS>, port: PortId) -> Stack {
        let Some(config) = self.port(port) else { return Stack::default() };
        let [first, second] = frame.inside;
        let [mut outer, inner] = match config.vlan_mode {
            VlanMode::Access => [0, 0],
            VlanMode::Trunk | VlanMode::NativeTagged => [first, second],
            VlanMode::NativeUntagged if frame.vid != config.tag => [first, second],
            VlanMode::NativeUntagged | VlanMode::Dot1qTunnel => [second, 0],
        };
        if config.priority_tags != PriorityTags::Never {
            outer = outer & !PCP | frame.received.0[0] & PCP;
        }
        let mut tags = Stack::default();
        for word in [outer, inner] {
            // VID 0 and priority 0 together are no tag, and end the stack.
            let always = config.priority_tags == PriorityTags::Always && word >> 16 != 0;
            if word & (VID | PCP) == 0 && !always {
                break;
            }
            let tpid = if word >> 16 == 0 { CUSTOMER } else { word & 0xFFFF_0000 };
            tags.push(tpid | word & (VID | PCP));
        }
        tags
    }
}

/// What leaves a bridge; see [`Bridge::copies`].
#[derive(Clone, Debug)]
pub struct Copies<'a, const WORDS: usize> {
    bridge: &'a Bridge<WORDS>,
    frame: &'a Classified<WORDS>,
    ports: PortMask<WORDS>,
    left: PortMask<WORDS>,
}

impl<const WORDS: usize> Iterator for Copies<'_, WORDS> {
    type Item = (PortMask<WORDS>, TagEdit);

    /// Open vSwitch makes one list of actions for all ports, so the tags that a port's copy starts
    /// from are those of the port before it: the list is replayed for every distinct copy.
    #[inline(never)] // long, where its callers are short
    fn next(&mut self) -> Option<Self::Item> {
        let mut found: Option<Stack> = None;
        let mut ports = PortMask::EMPTY;
        let mut tags = self.frame.received;
        for port in self.ports {
            tags = tags.replaced_by(self.bridge.wanted(self.frame, port));
            if self.left.contains(port) && *found.get_or_insert(tags) == tags {
                ports = ports.with(port);
            }
        }
        self.left = self.left.difference(ports);
        found.map(|tags| (ports, self.frame.received.edit_to(tags)))
    }
}

fn assign<const WORDS: usize>(mask: &mut PortMask<WORDS>, port: PortId, member: bool) {
    *mask = if member { mask.with(port) } else { mask.without(port) };
}

/// The EtherType of a frame without tags; where an LLC frame has a SNAP header of the Ethernet family, the
/// type in there. So an LLC frame that says that a tag follows has a tag that is cut, however long it is.
fn ether_type(frame: &[u8]) -> Option<[u8; 2]> {
    const SNAP: [u8; 6] = [0xAA, 0xAA, 0x03, 0, 0, 0];
    let (ether_type, rest) = frame.get(frame::HEADER_LEN - 2..)?.split_first_chunk::<2>()?;
    if !EtherType(u16::from_be_bytes(*ether_type)).is_length() {
        return Some(*ether_type);
    }
    let inner = rest.strip_prefix(&SNAP).and_then(<[u8]>::first_chunk);
    Some(*inner.unwrap_or(ether_type))
}

const fn is_tpid(bytes: [u8; 2]) -> bool {
    matches!(EtherType(u16::from_be_bytes(bytes)), EtherType::VLAN | EtherType::SERVICE_VLAN)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::openvswitch::VidSet;
    use crate::{TagAction, TagVid};

    fn port(raw: u16) -> PortId {
        PortId::new(raw).unwrap()
    }

    fn set(ports: &[u16]) -> PortMask {
        ports.iter().copied().map(port).collect()
    }

    /// An access port of VLAN 10, a trunk of 10 and 20, a native-untagged port of 10, a tunnel of 30,
    /// and a port of which nothing is configured.
    fn bridge(vlan_limit: usize) -> Bridge {
        let ten = TagVid::from_raw(10);
        let trunks: VidSet = [10, 20].map(TagVid::from_raw).into_iter().collect();
        let mut bridge = Bridge::new(5, vlan_limit);
        let configs = [
            PortConfig::new(VlanMode::Access, ten),
            PortConfig { trunks: Some(trunks.clone()), ..PortConfig::default() },
            PortConfig { trunks: Some(trunks), ..PortConfig::new(VlanMode::NativeUntagged, ten) },
            PortConfig::new(VlanMode::Dot1qTunnel, TagVid::from_raw(30)),
        ];
        for (number, config) in (0..).zip(configs) {
            bridge.set_port(port(number), config).unwrap();
        }
        bridge
    }

    fn frame(tags: &[u32]) -> Vec<u8> {
        let mut bytes = vec![0xFF; 12];
        tags.iter().for_each(|word| bytes.extend(word.to_be_bytes()));
        bytes.extend([0xAB, 0xCD]);
        bytes.resize(60, 0);
        bytes
    }

    #[test]
    fn each_mode_lets_in_what_it_carries() {
        let bridge = bridge(1);
        let verdict = |number, tags: &[u32]| bridge.classify(port(number), &frame(tags)).map(|c| c.vid.raw());
        assert_eq!(verdict(0, &[]), Ok(10));
        assert_eq!(verdict(0, &[0x8100_A000]), Ok(10));
        assert_eq!(verdict(0, &[0x8100_000A]), Err(DropReason::Tagged), "even its own VLAN");
        assert_eq!(verdict(1, &[0x88A8_0014]), Ok(20), "both TPIDs count");
        assert_eq!(verdict(1, &[0x8100_001E]), Err(DropReason::NotMember));
        assert_eq!(verdict(1, &[]), Err(DropReason::NotMember), "VLAN 0 is a VLAN like any other");
        assert_eq!(verdict(2, &[]), Ok(10));
        assert_eq!(verdict(3, &[0x8100_0063]), Ok(30));
        assert_eq!(verdict(4, &[0x8100_0FFF]), Ok(4095));
        assert_eq!(verdict(5, &[]), Err(DropReason::NoSuchPort));
    }

    #[test]
    fn copies_are_grouped_by_their_tags() {
        let bridge = bridge(1);
        let classified = bridge.classify(port(4), &frame(&[0x8100_600A])).unwrap();
        assert_eq!(classified.members, set(&[0, 1, 2]));
        let copies: Vec<_> = bridge.copies(&classified, classified.members).collect();
        let untagged = TagEdit::from(TagAction::Pop);
        assert_eq!(copies, [(set(&[0, 2]), untagged), (set(&[1]), TagEdit::KEEP)]);
    }

    #[test]
    fn an_inner_vlan_does_not_reach_an_access_port() {
        let double = frame(&[0x8100_000A, 0x8100_0063]);
        assert!(bridge(1).classify(port(4), &double).unwrap().members.contains(port(0)), "it is payload");
        assert!(!bridge(2).classify(port(4), &double).unwrap().members.contains(port(0)));
    }

    #[test]
    fn a_cut_tag_is_an_error_unless_a_whole_one_precedes_it() {
        let double = frame(&[0x8100_000A, 0x8100_0063]);
        for len in 0..30 {
            let verdict = bridge(2).classify(port(4), &double[..len]);
            assert_eq!(verdict.is_ok(), len >= 18, "{len} bytes");
        }
    }
}
