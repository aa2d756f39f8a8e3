//! The compact binary form. `FORMAT.md` describes it byte for byte.

mod bits;
mod column;
mod error;
mod ids;
mod layout;
mod macs;
mod pool;
mod positions;
mod range;
mod read_info;
mod rules;
mod set;
mod texts;
mod values;
mod view;
mod write_devices;
mod write_info;

use alloc::{borrow::Cow, boxed::Box, vec::Vec};

pub use error::DecodeError;
pub use view::{DeviceView, GroupView, Rules, View};

use crate::{Envelope, Info, Limits, Message, Patch, Payload, Value};
use bits::{Reader, Writer};

/// The format version that this crate writes, and the newest that it reads.
pub const FORMAT_VERSION: u8 = 1;

/// First byte: a set top bit (no JSON text or gzip file starts so), the version, the kind.
const MARK: u8 = 0x80;

/// Kinds of messages, in the low four bits of the first byte.
mod kind {
    /// The compact reply, nothing but what the model says.
    pub(super) const INFO: u8 = 0;
    /// The compact reply, then its patches.
    pub(super) const INFO_PATCHED: u8 = 1;
    /// A legacy reply, as the compact reply that expands to it.
    pub(super) const LEGACY: u8 = 2;
    pub(super) const LEGACY_PATCHED: u8 = 3;
    /// Any other message, as a JSON value.
    pub(super) const DOCUMENT: u8 = 4;
    /// An envelope: its payload as a message, then its other members as JSON values.
    pub(super) const ENVELOPE: u8 = 5;
}

/// Where an envelope's payload stood, in its second byte.
mod payload {
    pub(super) const NONE: u8 = 0;
    pub(super) const REPLY: u8 = 1;
    pub(super) const CALL: u8 = 2;
}

type Decode<T> = Result<T, DecodeError>;

impl Message {
    /// The compact form of the message: equal messages have equal bytes, whatever the order of their
    /// lists was. O(n log n).
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.encode_into(&mut out);
        out
    }

    fn encode_into(&self, out: &mut Vec<u8>) {
        match self {
            Self::Info(info) => write_info(out, info, kind::INFO, kind::INFO_PATCHED),
            Self::Envelope(envelope) => write_envelope(out, envelope),
            Self::Legacy(legacy) => match legacy.compact() {
                Some(info) => write_info(out, &info, kind::LEGACY, kind::LEGACY_PATCHED),
                None => write_document(out, self),
            },
            _ => write_document(out, self),
        }
    }

    /// Reads the compact form. O(n log n); memory within `limits`.
    ///
    /// # Errors
    /// [`DecodeError`] for anything that [`Message::encode`] does not write, trailing bytes and
    /// other encodings of the same message included.
    pub fn decode(bytes: &[u8], limits: &Limits) -> Decode<Self> {
        let message = read_message(bytes, limits, limits.depth)?;
        if limits.canonical {
            check_canonical(bytes, &message.encode())?;
        }
        Ok(message)
    }
}

impl Info {
    /// The compact form of a compact reply: what [`Message::encode`] gives for [`Message::Info`].
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        write_info(&mut out, self, kind::INFO, kind::INFO_PATCHED);
        out
    }

    /// Reads the compact form of a compact reply.
    ///
    /// # Errors
    /// As [`Message::decode`]; [`DecodeError::Invalid`] for a message of another kind.
    pub fn decode(bytes: &[u8], limits: &Limits) -> Decode<Self> {
        match read_message(bytes, limits, limits.depth)? {
            Message::Info(info) => {
                if limits.canonical {
                    check_canonical(bytes, &info.encode())?;
                }
                Ok(info)
            }
            _ => Err(DecodeError::Invalid { what: "a message of another kind", at: 0 }),
        }
    }
}

fn check_canonical(bytes: &[u8], canonical: &[u8]) -> Decode<()> {
    if canonical == bytes {
        return Ok(());
    }
    let at = canonical.iter().zip(bytes).take_while(|(a, b)| a == b).count();
    Err(DecodeError::NotCanonical { at })
}

fn start(out: &mut Vec<u8>, kind: u8) {
    out.push(MARK | FORMAT_VERSION << 4 | kind);
}

/// The kind of a message, and what follows the first byte.
fn split_kind(bytes: &[u8]) -> Decode<(u8, &[u8])> {
    let (&first, body) = bytes.split_first().ok_or(DecodeError::Truncated { at: 0 })?;
    match (first & MARK, first >> 4 & 7) {
        (MARK, FORMAT_VERSION) => Ok((first & 0xF, body)),
        (0, _) | (_, 0) => Err(DecodeError::NotAMessage { found: first }),
        (_, found) => Err(DecodeError::Version { found, newest: FORMAT_VERSION }),
    }
}

fn read_message(bytes: &[u8], limits: &Limits, depth: usize) -> Decode<Message> {
    let (kind, body) = split_kind(bytes)?;
    match kind {
        kind::INFO | kind::INFO_PATCHED => read_info(bytes, kind, limits).map(Message::Info),
        kind::LEGACY | kind::LEGACY_PATCHED => {
            let info = read_info(bytes, kind, limits)?;
            let copies = info.legacy_rules();
            if copies > limits.values {
                return Err(DecodeError::Limit { what: "expanded rules", limit: limits.values });
            }
            Ok(Message::Legacy(info.to_legacy()))
        }
        kind::DOCUMENT => {
            let mut values = values::Decoder::new(body, limits);
            let value = values.value()?;
            values.finish()?;
            Message::from_value(&value).map_err(DecodeError::Content)
        }
        kind::ENVELOPE => {
            let depth = depth.checked_sub(1);
            let depth = depth.ok_or(DecodeError::Limit { what: "envelopes", limit: limits.depth })?;
            read_envelope(body, limits, depth).map(|envelope| Message::Envelope(Box::new(envelope)))
        }
        _ => Err(DecodeError::Invalid { what: "an unknown kind of message", at: 0 }),
    }
}

