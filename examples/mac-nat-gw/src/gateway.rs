//! The engine between its sides: floods become copies, and nothing reaches the uplink unchecked.

use std::time::Duration;

use mac_nat::{Config, ConfigError, Event, Guard, MacNat, PortId, Recipients, Side, Verdict};

/// Room for a frame with two tags of the largest MTU.
const BUFFER: usize = 65_536;

/// An engine, a guard behind it, and the copies that floods need.
#[derive(Debug)]
pub struct Gateway {
    nat: MacNat,
    guard: Guard,
    guarded: u64,
    ports: Vec<PortId>,
    /// A group frame from inside as it was, for the sides where nothing is translated.
    before: Vec<u8>,
    own: Box<[u8]>,
}

impl Gateway {
    /// # Errors
    /// What [`MacNat::new`] says.
    pub fn new(config: Config) -> Result<Self, ConfigError> {
        let ports = config.ports.iter().map(|port| port.id).collect();
        let nat = MacNat::new(config)?;
        let guard = Guard::new(nat.wire_macs());
        let own = vec![0; BUFFER].into_boxed_slice();
        Ok(Self { nat, guard, guarded: 0, ports, before: Vec::with_capacity(2048), own })
    }

    /// The engine.
    pub fn nat(&self) -> &MacNat {
        &self.nat
    }

    /// Frames that the guard kept from the uplink: unknown protocols of the host, or else a defect
    /// of ours.
    pub fn guarded(&self) -> u64 {
        self.guarded
    }

    /// Changes the engine, and the guard with it.
    pub fn change<R>(&mut self, change: impl FnOnce(&mut MacNat) -> R) -> R {
        let result = change(&mut self.nat);
        self.guard = Guard::new(self.nat.wire_macs());
        result
    }

    /// Takes a frame through the engine; `send` gets what leaves, side by side.
    pub fn frame(&mut self, now: Duration, from: Side, frame: &mut [u8], send: &mut impl FnMut(Side, &[u8])) {
        let group = frame.first().is_some_and(|byte| byte & 1 == 1);
        if group && from != Side::Uplink {
            self.before.clear();
            self.before.extend_from_slice(frame);
        }
        match self.nat.translate(now, from, frame) {
            Verdict::Forward(side) => self.send(side, frame, send),
            Verdict::Flood => self.flood(from, frame, send),
            Verdict::Hold | Verdict::Drop(_) => {}
        }
        self.own_frames(send);
    }

    /// Does what is due.
    pub fn timeout(&mut self, now: Duration, send: &mut impl FnMut(Side, &[u8])) {
        self.nat.handle_timeout(now);
        self.own_frames(send);
    }

    /// When [`timeout`](Self::timeout) is due.
    pub fn next_timeout(&self) -> Option<Duration> {
        self.nat.poll_timeout()
    }

    /// What happened.
    pub fn event(&mut self) -> Option<Event> {
        self.nat.poll_event()
    }

    /// Sends what the engine has to say by itself.
    pub fn own_frames(&mut self, send: &mut impl FnMut(Side, &[u8])) {
        while let Some(transmit) = self.nat.poll_transmit(&mut self.own) {
            let frame = self.own.get(..transmit.len).unwrap_or_default();
            match transmit.to {
                Recipients::One(Side::Uplink) if self.guard.check(frame).is_err() => self.guarded += 1,
                Recipients::One(side) => send(side, frame),
                Recipients::EveryInside => {
                    self.ports.iter().for_each(|port| send(Side::Inside(*port), frame))
                }
            }
        }
    }

    fn send(&mut self, side: Side, frame: &[u8], send: &mut impl FnMut(Side, &[u8])) {
        if side == Side::Uplink && self.guard.check(frame).is_err() {
            self.guarded += 1;
        } else {
            send(side, frame);
        }
    }

    fn flood(&mut self, from: Side, frame: &[u8], send: &mut impl FnMut(Side, &[u8])) {
        if from != Side::Uplink {
            self.send(Side::Uplink, frame, send);
        }
        let untranslated = if from == Side::Uplink { frame } else { &self.before };
        for side in self.ports.iter().copied().map(Side::Inside).chain([Side::Host]) {
            if side != from {
                send(side, untranslated);
            }
        }
    }
}
