//! What happened, with old and new value.

use core::net::IpAddr;

use macaddr::MacAddr6;
use vlan_table::PortId;

use crate::{Binding, Vlans};

/// Who has, or wants, an address.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Owner {
    /// The inside port.
    pub port: PortId,
    /// The MAC behind it.
    pub mac: MacAddr6,
}

/// What happened to bindings, for logs and for those who enforce.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Event {
    /// An address was seen for the first time.
    Learned(Binding),
    /// An address has a new owner.
    Moved {
        /// The binding from now on.
        binding: Binding,
        /// The owner until now.
        from: Owner,
    },
    /// A learned address was silent for too long, or its port was flushed.
    Expired {
        /// The address.
        addr: IpAddr,
        /// The VLANs.
        vlans: Vlans,
        /// The owner until now.
        owner: Owner,
    },
    /// An address is claimed by two; `kept` has it, `refused` has not.
    Conflict {
        /// The address.
        addr: IpAddr,
        /// The VLANs.
        vlans: Vlans,
        /// The owner.
        kept: Owner,
        /// The other.
        refused: Owner,
    },
    /// Somebody inside used an address of the host, a gateway, or another's static binding.
    Spoof {
        /// The address.
        addr: IpAddr,
        /// The VLANs.
        vlans: Vlans,
        /// Who did it.
        by: Owner,
    },
    /// Somebody outside claims an address of ours in ARP or neighbour discovery.
    ClaimedOutside {
        /// The address.
        addr: IpAddr,
        /// The VLANs.
        vlans: Vlans,
        /// Our owner.
        owner: Owner,
        /// The other's MAC.
        by: MacAddr6,
    },
    /// Two ports have a machine with the same MAC. Both work, since bindings name the port.
    DuplicateMac {
        /// The MAC.
        mac: MacAddr6,
        /// Where it was.
        known: PortId,
        /// Where it is as well.
        also: PortId,
    },
    /// An address was not learned for lack of room; it is translated all the same on its way out.
    Refused {
        /// The address.
        addr: IpAddr,
        /// The VLANs.
        vlans: Vlans,
        /// Whose it would have been.
        owner: Owner,
        /// Whether the port's share is used up, not the whole table.
        quota: bool,
    },
}