fn write_document(out: &mut Vec<u8>, message: &Message) {
    start(out, kind::DOCUMENT);
    let mut values = values::Encoder::new();
    let mut message = Cow::Borrowed(message);
    if let Message::Legacy(_) = *message {
        message.to_mut().normalize();
    }
    values.value(&message.to_value());
    values.finish(out);
}

fn write_info(out: &mut Vec<u8>, info: &Info, plain: u8, patched: u8) {
    let mut info = Cow::Borrowed(info);
    if !info.is_normalized() {
        info.to_mut().normalize();
    }
    let has_patches = patches(&info).any(|(_, patch)| patch.is_some_and(|patch| !patch.is_empty()));
    start(out, if has_patches { patched } else { plain });
    let mut to = Writer::after(core::mem::take(out));
    write_info::write(&mut to, &info);
    *out = to.finish();
    if has_patches {
        let mut values = values::Encoder::new();
        let none = Patch::new();
        patches(&info).for_each(|(place, patch)| values.patch(place, patch.unwrap_or(&none)));
        values.finish(out);
    }
}

fn read_info(bytes: &[u8], kind: u8, limits: &Limits) -> Decode<Info> {
    let (mut info, rest) = read_info::read(Reader::new(bytes, 8), limits)?;
    if matches!(kind, kind::INFO | kind::LEGACY) {
        let at = bytes.len() - rest.len();
        return if rest.is_empty() {
            Ok(info)
        } else {
            Err(DecodeError::Invalid { what: "trailing bytes", at })
        };
    }
    let mut values = values::Decoder::new(rest, limits);
    info.patch = values.patch(values::Place::Message)?;
    for device in &mut info.devices {
        device.patch = values.patch(values::Place::Device)?;
    }
    let own = info.devices.iter_mut().filter_map(|device| device.own_rules.as_mut()).flatten();
    for rule in own.chain(info.groups.iter_mut().flat_map(|group| &mut group.rules)) {
        let patch = values.patch(values::Place::Rule)?;
        rule.patch = (!patch.is_empty()).then(|| Box::new(patch));
    }
    for set in &mut info.members {
        set.patch = values.patch(values::Place::Members)?;
    }
    values.finish()?;
    Ok(info)
}

/// Every patch of a message, in the order in which they are written.
fn patches(info: &Info) -> impl Iterator<Item = (values::Place, Option<&Patch>)> {
    use values::Place;
    let devices = info.devices.iter().map(|device| (Place::Device, Some(&device.patch)));
    let rules = write_info::all_rules(info).map(|rule| (Place::Rule, rule.patch.as_deref()));
    let members = info.members.iter().map(|set| (Place::Members, Some(&set.patch)));
    [(Place::Message, Some(&info.patch))].into_iter().chain(devices).chain(rules).chain(members)
}

fn write_envelope(out: &mut Vec<u8>, envelope: &Envelope) {
    start(out, kind::ENVELOPE);
    let (code, message) = match &envelope.payload {
        None => (payload::NONE, None),
        Some(Payload::Reply(message)) => (payload::REPLY, Some(message)),
        Some(Payload::Call(message)) => (payload::CALL, Some(message)),
    };
    out.push(code);
    if let Some(message) = message {
        let bytes = message.encode();
        // LEB128: seven bits a byte, low ones first, the top bit says that another byte follows.
        let mut length = bytes.len();
        while length > 0x7F {
            out.push(length as u8 & 0x7F | 0x80);
            length >>= 7;
        }
        out.push(length as u8);
        out.extend(bytes);
    }
    let mut values = values::Encoder::new();
    values.value(&Value::Object(envelope.outer.clone()));
    values.value(&Value::Object(envelope.inner.clone()));
    values.finish(out);
}

fn read_envelope(body: &[u8], limits: &Limits, depth: usize) -> Decode<Envelope> {
    let truncated = DecodeError::Truncated { at: body.len() };
    let (&code, mut rest) = body.split_first().ok_or(truncated.clone())?;
    let mut message = None;
    if code != payload::NONE {
        let mut length = 0usize;
        for shift in (0..28).step_by(7) {
            let (&byte, after) = rest.split_first().ok_or(truncated.clone())?;
            rest = after;
            length |= usize::from(byte & 0x7F) << shift;
            if byte & 0x80 == 0 {
                break;
            }
        }
        let (inner, after) = rest.split_at_checked(length).ok_or(truncated)?;
        message = Some(read_message(inner, limits, depth)?);
        rest = after;
    }
    let payload = match (code, message) {
        (payload::NONE, _) => None,
        (payload::REPLY, Some(message)) => Some(Payload::Reply(message)),
        (payload::CALL, Some(message)) => Some(Payload::Call(message)),
        _ => return Err(DecodeError::Invalid { what: "an unknown kind of payload", at: 1 }),
    };
    let mut values = values::Decoder::new(rest, limits);
    let (outer, inner) = (values.value()?, values.value()?);
    values.finish()?;
    match (outer, inner) {
        (Value::Object(outer), Value::Object(inner)) => Ok(Envelope { outer, inner, payload }),
        _ => Err(DecodeError::Invalid { what: "an envelope that is no object", at: 1 }),
    }
}
