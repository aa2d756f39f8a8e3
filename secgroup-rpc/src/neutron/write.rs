//! From the model to Neutron's shape: what Neutron's agent accepts.

use alloc::{
    collections::BTreeMap,
    string::{String, ToString},
    vec::Vec,
};
use core::{fmt::Display, net::IpAddr};

use crate::{
    CallVersion, Device, Envelope, Family, Info, IpSpec, Legacy, Member, MemberSet, Members, Message, Notice,
    Object, Payload, Push, Remote, Request, Rule, SourceGroups, Uuid, Value, VersionedObject, value::apply,
};

impl Display for IpSpec {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Host(host) => host.fmt(f),
            Self::Net(net) => net.fmt(f),
        }
    }
}

/// A MAC address as Neutron writes it: lower case, colons.
pub(crate) fn mac_text(mac: macaddr::MacAddr6) -> String {
    let [a, b, c, d, e, f] = mac.into_array();
    alloc::format!("{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{f:02x}")
}

fn text(value: impl Display) -> Value {
    Value::from(value.to_string())
}

fn texts<T: Display>(values: impl IntoIterator<Item = T>) -> Value {
    values.into_iter().map(text).collect()
}

impl Rule {
    /// The rule as Neutron's JSON object; absent fields are absent keys.
    pub fn to_value(&self) -> Value {
        let mut object = self.fields();
        if let Some(patch) = &self.patch {
            apply(&mut object, patch);
        }
        object.into()
    }

    /// The object without the patch.
    pub(super) fn fields(&self) -> Object {
        let mut object = Object::new();
        let mut put = |key: &str, value: Option<Value>| {
            if let Some(value) = value {
                object.insert(key.into(), value);
            }
        };
        put("direction", Some(self.direction.name().into()));
        put("ethertype", Some(self.family.name().into()));
        put("protocol", self.protocol.map(text));
        put("port_range_min", self.ports.min.map(Value::from));
        put("port_range_max", self.ports.max.map(Value::from));
        put("source_port_range_min", self.source_ports.min.map(Value::from));
        put("source_port_range_max", self.source_ports.max.map(Value::from));
        put("source_ip_prefix", self.source.map(text));
        put("dest_ip_prefix", self.destination.map(text));
        match self.remote {
            Some(Remote::Group(id)) => put("remote_group_id", Some(text(id))),
            Some(Remote::AddressGroup(id)) => put("remote_address_group_id", Some(text(id))),
            None => {}
        }
        put("stateful", self.stateful.map(Value::from));
        put("security_group_id", self.group.map(text));
        object
    }
}

impl Device {
    /// The object without the patch; `rules` is the value of `security_group_rules`.
    pub(super) fn fields(&self, rules: &[Rule], sources: &SourceGroups) -> Object {
        let mut object = Object::new();
        let mut put = |key: &str, value: Value| object.insert(key.into(), value);
        put("id", text(self.id));
        put("device", self.name.as_deref().map_or_else(|| text(self.id), Value::from));
        put("mac_address", mac_text(self.mac).into());
        put("fixed_ips", texts(&self.fixed_ips));
        put(
            "allowed_address_pairs",
            self.pairs
                .iter()
                .map(|pair| {
                    let mac = (String::from("mac_address"), mac_text(pair.mac).into());
                    Object::from([mac, ("ip_address".into(), text(pair.address))])
                })
                .collect(),
        );
        put("security_groups", texts(&self.groups));
        put("security_group_source_groups", texts(&sources.groups));
        put("security_group_remote_address_groups", texts(&sources.address_groups));
        put("security_group_rules", Value::Array(rules.iter().map(Rule::to_value).collect()));
        if let Some(enabled) = self.port_security {
            put("port_security_enabled", enabled.into());
        }
        if let Some(owner) = &self.owner {
            put("device_owner", owner.as_ref().into());
        }
        if let Some(network) = self.network {
            put("network_id", text(network));
        }
        object
    }

    fn to_value(&self, rules: &[Rule], sources: &SourceGroups) -> Value {
        let mut object = self.fields(rules, sources);
        apply(&mut object, &self.patch);
        object.into()
    }
}

impl MemberSet {
    /// The object without the patch.
    pub(super) fn fields(&self, version: CallVersion) -> Object {
        let mut object = Object::new();
        if let Some(v4) = &self.v4 {
            object.insert(Family::V4.name().into(), members_value(v4, version));
        }
        if let Some(v6) = &self.v6 {
            object.insert(Family::V6.name().into(), members_value(v6, version));
        }
        object
    }
}

