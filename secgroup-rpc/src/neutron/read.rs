//! From Neutron's shape to the model. What the model does not say goes into patches, so that
//! writing gives back the same message.

use alloc::{
    borrow::Cow,
    boxed::Box,
    string::{String, ToString},
    vec::Vec,
};
use core::{net::IpAddr, str::FromStr};

use ipnet::IpNet;
use macaddr::MacAddr6;

use super::same;
use crate::{
    AddressPair, CallVersion, Device, Direction, Envelope, Family, Group, Info, IpSpec, Legacy, LegacyDevice,
    List, Member, MemberSet, Message, Notice, Object, Payload, PortRange, Protocol, Push, ReadError,
    ReadErrorKind, Remote, Request, Rule, SourceGroups, Uuid, Value, VersionedObject, value::diff,
};

pub(super) type Read<T> = Result<T, ReadError>;

impl Message {
    /// Recognises a message by its shape and reads it.
    ///
    /// An envelope's `oslo.message` must be an object here; [`read_json`](crate::read_json) parses
    /// the text first.
    ///
    /// # Errors
    /// [`ReadError`] with the path of the first value that does not fit.
    pub fn from_value(value: &Value) -> Read<Self> {
        match value {
            Value::Object(object) => from_object(object),
            Value::Array(items) => Ok(Self::Objects(versioned_objects(items)?)),
            other => Err(type_error("an object or array", other)),
        }
    }
}

fn from_object(object: &Object) -> Read<Message> {
    let has = |key: &str| object.contains_key(key);
    if has("oslo.message") {
        return Envelope::from_object(object).map(|envelope| Message::Envelope(Box::new(envelope)));
    }
    if has("sg_member_ips") {
        return Info::from_object(object).map(Message::Info);
    }
    if let Some(Value::Array(_)) = object.get("devices") {
        return Request::from_object(object).map(Message::Request);
    }
    if let Some(Value::Array(_)) = object.get("security_groups") {
        return Notice::from_object(object).map(Message::Notice);
    }
    if has("event_type") && has("resource_list") {
        return Push::from_object(object).map(Message::Push);
    }
    if !object.keys().all(|key| key.parse::<Uuid>().is_ok()) {
        return Err(ReadErrorKind::Unrecognised.into());
    }
    if !object.is_empty() && object.values().all(|entry| entry.get("filtered").is_some()) {
        return Ok(Message::Expanded(object.clone()));
    }
    Legacy::from_object(object).map(Message::Legacy)
}

impl Info {
    fn from_object(object: &Object) -> Read<Self> {
        let mut info = Self::default();
        let members = object_field(object, "sg_member_ips")?;
        info.version = version_of(members);
        info.groups = entries(object_field(object, "security_groups")?, |id, value| {
            Ok(Group { id, rules: rules(value)? })
        })
        .map_err(|e| e.under("security_groups"))?;
        info.members =
            entries(members, |id, value| MemberSet::from_object(id, as_object(value)?, info.version))
                .map_err(|e| e.under("sg_member_ips"))?;
        // Source groups follow from the rules, so the groups come first.
        info.normalize();
        let by_group = info.remotes_by_group();
        info.devices = entries(object_field(object, "devices")?, |id, value| {
            let (source, mut device) = (as_object(value)?, Device::from_object(id, value)?);
            let own =
                rules(field(source, "security_group_rules")?).map_err(|e| e.under("security_group_rules"))?;
            device.normalize();
            if !same_rules(&own, &device.provider_rules()) {
                device.own_rules = Some(own);
            }
            let written = device.fields(&device.rules(), &SourceGroups::of(&device, &by_group));
            device.patch = diff(source, &written, same);
            Ok(device)
        })
        .map_err(|e| e.under("devices"))?;
        info.normalize();
        let known = ["devices", "security_groups", "sg_member_ips"];
        let unknown = object.iter().filter(|(key, _)| !known.contains(&key.as_str()));
        info.patch = unknown.map(|(key, value)| (key.clone(), Some(value.clone()))).collect();
        Ok(info)
    }
}

