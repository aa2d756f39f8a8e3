//! What a bridge reads of every frame, loaded at once.

use super::{field, truncated};
use crate::{EtherType, FrameError, Tag, frame};

/// Addresses, outer tag and the type behind it: the first twenty bytes of a frame in registers.
///
/// Reading takes three wide loads, which overlap, and one comparison whatever the frame carries, so a stream that
/// mixes tagged and untagged frames costs no mispredicted branch ([`FrameView`](crate::FrameView)
/// walks tags one by one and does pay for them). Fields are taken apart when they are asked for.
///
/// ```
/// use vlan_table::{EtherType, Header};
///
/// let bytes = [
///     0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x02, 0, 0, 0, 0, 1, // to all, from 02:00:00:00:00:01
///     0x81, 0x00, 0xB0, 0x0A, 0x08, 0x06, 0, 1, // VLAN 10 with priority 5, ARP
/// ];
/// let header = Header::read(&bytes)?;
/// assert_eq!(header.dst_bits(), 0xFFFF_FFFF_FFFF);
/// assert_eq!(header.src(), [2, 0, 0, 0, 0, 1]);
/// assert_eq!((header.tpid(), header.tci()), (EtherType::VLAN, 0xB00A));
/// assert_eq!(header.inner_type(), EtherType::ARP);
/// # Ok::<(), vlan_table::FrameError>(())
/// ```
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Header {
    /// Bytes 0..8: destination, then the first two bytes of the source.
    dst: u64,
    /// Bytes 6..14: source, then TPID or EtherType.
    src: u64,
    /// Bytes 12..20: TPID and TCI (or EtherType and payload), and what follows: EtherType and payload,
    /// or a second tag.
    tags: u64,
}

impl Header {
    /// How many bytes are read; a shorter frame counts as continued with zeros.
    pub const LEN: usize = 20;

    /// Reads the header of `frame`, which starts at the destination address. O(1).
    ///
    /// # Errors
    /// [`FrameError::Truncated`] if the frame ends inside the addresses or the EtherType, or inside
    /// a tag that starts with [`EtherType::VLAN`] or [`EtherType::SERVICE_VLAN`].
    #[inline]
    pub fn read(frame: &[u8]) -> Result<Self, FrameError> {
        match frame.first_chunk() {
            Some(bytes) => Ok(Self::from_bytes(bytes)),
            None => Self::read_short(frame),
        }
    }

    #[inline]
    fn from_bytes(bytes: &[u8; Self::LEN]) -> Self {
        // Whole words: bytes that are taken out one by one are also loaded one by one.
        let word = |at: usize| bytes.get(at..).and_then(<[u8]>::first_chunk).copied().unwrap_or_default();
        Self {
            dst: u64::from_be_bytes(word(0)),
            src: u64::from_be_bytes(word(field::SRC.start)),
            tags: u64::from_be_bytes(word(field::TYPE)),
        }
    }

    #[cold]
    fn read_short(frame: &[u8]) -> Result<Self, FrameError> {
        if frame.len() < frame::HEADER_LEN {
            return Err(truncated("Ethernet header", frame::HEADER_LEN, frame.len()));
        }
        let mut bytes = [0; Self::LEN];
        for (to, from) in bytes.iter_mut().zip(frame) {
            *to = *from;
        }
        let header = Self::from_bytes(&bytes);
        let needed = frame::HEADER_LEN + Tag::LEN;
        if header.is_tagged() && frame.len() < needed {
            return Err(truncated("VLAN tag", needed, frame.len()));
        }
        Ok(header)
    }

    /// Destination address.
    pub const fn dst(&self) -> [u8; 6] {
        let [a, b, c, d, e, f, ..] = self.dst.to_be_bytes();
        [a, b, c, d, e, f]
    }

    /// Source address.
    pub const fn src(&self) -> [u8; 6] {
        let [a, b, c, d, e, f, ..] = self.src.to_be_bytes();
        [a, b, c, d, e, f]
    }

    /// Destination address as a number below 2^48, first byte highest.
    #[inline]
    pub const fn dst_bits(&self) -> u64 {
        self.dst >> 16
    }

    /// Source address as a number below 2^48, first byte highest.
    #[inline]
    pub const fn src_bits(&self) -> u64 {
        self.src >> 16
    }

    /// Whether the destination is a group address: broadcast or multicast.
    #[inline]
    pub const fn is_group(&self) -> bool {
        self.dst >> 56 & 1 == 1
    }

    /// Whether the source is a group address, which no station can have.
    #[inline]
    pub const fn is_src_group(&self) -> bool {
        self.src >> 56 & 1 == 1
    }

    /// Whether the destination is `ff:ff:ff:ff:ff:ff`.
    #[inline]
    pub const fn is_broadcast(&self) -> bool {
        self.dst_bits() == 0xFFFF_FFFF_FFFF
    }

    /// The two bytes behind the addresses: a TPID if the frame is tagged, else its EtherType.
    #[inline]
    pub const fn tpid(&self) -> EtherType {
        EtherType((self.tags >> 48) as u16)
    }

