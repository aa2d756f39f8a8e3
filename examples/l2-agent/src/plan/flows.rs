//! The complete flow table of every bridge that the agent owns.
//!
//! Table numbers and priorities are those of neutron-openvswitch-agent
//! (`agent/openflow/native/br_int.py`, `br_phys.py`, `br_tun.py`), so that an operator finds what
//! the manuals describe.

use std::collections::{BTreeMap, BTreeSet};

use vlan_table::VlanId;

use super::patches::{FROM_INSIDE, TO_INTEGRATION, TO_TUNNELS};
use super::ports::{self, Guest};
use super::{Attachment, Networks};
use crate::desired::{Desired, Filter, Segment};
use crate::filter::{self, Memo};
use crate::flow::Flow;
use crate::mapping::{integration_patch, physical_patch, tunnel_port};
use crate::observed::{Bridge, Observed};
use crate::translation::Translation;

/// Tables of the integration bridge.
mod int {
    pub(super) const ENTRY: u8 = 0;
    pub(super) const CANARY: u8 = 23;
    pub(super) const PACKET_RATE: u8 = 58;
    pub(super) const BANDWIDTH: u8 = 59;
    pub(super) const TRANSIENT: u8 = 60;
}

/// Tables of the tunnel bridge.
mod tun {
    pub(super) const ENTRY: u8 = 0;
    pub(super) const FROM_NODE: u8 = 2;
    pub(super) const FROM_VXLAN: u8 = 4;
    pub(super) const LEARN: u8 = 10;
    pub(super) const UNICAST: u8 = 20;
    pub(super) const FLOOD: u8 = 22;
}

/// What the tables depend on.
pub(super) struct Node<'a> {
    pub(super) desired: &'a Desired,
    pub(super) observed: &'a Observed,
    pub(super) guests: &'a [Guest<'a>],
    pub(super) networks: &'a Networks,
}

/// The flows of a bridge.
pub(super) enum Table<'a> {
    /// Worked out each time: a few for each network.
    Fresh(BTreeSet<Flow>),
    /// A dozen for each port.
    Kept(&'a Memo),
}

impl Table<'_> {
    /// Every flow once, in ascending order.
    pub(super) fn flows(&self) -> Box<dyn Iterator<Item = &Flow> + '_> {
        match self {
            Self::Fresh(flows) => Box::new(flows.iter()),
            Self::Kept(memo) => Box::new(memo.flows()),
        }
    }
}

/// Bridge to its flows, for every bridge of the agent that exists.
pub(super) fn tables<'a>(
    node: &Node<'_>,
    memo: &'a mut Memo,
    faults: &mut Vec<String>,
) -> BTreeMap<String, Table<'a>> {
    let Node { desired, observed, networks, .. } = *node;
    let Some(integration) = observed.bridges.get(&desired.integration_bridge) else { return BTreeMap::new() };
    let mut tables = BTreeMap::new();
    let mut inner: BTreeSet<_> = integration_defaults().into();
    for bridge in desired.bridge_mappings.bridges() {
        let Some(seen) = observed.bridges.get(bridge) else { continue };
        let inward = ofport(integration, &integration_patch(bridge));
        let outward = ofport(seen, &physical_patch(bridge));
        tables.insert(bridge.to_owned(), Table::Fresh(physical_table(bridge, outward, networks)));
        inner.extend(from_physical(bridge, inward, networks));
    }
    if let Some(tunnels) = &desired.tunnels
        && let Some(seen) = observed.bridges.get(&desired.tunnel_bridge)
    {
        let remotes =
            tunnels.remotes.iter().filter_map(|remote| ofport(seen, &tunnel_port("vxlan", *remote)));
        let patch = ofport(seen, TO_INTEGRATION);
        let table = tunnel_table(patch, &remotes.collect::<Vec<_>>(), networks);
        tables.insert(desired.tunnel_bridge.clone(), Table::Fresh(table));
    }
    if let Some(translation) = &desired.translation
        && let Some(seen) = observed.bridges.get(&translation.bridge)
    {
        let table = translating_table(translation, seen, faults);
        tables.insert(translation.bridge.clone(), Table::Fresh(table));
    }
    tables.insert(
        desired.integration_bridge.clone(),
        integration_table(node, integration, inner, memo, faults),
    );
    tables
}

