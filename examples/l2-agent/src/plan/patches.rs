//! Bridges, the patch pairs between them, and tunnel ports.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::{Op, Plan};
use crate::desired::{Desired, Tunnels};
use crate::mapping::{integration_patch, physical_patch, tunnel_port};
use crate::observed::{Observed, Port};

/// The peer of a patch port that is not to be connected yet.
pub const NO_PEER: &str = "nonexistent-peer";
/// The patch port on the integration bridge towards the tunnels.
pub(super) const TO_TUNNELS: &str = "patch-tun";
/// The patch port on the tunnel bridge towards the integration bridge.
pub(super) const TO_INTEGRATION: &str = "patch-int";

/// The patch port on an external bridge towards the bridge that translates.
const TO_WIRE: &str = "patch-wire";
/// The patch port on the bridge that translates towards the external bridge.
pub(super) const FROM_INSIDE: &str = "patch-inside";

/// A port with the bridge that it belongs to.
type Place<'a> = (&'a str, String);

/// The two ends of every patch pair: the integration bridge's first.
fn pairs(desired: &Desired) -> Vec<[Place<'_>; 2]> {
    let integration = desired.integration_bridge.as_str();
    let physical = desired
        .bridge_mappings
        .bridges()
        .map(|bridge| [(integration, integration_patch(bridge)), (bridge, physical_patch(bridge))]);
    let tunnels = desired.tunnels.iter().map(|_| {
        [(integration, TO_TUNNELS.to_owned()), (desired.tunnel_bridge.as_str(), TO_INTEGRATION.to_owned())]
    });
    let translation = desired.translation.iter().map(|translation| {
        [
            (translation.external.as_str(), TO_WIRE.to_owned()),
            (translation.bridge.as_str(), FROM_INSIDE.to_owned()),
        ]
    });
    physical.chain(tunnels).chain(translation).collect()
}

/// Adds what is missing: the agent's own bridges, unconnected patch pairs, tunnel ports.
pub(super) fn plan(desired: &Desired, observed: &Observed, plan: &mut Plan) {
    let own = [Some(&desired.integration_bridge), desired.tunnels.as_ref().map(|_| &desired.tunnel_bridge)];
    for bridge in own.into_iter().flatten() {
        match observed.bridges.get(bridge) {
            None => plan.ops.push(Op::AddBridge { bridge: bridge.clone() }),
            Some(seen) if !seen.secure => plan.ops.push(Op::SecureBridge { bridge: bridge.clone() }),
            Some(_) => {}
        }
    }
    let translating = desired.translation.iter().map(|translation| translation.bridge.as_str());
    for bridge in desired.bridge_mappings.bridges().chain(translating) {
        match observed.bridges.get(bridge) {
            // An operator's bridge holds an operator's network card: it is not ours to make.
            None => plan
                .faults
                .push(format!("bridge {bridge} does not exist; create it: ovs-vsctl add-br {bridge}")),
            Some(seen) if !seen.secure => plan.ops.push(Op::SecureBridge { bridge: bridge.to_owned() }),
            Some(_) => {}
        }
    }
    for [(near_bridge, near), (far_bridge, far)] in pairs(desired) {
        if observed.bridges.contains_key(near_bridge) && observed.bridges.contains_key(far_bridge) {
            for (bridge, port) in [(near_bridge, near), (far_bridge, far)] {
                let options = BTreeMap::from([("peer".to_owned(), NO_PEER.to_owned())]);
                add_missing(observed, plan, bridge, port, "patch", options);
            }
        }
    }
    if let Some(tunnels) = &desired.tunnels {
        for remote in &tunnels.remotes {
            let options = tunnel_options(tunnels, *remote);
            add_missing(
                observed,
                plan,
                &desired.tunnel_bridge,
                tunnel_port("vxlan", *remote),
                "vxlan",
                options,
            );
        }
    }
}

/// Connects the pairs whose bridges already have all their flows. A port that is not open yet is
/// in no flow, so its pair has to wait.
pub(super) fn connect(desired: &Desired, observed: &Observed, settled: &BTreeSet<String>, plan: &mut Plan) {
    for [near, far] in pairs(desired) {
        let (near_port, far_port) = (seen(observed, &near), seen(observed, &far));
        let open = |port: Option<&Port>| port.is_some_and(|port| port.ofport.is_some());
        if !settled.contains(near.0) || !settled.contains(far.0) || !open(near_port) || !open(far_port) {
            continue;
        }
        for (port, (_, name), (_, peer)) in [(near_port, &near, &far), (far_port, &far, &near)] {
            if port.is_some_and(|port| port.options.get("peer") != Some(peer)) {
                plan.ops.push(Op::SetPeer { port: name.clone(), peer: peer.clone() });
            }
        }
    }
}

/// Whether the integration bridge and `bridge` are connected.
pub(super) fn are_connected(desired: &Desired, observed: &Observed, bridge: &str) -> bool {
    let pair = pairs(desired).into_iter().find(|[_, far]| far.0 == bridge);
    pair.is_some_and(|[near, far]| {
        let to = |from: &Place<'_>, to: &Place<'_>| {
            let port = seen(observed, from);
            port.is_some_and(|port| port.ofport.is_some() && port.options.get("peer") == Some(&to.1))
        };
        to(&near, &far) && to(&far, &near)
    })
}

fn seen<'a>(observed: &'a Observed, (bridge, port): &Place<'_>) -> Option<&'a Port> {
    observed.bridges.get(*bridge)?.ports.get(port)
}

fn add_missing(
    observed: &Observed,
    plan: &mut Plan,
    bridge: &str,
    port: String,
    kind: &'static str,
    options: BTreeMap<String, String>,
) {
    if observed.bridges.get(bridge).is_some_and(|seen| !seen.ports.contains_key(&port)) {
        plan.ops.push(Op::AddPort { bridge: bridge.to_owned(), port, kind, options });
    }
}

fn tunnel_options(tunnels: &Tunnels, remote: IpAddr) -> BTreeMap<String, String> {
    let (local, remote) = (tunnels.local_ip.to_string(), remote.to_string());
    [
        ("df_default", "true"),
        ("remote_ip", &remote),
        ("local_ip", &local),
        ("in_key", "flow"),
        ("out_key", "flow"),
        ("egress_pkt_mark", "0"),
    ]
    .map(|(key, value)| (key.to_owned(), value.to_owned()))
    .into()
}
