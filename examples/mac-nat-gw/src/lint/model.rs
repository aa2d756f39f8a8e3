//! Rules of all data planes in one form.
//!
//! A chain of nftables or ebtables runs its rules in turn; a table of OpenFlow runs the first that
//! matches. Everything else is the same: tests and changes in order, jumps, verdicts. What a reader
//! does not understand becomes a [`Step::Unknown`], and whoever depends on it is told so.

use std::collections::BTreeMap;
use std::rc::Rc;

use super::field::Field;

/// A rule set.
#[derive(Clone, Debug, Default)]
pub(crate) struct Program {
    /// By name; tables of OpenFlow by number.
    pub(crate) chains: BTreeMap<String, Chain>,
    /// Where chains hang in a bridge; empty for OpenFlow, which begins at table 0.
    pub(crate) hooks: Vec<Hook>,
    /// Sets and maps by name.
    pub(crate) sets: BTreeMap<String, Rc<Vec<Element>>>,
    /// What was not understood.
    pub(crate) unknown: Vec<Unknown>,
    /// Rules that the tool would refuse.
    pub(crate) refused: Vec<Unknown>,
    pub(crate) openflow: bool,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Chain {
    pub(crate) rules: Rc<Vec<Rule>>,
    /// At the end of a chain that hangs at a hook, or an ebtables chain: drop instead of going on.
    pub(crate) ends: End,
}

/// What happens at the end of a chain.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) enum End {
    #[default]
    Return,
    Accept,
    Drop,
}

/// A chain's place in a bridge.
#[derive(Clone, Debug)]
pub(crate) struct Hook {
    pub(crate) at: Point,
    /// Only for this device (the netdev family).
    pub(crate) device: Option<String>,
    pub(crate) priority: i64,
    pub(crate) chain: String,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Point {
    Ingress,
    Prerouting,
    Input,
    Forward,
    Postrouting,
    Egress,
}

#[derive(Clone, Debug)]
pub(crate) struct Rule {
    pub(crate) line: usize,
    /// Of OpenFlow; the highest runs.
    pub(crate) priority: u32,
    pub(crate) steps: Vec<Step>,
}

#[derive(Clone, Debug)]
pub(crate) enum Step {
    Test(Test),
    Set {
        field: Field,
        value: Value,
        checksum: Checksum,
    },
    /// The sender in an ARP message, if it is one (`--snat-arp`).
    SetArpSender(u128),
    /// Into a set or map.
    Update {
        set: String,
        key: Vec<Field>,
        data: Option<Field>,
        kind: Update,
    },
    Learn(Box<Learn>),
    Call(String),
    /// Without coming back.
    Go(String),
    Return,
    Accept,
    Drop,
    /// A copy leaves here.
    Output(Outlet),
    Unknown(String),
}

/// A comparison; a frame that lacks one of the fields does not pass.
#[derive(Clone, Debug)]
pub(crate) struct Test {
    pub(crate) fields: Vec<Field>,
    pub(crate) mask: Option<u128>,
    pub(crate) negated: bool,
    pub(crate) among: Among,
}

#[derive(Clone, Debug)]
pub(crate) enum Among {
    These(Vec<Element>),
    Set(String),
}

/// A member of a set, a range for each field; in a map, with what it stands for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Element {
    pub(crate) key: Vec<(u128, u128)>,
    pub(crate) data: Option<u128>,
}

#[derive(Clone, Debug)]
pub(crate) enum Value {
    Is(u128),
    Of(Field),
    /// What the map has for the fields; without an entry the rule ends.
    Map {
        key: Vec<Field>,
        among: Among,
    },
}

/// What a change does to the checksum above it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Checksum {
    /// Nothing.
    Stays,
    /// It follows.
    Follows,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Update {
    Add,
    /// Keeps the data of an entry that is there.
    Refresh,
    Delete,
}

/// A rule that a frame writes.
#[derive(Clone, Debug)]
pub(crate) struct Learn {
    pub(crate) table: String,
    pub(crate) priority: u32,
    pub(crate) tests: Vec<(Field, Value, Option<u128>)>,
    pub(crate) loads: Vec<(Field, Value)>,
    pub(crate) output: bool,
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Outlet {
    Interface(String),
    /// Where the frame came from.
    Back,
    /// As a learning bridge would.
    Normal,
    /// Everywhere but back.
    Flood,
}

/// Something in the input, and where.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd, serde::Serialize)]
pub struct Unknown {
    /// The line of the input, from 1; of nft's JSON, the place among the rules.
    pub line: usize,
    /// The rule.
    pub rule: String,
    /// What about it.
    pub what: String,
}

impl Test {
    pub(crate) fn is(field: Field, value: u128) -> Step {
        Self::within(field, (value, value))
    }

    pub(crate) fn within(field: Field, range: (u128, u128)) -> Step {
        let among = Among::These(vec![Element { key: vec![range], data: None }]);
        Step::Test(Self { fields: vec![field], mask: None, negated: false, among })
    }
}

impl Element {
    pub(crate) fn holds(&self, values: &[u128]) -> bool {
        self.key.len() == values.len()
            && self.key.iter().zip(values).all(|((low, high), value)| (low..=high).contains(&value))
    }
}

impl Program {
    /// Notes what was not understood, and gives the step that says so.
    pub(crate) fn doubt(&mut self, line: usize, rule: &str, what: impl Into<String>) -> Step {
        let what = what.into();
        self.unknown.push(Unknown { line, rule: rule.into(), what: what.clone() });
        Step::Unknown(what)
    }

    pub(crate) fn push(&mut self, chain: &str, rule: Rule) {
        let chain = self.chains.entry(chain.to_owned()).or_default();
        Rc::make_mut(&mut chain.rules).push(rule);
    }

    /// The highest priority first, as a switch looks; of two equal ones the first written.
    pub(crate) fn sort_by_priority(&mut self) {
        for chain in self.chains.values_mut() {
            Rc::make_mut(&mut chain.rules).sort_by_key(|rule| core::cmp::Reverse(rule.priority));
        }
    }
}