fn same_rules(a: &[Rule], b: &[Rule]) -> bool {
    let (mut a, mut b): (Vec<_>, Vec<_>) = (a.iter().collect(), b.iter().collect());
    a.sort_unstable();
    b.sort_unstable();
    a == b
}

/// 1.2 if any member is a plain string; both shapes are the same without members.
fn version_of(members: &Object) -> CallVersion {
    let lists = members.values().filter_map(Value::as_object).flat_map(Object::values);
    let first = lists.filter_map(Value::as_array).find_map(<[Value]>::first);
    match first {
        Some(Value::String(_)) => CallVersion::V1_2,
        _ => CallVersion::V1_3,
    }
}

impl Legacy {
    fn from_object(object: &Object) -> Read<Self> {
        let mut devices = entries(object, |id, value| {
            let (source, mut device) = (as_object(value)?, Device::from_object(id, value)?);
            device.normalize();
            let mut rules =
                rules(field(source, "security_group_rules")?).map_err(|e| e.under("security_group_rules"))?;
            rules.sort_unstable();
            let written = device.fields(&rules, &SourceGroups::of_rules(&rules));
            device.patch = diff(source, &written, same);
            Ok(LegacyDevice { device, rules })
        })?;
        devices.sort_by_key(|entry| entry.device.id);
        Ok(Self { devices })
    }
}

impl Device {
    /// Reads everything but the rules and the patch.
    pub(super) fn from_object(id: Uuid, value: &Value) -> Read<Self> {
        let object = as_object(value)?;
        let mac =
            parsed(object, "mac_address", "a MAC address", parse_mac)?.ok_or_else(missing("mac_address"))?;
        let mut device = Self::new(id, mac);
        if let Some(inner) = id_field(object, "id")?.filter(|inner| *inner != id) {
            return Err(ReadError::from(ReadErrorKind::IdMismatch { id: inner }).under("id"));
        }
        device.name = str_field(object, "device")?.filter(|name| *name != id.to_string()).map(Box::from);
        device.fixed_ips = list(object, "fixed_ips", |v| parse_text(v, "an IP address", from_str::<IpAddr>))?
            .into_iter()
            .collect();
        if object.contains_key("allowed_address_pairs") {
            device.pairs = list(object, "allowed_address_pairs", address_pair)?;
        }
        device.groups = list(object, "security_groups", uuid)?.into_iter().collect::<List<_, 2>>();
        device.port_security = bool_field(object, "port_security_enabled")?;
        device.owner = str_field(object, "device_owner")?.map(owner);
        device.network = id_field(object, "network_id")?;
        Ok(device)
    }
}

/// The owners that nearly every port has cost no allocation.
pub(crate) fn owner(text: &str) -> Cow<'static, str> {
    const COMMON: [&str; 3] = ["compute:nova", "", "network:dhcp"];
    match COMMON.iter().find(|known| **known == text) {
        Some(known) => Cow::Borrowed(known),
        None => Cow::Owned(text.into()),
    }
}

fn address_pair(value: &Value) -> Read<AddressPair> {
    let object = as_object(value)?;
    let mac =
        parsed(object, "mac_address", "a MAC address", parse_mac)?.ok_or_else(missing("mac_address"))?;
    let address = parsed(object, "ip_address", "an IP address or prefix", parse_spec)?
        .ok_or_else(missing("ip_address"))?;
    Ok(AddressPair { address, mac })
}

fn rules(value: &Value) -> Read<Vec<Rule>> {
    items(value, Rule::from_value)
}

