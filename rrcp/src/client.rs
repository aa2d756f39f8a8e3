//! The asking side of RRCP: find switches, read and write their registers. No clock, no I/O.
//!
//! Commands ([`scan`](Client::scan), [`ping`](Client::ping), [`get`](Client::get),
//! [`set`](Client::set)) start one operation; a second one has to wait. Inputs are
//! [`handle_frame`](Client::handle_frame) and [`handle_timeout`](Client::handle_timeout). After
//! every command and input drain [`poll_transmit`](Client::poll_transmit) and
//! [`poll_event`](Client::poll_event), then wait for a frame or for the point in time that
//! [`poll_timeout`](Client::poll_timeout) names. For several switches at once run several clients.
//!
//! Time-outs and repetitions are those that OpenRRCP uses on real switches ([`Timing`]). There is
//! no reply to a set, so it is read back; and since every read carries a fresh [`Cookie`], a late
//! answer to an older question is never taken for the answer to this one.

mod config;
mod guard;
mod operation;
mod queue;
mod report;
mod scan;
mod topology;

use core::time::Duration;

use macaddr::MacAddr6;
use vlan_table::Tag;

use crate::wire::{AuthKey, Cookie, Frame, FrameView, Message, Op, RegisterAddress, Rep, Rrcp};

pub use config::{Config, CookiePolicy, Target, Timing, Write};
pub use guard::{Consent, Danger};
pub use report::{Counters, Event, Failure, Ignored, StartError, Verdict};
pub use scan::Switch;
pub use topology::Topology;

use operation::{Operation, Reply, Step};
use queue::Queue;
use scan::{Answer, Seen};

/// Length of every frame that a client sends: a minimal one, and a tag.
pub const CLIENT_FRAME_LEN: usize = crate::wire::MIN_LEN + Tag::LEN;

/// A station that talks to switches, one operation at a time.
///
/// `ANSWERS` bounds how many different answers a scan can tell apart, 15 bytes each. No
/// allocation; every call is O(1), but for frames received in a scan, which are O(`ANSWERS`).
///
/// ```
/// use core::time::Duration;
/// use rrcp::MacAddr6;
/// use rrcp::client::{CLIENT_FRAME_LEN, Client, Config, Event, Verdict};
/// use rrcp::wire::{Frame, FrameView, Message, Op, RegisterAddress, Rrcp};
///
/// let (station, switch) = (MacAddr6::new(2, 0, 0, 0, 0, 1), MacAddr6::new(0x52, 0x54, 0x4C, 1, 2, 3));
/// let mut client = Client::<64>::new(Config::new(station), 4711);
/// client.get(Duration::ZERO, switch, RegisterAddress::CHIP_ID)?;
///
/// let mut buffer = [0; CLIENT_FRAME_LEN];
/// let request = client.poll_transmit(&mut buffer).unwrap();
/// // The switch answers: the same message as a reply, with the data filled in.
/// let Message::Rrcp(Rrcp { key, op: Op::Get(mut access) }) = FrameView::new(request, 0)?.message() else {
///     unreachable!()
/// };
/// access.data = 0x0C;
/// let reply = Frame { dst: station, src: switch, message: Rrcp { key, op: Op::GetReply(access) }.into() };
/// let len = reply.emit(&[], &mut buffer)?;
///
/// assert_eq!(client.handle_frame(Duration::from_millis(2), &buffer[..len]), Verdict::Accepted);
/// let value = Event::Value { register: RegisterAddress::CHIP_ID, data: 0x0C, sends: 1 };
/// assert_eq!(client.poll_event(), Some(value));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Client<const ANSWERS: usize = 64> {
    config: Config,
    cookies: Cookies,
    operation: Option<Operation>,
    outgoing: Queue<Outgoing, 2>,
    events: Queue<Event, 4>,
    seen: Seen<ANSWERS>,
    counters: Counters,
}

/// A frame to be sent; the station's address and tag are added when it is.
#[derive(Clone, Copy, Debug)]
struct Outgoing {
    dst: MacAddr6,
    message: Message<'static>,
}

impl<const ANSWERS: usize> Client<ANSWERS> {
    /// `seed` makes cookies that others do not guess; the same seed makes the same cookies.
    pub const fn new(config: Config, seed: u64) -> Self {
        Self {
            config,
            cookies: Cookies(seed),
            operation: None,
            outgoing: Queue::EMPTY,
            events: Queue::EMPTY,
            seen: Seen::EMPTY,
            counters: Counters::ZERO,
        }
    }