fn members_value<A: Copy + Ord + Into<IpAddr>>(members: &Members<A>, version: CallVersion) -> Value {
    let entry = |member: Member| match version {
        CallVersion::V1_2 => text(member.address),
        CallVersion::V1_3 => {
            let mac = member.mac.map_or(Value::Null, |mac| mac_text(mac).into());
            Value::Array([text(member.address), mac].into())
        }
    };
    members.iter().map(entry).collect()
}

impl Info {
    /// The reply as Neutron's JSON object.
    pub fn to_value(&self) -> Value {
        let by_group = self.remotes_by_group();
        let device = |device: &Device| {
            let sources = SourceGroups::of(device, &by_group);
            device.to_value(&device.rules(), &sources)
        };
        let group = |group: &crate::Group| Value::Array(group.rules.iter().map(Rule::to_value).collect());
        let members = |set: &MemberSet| {
            let mut object = set.fields(self.version);
            apply(&mut object, &set.patch);
            Value::Object(object)
        };
        let mut object = Object::from([
            ("devices".into(), keyed(&self.devices, |device| device.id, device)),
            ("security_groups".into(), keyed(&self.groups, |group| group.id, group)),
            ("sg_member_ips".into(), keyed(&self.members, |set| set.id, members)),
        ]);
        apply(&mut object, &self.patch);
        object.into()
    }
}

fn keyed<T>(items: &[T], id: impl Fn(&T) -> Uuid, value: impl Fn(&T) -> Value) -> Value {
    items.iter().map(|item| (id(item).to_string(), value(item))).collect::<Object>().into()
}

impl Legacy {
    /// The reply as Neutron's JSON object.
    pub fn to_value(&self) -> Value {
        let value = |entry: &crate::LegacyDevice| {
            entry.device.to_value(&entry.rules, &SourceGroups::of_rules(&entry.rules))
        };
        keyed(&self.devices, |entry| entry.device.id, value)
    }
}

impl SourceGroups {
    /// What the legacy call lists: the remote of each rule that it expanded, once.
    pub(super) fn of_rules(rules: &[Rule]) -> Self {
        let mut by_group = BTreeMap::new();
        let group = crate::Group { id: Uuid::default(), rules: rules.to_vec() };
        by_group.extend(Info { groups: [group].into(), ..Info::default() }.remotes_by_group());
        by_group.remove(&Uuid::default()).unwrap_or_default()
    }
}

impl Request {
    pub(super) fn fields(&self) -> Object {
        let mut object = Object::from([("devices".into(), texts(&self.devices))]);
        if let Some(version) = self.version {
            let version = match version {
                CallVersion::V1_2 => "1.2",
                CallVersion::V1_3 => "1.3",
            };
            object.insert("call_version".into(), version.into());
        }
        object
    }
}

impl VersionedObject {
    fn to_value(&self) -> Value {
        let mut object = self.rest.clone();
        object.insert("versioned_object.name".into(), self.name.as_str().into());
        object.insert("versioned_object.version".into(), self.version.as_str().into());
        object.insert("versioned_object.data".into(), self.data.clone().into());
        object.into()
    }
}

impl Message {
    /// The message in Neutron's shape; an envelope keeps its message as an object under
    /// `oslo.message`, which [`to_json`](crate::to_json) turns into text.
    pub fn to_value(&self) -> Value {
        match self {
            Self::Info(info) => info.to_value(),
            Self::Legacy(legacy) => legacy.to_value(),
            Self::Request(request) => patched(request.fields(), &request.patch),
            Self::Notice(Notice { groups, patch }) => {
                patched(Object::from([("security_groups".into(), texts(groups))]), patch)
            }
            Self::Push(Push { event, objects, patch }) => {
                let list = objects_value(objects);
                let fields = [("event_type".into(), event.as_str().into()), ("resource_list".into(), list)];
                patched(Object::from(fields), patch)
            }
            Self::Objects(objects) => objects_value(objects),
            Self::Expanded(object) => object.clone().into(),
            Self::Envelope(envelope) => envelope.to_value(),
        }
    }
}

impl Envelope {
    fn to_value(&self) -> Value {
        let mut inner = self.inner.clone();
        match &self.payload {
            Some(Payload::Reply(message)) => inner.insert("result".into(), message.to_value()),
            Some(Payload::Call(message)) => inner.insert("args".into(), message.to_value()),
            None => None,
        };
        let mut outer = self.outer.clone();
        outer.insert("oslo.message".into(), inner.into());
        outer.into()
    }
}

fn objects_value(objects: &[VersionedObject]) -> Value {
    Value::Array(objects.iter().map(VersionedObject::to_value).collect::<Vec<_>>())
}

fn patched(mut object: Object, patch: &crate::Patch) -> Value {
    apply(&mut object, patch);
    object.into()
}
