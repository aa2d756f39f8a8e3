//! Runs frames through rules as the data plane would: a Linux bridge with hooks, or OpenFlow tables.

use std::collections::BTreeMap;
use std::rc::Rc;

use mac_nat::Side;

use super::field::{ARP, Field, ICMPV6, Layer, Layers, Notation, interface};
use super::model::{
    Among, Checksum, Element, End, Hook, Learn, Outlet, Point, Program, Rule, Step, Test, Update, Value,
};
use super::world::World;

/// Jumps inside jumps, as Open vSwitch counts them.
const DEPTH: usize = 64;
/// Steps for one frame, so that rules that multiply end.
const STEPS: usize = 200_000;
/// Copies of one frame.
const COPIES: usize = 256;

/// A rule that decides and was not understood.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Doubt {
    pub(crate) line: usize,
    pub(crate) what: String,
}

/// What left, and where.
pub(crate) type Sent = Vec<(Side, Vec<u8>)>;

/// A data plane with what it has learned.
#[derive(Clone, Debug)]
pub(crate) struct Machine<'a> {
    program: Program,
    world: &'a World,
    stations: BTreeMap<u128, Side>,
}

/// A frame on its way.
#[derive(Clone, Debug)]
struct Packet {
    frame: Vec<u8>,
    from: Side,
    to: Option<Side>,
    /// The hook that it is at.
    at: Option<Point>,
    /// What OpenFlow has put out so far.
    sent: Sent,
    steps: usize,
}

/// How a chain or a rule ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Flow {
    /// The next rule.
    Next,
    /// This rule did not match to its end.
    Mismatch,
    Return,
    Accept,
    Drop,
}

impl<'a> Machine<'a> {
    pub(crate) fn new(program: &Program, world: &'a World) -> Self {
        Self { program: program.clone(), world, stations: world.stations.clone() }
    }

    /// What happens with a frame that comes from there.
    pub(crate) fn inject(&mut self, from: Side, frame: &[u8]) -> Result<Sent, Doubt> {
        let mut packet =
            Packet { frame: frame.to_vec(), from, to: None, at: None, sent: Vec::new(), steps: 0 };
        if self.program.openflow {
            self.chain("0", &mut packet, 0)?;
            return Ok(packet.sent);
        }
        if let Some(source) = Field::EthSrc.read(frame) {
            self.stations.entry(source).or_insert(from);
        }
        if !self.hook(Point::Ingress, from, &mut packet)?
            || !self.hook(Point::Prerouting, from, &mut packet)?
        {
            return Ok(Sent::new());
        }
        let mut sent = Sent::new();
        for to in self.bridge(&packet.frame, from) {
            let mut copy = Packet { to: Some(to), ..packet.clone() };
            let leaves = match to {
                Side::Host => self.hook(Point::Input, from, &mut copy)?,
                _ => {
                    self.hook(Point::Forward, from, &mut copy)?
                        && self.hook(Point::Postrouting, to, &mut copy)?
                        && self.hook(Point::Egress, to, &mut copy)?
                }
            };
            if leaves {
                sent.push((to, copy.frame));
            }
        }
        Ok(sent)
    }

    /// Where a learning bridge sends a frame.
    fn bridge(&self, frame: &[u8], from: Side) -> Vec<Side> {
        let dst = Field::EthDst.read(frame).unwrap_or_default();
        let group = dst >> 40 & 1 == 1;
        // A bridge keeps these to itself (IEEE 802.1Q-2018, table 8-1).
        if dst & !0xF == 0x0180_C200_0000 {
            return vec![Side::Host];
        }
        match self.stations.get(&dst) {
            Some(to) if !group => {
                if *to == from {
                    vec![]
                } else {
                    vec![*to]
                }
            }
            _ => self.world.sides().filter(|side| *side != from && (group || *side != Side::Host)).collect(),
        }
    }

