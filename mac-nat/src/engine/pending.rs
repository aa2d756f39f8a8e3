//! Short memories of what inside machines have asked, so that the answer finds its way back.

use alloc::vec;
use alloc::vec::Vec;

use vlan_table::PortId;

use crate::frame::Mac;
use crate::table::{Full, Key, Table};

/// Who asked.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asker {
    pub(crate) port: PortId,
    pub(crate) mac: Mac,
    until: u64,
}

/// Questions by key, each port with its share, each forgotten exactly at its time.
#[derive(Debug)]
pub(crate) struct Pending<K> {
    table: Table<K, Asker>,
    per_port: usize,
    /// Questions by port number.
    counts: Vec<u32>,
}

impl<K: Key> Pending<K> {
    pub(crate) fn new(capacity: usize, per_port: usize, seed: u64) -> Self {
        let counts = vec![0; usize::from(PortId::CAPACITY)];
        Self { table: Table::new(capacity, seed), per_port, counts }
    }

    /// Remembers the question until `until`. A later asker replaces an earlier one.
    pub(crate) fn note(&mut self, now: u64, key: K, port: PortId, mac: Mac, until: u64) -> Result<(), Full> {
        self.forget(&key);
        if self.count(port) >= self.per_port {
            self.expire(now);
        }
        if self.count(port) >= self.per_port {
            return Err(Full);
        }
        let asker = Asker { port, mac, until };
        let id = match self.table.insert(key, asker) {
            Ok(id) => id,
            Err(Full) => {
                self.expire(now);
                self.table.insert(key, asker)?
            }
        };
        self.table.set_deadline(id, until);
        if let Some(count) = self.counts.get_mut(port.index()) {
            *count += 1;
        }
        Ok(())
    }

    pub(crate) fn asker(&self, now: u64, key: &K) -> Option<Asker> {
        self.table.lookup(key).copied().filter(|asker| now < asker.until)
    }

    pub(crate) fn expire(&mut self, now: u64) {
        while let Some((_, _, key)) = self.table.next_deadline().filter(|(at, ..)| *at <= now) {
            self.forget(&key);
        }
    }

    pub(crate) fn flush(&mut self, port: PortId) {
        for key in self.table.keys(|asker| asker.port == port) {
            self.forget(&key);
        }
    }

    pub(crate) fn next_deadline(&self) -> Option<u64> {
        self.table.next_deadline().map(|(at, ..)| at)
    }

    fn count(&self, port: PortId) -> usize {
        self.counts.get(port.index()).map_or(usize::MAX, |count| *count as usize)
    }

    fn forget(&mut self, key: &K) {
        if let Some(asker) = self.table.remove(key)
            && let Some(count) = self.counts.get_mut(asker.port.index())
        {
            *count = count.saturating_sub(1);
        }
    }
}
