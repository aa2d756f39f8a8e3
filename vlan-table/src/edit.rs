//! A change of the tags in front of a frame, as a data path wants it.

use crate::verdict::tag;
use crate::{FrameMut, NoRoom, Tag, TagAction};

/// A change of the tags in front of a frame: some are removed, then others added.
///
/// What it adds is kept as the numbers that go into the frame, so that nothing is taken apart and put
/// together again on the way; [`pushed`](Self::pushed) shows it as tags.
///
/// ```
/// use vlan_table::{Tag, TagAction, TagEdit, VlanId};
///
/// let ten = Tag::customer(VlanId::new(10).unwrap());
/// let edit = TagEdit::from(TagAction::Rewrite(ten));
/// assert_eq!((edit.popped(), edit.pushed().collect()), (1, vec![ten]));
/// assert_eq!(edit.growth(), 0);
/// ```
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub struct TagEdit {
    pop: u8,
    /// TPID and TCI of each new tag, outermost first; 0 is no tag, and only zeros follow it.
    push: [u32; 2],
}

impl TagEdit {
    /// The frame leaves as it came.
    pub const KEEP: Self = Self::new(0, [0; 2]);

    /// Removes `pop` tags, then adds those of `push`, outermost first; 0 is no tag.
    #[inline]
    pub(crate) const fn new(pop: u8, push: [u32; 2]) -> Self {
        Self { pop, push }
    }

    /// Makes the outer tag `received` the tag `wanted`; 0 is no tag. Without a branch, since mixed
    /// traffic mispredicts them.
    #[inline]
    pub(crate) const fn between(received: u32, wanted: u32) -> Self {
        let differs = (received != wanted) as u32;
        let pop = (received != 0) as u8 & differs as u8;
        Self { pop, push: [wanted & differs.wrapping_neg(), 0] }
    }

    /// How many tags are removed, outermost first; at most two.
    #[inline]
    pub const fn popped(&self) -> usize {
        self.pop as usize
    }

    /// The tags that are added in their place, outermost first; at most two.
    #[inline]
    pub fn pushed(&self) -> impl DoubleEndedIterator<Item = Tag> + Clone + use<> {
        self.push.into_iter().filter(|word| *word != 0).map(tag)
    }

    /// By how many bytes the frame grows; negative if it shrinks.
    #[inline]
    pub fn growth(&self) -> isize {
        let [outer, inner] = self.push.map(|word| isize::from(word != 0));
        (outer + inner - isize::from(self.pop as i8)) * Tag::LEN as isize
    }

    /// Does it to `frame`; a tag that is not there is not removed.
    ///
    /// # Errors
    /// [`NoRoom`] if the frame grows by more than its headroom; it is unchanged then.
    #[inline]
    pub fn apply(&self, frame: &mut FrameMut<'_>) -> Result<(), NoRoom> {
        match self.push {
            [word, 0] if self.pop < 2 && frame.replace_at_once(self.pop, word) => Ok(()),
            _ => self.apply_step_by_step(frame),
        }
    }

    /// For two tags, and where a frame or its headroom is very short.
    #[inline(never)]
    fn apply_step_by_step(&self, frame: &mut FrameMut<'_>) -> Result<(), NoRoom> {
        let needed = self.growth().max(0) as usize;
        if frame.headroom() < needed {
            return Err(NoRoom { needed, have: frame.headroom() });
        }
        for _ in 0..self.pop {
            frame.pop_tag();
        }
        self.pushed().rev().try_for_each(|tag| frame.push_tag(tag))
    }

    /// The same as a word, if at most one tag is removed and at most one added.
    #[inline]
    pub(crate) const fn action(self) -> TagAction {
        match (self.pop, self.push) {
            (0, [0, _]) => TagAction::Keep,
            (_, [0, _]) => TagAction::Pop,
            (0, [word, _]) => TagAction::Push(tag(word)),
            (_, [word, _]) => TagAction::Rewrite(tag(word)),
        }
    }
}

impl From<TagAction> for TagEdit {
    #[inline]
    fn from(action: TagAction) -> Self {
        let word = |tag: Tag| u32::from_be_bytes(tag.to_bytes());
        match action {
            TagAction::Keep => Self::KEEP,
            TagAction::Pop => Self::new(1, [0; 2]),
            TagAction::Push(tag) => Self::new(0, [word(tag), 0]),
            TagAction::Rewrite(tag) => Self::new(1, [word(tag), 0]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::VlanId;

    #[test]
    fn a_frame_without_headroom_is_not_touched() {
        let edit = TagEdit::new(0, [0x8100_000A; 2]);
        let mut buffer = [0x55; 4 + 60];
        let mut frame = FrameMut::new(&mut buffer, 4).unwrap();
        assert_eq!(edit.apply(&mut frame), Err(NoRoom { needed: 8, have: 4 }));
        assert_eq!(frame.as_bytes(), [0x55; 60]);
    }

    #[test]
    fn an_action_and_the_edit_that_it_is_say_the_same() {
        let ten = Tag::customer(VlanId::new(10).unwrap());
        for action in [TagAction::Keep, TagAction::Pop, TagAction::Push(ten), TagAction::Rewrite(ten)] {
            let edit = TagEdit::from(action);
            assert_eq!(edit.action(), action);
            for len in [18, 60] {
                let mut buffer = [0x55; 4 + 60];
                buffer[16..18].copy_from_slice(&[0x81, 0x00]);
                let mut buffers = [buffer; 2];
                let [mut by_edit, mut by_action] =
                    buffers.each_mut().map(|buffer| FrameMut::with_tailroom(buffer, 4, len).unwrap());
                edit.apply(&mut by_edit).unwrap();
                action.apply(&mut by_action).unwrap();
                assert_eq!(by_edit.as_bytes(), by_action.as_bytes(), "{action:?} of {len} bytes");
            }
        }
    }
}
