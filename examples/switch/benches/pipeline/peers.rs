//! What ours is measured against.
//!
//! The peers do less: no ageing, no limits, no events, no counters, no storm control, no reserved
//! addresses. [`Bound`] does nothing that a switch must do but touch the same memory: stations are
//! numbered, so there is nothing to search and nothing to verify.

use std::hash::BuildHasher;
use std::sync::{Arc, Mutex};

use etherparse::{Ethernet2HeaderSlice, SingleVlanHeaderSlice};
use hashbrown::hash_map::Entry;

use crate::traffic::{PORTS, SLOT, VLANS};

/// A tag operation, as the peers know them.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Tagging {
    Keep,
    Push(u16),
    Pop,
}

/// A learning switch of an Ethernet parser and a hash map, as one would write it.
pub(crate) struct Composed<S> {
    stations: hashbrown::HashMap<u64, Seen, S>,
    pvid: [u16; PORTS as usize],
    members: Vec<u64>,
    untagged: Vec<u64>,
}

#[derive(Clone, Copy)]
struct Seen {
    port: u16,
    at: u32,
}

impl<S: BuildHasher + Default> Composed<S> {
    pub(crate) fn new() -> Self {
        let mut untagged = vec![0; 4096];
        for vid in 1..=VLANS {
            untagged[usize::from(vid)] = 1 << (vid - 1) | 1 << (vid - 1 + VLANS);
        }
        Self {
            stations: hashbrown::HashMap::default(),
            pvid: std::array::from_fn(|port| port as u16 % VLANS + 1),
            members: vec![(1 << PORTS) - 1; 4096],
            untagged,
        }
    }

    /// Learns, looks up; returns the ports that the frame goes to and how it is tagged on the first.
    #[inline]
    pub(crate) fn forward(&mut self, now: u32, port: u16, frame: &[u8]) -> (u64, Tagging) {
        let Ok(ethernet) = Ethernet2HeaderSlice::from_slice(frame) else { return (0, Tagging::Keep) };
        let mut tagged = None;
        if ethernet.ether_type() == etherparse::ether_type::VLAN_TAGGED_FRAME {
            let Ok(tag) = SingleVlanHeaderSlice::from_slice(&frame[14..]) else { return (0, Tagging::Keep) };
            tagged = Some(tag.vlan_identifier().value());
        }
        let vid = match tagged {
            Some(vid) if vid != 0 => vid,
            _ => self.pvid[usize::from(port)],
        };
        let members = self.members[usize::from(vid)];
        if members >> port & 1 == 0 {
            return (0, Tagging::Keep);
        }
        match self.stations.entry(key(vid, ethernet.source())) {
            Entry::Occupied(mut seen) => *seen.get_mut() = Seen { port, at: now },
            Entry::Vacant(free) => _ = free.insert(Seen { port, at: now }),
        }
        let dst = ethernet.destination();
        let to = if dst[0] & 1 == 1 { None } else { self.stations.get(&key(vid, dst)) };
        let ports = match to {
            Some(seen) if seen.at <= now => 1 << seen.port,
            _ => members,
        } & !(1 << port);
        let first = ports.trailing_zeros() & 63;
        let tagging = match (self.untagged[usize::from(vid)] >> first & 1 == 1, tagged) {
            (true, Some(_)) => Tagging::Pop,
            (false, None) => Tagging::Push(vid),
            _ => Tagging::Keep,
        };
        (ports, tagging)
    }
}

#[inline]
fn key(vid: u16, mac: [u8; 6]) -> u64 {
    let [a, b, c, d, e, f] = mac;
    u64::from_be_bytes([0, 0, a, b, c, d, e, f]) | u64::from(vid) << 48
}

/// Changes the tags of a frame with four bytes of headroom, and returns where it starts now.
#[inline]
pub(crate) fn retag(tagging: Tagging, slot: &mut [u8; SLOT]) -> usize {
    match tagging {
        Tagging::Keep => 4,
        Tagging::Push(vid) => {
            slot.copy_within(4..16, 0);
            slot[12..14].copy_from_slice(&[0x81, 0x00]);
            slot[14..16].copy_from_slice(&vid.to_be_bytes());
            0
        }
        Tagging::Pop => {
            slot.copy_within(4..16, 8);
            8
        }
    }
}

/// The lower bound: parse, one row of a table for the source, one for the destination.
pub(crate) struct Bound {
    ports: Vec<[u16; 4]>,
    mask: usize,
    multiplier: u64,
}

impl Bound {
    pub(crate) fn new(stations: usize) -> Self {
        let rows = stations.next_power_of_two() * 2;
        Self { ports: vec![[0; 4]; rows], mask: rows - 1, multiplier: 0x9E37_79B9_7F4A_7C15 }
    }

    #[inline]
    pub(crate) fn forward(&mut self, now: u16, port: u16, frame: &[u8]) -> u64 {
        let Some(header) = frame.first_chunk::<16>() else { return 0 };
        let [dst, src] = [0, 4].map(|at| u64::from_be_bytes(header[at..at + 8].try_into().unwrap()));
        let row = |mac: u64| (mac.wrapping_mul(self.multiplier) >> 32) as usize & self.mask;
        let (src, dst) = (row(src & 0xFFFF_FFFF_FFFF), row(dst >> 16));
        self.ports[src] = [port, now, 0, 0];
        1 << (self.ports[dst][0] & 63) & !(1 << port)
    }
}

/// pktkit's hub with a device for each port that counts what it gets.
pub(crate) struct PktkitHub {
    hub: Arc<pktkit::L2Hub>,
    ports: Vec<(Arc<Device>, pktkit::L2HubHandle)>,
}

#[derive(Default)]
struct Device {
    handler: Mutex<Option<pktkit::L2Handler>>,
    sent: std::sync::atomic::AtomicU64,
}

impl pktkit::L2Device for Device {
    fn set_handler(&self, handler: pktkit::L2Handler) {
        *self.handler.lock().unwrap() = Some(handler);
    }

    fn send(&self, frame: &pktkit::Frame) -> pktkit::Result<()> {
        self.sent.fetch_add(frame.as_bytes().len() as u64, std::sync::atomic::Ordering::Relaxed);
        Ok(())
    }

    fn hw_addr(&self) -> pktkit::MacAddr {
        pktkit::MacAddr::default()
    }

    fn close(&self) -> pktkit::Result<()> {
        Ok(())
    }
}

impl PktkitHub {
    pub(crate) fn new(vlans: bool) -> Self {
        let hub = Arc::new(pktkit::L2Hub::new());
        let ports = (0..PORTS).map(|port| {
            let device = Arc::new(Device::default());
            let handle = hub.connect_arc(device.clone());
            hub.set_port_mac_limit(&handle, None);
            if vlans {
                let allowed = pktkit::VlanSet::from_ids(1..=VLANS);
                hub.set_port_mode(
                    &handle,
                    pktkit::PortMode::Trunk { allowed, native: Some(port % VLANS + 1) },
                );
            }
            (device, handle)
        });
        Self { ports: ports.collect(), hub }
    }

    /// The handlers, taken out of their locks once.
    pub(crate) fn handlers(&self) -> Vec<pktkit::L2Handler> {
        self.ports.iter().map(|(device, _)| device.handler.lock().unwrap().clone().unwrap()).collect()
    }

    pub(crate) fn stations(&self) -> usize {
        self.hub.mac_table_len()
    }
}
