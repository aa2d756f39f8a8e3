//! Flows, executed: the fields and actions that the agent writes, and no others.

use std::collections::BTreeSet;

use vlan_table::{EtherType, FrameMut, Header, Tag, TagVid};

use crate::flow::Flow;

/// A bridge's flows, ready to be executed.
#[derive(Debug, Default)]
pub(super) struct Pipeline(Vec<Compiled>);

/// Where a frame goes, and as what.
#[derive(Debug, Eq, PartialEq)]
pub(super) enum Step {
    /// Out of this port.
    Output(u16, Vec<u8>),
    /// Wherever a learning switch would send it.
    Normal(Vec<u8>),
}

#[derive(Debug)]
struct Compiled {
    table: u8,
    priority: u16,
    matches: Vec<Match>,
    actions: Vec<Action>,
}

#[derive(Debug)]
enum Match {
    InPort(u16),
    /// The VID of a tag that must be there.
    Vlan(u16),
    /// Tag control information with the DEI bit read as "there is a tag"; value and mask.
    Tci(u16, u16),
    /// Destination address; value and mask.
    Destination(u64, u64),
}

#[derive(Clone, Copy, Debug)]
enum Action {
    Normal,
    Output(u16),
    GotoTable(u8),
    PushVlan(EtherType),
    PopVlan,
    SetVlan(u16),
}

/// Room for a pushed tag in front of a frame.
const HEADROOM: usize = 2 * Tag::LEN;

impl Pipeline {
    /// Compiles a set of flows.
    ///
    /// # Errors
    /// Names the flow and what is not understood.
    pub(super) fn compile(flows: &BTreeSet<Flow>) -> Result<Self, String> {
        let mut compiled = flows.iter().map(Compiled::new).collect::<Result<Vec<_>, _>>()?;
        // The highest priority first; the standard leaves equal ones open, so any order will do.
        compiled.sort_by_key(|flow| (flow.table, std::cmp::Reverse(flow.priority)));
        Ok(Self(compiled))
    }

    /// What becomes of a frame that comes in; nothing if it matches no flow.
    pub(super) fn run(&self, in_port: u16, frame: &[u8]) -> Vec<Step> {
        let mut buffer = vec![0; HEADROOM];
        buffer.extend_from_slice(frame);
        let Ok(mut frame) = FrameMut::new(&mut buffer, HEADROOM) else { return Vec::new() };
        let (mut steps, mut table) = (Vec::new(), Some(0));
        while let Some(current) = table.take() {
            let mut flows = self.0.iter().filter(|flow| flow.table == current);
            let Some(flow) = flows.find(|flow| flow.takes(in_port, frame.as_bytes())) else { break };
            for action in &flow.actions {
                match *action {
                    Action::Normal => steps.push(Step::Normal(frame.as_bytes().to_vec())),
                    Action::Output(port) => steps.push(Step::Output(port, frame.as_bytes().to_vec())),
                    // Tables only count upwards, so this ends (OpenFlow 1.3.5, 5.1).
                    Action::GotoTable(next) => table = Some(next).filter(|next| *next > current),
                    Action::PopVlan => _ = frame.pop_tag(),
                    Action::PushVlan(tpid) => {
                        let tag = Tag { tpid, ..Tag::from_tci(tpid, 0) };
                        // Two tags fit; a flow of ours pushes one.
                        _ = frame.push_tag(tag);
                    }
                    Action::SetVlan(vid) => {
                        if let Some(tag) = frame.outer_tag() {
                            _ = frame.rewrite_tag(Tag { vid: TagVid::from_raw(vid), ..tag });
                        }
                    }
                }
            }
        }
        steps
    }
}

impl Compiled {
    fn new(flow: &Flow) -> Result<Self, String> {
        let unknown = |what: &str| format!("the simulated switch does not know '{what}' in '{flow}'");
        let matches = items(&flow.matches).map(|item| Match::new(item).ok_or_else(|| unknown(item)));
        let actions = items(&flow.actions).map(|item| Action::new(item).ok_or_else(|| unknown(item)));
        Ok(Self {
            table: flow.table,
            priority: flow.priority,
            matches: matches.collect::<Result<_, _>>()?,
            actions: actions.collect::<Result<_, _>>()?,
        })
    }

    fn takes(&self, in_port: u16, frame: &[u8]) -> bool {
        let Ok(header) = Header::read(frame) else { return false };
        let present = header.tag().map_or(0, |tag| 0x1000 | tag.tci());
        self.matches.iter().all(|condition| match *condition {
            Match::InPort(port) => port == in_port,
            Match::Vlan(vid) => header.tag().is_some_and(|tag| tag.vid.raw() == vid),
            Match::Tci(value, mask) => present & mask == value,
            Match::Destination(value, mask) => header.dst_bits() & mask == value,
        })
    }
}

/// The parts of a match or of an action list; `drop` is a list of none.
fn items(list: &str) -> impl Iterator<Item = &str> {
    list.split(',').filter(|item| !matches!(*item, "" | "drop"))
}

impl Match {
    fn new(item: &str) -> Option<Self> {
        let (field, value) = item.split_once('=')?;
        let (value, mask) = value.split_once('/').map_or((value, None), |(value, mask)| (value, Some(mask)));
        match field {
            "in_port" => value.parse().ok().map(Self::InPort),
            "dl_vlan" => value.parse().ok().map(Self::Vlan),
            "vlan_tci" => Some(Self::Tci(hex(value)?, mask.map_or(Some(u16::MAX), hex)?)),
            "dl_dst" => Some(Self::Destination(mac(value)?, mask.map_or(Some(u64::MAX >> 16), mac)?)),
            _ => None,
        }
    }
}

impl Action {
    fn new(item: &str) -> Option<Self> {
        if let Some(vid) = item.strip_prefix("set_field:").and_then(|rest| rest.strip_suffix("->vlan_vid")) {
            return vid.parse().ok().map(|vid: u16| Self::SetVlan(vid & 0x0FFF));
        }
        match item.split_once(':') {
            None if item == "NORMAL" => Some(Self::Normal),
            None if item == "pop_vlan" => Some(Self::PopVlan),
            Some(("goto_table", table)) => table.parse().ok().map(Self::GotoTable),
            Some(("output", port)) => port.parse().ok().map(Self::Output),
            Some(("push_vlan", tpid)) => hex(tpid).map(|tpid| Self::PushVlan(EtherType(tpid))),
            _ => None,
        }
    }
}

fn hex(text: &str) -> Option<u16> {
    u16::from_str_radix(text.strip_prefix("0x")?, 16).ok()
}

fn mac(text: &str) -> Option<u64> {
    let mac: macaddr::MacAddr6 = text.parse().ok()?;
    Some(mac.into_array().into_iter().fold(0, |number, byte| number << 8 | u64::from(byte)))
}
