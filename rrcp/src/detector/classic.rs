//! The classic detector: what the chips do.

use core::time::Duration;

use macaddr::MacAddr6;
use vlan_table::PortId;

use super::probe::PROBE_LEN;
use super::schedule::Jitter;
use super::{Disposition, Transmit};
use crate::wire::{BROADCAST, Ttl};
use crate::{Frame, FrameView, Message, Probe};

/// VLAN tags that a probe may stand behind.
const MAX_TAGS: usize = 4;
/// Shortest and longest idle period (RTL8305SB, 7.3.13; RTL8316BP and RTL8326 say 5 minutes).
const IDLE: [Duration; 2] = [Duration::from_secs(180), Duration::from_secs(300)];
/// Period while a port is looped (RTL8316BP r1.2, 8.21).
const LOOPED: Duration = Duration::from_secs(1);
/// Silence that clears a port (same).
const SILENCE: Duration = Duration::from_secs(3);

/// Detects loops as the chips do: a probe without any identity but its source address, every three
/// to five minutes, a signal per port, no action.
///
/// Here for fidelity and comparison. A loop goes unseen for up to five minutes, and another switch
/// with the same address is taken for a loop; [`LoopDetector`](super::LoopDetector) is the one to
/// build on. Same contract: inputs `handle_*`, then drain `poll_*`.
///
/// ```
/// use core::time::Duration;
/// use rrcp::{ClassicDetector, Disposition, LoopSignal, MacAddr6, PortId, PROBE_LEN};
///
/// let (a, b) = (PortId::new(0).unwrap(), PortId::new(1).unwrap());
/// let mac = MacAddr6::new(0x52, 0x54, 0x4C, 1, 2, 3);
/// let mut detector = ClassicDetector::<5>::new(Duration::ZERO, mac, 1);
/// detector.handle_link(Duration::ZERO, a, true);
///
/// let at = detector.poll_timeout().unwrap();
/// assert!((180..300).contains(&at.as_secs()));
/// detector.handle_timeout(at);
/// let mut probe = [0; PROBE_LEN];
/// assert_eq!(detector.poll_transmit(&mut probe).map(|sent| sent.port), Some(a));
///
/// // The probe comes back at the other port.
/// assert_eq!(detector.handle_frame(at, b, &probe), Disposition::OwnProbe);
/// assert_eq!(detector.poll_event(), Some(LoopSignal::Looped(b)));
/// assert_eq!(detector.poll_timeout(), Some(at + Duration::from_secs(1)));
/// ```
#[derive(Clone, Debug)]
pub struct ClassicDetector<const PORTS: usize> {
    mac: MacAddr6,
    jitter: Jitter,
    ports: [Port; PORTS],
    next: Duration,
    now: Duration,
    /// The port that the round goes on with.
    cursor: usize,
}

#[derive(Clone, Copy, Debug, Default)]
struct Port {
    up: bool,
    /// When the signal ends unless another probe returns.
    looped_until: Option<Duration>,
    /// The signal that was told last.
    told: bool,
}

/// A port's loop indication changed.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum LoopSignal {
    /// A probe with our address came in here.
    Looped(PortId),
    /// None did for three seconds.
    Cleared(PortId),
}

impl<const PORTS: usize> ClassicDetector<PORTS> {
    /// All ports down; the first probe leaves after an idle period, drawn from `seed`.
    pub fn new(now: Duration, mac: MacAddr6, seed: u64) -> Self {
        let mut detector = Self {
            mac,
            jitter: Jitter(seed),
            ports: [Port::default(); PORTS],
            next: now,
            now,
            cursor: PORTS,
        };
        detector.next = now.saturating_add(detector.period());
        detector
    }

    /// The link of `port` came up or went down. A port without link is not looped.
    pub fn handle_link(&mut self, now: Duration, port: PortId, up: bool) {
        self.now = self.now.max(now);
        if let Some(state) = self.ports.get_mut(port.index()) {
            state.up = up;
            state.looped_until = state.looped_until.filter(|_| up);
        }
    }

    /// A frame came in at `port`. Any classic probe with our address is taken for ours.
    pub fn handle_frame(&mut self, now: Duration, port: PortId, frame: &[u8]) -> Disposition {
        self.now = self.now.max(now);
        let Ok(view) = FrameView::new(frame, MAX_TAGS) else { return Disposition::Forward };
        match view.message() {
            Message::Probe(Probe::Classic { .. }) if view.src() == self.mac => {}
            Message::Probe(_) => return Disposition::ForeignProbe,
            _ => return Disposition::Forward,
        }
        if let Some(state) = self.ports.get_mut(port.index()) {
            state.looped_until = Some(self.now.saturating_add(SILENCE));
            self.next = self.next.min(self.now.saturating_add(LOOPED));
        }
        Disposition::OwnProbe
    }

    /// The time of [`poll_timeout`](Self::poll_timeout) has come; earlier calls do nothing.
    pub fn handle_timeout(&mut self, now: Duration) {
        self.now = self.now.max(now);
        for state in &mut self.ports {
            state.looped_until = state.looped_until.filter(|until| self.now < *until);
        }
        if self.next <= self.now {
            self.next = self.now.saturating_add(self.period());
            self.cursor = 0;
        }
    }

    /// The next probe to send, an untagged frame written to `frame`.
    pub fn poll_transmit(&mut self, frame: &mut [u8; PROBE_LEN]) -> Option<Transmit> {
        let up = self.ports.iter().enumerate().skip(self.cursor).find(|(_, state)| state.up);
        let Some((index, _)) = up else {
            self.cursor = PORTS;
            return None;
        };
        self.cursor = index + 1;
        let message = Probe::Classic { ttl: Ttl::NONE }.into();
        Frame { dst: BROADCAST, src: self.mac, message }.emit(&[], frame).ok()?;
        Some(Transmit { port: PortId::new(index as u16)?, vlan: None })
    }

    /// The next change of a port's signal, lowest port first.
    pub fn poll_event(&mut self) -> Option<LoopSignal> {
        let (index, state) = self
            .ports
            .iter_mut()
            .enumerate()
            .find(|(_, state)| state.told != state.looped_until.is_some())?;
        state.told = !state.told;
        let port = PortId::new(index as u16)?;
        Some(if state.told { LoopSignal::Looped(port) } else { LoopSignal::Cleared(port) })
    }

    /// When [`handle_timeout`](Self::handle_timeout) wants to be called.
    pub fn poll_timeout(&self) -> Option<Duration> {
        self.ports.iter().filter_map(|state| state.looped_until).chain([self.next]).min()
    }

    /// The port's bit in register 0x0101 (bit 2 of 0x0102, and the LED, if any port has it).
    pub fn is_looped(&self, port: PortId) -> bool {
        self.ports.get(port.index()).is_some_and(|state| state.looped_until.is_some())
    }

    fn period(&mut self) -> Duration {
        if self.ports.iter().any(|state| state.looped_until.is_some()) {
            return LOOPED;
        }
        let [shortest, longest] = IDLE;
        shortest + self.jitter.below(longest - shortest)
    }
}