/// What happens to a frame in its local VLAN: it is switched, through the filter if there is one.
fn integration_table<'a>(
    node: &Node<'_>,
    integration: &Bridge,
    mut inner: BTreeSet<Flow>,
    memo: &'a mut Memo,
    faults: &mut Vec<String>,
) -> Table<'a> {
    // Without groups there is nothing to look up.
    let guests = if node.desired.security.is_some() { node.guests } else { &[] };
    let ports: Vec<_> = guests.iter().filter_map(|guest| filtered(node, guest)).collect();
    let is_needed = ports.iter().any(|port| port.device.is_some());
    let Some(security) = node.desired.security.as_ref().filter(|_| is_needed) else {
        *memo = Memo::default();
        inner.insert(Flow::new(int::TRANSIENT, 1, "", "NORMAL"));
        return Table::Fresh(inner);
    };
    let way_out = |segment: &Segment| match segment {
        Segment::Local => None,
        Segment::Flat { bridge } | Segment::Vlan { bridge, .. } => {
            ofport(integration, &integration_patch(bridge))
        }
        Segment::Vxlan { .. } => ofport(integration, TO_TUNNELS),
    };
    let network = |attachment: &Attachment| filter::Network {
        vlan: attachment.vlan,
        way_out: way_out(&attachment.segment),
    };
    let networks: Vec<_> = node.networks.attached().map(network).collect();
    faults.extend(memo.update(inner, &security.info, &ports, &networks));
    Table::Kept(memo)
}

/// A port that belongs into a network, as the filter sees it.
fn filtered<'a>(node: &Node<'_>, guest: &Guest<'a>) -> Option<filter::Port<'a>> {
    let ((wanted, filter), ofport) = (guest.wanted?, guest.port.ofport?);
    let attachment = ports::attachment(guest, node.networks).ok()?;
    let device = match filter {
        Filter::Groups(device) => Some(device),
        Filter::Nothing | Filter::Unknown => None,
    };
    Some(filter::Port { ofport, vlan: attachment.vlan, mac: wanted.mac.0, device })
}

/// Nothing passes the bridge before both its ports are open.
fn translating_table(translation: &Translation, seen: &Bridge, faults: &mut Vec<String>) -> BTreeSet<Flow> {
    let Some(uplink) = ofport(seen, &translation.uplink) else {
        let Translation { bridge, uplink, .. } = translation;
        faults.push(format!("{bridge} has no open port {uplink}: ovs-vsctl add-port {bridge} {uplink}"));
        return BTreeSet::new();
    };
    let Some(inside) = ofport(seen, FROM_INSIDE) else { return BTreeSet::new() };
    match translation.flows(uplink, inside) {
        Ok((flows, left_out)) => {
            faults.extend(left_out);
            flows
        }
        Err(why) => {
            faults.push(format!("translation: {why}"));
            BTreeSet::new()
        }
    }
}

fn integration_defaults() -> [Flow; 5] {
    [
        Flow::new(int::ENTRY, 65535, "dl_vlan=4095", "drop"),
        Flow::new(int::ENTRY, 0, "", goto(int::PACKET_RATE)),
        Flow::new(int::CANARY, 0, "", "drop"),
        Flow::new(int::PACKET_RATE, 0, "", goto(int::BANDWIDTH)),
        Flow::new(int::BANDWIDTH, 0, "", goto(int::TRANSIENT)),
    ]
}

/// Wire to local VLAN, on the integration bridge; what belongs to no network is dropped.
fn from_physical(bridge: &str, patch: Option<u16>, networks: &Networks) -> Vec<Flow> {
    let Some(patch) = patch else { return Vec::new() };
    let mut flows = vec![Flow::new(int::ENTRY, 2, format!("in_port={patch}"), "drop")];
    for attachment in networks.attached() {
        let to_local = format!("{},{}", set_vlan(attachment.vlan), goto(int::PACKET_RATE));
        match &attachment.segment {
            Segment::Flat { bridge: out } if out == bridge => flows.push(Flow::new(
                int::ENTRY,
                3,
                format!("in_port={patch},vlan_tci=0x0000/0x1fff"),
                format!("push_vlan:0x8100,{to_local}"),
            )),
            Segment::Vlan { bridge: out, vid } if out == bridge => {
                flows.push(Flow::new(int::ENTRY, 3, format!("in_port={patch},dl_vlan={vid}"), to_local));
            }
            _ => {}
        }
    }
    flows
}

