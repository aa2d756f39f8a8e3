//! JSON values, coded against what stood at the same place before: Neutron repeats itself a lot.
//!
//! A *slot* is a place in the tree: a key under its parent's slot, or "an item of this array". Each
//! slot remembers its last value and how often the next one was the same.

use alloc::{
    boxed::Box,
    collections::BTreeMap,
    string::{String, ToString},
    vec::Vec,
};
use core::net::{Ipv4Addr, Ipv6Addr};

use super::{
    DecodeError,
    ids::{pack_v4, unpack_v4},
    range::{self, Odds},
};
use crate::{Limits, Object, Patch, Uuid, Value, dictionary, value::Float};

/// Numbers of the kinds of values.
mod tag {
    pub(super) const NULL: u32 = 0;
    pub(super) const FALSE: u32 = 1;
    pub(super) const TRUE: u32 = 2;
    pub(super) const INT: u32 = 3;
    pub(super) const STRING: u32 = 4;
    pub(super) const ARRAY: u32 = 5;
    pub(super) const OBJECT: u32 = 6;
    pub(super) const FLOAT: u32 = 7;
    pub(super) const BIG: u32 = 8;
    /// In patches: the key is left out.
    pub(super) const ABSENT: u32 = 9;
}

/// Numbers of the ways to write a text.
mod form {
    /// A text that was written before.
    pub(super) const KNOWN: u32 = 0;
    pub(super) const LITERAL: u32 = 1;
    /// A UUID in lower case.
    pub(super) const UUID: u32 = 2;
    /// A random UUID in lower case: 122 bits.
    pub(super) const UUID_V4: u32 = 3;
    pub(super) const IPV4: u32 = 4;
    pub(super) const IPV6: u32 = 5;
    /// A MAC address in lower case with colons.
    pub(super) const MAC: u32 = 6;
    /// 32 hexadecimal digits in lower case.
    pub(super) const HEX: u32 = 7;
}

/// A number of up to 64 bits: its length in bits by a tree of questions, then its bits.
#[derive(Clone, Debug)]
struct Number([Odds; 128]);

impl Number {
    const NEW: Self = Self([Odds::EVEN; 128]);

    fn write(&mut self, to: &mut range::Encoder, value: u64) {
        let length = 64 - value.leading_zeros();
        write_tree(&mut self.0, to, length, 7);
        // The top bit is always set.
        to.raw(value.into(), length.saturating_sub(1));
    }

    fn read(&mut self, from: &mut range::Decoder<'_>) -> Option<u64> {
        let length = read_tree(&mut self.0, from, 7);
        match length {
            0 => Some(0),
            1..=64 => Some(1 << (length - 1) | from.raw(length - 1) as u64),
            _ => None,
        }
    }
}

/// Writes `symbol` of `bits` bits as a path through a binary tree of questions.
fn write_tree(odds: &mut [Odds], to: &mut range::Encoder, symbol: u32, bits: u32) {
    let mut node = 1;
    for shift in (0..bits).rev() {
        let bit = symbol >> shift & 1 == 1;
        if let Some(odds) = odds.get_mut(node) {
            to.bit(odds, bit);
        }
        node = node << 1 | usize::from(bit);
    }
}

fn read_tree(odds: &mut [Odds], from: &mut range::Decoder<'_>, bits: u32) -> u32 {
    let mut node = 1;
    for _ in 0..bits {
        let bit = odds.get_mut(node).is_some_and(|odds| from.bit(odds));
        node = node << 1 | usize::from(bit);
    }
    node as u32 & ((1 << bits) - 1)
}

/// What is remembered about a place.
#[derive(Debug)]
struct Slot {
    /// The last value that was no array and no object.
    last: Option<Option<Value>>,
    /// Is it that value again?
    same: Odds,
    tags: [Odds; 16],
    forms: [Odds; 8],
    /// Has the object the keys of the last one?
    same_keys: Odds,
    /// Keys of the last object here, with their slots.
    keys: Vec<(Box<str>, usize)>,
    children: BTreeMap<Box<str>, usize>,
    item: Option<usize>,
    last_int: i64,
    last_count: i64,
    number: Box<Number>,
}

