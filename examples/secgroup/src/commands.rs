//! What each command does, from file to file.

use std::path::Path;

use anyhow::Result;
use clap::ValueEnum;
use secgroup_rpc::{Message, Object, Value, to_json, write_value};

use crate::files::{self, BadInput};

/// What the compact form carries.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum Profile {
    /// What a packet filter needs; unknown and unused keys are dropped.
    Semantic,
    /// Everything, unknown keys included.
    Lossless,
}

/// Writes a message in the compact form.
pub fn encode(input: &Path, output: &Path, profile: Profile) -> Result<()> {
    let mut message = files::read(input)?.message;
    if profile == Profile::Semantic {
        message.strip();
    }
    files::write(output, &message.encode())
}

/// Writes a message as JSON.
pub fn decode(input: &Path, output: &Path) -> Result<()> {
    let message = files::read(input)?.message;
    files::write(output, to_json(&message).as_bytes())
}

/// Writes the expanded rules of every device.
pub fn expand(input: &Path, output: &Path) -> Result<()> {
    let message = files::read(input)?.message;
    files::write(output, write_value(&expanded(&message)?).as_bytes())
}

/// The filter of every device as Neutron's agent expands it, under its id.
pub fn expanded(message: &Message) -> Result<Value> {
    let entry = |device: secgroup_rpc::ExpandedDevice| (device.id.to_string(), device.to_value());
    let devices: Object = match message.payload() {
        Some(Message::Info(info)) => info.expand().map(entry).collect(),
        Some(Message::Legacy(legacy)) => legacy.expand().map(entry).collect(),
        Some(Message::Expanded(devices)) => devices.clone(),
        other => {
            let kind = other.map_or("an empty envelope", Message::kind);
            let hint =
                "expand takes a reply of security_group_info_for_devices or security_group_rules_for_devices";
            return Err(BadInput(format!("nothing to expand in {kind}: {hint}")).into());
        }
    };
    Ok(devices.into())
}
