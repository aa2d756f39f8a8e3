//! One operation as a state machine: what to send at its deadline, what an answer means.

use core::time::Duration;

use macaddr::MacAddr6;

use super::{Config, CookiePolicy, Cookies, Event, Failure, Ignored, Outgoing, Write};
use crate::wire::{Access, AuthKey, BROADCAST, Cookie, Message, Op, RegisterAddress, Rep, Rrcp};

/// Reads that verify a new key. The set may have been lost, and then nobody answers to that key:
/// better to set again soon.
const NEW_KEY_RETRIES: u16 = 2;

#[derive(Clone, Copy, Debug)]
pub(super) enum Operation {
    Scan { rounds: u16, cookie: Cookie, due: Duration },
    Ping { target: MacAddr6, sent: bool, cookie: Cookie, asked_at: Duration, due: Duration },
    Get(Read),
    Set { write: Write, attempts: u16, read: Read },
}

/// What a deadline asks for.
pub(super) enum Step {
    /// The operation goes on behind these frames.
    Send([Option<Outgoing>; 2]),
    /// The operation goes on.
    Wait,
    /// The last round of a scan is over.
    ScanOver,
    /// The operation is over.
    Over(Event),
}

/// A register that is asked for until it is answered.
#[derive(Clone, Copy, Debug)]
pub(super) struct Read {
    target: MacAddr6,
    register: RegisterAddress,
    key: AuthKey,
    /// The same in every repetition: a late answer is an answer.
    cookie: Cookie,
    sends: u16,
    /// Whether `due` ends the wait for an answer, not the pause before a request.
    waiting: bool,
    due: Duration,
}

/// A reply to a get, with where it comes from.
pub(super) struct Reply {
    pub(super) src: MacAddr6,
    pub(super) key: AuthKey,
    pub(super) access: Access,
}

impl Operation {
    pub(super) fn scan(now: Duration, cookie: Cookie) -> Self {
        Self::Scan { rounds: 0, cookie, due: now }
    }

    pub(super) fn ping(now: Duration, target: MacAddr6, cookie: Cookie) -> Self {
        Self::Ping { target, sent: false, cookie, asked_at: now, due: now }
    }

    pub(super) fn get(
        now: Duration,
        target: MacAddr6,
        key: AuthKey,
        register: RegisterAddress,
        cookie: Cookie,
    ) -> Self {
        Self::Get(Read { target, register, key, cookie, sends: 0, waiting: false, due: now })
    }

    pub(super) fn set(now: Duration, target: MacAddr6, key: AuthKey, write: Write, cookie: Cookie) -> Self {
        let register = write.register;
        // Once it is written, the switch answers to the new key.
        let key = if register == RegisterAddress::AUTH_KEY { AuthKey(write.data as u16) } else { key };
        let read = Read { target, register, key, cookie, sends: 0, waiting: false, due: now };
        Self::Set { write, attempts: 0, read }
    }

    /// When [`step`](Self::step) is due.
    pub(super) const fn due(&self) -> Duration {
        match self {
            Self::Scan { due, .. } | Self::Ping { due, .. } => *due,
            Self::Get(read) | Self::Set { read, .. } => read.due,
        }
    }

    /// Does what is due.
    pub(super) fn step(&mut self, now: Duration, config: &Config, cookies: &mut Cookies) -> Step {
        let timing = &config.timing;
        match self {
            Self::Scan { rounds, .. } if *rounds >= timing.scan_rounds => Step::ScanOver,
            Self::Scan { rounds, cookie, due } => {
                *rounds += 1;
                *due = now.saturating_add(timing.scan_round);
                let hello = Rrcp { key: config.key, op: Op::Hello };
                let echo = Rep { reply: false, cookie: *cookie };
                Step::Send([Some(to(BROADCAST, hello)), Some(to(BROADCAST, echo))])
            }
            Self::Ping { sent: true, .. } => Step::Over(Event::Failed(Failure::NoAnswer { sends: 1 })),
            Self::Ping { target, sent, cookie, asked_at, due } => {
                (*sent, *asked_at, *due) = (true, now, now.saturating_add(timing.ping));
                Step::Send([Some(to(*target, Rep { reply: false, cookie: *cookie })), None])
            }
            Self::Get(read) if read.waiting => read.give_up_or_pause(now, timing.read_retries, config),
            Self::Get(read) => Step::Send([Some(read.ask(now, config)), None]),
            Self::Set { write, attempts, read } if read.waiting => {
                if write.register != RegisterAddress::AUTH_KEY {
                    return read.give_up_or_pause(now, timing.read_retries, config);
                }
                if read.sends > NEW_KEY_RETRIES && *attempts < timing.set_attempts {
                    *read = read.anew(now.saturating_add(timing.pause), cookies.next());
                    return Step::Wait;
                }
                read.give_up_or_pause(now, NEW_KEY_RETRIES, config)
            }
            Self::Set { write, attempts, read } => {
                let set = (read.sends == 0).then(|| {
                    *attempts += 1;
                    to(read.target, set(config.key, write))
                });
                Step::Send([set, Some(read.ask(now, config))])
            }
        }
    }

