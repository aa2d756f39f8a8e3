//! Whole frames: addresses, tags, message.

use macaddr::MacAddr6;
use vlan_table::frame::HEADER_LEN;
use vlan_table::{EtherType, FrameError, Tag, VlanId};

use super::Message;
use crate::{BufferTooSmall, ParseError};

/// Where hellos, echo requests and probes go.
pub const BROADCAST: MacAddr6 = MacAddr6::broadcast();

/// Length of the shortest untagged frame that is emitted, without FCS.
pub const MIN_LEN: usize = vlan_table::frame::MIN_LEN;

const ADDRESSES_LEN: usize = 12;
const ETHER_TYPE_LEN: usize = 2;

/// A borrowed frame of the 0x8899 family whose lengths were checked: no accessor can fail.
///
/// ```
/// use rrcp::{FrameView, Message, ParseError, Probe};
///
/// let bytes = [
///     0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x52, 0x54, 0x4C, 0x01, 0x02, 0x03, // to all
///     0x81, 0x00, 0x00, 0x0A, 0x88, 0x99, 0x03, // in VLAN 10, classic probe without padding
/// ];
/// let view = FrameView::new(&bytes, 2)?;
/// assert!(matches!(view.message(), Message::Probe(Probe::Classic { .. })));
/// assert_eq!(view.vlan().map(u16::from), Some(10));
///
/// let cut = FrameView::new(&bytes[..18], 2).unwrap_err();
/// assert_eq!(cut.to_string(), "protocol byte needs 19 bytes, 18 available");
/// # Ok::<(), ParseError>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct FrameView<'a> {
    bytes: &'a [u8],
    /// The first bytes of `bytes`.
    addresses: &'a [u8; ADDRESSES_LEN],
    /// The last bytes of `bytes`, from the protocol byte on.
    payload: &'a [u8],
}

impl<'a> FrameView<'a> {
    /// Looks behind at most `max_tags` VLAN tags. O(tags).
    ///
    /// # Errors
    /// [`ParseError::Ethernet`] if the header or a tag is cut, [`ParseError::NotOurs`] for another
    /// EtherType (a tag beyond `max_tags` is one), [`ParseError::Truncated`] if the frame ends
    /// before the last field of its kind.
    #[inline]
    pub fn new(bytes: &'a [u8], max_tags: usize) -> Result<Self, ParseError> {
        let Some(([addresses @ .., t0, t1], rest)) = bytes.split_first_chunk::<HEADER_LEN>() else {
            return Err(too_short(bytes));
        };
        let payload = match EtherType(u16::from_be_bytes([*t0, *t1])) {
            EtherType::REALTEK => rest,
            _ => behind_tags(bytes, max_tags)?,
        };
        Message::check(payload, bytes.len() - payload.len())?;
        Ok(Self { bytes, addresses, payload })
    }

    /// What the frame says.
    #[inline]
    pub fn message(&self) -> Message<'a> {
        Message::parse_checked(self.payload)
    }

    /// Destination address.
    #[inline]
    pub const fn dst(&self) -> MacAddr6 {
        let [a, b, c, d, e, f, ..] = *self.addresses;
        MacAddr6::new(a, b, c, d, e, f)
    }

    /// Source address.
    #[inline]
    pub const fn src(&self) -> MacAddr6 {
        let [.., a, b, c, d, e, f] = *self.addresses;
        MacAddr6::new(a, b, c, d, e, f)
    }

    /// The VLAN of the outermost tag; `None` if untagged or if the tag carries a priority only.
    pub fn vlan(&self) -> Option<VlanId> {
        self.tags().next().and_then(Tag::vlan)
    }

    /// The tags, outermost first.
    pub fn tags(&self) -> impl ExactSizeIterator<Item = Tag> + 'a {
        let tags = self.bytes.get(ADDRESSES_LEN..self.payload_offset() - ETHER_TYPE_LEN).unwrap_or_default();
        tags.chunks_exact(Tag::LEN).map(|tag| Tag::from_bytes(tag.try_into().unwrap_or_default()))
    }

    /// The whole frame.
    pub const fn as_bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// Everything behind the EtherType, from the protocol byte to the end, padding included.
    pub const fn payload(&self) -> &'a [u8] {
        self.payload
    }

    /// Offset of [`payload`](Self::payload) in the frame, in bytes.
    pub const fn payload_offset(&self) -> usize {
        self.bytes.len() - self.payload.len()
    }

    /// The frame as a value; its tags are the argument of [`Frame::emit`].
    #[inline]
    pub fn to_frame(&self) -> Frame<'a> {
        Frame { dst: self.dst(), src: self.src(), message: self.message() }
    }
}

