//! The table of `mac-nat/README.md`, made from what was seen.

use std::fmt::Write;

use mac_nat::export::{Ability, Support};

use crate::Seen;
use crate::plane::Plane;
use crate::scene::Outcome;

const README: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../mac-nat/README.md");
const BEGIN: &str = "<!-- what each data plane can do: written by `data_planes` -->\n";
const END: &str = "<!-- end -->\n";

/// Compares the table with the one of the README, or writes it there under `UPDATE_README=1`.
pub(crate) fn compare(seen: &[Seen]) {
    let readme = std::fs::read_to_string(README).unwrap();
    let (before, rest) = readme.split_once(BEGIN).unwrap();
    let (written, after) = rest.split_once(END).unwrap();
    let table = table(seen);
    if std::env::var("UPDATE_README").as_deref() == Ok("1") {
        std::fs::write(README, format!("{before}{BEGIN}{table}{END}{after}")).unwrap();
    } else {
        assert_eq!(written, table, "mac-nat/README.md says something else: run with UPDATE_README=1");
    }
}

fn table(seen: &[Seen]) -> String {
    let planes = Plane::all();
    let names: String = planes.iter().map(|plane| format!(" `{plane}` |")).collect();
    let mut text = format!("| |{names}\n|---|{}\n", "---|".repeat(planes.len()));
    let mut notes = Vec::new();
    for ability in Ability::ALL {
        write!(text, "| {ability} |").unwrap();
        for plane in &planes {
            let of_cell = |seen: &&Seen| seen.plane == *plane && seen.check.ability == ability;
            let outcomes: Vec<_> = seen.iter().filter(of_cell).map(|seen| &seen.outcome).collect();
            let cell = cell(&outcomes);
            match plane.support(ability) {
                Support::Limited(note) | Support::Leaks(note) => {
                    let number = notes.iter().position(|known| *known == note).unwrap_or_else(|| {
                        notes.push(note);
                        notes.len() - 1
                    });
                    write!(text, " {cell} ({}) |", number + 1).unwrap();
                }
                _ => write!(text, " {cell} |").unwrap(),
            }
        }
        text.push('\n');
    }
    text.push('\n');
    for (at, note) in notes.iter().enumerate() {
        writeln!(text, "{}. {note}", at + 1).unwrap();
    }
    text
}

fn cell(outcomes: &[&Outcome]) -> &'static str {
    let works = |outcome: &&&Outcome| matches!(outcome, Outcome::Works);
    let leaks = |outcome: &&Outcome| matches!(outcome, Outcome::Leaks(_));
    match outcomes.iter().filter(works).count() {
        _ if outcomes.iter().any(leaks) => "**leaks**",
        0 => "no",
        count if count == outcomes.len() => "yes",
        _ => "partly",
    }
}
