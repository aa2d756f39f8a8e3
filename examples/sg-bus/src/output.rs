//! What an agent says of its events, for people and for programs.

use std::fmt::Write;

use secgroup_rpc::sync::{Agent, ItemKind};
use serde_json::json;

use crate::agent::Event;

/// One line of text.
pub fn text(agent: &Agent, event: &Event) -> String {
    match event {
        Event::Connected => "connected".into(),
        Event::Lost(why) => format!("no server: {why}; the filter stays, trying again"),
        Event::Refused(why) => format!("refused a message: {why}; the filter stays, asking anew"),
        Event::Applied(changed) => {
            let mut line = format!("applied {} items", changed.len());
            for key in changed.iter().take(8) {
                let (what, there) = match key.kind {
                    ItemKind::Device => ("device", agent.device(key.id).is_some()),
                    ItemKind::Group => ("rules of", agent.group(key.id).is_some()),
                    ItemKind::Members => ("members of", agent.member_set(key.id).is_some()),
                };
                let sign = if there { '+' } else { '-' };
                // Writing to a `String` cannot fail.
                let _ =
                    write!(line, "{}{sign}{what} {}", if line.contains(':') { ", " } else { ": " }, key.id);
            }
            if changed.len() > 8 {
                line.push_str(", ...");
            }
            line
        }
    }
}

/// One line of JSON.
pub fn line(agent: &Agent, event: &Event) -> String {
    let value = match event {
        Event::Connected => json!({"event": "connected"}),
        Event::Lost(why) => json!({"event": "lost", "reason": why}),
        Event::Refused(why) => json!({"event": "refused", "reason": why.to_string()}),
        Event::Applied(changed) => {
            let of = |kind| {
                let ids = changed.iter().filter(|key| key.kind == kind).map(|key| key.id.to_string());
                ids.collect::<Vec<_>>()
            };
            let counters = agent.counters();
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
