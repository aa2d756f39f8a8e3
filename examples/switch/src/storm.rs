//! Storm control: where in the switch it stands, and which of two kinds it is.

use core::time::Duration;

use fdb::storm::{Class, ConsecutiveFilter, ConsecutiveSettings, StormControl, StormCounters};
use vlan_table::{Header, PortId};

/// Ports that are watched: all that a switch can have.
const PORTS: usize = 64;

/// What keeps floods within bounds; nothing unless it is set.
///
/// It sees frames that passed the ingress rules, after their source was learned and their destination
/// looked up (802.1Q-2018, 8.6: metering comes last), and never a probe of a loop detector.
#[derive(Clone, Debug, Default)]
pub enum Storm {
    /// Nothing is dropped.
    #[default]
    Off,
    /// As Realtek's chips do: so many in a row, then none for a while.
    Consecutive(Box<ConsecutiveFilter<PORTS>>),
    /// A rate for each port and class.
    Rates(Box<StormControl<PORTS>>),
}

impl Storm {
    /// The chips' filter.
    pub fn consecutive(settings: ConsecutiveSettings) -> Self {
        Self::Consecutive(Box::new(ConsecutiveFilter::new(settings)))
    }

    /// Frames of a class from a port so far; the chips' filter does not tell classes apart.
    pub fn counters(&self, port: PortId, class: Class) -> StormCounters {
        match self {
            Self::Off => StormCounters::default(),
            Self::Consecutive(filter) => filter.counters(port),
            Self::Rates(control) => control.counters(port, class),
        }
    }

    /// Whether frames to known stations count, too.
    #[inline]
    pub(crate) const fn sees_all(&self) -> bool {
        matches!(self, Self::Consecutive(_))
    }

    pub(crate) fn passes(&mut self, now: Duration, port: PortId, class: Option<Class>, len: usize) -> bool {
        match (self, class) {
            (Self::Consecutive(filter), class) => filter.passes(now, port, class),
            (Self::Rates(control), Some(class)) => control.passes(now, port, class, len),
            (Self::Off, _) | (Self::Rates(_), None) => true,
        }
    }
}

/// The class of a frame; `None` if its destination is known.
pub(crate) const fn class(header: &Header, known: bool) -> Option<Class> {
    match (known, header.is_broadcast(), header.is_group()) {
        (true, _, _) => None,
        (_, true, _) => Some(Class::Broadcast),
        (_, _, true) => Some(Class::Multicast),
        _ => Some(Class::UnknownUnicast),
    }
}