    /// The configuration, with the key that is valid now: a [`set`](Self::set) of register 0209
    /// changes it.
    pub const fn config(&self) -> &Config {
        &self.config
    }

    /// What happened to received frames.
    pub const fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Whether an operation is under way.
    pub const fn is_busy(&self) -> bool {
        self.operation.is_some()
    }

    /// Asks everyone: hellos and echo requests to all.
    ///
    /// # Errors
    /// [`StartError::Busy`].
    pub fn scan(&mut self, now: Duration) -> Result<(), StartError> {
        self.idle()?;
        self.seen = Seen::EMPTY;
        self.operation = Some(Operation::scan(now, self.cookies.next()));
        self.handle_timeout(now);
        Ok(())
    }

    /// Asks one switch for an echo. It may answer even with RRCP switched off.
    ///
    /// # Errors
    /// [`StartError::Busy`], [`StartError::NotUnicast`].
    pub fn ping(&mut self, now: Duration, target: impl Into<Target>) -> Result<(), StartError> {
        let target = self.ready_for(target)?;
        self.operation = Some(Operation::ping(now, target.mac, self.cookies.next()));
        self.handle_timeout(now);
        Ok(())
    }

    /// Reads a register.
    ///
    /// # Errors
    /// [`StartError::Busy`], [`StartError::NotUnicast`].
    pub fn get(
        &mut self,
        now: Duration,
        target: impl Into<Target>,
        register: RegisterAddress,
    ) -> Result<(), StartError> {
        let target = self.ready_for(target)?;
        self.operation =
            Some(Operation::get(now, target.mac, self.config.key, register, self.cookies.next()));
        self.handle_timeout(now);
        Ok(())
    }

    /// Writes a register and reads it back until it is as written.
    ///
    /// A set of 0209 moves the client to the new key, once the switch answers to it.
    ///
    /// # Errors
    /// [`StartError::Busy`], [`StartError::NotUnicast`]; [`StartError::Dangerous`] if the set may
    /// cut the switch off and `consent` does not say that this is meant.
    pub fn set(
        &mut self,
        now: Duration,
        target: impl Into<Target>,
        write: Write,
        consent: Consent,
    ) -> Result<(), StartError> {
        let target = self.ready_for(target)?;
        if let (Some(danger), Consent::Safe) = (Danger::of(&write, target.port), consent) {
            return Err(StartError::Dangerous { register: write.register, danger });
        }
        if write.register == RegisterAddress::RESET {
            let message = operation::set(self.config.key, &write).into();
            self.outgoing.push(Outgoing { dst: target.mac, message });
            self.events.push(Event::Unverified { register: write.register });
            return Ok(());
        }
        self.operation = Some(Operation::set(now, target.mac, self.config.key, write, self.cookies.next()));
        self.handle_timeout(now);
        Ok(())
    }

    /// Gives up the operation under way; no event follows.
    pub fn cancel(&mut self) {
        self.operation = None;
        self.outgoing = Queue::EMPTY;
    }

    /// Takes a frame from the network.
    pub fn handle_frame(&mut self, now: Duration, bytes: &[u8]) -> Verdict {
        let verdict = match self.accept(now, bytes) {
            Ok(()) => Verdict::Accepted,
            Err(reason) => Verdict::Ignored(reason),
        };
        self.counters.count(verdict);
        verdict
    }

    /// Does what is due at `now`; too early is harmless.
    pub fn handle_timeout(&mut self, now: Duration) {
        let Some(mut operation) = self.operation.take() else { return };
        if now < operation.due() {
            self.operation = Some(operation);
            return;
        }
        match operation.step(now, &self.config, &mut self.cookies) {
            Step::Send(frames) => {
                frames.into_iter().flatten().for_each(|frame| self.outgoing.push(frame));
                self.operation = Some(operation);
            }
            Step::Wait => self.operation = Some(operation),
            Step::ScanOver => {
                let (answers, dropped) = (self.seen.len(), self.seen.dropped());
                self.events.push(Event::ScanDone { answers, dropped });
            }
            Step::Over(event) => self.events.push(event),
        }
    }