impl Slot {
    fn new() -> Self {
        Self {
            last: None,
            same: Odds::EVEN,
            tags: [Odds::EVEN; 16],
            forms: [Odds::EVEN; 8],
            same_keys: Odds::EVEN,
            keys: Vec::new(),
            children: BTreeMap::new(),
            item: None,
            last_int: 0,
            last_count: 0,
            number: Box::new(Number::NEW),
        }
    }
}

/// What writer and reader both keep, step for step.
#[derive(Debug)]
struct Model {
    slots: Vec<Slot>,
    /// Texts so far, after the dictionary's words.
    texts: Vec<Box<str>>,
    numbers: BTreeMap<Box<str>, usize>,
    index: Number,
    length: Number,
    bytes: Box<[Odds; 256]>,
    key_forms: [Odds; 8],
}

/// The slot of values on their own.
const ROOT: usize = 0;

/// What a patch belongs to; the number is that of its slot.
#[derive(Clone, Copy, Debug)]
pub(super) enum Place {
    Message = 1,
    Device = 2,
    Rule = 3,
    Members = 4,
}

impl Model {
    fn new() -> Self {
        Self {
            slots: (0..=4).map(|_| Slot::new()).collect(),
            texts: Vec::new(),
            numbers: BTreeMap::new(),
            index: Number::NEW,
            length: Number::NEW,
            bytes: Box::new([Odds::EVEN; 256]),
            key_forms: [Odds::EVEN; 8],
        }
    }

    #[allow(clippy::indexing_slicing, reason = "slot numbers come from `new_slot` only")]
    fn slot(&mut self, at: usize) -> &mut Slot {
        &mut self.slots[at]
    }

    fn new_slot(&mut self) -> usize {
        self.slots.push(Slot::new());
        self.slots.len() - 1
    }

    /// The slot of `key` in objects at `parent`; all ids share one, since they come and go.
    fn child(&mut self, parent: usize, key: &str) -> usize {
        let key = if key.parse::<Uuid>().is_ok() { "" } else { key };
        if let Some(&child) = self.slot(parent).children.get(key) {
            return child;
        }
        let child = self.new_slot();
        self.slot(parent).children.insert(key.into(), child);
        child
    }

    fn item(&mut self, parent: usize) -> usize {
        if let Some(item) = self.slot(parent).item {
            return item;
        }
        let item = self.new_slot();
        self.slot(parent).item = Some(item);
        item
    }

    fn number(&self, text: &str) -> Option<usize> {
        dictionary::number(text).or_else(|| self.numbers.get(text).copied())
    }

    fn remember(&mut self, text: &str) {
        let number = dictionary::WORDS.len() + self.texts.len();
        self.texts.push(text.into());
        self.numbers.insert(text.into(), number);
    }

    fn text(&self, number: usize) -> Option<&str> {
        match dictionary::WORDS.get(number) {
            Some(word) => Some(word),
            None => self.texts.get(number.checked_sub(dictionary::WORDS.len())?).map(|text| &**text),
        }
    }
}

/// Numbers near zero, of either sign, become small.
const fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)) as u64
}

const fn unzigzag(value: u64) -> i64 {
    (value >> 1) as i64 ^ -((value & 1) as i64)
}

/// The form that gives back exactly `text`, and its bits; `None` for any other text.
fn packed(text: &str) -> Option<(u32, u128, u32)> {
    let exact = |again: String| (again == text).then_some(());
    match text.len() {
        36 => {
            let id = text.parse::<Uuid>().ok()?;
            exact(id.to_string())?;
            Some(if id.is_v4() { (form::UUID_V4, pack_v4(id), 122) } else { (form::UUID, id.bits(), 128) })
        }
        32 if text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) => {
            Some((form::HEX, u128::from_str_radix(text, 16).ok()?, 128))
        }
        17 if text.as_bytes().get(2) == Some(&b':') => {
            let mac: macaddr::MacAddr6 = text.parse().ok()?;
            exact(crate::neutron::mac_text(mac))?;
            Some((form::MAC, mac_bits(mac).into(), 48))
        }
        7..=15 if text.contains('.') => {
            let address: Ipv4Addr = text.parse().ok()?;
            Some((form::IPV4, u128::from(address.to_bits()), 32))
        }
        2..=39 if text.contains(':') => {
            let address: Ipv6Addr = text.parse().ok()?;
            exact(address.to_string())?;
            Some((form::IPV6, address.to_bits(), 128))
        }
        _ => None,
    }
}

