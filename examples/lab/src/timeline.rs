//! A run as text: a line or two for everything that happened, then what each switch knows.

use core::fmt::{self, Write};
use core::time::Duration;

use anstyle::{AnsiColor, Style};

use crate::detector::Alarm;
use crate::device::{Fate, Handling, Learning};
use crate::report::{self, Station};
use crate::scenario::{Comparison, Scenario};
use crate::sim::{AlarmReport, Entry, Happening, Hop, Journey, Outcome};

/// Writes the run; colours are escape sequences, to be stripped where they are not wanted.
///
/// # Errors
/// What the writer says.
pub fn print(
    out: &mut impl Write,
    scenario: &Scenario,
    seed: u64,
    run: &Outcome,
    comparison: &[Comparison],
) -> fmt::Result {
    writeln!(out, "{BOLD}{}{BOLD:#}  {DIM}(seed {seed}){DIM:#}\n", scenario.title())?;
    writeln!(out, "{}", scenario.picture())?;
    writeln!(out, "{DIM}  + station learned   ~ station moved   → known   ⇒ flooded   ✗ stopped{DIM:#}")?;
    for entry in &run.timeline {
        print_entry(out, entry)?;
    }
    let end = if run.cut_off { "cut off: too many frames, raise `frames` to see more" } else { "end" };
    writeln!(out, "{DIM}{}{DIM:#}  {end}\n", clock(run.ended_at))?;
    if !comparison.is_empty() {
        writeln!(
            out,
            "{BOLD}The same with other loop detectors{BOLD:#}\n\n{}",
            report::comparison(comparison)
        )?;
    }
    for (name, report) in &run.switches {
        writeln!(out, "{BOLD}{name}{BOLD:#}, {}: {}", report.model, report.text())?;
    }
    for (name, pings) in &run.hosts {
        if pings.sent > 0 {
            let colour = if pings.answered == pings.sent { GREEN } else { YELLOW };
            writeln!(out, "{name}: {colour}{} of {} pings answered{colour:#}", pings.answered, pings.sent)?;
        }
    }
    Ok(())
}

fn print_entry(out: &mut impl Write, Entry { at, what }: &Entry) -> fmt::Result {
    let at = clock(*at);
    match what {
        Happening::Note(text) => writeln!(out, "\n{DIM}{at}{DIM:#}  {BOLD}{text}{BOLD:#}"),
        Happening::Frame(journey) => print_journey(out, &at, journey),
        Happening::Alarm(report) => print_alarm(out, &at, report),
        Happening::Plugged(cable) => {
            writeln!(out, "{DIM}{at}{DIM:#}  {CYAN}cable {cable} is plugged in{CYAN:#}")
        }
        Happening::Unplugged(cable) => {
            writeln!(out, "{DIM}{at}{DIM:#}  {CYAN}cable {cable} is pulled{CYAN:#}")
        }
        Happening::Moved(host, switch, port) => {
            writeln!(out, "{DIM}{at}{DIM:#}  {CYAN}{host} moves to {switch} port {port}{CYAN:#}")
        }
        Happening::Forgot(switch, stations) => {
            writeln!(out, "{DIM}{at}{DIM:#}  {YELLOW}{switch} forgets {}{YELLOW:#}", known(stations))
        }
        Happening::Stations(switches) => {
            for (name, stations) in switches {
                writeln!(out, "{DIM}{at}{DIM:#}  {name} knows {}", known(stations))?;
            }
            Ok(())
        }
    }
}

fn print_alarm(out: &mut impl Write, at: &str, report: &AlarmReport) -> fmt::Result {
    let AlarmReport { switch, alarm, after_plug } = report;
    let colour = match alarm {
        Alarm::Looped { .. } | Alarm::LampOn { .. } | Alarm::Latched { .. } => RED,
        Alarm::Cleared { .. } | Alarm::LampOff { .. } => GREEN,
        Alarm::DuplicateMac { .. } => YELLOW,
        Alarm::Suspected { .. } => DIM,
    };
    write!(out, "{DIM}{at}{DIM:#}  {colour}{switch}: {}{colour:#}", alarm_text(alarm))?;
    if let Some(after) = after_plug {
        write!(out, "  {DIM}({} after the cable){DIM:#}", report::time(*after))?;
    }
    writeln!(out)
}

