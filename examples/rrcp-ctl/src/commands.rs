//! What the tool says about switches. Each command makes a report that can be printed as text or as
//! JSON, and is written against [`Remote`](crate::remote::Remote).

pub mod loops;
pub mod ports;
pub mod registers;
pub mod scan;
pub mod vlan;

use std::fmt::Display;
use std::io::Write;

use anyhow::Result;
use rrcp::PortMask;
use serde::Serialize;

/// Prints a report: as text, or as one line of JSON.
///
/// # Errors
/// If `out` cannot be written.
pub fn print(out: &mut impl Write, json: bool, report: &(impl Display + Serialize)) -> Result<()> {
    if json {
        serde_json::to_writer(&mut *out, report)?;
        writeln!(out)?;
    } else {
        write!(out, "{report}")?;
    }
    // A person, or the next program, waits for this line.
    out.flush()?;
    Ok(())
}

/// Port numbers in ascending order.
fn numbers(ports: PortMask) -> Vec<u16> {
    ports.iter().map(u16::from).collect()
}

/// Port numbers as people write them: `0-3,7`.
fn ranges(ports: &[u16]) -> String {
    let mut ranges: Vec<(u16, u16)> = Vec::new();
    for &port in ports {
        match ranges.last_mut() {
            Some((_, last)) if *last + 1 == port => *last = port,
            _ => ranges.push((port, port)),
        }
    }
    let texts = ranges.iter().map(|(first, last)| match first == last {
        true => first.to_string(),
        false => format!("{first}-{last}"),
    });
    if ranges.is_empty() { "-".to_owned() } else { texts.collect::<Vec<_>>().join(",") }
}

#[cfg(test)]
mod tests {
    use super::ranges;

    #[test]
    fn ports_are_written_as_ranges() {
        assert_eq!(ranges(&[]), "-");
        assert_eq!(ranges(&[3]), "3");
        assert_eq!(ranges(&[0, 1, 2, 3, 7, 9, 10]), "0-3,7,9-10");
    }
}
