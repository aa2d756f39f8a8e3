//! Random ports and frames that meet each other often.

use core::ops::Range;

/// xorshift64*.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        let mut random = Self(0x9E37_79B9_7F4A_7C15 ^ (seed + 1).wrapping_mul(0x0000_0100_0000_01B3));
        (0..8).for_each(|_| _ = random.next());
        random
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 8
    }

    pub(crate) fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    pub(crate) fn one_in(&mut self, chances: usize) -> bool {
        self.below(chances) == 0
    }

    pub(crate) fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())]
    }
}

const VIDS: [u16; 8] = [0, 1, 10, 20, 30, 40, 4094, 4095];

/// About so many ports, named `p1`, `p2`, ..., with their columns.
pub(crate) fn ports(random: &mut Random, count: Range<usize>) -> Vec<(String, Vec<String>)> {
    let count = count.start + random.below(count.len());
    (1..=count).map(|number| (format!("p{number}"), columns(random))).collect()
}

/// The name of one of them.
pub(crate) fn port(random: &mut Random, ports: &[(String, Vec<String>)]) -> String {
    ports[random.below(ports.len())].0.clone()
}

/// Columns of a port.
fn columns(random: &mut Random) -> Vec<String> {
    let modes = ["access", "access", "trunk", "native-tagged", "native-untagged", "dot1q-tunnel"];
    let mode = random.pick(&modes);
    let mut columns = vec![format!("vlan_mode={mode}")];
    if mode != "trunk" {
        columns.push(format!("tag={}", random.pick(&[10, 10, 20, 20, 30, 0, 4095])));
    }
    if random.one_in(2) {
        columns.push(format!("trunks={}", vids(random)));
    }
    if mode == "dot1q-tunnel" && random.one_in(2) {
        columns.push(format!("cvlans={}", vids(random)));
    }
    let priority_tags = random.pick(&["never", "never", "if-nonzero", "always"]);
    columns.push(format!("other_config:priority-tags={priority_tags}"));
    if random.one_in(4) {
        columns.push("protected=true".into());
    }
    columns.push(format!("other_config:qinq-ethtype={}", random.pick(&["802.1q", "802.1ad"])));
    columns
}

fn vids(random: &mut Random) -> String {
    let mut vids: Vec<_> = (0..=random.below(4)).map(|_| random.pick(&VIDS)).collect();
    vids.sort_unstable();
    vids.dedup();
    vids.iter().map(u16::to_string).collect::<Vec<_>>().join(",")
}

/// An address of one of six stations.
pub(crate) fn station(random: &mut Random) -> [u8; 6] {
    [2, 0, 0, 0, 0, random.below(6) as u8]
}

/// A VLAN that ports and frames often have.
pub(crate) fn vlan(random: &mut Random) -> u16 {
    random.pick(&VIDS)
}

/// A frame with up to three tags; now and then it ends early.
pub(crate) fn frame(random: &mut Random) -> Vec<u8> {
    let dst = match random.below(12) {
        0 | 1 => [0xFF; 6],
        2 => [1, 0, 0x5E, 0, 0, 1],
        3 => reserved(random),
        _ => station(random),
    };
    let src = match random.below(30) {
        0 => [3, 0, 0, 0, 0, 1],
        1 => [0; 6],
        _ => station(random),
    };
    let mut frame = [dst, src].concat();
    for _ in 0..random.pick(&[0, 0, 1, 1, 1, 2, 2, 3]) {
        frame.extend(random.pick(&[0x8100u16, 0x8100, 0x88A8]).to_be_bytes());
        let any = random.below(8) as u16;
        let (pcp, dei) = (random.pick(&[0, 0, any]), u16::from(random.one_in(3)));
        frame.extend((pcp << 13 | dei << 12 | random.pick(&VIDS)).to_be_bytes());
    }
    if random.one_in(12) {
        frame.extend(llc(random));
    } else {
        frame.extend(random.pick(&[0x0800u16, 0x0806, 0xABCD, 0x88CC, 0x9100]).to_be_bytes());
    }
    let header = frame.len();
    frame.extend((0..random.pick(&[0, 46, 46, 46, 80])).map(|n: u8| n));
    if random.one_in(40) {
        frame.truncate(14.max(header - random.below(6)));
    }
    frame
}

/// A length and an LLC header, mostly with SNAP, which may claim that a tag follows.
fn llc(random: &mut Random) -> Vec<u8> {
    let ether_type = random.pick(&[0x8100u16, 0x88A8, 0x0800, 0x0100]).to_be_bytes();
    let header = random.pick(&[[0xAA, 0xAA, 3, 0, 0, 0], [0xAA, 0xAA, 3, 0, 0, 1], [0x42, 0x42, 3, 0, 0, 0]]);
    let mut bytes = [&[0x00, 0x2E][..], &header, &ether_type].concat();
    bytes.truncate(random.pick(&[10, 10, 10, 10, 9, 8, 4]));
    bytes
}

/// An address that some bridge filters, or a neighbour of one.
fn reserved(random: &mut Random) -> [u8; 6] {
    let low = random.below(18) as u8;
    random.pick(&[
        [1, 0x80, 0xC2, 0, 0, low],
        [1, 0, 0x0C, 0xCC, 0xCC, 0xC0 | low],
        [1, 0, 0x0C, 0xCD, 0xCD, 0xCC | low],
        [0, 0xE0, 0x2B, 0, 0, low],
        [1, 0, 0x0C, 0, 0, low & 1],
    ])
}