    /// Takes the answer to a read: `Some` if it ends the operation, else there is a next step now.
    pub(super) fn take_reply(
        &mut self,
        reply: &Reply,
        now: Duration,
        config: &Config,
        cookies: &mut Cookies,
    ) -> Result<Option<Event>, Ignored> {
        match self {
            Self::Scan { .. } | Self::Ping { .. } => Err(Ignored::Unasked),
            Self::Get(read) => {
                read.check(reply, config.cookies)?;
                let Access { register, data, .. } = reply.access;
                Ok(Some(Event::Value { register, data, sends: read.sends }))
            }
            Self::Set { write, attempts, read } => {
                read.check(reply, config.cookies)?;
                let (Write { register, data: wrote, mask }, attempts) = (*write, *attempts);
                let data = reply.access.data;
                if (data ^ wrote) & mask == 0 {
                    return Ok(Some(Event::Written { register, data, attempts }));
                }
                if attempts >= config.timing.set_attempts {
                    let mismatch = Failure::Mismatch { register, wrote, read: data, mask, attempts };
                    return Ok(Some(Event::Failed(mismatch)));
                }
                *read = read.anew(now, cookies.next());
                Ok(None)
            }
        }
    }

    /// Takes an echo; `Some` is the time it took a ping, `None` an answer to a scan.
    ///
    /// With the reply flag it is an answer whatever its cookie, since not every chip returns that.
    pub(super) fn take_echo(
        &self,
        src: MacAddr6,
        rep: Rep,
        now: Duration,
    ) -> Result<Option<Duration>, Ignored> {
        let (cookie, round_trip) = match self {
            Self::Get(_) | Self::Set { .. } => return Err(Ignored::Unasked),
            Self::Scan { cookie, .. } => (cookie, None),
            Self::Ping { target, .. } if *target != src => return Err(Ignored::OtherSource),
            Self::Ping { cookie, asked_at, .. } => (cookie, Some(now.saturating_sub(*asked_at))),
        };
        if rep.reply || rep.cookie == *cookie { Ok(round_trip) } else { Err(Ignored::OtherCookie) }
    }
}

impl Read {
    fn ask(&mut self, now: Duration, config: &Config) -> Outgoing {
        self.sends = self.sends.saturating_add(1);
        self.waiting = true;
        self.due = now.saturating_add(config.timing.reply);
        let access = Access { register: self.register, data: 0, cookie: self.cookie };
        to(self.target, Rrcp { key: self.key, op: Op::Get(access) })
    }

    fn give_up_or_pause(&mut self, now: Duration, retries: u16, config: &Config) -> Step {
        if self.sends > retries {
            return Step::Over(Event::Failed(Failure::NoAnswer { sends: self.sends }));
        }
        self.waiting = false;
        self.due = now.saturating_add(config.timing.pause);
        Step::Wait
    }

    /// The same question, to be asked at `due` as if for the first time.
    fn anew(&self, due: Duration, cookie: Cookie) -> Self {
        Self { cookie, sends: 0, waiting: false, due, ..*self }
    }

    /// Whether the reply is to this question.
    fn check(&self, reply: &Reply, policy: CookiePolicy) -> Result<(), Ignored> {
        let Access { register, cookie, .. } = reply.access;
        let no_cookie_is_fine = policy == CookiePolicy::OursOrNone && cookie == Cookie::NONE;
        if reply.src != self.target {
            Err(Ignored::OtherSource)
        } else if reply.key != self.key {
            Err(Ignored::OtherKey)
        } else if register != self.register {
            Err(Ignored::OtherRegister)
        } else if cookie != self.cookie && !no_cookie_is_fine {
            Err(Ignored::OtherCookie)
        } else {
            Ok(())
        }
    }
}

/// The message that writes a register.
pub(super) fn set(key: AuthKey, write: &Write) -> Rrcp {
    let access = Access { register: write.register, data: write.data, cookie: Cookie::NONE };
    Rrcp { key, op: Op::Set(access) }
}

fn to(dst: MacAddr6, message: impl Into<Message<'static>>) -> Outgoing {
    Outgoing { dst, message: message.into() }
}