    /// The next frame to send, written to `out`; `None` if there is none.
    pub fn poll_transmit<'b>(&mut self, out: &'b mut [u8; CLIENT_FRAME_LEN]) -> Option<&'b [u8]> {
        let Outgoing { dst, message } = self.outgoing.pop()?;
        let frame = Frame { dst, src: self.config.mac, message };
        // It fits: requests have the minimal length, and there is room for one tag.
        let len = frame.emit(self.config.tag.as_slice(), out).ok()?;
        out.get(..len)
    }

    /// The next event; `None` if there is none.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop()
    }

    /// When to call [`handle_timeout`](Self::handle_timeout); `None` if nothing is under way.
    pub fn poll_timeout(&self) -> Option<Duration> {
        self.operation.as_ref().map(Operation::due)
    }

    fn idle(&self) -> Result<(), StartError> {
        if self.is_busy() { Err(StartError::Busy) } else { Ok(()) }
    }

    fn ready_for(&self, target: impl Into<Target>) -> Result<Target, StartError> {
        self.idle()?;
        let target = target.into();
        if is_station(target.mac) { Ok(target) } else { Err(StartError::NotUnicast { mac: target.mac }) }
    }

    fn accept(&mut self, now: Duration, bytes: &[u8]) -> Result<(), Ignored> {
        let view = FrameView::new(bytes, 1).map_err(|_| Ignored::NotRealtek)?;
        if view.dst() != self.config.mac {
            return Err(Ignored::OtherDestination);
        }
        if view.vlan() != self.config.tag.and_then(Tag::vlan) {
            return Err(Ignored::OtherVlan);
        }
        if !is_station(view.src()) {
            return Err(Ignored::OtherSource);
        }
        match view.message() {
            Message::Rrcp(Rrcp { key, op: Op::HelloReply(reply) }) => {
                self.accept_hello_reply(&Switch { mac: view.src(), key, reply })
            }
            Message::Rrcp(Rrcp { key, op: Op::GetReply(access) }) => {
                self.accept_get_reply(now, &Reply { src: view.src(), key, access })
            }
            Message::Rep(rep) => self.accept_echo(now, view.src(), rep),
            _ => Err(Ignored::NoAnswer),
        }
    }

    fn accept_hello_reply(&mut self, switch: &Switch) -> Result<(), Ignored> {
        if !matches!(self.operation, Some(Operation::Scan { .. })) {
            return Err(Ignored::Unasked);
        }
        self.seen.insert(switch.into())?;
        self.events.push(Event::Found(*switch));
        Ok(())
    }

    fn accept_get_reply(&mut self, now: Duration, reply: &Reply) -> Result<(), Ignored> {
        let operation = self.operation.as_mut().ok_or(Ignored::Unasked)?;
        match operation.take_reply(reply, now, &self.config, &mut self.cookies)? {
            Some(event) => {
                if let Event::Written { register: RegisterAddress::AUTH_KEY, data, .. } = event {
                    self.config.key = AuthKey(data as u16);
                }
                self.finish(event);
            }
            None => self.handle_timeout(now),
        }
        Ok(())
    }

    fn accept_echo(&mut self, now: Duration, src: MacAddr6, rep: Rep) -> Result<(), Ignored> {
        let operation = self.operation.as_ref().ok_or(Ignored::Unasked)?;
        match operation.take_echo(src, rep, now)? {
            Some(round_trip) => self.finish(Event::Pong { round_trip }),
            None => {
                self.seen.insert(Answer::Echo(src))?;
                self.events.push(Event::EchoFound(src));
            }
        }
        Ok(())
    }

    fn finish(&mut self, event: Event) {
        self.operation = None;
        self.events.push(event);
    }
}

/// A unicast address that is not zero: one station.
fn is_station(mac: MacAddr6) -> bool {
    mac.is_unicast() && !mac.is_nil()
}

/// Eight bytes that differ from one question to the next: splitmix64 over the seed.
#[derive(Clone, Copy, Debug)]
struct Cookies(u64);

impl Cookies {
    fn next(&mut self) -> Cookie {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut bits = self.0;
        bits = (bits ^ bits >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        bits = (bits ^ bits >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        bits ^= bits >> 31;
        // Zero is no cookie.
        Cookie(bits.max(1).to_be_bytes())
    }
}
