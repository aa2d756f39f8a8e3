//! What an operator chooses.

use core::time::Duration;

use macaddr::MacAddr6;

use super::probe::ProbeKey;

/// Settings of a [`LoopDetector`](super::LoopDetector).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Config {
    /// Source address of the probes; should be the switch's own and unique.
    pub mac: MacAddr6,
    /// A number that differs from boot to boot: random, or a counter in flash. It tells our probes
    /// from those of a switch with the same address, and seeds the jitter.
    pub nonce: u64,
    /// Among several detectors that hear one loop, the lower acts first; ties go to the lower
    /// address. As with a bridge priority, 0x8000 unless chosen.
    pub priority: u16,
    /// Signs our probes; without it anybody on the segment who saw one can fake the next.
    pub key: Option<ProbeKey>,
    /// What a loop leads to.
    pub action: Action,
    /// What a loop that changes the VLAN leads to. One such cable is a leak between two broadcast
    /// domains, two are a storm; H3C and Huawei act on it like on any loop, and so does the default.
    pub inter_vlan: Action,
    /// Periods and patience.
    pub timing: Timing,
}

impl Config {
    /// Blocks, signs nothing, default timing.
    pub const fn new(mac: MacAddr6, nonce: u64) -> Self {
        Self {
            mac,
            nonce,
            priority: 0x8000,
            key: None,
            action: Action::Block,
            inter_vlan: Action::Block,
            timing: Timing::DEFAULT,
        }
    }
}

/// What a detector does about a loop.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub enum Action {
    /// Block one port of it, and say so.
    #[default]
    Block,
    /// Say so: "listen-only", for networks in which something else cuts loops.
    Report,
}

/// Periods and patience of a [`LoopDetector`](super::LoopDetector).
///
/// [`idle`](Self::idle) and [`fast`](Self::fast) are promises, not intervals: a loop is blocked
/// within one period of closing. Rounds therefore start earlier, by [`RESERVE_SLOTS`] slots (time to
/// settle who acts) and up to a tenth of jitter (so that switches do not fall into step).
///
/// [`RESERVE_SLOTS`]: Self::RESERVE_SLOTS
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Timing {
    /// Period when nothing is wrong.
    pub idle: Duration,
    /// Period after a link came up, under suspicion and while a port is blocked.
    pub fast: Duration,
    /// How long the fast period lasts after its cause.
    pub fast_for: Duration,
    /// Longer than a frame needs around the network. Detectors that hear each other take turns in
    /// slots, so that one of them acts. Also the shortest time between two rounds.
    pub slot: Duration,
    /// A probe that returns later than this is no evidence.
    pub accept: Duration,
    /// Returns, in as many rounds, that a block needs; one more where only an uplink or excluded
    /// port could be blocked. 0 counts as 1.
    pub confirmations: u8,
    /// Periods without a return, with probes really sent and the link up, that end a block.
    pub silent_periods: u8,
    /// The longest hold: it doubles with each trip of a port from `silent_periods` periods on.
    pub hold_max: Duration,
    /// Trips of a port within an hour after which only an operator releases it; 0 latches the first.
    pub trips_per_hour: u8,
}

impl Timing {
    /// 5 s idle, 1 s fast for 10 s, 10 ms slots, 3 s window, one return blocks, three silent periods
    /// release, hold up to 5 min, ten trips an hour.
    ///
    /// One second in a loop and three seconds of silence are the classic chip's (RTL8316BP r1.2,
    /// 8.21); the window is that of batman-adv, whose bridge loop avoidance ignores later returns.
    pub const DEFAULT: Self = Self {
        idle: Duration::from_secs(5),
        fast: Duration::from_secs(1),
        fast_for: Duration::from_secs(10),
        slot: Duration::from_millis(10),
        accept: Duration::from_secs(3),
        confirmations: 1,
        silent_periods: 3,
        hold_max: Duration::from_secs(300),
        trips_per_hour: 10,
    };

    /// Slots at the end of a period that are kept for settling who acts.
    pub const RESERVE_SLOTS: u32 = 32;
    /// Most rounds that start within one fast period, whatever happens.
    pub const ROUNDS_PER_PERIOD: u8 = 64;

    /// Usable whatever the numbers: no interval is zero, and the reserve leaves half a period.
    pub(super) fn sane(self) -> Self {
        let floor = Duration::from_millis(1);
        let fast = self.fast.max(4 * floor);
        Self {
            fast,
            idle: self.idle.max(fast),
            slot: self.slot.min(fast / (2 * Self::RESERVE_SLOTS)).max(floor / 10),
            confirmations: self.confirmations.max(1),
            silent_periods: self.silent_periods.max(1),
            ..self
        }
    }
}

impl Default for Timing {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// Settings of one port.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct PortConfig {
    /// What the port is for.
    pub role: Role,
    /// Of two ports with one role, the one with the larger number is blocked; of two with the same
    /// priority, the one with the higher port number.
    pub priority: u8,
    /// Whether probes leave here; `false` towards a provider whose own protection would cut us off.
    pub transmit: bool,
    /// Whether the port may be blocked at all.
    pub block: bool,
}

impl PortConfig {
    /// An access port that probes and may be blocked.
    pub const DEFAULT: Self = Self { role: Role::Access, priority: 128, transmit: true, block: true };

    /// The default with another role.
    pub const fn with_role(role: Role) -> Self {
        Self { role, ..Self::DEFAULT }
    }
}

impl Default for PortConfig {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// What a port is for; the order is that in which ports are blocked.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Role {
    /// Hosts and small switches.
    #[default]
    Access,
    /// The way to the rest of the network: blocked only if no access port can break the loop.
    Uplink,
    /// Blocked after everything else.
    Excluded,
    /// A mirror's destination: copies that come in here say nothing, and no probe leaves.
    Monitor,
}
