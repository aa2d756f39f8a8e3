//! Tags in front of a frame, as a stack of at most two.

use crate::TagEdit;

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
        let [outer, inner] = result.0;
        let push = match result.len() - same {
            0 => [0, 0],
            1 => [outer, 0],
            _ => [outer, inner],
        };
        TagEdit::new((self.len() - same) as u8, push)
    }

    fn innermost_first(self) -> impl Iterator<Item = u32> {
        self.0.into_iter().rev().filter(|word| *word != 0)
    }

    fn innermost_first_mut(&mut self) -> impl Iterator<Item = &mut u32> {
        self.0.iter_mut().rev().filter(|word| **word != 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{EtherType, FrameMut, Tag};

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
}
