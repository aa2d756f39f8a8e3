//! The table of the smallest chips: a direct map and, for what collides there, a small CAM.

use super::slots::{Slot, Slots, sweep};
use super::{Place, Store, sealed};
use crate::Key;
use crate::entry::Record;
use crate::flush::FlushSlot;

/// 1024 places indexed by the low ten bits of the MAC address, and a 16-entry CAM behind them
/// (RTL8305SB datasheet, 7.1.6 and 7.1.7; that the RTL8305SC has the same is inferred from its API).
///
/// The index is not hashed: addresses in a row never collide, addresses that differ only above bit 9
/// always do. The chip keeps no FID; use [`Fid::SHARED`](crate::Fid::SHARED) to be like it. About 12.5 KiB.
///
/// ```
/// use fdb::{Config, DirectCam, Fdb};
///
/// let fdb = Fdb::new(DirectCam::new(), Config::REALTEK);
/// assert_eq!(fdb.capacity(), 1040);
/// ```
#[derive(Clone, Debug)]
pub struct DirectCam {
    direct: [Slot; DIRECT],
    cam: [Slot; CAM],
}

const DIRECT: usize = 1024;
const CAM: usize = 16;

impl DirectCam {
    /// An empty table.
    pub const fn new() -> Self {
        Self { direct: [None; DIRECT], cam: [None; CAM] }
    }
}

impl Default for DirectCam {
    fn default() -> Self {
        Self::new()
    }
}

/// MAC bits 9..0, for example 12-34-56-78-90-AB at 0x0AB.
fn index(key: Key) -> Place {
    key.bits48() as u32 % DIRECT as u32
}

impl sealed::Sealed for DirectCam {}

impl Slots for DirectCam {
    fn slot(&self, place: Place) -> Option<&Slot> {
        self.direct.iter().chain(&self.cam).nth(place as usize)
    }

    fn slot_mut(&mut self, place: Place) -> Option<&mut Slot> {
        match (place as usize).checked_sub(DIRECT) {
            None => self.direct.get_mut(place as usize),
            Some(in_cam) => self.cam.get_mut(in_cam),
        }
    }
}

impl Store for DirectCam {
    const PORTS: u16 = 64;
    const FIDS: u16 = 64;
    type Tally = [u32; 64];
    type Flushes = [FlushSlot; 16];

    fn capacity(&self) -> u32 {
        self.places()
    }

    fn places(&self) -> u32 {
        (DIRECT + CAM) as u32
    }

    fn find(&self, key: Key) -> (Place, Record) {
        let mut number = 0;
        while let Some(place) = self.rival(key, number) {
            match self.slot(place) {
                Some(Some((found, record))) if *found == key => return (place, *record),
                _ => number += 1,
            }
        }
        (0, Record::FREE)
    }

    fn at(&self, place: Place) -> Option<(Key, Record)> {
        self.slot(place).copied().flatten()
    }

    fn set(&mut self, place: Place, record: Record) {
        self.replace(place, record);
    }

    fn insert(&mut self, key: Key, record: Record) -> Option<Place> {
        self.fill(key, record)
    }

    fn remove(&mut self, place: Place) {
        self.free(place);
    }

    fn rival(&self, key: Key, number: u32) -> Option<Place> {
        match number {
            0 => Some(index(key)),
            in_cam if in_cam <= CAM as u32 => Some(DIRECT as u32 + in_cam - 1),
            _ => None,
        }
    }

    fn sweep(&mut self, quick: impl FnMut(Record) -> bool, judge: impl FnMut(Key, Record) -> Option<Record>) {
        sweep(self.direct.iter_mut().chain(&mut self.cam), quick, judge);
    }

    fn tally(&self) -> Self::Tally {
        [0; 64]
    }

    fn flushes(&self) -> Self::Flushes {
        [FlushSlot::EMPTY; 16]
    }
}