impl Rule {
    /// Reads a rule object.
    ///
    /// # Errors
    /// [`ReadError`] with the path of the first value that does not fit.
    pub fn from_value(value: &Value) -> Read<Self> {
        let object = as_object(value)?;
        let direction = match str_field(object, "direction")?.ok_or_else(missing("direction"))? {
            "ingress" => Direction::Ingress,
            "egress" => Direction::Egress,
            other => return Err(text_error("ingress or egress", other).under("direction")),
        };
        let family = match str_field(object, "ethertype")?.ok_or_else(missing("ethertype"))? {
            "IPv4" => Family::V4,
            "IPv6" => Family::V6,
            other => return Err(text_error("IPv4 or IPv6", other).under("ethertype")),
        };
        let mut rule = Self::any(direction, family);
        rule.protocol = parsed(object, "protocol", "a protocol name or number", from_str::<Protocol>)?;
        rule.ports = port_range(object, "port_range_min", "port_range_max")?;
        rule.source_ports = port_range(object, "source_port_range_min", "source_port_range_max")?;
        rule.check_ports()?;
        rule.source = prefix(object, "source_ip_prefix", family)?;
        rule.destination = prefix(object, "dest_ip_prefix", family)?;
        let group = id_field(object, "remote_group_id")?.map(Remote::Group);
        let address_group = id_field(object, "remote_address_group_id")?.map(Remote::AddressGroup);
        if group.is_some() && address_group.is_some() {
            return Err(ReadErrorKind::TwoRemotes.into());
        }
        rule.remote = group.or(address_group);
        rule.stateful = bool_field(object, "stateful")?;
        rule.group = id_field(object, "security_group_id")?;
        let patch = diff(object, &rule.fields(), same);
        rule.patch = (!patch.is_empty()).then(|| Box::new(patch));
        Ok(rule)
    }

    fn check_ports(&self) -> Read<()> {
        let ordered = self.protocol.is_some_and(Protocol::has_ports);
        match self.ports {
            PortRange { min: Some(min), max: Some(max) } if ordered && min > max => {
                Err(ReadErrorKind::ReversedPorts { min, max }.into())
            }
            _ => Ok(()),
        }
    }
}

fn port_range(object: &Object, min: &'static str, max: &'static str) -> Read<PortRange> {
    let end = |key| match object.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Int(value)) => match u16::try_from(*value) {
            Ok(port) => Ok(Some(port)),
            Err(_) => {
                let kind = ReadErrorKind::Range { value: *value, min: 0, max: 65535 };
                Err(ReadError::from(kind).under(key))
            }
        },
        Some(other) => Err(type_error("an integer", other).under(key)),
    };
    Ok(PortRange { min: end(min)?, max: end(max)? })
}

fn prefix(object: &Object, key: &'static str, family: Family) -> Read<Option<IpNet>> {
    let net = parsed(object, key, "an IP prefix", parse_prefix)?;
    match net {
        Some(net) if Family::of_net(net) != family => Err(family_error(net, family).under(key)),
        _ => Ok(net),
    }
}

impl MemberSet {
    fn from_object(id: Uuid, object: &Object, version: CallVersion) -> Read<Self> {
        let mut set = Self::new(id);
        for family in [Family::V4, Family::V6] {
            let Some(value) = object.get(family.name()) else { continue };
            match family {
                Family::V4 => set.v4 = Some(Default::default()),
                Family::V6 => set.v6 = Some(Default::default()),
            }
            for member in items(value, |v| member(v, family)).map_err(|e| e.under(family.name()))? {
                set.push(member);
            }
        }
        set.normalize();
        set.patch = diff(object, &set.fields(version), same);
        Ok(set)
    }
}

fn member(value: &Value, family: Family) -> Read<Member> {
    let (address, mac) = match value {
        Value::String(_) => (value, &Value::Null),
        Value::Array(pair) => match pair.as_slice() {
            [address, mac] => (address, mac),
            _ => return Err(type_error("an address and a MAC or null", value)),
        },
        other => return Err(type_error("an address, or an address and a MAC or null", other)),
    };
    let address = parse_text(address, "an IP address or prefix", parse_spec)?;
    if address.family() != family {
        return Err(family_error(address, family));
    }
    let mac = match mac {
        Value::Null => None,
        mac => Some(parse_text(mac, "a MAC address", parse_mac)?),
    };
    Ok(Member { address, mac })
}