/// The payload behind tags, or why there is none of ours.
#[cold]
#[inline(never)]
fn behind_tags(bytes: &[u8], max_tags: usize) -> Result<&[u8], ParseError> {
    let ethernet = vlan_table::FrameView::new(bytes, max_tags)?;
    match ethernet.ether_type() {
        EtherType::REALTEK => Ok(ethernet.payload()),
        ether_type => Err(ParseError::NotOurs { ether_type }),
    }
}

#[cold]
fn too_short(bytes: &[u8]) -> ParseError {
    FrameError::Truncated { layer: "Ethernet header", needed: HEADER_LEN, have: bytes.len() }.into()
}

/// A frame as a value. Every value can be emitted, and parses to itself.
///
/// ```
/// use rrcp::wire::{AuthKey, BROADCAST, Op, Rrcp};
/// use rrcp::{Frame, FrameView, MacAddr6};
///
/// let hello = Frame {
///     dst: BROADCAST,
///     src: MacAddr6::new(2, 0, 0, 0, 0, 1),
///     message: Rrcp { key: AuthKey::DEFAULT, op: Op::Hello }.into(),
/// };
/// let mut buffer = [0; 64];
/// let len = hello.emit(&[], &mut buffer)?;
/// assert_eq!(len, 60);
/// assert_eq!(buffer[12..18], [0x88, 0x99, 0x01, 0x00, 0x23, 0x79]);
/// assert_eq!(FrameView::new(&buffer[..len], 0)?.to_frame(), hello);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Frame<'a> {
    /// Destination address.
    pub dst: MacAddr6,
    /// Source address.
    pub src: MacAddr6,
    /// What the frame says.
    pub message: Message<'a>,
}

impl Frame<'_> {
    /// Bytes that [`emit`](Self::emit) writes: [`MIN_LEN`] and four for each tag, unless the
    /// message carries a longer payload.
    #[inline]
    pub fn emitted_len(&self, tags: usize) -> usize {
        ADDRESSES_LEN + tags * Tag::LEN + ETHER_TYPE_LEN + self.message.payload_len()
    }

    /// Writes the frame behind `tags` (outermost first), zero-padded, and returns its length;
    /// later bytes of `out` are untouched. No allocation, O(length).
    ///
    /// # Errors
    /// [`BufferTooSmall`], with nothing written, if `out` is shorter than
    /// [`emitted_len`](Self::emitted_len).
    #[inline]
    pub fn emit(&self, tags: &[Tag], out: &mut [u8]) -> Result<usize, BufferTooSmall> {
        let needed = self.emitted_len(tags.len());
        let too_small = BufferTooSmall { needed, have: out.len() };
        let frame = out.get_mut(..needed).ok_or(too_small)?;
        let (addresses, mut rest) = frame.split_first_chunk_mut::<ADDRESSES_LEN>().ok_or(too_small)?;
        let ([d0, d1, d2, d3, d4, d5], [s0, s1, s2, s3, s4, s5]) =
            (self.dst.into_array(), self.src.into_array());
        *addresses = [d0, d1, d2, d3, d4, d5, s0, s1, s2, s3, s4, s5];
        for tag in tags {
            let (bytes, behind) = rest.split_first_chunk_mut().ok_or(too_small)?;
            *bytes = tag.to_bytes();
            rest = behind;
        }
        let (ether_type, payload) = rest.split_first_chunk_mut().ok_or(too_small)?;
        *ether_type = EtherType::REALTEK.0.to_be_bytes();
        self.message.emit(payload);
        Ok(needed)
    }
}
