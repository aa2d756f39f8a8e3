//! What can be wrong with a number or a frame, with the numbers a person needs.

/// A number that is no usable VLAN identifier.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("VLAN id {raw} is not in 1..=4094")]
pub struct VlanIdOutOfRange {
    /// The number as given.
    pub raw: u16,
}

/// A port number beyond what a type or a device can hold.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("port {port} is not in 0..{capacity}")]
pub struct PortOutOfRange {
    /// The port number as given.
    pub port: u16,
    /// How many ports there are; the highest is one less.
    pub capacity: u16,
}

/// Why bytes are not an Ethernet frame that can be worked on.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum FrameError {
    /// The buffer ends inside a header.
    #[error("{layer} needs {needed} bytes, {have} available")]
    Truncated {
        /// The part that did not fit, such as `"VLAN tag"`.
        layer: &'static str,
        /// Length required, in bytes from the start of the frame.
        needed: usize,
        /// Length present, in bytes.
        have: usize,
    },
}

/// A frame cannot grow: its buffer has no free bytes on the side that is needed.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the frame needs {needed} more bytes in its buffer, {have} are free")]
pub struct NoRoom {
    /// Free bytes required.
    pub needed: usize,
    /// Free bytes present.
    pub have: usize,
}
