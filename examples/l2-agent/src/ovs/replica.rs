//! The rows of the switch's database that matter here, kept as the server last sent them.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::observed::{Bridge, Observed, Port, Wiring};

const BRIDGE: &str = "Bridge";
const PORT: &str = "Port";
const INTERFACE: &str = "Interface";

/// Table to row id to row.
#[derive(Debug, Default)]
pub(super) struct Replica(BTreeMap<String, BTreeMap<String, Value>>);

impl Replica {
    /// What to ask `monitor` for.
    pub(super) fn request() -> Value {
        json!({
            BRIDGE: { "columns": ["name", "ports", "fail_mode"] },
            PORT: { "columns": ["name", "interfaces", "tag", "vlan_mode", "trunks", "other_config"] },
            INTERFACE: { "columns": ["name", "type", "ofport", "error", "options", "external_ids"] },
        })
    }

    /// Takes in table updates (RFC 7047, 4.1.6): a row with `new` is that row now, one without is gone.
    pub(super) fn update(&mut self, tables: &Value) {
        for (table, rows) in tables.as_object().into_iter().flatten() {
            let known = self.0.entry(table.clone()).or_default();
            for (id, row) in rows.as_object().into_iter().flatten() {
                match row.get("new") {
                    Some(new) => known.insert(id.clone(), new.clone()),
                    None => known.remove(id),
                };
            }
        }
    }

    /// Whether a table has a row of this name.
    pub(super) fn has(&self, table: &str, name: &str) -> bool {
        self.id(table, name).is_some()
    }

    /// The id of the row of this name.
    pub(super) fn id(&self, table: &str, name: &str) -> Option<&str> {
        let mut rows = self.rows(table);
        rows.find(|(_, row)| row.get("name").and_then(Value::as_str) == Some(name)).map(|(id, _)| id.as_str())
    }

    /// Bridges and ports, without flows.
    pub(super) fn observe(&self) -> Observed {
        let bridges = self.rows(BRIDGE).filter_map(|(_, row)| Some((text(row, "name")?, self.bridge(row))));
        Observed { bridges: bridges.collect() }
    }

    fn bridge(&self, row: &Value) -> Bridge {
        let ports = items(row.get("ports")).into_iter().filter_map(uuid).filter_map(|id| {
            let row = self.0.get(PORT)?.get(id)?;
            Some((text(row, "name")?, self.port(row)?))
        });
        Bridge {
            secure: text(row, "fail_mode").as_deref() == Some("secure"),
            ports: ports.collect(),
            ..Bridge::default()
        }
    }

    fn port(&self, row: &Value) -> Option<Port> {
        let first = items(row.get("interfaces")).into_iter().find_map(uuid)?;
        let interface = self.0.get(INTERFACE)?.get(first)?;
        Some(Port {
            // -1 says that the device could not be opened.
            ofport: number(interface.get("ofport")),
            error: text(interface, "error"),
            kind: text(interface, "type").unwrap_or_default(),
            options: map(interface.get("options")),
            external_ids: map(interface.get("external_ids")),
            wiring: Wiring {
                tag: number(row.get("tag")),
                vlan_mode: text(row, "vlan_mode"),
                trunks: items(row.get("trunks")).into_iter().filter_map(|vid| number(Some(vid))).collect(),
                other_config: map(row.get("other_config")),
            },
        })
    }

    fn rows(&self, table: &str) -> impl Iterator<Item = (&String, &Value)> {
        self.0.get(table).into_iter().flatten()
    }
}

/// The members of a column: a set of one is sent as its member (RFC 7047, 5.1).
fn items(column: Option<&Value>) -> Vec<&Value> {
    match column {
        None => Vec::new(),
        Some(value) => match tagged(value, "set") {
            Some(members) => members.as_array().into_iter().flatten().collect(),
            None => vec![value],
        },
    }
}

fn map(column: Option<&Value>) -> BTreeMap<String, String> {
    let pairs = column.and_then(|value| tagged(value, "map")).and_then(Value::as_array);
    let pair = |pair: &Value| Some((pair.get(0)?.as_str()?.to_owned(), pair.get(1)?.as_str()?.to_owned()));
    pairs.into_iter().flatten().filter_map(pair).collect()
}

fn uuid(value: &Value) -> Option<&str> {
    tagged(value, "uuid")?.as_str()
}

fn text(row: &Value, column: &str) -> Option<String> {
    row.get(column)?.as_str().map(str::to_owned)
}

fn number(column: Option<&Value>) -> Option<u16> {
    u16::try_from(column?.as_i64()?).ok()
}

/// The second of a pair whose first is `tag`.
fn tagged<'a>(value: &'a Value, tag: &str) -> Option<&'a Value> {
    (value.get(0)?.as_str()? == tag).then(|| value.get(1)).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_come_together_as_bridges_with_ports() {
        let mut replica = Replica::default();
        // Written after RFC 7047, 5.1: empty optional columns are empty sets, single members stand alone.
        replica.update(&json!({
            "Bridge": { "b": { "new": { "name": "br-int", "ports": ["uuid", "p"], "fail_mode": "secure" } } },
            "Port": { "p": { "new": {
                "name": "tap1", "interfaces": ["uuid", "i"], "tag": 4095, "vlan_mode": "trunk",
                "trunks": 4095, "other_config": ["map", []],
            } } },
            "Interface": { "i": { "new": {
                "name": "tap1", "type": "internal", "ofport": -1, "error": "no such device",
                "options": ["map", []], "external_ids": ["map", [["iface-id", "p-1"]]],
            } } },
        }));
        let observed = replica.observe();
        let port = &observed.bridges["br-int"].ports["tap1"];
        assert!(observed.bridges["br-int"].secure);
        assert!(port.wiring.is_dead());
        assert_eq!(
            (port.ofport, port.error.as_deref(), port.iface_id()),
            (None, Some("no such device"), Some("p-1"))
        );

        replica.update(&json!({ "Bridge": { "b": { "old": {} } } }));
        assert!(replica.observe().bridges.is_empty());
    }
}
