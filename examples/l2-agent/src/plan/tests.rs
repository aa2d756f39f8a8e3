//! The plan against a node that does exactly what it is told.

use super::*;
use crate::observed::{Bridge, DEAD_VLAN, Port};

const NODE: &str = r#"
    bridge_mappings = "physnet1:br-ex,physnet2:br-eth1"
    tunnels = { local_ip = "10.0.0.1", remotes = ["10.0.0.2", "10.0.0.3"] }
    network = [
        { id = "A", type = "flat", physical_network = "physnet1" },
        { id = "B", type = "vlan", physical_network = "physnet1", segmentation_id = 100 },
        { id = "C", type = "vlan", physical_network = "physnet2", segmentation_id = 200 },
        { id = "D", type = "vxlan", segmentation_id = 42 },
        { id = "E", type = "local" },
        { id = "F", type = "flat", physical_network = "physnet9" },
    ]
    port = [
        { id = "p1", mac = "fa:16:3e:00:00:01", network = "A" },
        { id = "p2", mac = "fa:16:3e:00:00:02", network = "B" },
        { id = "p3", mac = "fa:16:3e:00:00:03", network = "C" },
        { id = "p4", mac = "fa:16:3e:00:00:04", network = "D" },
        { id = "p5", mac = "fa:16:3e:00:00:05", network = "E" },
        { id = "p6", mac = "fa:16:3e:00:00:06", network = "F" },
        { id = "p7", mac = "fa:16:3e:00:00:07", network = "A", admin_state_up = false },
        { id = "p8", mac = "fa:16:3e:00:00:08", network = "A" },
    ]
"#;

pub(super) fn desired() -> Desired {
    toml::from_str(NODE).unwrap()
}

/// A node whose operator made the physical bridges and whose hypervisor plugged ports 1 to 7.
pub(super) struct Node {
    pub(super) observed: Observed,
    next_ofport: u16,
}

impl Node {
    pub(super) fn new() -> Self {
        let mut node = Self { observed: Observed::default(), next_ofport: 1 };
        for bridge in ["br-ex", "br-eth1", "br-int"] {
            node.observed.bridges.insert(bridge.to_owned(), Bridge::default());
        }
        for number in 1..=7 {
            node.plug(number);
        }
        node
    }

    pub(super) fn plug(&mut self, number: u8) {
        let marks =
            [("iface-id", format!("p{number}")), ("attached-mac", format!("fa:16:3e:00:00:0{number}"))];
        let port = Port {
            external_ids: marks.map(|(key, value)| (key.to_owned(), value)).into(),
            ..self.new_port()
        };
        self.bridge("br-int").ports.insert(format!("tap{number}"), port);
    }

    fn new_port(&mut self) -> Port {
        self.next_ofport += 1;
        Port { ofport: Some(self.next_ofport), ..Port::default() }
    }

    pub(super) fn bridge(&mut self, name: &str) -> &mut Bridge {
        self.observed.bridges.get_mut(name).unwrap()
    }

    fn wiring(&mut self, port: &str) -> &mut Wiring {
        &mut self.bridge("br-int").ports.get_mut(port).unwrap().wiring
    }

    pub(super) fn apply(&mut self, op: &Op) {
        match op {
            Op::AddBridge { bridge } => {
                self.observed.bridges.insert(bridge.clone(), Bridge { secure: true, ..Bridge::default() });
            }
            Op::SecureBridge { bridge } => self.bridge(bridge).secure = true,
            Op::AddPort { bridge, port, kind, options } => {
                let new = Port { kind: (*kind).to_owned(), options: options.clone(), ..self.new_port() };
                assert!(self.bridge(bridge).ports.insert(port.clone(), new).is_none());
            }
            Op::SetPeer { port, peer } => {
                let mut bridges = self.observed.bridges.values_mut();
                let port = bridges.find_map(|bridge| bridge.ports.get_mut(port)).unwrap();
                port.options.insert("peer".to_owned(), peer.clone());
            }
            Op::Wire { port, from, to } => {
                assert_eq!(self.wiring(port), from);
                *self.wiring(port) = to.clone();
            }
            Op::ChangeFlows { bridge, delete, add } => {
                let flows = &mut self.bridge(bridge).flows;
                assert!(delete.iter().all(|flow| flows.remove(flow)));
                assert!(add.iter().all(|flow| flows.insert(flow.clone())));
            }
        }
    }

    /// Plans and applies until nothing is left; checks after every step what must always hold.
    fn settle(&mut self, desired: &Desired) -> Plan {
        for _ in 0..10 {
            let plan = plan(desired, &self.observed);
            if plan.is_done() {
                return plan;
            }
            for op in &plan.ops {
                self.apply(op);
                self.assert_no_open_patch();
            }
        }
        panic!("the plan does not come to an end");
    }

    /// A connected patch port has the flow that drops what no network claims.
    fn assert_no_open_patch(&self) {
        // A secure bridge without flows forwards nothing.
        for bridge in self.observed.bridges.values().filter(|bridge| !bridge.flows.is_empty()) {
            // What comes out of a tunnel has its local VLAN already: that pair needs no such flow.
            let physical =
                bridge.ports.iter().filter(|(name, _)| name.starts_with("int-") || name.starts_with("phy-"));
            for (_, port) in physical {
                let connected = port.options["peer"] != NO_PEER;
                let in_port = format!("in_port={}", port.ofport.unwrap());
                assert!(!connected || bridge.flows.iter().any(|flow| flow.matches == in_port));
            }
        }
    }
}

