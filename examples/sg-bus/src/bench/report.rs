//! The measurements as a table and as JSON.

use std::fmt::Write;
use std::time::Duration;

use serde_json::{Value, json};

use super::measure::{Options, Outcome};
use super::neutron_cost::{Cost, compact_change, compact_cold, push_change, push_cold};

/// A table for people. `way` names the transport.
pub fn table(options: &Options, outcome: &Outcome, way: &str) -> String {
    let cloud = options.cloud;
    let mut out = String::new();
    let rows = [
        ("all agents from nothing", outcome.cold_cost, compact_cold(cloud), push_cold(cloud)),
        ("one member more", outcome.change_cost, compact_change(cloud), push_change(cloud)),
    ];
    // Writing to a `String` cannot fail.
    let _ = writeln!(
        out,
        "{} ports on {} hosts in {} groups, one agent on each host, {way}\n",
        cloud.ports, cloud.hosts, cloud.groups
    );
    let _ =
        writeln!(out, "{:<26} {:>16} {:>16} {:>16}", "messages, bytes", "ours", "compact call", "push path");
    for (what, ours, compact, push) in rows {
        let _ = writeln!(out, "{what:<26} {:>16} {:>16} {:>16}", text(ours), text(compact), text(push));
    }
    let rate = outcome.changes as f64 / outcome.elapsed.as_secs_f64();
    let second =
        |cost: Cost, times: f64| text(Cost { messages: cost.messages * times, bytes: cost.bytes * times });
    let _ = writeln!(
        out,
        "{:<26} {:>16} {:>16} {:>16}",
        format!("a second of {rate:.0} changes"),
        second(outcome.churn_cost, 1.0 / outcome.elapsed.as_secs_f64()),
        second(compact_change(cloud), rate),
        second(push_change(cloud), rate),
    );
    let _ = writeln!(
        out,
        "\nuntil the last agent is in step: {} from nothing; one change {} median, {} worst of {}",
        time(outcome.cold),
        time(quantile(&outcome.lags, 0.5)),
        time(quantile(&outcome.lags, 1.0)),
        outcome.lags.len()
    );
    out.push_str(
        "ours measured; Neutron's computed from recorded sizes, each notice followed by its fetch\n",
    );
    out
}

/// The same for programs.
pub fn json(options: &Options, outcome: &Outcome, way: &str) -> Value {
    let cloud = options.cloud;
    let cost = |cost: Cost| json!({"messages": cost.messages, "bytes": cost.bytes});
    let row = |ours, compact, push| json!({"ours": cost(ours), "compact": cost(compact), "push": cost(push)});
    json!({
        "transport": way,
        "ports": cloud.ports,
        "agents": cloud.hosts,
        "groups": cloud.groups,
        "cold": row(outcome.cold_cost, compact_cold(cloud), push_cold(cloud)),
        "change": row(outcome.change_cost, compact_change(cloud), push_change(cloud)),
        "churn": {
            "changes": outcome.changes,
            "seconds": outcome.elapsed.as_secs_f64(),
            "ours": cost(outcome.churn_cost),
        },
        "cold_seconds": outcome.cold.as_secs_f64(),
        "change_seconds": {
            "median": quantile(&outcome.lags, 0.5).as_secs_f64(),
            "worst": quantile(&outcome.lags, 1.0).as_secs_f64(),
        },
    })
}

fn quantile(sorted: &[Duration], part: f64) -> Duration {
    let last = sorted.len().saturating_sub(1);
    sorted.get((last as f64 * part).round() as usize).copied().unwrap_or_default()
}

fn text(cost: Cost) -> String {
    format!("{:.0}, {}", cost.messages, size(cost.bytes))
}

fn size(bytes: f64) -> String {
    match bytes {
        ..1e4 => format!("{bytes:.0} B"),
        ..1e7 => format!("{:.1} kB", bytes / 1e3),
        ..1e10 => format!("{:.1} MB", bytes / 1e6),
        _ => format!("{:.1} GB", bytes / 1e9),
    }
}

fn time(time: Duration) -> String {
    if time < Duration::from_secs(1) {
        format!("{:.1} ms", time.as_secs_f64() * 1e3)
    } else {
        format!("{:.2} s", time.as_secs_f64())
    }
}
