//! Versioned objects of the push path, as the model's types.

use alloc::{boxed::Box, string::String, vec::Vec};

use super::read::{Read, as_object, field, items, missing};
use crate::{Device, Member, MemberSet, Object, ReadError, Rule, Uuid, Value, VersionedObject};

/// What a versioned object says about filters.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Resource {
    /// `Port`, with its bindings and the like left out.
    Port(Box<Device>),
    /// `SecurityGroup`
    SecurityGroup {
        /// The group's id.
        id: Uuid,
        /// Its rules, with the group's `stateful` flag as the compact call repeats it; sorted.
        rules: Vec<Rule>,
    },
    /// `SecurityGroupRule`, with its group in [`Rule::group`].
    Rule(Box<Rule>),
    /// `AddressGroup`: its addresses as members.
    AddressGroup(MemberSet),
}

impl VersionedObject {
    /// The object's id: all that a deleted object has.
    pub fn id(&self) -> Option<Uuid> {
        self.data.get("id")?.as_str()?.parse().ok()
    }

    /// What the object says about filters; `None` for other types, such as `Network`.
    ///
    /// Prefixes of rules come normalised here (`normalized_cidr`), unlike in the calls.
    ///
    /// # Errors
    /// [`ReadError`] for a field that is missing, as in a deleted object, or does not fit.
    pub fn resource(&self) -> Result<Option<Resource>, ReadError> {
        let resource = match self.name.as_str() {
            "Port" => port(&self.data).map(|device| Resource::Port(Box::new(device))),
            "SecurityGroup" => security_group(&self.data),
            "SecurityGroupRule" => rule(&self.data).map(|rule| Resource::Rule(Box::new(rule))),
            "AddressGroup" => address_group(&self.data).map(Resource::AddressGroup),
            _ => return Ok(None),
        };
        resource.map(Some).map_err(|error| error.under("versioned_object.data"))
    }
}

fn id_of(data: &Object) -> Read<Uuid> {
    let value = field(data, "id")?;
    super::read::uuid(value).map_err(|error| error.under("id"))
}

/// The data of each object in a list.
fn nested<T>(data: &Object, key: &'static str, read: impl Fn(&Object) -> Read<T>) -> Read<Vec<T>> {
    let inner = |value: &Value| {
        let data = as_object(field(as_object(value)?, "versioned_object.data")?)?;
        read(data).map_err(|error| error.under("versioned_object.data"))
    };
    items(field(data, key)?, inner).map_err(|error| error.under(key))
}

fn copy(from: &Object, keys: &[(&str, &str)]) -> Object {
    let present = keys.iter().filter_map(|(old, new)| Some((String::from(*new), from.get(*old)?.clone())));
    present.collect()
}

/// Brings the fields into the shape of the compact call, and reads that.
fn port(data: &Object) -> Read<Device> {
    let plain = ["mac_address", "device_owner", "network_id"].map(|key| (key, key));
    let mut flat = copy(data, &plain);
    flat.extend(copy(data, &[("security_group_ids", "security_groups")]));
    let address = |data: &Object| field(data, "ip_address").cloned();
    flat.insert("fixed_ips".into(), Value::Array(nested(data, "fixed_ips", address)?));
    let pair = |data: &Object| {
        Ok(Value::Object(copy(data, &[("mac_address", "mac_address"), ("ip_address", "ip_address")])))
    };
    flat.insert("allowed_address_pairs".into(), Value::Array(nested(data, "allowed_address_pairs", pair)?));
    let security = data.get("security").and_then(|security| security.get("versioned_object.data"));
    if let Some(enabled) = security.and_then(|security| security.get("port_security_enabled")) {
        flat.insert("port_security_enabled".into(), enabled.clone());
    }
    let mut device = Device::from_object(id_of(data)?, &flat.into())?;
    device.normalize();
    Ok(device)
}

fn rule(data: &Object) -> Read<Rule> {
    let same = [
        "direction",
        "ethertype",
        "protocol",
        "port_range_min",
        "port_range_max",
        "remote_group_id",
        "remote_address_group_id",
        "security_group_id",
    ];
    let mut flat = copy(data, &same.map(|key| (key, key)));
    flat.retain(|_, value| *value != Value::Null);
    if let Some(prefix @ Value::String(_)) = data.get("normalized_cidr") {
        let ingress = data.get("direction").and_then(Value::as_str) == Some("ingress");
        let key = if ingress { "source_ip_prefix" } else { "dest_ip_prefix" };
        flat.insert(key.into(), prefix.clone());
    }
    Rule::from_value(&flat.into())
}

fn security_group(data: &Object) -> Read<Resource> {
    let stateful = match data.get("stateful") {
        Some(Value::Bool(flag)) => Some(*flag),
        _ => None,
    };
    let of_group = |data: &Object| Ok(Rule { stateful, group: None, ..rule(data)? });
    let mut rules = nested(data, "rules", of_group)?;
    rules.sort_unstable();
    Ok(Resource::SecurityGroup { id: id_of(data)?, rules })
}

fn address_group(data: &Object) -> Read<MemberSet> {
    let mut set = MemberSet::new(id_of(data)?);
    let address = |data: &Object| {
        let text = field(data, "address")?.as_str().ok_or_else(missing("address"))?;
        super::read::spec(text).map_err(|error| error.under("address"))
    };
    for address in nested(data, "addresses", address)? {
        set.push(Member { address, mac: None });
    }
    set.normalize();
    Ok(set)
}