#[test]
fn a_bare_node_is_wired_completely_and_then_left_alone() {
    let mut node = Node::new();
    let plan = node.settle(&desired());
    for port in ["p1", "p2", "p3", "p4", "p5"] {
        assert_eq!(plan.status[port], Status::Up, "{port}");
    }
    let vlans: Vec<_> = plan.vlans.iter().map(|(network, vlan)| (network.to_owned(), vlan.get())).collect();
    assert_eq!(vlans.len(), 5);
    assert_eq!(node.wiring("tap2").tag, Some(2));
    assert_eq!(node.wiring("tap2").other_config["segmentation_id"], "100");
}

#[test]
fn ports_that_cannot_be_wired_say_why_and_stay_dead() {
    let mut node = Node::new();
    let plan = node.settle(&desired());
    let down = |why: &str| Status::Down(why.to_owned());
    assert_eq!(plan.status["p6"], down("network F: physical network 'physnet9' is not in bridge_mappings"));
    assert_eq!(plan.status["p7"], down("admin_state_up is false"));
    assert_eq!(plan.status["p8"], down("no interface on br-int has iface-id p8"));
    assert_eq!(*node.wiring("tap6"), Wiring::dead());
    assert_eq!(*node.wiring("tap7"), Wiring::dead());
}

#[test]
fn flows_of_flat_and_vlan_networks_translate_both_ways() {
    let mut node = Node::new();
    node.settle(&desired());
    let inward = node.observed.bridges["br-int"].ports["int-br-ex"].ofport.unwrap();
    let outward = node.observed.bridges["br-ex"].ports["phy-br-ex"].ofport.unwrap();
    let has =
        |bridge: &str, flow: Flow| assert!(node.observed.bridges[bridge].flows.contains(&flow), "{flow}");
    has("br-ex", Flow::new(0, 4, format!("in_port={outward},dl_vlan=1"), "pop_vlan,NORMAL"));
    has("br-ex", Flow::new(0, 4, format!("in_port={outward},dl_vlan=2"), "set_field:4196->vlan_vid,NORMAL"));
    has(
        "br-int",
        Flow::new(0, 3, format!("in_port={inward},dl_vlan=100"), "set_field:4098->vlan_vid,goto_table:58"),
    );
    has("br-tun", Flow::new(4, 1, "tun_id=0x2a", "push_vlan:0x8100,set_field:4100->vlan_vid,goto_table:10"));
}

#[test]
fn a_restarted_agent_finds_nothing_to_do() {
    let mut node = Node::new();
    let before = node.settle(&desired());
    assert_eq!(plan(&desired(), &node.observed), before);
}

#[test]
fn a_restarted_switch_gets_its_flows_back_without_touching_a_vlan() {
    let mut node = Node::new();
    let before = node.settle(&desired());
    for bridge in node.observed.bridges.values_mut() {
        bridge.flows.clear();
    }
    let next = plan(&desired(), &node.observed);
    assert!(next.ops.iter().all(|op| matches!(op, Op::ChangeFlows { delete, .. } if delete.is_empty())));
    assert!(matches!(next.status["p1"], Status::Building(_)));
    assert_eq!(node.settle(&desired()), before);
}

#[test]
fn foreign_flows_are_removed_and_a_changed_segment_replaces_its_own_only() {
    let mut node = Node::new();
    node.settle(&desired());
    node.bridge("br-ex").flows.insert(Flow::new(0, 99, "in_port=9", "NORMAL"));
    let mut changed = desired();
    changed.networks[1].segmentation_id = Some(102);
    let next = plan(&changed, &node.observed);
    let touched: usize = next
        .ops
        .iter()
        .map(|op| if let Op::ChangeFlows { delete, add, .. } = op { delete.len() + add.len() } else { 0 })
        .sum();
    // The foreign flow, and both directions of network B taken out and put in.
    assert_eq!(touched, 5, "{:#?}", next.ops);
    let after = node.settle(&changed);
    assert_eq!(after.status["p1"], Status::Up);
    assert_eq!(node.wiring("tap2").other_config["segmentation_id"], "102");
}

#[test]
fn a_port_without_openflow_port_stops_nobody() {
    let mut node = Node::new();
    let port = node.bridge("br-int").ports.get_mut("tap1").unwrap();
    (port.ofport, port.error) =
        (None, Some("could not open network device tap1 (No such device)".to_owned()));
    let plan = node.settle(&desired());
    assert_eq!(
        plan.status["p1"],
        Status::Building("no OpenFlow port: could not open network device tap1 (No such device)".to_owned())
    );
    assert_eq!(plan.status["p2"], Status::Up);
}

#[test]
fn a_bridge_that_the_operator_did_not_make_is_a_fault_of_its_networks_alone() {
    let mut node = Node::new();
    node.observed.bridges.remove("br-eth1");
    let plan = node.settle(&desired());
    assert_eq!(plan.status["p2"], Status::Up);
    assert_eq!(plan.status["p3"], Status::Down("network C: bridge br-eth1 does not exist".to_owned()));
    assert_eq!(plan.faults, ["bridge br-eth1 does not exist; create it: ovs-vsctl add-br br-eth1"]);
}

#[test]
fn a_port_that_is_no_longer_desired_is_put_into_the_dead_vlan() {
    let mut node = Node::new();
    node.settle(&desired());
    let mut fewer = desired();
    fewer.ports.remove(0);
    node.settle(&fewer);
    assert_eq!(*node.wiring("tap1"), Wiring::dead());
    assert_ne!(node.wiring("tap2").tag, Some(DEAD_VLAN));
}
