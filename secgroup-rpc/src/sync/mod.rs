//! Changes that cost a few bytes, and heal themselves.
//!
//! A [`Server`] holds the whole model and knows which devices each agent has; an [`Agent`] holds
//! what concerns its own devices: those, the rules of their groups, and the members of the groups
//! that these rules name. Both are sans-IO: bytes in, bytes out, time as an argument.
//!
//! # How they stay in step
//!
//! An agent opens a stream with a *sync*: its devices and a 64-bit digest of every item that it
//! holds. The server answers with a *heal*: whatever differs, and only that. To an agent that
//! holds nothing this is the whole snapshot; to one that slept for a day, or whose server was
//! restarted, it is what changed meanwhile.
//!
//! From then on the server sends *deltas*. Each names the server's epoch, a sequence number, a
//! digest of the state that it applies to and one of the state that it results in:
//!
//! | what happens to a message | what the agent does |
//! |---|---|
//! | lost, delayed, reordered | the next number does not fit: it waits a moment for the missing one, then syncs |
//! | the last one lost | its *check*, sent after some silence, is answered with a request to sync |
//! | duplicated | an old number: ignored |
//! | truncated, corrupted | it does not parse, or does not lead to the promised digest: nothing is applied, sync |
//! | from another server | another epoch: ignored, and its own server's silence leads to a check |
//! | agent or server restarted | nothing to compare with on one side: sync |
//!
//! So every fault is mended by one exchange, and a state is replaced as a whole or not at all: on
//! doubt the old filter stays.
//!
//! Nothing is queued for an agent. The server remembers which items changed since it last wrote to
//! that agent and works out the difference when it is asked for the next message, so changes
//! coalesce, opposite changes cancel, and a slow agent costs no memory.
//!
//! # Bytes
//!
//! Numbers of fixed size are little-endian; *varint* is LEB128, seven bits a byte, low bits
//! first, at most ten bytes. Every message starts with one byte: bits 6..4 the format version (1),
//! bits 3..0 the kind, bit 7 zero. Every message may end in extensions (varint type, varint
//! length, that many bytes); unknown ones are skipped.
//!
//! | kind | name | direction | body |
//! |---|---|---|---|
//! | 1 | sync | to server | nonce u8, epoch u32, seq varint, digest u64, devices (varint count, 16 bytes each), items (varint count; kind u8, id 16 bytes, digest u64 each) |
//! | 2 | check | to server | nonce u8, epoch u32, seq varint, digest u64 |
//! | 3 | heal | to agent | nonce u8, epoch u32, seq varint, digest u64, removed, replaced |
//! | 4 | delta | to agent | head, edited sets (varint count; varint index, varint edits, edits each), removed, replaced |
//! | 5 | edit | to agent | head, varint index of the set, one edit |
//! | 6 | settled | to agent | nonce u8 |
//! | 7 | ask | to agent | nonce u8 |
//!
//! *Head* is eleven bytes with the first one: epoch u16, seq u16, base digest u16 (the low bits of
//! each), result digest u32. *Removed* is a varint count of items (kind u8, id 16 bytes).
//! *Replaced* is a varint length and that many bytes of the [compact form](crate::Message::encode)
//! of an [`Info`](crate::Info) with these items, or length 0.
//!
//! An *edit* adds or removes one bare address. Sets count in the order of their ids among the
//! agent's member sets before the delta. Edits are sorted, IPv4 before IPv6; each is a varint
//! `skip << 2 | family << 1 | add`: how many members of the old set lie between this edit and the
//! one before (or the start). For a removal, the member behind them goes. For an addition a second
//! varint is the distance from the address before it (old or just added, or from zero), less one
//! (not less one from the start).
//!
//! A new address in a set of a thousand thus takes 3 to 5 bytes, with the head 14 to 16.
//!
//! The digest of a set is a sum, so that it follows an edit without reading the set: see `digest`.

mod agent;
mod digest;
mod edits;
mod error;
mod history;
mod message;
mod server;
mod state;
mod wire;

pub use agent::{Agent, AgentConfig, AgentCounters, Handled};
pub use error::SyncError;
pub use message::named_devices;
pub use server::{AgentId, Server, ServerCounters};
pub use state::{ItemKey, ItemKind};