    /// The two bytes behind [`tpid`](Self::tpid): tag control information if the frame is tagged.
    #[inline]
    pub const fn tci(&self) -> u16 {
        (self.tags >> 32) as u16
    }

    /// Whether the frame starts with a [customer](EtherType::VLAN) or a
    /// [service](EtherType::SERVICE_VLAN) tag.
    #[inline]
    pub const fn is_tagged(&self) -> bool {
        let tpid = self.tpid().0;
        (tpid == EtherType::VLAN.0) | (tpid == EtherType::SERVICE_VLAN.0)
    }

    /// The outer tag, if the frame [is tagged](Self::is_tagged).
    #[inline]
    pub const fn tag(&self) -> Option<Tag> {
        if self.is_tagged() { Some(Tag::from_tci(self.tpid(), self.tci())) } else { None }
    }

    /// Control information of the outer tag; 0 if the frame is not [tagged](Self::is_tagged).
    #[inline]
    pub const fn tag_tci(&self) -> u16 {
        self.tci() & (self.is_tagged() as u16).wrapping_neg()
    }

    /// The type behind the four bytes of [`tpid`](Self::tpid) and [`tci`](Self::tci); the TPID of a
    /// second tag if there is one. Payload if the frame is untagged.
    #[inline]
    pub const fn inner_type(&self) -> EtherType {
        EtherType((self.tags >> 16) as u16)
    }

    /// Control information of a second tag; meaningless unless [`inner_type`](Self::inner_type) is a
    /// TPID.
    #[inline]
    pub const fn inner_tci(&self) -> u16 {
        self.tags as u16
    }

    /// The EtherType behind the outer tag, or of an untagged frame; see [`tag`](Self::tag).
    #[inline]
    pub const fn ether_type(&self) -> EtherType {
        // Shifted, not chosen: a choice would become a branch that mixed traffic mispredicts.
        EtherType((self.tags >> (16 + 32 * !self.is_tagged() as u32)) as u16)
    }

    /// TPID and TCI as one number.
    #[inline]
    pub(crate) const fn tag_word(&self) -> u32 {
        (self.tags >> 32) as u32
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;
    use crate::FrameView;

    fn frame(tags: &[u32]) -> Vec<u8> {
        let mut frame = Vec::from([0xF0, 1, 2, 3, 4, 5, 0x02, 7, 8, 9, 10, 11]);
        frame.extend(tags.iter().flat_map(|tag| tag.to_be_bytes()));
        frame.extend([0x08, 0x06, 0xAA, 0xBB, 0xCC]);
        frame
    }

    #[test]
    fn it_says_what_the_view_says_or_fails_like_it_at_every_length() {
        for tags in [
            &[][..],
            &[0x8100_B00A],
            &[0x88A8_0064],
            &[0x8100_0000, 0x8100_0014],
            &[0x88A8_0001, 0x8100_0002],
        ] {
            let whole = frame(tags);
            for len in 0..=whole.len() {
                let bytes = &whole[..len];
                match (Header::read(bytes), FrameView::new(bytes, 1)) {
                    (Ok(header), Ok(view)) => {
                        assert_eq!((header.dst(), header.src()), (view.dst(), view.src()));
                        assert_eq!((header.tag(), header.is_group()), (view.outer_tag(), view.is_group()));
                        assert_eq!(header.ether_type(), view.ether_type(), "{tags:x?} {len}");
                        assert_eq!(header.tag_tci(), view.outer_tag().map_or(0, Tag::tci));
                    }
                    (header, view) => assert_eq!(header.err(), view.err(), "{tags:x?} {len}"),
                }
            }
        }
    }

    #[test]
    fn addresses_as_numbers_have_their_first_byte_highest() {
        let header = Header::read(&frame(&[])).unwrap();
        assert_eq!((header.dst_bits(), header.src_bits()), (0xF001_0203_0405, 0x0207_0809_0A0B));
        assert!(!header.is_group() && !header.is_src_group() && !header.is_broadcast());
        let mut bytes = frame(&[]);
        bytes[..6].fill(0xFF);
        bytes[6] = 0x03;
        let header = Header::read(&bytes).unwrap();
        assert!(header.is_group() && header.is_src_group() && header.is_broadcast());
    }

    #[test]
    fn a_second_tag_is_seen_behind_the_first() {
        let header = Header::read(&frame(&[0x88A8_0064, 0x8100_B014])).unwrap();
        assert_eq!((header.inner_type(), header.inner_tci()), (EtherType::VLAN, 0xB014));
        assert_eq!(header.ether_type(), EtherType::VLAN, "one tag is walked");
    }

    #[test]
    fn a_tag_that_no_standard_has_is_an_ether_type() {
        let header = Header::read(&frame(&[0x9100_0001])).unwrap();
        assert_eq!((header.tag(), header.ether_type()), (None, EtherType::VLAN_9100));
    }
}
