//! The client from `rrcp` on a real interface and a real clock.

use std::collections::BTreeSet;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use afpacket::{Interface, TAG_ROOM};
use anyhow::{Context, Result, bail};
use rrcp::client::{
    CLIENT_FRAME_LEN, Client, Config, Consent, Danger, Event, StartError, Switch, Target, Timing, Write,
};
use rrcp::wire::{AuthKey, RegisterAddress};
use rrcp::{MacAddr6, Tag, VlanId};

use crate::remote::Remote;

/// Longer than any frame of the family; a longer one is cut and not ours.
const BUFFER_LEN: usize = 2048;

/// A station on an interface.
#[derive(Debug)]
pub struct Session {
    interface: Interface,
    client: Client<256>,
    started: Instant,
    buffer: Vec<u8>,
}

impl Session {
    /// Opens `interface`; requests carry `key`, and a tag if `vlan` is given. A question without
    /// answer is repeated `retries` times.
    ///
    /// # Errors
    /// What the operating system says, with what to do about it.
    pub fn open(interface: &str, key: AuthKey, vlan: Option<VlanId>, retries: u16) -> Result<Self> {
        let interface = Interface::open(interface)?;
        let (tag, timing) = (vlan.map(Tag::customer), Timing { read_retries: retries, ..Timing::DEFAULT });
        let config = Config { key, tag, timing, ..Config::new(interface.mac().into()) };
        // The standard library draws the keys of its hash tables at random.
        let seed = RandomState::new().build_hasher().finish();
        let client = Client::new(config, seed);
        Ok(Self { interface, client, started: Instant::now(), buffer: vec![0; BUFFER_LEN] })
    }

    /// Asks everyone; `report` gets each answer as it comes.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn scan(&mut self, mut report: impl FnMut(Event)) -> Result<()> {
        self.client.scan(self.now())?;
        let end = self.run(&mut report)?;
        report(end);
        Ok(())
    }

    /// Asks one switch for an echo; `None` if it does not answer.
    ///
    /// # Errors
    /// If `mac` is a group address, and what the operating system says.
    pub fn ping(&mut self, mac: MacAddr6) -> Result<Option<Duration>> {
        self.client.ping(self.now(), mac)?;
        match self.run(|_| {})? {
            Event::Pong { round_trip } => Ok(Some(round_trip)),
            _ => Ok(None),
        }
    }

    /// The switch at `mac`, with what is known about it so far.
    pub fn switch(&mut self, mac: MacAddr6, consent: Consent) -> SessionSwitch<'_> {
        SessionSwitch { session: self, target: mac.into(), consent }
    }

    fn now(&self) -> Duration {
        self.started.elapsed()
    }

    /// Runs the operation of the client to its end; `report` gets every event but the last.
    fn run(&mut self, mut report: impl FnMut(Event)) -> Result<Event> {
        let mut last = None;
        loop {
            let mut frame = [0; CLIENT_FRAME_LEN];
            while let Some(frame) = self.client.poll_transmit(&mut frame) {
                self.interface
                    .send(frame)
                    .with_context(|| format!("sending on {}", self.interface.name()))?;
            }
            while let Some(event) = self.client.poll_event() {
                if let Some(earlier) = last.replace(event) {
                    report(earlier);
                }
            }
            if !self.client.is_busy() {
                return last.context("an operation ended without an event");
            }
            let wait = self.client.poll_timeout().map(|due| due.saturating_sub(self.now()));
            if afpacket::wait(&[self.interface.as_fd()], wait)? {
                self.receive()?;
            }
            self.client.handle_timeout(self.now());
        }
    }

    /// Takes one frame; the caller drains the client before the next.
    fn receive(&mut self) -> Result<()> {
        let received = self.interface.recv(&mut self.buffer, TAG_ROOM);
        let received = received.with_context(|| format!("receiving on {}", self.interface.name()))?;
        if let Some(frame) = received.and_then(|range| self.buffer.get(range)) {
            self.client.handle_frame(self.started.elapsed(), frame);
        }
        Ok(())
    }
}

/// One switch behind a [`Session`].
#[derive(Debug)]
pub struct SessionSwitch<'a> {
    session: &'a mut Session,
    target: Target,
    consent: Consent,
}

impl SessionSwitch<'_> {
    /// Scans for the port of the switch that faces us, so that sets of other ports are no danger.
    /// In a loop there are several, and then any port may be the one.
    fn learn_port(&mut self) -> Result<()> {
        let mac = self.target.mac;
        let mut ports = BTreeSet::new();
        self.session.scan(|event| match event {
            Event::Found(Switch { mac: found, reply, .. }) if found == mac => {
                ports.insert(reply.downlink_port);
            }
            _ => {}
        })?;
        self.target.port = ports.pop_first().filter(|_| ports.is_empty());
        Ok(())
    }
}

impl Remote for SessionSwitch<'_> {
    fn read(&mut self, register: RegisterAddress) -> Result<u32> {
        self.session.client.get(self.session.now(), self.target, register)?;
        match self.session.run(|_| {})? {
            Event::Value { data, .. } => Ok(data),
            Event::Failed(failure) => Err(failure).with_context(|| format!("reading register {register}")),
            other => bail!("a read ended with {other:?}"),
        }
    }

    fn write(&mut self, write: Write) -> Result<Option<u32>> {
        let client = &mut self.session.client;
        let mut started = client.set(self.session.started.elapsed(), self.target, write, self.consent);
        if let Err(StartError::Dangerous { danger: Danger::PortOff | Danger::PortIgnored, .. }) = started
            && self.target.port.is_none()
        {
            self.learn_port()?;
            started = self.session.client.set(self.session.now(), self.target, write, self.consent);
        }
        started.context("not without --dangerous")?;
        match self.session.run(|_| {})? {
            Event::Written { data, .. } => Ok(Some(data)),
            Event::Unverified { .. } => Ok(None),
            Event::Failed(failure) => {
                Err(failure).with_context(|| format!("writing register {}", write.register))
            }
            other => bail!("a write ended with {other:?}"),
        }
    }
}
