//! Short texts: words of the dictionary by number, others as UTF-8.

use alloc::boxed::Box;

use super::{
    DecodeError,
    bits::{Reader, Writer},
};
use crate::dictionary;

/// Bits of a word's number.
const WORD_BITS: u32 = 8;

/// A text in the bits.
#[derive(Clone, Copy, Debug)]
pub(super) enum Text<'a> {
    Word(&'static str),
    /// So many bytes from here on.
    Literal(Reader<'a>, usize),
}

pub(super) fn write(to: &mut Writer, text: &str) {
    match dictionary::number(text) {
        Some(number) => {
            to.bit(true);
            to.bits(number as u64, WORD_BITS);
        }
        None => {
            to.bit(false);
            to.count(text.len());
            text.bytes().for_each(|byte| to.bits(byte.into(), 8));
        }
    }
}

pub(super) fn read<'a>(reader: &mut Reader<'a>) -> Result<Text<'a>, DecodeError> {
    if reader.bit() {
        let number = reader.bits(WORD_BITS) as usize;
        let word = dictionary::WORDS.get(number);
        return word.map(|word| Text::Word(word)).ok_or_else(|| reader.invalid("an unknown word"));
    }
    let length = reader.count(8)?;
    let text = Text::Literal(*reader, length);
    reader.skip(length, 8)?;
    Ok(text)
}

impl Text<'_> {
    /// # Errors
    /// [`DecodeError::Invalid`] if the bytes are not UTF-8.
    pub(super) fn to_box(self) -> Result<Box<str>, DecodeError> {
        match self {
            Self::Word(word) => Ok(word.into()),
            Self::Literal(mut reader, length) => {
                let bytes = (0..length).map(|_| reader.bits(8) as u8).collect();
                let text = alloc::string::String::from_utf8(bytes);
                text.map(Into::into).map_err(|_| reader.invalid("text that is not UTF-8"))
            }
        }
    }
}
