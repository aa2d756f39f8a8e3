//! Security groups as flows with connection tracking, on the integration bridge.
//!
//! Table numbers are those of Neutron's Open vSwitch firewall (`agent/linux/openvswitch_firewall`),
//! and so are the zones: a network's local VLAN. In three things the tables differ:
//!
//! - Rules do not look at the state of a connection; the tables before and behind them do. One
//!   rule is one flow, or two with its remote set.
//! - Members of a remote group stand in the table once, not once per port
//!   ([conjunctive matches](https://www.openvswitch.org/support/dist-docs/ovs-fields.7.txt)).
//! - Nothing is handed to `NORMAL`, which would deliver group-addressed frames and unknown
//!   unicast to local ports past their ingress rules. Every copy for a filtered port goes through
//!   its rules.
//!
//! ```text
//! 60 ENTRY ──guest──> 71 CLAIMS ──ct──> 72 EGRESS ──┐
//!    └──────wire, trusted──────────────────────> 73 SWITCH ──others──> 94 LEAVE ──> way out
//!                                                    │ a guest's          │ group
//!                                                    └───────────────> 81 ARRIVE
//!                                       guest <── 83 ENTER <── 82 INGRESS <──ct──┘
//! ```

mod base;
mod memo;
mod parts;
mod rules;
mod spelling;

use std::collections::{BTreeMap, BTreeSet};

use macaddr::MacAddr6;
use secgroup_rpc::Device;
use vlan_table::VlanId;

use crate::flow::Flow;
pub(crate) use memo::Memo;
use spelling::{Match, goto};

/// Tables of the filter.
mod table {
    /// Where a frame comes from.
    pub(super) const ENTRY: u8 = 60;
    /// Who a guest claims to be.
    pub(super) const CLAIMS: u8 = 71;
    /// What a guest may send.
    pub(super) const EGRESS: u8 = 72;
    /// To a neighbour on the node, or out.
    pub(super) const SWITCH: u8 = 73;
    /// What a guest gets unasked, and the look-up of connections.
    pub(super) const ARRIVE: u8 = 81;
    /// What a guest may receive.
    pub(super) const INGRESS: u8 = 82;
    /// Into the guest.
    pub(super) const ENTER: u8 = 83;
    /// Out of the node.
    pub(super) const LEAVE: u8 = 94;
}

/// Every group address, and only they (IEEE 802, 8.2.2).
const GROUP: &str = "01:00:00:00:00:00/01:00:00:00:00:00";
/// Remembers which trusted port a station is behind, below the addresses that are known to be
/// somebody's.
const LEARN_WAY_BACK: &str = "learn(table=73,idle_timeout=300,priority=97,NXM_NX_REG6[],\
    NXM_OF_ETH_DST[]=NXM_OF_ETH_SRC[],output:NXM_OF_IN_PORT[])";
/// Finds a packet's connection in the zone of its network.
const ZONE: &str = "zone=NXM_NX_REG6[0..15]";
/// Sends a frame to the port in register 5; one that it came from is left out by the switch.
const TO_REGISTER: &str = "output:NXM_NX_REG5[]";

/// A wired port.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Port<'a> {
    /// Its OpenFlow number.
    pub(crate) ofport: u16,
    /// The local VLAN of its network.
    pub(crate) vlan: VlanId,
    /// Its own address.
    pub(crate) mac: MacAddr6,
    /// What is filtered; `None` for a port that passes everything.
    pub(crate) device: Option<&'a Device>,
}

/// A network on this node.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Network {
    /// Its local VLAN.
    pub(crate) vlan: VlanId,
    /// OpenFlow number of the patch port towards its wire or tunnels; `None` if it stays here.
    pub(crate) way_out: Option<u16>,
}

/// What holds for every port.
fn defaults() -> impl Iterator<Item = Flow> {
    // Unlike the table of a node without filters, this one forwards nothing that it does not know.
    let entry = Flow::new(table::ENTRY, 1, "", "drop");
    let switch = Flow::new(table::SWITCH, 0, "", goto(table::LEAVE));
    let enter = Flow::new(table::ENTER, 0, "", TO_REGISTER);
    // Set behind a stateless rule.
    let untracked = Flow::new(table::SWITCH, 95, "reg7=0x1", goto(table::LEAVE));
    let commit = ["ip", "ipv6"].into_iter().flat_map(|family| {
        let new = Match { state: "+new+trk", protocol: family, ..Match::default() }.to_string();
        [
            Flow::new(table::SWITCH, 90, new.clone(), format!("ct(commit,{ZONE}),{}", goto(table::LEAVE))),
            Flow::new(table::ENTER, 10, new, format!("ct(commit,{ZONE}),{TO_REGISTER}")),
        ]
    });
    let tracked = [table::EGRESS, table::INGRESS].into_iter().flat_map(connections);
    [entry, switch, untracked, enter].into_iter().chain(commit).chain(tracked)
}

