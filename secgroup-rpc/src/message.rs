//! Every message of the security-group RPC, by kind.

use alloc::{boxed::Box, string::String, vec::Vec};

use crate::{CallVersion, Info, Legacy, Object, Patch, Uuid};

/// A message of the security-group RPC.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Message {
    /// Reply of `security_group_info_for_devices`, or what the push path's local cache returns.
    Info(Info),
    /// Reply of `security_group_rules_for_devices`.
    Legacy(Legacy),
    /// Arguments of either call.
    Request(Request),
    /// Arguments of `security_groups_rule_updated` and `security_groups_member_updated`.
    Notice(Notice),
    /// Arguments of `push`.
    Push(Push),
    /// A bare `resource_list`: the reply of `bulk_pull`, or the objects of a push.
    Objects(Vec<VersionedObject>),
    /// Per-device rules after expansion, as an agent's debug output; kept as it is.
    Expanded(Object),
    /// Any of the above in the envelope of oslo.messaging.
    Envelope(Box<Envelope>),
}

/// The arguments of a call: which devices, and in which shape the reply shall be.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Request {
    /// `devices`: ids, prefixes of ids or interface names, in the caller's order.
    pub devices: Vec<String>,
    /// `call_version`; absent in the legacy call, and means 1.2 in the compact one.
    pub version: Option<CallVersion>,
    /// Unknown keys.
    pub patch: Patch,
}

/// "Something changed in these groups": ids without data.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Notice {
    /// `security_groups`, in the sender's order.
    pub groups: Vec<Uuid>,
    /// Unknown keys.
    pub patch: Patch,
}

/// Versioned objects that changed.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Push {
    /// `event_type`: `"updated"` or `"deleted"`.
    pub event: String,
    /// `resource_list`
    pub objects: Vec<VersionedObject>,
    /// Unknown keys.
    pub patch: Patch,
}

/// An oslo.versionedobjects object: a type name, a version and fields.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct VersionedObject {
    /// `versioned_object.name`: `Port`, `SecurityGroup`, `SecurityGroupRule`, `AddressGroup`, ...
    pub name: String,
    /// `versioned_object.version`, such as `"1.11"`.
    pub version: String,
    /// `versioned_object.data`
    pub data: Object,
    /// The other keys: namespace and changed fields.
    pub rest: Object,
}

/// oslo.messaging's wrapping (version 2.0 of its wire format): a JSON object whose member
/// `oslo.message` holds the message as JSON text.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Envelope {
    /// The outer object without `oslo.message`.
    pub outer: Object,
    /// The inner object without the payload: method, version, message ids and context.
    pub inner: Object,
    /// The payload; `None` for a null result, such as beside a `failure`.
    pub payload: Option<Payload>,
}

/// What an envelope carries.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Payload {
    /// `result`: a reply.
    Reply(Message),
    /// `args`: a call or cast.
    Call(Message),
}

impl Message {
    /// Brings every list that is a set into its canonical order.
    pub fn normalize(&mut self) {
        match self {
            Self::Info(info) => info.normalize(),
            Self::Legacy(legacy) => legacy.normalize(),
            Self::Envelope(envelope) => {
                if let Some(Payload::Reply(message) | Payload::Call(message)) = &mut envelope.payload {
                    message.normalize();
                }
            }
            _ => {}
        }
    }

    /// Drops what a filter does not need; leaves kinds alone that have no such part.
    pub fn strip(&mut self) {
        match self {
            Self::Info(info) => info.strip(),
            Self::Legacy(legacy) => {
                for entry in &mut legacy.devices {
                    entry.device.patch.clear();
                    entry.rules.iter_mut().for_each(|rule| rule.patch = None);
                }
            }
            Self::Envelope(envelope) => {
                if let Some(Payload::Reply(message) | Payload::Call(message)) = &mut envelope.payload {
                    message.strip();
                }
            }
            _ => {}
        }
    }

    /// The innermost message: the payload if this is an envelope.
    pub fn payload(&self) -> Option<&Self> {
        match self {
            Self::Envelope(envelope) => match envelope.payload.as_ref()? {
                Payload::Reply(message) | Payload::Call(message) => Some(message),
            },
            message => Some(message),
        }
    }

    /// A word for the kind, for people: `"info"`, `"legacy"`, `"request"` and so on.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Info(_) => "info",
            Self::Legacy(_) => "legacy",
            Self::Request(_) => "request",
            Self::Notice(_) => "notice",
            Self::Push(_) => "push",
            Self::Objects(_) => "objects",
            Self::Expanded(_) => "expanded",
            Self::Envelope(_) => "envelope",
        }
    }
}
