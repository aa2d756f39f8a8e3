//! What an existing rule set would leak or break, with the frame that proves it.
//!
//! A reader turns the rules of a tool into one form (`model`), a machine runs frames through them
//! (`machine`), and a judge compares what comes out to what the engine does with the same frames
//! (`judge`). The frames are made from the bindings of the configuration (`probes`). What a reader
//! does not understand is reported, and where a verdict depends on it, the verdict is open.

mod describe;
mod ebtables;
mod field;
mod flows;
mod judge;
mod machine;
mod model;
mod nft;
mod packets;
mod probes;
mod world;

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

use crate::{BadInput, Settings};
use judge::Judge;
pub use model::Unknown;
use world::World;

/// Bindings that get probes; rules for more are of the same make.
const EXAMINED: usize = 256;
const LINE: usize = 160;

/// What wrote the rules.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Format {
    /// `nft -j list ruleset`.
    NftJson,
    /// `ebtables-save`, or a script of `ebtables` commands.
    EbtablesSave,
    /// `ovs-ofctl dump-flows`, or a file for `add-flows`.
    OvsFlows,
}

impl Format {
    /// What a text looks like.
    pub fn guess(text: &str) -> Option<Self> {
        let line = |wanted: fn(&str) -> bool| text.lines().any(|line| wanted(line.trim_start()));
        match () {
            () if text.trim_start().starts_with('{') || line(|line| line.starts_with("{\"nftables\"")) => {
                Some(Self::NftJson)
            }
            () if line(|line| line.contains("actions=")) => Some(Self::OvsFlows),
            () if line(|line| {
                line.starts_with("ebtables") || line.starts_with("*nat") || line.starts_with("*filter")
            }) =>
            {
                Some(Self::EbtablesSave)
            }
            () => None,
        }
    }
}

/// What was found.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Rules read.
    pub rules: usize,
    /// Frames sent through them.
    pub probes: usize,
    /// Bindings that had probes, and all of them.
    pub bindings: (usize, usize),
    /// What is wrong.
    pub findings: Vec<Finding>,
    /// Rules that the tool itself refuses.
    pub refused: Vec<Unknown>,
    /// What was not understood. Where it decided, there is a finding, too.
    pub not_understood: Vec<Unknown>,
}

/// Something that the rules do wrong.
#[derive(Clone, Debug, Serialize)]
pub struct Finding {
    /// Which ability of a translator is missing ([`Ability`](mac_nat::export::Ability)).
    pub ability: String,
    /// What was sent.
    pub probe: String,
    /// Whose it was.
    pub subject: String,
    /// What is wrong.
    pub problem: Problem,
    /// What was sent, in turn; the last is what it is about.
    pub frames: Vec<Hop>,
    /// What should have left.
    pub wanted: Option<Frame>,
    /// What left instead.
    pub got: Option<Frame>,
    /// How many more bindings have the same problem with the same kind of frame.
    pub also: usize,
}

/// What is wrong with what left.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Problem {
    /// A MAC is on the provider's wire that must not be there.
    Leak {
        /// Where in the frame.
        part: String,
        /// Which.
        mac: String,
    },
    /// Nothing arrives.
    Lost {
        /// Where it should.
        at: String,
    },
    /// It leaves although it must not.
    Passes {
        /// Why not.
        why: String,
    },
    /// The checksum is wrong.
    Checksum,
    /// There is no UDP checksum any more: valid, but nothing protects the data.
    NoChecksum,
    /// Something else differs.
    Altered {
        /// The first such part.
        part: String,
    },
    /// A rule that was not understood decides.
    Undecided {
        /// Its line.
        line: usize,
        /// What about it.
        what: String,
    },
}

/// A frame.
#[derive(Clone, Debug, Serialize)]
pub struct Frame {
    /// In words.
    pub text: String,
    /// Its bytes.
    pub hex: String,
}

/// A frame, and where it came in.
#[derive(Clone, Debug, Serialize)]
pub struct Hop {
    /// The interface.
    pub from: String,
    /// The frame.
    #[serde(flatten)]
    pub frame: Frame,
}

impl Frame {
    fn new(frame: &[u8]) -> Self {
        let hex = frame.iter().map(|byte| format!("{byte:02x}")).collect();
        Self { text: describe::describe(frame), hex }
    }
}

impl Hop {
    fn new(from: &str, frame: &[u8]) -> Self {
        Self { from: from.into(), frame: Frame::new(frame) }
    }
}

