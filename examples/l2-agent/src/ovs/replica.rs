//! The rows of the switch's database that matter here, kept as the server last sent them.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::observed::{Bridge, Observed, Port, Wiring};

const BRIDGE: &str = "Bridge";
const PORT: &str = "Port";
const INTERFACE: &str = "Interface";

/// A copy of tables of the database.
#[derive(Debug, Default)]
pub(super) struct Replica {
    /// Table to row id to row.
    tables: BTreeMap<String, BTreeMap<String, Value>>,
    /// Ids of rows that changed since the last [`refresh`](Self::refresh).
    changed: BTreeSet<String>,
}

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
            let known = self.tables.entry(table.clone()).or_default();
            for (id, row) in rows.as_object().into_iter().flatten() {
                self.changed.insert(id.clone());
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

    /// Has the port of this name looked at again by the next [`refresh`](Self::refresh).
    pub(super) fn doubt(&mut self, port: &str) {
        let id = self.id(PORT, port).map(str::to_owned);
        self.changed.extend(id);
    }

    /// Brings bridges and ports up to date, reading only rows that changed. Flows stay as they are.
    pub(super) fn refresh(&mut self, observed: &mut Observed) {
        if self.changed.is_empty() {
            return;
        }
        let changed = std::mem::take(&mut self.changed);
        let mut before = std::mem::take(&mut observed.bridges);
        for (_, row) in self.rows(BRIDGE) {
            let Some(name) = text(row, "name") else { continue };
            let known = before.remove(&name).unwrap_or_default();
            observed.bridges.insert(name, self.bridge(row, known, &changed));
        }
    }

    fn bridge(&self, row: &Value, known: Bridge, changed: &BTreeSet<String>) -> Bridge {
        let Bridge { mut ports, flows, .. } = known;
        let port = |id| {
            let row = self.tables.get(PORT)?.get(id)?;
            let interface = items(row.get("interfaces")).into_iter().find_map(uuid)?;
            let known = ports.remove_entry(row.get("name")?.as_str()?);
            let known = known.filter(|_| !changed.contains(id) && !changed.contains(interface));
            known.or_else(|| Some((text(row, "name")?, self.port(row)?)))
        };
        let ports = items(row.get("ports")).into_iter().filter_map(uuid).filter_map(port).collect();
        Bridge { secure: text(row, "fail_mode").as_deref() == Some("secure"), ports, flows }
    }

    fn port(&self, row: &Value) -> Option<Port> {
        let first = items(row.get("interfaces")).into_iter().find_map(uuid)?;
        let interface = self.tables.get(INTERFACE)?.get(first)?;
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
        self.tables.get(table).into_iter().flatten()
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
        let mut observed = Observed::default();
        replica.refresh(&mut observed);
        let port = &observed.bridges["br-int"].ports["tap1"];
        assert!(observed.bridges["br-int"].secure);
        assert!(port.wiring.is_dead());
        assert_eq!(
            (port.ofport, port.error.as_deref(), port.iface_id()),
            (None, Some("no such device"), Some("p-1"))
        );

        replica.update(&json!({ "Bridge": { "b": { "old": {} } } }));
        replica.refresh(&mut observed);
        assert!(observed.bridges.is_empty());
    }

    /// Ports come, go, change and are replaced by others of the same name; what is kept from look to
    /// look is what a look at everything finds.
    #[test]
    fn rows_that_did_not_change_need_no_second_look() {
        let (mut replica, mut observed, mut seed) = (Replica::default(), Observed::default(), 1_u32);
        let mut random = |below: u32| {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (seed >> 16) % below
        };
        for _ in 0..500 {
            // Three rows for each of two names; the database has a name once.
            let number = random(6);
            let change = match random(4) {
                0 => json!({ "Bridge": { format!("b{}", number % 2): { "new": {
                    "name": format!("br{}", number % 2), "fail_mode": "secure",
                    "ports": ["set", ([random(3), random(3) + 3].map(|id| json!(["uuid", format!("p{id}")])))],
                } } } }),
                1 => {
                    let name = number / 3;
                    let port = json!({ "name": format!("tap{name}"), "interfaces": ["uuid", format!("i{number}")], "tag": random(9) });
                    let rows = (3 * name..3 * name + 3).map(|other| {
                        let row = if other == number { json!({ "new": port }) } else { json!({ "old": {} }) };
                        (format!("p{other}"), row)
                    });
                    json!({ "Port": rows.collect::<serde_json::Map<_, _>>() })
                }
                2 => json!({ "Interface": { format!("i{number}"): { "new": { "ofport": random(9) } } } }),
                _ => json!({ "Port": { format!("p{number}"): { "old": {} } } }),
            };
            replica.update(&change);
            if random(2) == 0 {
                replica.refresh(&mut observed);
                let mut anew = Replica { tables: replica.tables.clone(), ..Replica::default() };
                anew.changed.insert(String::new());
                let mut everything = Observed::default();
                anew.refresh(&mut everything);
                assert_eq!(observed, everything);
            }
        }
    }
}
