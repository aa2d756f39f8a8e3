//! Compares what a data plane does with a frame to what the engine does.

use std::time::Duration;

use mac_nat::{Config, ConfigError, Guard, MacNat, Side, Verdict, Violation};

use super::field::{ARP, Field, ICMPV6, IPV4, IPV6, Layer, Layers, UDP, word};
use super::machine::{Machine, Sent};
use super::model::Program;
use super::packets::checksum;
use super::probes::Probe;
use super::world::World;
use super::{Finding, Problem};

const ROOM: usize = 16;

/// What the engine and the guard say.
#[derive(Debug)]
pub(crate) struct Judge<'a> {
    config: Config,
    world: &'a World,
    guard: Guard,
    inside: Vec<[u8; 6]>,
}

impl<'a> Judge<'a> {
    pub(crate) fn new(config: &Config, world: &'a World) -> Self {
        let guard = Guard::new(config.wire_macs());
        let inside = config.bindings.iter().map(|binding| binding.inside.into_array()).collect();
        let mut config = config.clone();
        // Every probe has an engine of its own, which needs room for one machine's frames.
        let limits = &mut config.limits;
        limits.bindings = limits.bindings.min(config.bindings.len() + ROOM);
        for limit in
            [&mut limits.pending, &mut limits.asks, &mut limits.held_frames, &mut limits.transmit_queue]
        {
            *limit = (*limit).min(ROOM);
        }
        Self { config, world, guard, inside }
    }

    /// What is wrong with the way in which the rules treat the last frame of a probe.
    pub(crate) fn judge(&self, program: &Program, probe: &Probe) -> Result<Option<Finding>, ConfigError> {
        let Some(((from, frame), before)) = probe.steps.split_last() else { return Ok(None) };
        let mut machine = Machine::new(program, self.world);
        let mut nat = MacNat::new(self.config.clone())?;
        let mut doubt = None;
        for (from, frame) in before {
            let _ = nat.translate(Duration::ZERO, *from, &mut frame.clone());
            doubt = doubt.or(machine.inject(*from, frame).err());
        }
        let (wanted, verdict) = self.engine(&mut nat, *from, frame);
        let got = match (doubt, machine.inject(*from, frame)) {
            (Some(doubt), _) | (None, Err(doubt)) => {
                let problem = Problem::Undecided { line: doubt.line, what: doubt.what };
                return Ok(Some(self.finding(probe, problem, None, None)));
            }
            (None, Ok(got)) => got,
        };
        let compared = self.compare(probe, *from, &wanted, &got, verdict);
        Ok(compared.map(|(problem, at)| {
            let frame_at =
                |sent: &Sent| sent.iter().find(|(side, _)| *side == at).map(|(_, frame)| frame.clone());
            self.finding(probe, problem, frame_at(&wanted), frame_at(&got))
        }))
    }

    fn engine(&self, nat: &mut MacNat, from: Side, frame: &[u8]) -> (Sent, Verdict) {
        let mut translated = frame.to_vec();
        let verdict = nat.translate(Duration::ZERO, from, &mut translated);
        let sent = match verdict {
            Verdict::Forward(to) => vec![(to, translated)],
            Verdict::Flood => {
                let sides = self.world.sides().filter(|side| *side != from);
                let copy = |side| match (from, side) {
                    (Side::Inside(_), Side::Host | Side::Inside(_)) => (side, frame.to_vec()),
                    _ => (side, translated.clone()),
                };
                sides.map(copy).collect()
            }
            Verdict::Hold | Verdict::Drop(_) => Sent::new(),
        };
        (sent, verdict)
    }

    fn compare(
        &self,
        probe: &Probe,
        from: Side,
        wanted: &Sent,
        got: &Sent,
        verdict: Verdict,
    ) -> Option<(Problem, Side)> {
        let outside = |sent: &Sent| {
            let frames = sent.iter().filter(|(side, _)| *side == Side::Uplink);
            frames.map(|(_, frame)| frame.clone()).collect::<Vec<_>>()
        };
        let (allowed, left) = (outside(wanted), outside(got));
        for frame in left.iter().filter(|_| from != Side::Uplink) {
            if let Some(problem) = self.leak(frame, allowed.first()) {
                return Some((problem, Side::Uplink));
            }
            if allowed.is_empty() && !probe.leaks_only {
                let why = if let Verdict::Drop(reason) = verdict {
                    reason.to_string()
                } else {
                    "not meant for outside".into()
                };
                return Some((Problem::Passes { why }, Side::Uplink));
            }
        }
        if probe.leaks_only {
            return None;
        }
        for (side, wanted) in wanted {
            let here: Vec<_> = got.iter().filter(|(at, _)| at == side).map(|(_, frame)| frame).collect();
            let problem = match here.first() {
                None => Some(Problem::Lost { at: self.world.name(*side).into() }),
                Some(got) => difference(wanted, got, from),
            };
            if let Some(problem) = problem {
                return Some((problem, *side));
            }
        }
        None
    }

