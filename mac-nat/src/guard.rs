//! The last check before the wire: no frame leaves with a MAC that the provider does not know.
//!
//! Independent of the engine, so that it can stand behind any other translation, or behind none.

use alloc::collections::BTreeSet;

use macaddr::MacAddr6;

use crate::DropReason;
use crate::frame::{Arp, Body, Header, Ipv6, Mac, Upper6};

/// Checks outgoing frames against a set of allowed source MACs.
///
/// A frame passes if it is ARP, RARP, IPv4, IPv6 or Wake-on-LAN, and every MAC that tells the
/// provider who sent it is in the set: the Ethernet source, the ARP sender, the ARP target unless
/// it is the receiver or nobody, and every link-layer address option of neighbour discovery. What
/// cannot be read does not pass.
///
/// ```
/// use mac_nat::{Guard, MacAddr6, Violation};
///
/// let nic = MacAddr6::new(0x52, 0x54, 0, 0xAA, 0, 1);
/// let guard = Guard::new([nic]);
/// let mut frame = vec![0; 60];
/// frame[..12].copy_from_slice(&[0, 7, 0xB4, 0, 0, 2, 0xFA, 0x16, 0x3E, 0, 0, 1]);
/// let vm = MacAddr6::new(0xFA, 0x16, 0x3E, 0, 0, 1);
/// assert_eq!(guard.check(&frame), Err(Violation::Source(vm)));
/// ```
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Guard {
    allowed: BTreeSet<Mac>,
}

/// Why a frame must not leave.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Violation {
    /// The Ethernet source.
    #[error("source MAC {0} is not allowed on the wire")]
    Source(MacAddr6),
    /// The sender of an ARP or RARP message.
    #[error("ARP sender {0} is not allowed on the wire")]
    ArpSender(MacAddr6),
    /// The target of an ARP or RARP message, which is not the receiver.
    #[error("ARP target {0} is not allowed on the wire")]
    ArpTarget(MacAddr6),
    /// A link-layer address option.
    #[error("neighbour discovery option with {0} is not allowed on the wire")]
    NdOption(MacAddr6),
    /// The frame is of a kind that cannot be checked.
    #[error("frame cannot be checked: {0}")]
    Unreadable(DropReason),
}

impl Guard {
    /// Only these MACs may leave.
    pub fn new(allowed: impl IntoIterator<Item = MacAddr6>) -> Self {
        Self { allowed: allowed.into_iter().map(MacAddr6::into_array).collect() }
    }

    /// Whether the frame may leave. O(log n) in the number of MACs, no allocation.
    ///
    /// # Errors
    /// [`Violation`] with the first MAC that must not be seen outside.
    pub fn check(&self, frame: &[u8]) -> Result<(), Violation> {
        let header = Header::new(frame).map_err(Violation::Unreadable)?;
        self.admit(header.src, Violation::Source)?;
        match Body::new(frame, &header).map_err(Violation::Unreadable)? {
            Body::Arp(arp) | Body::Rarp(arp) => self.check_arp(&header, &arp),
            Body::Ipv6(Ipv6 { upper: Upper6::Nd(nd), .. }) => {
                let mut next = nd.options;
                while let Some(at) = nd.next_address(frame, &mut next) {
                    if let Some(mac) = frame.get(at..).and_then(|option| option.first_chunk()) {
                        self.admit(*mac, Violation::NdOption)?;
                    }
                }
                Ok(())
            }
            Body::Ipv4(_) | Body::Ipv6(_) | Body::WakeOnLan => Ok(()),
            Body::Other => Err(Violation::Unreadable(DropReason::Protocol)),
        }
    }

    fn check_arp(&self, header: &Header, arp: &Arp) -> Result<(), Violation> {
        self.admit(arp.sha, Violation::ArpSender)?;
        if [[0; 6], [0xFF; 6], header.dst].contains(&arp.tha) {
            return Ok(());
        }
        self.admit(arp.tha, Violation::ArpTarget)
    }

    fn admit(&self, mac: Mac, violation: fn(MacAddr6) -> Violation) -> Result<(), Violation> {
        if self.allowed.contains(&mac) { Ok(()) } else { Err(violation(mac.into())) }
    }
}
