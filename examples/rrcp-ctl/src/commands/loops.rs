//! `loops` and `watch`: what the switch's own loop detection says.

use std::fmt;

use anyhow::Result;
use rrcp::PortMask;
use rrcp::registers::{Faults, ProtocolControl, loop_ports};
use rrcp::wire::RegisterAddress;
use serde::Serialize;

use super::{numbers, ranges};
use crate::remote::Remote;

/// Whether there is a loop, and where.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Loops {
    /// Whether the switch looks for loops at all.
    pub detecting: bool,
    /// Whether it has found one.
    pub fault: bool,
    /// On which ports.
    pub ports: Vec<u16>,
}

/// Reads the loop registers.
///
/// # Errors
/// If the switch does not answer.
pub fn loops(switch: &mut impl Remote) -> Result<Loops> {
    let control = ProtocolControl(switch.read_word(RegisterAddress::PROTOCOL_CONTROL)?);
    let (fault, ports) = alarm(switch)?;
    Ok(Loops { detecting: control.loop_detection(), fault, ports: numbers(ports) })
}

impl Loops {
    /// Whether there is a loop.
    pub fn is_looped(&self) -> bool {
        self.fault || !self.ports.is_empty()
    }
}

impl fmt::Display for Loops {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.is_looped(), self.detecting) {
            (true, _) => writeln!(f, "loop on ports {}", ranges(&self.ports)),
            (false, true) => writeln!(f, "no loop"),
            (false, false) => writeln!(f, "unknown: loop detection is off (register 0x0200, bit 2)"),
        }
    }
}

/// The loop fault bit and the ports in a loop. The ports are what counts: the fault register has
/// other bits at other chips.
///
/// # Errors
/// If the switch does not answer.
pub fn alarm(switch: &mut impl Remote) -> Result<(bool, PortMask)> {
    let fault = Faults(switch.read_word(RegisterAddress::FAULTS)?).loop_fault();
    let ports = loop_ports(switch.read(RegisterAddress::LOOP_PORTS)?);
    Ok((fault, ports))
}

/// Something that `watch` saw change.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Alarm {
    /// Seconds since the watch began.
    pub time: f64,
    /// The switch.
    pub switch: String,
    /// What happened.
    #[serde(flatten)]
    pub change: Change,
}

/// What happened to a switch.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Change {
    /// Ports are in a loop that were not before.
    Loop {
        /// Which.
        ports: Vec<u16>,
    },
    /// Ports are in no loop any more.
    Cleared {
        /// Which.
        ports: Vec<u16>,
    },
    /// The switch does not answer.
    Silent,
    /// The switch answers again.
    Answers,
}

impl fmt::Display for Alarm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:>10.3} {} ", self.time, self.switch)?;
        match &self.change {
            Change::Loop { ports } => writeln!(f, "LOOP on ports {}", ranges(ports)),
            Change::Cleared { ports } => writeln!(f, "cleared on ports {}", ranges(ports)),
            Change::Silent => writeln!(f, "does not answer"),
            Change::Answers => writeln!(f, "answers again"),
        }
    }
}

/// What `watch` knows of a switch.
#[derive(Clone, Copy, Debug, Default)]
pub struct Watched {
    looped: PortMask,
    silent: bool,
}

impl Watched {
    /// Takes what was read, `None` if the switch did not answer; returns what has changed.
    pub fn take(&mut self, looped: Option<PortMask>) -> Vec<Change> {
        let mut changes = Vec::new();
        let Some(looped) = looped else {
            if !std::mem::replace(&mut self.silent, true) {
                changes.push(Change::Silent);
            }
            return changes;
        };
        if std::mem::take(&mut self.silent) {
            changes.push(Change::Answers);
        }
        let (new, gone) = (looped.difference(self.looped), self.looped.difference(looped));
        if !new.is_empty() {
            changes.push(Change::Loop { ports: numbers(new) });
        }
        if !gone.is_empty() {
            changes.push(Change::Cleared { ports: numbers(gone) });
        }
        self.looped = looped;
        changes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_watch_reports_changes_only() {
        let ports = |bits| Some(loop_ports(bits));
        let mut watched = Watched::default();
        assert_eq!(watched.take(ports(0)), []);
        assert_eq!(watched.take(ports(0b1001)), [Change::Loop { ports: vec![0, 3] }]);
        assert_eq!(watched.take(ports(0b1001)), []);
        assert_eq!(watched.take(None), [Change::Silent]);
        assert_eq!(watched.take(None), []);
        let changes = [Change::Answers, Change::Loop { ports: vec![1] }, Change::Cleared { ports: vec![3] }];
        assert_eq!(watched.take(ports(0b0011)), changes);
    }
}
