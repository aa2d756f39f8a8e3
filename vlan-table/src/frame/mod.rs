//! Ethernet frames: a borrowed view that walks VLAN tags, and edits in place.
//!
//! Frames start at the destination address and end before the FCS. Trailing bytes are kept as
//! they are: Ethernet pads, so length never says where a protocol ends.

use core::hint::select_unpredictable;

use crate::{EtherType, FrameError, NoRoom, Tag};

mod header;

pub use header::Header;

/// Length of the shortest header: two addresses and an EtherType.
pub const HEADER_LEN: usize = 14;
/// Length of the shortest frame on a wire, without FCS.
pub const MIN_LEN: usize = 60;

mod field {
    use core::ops::Range;

    pub(super) const DST: Range<usize> = 0..6;
    pub(super) const SRC: Range<usize> = 6..12;
    pub(super) const TYPE: usize = 12;
}

/// A borrowed Ethernet frame whose lengths were checked once: no accessor can fail.
///
/// ```
/// use vlan_table::{EtherType, FrameView, VlanId};
///
/// let bytes = [
///     0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x02, 0, 0, 0, 0, 1, // to all, from 02:00:00:00:00:01
///     0x88, 0xA8, 0x00, 0x64, 0x81, 0x00, 0x00, 0x0A, 0x08, 0x06, // 100, then 10, then ARP
/// ];
/// let frame = FrameView::new(&bytes, 2)?;
/// assert!(frame.is_broadcast());
/// assert_eq!(frame.outer_tag().and_then(|tag| tag.vlan()), VlanId::new(100));
/// assert_eq!(frame.ether_type(), EtherType::ARP);
/// assert!(FrameView::new(&bytes[..17], 2).is_err(), "a tag cut in the middle");
/// # Ok::<(), vlan_table::FrameError>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct FrameView<'a> {
    bytes: &'a [u8],
    dst: [u8; 6],
    src: [u8; 6],
    /// The first tag, if one was walked.
    outer: Option<Tag>,
    ether_type: EtherType,
    /// Offset of the byte behind the last EtherType that was walked.
    payload_at: usize,
}

impl<'a> FrameView<'a> {
    /// Walks at most `max_tags` tags of any recognised TPID ([`EtherType::is_tag`]).
    ///
    /// A tag beyond `max_tags` is payload: [`ether_type`](Self::ether_type) is then its TPID.
    /// O(tags).
    ///
    /// # Errors
    /// [`FrameError::Truncated`] if the frame ends inside the addresses, the EtherType, or one of
    /// the tags that are walked.
    pub fn new(bytes: &'a [u8], max_tags: usize) -> Result<Self, FrameError> {
        let Some(([dst @ .., s0, s1, s2, s3, s4, s5, t0, t1], _)) = bytes.split_first_chunk::<HEADER_LEN>()
        else {
            return Err(truncated("Ethernet header", HEADER_LEN, bytes.len()));
        };
        let mut view = Self {
            bytes,
            dst: *dst,
            src: [*s0, *s1, *s2, *s3, *s4, *s5],
            outer: None,
            ether_type: EtherType(u16::from_be_bytes([*t0, *t1])),
            payload_at: HEADER_LEN,
        };
        for _ in 0..max_tags {
            if !view.ether_type.is_tag() {
                break;
            }
            let Some([c0, c1, t0, t1]) = view.payload().first_chunk::<{ Tag::LEN }>() else {
                return Err(truncated("VLAN tag", view.payload_at + Tag::LEN, bytes.len()));
            };
            let tag = Tag::from_tci(view.ether_type, u16::from_be_bytes([*c0, *c1]));
            view.outer = view.outer.or(Some(tag));
            view.ether_type = EtherType(u16::from_be_bytes([*t0, *t1]));
            view.payload_at += Tag::LEN;
        }
        Ok(view)
    }

    /// The whole frame.
    pub const fn as_bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// Destination address.
    pub const fn dst(&self) -> [u8; 6] {
        self.dst
    }

    /// Source address.
    pub const fn src(&self) -> [u8; 6] {
        self.src
    }

    /// Whether the destination is a group address: broadcast or multicast.
    pub const fn is_group(&self) -> bool {
        is_group(self.dst)
    }

    /// Whether the destination is `ff:ff:ff:ff:ff:ff`.
    pub fn is_broadcast(&self) -> bool {
        self.dst == [0xFF; 6]
    }

    /// The outermost tag; `None` if the frame has none, or `max_tags` was 0.
    pub const fn outer_tag(&self) -> Option<Tag> {
        self.outer
    }

