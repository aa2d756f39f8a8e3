//! Messages as values; the [module](super) has their bytes.

use alloc::vec::Vec;

use super::SyncError;
use super::state::{ItemKey, ItemKind};
use super::wire::{Reader, put_count, put_varint};
use crate::{Info, Limits, Message, Uuid};

/// The format that this program writes, and the newest that it reads.
pub(super) const FORMAT: u8 = 1;

mod kind {
    pub(super) const SYNC: u8 = 1;
    pub(super) const CHECK: u8 = 2;
    pub(super) const HEAL: u8 = 3;
    pub(super) const DELTA: u8 = 4;
    pub(super) const EDIT: u8 = 5;
    pub(super) const SETTLED: u8 = 6;
    pub(super) const ASK: u8 = 7;
}

/// Where a side is in a stream.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Position {
    pub(super) epoch: u32,
    pub(super) seq: u64,
    pub(super) digest: u64,
}

/// What an agent sends.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum ToServer {
    Sync { format: u8, nonce: u8, position: Position, devices: Vec<Uuid>, items: Vec<(ItemKey, u64)> },
    Check { nonce: u8, position: Position },
}

/// What a server sends; the body of a delta is read against the state that it applies to.
#[derive(Clone, Debug)]
pub(super) enum ToAgent<'a> {
    Heal { nonce: u8, position: Position, removed: Vec<ItemKey>, replaced: Info },
    Delta { head: Head, body: Reader<'a> },
    Edit { head: Head, body: Reader<'a> },
    Settled { nonce: u8 },
    Ask { nonce: u8 },
}

/// The low bits of a delta's place in its stream, and of the digests before and after.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Head {
    pub(super) epoch: u16,
    pub(super) seq: u16,
    pub(super) base: u16,
    pub(super) result: u32,
}

/// The devices that an agent's message names; `None` if it is a check, which names none.
///
/// For whoever must know of devices before the server does: a bridge that asks elsewhere first.
///
/// # Errors
/// [`SyncError`] if it is no message of an agent.
pub fn named_devices(bytes: &[u8]) -> Result<Option<Vec<Uuid>>, SyncError> {
    match ToServer::decode(bytes)? {
        ToServer::Sync { devices, .. } => Ok(Some(devices)),
        ToServer::Check { .. } => Ok(None),
    }
}

impl Head {
    /// The head of the delta that leads from `before` to `after`, whose digest says the result.
    pub(super) const fn new(before: u64, after: Position) -> Self {
        Self {
            epoch: after.epoch as u16,
            seq: after.seq as u16,
            base: before as u16,
            result: after.digest as u32,
        }
    }
}

impl ToServer {
    pub(super) fn encode(&self) -> Vec<u8> {
        match self {
            Self::Sync { format, nonce, position, devices, items } => {
                let mut out = Vec::with_capacity(32 + 16 * devices.len() + 25 * items.len());
                out.push(format << 4 | kind::SYNC);
                put_position(&mut out, *nonce, position);
                put_count(&mut out, devices.len());
                devices.iter().for_each(|id| out.extend_from_slice(&id.0));
                put_count(&mut out, items.len());
                for (key, digest) in items {
                    put_key(&mut out, *key);
                    out.extend_from_slice(&digest.to_le_bytes());
                }
                out
            }
            Self::Check { nonce, position } => {
                let mut out = Vec::from([FORMAT << 4 | kind::CHECK]);
                put_position(&mut out, *nonce, position);
                out
            }
        }
    }

    /// Reads a message of any format: these two never change, so that old and new can begin.
    pub(super) fn decode(bytes: &[u8]) -> Result<Self, SyncError> {
        let mut reader = Reader::new(bytes);
        let first = reader.u8()?;
        let message = match (first & 0x80, first & 0x0F) {
            (0, kind::SYNC) => {
                let (nonce, position) = read_position(&mut reader)?;
                let devices = read_list(&mut reader, Reader::uuid)?;
                let items = read_list(&mut reader, |reader| Ok((read_key(reader)?, reader.u64()?)))?;
                Self::Sync { format: first >> 4, nonce, position, devices, items }
            }
            (0, kind::CHECK) => {
                let (nonce, position) = read_position(&mut reader)?;
                Self::Check { nonce, position }
            }
            _ => return Err(SyncError::Kind { found: first }),
        };
        skip_extensions(&mut reader)?;
        Ok(message)
    }
}

