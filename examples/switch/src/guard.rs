//! The place of a loop detector.

use core::time::Duration;

use rrcp::{ClassicDetector, Disposition, Hint, LoopDetector};
use vlan_table::{PortId, PortMask, VlanId};

/// Something that looks for loops with probes of EtherType 0x8899, and may close ports.
///
/// The switch shows it every frame of that type before any rule can discard it, storm control
/// included: a probe that is lost in the storm it should end is of no use. An own probe that
/// returns is consumed and never learned, or the switch would look for its own address behind the
/// looped port.
///
/// Drive it through the switch, whose methods of the same names pass time and frames on.
pub trait Guard {
    /// A frame of EtherType 0x8899 arrived on `port`; `vlan` is its VLAN under the switch's rules,
    /// `None` if they discard it or know none.
    fn handle_frame(
        &mut self,
        now: Duration,
        port: PortId,
        vlan: Option<VlanId>,
        frame: &[u8],
    ) -> Disposition;

    /// Something that looks like a loop without proving one.
    fn handle_hint(&mut self, now: Duration, port: PortId, hint: Hint) {
        let _ = (now, port, hint);
    }

    /// A link came up or went down.
    fn handle_link(&mut self, now: Duration, port: PortId, up: bool) {
        let _ = (now, port, up);
    }

    /// The ports that carry nothing but probes for now.
    fn blocked(&self) -> PortMask {
        PortMask::EMPTY
    }

    /// When [`handle_timeout`](Self::handle_timeout) is due.
    fn poll_timeout(&self) -> Option<Duration> {
        None
    }

    /// Lets time pass.
    fn handle_timeout(&mut self, now: Duration) {
        let _ = now;
    }

    /// The next probe to send, untagged.
    fn poll_transmit(&mut self, frame: &mut [u8; rrcp::PROBE_LEN]) -> Option<rrcp::Transmit> {
        let _ = frame;
        None
    }
}

/// A frame of the switch's own that is to leave; from
/// [`Switch::poll_transmit`](crate::Switch::poll_transmit).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[must_use]
pub struct Transmit {
    /// By which port.
    pub port: PortId,
    /// How many bytes of the buffer it takes.
    pub len: usize,
}

impl Transmit {
    /// The most bytes that a frame of the switch's own takes.
    pub const LONGEST: usize = rrcp::PROBE_LEN + vlan_table::Tag::LEN;
}

/// No detector.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoGuard;

impl Guard for NoGuard {
    #[inline]
    fn handle_frame(&mut self, _: Duration, _: PortId, _: Option<VlanId>, _: &[u8]) -> Disposition {
        Disposition::Forward
    }
}

/// The chip's own: it lights a lamp and blocks nothing.
impl<const PORTS: usize> Guard for ClassicDetector<PORTS> {
    fn handle_frame(&mut self, now: Duration, port: PortId, _: Option<VlanId>, frame: &[u8]) -> Disposition {
        self.handle_frame(now, port, frame)
    }

    fn handle_link(&mut self, now: Duration, port: PortId, up: bool) {
        self.handle_link(now, port, up);
    }

    fn poll_timeout(&self) -> Option<Duration> {
        self.poll_timeout()
    }

    fn handle_timeout(&mut self, now: Duration) {
        self.handle_timeout(now);
    }

    fn poll_transmit(&mut self, frame: &mut [u8; rrcp::PROBE_LEN]) -> Option<rrcp::Transmit> {
        self.poll_transmit(frame)
    }
}

impl<const PORTS: usize, const VLANS: usize> Guard for LoopDetector<PORTS, VLANS> {
    fn handle_frame(
        &mut self,
        now: Duration,
        port: PortId,
        vlan: Option<VlanId>,
        frame: &[u8],
    ) -> Disposition {
        self.handle_frame(now, port, vlan, frame)
    }

    fn handle_hint(&mut self, now: Duration, port: PortId, hint: Hint) {
        self.handle_hint(now, port, hint);
    }

    fn handle_link(&mut self, now: Duration, port: PortId, up: bool) {
        self.handle_link(now, port, up);
    }

    fn blocked(&self) -> PortMask {
        self.blocked_ports().collect()
    }

    fn poll_timeout(&self) -> Option<Duration> {
        self.poll_timeout()
    }

    fn handle_timeout(&mut self, now: Duration) {
        self.handle_timeout(now);
    }

    fn poll_transmit(&mut self, frame: &mut [u8; rrcp::PROBE_LEN]) -> Option<rrcp::Transmit> {
        self.poll_transmit(frame)
    }
}

/// A detector that may be absent at run time.
impl<G: Guard> Guard for Option<G> {
    fn handle_frame(
        &mut self,
        now: Duration,
        port: PortId,
        vlan: Option<VlanId>,
        frame: &[u8],
    ) -> Disposition {
        self.as_mut().map_or(Disposition::Forward, |guard| guard.handle_frame(now, port, vlan, frame))
    }

    fn handle_hint(&mut self, now: Duration, port: PortId, hint: Hint) {
        if let Some(guard) = self {
            guard.handle_hint(now, port, hint);
        }
    }

    fn handle_link(&mut self, now: Duration, port: PortId, up: bool) {
        if let Some(guard) = self {
            guard.handle_link(now, port, up);
        }
    }

    fn blocked(&self) -> PortMask {
        self.as_ref().map_or(PortMask::EMPTY, Guard::blocked)
    }

    fn poll_timeout(&self) -> Option<Duration> {
        self.as_ref().and_then(Guard::poll_timeout)
    }

    fn handle_timeout(&mut self, now: Duration) {
        if let Some(guard) = self {
            guard.handle_timeout(now);
        }
    }

    fn poll_transmit(&mut self, frame: &mut [u8; rrcp::PROBE_LEN]) -> Option<rrcp::Transmit> {
        self.as_mut()?.poll_transmit(frame)
    }
}
