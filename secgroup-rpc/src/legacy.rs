//! The reply of `security_group_rules_for_devices`: every rule once per device and remote member.

use alloc::vec::Vec;

use crate::{Device, Rule};

/// A device with all its rules, expanded by the server.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct LegacyDevice {
    /// The port. Its `own_rules` are `None`: what the legacy call sends is in `rules`.
    pub device: Device,
    /// `security_group_rules`: a multiset, kept sorted.
    pub rules: Vec<Rule>,
}

/// The reply of the legacy call; sorted by device id.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Legacy {
    /// The devices that were asked for, less unknown and trusted ones.
    pub devices: Vec<LegacyDevice>,
}

impl Legacy {
    /// Brings every list into the canonical order.
    pub fn normalize(&mut self) {
        for entry in &mut self.devices {
            entry.device.normalize();
            entry.rules.sort_unstable();
        }
        self.devices.sort_by_key(|entry| entry.device.id);
    }
}