    /// How many tags were walked.
    pub const fn tag_count(&self) -> usize {
        (self.payload_at - HEADER_LEN) / Tag::LEN
    }

    /// The tags that were walked, outermost first.
    pub fn tags(&self) -> impl ExactSizeIterator<Item = Tag> + 'a {
        let walked = self.bytes.get(field::TYPE..self.payload_at - 2).unwrap_or_default();
        walked.chunks_exact(Tag::LEN).map(|tag| Tag::from_bytes(tag.try_into().unwrap_or_default()))
    }

    /// The EtherType (or 802.3 length) behind the tags that were walked.
    pub const fn ether_type(&self) -> EtherType {
        self.ether_type
    }

    /// What follows [`ether_type`](Self::ether_type), padding included.
    pub fn payload(&self) -> &'a [u8] {
        self.bytes.get(self.payload_at..).unwrap_or_default()
    }

    /// Offset of [`payload`](Self::payload) in the frame, in bytes.
    pub const fn payload_offset(&self) -> usize {
        self.payload_at
    }
}

/// Whether `mac` is a group address: the I/G bit is set (IEEE 802-2014, 8.2.2).
pub const fn is_group(mac: [u8; 6]) -> bool {
    let [first, ..] = mac;
    first & 1 == 1
}

/// A frame inside a larger buffer, edited in place.
///
/// Tags are pushed and popped by moving the twelve address bytes, never the payload, so the
/// buffer wants four free bytes in front for every tag that may be added and, for frames that
/// may shrink below [`MIN_LEN`], as many behind.
///
/// ```
/// use vlan_table::{FrameMut, Tag, VlanId};
///
/// let mut buffer = [0u8; 4 + 60];
/// let mut frame = FrameMut::new(&mut buffer, 4)?;
/// frame.push_tag(Tag::customer(VlanId::new(10).unwrap()))?;
/// assert_eq!(frame.as_bytes().len(), 64);
/// assert_eq!(frame.pop_tag().and_then(|tag| tag.vlan()), VlanId::new(10));
/// assert_eq!(frame.as_bytes().len(), 60);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct FrameMut<'a> {
    buffer: &'a mut [u8],
    start: usize,
    end: usize,
}

impl<'a> FrameMut<'a> {
    /// The frame is `buffer[headroom..]`.
    ///
    /// # Errors
    /// [`FrameError::Truncated`] if fewer than [`HEADER_LEN`] bytes follow the headroom.
    #[inline]
    pub fn new(buffer: &'a mut [u8], headroom: usize) -> Result<Self, FrameError> {
        let end = buffer.len();
        Self::with_tailroom(buffer, headroom, end.saturating_sub(headroom))
    }

    /// The frame is the `len` bytes behind the headroom; bytes behind it are free for padding.
    ///
    /// # Errors
    /// [`FrameError::Truncated`] if `len` is below [`HEADER_LEN`] or the buffer is too short.
    #[inline]
    pub fn with_tailroom(buffer: &'a mut [u8], headroom: usize, len: usize) -> Result<Self, FrameError> {
        let available = buffer.len().saturating_sub(headroom);
        if len < HEADER_LEN || available < len {
            return Err(truncated("Ethernet header", HEADER_LEN.max(len), available.min(len)));
        }
        Ok(Self { buffer, start: headroom, end: headroom + len })
    }

    /// The frame as it is now.
    #[inline]
    pub fn as_bytes(&self) -> &[u8] {
        self.buffer.get(self.start..self.end).unwrap_or_default()
    }

    /// The frame as it is now, for edits that keep its length.
    #[inline]
    pub fn as_mut_bytes(&mut self) -> &mut [u8] {
        self.buffer.get_mut(self.start..self.end).unwrap_or_default()
    }

    /// Free bytes in front of the frame.
    pub const fn headroom(&self) -> usize {
        self.start
    }

    /// Free bytes behind the frame.
    pub const fn tailroom(&self) -> usize {
        self.buffer.len() - self.end
    }

    /// The outermost tag; `None` if there is none or the frame ends inside it.
    #[inline]
    pub fn outer_tag(&self) -> Option<Tag> {
        let tag = Tag::from_bytes(*self.as_bytes().get(field::TYPE..)?.first_chunk()?);
        // A tag is only whole with the EtherType behind it.
        (tag.tpid.is_tag() && self.as_bytes().len() >= HEADER_LEN + Tag::LEN).then_some(tag)
    }