fn alarm_text(alarm: &Alarm) -> String {
    let vlan = |vlan: &Option<u16>| vlan.map(|vlan| format!(" in VLAN {vlan}")).unwrap_or_default();
    match alarm {
        Alarm::Looped { kind, tx, rx, tx_vlan, rx_vlan, blocked } => {
            let kind = match *kind {
                "self_loop" => "a loop behind one port",
                "inter_vlan" => "a loop between VLANs",
                _ => "a loop",
            };
            let way = match tx == rx {
                true => format!("out and in at {tx}{}", vlan(tx_vlan)),
                false => format!("out at {tx}{}, in at {rx}{}", vlan(tx_vlan), vlan(rx_vlan)),
            };
            let end = match blocked {
                Some(port) => format!("port {port} is blocked"),
                None => "nothing is blocked".to_owned(),
            };
            format!("{kind}, {way}: {end}")
        }
        Alarm::LampOn { port } => format!("the loop lamp of port {port} is on"),
        Alarm::LampOff { port } => format!("the loop lamp of port {port} is off"),
        Alarm::Cleared { port, after } => {
            format!("port {port} is released after {:.1} s", after.as_secs_f64())
        }
        Alarm::Latched { port, trips } => {
            format!("port {port} stays blocked until an operator releases it: {trips} loops in an hour")
        }
        Alarm::Suspected { port, why } => format!("port {port} is probed faster: {why}"),
        Alarm::DuplicateMac { port } => {
            format!("a switch behind port {port} has our address, which is no loop")
        }
    }
}

fn print_journey(out: &mut impl Write, at: &str, journey: &Journey) -> fmt::Result {
    let Journey { from, to, what, frames, hops, more_hops, heard_by, lost, in_flight } = journey;
    let route = format!("{from} → {to}");
    let what = match frames {
        1 => what.clone(),
        frames => format!("{} x {what}", report::grouped(*frames)),
    };
    write!(out, "{DIM}{at}{DIM:#}  {route:<18} {what:<24} ")?;
    match heard_by.as_slice() {
        [] => write!(out, "{RED}heard by nobody{RED:#}")?,
        hosts => write!(out, "{GREEN}heard by {}{GREEN:#}", hosts.join(", "))?,
    }
    if *lost > 0 {
        write!(out, "{RED}, {lost} lost{RED:#}")?;
    }
    if *in_flight > 0 {
        write!(out, "{YELLOW}, {in_flight} still on the way{YELLOW:#}")?;
    }
    let hops: Vec<_> = hops.iter().map(hop).collect();
    write!(out, "\n{:INDENT$}{DIM}{}", "", hops.join(" │ "))?;
    if *more_hops > 0 {
        write!(out, " │ {} more", report::grouped(*more_hops))?;
    }
    writeln!(out, "{DIM:#}")
}

/// `west 0+ ⇒ 1 4` and the like.
fn hop(Hop { switch, port, handling, .. }: &Hop) -> String {
    let Handling { learning, fate, ports, .. } = handling;
    let mark = match learning {
        Learning::Nothing => "",
        Learning::New => "+",
        Learning::Moved { .. } => "~",
    };
    let way = match fate {
        Fate::Known => format!("→ {}", ports.join(" ")),
        Fate::Flooded => format!("⇒ {}", ports.join(" ")),
        Fate::Filtered(why) | Fate::Dropped(why) => format!("✗ {why}"),
    };
    format!("{switch} {port}{mark} {way}")
}

fn known(stations: &[Station]) -> String {
    let named: Vec<_> =
        stations.iter().map(|station| format!("{} on {}", station.name(), station.port)).collect();
    if named.is_empty() { "nobody".into() } else { named.join(", ") }
}

fn clock(at: Duration) -> String {
    format!("{:>11.6} s", at.as_secs_f64())
}

/// Under the text of the line above.
const INDENT: usize = 15;

const BOLD: Style = Style::new().bold();
const DIM: Style = Style::new().dimmed();
const GREEN: Style = AnsiColor::Green.on_default();
const RED: Style = AnsiColor::Red.on_default();
const YELLOW: Style = AnsiColor::Yellow.on_default();
const CYAN: Style = AnsiColor::Cyan.on_default();
