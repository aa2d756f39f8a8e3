//! What a switch decides about a frame.

use vlan_table::{FrameMut, NoRoom, PortId, PortMask, Tag, TagEdit, frame, openvswitch};

use crate::{Classified, Rules};

/// What becomes of a frame; from [`Switch::receive`](crate::Switch::receive).
///
/// It borrows nothing. The copies that leave are computed by
/// [`Switch::copies`](crate::Switch::copies) when they are asked for.
#[derive(Clone, Copy, Debug)]
#[must_use]
pub struct Decision {
    /// Whether it leaves, and if not, why.
    pub outcome: Outcome,
    /// The ports that it leaves by.
    pub ports: PortMask,
    /// What the forwarding database made of its source; `None` if it was not to be learned.
    pub learned: Option<fdb::Learned>,
    /// Its VLAN and tags; `None` if it came before, or did not pass, the ingress rules.
    pub classified: Option<Classified>,
}

impl Decision {
    pub(crate) const fn ended(outcome: Outcome) -> Self {
        Self { outcome, ports: PortMask::EMPTY, learned: None, classified: None }
    }

    pub(crate) const fn dropped(reason: Dropped) -> Self {
        Self::ended(Outcome::Dropped(reason))
    }
}

/// Every frame that is received ends in one of the three.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Outcome {
    /// It leaves by at least one port.
    Forwarded,
    /// It has come to its end, as it should.
    Filtered(Filtered),
    /// It is discarded.
    Dropped(Dropped),
}

/// Why a frame that is all right leaves by no port.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Filtered {
    /// Its destination is behind the port that it came from.
    SamePort,
    /// Its destination is behind a port that its VLAN, or an isolated port, does not reach, or that is
    /// down: it is not flooded instead (802.1Q-2018, 8.6.4).
    Unreachable,
    /// No other port is open in its VLAN.
    Alone,
    /// It is for bridges themselves ([`ReservedAddresses`](vlan_table::ReservedAddresses)).
    Reserved,
    /// It is for an address of this switch.
    Local,
    /// It is a probe of this switch's loop detector.
    Probe,
}

impl Filtered {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::SamePort, Self::Unreachable, Self::Alone, Self::Reserved, Self::Local, Self::Probe];
}

/// Why a frame is discarded.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Dropped {
    /// By the ingress rules.
    Ingress(vlan_table::DropReason),
    /// Its port is blocked by the loop detector.
    Blocked,
    /// By storm control.
    Storm(fdb::storm::Class),
    /// Its source has a [`Kind::Drop`](fdb::Kind::Drop) entry.
    Source,
    /// Its destination has one.
    Destination,
}

/// Copies of a frame that are equal: the frame with other tags, and the ports that get it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Copy {
    /// The ports.
    pub ports: PortMask,
    /// What happens to the tags.
    pub edit: TagEdit,
    /// What fills the copy up if the edit left it shorter than [`frame::MIN_LEN`].
    pub padding: Option<u8>,
}

impl Copy {
    /// Makes the copy in place. The buffer wants eight free bytes in front of the frame and, if it
    /// holds a short frame, as many behind.
    ///
    /// # Errors
    /// [`NoRoom`] if headroom or tailroom is missing.
    #[inline]
    pub fn apply(&self, frame: &mut FrameMut<'_>) -> Result<(), NoRoom> {
        self.edit.apply(frame)?;
        match self.padding {
            Some(filler) if self.edit.growth() < 0 => frame.pad(filler),
            _ => Ok(()),
        }
    }