/// Local VLAN to wire, on a physical bridge.
fn physical_table(bridge: &str, patch: Option<u16>, networks: &Networks) -> BTreeSet<Flow> {
    let mut flows = BTreeSet::from([Flow::new(0, 0, "", "NORMAL")]);
    let Some(patch) = patch else { return flows };
    flows.insert(Flow::new(0, 2, format!("in_port={patch}"), "drop"));
    for attachment in networks.attached() {
        let actions = match &attachment.segment {
            Segment::Flat { bridge: out } if out == bridge => "pop_vlan,NORMAL".to_owned(),
            Segment::Vlan { bridge: out, vid } if out == bridge => format!("{},NORMAL", set_vlan(*vid)),
            _ => continue,
        };
        flows.insert(Flow::new(0, 4, format!("in_port={patch},dl_vlan={}", attachment.vlan), actions));
    }
    flows
}

/// Local VLAN to tunnel and back; unicast goes where its station was learned.
fn tunnel_table(patch: Option<u16>, remotes: &[u16], networks: &Networks) -> BTreeSet<Flow> {
    let mut flows = BTreeSet::from([
        Flow::new(tun::ENTRY, 0, "", "drop"),
        Flow::new(tun::FROM_NODE, 0, "dl_dst=00:00:00:00:00:00/01:00:00:00:00:00", goto(tun::UNICAST)),
        Flow::new(tun::FROM_NODE, 0, "dl_dst=01:00:00:00:00:00/01:00:00:00:00:00", goto(tun::FLOOD)),
        Flow::new(tun::FROM_VXLAN, 0, "", "drop"),
        Flow::new(tun::UNICAST, 0, "", goto(tun::FLOOD)),
        Flow::new(tun::FLOOD, 0, "", "drop"),
    ]);
    for remote in remotes {
        flows.insert(Flow::new(tun::ENTRY, 1, format!("in_port={remote}"), goto(tun::FROM_VXLAN)));
    }
    let Some(patch) = patch else { return flows };
    flows.insert(Flow::new(tun::ENTRY, 1, format!("in_port={patch}"), goto(tun::FROM_NODE)));
    flows.insert(Flow::new(tun::LEARN, 1, "", format!("{LEARN_WAY_BACK},output:{patch}")));
    for attachment in networks.attached() {
        let Segment::Vxlan { vni } = attachment.segment else { continue };
        let inward = format!("push_vlan:0x8100,{},{}", set_vlan(attachment.vlan), goto(tun::LEARN));
        flows.insert(Flow::new(tun::FROM_VXLAN, 1, format!("tun_id={vni:#x}"), inward));
        if !remotes.is_empty() {
            let outputs: String = remotes.iter().map(|remote| format!(",output:{remote}")).collect();
            let outward = format!("pop_vlan,set_field:{vni:#x}->tun_id{outputs}");
            flows.insert(Flow::new(tun::FLOOD, 1, format!("dl_vlan={}", attachment.vlan), outward));
        }
    }
    flows
}

/// Makes the flow that sends unicast back into the tunnel that its station was heard in.
const LEARN_WAY_BACK: &str = "learn(table=20,hard_timeout=300,priority=1,NXM_OF_VLAN_TCI[0..11],\
    NXM_OF_ETH_DST[]=NXM_OF_ETH_SRC[],load:0->NXM_OF_VLAN_TCI[],\
    load:NXM_NX_TUN_ID[]->NXM_NX_TUN_ID[],output:OXM_OF_IN_PORT[])";

fn goto(table: u8) -> String {
    format!("goto_table:{table}")
}

/// The bit above the VID says "there is a tag" (OpenFlow 1.3, OFPVID_PRESENT).
fn set_vlan(vlan: VlanId) -> String {
    format!("set_field:{}->vlan_vid", 0x1000 | vlan.get())
}

fn ofport(bridge: &Bridge, port: &str) -> Option<u16> {
    bridge.ports.get(port)?.ofport
}
