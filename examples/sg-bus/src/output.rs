//! What an agent says of its events, for people and for programs.

use std::fmt::Write;

use secgroup_rpc::Uuid;
use secgroup_rpc::sync::{ItemKey, ItemKind};
use serde_json::json;

use crate::agent::{Event, Held};

/// Things that a line names; of more it says that there are.
const NAMED: usize = 8;

/// One line of text.
pub fn text(held: &Held, event: &Event) -> String {
    match event {
        Event::Connected => "connected".into(),
        Event::Lost(why) => format!("no server: {why}; the filter stays, trying again"),
        Event::Refused(why) => format!("refused a message: {why}; the filter stays, asking anew"),
        Event::NoWiring => "this server says nothing about wiring; what is wired stays".into(),
        Event::Applied(changed) => {
            list("applied", "items", changed.len(), changed.iter().map(|key| item(held, *key)))
        }
        Event::Wired(changed) => {
            list("wired", "ports", changed.len(), changed.iter().map(|id| port(held, *id)))
        }
    }
}

fn list(done: &str, what: &str, count: usize, names: impl Iterator<Item = String>) -> String {
    let mut line = format!("{done} {count} {what}");
    for (place, name) in names.take(NAMED).enumerate() {
        // Writing to a `String` cannot fail.
        let _ = write!(line, "{}{name}", if place == 0 { ": " } else { ", " });
    }
    if count > NAMED {
        line.push_str(", ...");
    }
    line
}

fn item(held: &Held, key: ItemKey) -> String {
    let (what, there) = match key.kind {
        ItemKind::Device => ("device", held.groups.device(key.id).is_some()),
        ItemKind::Group => ("rules of", held.groups.group(key.id).is_some()),
        ItemKind::Members => ("members of", held.groups.member_set(key.id).is_some()),
    };
    format!("{}{what} {}", if there { '+' } else { '-' }, key.id)
}

fn port(held: &Held, id: Uuid) -> String {
    let there = held.wiring.iter().flat_map(|wiring| wiring.ports()).any(|port| port.id == id);
    format!("{}{id}", if there { '+' } else { '-' })
}

/// One line of JSON.
pub fn line(held: &Held, event: &Event) -> String {
    let value = match event {
        Event::Connected => json!({"event": "connected"}),
        Event::Lost(why) => json!({"event": "lost", "reason": why}),
        Event::Refused(why) => json!({"event": "refused", "reason": why}),
        Event::NoWiring => json!({"event": "no wiring"}),
        Event::Wired(changed) => {
            let ids: Vec<_> = changed.iter().map(ToString::to_string).collect();
            json!({"event": "wired", "ports": ids})
        }
        Event::Applied(changed) => {
            let of = |kind| {
                let ids = changed.iter().filter(|key| key.kind == kind).map(|key| key.id.to_string());
                ids.collect::<Vec<_>>()
            };
            let counters = held.groups.counters();
            json!({
                "event": "applied",
                "devices": of(ItemKind::Device),
                "groups": of(ItemKind::Group),
                "members": of(ItemKind::Members),
                "deltas": counters.deltas,
                "heals": counters.heals,
            })
        }
    };
    value.to_string()
}
