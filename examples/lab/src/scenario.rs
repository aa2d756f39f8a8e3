//! Scenario files: who is wired to what, and what happens when.
//!
//! ```toml
//! title = "One switch, two hosts"
//! until = "10s"
//!
//! [config.desk.switch]            # a switch file under a name
//! model = "rtl8305sc"
//!
//! [[switch]]
//! name = "desk"
//! config = "desk"                 # or the path of a switch file
//!
//! [[host]]
//! name = "alice"
//! port = "desk.0"
//!
//! [[host]]
//! name = "bob"
//! port = "desk.1"
//!
//! [[event]]
//! at = "1s"
//! ping = { from = "alice", to = "bob", count = 3 }
//! ```

mod comparison;
mod library;
mod schema;
mod wiring;

use core::time::Duration;
use std::collections::BTreeMap;
use std::path::Path;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::config::SwitchFile;
use crate::detector::Mode;
use crate::document::{Document, as_value};
use crate::error::BadInput;
use crate::mac;
use crate::sim::{BROADCAST, Outcome, Sim, Step};

use schema::{Event, File, Flap, Flood, Move, Repeat, Show};
use wiring::Wiring;

pub use comparison::{Comparison, compare};
pub use library::{DEFAULT, NAMES};

/// A scenario file and the switch files that it names.
#[derive(Debug)]
pub struct Scenario {
    document: Document,
    file: File,
    configs: BTreeMap<String, SwitchFile>,
}

impl Scenario {
    /// The scenario that runs when none is named: [`DEFAULT`].
    ///
    /// # Errors
    /// None; a test runs it.
    pub fn bundled() -> Result<Self, BadInput> {
        Self::find(Path::new(DEFAULT))
    }

    /// Reads a scenario file, or takes the one that is bundled under this name.
    ///
    /// # Errors
    /// [`BadInput`] naming file, line and key.
    pub fn find(name: &Path) -> Result<Self, BadInput> {
        match library::text(name) {
            Some(text) if !name.exists() => Self::of(Document::new(&name.with_extension("toml"), text)),
            None if !name.exists() => {
                Err(BadInput::new(name.display(), "neither a scenario that is bundled nor a file")
                    .help("`lab list` names those that are bundled; a file is given by its path"))
            }
            _ => Self::read(name),
        }
    }

    /// Reads a scenario file.
    ///
    /// # Errors
    /// [`BadInput`] naming file, line and key.
    pub fn read(path: &Path) -> Result<Self, BadInput> {
        Self::of(Document::read(path)?)
    }

    fn of(document: Document) -> Result<Self, BadInput> {
        let mut tree = document.tree()?;
        let configs = take_configs(&document, tree.get_mut())?;
        let file = document.value("", as_value(tree))?;
        Ok(Self { document, file, configs })
    }

    /// What it is about.
    pub fn title(&self) -> &str {
        &self.file.title
    }

    /// What it looks like, as text of several lines; may be empty.
    pub fn picture(&self) -> &str {
        &self.file.picture
    }

    /// The seed that the file names.
    pub fn seed(&self) -> u64 {
        self.file.seed
    }

    /// Whether any switch has a loop detector.
    pub fn has_detectors(&self) -> bool {
        self.file.switch.iter().any(|switch| switch.detector.is_some())
    }

    /// Runs it; equal seeds give equal runs.
    ///
    /// # Errors
    /// [`BadInput`] naming file and line: a name that nothing has, a jack with two plugs.
    pub fn run(&self, seed: u64) -> Result<Outcome, BadInput> {
        self.run_with(None, seed)
    }

