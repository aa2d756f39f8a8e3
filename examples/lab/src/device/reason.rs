//! Short names of reasons, the same in timelines, tables and JSON.

use switch::fdb::storm::Class;
use switch::vlan_table::DropReason;
use switch::{Dropped, Filtered};

/// Why a frame that is all right leaves by no port.
pub(super) const fn filtered(why: Filtered) -> &'static str {
    match why {
        Filtered::SamePort => "same-port",
        Filtered::Unreachable => "unreachable",
        Filtered::Alone => "no-other-port",
        Filtered::Reserved => "reserved-address",
        Filtered::Local => "local",
        Filtered::Probe => "probe",
    }
}

/// Why a frame is discarded.
pub(super) const fn dropped(why: Dropped) -> &'static str {
    match why {
        Dropped::Ingress(reason) => ingress(reason),
        Dropped::Blocked => "blocked",
        Dropped::Storm(Class::Broadcast) => "broadcast-storm",
        Dropped::Storm(Class::Multicast) => "multicast-storm",
        Dropped::Storm(Class::UnknownUnicast) => "unknown-unicast-storm",
        Dropped::Source => "source-filter",
        Dropped::Destination => "destination-filter",
    }
}

const fn ingress(reason: DropReason) -> &'static str {
    match reason {
        DropReason::NoSuchPort => "no-such-port",
        DropReason::PortState => "port-state",
        DropReason::Untagged => "untagged",
        DropReason::PriorityTagged => "priority-tagged",
        DropReason::Tagged => "tagged",
        DropReason::NoPvid => "no-pvid",
        DropReason::ReservedVid => "reserved-vid",
        DropReason::UnknownVlan => "unknown-vlan",
        DropReason::NotMember => "not-member",
        DropReason::NotPvid => "not-pvid",
        DropReason::Truncated => "truncated",
        DropReason::DoubleTagged => "double-tagged",
        _ => "ingress",
    }
}