    /// A MAC on the provider's wire that must not be there.
    fn leak(&self, frame: &[u8], wanted: Option<&Vec<u8>>) -> Option<Problem> {
        let leak = |part: &str, mac: mac_nat::MacAddr6| {
            Some(Problem::Leak { part: part.into(), mac: lower_case(mac.into_array()) })
        };
        match self.guard.check(frame) {
            Err(Violation::Source(mac)) => return leak("Ethernet source", mac),
            Err(Violation::ArpSender(mac)) => return leak("ARP sender", mac),
            Err(Violation::ArpTarget(mac)) => return leak("ARP target", mac),
            Err(Violation::NdOption(mac)) => return leak("neighbour discovery option", mac),
            _ => {}
        }
        // What the guard does not know: an inside MAC anywhere, unless the engine leaves it there, too.
        let macs = frame.windows(6).enumerate().skip(6);
        let mut found = macs.filter(|(at, mac)| {
            let kept = wanted.and_then(|wanted| wanted.get(*at..*at + 6)) == Some(*mac);
            !kept && self.inside.iter().any(|inside| inside == mac)
        });
        let (at, mac) = found.next()?;
        leak(&part_at(frame, at), <[u8; 6]>::try_from(mac).ok()?.into())
    }

    fn finding(
        &self,
        probe: &Probe,
        problem: Problem,
        wanted: Option<Vec<u8>>,
        got: Option<Vec<u8>>,
    ) -> Finding {
        let hop = |(side, frame): &(Side, Vec<u8>)| super::Hop::new(self.world.name(*side), frame);
        Finding {
            ability: format!("{:?}", probe.ability),
            probe: probe.name.into(),
            subject: probe.subject.clone(),
            problem,
            frames: probe.steps.iter().map(hop).collect(),
            wanted: wanted.map(|frame| super::Frame::new(&frame)),
            got: got.map(|frame| super::Frame::new(&frame)),
            also: 0,
        }
    }
}

/// What matters in a difference: everything outside; inside, what a machine looks at.
fn difference(wanted: &[u8], got: &[u8], from: Side) -> Option<Problem> {
    let mut wanted = wanted.to_vec();
    // Nobody reads the target of a message that was addressed to him.
    if from == Side::Uplink && Layers::of(got).is_some_and(|layers| layers.kind == ARP) {
        let target = Field::ArpTha.read(got).unwrap_or_default();
        Field::ArpTha.write(&mut wanted, target);
    }
    if wanted == got {
        return None;
    }
    let mut without = wanted.clone();
    if Field::UdpChecksum.read(got) == Some(0) && Field::UdpChecksum.write(&mut without, 0) && without == got
    {
        return Some(Problem::NoChecksum);
    }
    let at =
        wanted.iter().zip(got).position(|(wanted, got)| wanted != got).unwrap_or(wanted.len().min(got.len()));
    match checksum_holds(got) {
        Some(false) => Some(Problem::Checksum),
        _ => Some(Problem::Altered { part: part_at(got, at) }),
    }
}

/// Whether the UDP or ICMPv6 checksum is right; `None` if there is none to check.
fn checksum_holds(frame: &[u8]) -> Option<bool> {
    let layers = Layers::of(frame)?;
    let (packet, upper) = (frame.get(layers.network..)?, layers.upper?);
    let at = layers.transport? - layers.network;
    let pseudo = match (layers.kind, upper) {
        (IPV4, UDP) if Field::UdpChecksum.read(frame)? != 0 => {
            let data = packet.get(at..usize::from(word(packet, 2)?))?;
            let len = (data.len() as u16).to_be_bytes();
            [packet.get(12..20)?, &[0, UDP], &len, data].concat()
        }
        (IPV6, UDP | ICMPV6) => {
            let data = packet.get(at..40 + usize::from(word(packet, 4)?))?;
            let len = (data.len() as u32).to_be_bytes();
            [packet.get(8..40)?, &len, &[0, 0, 0, upper], data].concat()
        }
        _ => return None,
    };
    Some(checksum(&pseudo) == 0)
}

/// What stands at this offset.
fn part_at(frame: &[u8], at: usize) -> String {
    /// Of a DHCP message, behind the UDP header.
    const CHADDR: u32 = (8 + 28) * 8;
    const FLAGS: u32 = (8 + 10) * 8;
    let parts = [
        ("Ethernet destination", Field::EthDst),
        ("Ethernet source", Field::EthSrc),
        ("ARP sender", Field::ArpSha),
        ("ARP target", Field::ArpTha),
        ("UDP checksum", Field::UdpChecksum),
        ("source link-layer address", Field::NdSource),
        ("target link-layer address", Field::NdTargetLink),
    ];
    let here = |field: &Field| field.covers(frame, at);
    if let Some((name, _)) = parts.iter().find(|(_, field)| here(field)) {
        return (*name).into();
    }
    if matches!(Field::SrcPort.read(frame), Some(67 | 68)) {
        if here(&Field::Raw(Layer::Transport, CHADDR, 48)) {
            return "DHCP client hardware address".into();
        }
        if here(&Field::Raw(Layer::Transport, FLAGS, 16)) {
            return "DHCP flags".into();
        }
    }
    format!("byte {at}")
}

pub(crate) fn lower_case(mac: [u8; 6]) -> String {
    mac.map(|byte| format!("{byte:02x}")).join(":")
}