impl Request {
    fn from_object(object: &Object) -> Read<Self> {
        let devices = list(object, "devices", |v| match v {
            Value::String(name) => Ok(String::from(&**name)),
            other => Err(type_error("a string", other)),
        })?;
        let version = match object.get("call_version").and_then(Value::as_str) {
            Some("1.2") => Some(CallVersion::V1_2),
            Some("1.3") => Some(CallVersion::V1_3),
            _ => None,
        };
        let mut request = Self { devices, version, patch: Default::default() };
        request.patch = diff(object, &request.fields(), same);
        Ok(request)
    }
}

impl Notice {
    fn from_object(object: &Object) -> Read<Self> {
        let groups: Vec<Uuid> = list(object, "security_groups", uuid)?;
        let mut notice = Self { groups, ..Self::default() };
        let Value::Object(written) = Message::Notice(notice.clone()).to_value() else { return Ok(notice) };
        notice.patch = diff(object, &written, |_, a, b| a == b);
        Ok(notice)
    }
}

impl Push {
    fn from_object(object: &Object) -> Read<Self> {
        let event = str_field(object, "event_type")?.ok_or_else(missing("event_type"))?.into();
        let objects = match field(object, "resource_list")? {
            Value::Array(items) => versioned_objects(items).map_err(|e| e.under("resource_list"))?,
            other => return Err(type_error("an array", other).under("resource_list")),
        };
        let known = ["event_type", "resource_list"];
        let unknown = object.iter().filter(|(key, _)| !known.contains(&key.as_str()));
        let patch = unknown.map(|(key, value)| (key.clone(), Some(value.clone()))).collect();
        Ok(Self { event, objects, patch })
    }
}

fn versioned_objects(items: &[Value]) -> Read<Vec<VersionedObject>> {
    let read = |value: &Value| -> Read<VersionedObject> {
        let mut rest = as_object(value)?.clone();
        let name = str_field(&rest, "versioned_object.name")?.ok_or_else(missing("versioned_object.name"))?;
        let version =
            str_field(&rest, "versioned_object.version")?.ok_or_else(missing("versioned_object.version"))?;
        let (name, version) = (name.into(), version.into());
        let data = object_field(&rest, "versioned_object.data")?.clone();
        for key in ["versioned_object.name", "versioned_object.version", "versioned_object.data"] {
            rest.remove(key);
        }
        Ok(VersionedObject { name, version, data, rest })
    };
    items.iter().enumerate().map(|(at, item)| read(item).map_err(|e| e.at_index(at))).collect()
}

impl Envelope {
    fn from_object(object: &Object) -> Read<Self> {
        let mut outer = object.clone();
        outer.remove("oslo.message");
        let mut inner = object_field(object, "oslo.message")?.clone();
        let mut take = |key: &str| match inner.get(key) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => {
                let message = Message::from_value(value).map_err(|e| e.under(key).under("oslo.message"))?;
                inner.remove(key);
                Ok::<_, ReadError>(Some(message))
            }
        };
        let payload = match take("result")? {
            Some(message) => Some(Payload::Reply(message)),
            None => take("args")?.map(Payload::Call),
        };
        Ok(Self { outer, inner, payload })
    }
}

// Helpers: fields of objects, with the path in every error.

pub(super) fn missing(key: &'static str) -> impl Fn() -> ReadError {
    move || ReadErrorKind::Missing { key }.into()
}

fn type_error(expected: &'static str, found: &Value) -> ReadError {
    ReadErrorKind::Type { expected, found: found.type_name() }.into()
}

fn text_error(expected: &'static str, text: &str) -> ReadError {
    ReadErrorKind::Text { expected, text: text.chars().take(64).collect() }.into()
}

