//! A run as text: a line or two for everything that happened, then what each switch knows.

use core::fmt::{self, Write};
use core::time::Duration;

use anstyle::{AnsiColor, Style};

use crate::device::{Fate, Handling, Learning};
use crate::report::{self, Station};
use crate::scenario::Scenario;
use crate::sim::{Entry, Happening, Hop, Journey, Outcome};

/// Writes the run; colours are escape sequences, to be stripped where they are not wanted.
///
/// # Errors
/// What the writer says.
pub fn print(out: &mut impl Write, scenario: &Scenario, seed: u64, run: &Outcome) -> fmt::Result {
    writeln!(out, "{BOLD}{}{BOLD:#}  {DIM}(seed {seed}){DIM:#}\n", scenario.title())?;
    writeln!(out, "{}", scenario.picture())?;
    writeln!(out, "{DIM}  + station learned   ~ station moved   → known   ⇒ flooded   ✗ stopped{DIM:#}")?;
    for entry in &run.timeline {
        print_entry(out, entry)?;
    }
    let end = if run.cut_off { "cut off: too many frames, raise `frames` to see more" } else { "end" };
    writeln!(out, "{DIM}{}{DIM:#}  {end}\n", clock(run.ended_at))?;
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

fn print_journey(out: &mut impl Write, at: &str, journey: &Journey) -> fmt::Result {
    let Journey { from, to, what, hops, more_hops, heard_by, lost, in_flight } = journey;
    let route = format!("{from} → {to}");
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