/// The text of a form other than `KNOWN` and `LITERAL`.
fn unpacked(form: u32, bits: u128) -> String {
    match form {
        form::UUID => Uuid::from_bits(bits).to_string(),
        form::UUID_V4 => unpack_v4(bits).to_string(),
        form::IPV4 => Ipv4Addr::from_bits(bits as u32).to_string(),
        form::IPV6 => Ipv6Addr::from_bits(bits).to_string(),
        form::MAC => crate::neutron::mac_text(mac_of(bits as u64)),
        _ => alloc::format!("{bits:032x}"),
    }
}

const fn form_bits(form: u32) -> u32 {
    match form {
        form::UUID_V4 => 122,
        form::IPV4 => 32,
        form::MAC => 48,
        _ => 128,
    }
}

fn mac_bits(mac: macaddr::MacAddr6) -> u64 {
    mac.into_array().into_iter().fold(0, |bits, byte| bits << 8 | u64::from(byte))
}

fn mac_of(bits: u64) -> macaddr::MacAddr6 {
    let [_, _, bytes @ ..] = bits.to_be_bytes();
    macaddr::MacAddr6::from(bytes)
}

/// Writes values one after another; later ones profit from earlier ones.
#[derive(Debug)]
pub(super) struct Encoder {
    model: Model,
    to: range::Encoder,
}

impl Encoder {
    pub(super) fn new() -> Self {
        Self { model: Model::new(), to: range::Encoder::new() }
    }

    pub(super) fn finish(self, out: &mut Vec<u8>) {
        out.extend(self.to.finish());
    }

    /// Writes a value on its own.
    pub(super) fn value(&mut self, value: &Value) {
        self.put(ROOT, Some(value));
    }

    /// Writes a patch; an absent member is a value of its own kind.
    pub(super) fn patch(&mut self, place: Place, patch: &Patch) {
        self.object(place as usize, patch.iter().map(|(key, value)| (key.as_str(), value.as_ref())));
    }

    fn put(&mut self, at: usize, value: Option<&Value>) {
        let tag = match value {
            None => tag::ABSENT,
            Some(Value::Null) => tag::NULL,
            Some(Value::Bool(false)) => tag::FALSE,
            Some(Value::Bool(true)) => tag::TRUE,
            Some(Value::Int(_)) => tag::INT,
            Some(Value::String(_)) => tag::STRING,
            Some(Value::Array(_)) => tag::ARRAY,
            Some(Value::Object(_)) => tag::OBJECT,
            Some(Value::Float(_)) => tag::FLOAT,
            Some(Value::Big(_)) => tag::BIG,
        };
        let slot = self.model.slot(at);
        if let Some(last) = &slot.last {
            let same = last.as_ref() == value;
            self.to.bit(&mut slot.same, same);
            if same {
                return;
            }
        }
        write_tree(&mut slot.tags, &mut self.to, tag, 4);
        match value {
            Some(Value::Array(items)) => return self.array(at, items),
            Some(Value::Object(members)) => {
                return self.object(at, members.iter().map(|(key, value)| (key.as_str(), Some(value))));
            }
            Some(Value::Int(number)) => {
                let step = number.wrapping_sub(slot.last_int);
                slot.last_int = *number;
                slot.number.write(&mut self.to, zigzag(step));
            }
            Some(Value::String(text)) => {
                let mut forms = slot.forms;
                self.text(&mut forms, text);
                self.model.slot(at).forms = forms;
            }
            Some(Value::Float(Float(bits)) | Value::Big(bits)) => self.to.raw((*bits).into(), 64),
            _ => {}
        }
        self.model.slot(at).last = Some(value.cloned());
    }

    fn count(&mut self, at: usize, count: usize) {
        let slot = self.model.slot(at);
        let count = count as i64;
        slot.number.write(&mut self.to, zigzag(count - slot.last_count));
        slot.last_count = count;
    }

    fn array(&mut self, at: usize, items: &[Value]) {
        self.count(at, items.len());
        let item = self.model.item(at);
        items.iter().for_each(|value| self.put(item, Some(value)));
    }

