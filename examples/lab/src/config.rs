//! Switch files: which switch, and how it is set up.

mod chip;
mod dot1q;

use core::time::Duration;
use std::path::Path;

use switch::fdb::Ageing;
use toml::Spanned;
use toml::de::{DeTable, DeValue};
use vlan_table::chip::Model;

use crate::device::Device;
use crate::document::{Document, Seconds, as_value};
use crate::error::BadInput;

/// A switch file, checked; [`build`](Self::build) makes the switch, as often as it is needed.
///
/// The default is an RTL8305SC as it comes out of reset.
#[derive(Clone, Debug)]
pub struct SwitchFile {
    setup: Setup,
}

#[derive(Clone, Debug)]
enum Setup {
    Chip(Box<chip::Setup>),
    Dot1q(dot1q::Setup),
}

/// What a `model` stands for.
enum Kind {
    Chip(Model),
    Dot1q,
}

impl SwitchFile {
    /// Reads a file.
    ///
    /// # Errors
    /// [`BadInput`] naming file, line and key.
    pub fn read(path: &Path) -> Result<Self, BadInput> {
        let document = Document::read(path)?;
        let tree = as_value(document.tree()?);
        Self::of(&document, "", tree)
    }

    /// Reads the part of a document that stands under the key `at`.
    pub(crate) fn of(document: &Document, at: &str, tree: Spanned<DeValue<'_>>) -> Result<Self, BadInput> {
        let setup = match kind(document, at, &tree)? {
            Kind::Chip(model) => {
                Setup::Chip(Box::new(chip::Setup::of(document, model, &document.value(at, tree)?)?))
            }
            Kind::Dot1q => {
                let whole = tree.span();
                Setup::Dot1q(dot1q::Setup::of(document, whole, &document.value(at, tree)?)?)
            }
        };
        Ok(Self { setup })
    }

    /// The switch, with nothing learned and nothing counted.
    pub fn build(&self) -> Device {
        match &self.setup {
            Setup::Chip(setup) => setup.build(),
            Setup::Dot1q(setup) => setup.build(),
        }
    }
}

impl Default for SwitchFile {
    fn default() -> Self {
        Self { setup: Setup::Chip(Box::default()) }
    }
}

/// Looks at `switch.model` only: it decides what the other keys are.
fn kind(document: &Document, at: &str, tree: &Spanned<DeValue<'_>>) -> Result<Kind, BadInput> {
    let help = "begin with [switch] and model = \"rtl8305sc\" or model = \"dot1q\"";
    let prefix = if at.is_empty() { String::new() } else { format!("{at}.") };
    let table = tree.get_ref().as_table();
    let Some(switch) = table.and_then(|table: &DeTable<'_>| table.get("switch")) else {
        return Err(document.fault(tree.span(), format_args!("missing key `{prefix}switch`")).help(help));
    };
    let Some(model) = switch.get_ref().as_table().and_then(|switch| switch.get("model")) else {
        return Err(document
            .fault(switch.span(), format_args!("missing key `{prefix}switch.model`"))
            .help(help));
    };
    let name = model.get_ref().as_str().unwrap_or_default().to_ascii_lowercase();
    if matches!(name.as_str(), "dot1q" | "802.1q" | "8021q" | "ieee802.1q") {
        return Ok(Kind::Dot1q);
    }
    let chip = Model::ALL.into_iter().find(|chip| chip.name.to_ascii_lowercase() == name);
    chip.map(Kind::Chip).ok_or_else(|| {
        let mut known = vec!["dot1q".to_owned()];
        known.extend(Model::ALL.iter().map(|chip| chip.name.to_ascii_lowercase()));
        document
            .fault(model.span(), format_args!("{prefix}switch.model: there is no such model"))
            .help(format_args!("use one of: {}", known.join(", ")))
    })
}

/// A port's name becomes a file name and stands before `=` on the command line.
fn check_name(document: &Document, name: &Spanned<String>) -> Result<(), BadInput> {
    let text = name.get_ref();
    let fine = !text.is_empty() && text.chars().all(|c| c.is_alphanumeric() || "-_:+@ ".contains(c));
    if fine {
        return Ok(());
    }
    Err(document
        .fault(name.span(), format_args!("`{text}` cannot be the name of a port"))
        .help("it names a file: use letters, digits and - _ : + @"))
}

/// The ageing time of a file: 0 is never.
fn ageing(document: &Document, time: Option<&Spanned<Seconds>>, default: Ageing) -> Result<Ageing, BadInput> {
    let Some(time) = time else { return Ok(default) };
    match time.get_ref().0 {
        Duration::ZERO => Ok(Ageing::NEVER),
        fine if AGEING.contains(&fine) => Ok(Ageing::after(fine)),
        _ => Err(document
            .fault(time.span(), "switch.ageing: out of range")
            .help("use 1..=1000000 seconds, or 0 for never")),
    }
}

const AGEING: core::ops::RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(1_000_000);
