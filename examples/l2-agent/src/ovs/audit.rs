//! Reading all flows beside everything else, so that no change has to wait for it.
//!
//! A restarted daemon is known by its new sockets; what a person did with `ovs-ofctl` nobody tells.

use std::collections::{BTreeMap, BTreeSet};
use std::thread::JoinHandle;

use super::flows::FlowSocket;
use crate::flow::{Flow, differences};

/// Flows of bridges on their way.
#[derive(Debug)]
pub(super) struct Audit {
    reader: JoinHandle<BTreeMap<String, Option<BTreeSet<Flow>>>>,
    /// What the agent itself changed since the reader began: it may have seen that or not.
    changed: BTreeSet<Flow>,
}

impl Audit {
    /// Begins to read.
    pub(super) fn begin(sockets: Vec<(String, FlowSocket)>) -> Self {
        let read = move || sockets.into_iter().map(|(bridge, socket)| (bridge, socket.dump().ok())).collect();
        Self { reader: std::thread::spawn(read), changed: BTreeSet::new() }
    }

    pub(super) fn is_finished(&self) -> bool {
        self.reader.is_finished()
    }

    /// Says that the agent changed these flows.
    pub(super) fn note<'a>(&mut self, flows: impl Iterator<Item = &'a Flow>) {
        self.changed.extend(flows.cloned());
    }

    /// Corrects what is `known` of each bridge by what was read; flows that are the same stay the
    /// same copies. The bridges that could not be read.
    pub(super) fn finish(self, mut known: BTreeMap<&str, &mut BTreeSet<Flow>>) -> Vec<String> {
        let mut unread = Vec::new();
        for (bridge, read) in self.reader.join().unwrap_or_default() {
            let Some(read) = read else {
                unread.push(bridge);
                continue;
            };
            let Some(known) = known.get_mut(bridge.as_str()) else { continue };
            let (gone, new) = differences(&**known, &read);
            let certain = |flow: &Flow| !self.changed.contains(flow);
            gone.iter().filter(|flow| certain(flow)).for_each(|flow| _ = known.remove(flow));
            known.extend(new.into_iter().filter(certain));
        }
        unread
    }
}