    fn object<'a>(&mut self, at: usize, members: impl Iterator<Item = (&'a str, Option<&'a Value>)> + Clone) {
        let slot = self.model.slot(at);
        let same = slot.keys.iter().map(|(key, _)| &**key).eq(members.clone().map(|(key, _)| key));
        self.to.bit(&mut slot.same_keys, same);
        let keys = if same {
            core::mem::take(&mut slot.keys)
        } else {
            self.count(at, members.clone().count());
            let key = |(key, _): (&str, _)| {
                let mut forms = self.model.key_forms;
                self.text(&mut forms, key);
                self.model.key_forms = forms;
                (Box::from(key), self.model.child(at, key))
            };
            members.clone().map(key).collect()
        };
        for ((_, child), (_, value)) in keys.iter().zip(members) {
            self.put(*child, value);
        }
        self.model.slot(at).keys = keys;
    }

    fn text(&mut self, forms: &mut [Odds; 8], text: &str) {
        if let Some(number) = self.model.number(text) {
            write_tree(forms, &mut self.to, form::KNOWN, 3);
            return self.model.index.write(&mut self.to, number as u64);
        }
        match packed(text) {
            Some((form, bits, count)) => {
                write_tree(forms, &mut self.to, form, 3);
                self.to.raw(bits, count);
            }
            None => {
                write_tree(forms, &mut self.to, form::LITERAL, 3);
                self.model.length.write(&mut self.to, text.len() as u64);
                for byte in text.bytes() {
                    write_tree(&mut *self.model.bytes, &mut self.to, byte.into(), 8);
                }
            }
        }
        self.model.remember(text);
    }
}

/// Reads what [`Encoder`] wrote.
#[derive(Debug)]
pub(super) struct Decoder<'a> {
    model: Model,
    from: range::Decoder<'a>,
    limits: Limits,
    values: usize,
    text: usize,
}

type Decode<T> = Result<T, DecodeError>;

impl<'a> Decoder<'a> {
    pub(super) fn new(bytes: &'a [u8], limits: &Limits) -> Self {
        Self {
            model: Model::new(),
            from: range::Decoder::new(bytes),
            limits: *limits,
            values: limits.values,
            text: limits.text,
        }
    }

    /// Reads a value that was written on its own.
    pub(super) fn value(&mut self) -> Decode<Value> {
        let at = self.from.position();
        self.take(ROOT, 0)?.ok_or(DecodeError::Invalid { what: "an absent value", at })
    }

    /// Reads a patch.
    pub(super) fn patch(&mut self, place: Place) -> Decode<Patch> {
        self.object(place as usize, 0)
    }

    /// Ends reading.
    pub(super) fn finish(self) -> Decode<()> {
        let at = self.from.position();
        if self.from.overran() {
            return Err(DecodeError::Truncated { at });
        }
        if self.from.is_finished() {
            Ok(())
        } else {
            Err(DecodeError::Invalid { what: "trailing bytes", at })
        }
    }

    fn invalid(&self, what: &'static str) -> DecodeError {
        DecodeError::Invalid { what, at: self.from.position() }
    }

    fn take(&mut self, at: usize, depth: usize) -> Decode<Option<Value>> {
        if self.from.overran() {
            return Err(DecodeError::Truncated { at: self.from.position() });
        }
        if depth > self.limits.depth {
            return Err(DecodeError::Limit { what: "levels of nesting", limit: self.limits.depth });
        }
        self.values = self
            .values
            .checked_sub(1)
            .ok_or(DecodeError::Limit { what: "values", limit: self.limits.values })?;
        let slot = self.model.slot(at);
        let same = slot.last.is_some() && self.from.bit(&mut slot.same);
        if let (true, Some(last)) = (same, &slot.last) {
            let last = last.clone();
            if let Some(Value::String(text)) = &last {
                self.spend_text(text.len())?;
            }
            return Ok(last);
        }
        let tag = read_tree(&mut slot.tags, &mut self.from, 4);
        let value = match tag {
            tag::ABSENT => None,
            tag::NULL => Some(Value::Null),
            tag::FALSE => Some(Value::Bool(false)),
            tag::TRUE => Some(Value::Bool(true)),
            tag::INT => {
                let step = slot.number.read(&mut self.from).map(unzigzag);
                let number = step.map(|step| slot.last_int.wrapping_add(step));
                slot.last_int = number.unwrap_or_default();
                Some(Value::Int(number.ok_or_else(|| self.invalid("a number of too many bits"))?))
            }
            tag::STRING => {
                let mut forms = slot.forms;
                let text = self.text(&mut forms)?;
                self.model.slot(at).forms = forms;
                Some(Value::String(text))
            }
            tag::ARRAY => return self.array(at, depth).map(|items| Some(Value::Array(items))),
            tag::OBJECT => {
                let members = self.object(at, depth)?;
                let present = members.into_iter().map(|(key, value)| Some((key, value?)));
                let object: Option<Object> = present.collect();
                return object
                    .map(|object| Some(object.into()))
                    .ok_or_else(|| self.invalid("an absent member"));
            }
            tag::FLOAT | tag::BIG => {
                let bits = self.from.raw(64) as u64;
                Some(if tag == tag::BIG { Value::Big(bits) } else { Value::Float(Float(bits)) })
            }
            _ => return Err(self.invalid("an unknown kind of value")),
        };
        self.model.slot(at).last = Some(value.clone());
        Ok(value)
    }

