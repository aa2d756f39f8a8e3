//! Tags in front of a frame, as a stack of at most two.

use crate::{EtherType, FrameMut, NoRoom, Tag, TagAction};

/// Bit of the drop eligible indicator in a word.
const DEI: u32 = 0x1000;

/// At most two tags, outermost first, each as TPID and TCI in one number; 0 is no tag.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Stack(pub(super) [u32; 2]);

impl Stack {
    pub(super) fn len(self) -> usize {
        self.0.iter().filter(|word| **word != 0).count()
    }

    pub(super) fn push(&mut self, word: u32) {
        match &mut self.0 {
            [first @ 0, _] => *first = word,
            [_, second] => *second = word,
        }
    }

    /// The stack that results if a frame with these tags is to leave with the tags `wanted`.
    ///
    /// Open vSwitch keeps the inner tags that are right already, removes the others and adds new
    /// ones. It knows no DEI: a tag is right whatever its DEI, and a new tag has none.
    pub(super) fn replaced_by(self, wanted: Self) -> Self {
        let mut result = wanted;
        for (kept, new) in self.innermost_first().zip(result.innermost_first_mut()) {
            if (kept ^ *new) & !DEI != 0 {
                break;
            }
            *new = kept;
        }
        result
    }

    /// How to get from these tags to `result`.
    pub(super) fn edit_to(self, result: Self) -> TagEdit {
        let same = self.innermost_first().zip(result.innermost_first()).take_while(|(a, b)| a == b).count();
        let mut edit = TagEdit { pop: (self.len() - same) as u8, push: [None; 2] };
        let new = result.len() - same;
        for (slot, word) in edit.push.iter_mut().zip(result.0).take(new) {
            *slot = Some(Tag::from_tci(EtherType((word >> 16) as u16), word as u16));
        }
        edit
    }

    fn innermost_first(self) -> impl Iterator<Item = u32> {
        self.0.into_iter().rev().filter(|word| *word != 0)
    }

    fn innermost_first_mut(&mut self) -> impl Iterator<Item = &mut u32> {
        self.0.iter_mut().rev().filter(|word| **word != 0)
    }
}

/// A change of the tags in front of a frame: some are removed, then others added.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub struct TagEdit {
    /// How many tags are removed, outermost first; at most two.
    pub pop: u8,
    /// The tags that are added in their place, outermost first, without gaps.
    pub push: [Option<Tag>; 2],
}

impl TagEdit {
    /// The frame leaves as it came.
    pub const KEEP: Self = Self { pop: 0, push: [None; 2] };

    /// By how many bytes the frame grows; negative if it shrinks.
    #[inline]
    pub fn growth(&self) -> isize {
        let pushed = self.push.iter().flatten().count() as isize;
        (pushed - isize::from(i8::try_from(self.pop).unwrap_or(0))) * Tag::LEN as isize
    }

    /// Does it to `frame`; a tag that is not there is not removed.
    ///
    /// # Errors
    /// [`NoRoom`] if the frame grows by more than its headroom; it is unchanged then.
    #[inline]
    pub fn apply(&self, frame: &mut FrameMut<'_>) -> Result<(), NoRoom> {
        match (self.pop, self.push) {
            (0, [None, _]) => Ok(()),
            (0, [Some(tag), None]) => frame.push_tag(tag),
            (1, [None, _]) => {
                frame.pop_tag();
                Ok(())
            }
            _ => self.apply_both(frame),
        }
    }

    fn apply_both(&self, frame: &mut FrameMut<'_>) -> Result<(), NoRoom> {
        let needed = self.growth().max(0) as usize;
        if frame.headroom() < needed {
            return Err(NoRoom { needed, have: frame.headroom() });
        }
        for _ in 0..self.pop {
            frame.pop_tag();
        }
        self.push.iter().rev().flatten().try_for_each(|tag| frame.push_tag(*tag))
    }
}

impl From<TagAction> for TagEdit {
    #[inline]
    fn from(action: TagAction) -> Self {
        let (pop, tag) = match action {
            TagAction::Keep => (0, None),
            TagAction::Pop => (1, None),
            TagAction::Push(tag) => (0, Some(tag)),
            TagAction::Rewrite(tag) => (1, Some(tag)),
        };
        Self { pop, push: [tag, None] }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::VlanId;

    const OUTER: u32 = 0x88A8_0064;
    const INNER: u32 = 0x8100_000A;

    #[test]
    fn inner_tags_that_are_right_keep_their_dei_and_the_others_lose_it() {
        let have = Stack([OUTER | DEI, INNER | DEI]);
        assert_eq!(have.replaced_by(Stack([OUTER, INNER])), have);
        assert_eq!(have.replaced_by(Stack([INNER, 0])), Stack([INNER | DEI, 0]));
        assert_eq!(have.replaced_by(Stack([0x8100_0001, INNER])), Stack([0x8100_0001, INNER | DEI]));
        assert_eq!(have.replaced_by(Stack([OUTER, 0])), Stack([OUTER, 0]), "the wrong end is right");
    }

    #[test]
    fn an_edit_leads_from_any_stack_to_any_other() {
        let words = [0, OUTER, INNER, INNER | DEI, 0x8100_B00A];
        let stacks = words.iter().flat_map(|a| words.map(|b| Stack(if *a == 0 { [0, 0] } else { [*a, b] })));
        for (from, to) in stacks.clone().flat_map(|from| stacks.clone().map(move |to| (from, to))) {
            let frame_with = |stack: Stack| {
                let mut buffer = [0x55; 8 + 60];
                let mut frame = FrameMut::new(&mut buffer, 8).unwrap();
                for word in stack.innermost_first() {
                    frame.push_tag(Tag::from_tci(EtherType((word >> 16) as u16), word as u16)).unwrap();
                }
                frame.as_bytes().to_vec()
            };
            let edit = from.edit_to(to);
            let mut buffer = [&[0; 8], &frame_with(from)[..]].concat();
            let before = buffer.len() as isize;
            let mut frame = FrameMut::new(&mut buffer, 8).unwrap();
            edit.apply(&mut frame).unwrap();
            assert_eq!(frame.as_bytes(), frame_with(to), "{from:x?} to {to:x?}");
            assert_eq!(frame.as_bytes().len() as isize - before + 8, edit.growth());
            assert_eq!(edit == TagEdit::KEEP, from == to);
        }
    }

    #[test]
    fn a_frame_without_headroom_is_not_touched() {
        let ten = Tag::customer(VlanId::new(10).unwrap());
        let edit = TagEdit { pop: 0, push: [Some(ten), Some(ten)] };
        let mut buffer = [0x55; 4 + 60];
        let mut frame = FrameMut::new(&mut buffer, 4).unwrap();
        assert_eq!(edit.apply(&mut frame), Err(NoRoom { needed: 8, have: 4 }));
        assert_eq!(frame.as_bytes(), [0x55; 60]);
    }
}