fn family_error(address: impl ToString, family: Family) -> ReadError {
    ReadErrorKind::Family { address: address.to_string(), family: family.name() }.into()
}

pub(super) fn as_object(value: &Value) -> Read<&Object> {
    value.as_object().ok_or_else(|| type_error("an object", value))
}

pub(super) fn field<'a>(object: &'a Object, key: &'static str) -> Read<&'a Value> {
    object.get(key).ok_or_else(missing(key))
}

fn object_field<'a>(object: &'a Object, key: &'static str) -> Read<&'a Object> {
    as_object(field(object, key)?).map_err(|e| e.under(key))
}

fn str_field<'a>(object: &'a Object, key: &'static str) -> Read<Option<&'a str>> {
    match object.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(other) => Err(type_error("a string", other).under(key)),
    }
}

fn bool_field(object: &Object, key: &'static str) -> Read<Option<bool>> {
    match object.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Bool(flag)) => Ok(Some(*flag)),
        Some(other) => Err(type_error("a boolean", other).under(key)),
    }
}

fn id_field(object: &Object, key: &'static str) -> Read<Option<Uuid>> {
    parsed(object, key, "a UUID", from_str)
}

fn parsed<T>(
    object: &Object,
    key: &'static str,
    expected: &'static str,
    parse: impl Fn(&str) -> Option<T>,
) -> Read<Option<T>> {
    match str_field(object, key)? {
        None => Ok(None),
        Some(text) => parse(text).map(Some).ok_or_else(|| text_error(expected, text).under(key)),
    }
}

fn list<T>(object: &Object, key: &'static str, read: impl Fn(&Value) -> Read<T>) -> Read<Vec<T>> {
    items(field(object, key)?, read).map_err(|e| e.under(key))
}

pub(super) fn items<T>(value: &Value, read: impl Fn(&Value) -> Read<T>) -> Read<Vec<T>> {
    let items = value.as_array().ok_or_else(|| type_error("an array", value))?;
    items.iter().enumerate().map(|(at, item)| read(item).map_err(|e| e.at_index(at))).collect()
}

fn entries<T>(object: &Object, read: impl Fn(Uuid, &Value) -> Read<T>) -> Read<Vec<T>> {
    let entry = |(key, value): (&String, &Value)| {
        let id = key.parse().map_err(|_| text_error("a UUID", key))?;
        read(id, value).map_err(|e: ReadError| e.under(key))
    };
    object.iter().map(entry).collect()
}

pub(super) fn uuid(value: &Value) -> Read<Uuid> {
    parse_text(value, "a UUID", from_str)
}

fn parse_text<T>(value: &Value, expected: &'static str, parse: impl Fn(&str) -> Option<T>) -> Read<T> {
    let text = value.as_str().ok_or_else(|| type_error(expected, value))?;
    parse(text).ok_or_else(|| text_error(expected, text))
}

fn from_str<T: FromStr>(text: &str) -> Option<T> {
    text.parse().ok()
}

/// An address or prefix.
pub(super) fn spec(text: &str) -> Read<IpSpec> {
    parse_spec(text).ok_or_else(|| text_error("an IP address or prefix", text))
}

/// `aa:bb:cc:dd:ee:ff` in either case.
fn parse_mac(text: &str) -> Option<MacAddr6> {
    if text.len() == 17 && text.bytes().skip(2).step_by(3).all(|b| b == b':') {
        text.parse().ok()
    } else {
        None
    }
}

/// A prefix; a bare address counts as one of full length, as the API did before it added masks.
fn parse_prefix(text: &str) -> Option<IpNet> {
    parse_spec(text).map(|spec| match spec {
        IpSpec::Host(host) => IpNet::from(host),
        IpSpec::Net(net) => net,
    })
}

fn parse_spec(text: &str) -> Option<IpSpec> {
    if text.contains('/') { text.parse().ok().map(IpSpec::Net) } else { text.parse().ok().map(IpSpec::Host) }
}