impl<'a> ToAgent<'a> {
    pub(super) fn decode(bytes: &'a [u8], limits: &Limits) -> Result<Self, SyncError> {
        let mut reader = Reader::new(bytes);
        let first = reader.u8()?;
        if first & 0x80 != 0 || first >> 4 == 0 {
            return Err(SyncError::Kind { found: first });
        }
        if first >> 4 > FORMAT {
            return Err(SyncError::Version { found: first >> 4, newest: FORMAT });
        }
        let message = match first & 0x0F {
            kind::HEAL => {
                let (nonce, position) = read_position(&mut reader)?;
                let removed = read_list(&mut reader, read_key)?;
                let replaced = read_info(&mut reader, limits)?;
                Self::Heal { nonce, position, removed, replaced }
            }
            kind::DELTA => return Ok(Self::Delta { head: read_head(&mut reader)?, body: reader }),
            kind::EDIT => return Ok(Self::Edit { head: read_head(&mut reader)?, body: reader }),
            kind::SETTLED => Self::Settled { nonce: reader.u8()? },
            kind::ASK => Self::Ask { nonce: reader.u8()? },
            _ => return Err(SyncError::Kind { found: first }),
        };
        skip_extensions(&mut reader)?;
        Ok(message)
    }
}

/// A heal: what differs.
pub(super) fn heal(nonce: u8, position: &Position, removed: &[ItemKey], replaced: Info) -> Vec<u8> {
    let mut out = Vec::from([FORMAT << 4 | kind::HEAL]);
    put_position(&mut out, nonce, position);
    put_removed(&mut out, removed);
    put_info(&mut out, replaced);
    out
}

/// The start of a delta; edited sets, removed and replaced follow.
pub(super) fn delta(head: Head) -> Vec<u8> {
    headed(kind::DELTA, head)
}

/// The start of a single edit; the index of its set and the edit follow.
pub(super) fn edit(head: Head) -> Vec<u8> {
    headed(kind::EDIT, head)
}

/// "You are in step."
pub(super) fn settled(nonce: u8) -> Vec<u8> {
    Vec::from([FORMAT << 4 | kind::SETTLED, nonce])
}

/// "Tell me what you hold."
pub(super) fn ask(nonce: u8) -> Vec<u8> {
    Vec::from([FORMAT << 4 | kind::ASK, nonce])
}

fn headed(kind: u8, head: Head) -> Vec<u8> {
    let mut out = Vec::with_capacity(24);
    out.push(FORMAT << 4 | kind);
    for number in [head.epoch, head.seq, head.base] {
        out.extend_from_slice(&number.to_le_bytes());
    }
    out.extend_from_slice(&head.result.to_le_bytes());
    out
}

fn read_head(reader: &mut Reader<'_>) -> Result<Head, SyncError> {
    Ok(Head { epoch: reader.u16()?, seq: reader.u16()?, base: reader.u16()?, result: reader.u32()? })
}

fn put_position(out: &mut Vec<u8>, nonce: u8, position: &Position) {
    out.push(nonce);
    out.extend_from_slice(&position.epoch.to_le_bytes());
    put_varint(out, position.seq);
    out.extend_from_slice(&position.digest.to_le_bytes());
}

fn read_position(reader: &mut Reader<'_>) -> Result<(u8, Position), SyncError> {
    let nonce = reader.u8()?;
    Ok((nonce, Position { epoch: reader.u32()?, seq: reader.varint()?, digest: reader.u64()? }))
}

pub(super) fn put_removed(out: &mut Vec<u8>, removed: &[ItemKey]) {
    put_count(out, removed.len());
    removed.iter().for_each(|key| put_key(out, *key));
}

pub(super) fn read_removed(reader: &mut Reader<'_>) -> Result<Vec<ItemKey>, SyncError> {
    read_list(reader, read_key)
}

pub(super) fn put_info(out: &mut Vec<u8>, info: Info) {
    if info == Info::default() {
        out.push(0);
        return;
    }
    let bytes = Message::Info(info).encode();
    put_count(out, bytes.len());
    out.extend_from_slice(&bytes);
}

pub(super) fn read_info(reader: &mut Reader<'_>, limits: &Limits) -> Result<Info, SyncError> {
    let len = reader.count()?;
    if len == 0 {
        return Ok(Info::default());
    }
    match Message::decode(reader.bytes(len)?, limits)? {
        Message::Info(info) => Ok(info),
        _ => Err(reader.invalid("another message than a list of items")),
    }
}

/// Steps over what a newer program may have added.
pub(super) fn skip_extensions(reader: &mut Reader<'_>) -> Result<(), SyncError> {
    while !reader.is_empty() {
        reader.varint()?;
        let len = reader.count()?;
        reader.bytes(len)?;
    }
    Ok(())
}

fn put_key(out: &mut Vec<u8>, key: ItemKey) {
    out.push(key.kind.code());
    out.extend_from_slice(&key.id.0);
}

fn read_key(reader: &mut Reader<'_>) -> Result<ItemKey, SyncError> {
    let code = reader.u8()?;
    let kind = ItemKind::from_code(code).ok_or_else(|| reader.invalid("an unknown kind of item"))?;
    Ok(ItemKey { kind, id: reader.uuid()? })
}

fn read_list<'a, T>(
    reader: &mut Reader<'a>,
    mut item: impl FnMut(&mut Reader<'a>) -> Result<T, SyncError>,
) -> Result<Vec<T>, SyncError> {
    let count = reader.count()?;
    let mut list = Vec::new();
    for _ in 0..count {
        list.push(item(reader)?);
    }
    Ok(list)
}
