//! A simulated node for the command line: bridges with a network card each, every port plugged.

use anyhow::anyhow;
use vlan_table::FrameView;

use l2_agent::backend::Backend;
use l2_agent::desired::Desired;
use l2_agent::observed::Port;
use l2_agent::sim::SimSwitch;

/// Characters of a port's id in its device's name, as Neutron cuts them.
const ID_CHARACTERS: usize = 11;

/// What a broadcast from one port comes to.
pub(crate) struct Heard {
    /// The port.
    pub(crate) from: String,
    /// Who hears it, and the tags that it carries there, such as `0x8100 vid 100 pcp 0`.
    pub(crate) by: Vec<(String, Vec<String>)>,
}

/// A node on which operator and hypervisor have done their part.
pub(crate) fn node(desired: &Desired) -> anyhow::Result<SimSwitch> {
    let mut switch = SimSwitch::new();
    for bridge in desired.bridge_mappings.bridges() {
        switch.add_bridge(bridge);
        switch.plug(bridge, &format!("nic-{bridge}"), &[]).map_err(|error| anyhow!(error))?;
    }
    switch.add_bridge(&desired.integration_bridge);
    for port in &desired.ports {
        let name: String = "tap".chars().chain(port.id.chars().take(ID_CHARACTERS)).collect();
        let mac = port.mac.0.to_string().to_lowercase();
        let marks = [("iface-id", port.id.as_str()), ("attached-mac", mac.as_str())];
        switch.plug(&desired.integration_bridge, &name, &marks).map_err(|error| anyhow!(error))?;
    }
    Ok(switch)
}

/// Sends a broadcast from every guest's port and every network card.
pub(crate) fn reach(switch: &mut SimSwitch) -> Vec<Heard> {
    let Ok(observed) = switch.observe().cloned() else { return Vec::new() };
    let ports = observed.bridges.values().flat_map(|bridge| &bridge.ports);
    let senders = ports.filter(|(_, port)| port.kind != "patch");
    senders.map(|(name, port)| Heard { from: name.clone(), by: hear(switch, name, port) }).collect()
}

fn hear(switch: &mut SimSwitch, name: &str, port: &Port) -> Vec<(String, Vec<String>)> {
    let mac = port.external_ids.get("attached-mac").and_then(|mac| mac.parse::<macaddr::MacAddr6>().ok());
    // A network card's own address does not matter here; a locally administered one cannot clash.
    let source = mac.map_or([0x02, 0, 0, 0, 0, 0xFE], macaddr::MacAddr6::into_array);
    let mut frame = vec![0xFF; 6];
    frame.extend(source);
    frame.extend([0x88, 0xB5]);
    frame.resize(60, 0);
    let tags = |frame: &Vec<u8>| {
        let view = FrameView::new(frame, 2);
        view.map(|view| view.tags().map(|tag| tag.to_string()).collect()).unwrap_or_default()
    };
    let left = switch.send(name, &frame).into_iter();
    left.map(|(port, frames)| (port, frames.first().map(tags).unwrap_or_default())).collect()
}