/// Reads rules and sends frames of all kinds through them. `numbers` are OpenFlow numbers by
/// interface, for flows that were not printed with `--names`.
///
/// # Errors
/// [`BadInput`] if this is no rule set of the format.
pub fn lint(
    text: &str,
    format: Format,
    settings: &Settings,
    numbers: &[(String, String)],
) -> Result<Report, BadInput> {
    let numbers: BTreeMap<_, _> =
        numbers.iter().map(|(name, number)| (number.clone(), name.clone())).collect();
    let world = World::new(settings, &numbers);
    let program = match format {
        Format::NftJson => nft::read(text).map_err(|error| BadInput::new("rules", error))?,
        Format::EbtablesSave => ebtables::read(text),
        Format::OvsFlows => flows::read(text, &world),
    };
    let config = &settings.engine;
    let judge = Judge::new(config, &world);
    let probes = probes::probes(config, EXAMINED);
    let mut findings: Vec<Finding> = Vec::new();
    for probe in &probes {
        let found = judge.judge(&program, probe).map_err(|error| BadInput::new("configuration", error))?;
        let Some(found) = found else { continue };
        let same = |known: &&mut Finding| known.is_like(&found);
        match findings.iter_mut().find(same) {
            Some(known) => known.also += 1,
            None => findings.push(found),
        }
    }
    let rules = program.chains.values().map(|chain| chain.rules.len()).sum();
    let bindings = (config.bindings.len().min(EXAMINED), config.bindings.len());
    let (refused, not_understood) = (program.refused, program.unknown);
    Ok(Report { rules, probes: probes.len(), bindings, findings, refused, not_understood })
}

impl Report {
    /// Whether nothing is wrong, as far as it was understood.
    pub fn is_clean(&self) -> bool {
        self.findings.is_empty() && self.refused.is_empty()
    }
}

impl Finding {
    /// The same problem with the same kind of frame.
    fn is_like(&self, other: &Self) -> bool {
        core::mem::discriminant(&self.problem) == core::mem::discriminant(&other.problem)
            && (&self.ability, &self.probe) == (&other.ability, &other.probe)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for finding in &self.findings {
            writeln!(f, "{finding}")?;
        }
        for refused in &self.refused {
            writeln!(f, "refused: line {}: {}\n  {}\n", refused.line, refused.what, cut(&refused.rule))?;
        }
        for unknown in &self.not_understood {
            writeln!(
                f,
                "not understood: line {}: {}\n  {}\n",
                unknown.line,
                cut(&unknown.what),
                cut(&unknown.rule)
            )?;
        }
        let (examined, bindings) = self.bindings;
        write!(f, "{} rules, {} frames for {examined} of {bindings} bindings: ", self.rules, self.probes)?;
        match (self.findings.len() + self.refused.len(), self.not_understood.len()) {
            (0, 0) => writeln!(f, "nothing found"),
            (found, 0) => writeln!(f, "{found} findings"),
            (found, unknown) => writeln!(f, "{found} findings, {unknown} places not understood"),
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}: {}: {}", self.ability, self.probe, self.problem)?;
        write!(f, "  of {}", self.subject)?;
        match self.also {
            0 => writeln!(f)?,
            more => writeln!(f, ", and {more} more like it")?,
        }
        for hop in &self.frames {
            writeln!(f, "  from {}: {}\n    {}", hop.from, hop.frame.text, hop.frame.hex)?;
        }
        for (what, frame) in [("leaves", &self.got), ("wanted", &self.wanted)] {
            if let Some(frame) = frame {
                writeln!(f, "  {what}: {}\n    {}", frame.text, frame.hex)?;
            }
        }
        Ok(())
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Leak { part, mac } => write!(f, "{mac} leaks as {part}"),
            Self::Lost { at } => write!(f, "does not arrive at {at}"),
            Self::Passes { why } => write!(f, "leaves, but must not: {why}"),
            Self::Checksum => {
                f.write_str("leaves with a wrong checksum (a flag that only netlink shows may correct it)")
            }
            Self::NoChecksum => f.write_str("leaves without UDP checksum"),
            Self::Altered { part } => write!(f, "arrives with another {part}"),
            Self::Undecided { line, what } => {
                write!(f, "open, line {line} decides and was not understood: {}", cut(what))
            }
        }
    }
}

/// Rules can be long.
fn cut(text: &str) -> String {
    match text.char_indices().nth(LINE) {
        Some((end, _)) => format!("{}...", text.get(..end).unwrap_or(text)),
        None => text.to_owned(),
    }
}
