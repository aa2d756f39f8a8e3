//! Operations as OVSDB transactions.

use serde_json::{Map, Value, json};

use super::database::Database;
use crate::backend::Failure;
use crate::observed::Wiring;
use crate::plan::Op;

/// Applies all in one transaction; if the database refuses that, each alone, so that one bad
/// operation stops no other.
pub(super) fn apply(
    database: &mut Database,
    ops: &[(usize, &Op)],
    bridge_options: &[(String, String)],
) -> anyhow::Result<Vec<Failure>> {
    if ops.is_empty() || run(database, ops, bridge_options)?.is_ok() {
        return Ok(Vec::new());
    }
    let mut failures = Vec::new();
    for (index, op) in ops {
        if let Err(why) = run(database, &[(*index, op)], bridge_options)? {
            failures.push(Failure { op: *index, why });
        }
    }
    Ok(failures)
}

fn run(
    database: &mut Database,
    ops: &[(usize, &Op)],
    bridge_options: &[(String, String)],
) -> anyhow::Result<Result<(), String>> {
    let mut operations: Vec<_> =
        ops.iter().flat_map(|(index, op)| operations(database, *index, op, bridge_options)).collect();
    if operations.is_empty() {
        return Ok(Ok(()));
    }
    // Tells the switch that there is something to do (ovs-vswitchd.conf.db(5), `next_cfg`).
    operations.push(
        json!({ "op": "mutate", "table": "Open_vSwitch", "where": [], "mutations": [["next_cfg", "+=", 1]] }),
    );
    Ok(database.transact(&operations)?.map(drop))
}

/// A new internal port in the dead VLAN.
pub(super) fn plug(bridge: &str, port: &str, marks: &[(&str, String)]) -> Vec<Value> {
    let interface = json!({ "name": port, "type": "internal", "external_ids": ["map", marks] });
    let mut rows = insert_port(0, port, interface);
    rows.push(wire(port, &Wiring::default(), &Wiring::dead()));
    rows.push(change_ports(bridge, "insert", json!(["named-uuid", "port0"])));
    rows.push(next_configuration());
    rows
}

/// Takes a port out of its bridge; the database drops rows that nobody refers to.
pub(super) fn unplug(bridge: &str, port_id: &str) -> Vec<Value> {
    vec![change_ports(bridge, "delete", json!(["uuid", port_id])), next_configuration()]
}

/// Tells the switch that there is something to do (ovs-vswitchd.conf.db(5), `next_cfg`).
fn next_configuration() -> Value {
    json!({ "op": "mutate", "table": "Open_vSwitch", "where": [], "mutations": [["next_cfg", "+=", 1]] })
}

fn change_ports(bridge: &str, how: &str, port: Value) -> Value {
    json!({ "op": "mutate", "table": "Bridge", "where": [["name", "==", bridge]], "mutations": [["ports", how, port]] })
}

fn operations(database: &Database, index: usize, op: &Op, bridge_options: &[(String, String)]) -> Vec<Value> {
    match op {
        Op::AddBridge { bridge } if database.replica.has("Bridge", bridge) => Vec::new(),
        Op::AddBridge { bridge } => add_bridge(index, bridge, bridge_options),
        Op::SecureBridge { bridge } => vec![update("Bridge", bridge, json!({ "fail_mode": "secure" }))],
        Op::AddPort { port, .. } if database.replica.has("Port", port) => Vec::new(),
        Op::AddPort { bridge, port, kind, options } => {
            let interface =
                json!({ "name": port, "type": kind, "options": ["map", options.iter().collect::<Vec<_>>()] });
            let mut rows = insert_port(index, port, interface);
            rows.push(change_ports(bridge, "insert", json!(["named-uuid", format!("port{index}")])));
            rows
        }
        Op::SetPeer { port, peer } => {
            vec![update("Interface", port, json!({ "options": ["map", [["peer", peer]]] }))]
        }
        Op::Wire { port, from, to } => vec![
            json!({
                "op": "wait", "table": "Port", "where": [["name", "==", port]], "columns": ["tag"],
                "until": "==", "rows": [{ "tag": optional(from.tag) }], "timeout": 0,
            }),
            wire(port, from, to),
            json!({
                "op": "mutate", "table": "Port", "where": [["name", "==", port]],
                "mutations": [
                    ["other_config", "delete", ["set", from.other_config.keys().collect::<Vec<_>>()]],
                    ["other_config", "insert", ["map", to.other_config.iter().collect::<Vec<_>>()]],
                ],
            }),
        ],
        Op::ChangeFlows { .. } => Vec::new(),
    }
}

/// A bridge wants a port and an interface of its own name (ovs-vswitchd.conf.db(5), Bridge).
fn add_bridge(index: usize, bridge: &str, options: &[(String, String)]) -> Vec<Value> {
    let (port, id) = (format!("port{index}"), format!("bridge{index}"));
    let own =
        [("name", json!(bridge)), ("fail_mode", json!("secure")), ("ports", json!(["named-uuid", port]))];
    let row: Map<_, _> = own
        .map(|(column, value)| (column.to_owned(), value))
        .into_iter()
        .chain(options.iter().map(|(column, value)| (column.clone(), json!(value))))
        .collect();
    let mut rows = insert_port(index, bridge, json!({ "name": bridge, "type": "internal" }));
    rows.push(json!({ "op": "insert", "table": "Bridge", "uuid-name": id, "row": row }));
    rows.push(json!({
        "op": "mutate", "table": "Open_vSwitch", "where": [],
        "mutations": [["bridges", "insert", ["named-uuid", id]]],
    }));
    rows
}

fn insert_port(index: usize, name: &str, interface: Value) -> Vec<Value> {
    let (port, id) = (format!("port{index}"), format!("interface{index}"));
    vec![
        json!({ "op": "insert", "table": "Interface", "uuid-name": id, "row": interface }),
        json!({ "op": "insert", "table": "Port", "uuid-name": port, "row": { "name": name, "interfaces": ["named-uuid", id] } }),
    ]
}

fn wire(port: &str, from: &Wiring, to: &Wiring) -> Value {
    let columns = [
        (from.tag != to.tag).then(|| ("tag", optional(to.tag))),
        (from.vlan_mode != to.vlan_mode).then(|| ("vlan_mode", optional(to.vlan_mode.clone()))),
        (from.trunks != to.trunks).then(|| ("trunks", json!(["set", to.trunks]))),
    ];
    let row: Map<_, _> =
        columns.into_iter().flatten().map(|(column, value)| (column.to_owned(), value)).collect();
    update("Port", port, Value::Object(row))
}

fn update(table: &str, name: &str, row: Value) -> Value {
    json!({ "op": "update", "table": table, "where": [["name", "==", name]], "row": row })
}

/// An optional column: an empty set says "none" (RFC 7047, 5.1).
fn optional(value: Option<impl Into<Value>>) -> Value {
    value.map_or_else(|| json!(["set", []]), Into::into)
}
