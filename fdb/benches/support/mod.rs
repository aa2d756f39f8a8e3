//! Addresses, query streams and peers that the benches share.
#![allow(dead_code, clippy::unwrap_used, clippy::indexing_slicing)]

use std::collections::HashMap;

use fdb::{Config, Fdb, Fid, HashTable, Key, MacAddr6, PortId};

pub(crate) const SIZES: [usize; 4] = [1 << 10, 1 << 14, 1 << 18, 1 << 20];
/// Longer than branch predictors can learn.
pub(crate) const QUERIES: usize = 1 << 17;
pub(crate) const PORTS: u64 = 48;
/// When everything is learned and looked up, unless time is to pass.
pub(crate) const NOW: std::time::Duration = std::time::Duration::from_secs(1);

pub(crate) type FxMap = HashMap<u64, u64, rustc_hash::FxBuildHasher>;
pub(crate) type FoldMap = hashbrown::HashMap<u64, u64, foldhash::fast::RandomState>;

/// SplitMix64 (Steele, Lea, Flood 2014).
#[derive(Clone)]
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let x = (self.0 ^ self.0 >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let x = (x ^ x >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        x ^ x >> 31
    }

    pub(crate) fn below(&mut self, limit: usize) -> usize {
        ((u128::from(self.next()) * limit as u128) >> 64) as usize
    }
}

/// `count` different keys as networks have them: 64 makers' prefixes, a quarter OpenStack's
/// fa:16:3e, runs of up to 16 neighbours, 32 VLANs.
pub(crate) fn keys(count: usize, seed: u64) -> Vec<Key> {
    let mut random = Random(seed);
    let makers: Vec<u64> = (0..64).map(|_| random.next() & 0x00FC_FFFF).collect();
    let mut seen = std::collections::HashSet::new();
    let mut keys = Vec::with_capacity(count);
    while keys.len() < count {
        let maker = if random.below(4) == 0 { 0xFA_163E } else { makers[random.below(64)] };
        let (fid, start) = (1 + random.below(32) as u16, random.next() & 0xFF_FFFF);
        for step in 0..=random.below(16) as u64 {
            let mac = maker << 24 | (start + step) & 0xFF_FFFF;
            let [_, _, mac @ ..] = mac.to_be_bytes();
            let key = Key::new(Fid::new(fid).unwrap(), MacAddr6::from(mac));
            if key.is_station() && keys.len() < count && seen.insert(key) {
                keys.push(key);
            }
        }
    }
    // in the order of arrival, not of numbering
    for i in (1..keys.len()).rev() {
        keys.swap(i, random.below(i + 1));
    }
    keys
}

/// The key as one number, as a peer would have it.
pub(crate) fn number(key: Key) -> u64 {
    let [a, b, c, d, e, f] = key.mac().into_array();
    u64::from(key.fid().get()) << 48 | u64::from_be_bytes([0, 0, a, b, c, d, e, f])
}

pub(crate) fn port(random: &mut Random) -> PortId {
    PortId::new((random.next() % PORTS) as u16).unwrap()
}

/// Everything that one size of table is measured with.
pub(crate) struct Case {
    pub(crate) keys: Vec<Key>,
    /// As many keys that are in no table.
    pub(crate) strangers: Vec<Key>,
    pub(crate) ports: Vec<PortId>,
}

impl Case {
    pub(crate) fn new(size: usize) -> Self {
        let mut random = Random(7);
        let mut keys = keys(2 * size, 42);
        let strangers = keys.split_off(size);
        let ports = keys.iter().map(|_| port(&mut random)).collect();
        Self { keys, strangers, ports }
    }

    pub(crate) fn fdb(&self, config: Config) -> Fdb<HashTable> {
        let size = self.keys.len() as u32;
        let mut fdb = Fdb::new(HashTable::new(size, [0x243f_6a88_85a3_08d3, 0x1319_8a2e_0370_7344]), config);
        for (key, port) in self.keys.iter().zip(&self.ports) {
            fdb.learn(NOW, *key, *port).unwrap();
        }
        fdb
    }

    pub(crate) fn fx(&self) -> FxMap {
        self.fill(FxMap::default())
    }

    pub(crate) fn fold(&self) -> FoldMap {
        self.fill(FoldMap::default())
    }

    pub(crate) fn fill<M: Extend<(u64, u64)>>(&self, mut map: M) -> M {
        let values = self.ports.iter().map(|port| u64::from(port.get()));
        map.extend(self.keys.iter().map(|key| number(*key)).zip(values));
        map
    }

    /// Random known keys with the ports that they are on.
    pub(crate) fn hits(&self) -> Vec<(Key, PortId)> {
        let mut random = Random(99);
        (0..QUERIES)
            .map(|_| {
                let index = random.below(self.keys.len());
                (self.keys[index], self.ports[index])
            })
            .collect()
    }

    /// Known and unknown keys, by the toss of a coin.
    pub(crate) fn half_hits(&self) -> Vec<Key> {
        let mut random = Random(101);
        let both = [&self.keys, &self.strangers];
        (0..QUERIES).map(|_| both[random.below(2)][random.below(self.keys.len())]).collect()
    }
}