    /// Makes `tag` the outermost tag; the frame grows by four bytes at its front.
    ///
    /// # Errors
    /// [`NoRoom`] if the headroom is below four bytes; the frame is unchanged then.
    #[inline]
    pub fn push_tag(&mut self, tag: Tag) -> Result<(), NoRoom> {
        let Some(start) = self.start.checked_sub(Tag::LEN) else {
            return Err(NoRoom { needed: Tag::LEN, have: self.start });
        };
        self.buffer.copy_within(self.start..self.start + field::TYPE, start);
        self.start = start;
        self.write_tag(tag);
        Ok(())
    }

    /// Removes a tag if `pop` is 1 (and there is one), and adds `push` (TPID and TCI) unless it is 0;
    /// `false`, and nothing done, for the few frames that do not have four bytes in front and twenty of
    /// their own.
    ///
    /// Whatever is to be done, twelve bytes move and four are written: mixed traffic would mispredict every
    /// branch, and a call to move so few bytes takes longer than to move them.
    #[inline]
    pub(crate) fn replace_at_once(&mut self, pop: u8, push: u32) -> bool {
        const HEADROOM: usize = Tag::LEN;
        let window = self.start.checked_sub(HEADROOM).and_then(|from| self.buffer.get_mut(from..self.end));
        let Some(window) = window.and_then(<[u8]>::first_chunk_mut::<24>) else {
            return false;
        };
        let [_, _, _, _, addresses @ .., t0, t1, _, _, _, _, _, _] = *window;
        let is_tagged = EtherType(u16::from_be_bytes([t0, t1])).is_tag();
        let popped = usize::from(pop & u8::from(is_tagged)) * Tag::LEN;
        let pushed = usize::from(push != 0) * Tag::LEN;
        let at = HEADROOM + popped - pushed;
        let Some(front) = window.get_mut(at..).and_then(<[u8]>::first_chunk_mut::<16>) else { return false };
        let [.., a, b, c, d] = *front;
        let tag = select_unpredictable(push == 0, u32::from_be_bytes([a, b, c, d]), push);
        *front = join(addresses, tag.to_be_bytes());
        self.start += popped;
        self.start -= pushed;
        true
    }

    /// Removes the outermost tag and returns it; the frame shrinks by four bytes at its front.
    ///
    /// The result may be below [`MIN_LEN`]: see [`pad`](Self::pad).
    #[inline]
    pub fn pop_tag(&mut self) -> Option<Tag> {
        let tag = self.outer_tag()?;
        let front = self.buffer.get_mut(self.start..)?.first_chunk_mut::<16>()?;
        let [addresses @ .., _, _, _, _] = *front;
        let [_, _, _, _, rest @ ..] = front;
        *rest = addresses;
        self.start += Tag::LEN;
        Some(tag)
    }

    /// Replaces the outermost tag and returns the old one; `None`, and no change, without a tag.
    #[inline]
    pub fn rewrite_tag(&mut self, tag: Tag) -> Option<Tag> {
        let old = self.outer_tag()?;
        self.write_tag(tag);
        Some(old)
    }

    /// Appends `filler` until the frame has [`MIN_LEN`] bytes; a longer frame is unchanged.
    ///
    /// Realtek chips fill with 0x20 (RTL8305SB datasheet, page 47), most others with zero.
    ///
    /// # Errors
    /// [`NoRoom`] if the tailroom is too small; the frame is unchanged then.
    pub fn pad(&mut self, filler: u8) -> Result<(), NoRoom> {
        let needed = MIN_LEN.saturating_sub(self.end - self.start);
        let have = self.tailroom();
        let padding = self.buffer.get_mut(self.end..self.end + needed).ok_or(NoRoom { needed, have })?;
        padding.fill(filler);
        self.end += needed;
        Ok(())
    }

    /// Overwrites destination and source address.
    pub fn set_addresses(&mut self, dst: [u8; 6], src: [u8; 6]) {
        for (range, mac) in [(field::DST, dst), (field::SRC, src)] {
            if let Some(bytes) = self.as_mut_bytes().get_mut(range) {
                bytes.copy_from_slice(&mac);
            }
        }
    }

    #[inline]
    fn write_tag(&mut self, tag: Tag) {
        if let Some(bytes) =
            self.as_mut_bytes().get_mut(field::TYPE..).and_then(|rest| rest.first_chunk_mut())
        {
            *bytes = tag.to_bytes();
        }
    }
}

