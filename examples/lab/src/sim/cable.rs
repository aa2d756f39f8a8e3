//! Cables: delay, speed, a queue that can fill up, loss, and plugs that can be pulled.

use core::time::Duration;

use vlan_table::PortId;

/// What a plug is put into.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum End {
    /// A switch and its port.
    Switch(usize, PortId),
    /// A host; it has one jack.
    Host(usize),
}

/// A full-duplex cable with a transmit queue at each end.
#[derive(Debug)]
pub(crate) struct Cable {
    pub(crate) name: String,
    pub(crate) ends: [End; 2],
    pub(crate) plugged: bool,
    pub(crate) quality: Quality,
    /// When the transmitter at each end will have sent what overtakes, and all it has.
    free_at: [[Duration; 2]; 2],
    pub(crate) counters: Counters,
}

/// Which frames go first.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Order {
    /// One after the other, as long as the queue has room.
    InTurn,
    /// Before all that waits in turn, as long as the queue has room.
    Overtaking,
    /// The same, whatever the queue holds: a switch's own, which are few.
    Always,
}

/// What a cable does to frames.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Quality {
    pub(crate) delay: Duration,
    /// Megabits per second.
    pub(crate) mbit: u32,
    /// Frames of 1518 bytes that wait at a transmitter before it discards.
    pub(crate) queue: u32,
    /// Share of frames that are lost, 0 to 1.
    pub(crate) loss: f64,
}

impl Default for Quality {
    /// A short cable between Fast Ethernet ports.
    fn default() -> Self {
        Self { delay: Duration::from_nanos(500), mbit: 100, queue: 64, loss: 0.0 }
    }
}

/// Frames on a cable, both directions together.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, serde::Serialize)]
pub struct Counters {
    /// Frames that reached the other end.
    pub carried: u64,
    /// Frames that found the transmit queue full.
    pub queue_full: u64,
    /// Frames that the cable lost.
    pub lost: u64,
}

/// Preamble, start delimiter, FCS and inter-frame gap, in bytes (IEEE 802.3, clauses 3 and 4).
const OVERHEAD: usize = 8 + 4 + 12;
const LONGEST: u32 = 1518;

impl Cable {
    pub(crate) fn new(name: String, ends: [End; 2], plugged: bool, quality: Quality) -> Self {
        let free_at = [[Duration::ZERO; 2]; 2];
        Self { name, ends, plugged, quality, free_at, counters: Counters::default() }
    }

    /// Starts to send `len` bytes from `end`; the time when the other end has them, or `None` if
    /// they get lost. `chance` is a random number in 0..1.
    pub(crate) fn send(
        &mut self,
        now: Duration,
        end: usize,
        len: usize,
        order: Order,
        chance: f64,
    ) -> Option<Duration> {
        let [first, all] = self.free_at.get_mut(end)?;
        let free_at = if order == Order::InTurn { *all } else { *first }.max(now);
        let room = time_on_wire(self.quality.mbit, LONGEST as usize) * self.quality.queue;
        if order != Order::Always && free_at - now > room {
            self.counters.queue_full += 1;
            return None;
        }
        let time = time_on_wire(self.quality.mbit, len);
        if order != Order::InTurn {
            *first = free_at + time;
        }
        *all = (*all).max(now) + time;
        if chance < self.quality.loss {
            self.counters.lost += 1;
            return None;
        }
        self.counters.carried += 1;
        Some(free_at + time + self.quality.delay)
    }
}

fn time_on_wire(mbit: u32, len: usize) -> Duration {
    let bits = (len.max(vlan_table::frame::MIN_LEN) + OVERHEAD) as u64 * 8;
    Duration::from_nanos(bits * 1000 / u64::from(mbit.max(1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cable(loss: f64) -> Cable {
        let quality = Quality { delay: Duration::from_nanos(500), mbit: 100, queue: 1, loss };
        Cable::new("c".into(), [End::Host(0), End::Host(1)], true, quality)
    }

    #[test]
    fn a_frame_takes_its_time_on_the_wire_and_the_next_one_waits() {
        let mut cable = cable(0.0);
        // 60 + 24 bytes are 672 bits, 6.72 us at 100 Mbit/s.
        assert_eq!(cable.send(Duration::ZERO, 0, 60, Order::InTurn, 0.5), Some(Duration::from_nanos(7_220)));
        assert_eq!(cable.send(Duration::ZERO, 0, 60, Order::InTurn, 0.5), Some(Duration::from_nanos(13_940)));
        assert_eq!(
            cable.send(Duration::ZERO, 1, 60, Order::InTurn, 0.5),
            Some(Duration::from_nanos(7_220)),
            "full duplex"
        );
    }

    #[test]
    fn what_overtakes_waits_for_its_like_only_and_what_always_goes_for_no_queue() {
        let mut cable = cable(0.0);
        for _ in 0..1000 {
            cable.send(Duration::ZERO, 0, 60, Order::InTurn, 0.5);
        }
        let mut send = |order| cable.send(Duration::ZERO, 0, 60, order, 0.5);
        assert_eq!(send(Order::InTurn), None, "the queue is full");
        assert_eq!(send(Order::Overtaking), Some(Duration::from_nanos(7_220)));
        assert_eq!(send(Order::Always), Some(Duration::from_nanos(13_940)));
        while send(Order::Overtaking).is_some() {}
        assert!(send(Order::Always).is_some());
    }

    #[test]
    fn every_frame_is_carried_lost_or_finds_the_queue_full() {
        let mut cable = cable(0.25);
        for n in 0..1000 {
            cable.send(Duration::ZERO, 0, 60, Order::InTurn, f64::from(n * 37 % 100) / 100.0);
        }
        let Counters { carried, queue_full, lost } = cable.counters;
        assert_eq!(carried + queue_full + lost, 1000);
        assert!(carried > 0 && queue_full > 900 && lost > 0, "{:?}", cable.counters);
    }
}
