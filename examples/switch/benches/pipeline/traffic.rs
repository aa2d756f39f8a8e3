//! Frames in memory, made like real ones, and the orders in which they are visited.

/// Ports of the switch under test.
pub(crate) const PORTS: u16 = 16;
/// Bytes from one frame to the next: a cache line, the frame at its end.
pub(crate) const SLOT: usize = 64;
/// Free bytes in front of a frame, for one tag.
pub(crate) const HEADROOM: usize = 4;
/// Orders of visit: with fewer frames in a fixed order the branch predictor learns them.
const ORDERS: usize = 16;
/// VLANs in the tagged workload; `vid` is untagged on the ports `vid - 1` and `vid + 7`.
pub(crate) const VLANS: u16 = 8;

/// What to send.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Workload {
    /// Stations that talk to each other.
    pub(crate) stations: usize,
    /// Whether there are VLANs: half of the frames leave with another tagging than they came with.
    pub(crate) vlans: bool,
    /// Percentage of frames to addresses that nobody has.
    pub(crate) unknown: u32,
    /// Whether all frames are broadcasts.
    pub(crate) broadcast: bool,
}

/// A pool of frames, each with the port that it arrives on.
pub(crate) struct Traffic {
    pool: Vec<u8>,
    ports: Vec<u16>,
    orders: Vec<Vec<u32>>,
    next: usize,
    /// The first frame of every station, for the warm-up: port and frame.
    pub(crate) introductions: Vec<(u16, [u8; 60])>,
}

/// A station: its address, its port, and its VLAN (0 if there are none).
#[derive(Clone, Copy)]
struct Station {
    mac: [u8; 6],
    port: u16,
    vid: u16,
}

impl Traffic {
    pub(crate) fn new(workload: Workload) -> Self {
        let mut random = Random(0x9E37_79B9_7F4A_7C15);
        let stations: Vec<Station> =
            (0..workload.stations).map(|n| station(n, workload, &mut random)).collect();
        // As many frames as fit into 1 MiB, or 16 MiB where the stations would not all appear.
        let frames = if workload.stations > 100_000 { 1 << 18 } else { 1 << 14 };
        let mut traffic = Self {
            pool: vec![0; frames * SLOT],
            ports: Vec::new(),
            orders: Vec::new(),
            next: 0,
            introductions: stations.iter().map(|s| (s.port, frame(*s, [0xFF; 6], 0))).collect(),
        };
        for slot in traffic.pool.chunks_exact_mut(SLOT) {
            let from = stations[random.below(stations.len())];
            let to = loop {
                let to = stations[random.below(stations.len())];
                if to.port != from.port && to.vid == from.vid {
                    break to.mac;
                }
            };
            let unknown = (random.below(100) as u32) < workload.unknown;
            let dst = match (workload.broadcast, unknown) {
                (true, _) => [0xFF; 6],
                (_, true) => [0x06, 1, 2, 3, random.next() as u8, random.next() as u8],
                _ => to,
            };
            slot[HEADROOM..].copy_from_slice(&frame(from, dst, random.next()));
            traffic.ports.push(from.port);
        }
        for _ in 0..ORDERS {
            let mut order: Vec<u32> = (0..frames as u32).collect();
            for last in (1..frames).rev() {
                order.swap(last, random.below(last + 1));
            }
            traffic.orders.push(order);
        }
        traffic
    }

    /// Frames in the pool.
    pub(crate) fn len(&self) -> usize {
        self.ports.len()
    }

    /// Every frame once, in the next order: port and slot.
    pub(crate) fn round(&mut self) -> impl Iterator<Item = (u16, &[u8; SLOT])> {
        self.next = (self.next + 1) % ORDERS;
        let (slots, _) = self.pool.as_chunks::<SLOT>();
        let ports = &self.ports;
        self.orders[self.next].iter().map(move |n| (ports[*n as usize], &slots[*n as usize]))
    }
}

/// Addresses as they occur: 64 vendors, a quarter virtual machines, runs of neighbours.
fn station(number: usize, workload: Workload, random: &mut Random) -> Station {
    let run = (number / 8) as u32;
    let vendor = (run.wrapping_mul(0x9E37_79B9) >> 16) % 64;
    let serial = (run.wrapping_mul(0x85EB_CA6B) & 0x001F_FFFF) * 8 + number as u32 % 8;
    let [_, a, b, c] = serial.to_be_bytes();
    // Different runs never meet: the high bits of the run are in the third octet.
    let high = (run >> 21) as u8;
    let mac = if run.is_multiple_of(4) {
        [0xFA, 0x16, 0x3E ^ high, a, b, c]
    } else {
        [0, 0x1B, vendor as u8 ^ high, a, b, c]
    };
    let port = random.below(usize::from(PORTS)) as u16;
    let vid = match workload.vlans {
        false => 0,
        // Half of the stations are on a port where their VLAN is untagged.
        true if random.next() & 1 == 0 => port % VLANS + 1,
        true => loop {
            let vid = random.below(usize::from(VLANS)) as u16 + 1;
            if vid != port % VLANS + 1 {
                break vid;
            }
        },
    };
    Station { mac, port, vid }
}

/// A frame of 60 bytes, tagged unless its port is in the untagged set of its VLAN.
fn frame(from: Station, dst: [u8; 6], payload: u64) -> [u8; 60] {
    let mut bytes = Vec::with_capacity(64);
    bytes.extend(dst);
    bytes.extend(from.mac);
    if from.vid != 0 && from.vid != from.port % VLANS + 1 {
        bytes.extend([0x81, 0x00, 0x00, from.vid as u8]);
    }
    bytes.extend([0x08, 0x00]);
    bytes.extend(payload.to_be_bytes());
    bytes.resize(60, 0);
    bytes.try_into().unwrap()
}

/// xorshift64*.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 8
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }
}