/// Two addresses and a tag.
#[inline]
const fn join(addresses: [u8; 12], tag: [u8; Tag::LEN]) -> [u8; 16] {
    let [a, b, c, d, e, f, g, h, i, j, k, l] = addresses;
    let [m, n, o, p] = tag;
    [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p]
}

const fn truncated(layer: &'static str, needed: usize, have: usize) -> FrameError {
    FrameError::Truncated { layer, needed, have }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;
    use crate::{TagVid, VlanId};

    /// Three tags, then ARP, then four bytes of payload; assembled by hand.
    const TRIPLE: [u8; 30] = [
        0x02, 0, 0, 0, 0, 9, 0x02, 0, 0, 0, 0, 1, 0x88, 0xA8, 0x20, 0x64, 0x91, 0x00, 0x00, 0x00, 0x81, 0x00,
        0xF0, 0x0A, 0x08, 0x06, 1, 2, 3, 4,
    ];

    #[test]
    fn tags_are_walked_up_to_the_limit() {
        for limit in 0..5 {
            let frame = FrameView::new(&TRIPLE, limit).unwrap();
            assert_eq!(frame.tag_count(), limit.min(3));
            assert_eq!(frame.tags().len(), limit.min(3));
            let types = [EtherType::SERVICE_VLAN, EtherType::VLAN_9100, EtherType::VLAN, EtherType::ARP];
            assert_eq!(frame.ether_type(), types[limit.min(3)]);
            assert_eq!(frame.payload(), &TRIPLE[14 + 4 * limit.min(3)..]);
        }
        let vids: Vec<_> = FrameView::new(&TRIPLE, 3).unwrap().tags().map(|tag| tag.vid.raw()).collect();
        assert_eq!(vids, [100, 0, 10]);
    }

    #[test]
    fn every_truncation_is_an_error_with_the_needed_length_or_a_shorter_payload() {
        for have in 0..TRIPLE.len() {
            let needed = [14, 18, 22, 26].into_iter().find(|needed| have < *needed);
            let result = FrameView::new(&TRIPLE[..have], 3);
            match needed {
                Some(needed) => {
                    let Err(FrameError::Truncated { needed: said, have: had, .. }) = result else {
                        panic!("{have} bytes were accepted");
                    };
                    assert_eq!((said, had), (needed, have));
                }
                None => assert_eq!(result.unwrap().payload(), &TRIPLE[26..have]),
            }
        }
    }

    #[test]
    fn pushing_then_popping_a_tag_restores_the_frame() {
        let mut buffer = [0; 8 + TRIPLE.len()];
        buffer[8..].copy_from_slice(&TRIPLE);
        let mut frame = FrameMut::new(&mut buffer, 8).unwrap();
        let tag = Tag { vid: TagVid::Priority, ..Tag::customer(VlanId::MAX) };
        frame.push_tag(tag).unwrap();
        assert_eq!(&frame.as_bytes()[..12], &TRIPLE[..12]);
        assert_eq!(&frame.as_bytes()[12..16], &[0x81, 0x00, 0x00, 0x00]);
        assert_eq!(&frame.as_bytes()[16..], &TRIPLE[12..]);
        assert_eq!(frame.pop_tag(), Some(tag));
        assert_eq!(frame.as_bytes(), TRIPLE);
        frame.push_tag(tag).unwrap();
        frame.push_tag(tag).unwrap();
        assert_eq!(frame.push_tag(tag), Err(NoRoom { needed: 4, have: 0 }));
    }

    #[test]
    fn a_tag_without_the_type_behind_it_is_no_tag() {
        let mut bytes = TRIPLE;
        let mut frame = FrameMut::with_tailroom(&mut bytes, 0, 17).unwrap();
        assert_eq!(frame.outer_tag(), None);
        assert_eq!(frame.pop_tag(), None);
        assert_eq!(frame.as_bytes(), &TRIPLE[..17]);
    }

    #[test]
    fn an_untagged_minimum_frame_is_padded_back_to_sixty() {
        let mut buffer = [0xAA; 68];
        buffer[..14].copy_from_slice(&TRIPLE[..14]);
        let mut frame = FrameMut::with_tailroom(&mut buffer, 0, 60).unwrap();
        assert!(frame.pop_tag().is_some());
        frame.pad(0x20).unwrap();
        assert_eq!(frame.as_bytes().len(), MIN_LEN);
        assert_eq!(&frame.as_bytes()[56..], &[0x20; 4]);
        let mut tight = [0; 20];
        assert_eq!(FrameMut::new(&mut tight, 0).unwrap().pad(0), Err(NoRoom { needed: 40, have: 0 }));
    }
}
