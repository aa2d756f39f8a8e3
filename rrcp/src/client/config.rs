//! What a client is told: who asks, how patiently, whom, and what to write.

use core::time::Duration;

use macaddr::MacAddr6;
use vlan_table::Tag;

use crate::wire::{AuthKey, RegisterAddress};

/// Who asks, and how.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Config {
    /// The asking station: source of requests, destination of replies.
    pub mac: MacAddr6,
    /// The tag of requests; replies must be in the same VLAN.
    pub tag: Option<Tag>,
    /// The key that switches expect.
    pub key: AuthKey,
    /// How long to wait, how often to ask.
    pub timing: Timing,
    /// Whether a reply without our cookie may count.
    pub cookies: CookiePolicy,
}

impl Config {
    /// A station with the default key and timing, untagged, that insists on cookies.
    pub const fn new(mac: MacAddr6) -> Self {
        Self {
            mac,
            tag: None,
            key: AuthKey::DEFAULT,
            timing: Timing::DEFAULT,
            cookies: CookiePolicy::Required,
        }
    }
}

/// How long a client waits and how often it asks.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Timing {
    /// Wait for an answer to one request.
    pub reply: Duration,
    /// Pause before a request is repeated.
    pub pause: Duration,
    /// Repetitions of a read; a switch that is busy drops requests.
    pub read_retries: u16,
    /// Attempts to set a register until it reads back as written.
    pub set_attempts: u16,
    /// Wait for an echo.
    pub ping: Duration,
    /// Hellos of a scan.
    pub scan_rounds: u16,
    /// Wait for answers to one of them.
    pub scan_round: Duration,
}

impl Timing {
    /// What works on real switches (OpenRRCP, `rrcp_io.c`); the rounds of a scan are ours.
    pub const DEFAULT: Self = Self {
        reply: Duration::from_millis(500),
        pause: Duration::from_millis(100),
        read_retries: 10,
        set_attempts: 3,
        ping: Duration::from_secs(1),
        scan_rounds: 3,
        scan_round: Duration::from_millis(500),
    };
}

impl Default for Timing {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// Whether a switch must return the cookie of a request. It is known that chips do (OpenRRCP
/// relies on it), but not of every chip.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum CookiePolicy {
    /// Only our cookie makes a reply ours.
    #[default]
    Required,
    /// A reply without cookie counts as well: late answers to older questions may slip in.
    OursOrNone,
}

/// A value for a register.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Write {
    /// Which register.
    pub register: RegisterAddress,
    /// All of its bits.
    pub data: u32,
    /// Bits that must read back as written; others may be read-only or change by themselves.
    pub mask: u32,
}

impl Write {
    /// A value of which all 16 bits must read back.
    pub const fn new(register: RegisterAddress, data: u16) -> Self {
        Self { register, data: data as u32, mask: 0xFFFF }
    }
}

/// Whom an operation is about.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Target {
    /// Address of the switch.
    pub mac: MacAddr6,
    /// Its port that faces us, from its hello reply; `None` if nobody asked. See
    /// [`Danger`](super::Danger).
    pub port: Option<u8>,
}

impl From<MacAddr6> for Target {
    fn from(mac: MacAddr6) -> Self {
        Self { mac, port: None }
    }
}
