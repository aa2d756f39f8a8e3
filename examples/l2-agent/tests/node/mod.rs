//! The simulated and the real switch, as what frames can be sent through.

use l2_agent::sim::SimSwitch;
use private_ovs::{Frames, PrivateOvs};

/// A node that frames can be sent through.
pub(crate) trait Node {
    /// What leaves it, by port, when `frame` comes in on `port`.
    fn send(&mut self, port: &str, frame: &[u8]) -> Frames;
}

impl Node for SimSwitch {
    fn send(&mut self, port: &str, frame: &[u8]) -> Frames {
        Self::send(self, port, frame)
    }
}

impl Node for PrivateOvs {
    fn send(&mut self, port: &str, frame: &[u8]) -> Frames {
        self.exchange(port, frame)
    }
}
