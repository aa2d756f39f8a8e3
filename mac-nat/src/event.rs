//! What happened, with old and new value.

use core::fmt;
use core::net::IpAddr;

use macaddr::MacAddr6;
use vlan_table::PortId;

use crate::binding::LowerCase;
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

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at port {}", LowerCase(self.mac), self.port)
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Learned(binding) => write!(f, "learned {binding}"),
            Self::Moved { binding, from } => write!(f, "moved from {from}: {binding}"),
            Self::Expired { addr, vlans, owner } => write!(f, "expired {addr} ({vlans}) of {owner}"),
            Self::Conflict { addr, vlans, kept, refused } => {
                write!(f, "conflict about {addr} ({vlans}): {kept} keeps it, not {refused}")
            }
            Self::Spoof { addr, vlans, by } => write!(f, "spoof of {addr} ({vlans}) by {by}"),
            Self::ClaimedOutside { addr, vlans, owner, by } => {
                let by = LowerCase(*by);
                write!(f, "{by} outside claims {addr} ({vlans}) of {owner}")
            }
            Self::DuplicateMac { mac, known, also } => {
                write!(f, "{} is at port {known} and at port {also}", LowerCase(*mac))
            }
            Self::Refused { addr, vlans, owner, quota } => {
                let why = if *quota { "the port has its share" } else { "the table is full" };
                write!(f, "no room for {addr} ({vlans}) of {owner}: {why}")
            }
        }
    }
}
