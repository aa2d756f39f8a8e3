//! What Neutron's two ways put on the broker for the same event, after measurements of Neutron 29.
//!
//! Sizes were recorded from Neutron's own code, oslo.messaging's envelope included: a notice is 1,084
//! bytes; a request 1,191 and 42 for each device; a reply of the compact call, before the envelope adds
//! a tenth, 530 and 1,855 for each device, 21.6 for each member and some 130 for each rule. On the push
//! path the start of one port is four pushes of the whole port, 15 kB together, to every agent; a cold
//! cache pulls 2,774 bytes for each member and makes one call for each own device.

use crate::cloud::Cloud;

const NOTICE: f64 = 1084.0;
const REQUEST: (f64, f64) = (1191.0, 42.0);
const REPLY: f64 = 530.0;
const REPLY_DEVICE: f64 = 1855.0;
const REPLY_MEMBER: f64 = 21.6;
const REPLY_RULE: f64 = 130.0;
const ENVELOPE: f64 = 1.10;
/// Devices in one call (`rpc_resources_processing_step`).
const STEP: f64 = 20.0;
/// Four pushes.
const PORT_START: f64 = 15_000.0;
const PULLED_MEMBER: f64 = 2774.0;
/// Rules of each group of [`Cloud`].
const RULES: f64 = 4.0;

/// Messages and bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Cost {
    /// Messages that the broker delivers.
    pub messages: f64,
    /// Their bytes.
    pub bytes: f64,
}

/// One member more in one group, told to all agents with ports in that group: compact call.
pub fn compact_change(cloud: Cloud) -> Cost {
    let agents = f64::from(cloud.hosts);
    let devices = (f64::from(cloud.ports) / agents / f64::from(cloud.groups)).max(1.0);
    let told = agents.min(f64::from(cloud.ports) / f64::from(cloud.groups));
    let fetch = fetch(devices, members(cloud), 1.0);
    Cost { messages: agents + told * fetch.messages, bytes: agents * NOTICE + told * fetch.bytes }
}

/// The same on the push path: the new port itself, to every agent.
pub fn push_change(cloud: Cloud) -> Cost {
    let agents = f64::from(cloud.hosts);
    Cost { messages: 4.0 * agents, bytes: PORT_START * agents }
}

/// All agents start with nothing: compact call.
pub fn compact_cold(cloud: Cloud) -> Cost {
    let agents = f64::from(cloud.hosts);
    let fetch = fetch(f64::from(cloud.ports) / agents, members(cloud), f64::from(cloud.groups));
    Cost { messages: agents * fetch.messages, bytes: agents * fetch.bytes }
}

/// The same on the push path.
pub fn push_cold(cloud: Cloud) -> Cost {
    let agents = f64::from(cloud.hosts);
    let devices = f64::from(cloud.ports) / agents;
    Cost { messages: agents * 2.0 * devices, bytes: agents * f64::from(cloud.ports) * PULLED_MEMBER }
}

fn members(cloud: Cloud) -> f64 {
    f64::from(cloud.ports) / f64::from(cloud.groups)
}

/// One agent fetches some devices; each call repeats the members of their groups.
fn fetch(devices: f64, members: f64, groups: f64) -> Cost {
    let calls = (devices / STEP).ceil().max(1.0);
    let groups = groups.min(devices.max(1.0));
    let shared = groups * (REPLY_MEMBER * members + REPLY_RULE * RULES);
    let reply = ENVELOPE * (calls * (REPLY + shared) + REPLY_DEVICE * devices);
    Cost { messages: 2.0 * calls, bytes: calls * REQUEST.0 + devices * REQUEST.1 + reply }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reply_for_twenty_of_a_thousand_ports_is_as_large_as_the_recorded_one() {
        // Neutron's JSON was 59,179 bytes for 20 of 1,000 ports; the envelope adds a tenth.
        let cost = fetch(20.0, 1000.0, 1.0);
        let recorded = 59_179.0 * ENVELOPE + 1191.0 + 20.0 * 42.0;
        assert!((cost.bytes / recorded - 1.0).abs() < 0.08, "{} of {recorded}", cost.bytes);
    }
}
