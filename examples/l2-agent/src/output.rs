//! What a person, or a program, gets to read.

use std::io::{self, Write};
use std::path::Path;

use anyhow::Context;
use serde_json::{Value, json};

use crate::demo::Heard;
use l2_agent::agent::Outcome;
use l2_agent::desired::Desired;
use l2_agent::observed::Observed;
use l2_agent::plan::{Op, Plan, Status};

/// Changes of status, and what failed.
pub(crate) fn reports(outcome: &Outcome, as_json: bool) -> io::Result<()> {
    let mut out = io::stdout().lock();
    for report in &outcome.reports {
        let (state, why) = report.status.as_ref().map_or(("gone", ""), words);
        if as_json {
            writeln!(out, "{}", json!({ "port": report.port, "status": state, "reason": why }))?;
        } else {
            writeln!(out, "{}", format!("{:<36}  {state:<8}  {why}", report.port).trim_end())?;
        }
    }
    for (object, why) in &outcome.failing {
        if as_json {
            writeln!(out, "{}", json!({ "object": object, "error": why }))?;
        } else {
            writeln!(out, "{object}: {why}")?;
        }
    }
    out.flush()
}

/// The ports that are up, in a file that changes in one instant and only if they did.
pub(crate) fn up(plan: &Plan, file: &Path) -> anyhow::Result<()> {
    let ports = plan.status.iter().filter(|(_, status)| **status == Status::Up);
    let text: String = ports.map(|(port, _)| format!("{port}\n")).collect();
    if std::fs::read_to_string(file).is_ok_and(|old| old == text) {
        return Ok(());
    }
    let mut partial = file.as_os_str().to_owned();
    partial.push(".partial");
    let written = std::fs::write(&partial, text).and_then(|()| std::fs::rename(&partial, file));
    written.with_context(|| format!("cannot write {}", file.display()))
}

/// The whole state: ports, local VLANs, faults, and the operations that a run would begin with.
pub(crate) fn show(desired: &Desired, observed: &Observed, plan: &Plan, as_json: bool) -> io::Result<()> {
    let mut out = io::stdout().lock();
    if as_json {
        let ports: Vec<_> = plan
            .status
            .iter()
            .map(|(port, status)| {
                let (state, why) = words(status);
                json!({ "port": port, "status": state, "reason": why })
            })
            .collect();
        let vlans: Vec<_> = plan
            .vlans
            .iter()
            .map(|(network, vlan)| json!({ "network": network, "vlan": vlan.get() }))
            .collect();
        let todo: Vec<Value> = plan.ops.iter().map(|op| Value::from(describe(op))).collect();
        return writeln!(
            out,
            "{}",
            json!({ "ports": ports, "local_vlans": vlans, "faults": plan.faults, "todo": todo })
        );
    }
    writeln!(out, "{:<36}  {:<8}  {:<15}  reason", "port", "status", "interface")?;
    for (port, status) in &plan.status {
        let (state, why) = words(status);
        writeln!(out, "{port:<36}  {state:<8}  {:<15}  {why}", interface(desired, observed, port))?;
    }
    writeln!(out, "\n{:<36}  local VLAN", "network")?;
    for (network, vlan) in plan.vlans.iter() {
        writeln!(out, "{network:<36}  {vlan}")?;
    }
    for fault in &plan.faults {
        writeln!(out, "\nfault: {fault}")?;
    }
    match plan.ops.len() {
        0 => writeln!(out, "\nnothing to do"),
        count => {
            writeln!(out, "\nto do first ({count}):")?;
            plan.ops.iter().try_for_each(|op| writeln!(out, "  {}", describe(op)))
        }
    }
}

/// Who hears a broadcast, and behind which tags.
pub(crate) fn reach(heard: &[Heard], as_json: bool) -> io::Result<()> {
    let mut out = io::stdout().lock();
    if !as_json {
        writeln!(out, "\n{:<20}  heard by (with tags)", "broadcast from")?;
    }
    for heard in heard {
        let by = heard.by.iter();
        if as_json {
            let by: Vec<_> = by.map(|(port, tags)| json!({ "port": port, "tags": tags })).collect();
            writeln!(out, "{}", json!({ "from": heard.from, "heard_by": by }))?;
        } else {
            let by: Vec<_> = by
                .map(
                    |(port, tags)| {
                        if tags.is_empty() { port.clone() } else { format!("{port} ({})", tags.join(" ")) }
                    },
                )
                .collect();
            let by = if by.is_empty() { "nobody".to_owned() } else { by.join(", ") };
            writeln!(out, "{:<20}  {by}", heard.from)?;
        }
    }
    out.flush()
}

fn interface<'a>(desired: &Desired, observed: &'a Observed, port: &str) -> &'a str {
    let bridge = observed.bridges.get(&desired.integration_bridge);
    let mut ports = bridge.into_iter().flat_map(|bridge| &bridge.ports);
    ports.find(|(_, seen)| seen.iface_id() == Some(port)).map_or("-", |(name, _)| name)
}

fn words(status: &Status) -> (&'static str, &str) {
    match status {
        Status::Up => ("up", ""),
        Status::Building(why) => ("building", why),
        Status::Down(why) => ("down", why),
    }
}

fn describe(op: &Op) -> String {
    match op {
        Op::AddBridge { bridge } => format!("add bridge {bridge}"),
        Op::SecureBridge { bridge } => format!("set fail_mode=secure on {bridge}"),
        Op::AddPort { bridge, port, kind, .. } => format!("add {kind} port {port} to {bridge}"),
        Op::SetPeer { port, peer } => format!("connect {port} to {peer}"),
        Op::Wire { port, to, .. } if to.is_dead() => format!("put {port} into the dead VLAN"),
        Op::Wire { port, to, .. } => format!("put {port} into local VLAN {}", to.tag.unwrap_or_default()),
        Op::ChangeFlows { bridge, delete, add } => {
            format!("{bridge}: remove {} flows, add {}", delete.len(), add.len())
        }
    }
}
