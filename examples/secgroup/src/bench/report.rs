//! The figures as a table for people, as CSV and as JSON.

use std::{fmt::Write, time::Duration};

use serde_json::json;

use super::Row;

/// A table in Markdown, one line per size.
pub fn table(rows: &[Row]) -> String {
    let mut out = String::from("| ports | devices | call | coding | bytes | build | encode | decode |\n");
    out += "|--:|--:|---|---|--:|--:|--:|--:|\n";
    for row in rows {
        // Writing to a `String` cannot fail.
        let _ = writeln!(
            out,
            "| {} | {} | {} | {} | {} | {} | {} | {} |",
            row.ports,
            row.devices,
            row.curve.call(),
            row.curve.coding(),
            row.bytes,
            short(row.build),
            short(row.encode),
            short(row.decode),
        );
    }
    out
}

/// One line per message, times in seconds.
pub fn csv(rows: &[Row]) -> String {
    let mut out = String::from("ports,devices,call,coding,bytes,build_s,encode_s,decode_s\n");
    for row in rows {
        let seconds = [row.build, row.encode, row.decode].map(|time| time.as_secs_f64());
        let [build, encode, decode] = seconds;
        let (call, coding) = (row.curve.call(), row.curve.coding());
        let _ = writeln!(
            out,
            "{},{},{call},{coding},{},{build:.9},{encode:.9},{decode:.9}",
            row.ports, row.devices, row.bytes
        );
    }
    out
}

/// An array of objects with the columns of [`csv`].
pub fn json(rows: &[Row]) -> String {
    let object = |row: &Row| {
        json!({
            "ports": row.ports, "devices": row.devices,
            "call": row.curve.call(), "coding": row.curve.coding(), "bytes": row.bytes,
            "build_s": row.build.as_secs_f64(), "encode_s": row.encode.as_secs_f64(),
            "decode_s": row.decode.as_secs_f64(),
        })
    };
    let rows: serde_json::Value = rows.iter().map(object).collect();
    format!("{rows:#}\n")
}

/// Three digits and a unit; nothing for no time at all.
fn short(time: Duration) -> String {
    let seconds = time.as_secs_f64();
    match seconds {
        0.0 => "-".into(),
        s if s < 1e-3 => format!("{:.1} µs", s * 1e6),
        s if s < 1.0 => format!("{:.2} ms", s * 1e3),
        s => format!("{s:.2} s"),
    }
}
