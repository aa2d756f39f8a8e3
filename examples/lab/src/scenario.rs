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

mod schema;
mod wiring;

use core::time::Duration;
use std::collections::BTreeMap;
use std::path::Path;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::config::SwitchFile;
use crate::document::{Document, as_value};
use crate::error::BadInput;
use crate::mac;
use crate::sim::{BROADCAST, Outcome, Sim, Step};

use schema::{Event, File, Show};
use wiring::Wiring;

/// The scenario that runs when none is named.
const BUNDLED: &str = include_str!("../scenarios/three-switches.toml");

/// A scenario file and the switch files that it names.
#[derive(Debug)]
pub struct Scenario {
    document: Document,
    file: File,
    configs: BTreeMap<String, SwitchFile>,
}

impl Scenario {
    /// Three RTL8305SC, two VLANs, a station that moves, ageing.
    ///
    /// # Errors
    /// None; a test runs it.
    pub fn bundled() -> Result<Self, BadInput> {
        Self::of(Document::new(Path::new("three-switches.toml"), BUNDLED))
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

    /// Runs it; equal seeds give equal runs.
    ///
    /// # Errors
    /// [`BadInput`] naming file and line: a name that nothing has, a jack with two plugs.
    pub fn run(&self, seed: u64) -> Result<Outcome, BadInput> {
        let wiring = Wiring::new(&self.document, &self.file, &self.configs)?;
        let mut random = fastrand::Rng::with_seed(seed);
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
        let span = event.span();
        let event = event.get_ref();
        let mut steps = Vec::new();
        let mut once = |step| steps.push((event.at, step));
        if let Some(text) = &event.note {
            once(Step::Note(text.clone()));
        }
        if let Some(host) = &event.announce {
            once(Step::Announce { host: wiring.host(&self.document, host)? });
        }
        if let Some(relocate) = &event.relocate {
            let host = wiring.host(&self.document, &relocate.host)?;
            let (switch, port) = wiring.jack(&self.document, &relocate.to)?;
            once(Step::Move { host, switch, port });
        }
        if let Some(cable) = &event.plug {
            once(Step::Plug { cable: wiring.cable(&self.document, cable)? });
        }
        if let Some(cable) = &event.unplug {
            once(Step::Unplug { cable: wiring.cable(&self.document, cable)? });
        }
        if let Some(Show::Stations) = event.show {
            once(Step::ShowStations);
        }
        let mut repeat = |step: Step, count, every: Duration, jitter: Duration| {
            for n in 0..count {
                let late = jitter.mul_f64(random.f64());
                steps.push((event.at + every * n + late, step.clone()));
            }
        };
        if let Some(ping) = &event.ping {
            let from = wiring.host(&self.document, &ping.from)?;
            let to = wiring.host(&self.document, &ping.to)?;
            repeat(Step::Ping { from, to }, ping.count, ping.every, ping.jitter);
        }
        if let Some(send) = &event.send {
            let from = wiring.host(&self.document, &send.from)?;
            let to = match send.to.get_ref().as_str() {
                "all" => BROADCAST,
                text => match mac::parse(text) {
                    Some(mac) => mac,
                    None => wiring.mac(&self.document, &send.to)?,
                },
            };
            let len = usize::from(*send.bytes.get_ref());
            if !(60..=9000).contains(&len) {
                let what = format!("{len} bytes are no Ethernet frame");
                return Err(self.document.fault(send.bytes.span(), what).help("use 60..=9000, without FCS"));
            }
            repeat(Step::Send { from, to, len }, send.count, send.every, send.jitter);
        }
        if steps.is_empty() {
            return Err(self
                .document
                .fault(span, "nothing happens in this event")
                .help("give it one of: note, ping, send, announce, move, plug, unplug, show"));
        }
        Ok(steps)
    }
}

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
