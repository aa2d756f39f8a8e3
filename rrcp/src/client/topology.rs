//! The tree of switches from the link vectors of a scan.

use macaddr::MacAddr6;

use super::Switch;

/// Answers of a scan, read as a tree: each switch hangs on a port of the one above it.
///
/// The answers are the network's word. A link to itself or to a switch that did not answer makes
/// a root, and a ring of links ends where it would repeat.
///
/// ```
/// use rrcp::MacAddr6;
/// use rrcp::client::{Switch, Topology};
/// use rrcp::wire::{AuthKey, ChipId, HelloReply, VendorId};
///
/// let mac = |last| MacAddr6::new(2, 0, 0, 0, 0, last);
/// let switch = |last, uplink_mac, uplink_port| {
///     let (chip, vendor) = (ChipId(0x0C), VendorId(0));
///     let reply = HelloReply { downlink_port: 0, uplink_port, uplink_mac, chip, vendor };
///     Switch { mac: mac(last), key: AuthKey::DEFAULT, reply }
/// };
/// let answers = [switch(1, MacAddr6::nil(), 0), switch(2, mac(1), 7), switch(3, mac(2), 4)];
/// let topology = Topology::new(&answers);
/// assert!(topology.roots().eq([&answers[0]]));
/// assert!(topology.below(mac(1)).eq([&answers[1]]));
/// assert_eq!(topology.depth(&answers[2]), 2);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Topology<'a> {
    switches: &'a [Switch],
}

impl<'a> Topology<'a> {
    /// Reads the answers of a scan, in any order.
    pub const fn new(switches: &'a [Switch]) -> Self {
        Self { switches }
    }

    /// The switch above; `None` for a root. O(answers).
    pub fn above(&self, switch: &Switch) -> Option<&'a Switch> {
        let (uplink, _) = switch.reply.uplink()?;
        self.switches.iter().find(|other| other.mac == uplink && other.mac != switch.mac)
    }

    /// Switches that hang on no other.
    pub fn roots(self) -> impl Iterator<Item = &'a Switch> {
        self.switches.iter().filter(move |switch| self.above(switch).is_none())
    }

    /// Switches that hang on `mac`.
    pub fn below(self, mac: MacAddr6) -> impl Iterator<Item = &'a Switch> {
        let hangs = move |switch: &&Switch| self.above(switch).is_some_and(|above| above.mac == mac);
        self.switches.iter().filter(hangs)
    }

    /// Switches between this one and its root; at most as many as there are answers, also in a
    /// ring. O(answers squared).
    pub fn depth(&self, switch: &Switch) -> usize {
        core::iter::successors(self.above(switch), |above| self.above(above))
            .take(self.switches.len())
            .count()
    }
}
