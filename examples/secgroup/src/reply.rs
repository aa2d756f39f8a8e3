//! Replies of either call as compact ones, and their rules in words.

use std::{borrow::Cow, fmt::Write};

use anyhow::Result;
use secgroup_rpc::{Device, Direction, Info, Message, PortRange, Protocol, Remote, Rule};

use crate::files::BadInput;

/// The message as a compact reply.
pub(crate) fn info_of<'a>(message: &'a Message, command: &str) -> Result<Cow<'a, Info>> {
    match message.payload() {
        Some(Message::Info(info)) => Ok(Cow::Borrowed(info)),
        Some(Message::Legacy(legacy)) => {
            let compact = legacy.compact().ok_or_else(|| {
                BadInput("devices of this legacy reply saw different members: ask for one device".into())
            })?;
            Ok(Cow::Owned(compact))
        }
        other => {
            let kind = other.map_or("an empty envelope", Message::kind);
            Err(BadInput(format!("no filter in {kind}: {command} takes a reply of either call")).into())
        }
    }
}

/// The device with this id, or that an agent asked for by this name.
pub(crate) fn find<'a>(info: &'a Info, name: &str) -> Option<&'a Device> {
    let id = name.parse().ok();
    info.devices.iter().find(|device| Some(device.id) == id || device.name.as_deref() == Some(name))
}

/// A rule in one line, such as `ingress IPv4 tcp port 22..22 from 10.0.0.0/8`.
pub(crate) fn rule_text(rule: &Rule) -> String {
    let mut text = format!("{} {}", rule.direction.name(), rule.family.name());
    // Writing to a `String` cannot fail.
    if let Some(protocol) = rule.protocol {
        let _ = write!(text, " {protocol}");
    }
    let icmp = rule.protocol.is_some_and(Protocol::is_icmp);
    let mut range = |name: &str, range: PortRange| {
        let end = |end: Option<u16>| end.map_or_else(|| "any".to_owned(), |end| end.to_string());
        if range != PortRange::ANY {
            let between = if icmp { "/" } else { ".." };
            let _ = write!(text, " {name} {}{between}{}", end(range.min), end(range.max));
        }
    };
    range(if icmp { "type" } else { "port" }, rule.ports);
    range(if icmp { "type" } else { "source port" }, rule.source_ports);
    for (word, net) in [("from", rule.source), ("to", rule.destination)] {
        if let Some(net) = net {
            let _ = write!(text, " {word} {net}");
        }
    }
    let word = if rule.direction == Direction::Ingress { "from" } else { "to" };
    match rule.remote {
        Some(Remote::Group(id)) => text + &format!(" {word} group {id}"),
        Some(Remote::AddressGroup(id)) => text + &format!(" {word} address group {id}"),
        None => text,
    }
}