/// What a connection's state alone decides, around the rules of `table`.
fn connections(table: u8) -> impl Iterator<Item = Flow> {
    let state = |state| Match { state, ..Match::default() }.to_string();
    let pass = rules::pass(table, true);
    let always = [
        Flow::new(table, 100, state("+inv+trk"), "drop"),
        // Marked when its rule went away.
        Flow::new(table, 99, "ct_mark=0x1", "drop"),
        Flow::new(table, 98, state("+est+rpl+trk"), pass),
        Flow::new(table, 98, state("+rel+trk"), pass),
    ];
    let cut = ["ip", "ipv6"].into_iter().map(move |protocol| {
        let established = Match { state: "+est+trk", protocol, ..Match::default() };
        Flow::new(
            table,
            40,
            established.to_string(),
            format!("ct(commit,{ZONE},exec(set_field:0x1->ct_mark))"),
        )
    });
    always.into_iter().chain(cut)
}

/// Where frames of a guest go first: a filtered one has to say who it is.
fn from_guest(port: &Port<'_>) -> [Flow; 3] {
    let in_port = format!("in_port={}", port.ofport);
    let here = format!("set_field:{:#x}->reg6", port.vlan.get());
    let enter = match port.device {
        Some(_) => format!("{here},{}", goto(table::CLAIMS)),
        None => format!("{here},{LEARN_WAY_BACK},{}", goto(table::SWITCH)),
    };
    [
        // A priority tag is no VLAN; any other tag is not a guest's to choose (802.1Q, 6.9).
        Flow::new(table::ENTRY, 105, format!("{in_port},dl_vlan=0"), format!("pop_vlan,{enter}")),
        Flow::new(table::ENTRY, 104, format!("{in_port},vlan_tci=0x1000/0x1000"), "drop"),
        Flow::new(table::ENTRY, 100, in_port, enter),
    ]
}

/// Who in a network gets a frame. The switch sends none back to where it came from, so frames from
/// the wire and from guests can share these.
fn switching(network: Network, local: &[&Port<'_>]) -> Vec<Flow> {
    let vlan = network.vlan.get();
    let from_wire = format!("pop_vlan,set_field:{vlan:#x}->reg6,{}", goto(table::SWITCH));
    let mut flows = vec![Flow::new(table::ENTRY, 80, format!("dl_vlan={vlan}"), from_wire)];
    for (mac, owners) in owners(local) {
        let to = deliver(owners.into_iter());
        flows.push(Flow::new(table::SWITCH, 100, format!("reg6={vlan:#x},dl_dst={mac}"), to));
    }
    let everybody = deliver(local.iter().copied());
    // A port without a filter may be a bridge or a router, and unknown unicast be for who is behind.
    let trusted = deliver(local.iter().copied().filter(|port| port.device.is_none()));
    let out = network.way_out.map_or(String::new(), |patch| {
        format!("push_vlan:0x8100,set_field:{}->vlan_vid,output:{patch}", 0x1000 | vlan)
    });
    let to_all = [everybody, out.clone()].into_iter().filter(|to| !to.is_empty()).collect::<Vec<_>>();
    let mut leave = |priority, more: String, to: String| {
        if !to.is_empty() {
            flows.push(Flow::new(table::LEAVE, priority, format!("reg6={vlan:#x}{more}"), to));
        }
    };
    leave(85, format!(",dl_dst={GROUP}"), to_all.join(","));
    match network.way_out {
        Some(patch) => {
            leave(
                82,
                format!(",in_port={patch}"),
                if trusted.is_empty() { "drop".to_owned() } else { trusted },
            );
            leave(80, String::new(), out);
        }
        None => leave(80, String::new(), trusted),
    }
    flows
}

/// Address to the ports that may own it: a port's own, and those of its address pairs, which
/// several ports may share (VRRP).
fn owners<'a, 'b>(local: &[&'a Port<'b>]) -> BTreeMap<String, Vec<&'a Port<'b>>> {
    let mut owners = BTreeMap::<_, Vec<_>>::new();
    for port in local {
        let pairs = port.device.into_iter().flat_map(|device| &device.pairs).map(|pair| pair.mac);
        let macs: BTreeSet<_> = pairs.chain([port.mac]).map(|mac| mac.to_string().to_lowercase()).collect();
        macs.into_iter().for_each(|mac| owners.entry(mac).or_default().push(*port));
    }
    owners
}

/// Actions that hand a copy to each port: to a filtered one through its rules.
fn deliver<'a, 'b: 'a>(ports: impl Iterator<Item = &'a Port<'b>>) -> String {
    let copy = |port: &Port<'_>| match port.device {
        Some(_) => format!("set_field:{:#x}->reg5,resubmit(,{})", port.ofport, table::ARRIVE),
        None => format!("output:{}", port.ofport),
    };
    ports.map(copy).collect::<Vec<_>>().join(",")
}