    /// Writes the copy to the front of `out` and returns its length, which is that of `frame` and at
    /// most eight more (or [`frame::MIN_LEN`]).
    ///
    /// # Errors
    /// [`NoRoom`] if `out` is too short.
    pub fn write(&self, frame: &[u8], out: &mut [u8]) -> Result<usize, NoRoom> {
        let popped = self.edit.popped() * Tag::LEN;
        let pushed = self.edit.pushed();
        let tags = pushed.clone().count() * Tag::LEN;
        let head = frame::HEADER_LEN - 2;
        let rest = frame.get(head + popped..).unwrap_or_default();
        let len = head + tags + rest.len();
        let padded = if self.padding.is_some() && tags < popped { len.max(frame::MIN_LEN) } else { len };
        let missing = NoRoom { needed: padded, have: out.len() };
        let Some(out) = out.get_mut(..padded) else { return Err(missing) };
        let (Some(addresses), Some((to, body))) = (frame.get(..head), out.split_at_mut_checked(head)) else {
            return Err(missing);
        };
        to.copy_from_slice(addresses);
        let (new, body) = body.split_at_mut(tags);
        for (to, tag) in new.chunks_exact_mut(Tag::LEN).zip(pushed) {
            to.copy_from_slice(&tag.to_bytes());
        }
        let (to, filler) = body.split_at_mut(rest.len());
        to.copy_from_slice(rest);
        filler.fill(self.padding.unwrap_or_default());
        Ok(padded)
    }
}

/// The distinct copies of a frame; from [`Switch::copies`](crate::Switch::copies).
///
/// One for a known destination; when a frame is flooded, as many as there are ways to tag it, however
/// many ports there are. O(ports) for each.
#[derive(Clone, Debug)]
pub struct Copies<'a> {
    source: Source<'a>,
    padding: Option<u8>,
}

#[derive(Clone, Debug)]
enum Source<'a> {
    Table { rules: &'a Rules, frame: &'a vlan_table::Classified, left: PortMask },
    OpenVSwitch(openvswitch::Copies<'a, 1>),
    Nothing,
}

impl<'a> Copies<'a> {
    #[inline]
    pub(crate) fn new(rules: &'a Rules, decision: &'a Decision) -> Self {
        let source = match (rules, &decision.classified) {
            (Rules::OpenVSwitch(bridge), Some(Classified::OpenVSwitch(frame))) => {
                Source::OpenVSwitch(bridge.copies(frame, decision.ports))
            }
            (_, Some(Classified::Table(frame))) => Source::Table { rules, frame, left: decision.ports },
            _ => Source::Nothing,
        };
        Self { source, padding: rules.padding() }
    }
}

impl Iterator for Copies<'_> {
    type Item = Copy;

    #[inline(always)]
    fn next(&mut self) -> Option<Copy> {
        let (ports, edit) = match &mut self.source {
            Source::Table { rules, frame, left } => {
                let (ports, edit) = equal_copies(rules, frame, *left)?;
                *left = left.difference(ports);
                (ports, edit)
            }
            Source::OpenVSwitch(copies) => copies.next()?,
            Source::Nothing => return None,
        };
        Some(Copy { ports, edit, padding: self.padding })
    }
}

/// The lowest of `ports`, and all others that do the same to the frame's tags.
#[inline(always)]
fn equal_copies(
    rules: &Rules,
    frame: &vlan_table::Classified,
    ports: PortMask,
) -> Option<(PortMask, TagEdit)> {
    let first = ports.iter().next()?;
    let edit = edit(rules, frame, first);
    let others = ports.without(first);
    Some((if others.is_empty() { ports } else { equal_ones(rules, frame, others, edit).with(first) }, edit))
}

#[inline(never)]
fn equal_ones(rules: &Rules, frame: &vlan_table::Classified, ports: PortMask, wanted: TagEdit) -> PortMask {
    ports.iter().filter(|port| edit(rules, frame, *port) == wanted).collect()
}

#[inline]
fn edit(rules: &Rules, frame: &vlan_table::Classified, port: PortId) -> TagEdit {
    match rules {
        Rules::Chip(table) => table.edit(frame, port),
        Rules::Dot1q(bridge) => bridge.edit(frame, port),
        Rules::OpenVSwitch(_) => TagEdit::KEEP,
    }
}