    /// Whether the frame passes all chains at this point.
    fn hook(&mut self, at: Point, device: Side, packet: &mut Packet) -> Result<bool, Doubt> {
        packet.at = Some(at);
        let name = self.world.name(device);
        let mut hooks: Vec<Hook> = self.program.hooks.iter().filter(|hook| hook.at == at).cloned().collect();
        hooks.retain(|hook| hook.device.as_deref().is_none_or(|device| device == name));
        hooks.sort_by_key(|hook| hook.priority);
        for hook in hooks {
            let flow = self.chain(&hook.chain, packet, 0)?;
            let ends = self.program.chains.get(&hook.chain).map(|chain| chain.ends);
            if flow == Flow::Drop || flow == Flow::Return && ends == Some(End::Drop) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// `Next` never comes out of here: a chain that ends returns.
    fn chain(&mut self, name: &str, packet: &mut Packet, depth: usize) -> Result<Flow, Doubt> {
        let doubt = |what: &str| Doubt { line: 0, what: what.into() };
        if depth > DEPTH {
            return Err(doubt("jumps without end"));
        }
        let openflow = self.program.openflow;
        // A missing table drops; a missing chain is the reader's doubt already.
        let Some(chain) = self.program.chains.get(name) else { return Ok(Flow::Return) };
        let (rules, ends) = (Rc::clone(&chain.rules), chain.ends);
        for rule in rules.iter() {
            packet.steps += rule.steps.len() + 1;
            if packet.steps > STEPS || packet.sent.len() > COPIES {
                return Err(doubt("too much happens with one frame"));
            }
            match self.rule(rule, packet, depth)? {
                Flow::Next if openflow => return Ok(Flow::Return),
                Flow::Next | Flow::Mismatch => {}
                flow => return Ok(flow),
            }
        }
        Ok(match ends {
            End::Accept if depth > 0 => Flow::Accept,
            End::Drop if depth > 0 => Flow::Drop,
            _ => Flow::Return,
        })
    }

    fn rule(&mut self, rule: &Rule, packet: &mut Packet, depth: usize) -> Result<Flow, Doubt> {
        for (at, step) in rule.steps.iter().enumerate() {
            match step {
                Step::Unknown(what) => {
                    let rest = rule.steps.get(at..).unwrap_or_default();
                    let tests = rest
                        .iter()
                        .filter_map(|step| if let Step::Test(test) = step { Some(test) } else { None });
                    // If a test further on fails anyway, it does not matter.
                    if tests.into_iter().any(|test| !self.passes(test, packet)) {
                        return Ok(Flow::Mismatch);
                    }
                    return Err(Doubt { line: rule.line, what: what.clone() });
                }
                Step::Test(test) if !self.passes(test, packet) => return Ok(Flow::Mismatch),
                Step::Test(_) => {}
                Step::Call(chain) => match self.chain(chain, packet, depth + 1)? {
                    Flow::Return => {}
                    flow => return Ok(flow),
                },
                Step::Go(chain) => return self.chain(chain, packet, depth + 1),
                Step::Return => return Ok(Flow::Return),
                Step::Accept => return Ok(Flow::Accept),
                Step::Drop => return Ok(Flow::Drop),
                step => {
                    if !self.change(step, packet) {
                        return Ok(Flow::Mismatch);
                    }
                }
            }
        }
        Ok(Flow::Next)
    }

    /// Does what is no verdict; `false` if the frame has no such field or the map no such entry.
    fn change(&mut self, step: &Step, packet: &mut Packet) -> bool {
        match step {
            Step::Set { field, value, checksum } => {
                let Some(value) = self.value(value, packet) else { return false };
                set(&mut packet.frame, *field, value, *checksum)
            }
            Step::SetArpSender(mac) => {
                if Layers::of(&packet.frame).is_some_and(|layers| layers.kind == ARP) {
                    Field::ArpSha.write(&mut packet.frame, *mac);
                }
                true
            }
            Step::Update { set, key, data, kind } => {
                let Some(key) = self.read_all(key, packet) else { return false };
                let data = data.and_then(|field| self.read(field, packet));
                self.update(set, &key, data, *kind);
                true
            }
            Step::Learn(learn) => {
                self.learn(learn, packet);
                true
            }
            Step::Output(outlet) => {
                self.output(outlet, packet);
                true
            }
            _ => true,
        }
    }

    fn passes(&self, test: &Test, packet: &Packet) -> bool {
        let Some(mut values) = self.read_all(&test.fields, packet) else { return false };
        if let (Some(mask), [value]) = (test.mask, values.as_mut_slice()) {
            *value &= mask;
        }
        self.elements(&test.among).iter().any(|element| element.holds(&values)) != test.negated
    }

    fn elements<'b>(&'b self, among: &'b Among) -> &'b [Element] {
        match among {
            Among::These(elements) => elements,
            Among::Set(name) => self.program.sets.get(name).map_or(&[], |set| set.as_slice()),
        }
    }

    fn value(&self, value: &Value, packet: &Packet) -> Option<u128> {
        match value {
            Value::Is(value) => Some(*value),
            Value::Of(field) => self.read(*field, packet),
            Value::Map { key, among } => {
                let values = self.read_all(key, packet)?;
                self.elements(among).iter().find(|element| element.holds(&values))?.data
            }
        }
    }

    fn read_all(&self, fields: &[Field], packet: &Packet) -> Option<Vec<u128>> {
        fields.iter().map(|field| self.read(*field, packet)).collect()
    }

    fn read(&self, field: Field, packet: &Packet) -> Option<u128> {
        match field {
            // Behind routing and bridging the kernel has forgotten where a frame came from.
            Field::In if packet.at.is_some_and(|at| matches!(at, Point::Postrouting | Point::Egress)) => None,
            Field::In => Some(interface(self.world.name(packet.from))),
            Field::Out => Some(interface(self.world.name(packet.to?))),
            field => field.read(&packet.frame),
        }
    }

    fn update(&mut self, set: &str, key: &[u128], data: Option<u128>, kind: Update) {
        let elements = Rc::make_mut(self.program.sets.entry(set.to_owned()).or_default());
        let known = elements.iter().position(|element| element.holds(key));
        match (kind, known) {
            (Update::Delete, Some(at)) => drop(elements.remove(at)),
            (Update::Add | Update::Refresh, None) => {
                elements.push(Element { key: key.iter().map(|value| (*value, *value)).collect(), data });
            }
            _ => {}
        }
    }

    fn learn(&mut self, learn: &Learn, packet: &Packet) {
        let mut steps = Vec::new();
        for (field, value, bits) in &learn.tests {
            let Some(mut value) = self.value(value, packet) else { return };
            value &= bits.unwrap_or(u128::MAX);
            let Step::Test(test) = Test::is(*field, value) else { return };
            steps.push(Step::Test(Test { mask: *bits, ..test }));
        }
        let tests = steps.len();
        for (field, value) in &learn.loads {
            let Some(value) = self.value(value, packet) else { return };
            steps.push(Step::Set { field: *field, value: Value::Is(value), checksum: Checksum::Follows });
        }
        if learn.output {
            steps.push(Step::Output(Outlet::Interface(self.world.name(packet.from).into())));
        }
        let rule = Rule { line: 0, priority: learn.priority, steps };
        let chain = self.program.chains.entry(learn.table.clone()).or_default();
        // The same match replaces what was learned before.
        let same = |old: &Rule| {
            old.priority == rule.priority
                && format!("{:?}", old.steps.get(..tests)) == format!("{:?}", rule.steps.get(..tests))
        };
        let rules = Rc::make_mut(&mut chain.rules);
        rules.retain(|old| old.line != 0 || !same(old));
        let at = rules.partition_point(|old| old.priority > rule.priority);
        rules.insert(at, rule);
    }

    fn output(&mut self, outlet: &Outlet, packet: &mut Packet) {
        let to = match outlet {
            // Never back, unless said so.
            Outlet::Interface(name) => {
                self.world.side(name).filter(|side| *side != packet.from).into_iter().collect()
            }
            Outlet::Back => vec![packet.from],
            Outlet::Normal => self.bridge(&packet.frame, packet.from),
            Outlet::Flood => self.world.sides().filter(|side| *side != packet.from).collect(),
        };
        packet.sent.extend(to.into_iter().map(|side| (side, packet.frame.clone())));
    }
}

fn set(frame: &mut [u8], field: Field, value: u128, checksum: Checksum) -> bool {
    let before = frame.to_vec();
    if !field.write(frame, value) {
        return false;
    }
    if checksum == Checksum::Follows {
        follow(&before, frame, field);
    }
    true
}

/// Corrects the checksum of ICMPv6, the only one that our fields can break.
fn follow(before: &[u8], frame: &mut [u8], field: Field) {
    let Some(layers) = Layers::of(before).filter(|layers| layers.upper == Some(ICMPV6)) else { return };
    let inside = matches!(field, Field::NdTarget | Field::NdSource | Field::NdTargetLink | Field::Raw(..))
        || field.notation() == Notation::Ip6;
    if !inside {
        return;
    }
    let sum = Field::Raw(Layer::Transport, 16, 16);
    let Some(old) = sum.read(before).and_then(|sum| u16::try_from(sum).ok()) else { return };
    let from = layers.network + 8;
    if let (Some(was), Some(is)) = (before.get(from..), frame.get(from..)) {
        let new = mac_nat::checksum::adjust(old, 0, was, is);
        sum.write(frame, new.into());
    }
}