    fn count(&mut self, at: usize) -> Decode<usize> {
        let slot = self.model.slot(at);
        let step = slot.number.read(&mut self.from).map(unzigzag);
        let count = step.and_then(|step| slot.last_count.checked_add(step));
        slot.last_count = count.unwrap_or_default();
        count
            .and_then(|count| usize::try_from(count).ok())
            .ok_or_else(|| self.invalid("a count out of range"))
    }

    fn array(&mut self, at: usize, depth: usize) -> Decode<Vec<Value>> {
        let count = self.count(at)?;
        let item = self.model.item(at);
        let mut items = Vec::new();
        for _ in 0..count {
            let value = self.take(item, depth + 1)?;
            items.push(value.ok_or_else(|| self.invalid("an absent item"))?);
        }
        Ok(items)
    }

    fn object(&mut self, at: usize, depth: usize) -> Decode<Patch> {
        let slot = self.model.slot(at);
        let keys = if self.from.bit(&mut slot.same_keys) {
            core::mem::take(&mut slot.keys)
        } else {
            let mut keys = Vec::new();
            for _ in 0..self.count(at)? {
                let mut forms = self.model.key_forms;
                let key = self.text(&mut forms)?;
                self.model.key_forms = forms;
                let child = self.model.child(at, &key);
                keys.push((key, child));
            }
            keys
        };
        let mut members = Patch::new();
        for (key, child) in &keys {
            self.spend_text(key.len())?;
            let value = self.take(*child, depth + 1)?;
            members.insert(String::from(&**key), value);
        }
        self.model.slot(at).keys = keys;
        Ok(members)
    }

    fn text(&mut self, forms: &mut [Odds; 8]) -> Decode<Box<str>> {
        if self.from.overran() {
            return Err(DecodeError::Truncated { at: self.from.position() });
        }
        let text = match read_tree(forms, &mut self.from, 3) {
            form::KNOWN => {
                let number = self.model.index.read(&mut self.from).and_then(|n| usize::try_from(n).ok());
                let text = number.and_then(|number| self.model.text(number)).map(Box::from);
                let text: Box<str> = text.ok_or_else(|| self.invalid("a reference to no text"))?;
                self.spend_text(text.len())?;
                return Ok(text);
            }
            form::LITERAL => {
                let length = self.model.length.read(&mut self.from);
                let length = length.and_then(|n| usize::try_from(n).ok()).unwrap_or(usize::MAX);
                self.spend_text(length)?;
                let mut bytes = Vec::new();
                for _ in 0..length {
                    if self.from.overran() {
                        return Err(DecodeError::Truncated { at: self.from.position() });
                    }
                    bytes.push(read_tree(&mut *self.model.bytes, &mut self.from, 8) as u8);
                }
                String::from_utf8(bytes).map_err(|_| self.invalid("text that is not UTF-8"))?.into()
            }
            form => {
                let bits = self.from.raw(form_bits(form));
                self.spend_text(40)?;
                unpacked(form, bits).into_boxed_str()
            }
        };
        self.model.remember(&text);
        Ok(text)
    }

    fn spend_text(&mut self, bytes: usize) -> Decode<()> {
        let left = self.text.checked_sub(bytes);
        self.text = left.ok_or(DecodeError::Limit { what: "bytes of text", limit: self.limits.text })?;
        Ok(())
    }
}