    /// Runs it with other loop detectors where it has some.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub fn run_with(&self, detectors: Option<Mode>, seed: u64) -> Result<Outcome, BadInput> {
        let mut random = fastrand::Rng::with_seed(seed);
        let wiring = Wiring::new(&self.document, &self.file, &self.configs, detectors, &mut random)?;
        let mut steps = Vec::new();
        for event in &self.file.event {
            steps.extend(self.steps(&wiring, event, &mut random)?);
        }
        let mut sim =
            Sim::new(wiring.switches, wiring.hosts, wiring.cables, random.u64(..), self.file.frames);
        for (at, step) in steps {
            sim.schedule(at, step);
        }
        Ok(sim.run(self.file.until))
    }

    /// What an event amounts to; a note comes before what it announces.
    fn steps(
        &self,
        wiring: &Wiring,
        event: &Spanned<Event>,
        random: &mut fastrand::Rng,
    ) -> Result<Vec<(Duration, Step)>, BadInput> {
        let (document, span, event) = (&self.document, event.span(), event.get_ref());
        let mut once = Vec::new();
        if let Some(text) = &event.note {
            once.push(Step::Note(text.clone()));
        }
        if let Some(host) = &event.announce {
            once.push(Step::Announce { host: wiring.host(document, host)? });
        }
        if let Some(Move { host, to }) = &event.relocate {
            let (switch, port) = wiring.jack(document, to)?;
            once.push(Step::Move { host: wiring.host(document, host)?, switch, port });
        }
        if let Some(cable) = &event.plug {
            once.push(Step::Plug { cable: wiring.cable(document, cable)? });
        }
        if let Some(cable) = &event.unplug {
            once.push(Step::Unplug { cable: wiring.cable(document, cable)? });
        }
        if let Some(Show::Stations) = event.show {
            once.push(Step::ShowStations);
        }
        if let Some(flood) = &event.flood {
            once.push(self.flood(wiring, event.at, flood)?);
        }
        let mut steps: Vec<_> = once.into_iter().map(|step| (event.at, step)).collect();
        if let Some(Flap { cable, every, count }) = &event.flap {
            let cable = wiring.cable(document, cable)?;
            let turns = (0..2 * *count).map(|turn| {
                let step = if turn % 2 == 0 { Step::Plug { cable } } else { Step::Unplug { cable } };
                (event.at + *every * turn, step)
            });
            steps.extend(turns);
        }
        for (step, Repeat { count, every, jitter }) in self.repeated(wiring, event)? {
            let late = |_| jitter.mul_f64(random.f64());
            let times = (0..count).map(|n| event.at + every * n).zip((0..count).map(late));
            steps.extend(times.map(|(at, late)| (at + late, step.clone())));
        }
        if steps.is_empty() {
            return Err(document
                .fault(span, "nothing happens in this event")
                .help("give it one of: note, ping, send, flood, announce, move, plug, unplug, flap, show"));
        }
        Ok(steps)
    }

    /// The same broadcast over and over, from `at` on.
    fn flood(&self, wiring: &Wiring, at: Duration, flood: &Flood) -> Result<Step, BadInput> {
        let from = wiring.host(&self.document, &flood.from)?;
        let rate = *flood.rate.get_ref();
        if rate == 0 {
            return Err(self.document.fault(flood.rate.span(), "a flood of no frames"));
        }
        let gap = Duration::from_secs(1) / rate;
        Ok(Step::Flood { from, to: BROADCAST, len: SHORTEST, gap, until: at + flood.time })
    }

    /// The frames of an event, which may be many.
    fn repeated(&self, wiring: &Wiring, event: &Event) -> Result<Vec<(Step, Repeat)>, BadInput> {
        let document = &self.document;
        let mut repeated = Vec::new();
        if let Some(ping) = &event.ping {
            let (from, to) = (wiring.host(document, &ping.from)?, wiring.host(document, &ping.to)?);
            repeated.push((Step::Ping { from, to }, ping.repeat()));
        }
        if let Some(send) = &event.send {
            let from = wiring.host(document, &send.from)?;
            let to = match (send.to.get_ref().as_str(), mac::parse(send.to.get_ref())) {
                ("all", _) => BROADCAST,
                (_, Some(mac)) => mac,
                (_, None) => wiring.mac(document, &send.to)?,
            };
            let len = usize::from(*send.bytes.get_ref());
            if !(60..=9000).contains(&len) {
                let what = format!("{len} bytes are no Ethernet frame");
                return Err(document.fault(send.bytes.span(), what).help("use 60..=9000, without FCS"));
            }
            repeated.push((Step::Send { from, to, len }, send.repeat()));
        }
        Ok(repeated)
    }
}

/// A frame of the least length, without FCS.
const SHORTEST: usize = 60;

/// Takes the `[config.NAME]` tables out of a scenario: each is a switch file.
fn take_configs(
    document: &Document,
    tree: &mut DeTable<'_>,
) -> Result<BTreeMap<String, SwitchFile>, BadInput> {
    let mut configs = BTreeMap::new();
    let Some(tables) = tree.remove("config") else { return Ok(configs) };
    let span = tables.span();
    let DeValue::Table(tables) = tables.into_inner() else {
        return Err(document.fault(span, "config: expected tables, such as [config.desk.switch]"));
    };
    for (name, table) in tables {
        let name = name.into_inner().into_owned();
        let config = SwitchFile::of(document, &format!("config.{name}"), table)?;
        configs.insert(name, config);
    }
    Ok(configs)
}
