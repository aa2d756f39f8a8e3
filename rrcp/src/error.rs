//! What can be wrong with bytes and buffers, with the numbers a person needs.

use vlan_table::{EtherType, FrameError};

/// Why bytes are not a frame of the 0x8899 family.
///
/// Lengths count from the first byte of the frame, tags included.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseError {
    /// Not even an Ethernet frame: the addresses, the EtherType or a tag is cut.
    #[error(transparent)]
    Ethernet(#[from] FrameError),
    /// Behind the tags stands another protocol: the frame is not ours.
    #[error("EtherType {ether_type} is not Realtek's 0x8899")]
    NotOurs {
        /// The EtherType (or 802.3 length) behind the tags that were walked.
        ether_type: EtherType,
    },
    /// The frame ends before the last byte that its kind needs.
    #[error("{layer} needs {needed} bytes, {have} available")]
    Truncated {
        /// The part that did not fit, such as `"hello reply"`.
        layer: &'static str,
        /// Length required, in bytes.
        needed: usize,
        /// Length present, in bytes.
        have: usize,
    },
}

/// A frame does not fit into the buffer that it should be written to.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the frame needs a buffer of {needed} bytes, {have} are there")]
pub struct BufferTooSmall {
    /// Length required, in bytes.
    pub needed: usize,
    /// Length present, in bytes.
    pub have: usize,
}
