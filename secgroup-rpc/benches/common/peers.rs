//! The same message for general codecs: once as one would write it down at first (ids and addresses
//! wherever they occur), once as a careful user would (each id once, members as sorted differences).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use secgroup_rpc::{
    AddressPair, Device, Direction, Family, Group, Info, IpSpec, Member, MemberSet, Members, PortRange,
    Protocol, Remote, Rule, Uuid, ipnet::IpNet, macaddr::MacAddr6,
};
use serde::{Deserialize, Serialize};

/// Structs that every general codec of the bench can write and read.
macro_rules! messages {
    ($($(#[$doc:meta])* struct $name:ident { $($fields:tt)* })*) => {$(
        $(#[$doc])*
        #[derive(
            Clone, PartialEq, Serialize, Deserialize, bitcode::Encode, bitcode::Decode, rkyv::Archive,
            rkyv::Serialize, rkyv::Deserialize, prost::Message,
        )]
        pub(crate) struct $name { $($fields)* }
    )*};
}

messages! {
    struct Plain {
        #[prost(message, repeated, tag = "1")]
        pub(crate) devices: Vec<PlainDevice>,
        #[prost(message, repeated, tag = "2")]
        pub(crate) groups: Vec<PlainGroup>,
    }

    struct PlainDevice {
        #[prost(bytes = "vec", tag = "1")]
        pub(crate) id: Vec<u8>,
        #[prost(uint64, tag = "2")]
        pub(crate) mac: u64,
        #[prost(bytes = "vec", repeated, tag = "3")]
        pub(crate) fixed_ips: Vec<Vec<u8>>,
        #[prost(bytes = "vec", repeated, tag = "4")]
        pub(crate) groups: Vec<Vec<u8>>,
        #[prost(bytes = "vec", optional, tag = "5")]
        pub(crate) network: Option<Vec<u8>>,
        #[prost(string, optional, tag = "6")]
        pub(crate) owner: Option<String>,
        #[prost(bool, optional, tag = "7")]
        pub(crate) port_security: Option<bool>,
        #[prost(message, repeated, tag = "8")]
        pub(crate) pairs: Vec<PlainMember>,
    }

    /// An address pair, or a member that is more than an address.
    struct PlainMember {
        #[prost(bytes = "vec", tag = "1")]
        pub(crate) address: Vec<u8>,
        #[prost(uint32, tag = "2")]
        pub(crate) prefix_len: u32,
        #[prost(uint64, optional, tag = "3")]
        pub(crate) mac: Option<u64>,
    }

    struct PlainGroup {
        #[prost(bytes = "vec", tag = "1")]
        pub(crate) id: Vec<u8>,
        #[prost(message, repeated, tag = "2")]
        pub(crate) rules: Vec<PlainRule>,
        #[prost(bytes = "vec", repeated, tag = "3")]
        pub(crate) members: Vec<Vec<u8>>,
        #[prost(message, repeated, tag = "4")]
        pub(crate) others: Vec<PlainMember>,
    }

    struct PlainRule {
        #[prost(bool, tag = "1")]
        pub(crate) ingress: bool,
        #[prost(bool, tag = "2")]
        pub(crate) ipv6: bool,
        #[prost(uint32, optional, tag = "3")]
        pub(crate) protocol: Option<u32>,
        #[prost(uint32, optional, tag = "4")]
        pub(crate) port_min: Option<u32>,
        #[prost(uint32, optional, tag = "5")]
        pub(crate) port_max: Option<u32>,
        #[prost(bytes = "vec", optional, tag = "6")]
        pub(crate) prefix: Option<Vec<u8>>,
        #[prost(uint32, tag = "7")]
        pub(crate) prefix_len: u32,
        #[prost(bytes = "vec", optional, tag = "8")]
        pub(crate) remote: Option<Vec<u8>>,
        #[prost(bool, optional, tag = "9")]
        pub(crate) stateful: Option<bool>,
    }
}

fn address(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    }
}

impl From<&Info> for Plain {
    fn from(info: &Info) -> Self {
        let devices = info.devices.iter().map(|device| PlainDevice {
            id: device.id.0.to_vec(),
            mac: mac_bits(device.mac),
            fixed_ips: device.fixed_ips.iter().map(|a| address(*a)).collect(),
            groups: device.groups.iter().map(|id| id.0.to_vec()).collect(),
            network: device.network.map(|id| id.0.to_vec()),
            owner: device.owner.as_deref().map(str::to_owned),
            port_security: device.port_security,
            pairs: device.pairs.iter().map(|pair| plain_member(pair.address, Some(pair.mac))).collect(),
        });
        let groups = info.groups.iter().map(|group| {
            let set = info.member_set(group.id);
            let v4 = set.and_then(|set| set.v4.as_ref()).into_iter().flat_map(|m| &m.addresses);
            let v6 = set.and_then(|set| set.v6.as_ref()).into_iter().flat_map(|m| &m.addresses);
            let members = v4.map(|a| address((*a).into())).chain(v6.map(|a| address((*a).into())));
            PlainGroup {
                id: group.id.0.to_vec(),
                rules: group.rules.iter().map(PlainRule::from).collect(),
                members: members.collect(),
                others: others(info, group.id)
                    .map(|member| plain_member(member.address, member.mac))
                    .collect(),
            }
        });
        Self { devices: devices.collect(), groups: groups.collect() }
    }
}

impl From<&Rule> for PlainRule {
    fn from(rule: &Rule) -> Self {
        let prefix = rule.remote_prefix();
        Self {
            ingress: rule.direction == Direction::Ingress,
            ipv6: rule.family == Family::V6,
            protocol: rule.protocol.map(|protocol| protocol.number().into()),
            port_min: rule.ports.min.map(u32::from),
            port_max: rule.ports.max.map(u32::from),
            prefix: prefix.map(|net| address(net.addr())),
            prefix_len: prefix.map_or(0, |net| net.prefix_len().into()),
            remote: rule.remote.map(|remote| remote.id().0.to_vec()),
            stateful: rule.stateful,
        }
    }
}

fn mac_bits(mac: MacAddr6) -> u64 {
    mac.into_array().iter().fold(0, |bits, byte| bits << 8 | u64::from(*byte))
}

fn plain_member(spec: IpSpec, mac: Option<MacAddr6>) -> PlainMember {
    PlainMember {
        address: address(spec.net().addr()),
        prefix_len: spec.net().prefix_len().into(),
        mac: mac.map(mac_bits),
    }
}

fn others(info: &Info, group: Uuid) -> impl Iterator<Item = &Member> {
    let set = info.member_set(group);
    let v4 = set.and_then(|set| set.v4.as_ref()).into_iter().flat_map(|members| &members.others);
    v4.chain(set.and_then(|set| set.v6.as_ref()).into_iter().flat_map(|members| &members.others))
}

/// Ids once, then by number; members as differences.
#[derive(Clone, PartialEq, Serialize, Deserialize, bitcode::Encode, bitcode::Decode)]
pub(crate) struct Interned {
    pub(crate) ids: Vec<[u8; 16]>,
    pub(crate) owners: Vec<String>,
    pub(crate) devices: Vec<InternedDevice>,
    pub(crate) groups: Vec<InternedGroup>,
}

#[derive(Clone, PartialEq, Serialize, Deserialize, bitcode::Encode, bitcode::Decode)]
pub(crate) struct InternedDevice {
    pub(crate) id: u32,
    pub(crate) mac: [u8; 6],
    pub(crate) v4: Vec<u32>,
    pub(crate) v6: Vec<[u8; 16]>,
    pub(crate) groups: Vec<u32>,
    pub(crate) network: Option<u32>,
    pub(crate) owner: Option<u32>,
    pub(crate) port_security: Option<bool>,
    pub(crate) pairs: Vec<InternedMember>,
}

/// Address, prefix length and MAC.
pub(crate) type InternedMember = (Vec<u8>, u8, Option<[u8; 6]>);

#[derive(Clone, PartialEq, Serialize, Deserialize, bitcode::Encode, bitcode::Decode)]
pub(crate) struct InternedGroup {
    pub(crate) id: u32,
    pub(crate) rules: Vec<InternedRule>,
    pub(crate) v4: Vec<u32>,
    pub(crate) v6: Vec<[u8; 16]>,
    pub(crate) others: Vec<InternedMember>,
}

#[derive(Clone, PartialEq, Serialize, Deserialize, bitcode::Encode, bitcode::Decode)]
pub(crate) struct InternedRule {
    pub(crate) flags: u8,
    pub(crate) protocol: Option<u8>,
    pub(crate) ports: Option<(u16, u16)>,
    pub(crate) prefix: Option<([u8; 16], u8)>,
    pub(crate) remote: Option<u32>,
}

impl From<&Info> for Interned {
    fn from(info: &Info) -> Self {
        let mut ids: Vec<[u8; 16]> = info.devices.iter().map(|device| device.id.0).collect();
        ids.extend(info.groups.iter().map(|group| group.id.0));
        ids.extend(info.members.iter().map(|set| set.id.0));
        ids.extend(info.devices.iter().filter_map(|device| device.network).map(|id| id.0));
        let mut owners: Vec<String> =
            info.devices.iter().filter_map(|d| d.owner.as_deref()).map(str::to_owned).collect();
        owners.sort_unstable();
        owners.dedup();
        ids.sort_unstable();
        ids.dedup();
        let number = |id: [u8; 16]| ids.binary_search(&id).unwrap_or(0) as u32;
        let devices = info.devices.iter().map(|device| InternedDevice {
            id: number(device.id.0),
            mac: device.mac.into_array(),
            v4: device
                .fixed_ips
                .iter()
                .filter_map(|a| if let IpAddr::V4(a) = a { Some(a.to_bits()) } else { None })
                .collect(),
            v6: device
                .fixed_ips
                .iter()
                .filter_map(|a| if let IpAddr::V6(a) = a { Some(a.octets()) } else { None })
                .collect(),
            groups: device.groups.iter().map(|id| number(id.0)).collect(),
            network: device.network.map(|id| number(id.0)),
            owner: device
                .owner
                .as_deref()
                .and_then(|o| owners.iter().position(|x| x == o))
                .map(|at| at as u32),
            port_security: device.port_security,
            pairs: device.pairs.iter().map(|pair| interned_member(pair.address, Some(pair.mac))).collect(),
        });
        let groups = info.groups.iter().map(|group| {
            let set = info.member_set(group.id);
            let mut last = 0;
            let v4 = set.and_then(|set| set.v4.as_ref()).into_iter().flat_map(|members| &members.addresses);
            let v6 = set.and_then(|set| set.v6.as_ref()).into_iter().flat_map(|members| &members.addresses);
            InternedGroup {
                id: number(group.id.0),
                rules: group.rules.iter().map(|rule| interned_rule(rule, number)).collect(),
                v4: v4
                    .map(|a| {
                        let step = a.to_bits() - last;
                        last = a.to_bits();
                        step
                    })
                    .collect(),
                v6: v6.map(|a| a.octets()).collect(),
                others: others(info, group.id)
                    .map(|member| interned_member(member.address, member.mac))
                    .collect(),
            }
        });
        let (devices, groups) = (devices.collect(), groups.collect());
        Self { devices, groups, owners, ids }
    }
}

fn interned_member(spec: IpSpec, mac: Option<MacAddr6>) -> InternedMember {
    (address(spec.net().addr()), spec.net().prefix_len(), mac.map(MacAddr6::into_array))
}

fn interned_rule(rule: &Rule, number: impl Fn([u8; 16]) -> u32) -> InternedRule {
    let prefix = rule.remote_prefix().map(|net| {
        let mut bytes = [0; 16];
        let address = address(net.addr());
        bytes.iter_mut().zip(&address).for_each(|(to, from)| *to = *from);
        (bytes, net.prefix_len())
    });
    InternedRule {
        flags: u8::from(rule.direction == Direction::Ingress)
            | u8::from(rule.family == Family::V6) << 1
            | rule.stateful.map_or(0, |flag| if flag { 4 } else { 8 }),
        protocol: rule.protocol.map(|protocol| protocol.number()),
        ports: rule.ports.min.zip(rule.ports.max),
        prefix,
        remote: rule.remote.map(|remote| number(remote.id().0)),
    }
}

impl Interned {
    /// The model again: what a user of the other codecs has to write as well.
    pub(crate) fn to_info(&self) -> Info {
        let id = |at: u32| Uuid(*self.ids.get(at as usize).unwrap());
        let device = |device: &InternedDevice| {
            let mut made = Device::new(id(device.id), MacAddr6::from(device.mac));
            let v4 = device.v4.iter().map(|bits| IpAddr::V4((*bits).into()));
            made.fixed_ips = v4.chain(device.v6.iter().map(|octets| IpAddr::V6((*octets).into()))).collect();
            made.groups = device.groups.iter().map(|at| id(*at)).collect();
            made.network = device.network.map(id);
            made.owner = device.owner.map(|at| self.owners.get(at as usize).unwrap().clone().into());
            made.port_security = device.port_security;
            made.pairs = device.pairs.iter().filter_map(pair).collect();
            made
        };
        let mut info = Info { devices: self.devices.iter().map(device).collect(), ..Info::default() };
        for group in &self.groups {
            let rules = group.rules.iter().map(|rule| model_rule(rule, id)).collect();
            info.groups.push(Group { id: id(group.id), rules });
            let mut last = 0;
            let v4 = group.v4.iter().map(|step| {
                last += step;
                Ipv4Addr::from_bits(last)
            });
            let v4 = Members { addresses: v4.collect(), others: Vec::new() };
            let v6 = group.v6.iter().map(|octets| Ipv6Addr::from(*octets));
            let mut v6 = Members { addresses: v6.collect(), others: Vec::new() };
            v6.others = group.others.iter().filter_map(member).collect();
            info.members.push(MemberSet { v4: Some(v4), v6: Some(v6), ..MemberSet::new(id(group.id)) });
        }
        info.normalize();
        info
    }
}

fn spec((octets, length, _): &InternedMember) -> Option<IpSpec> {
    let address = match octets.len() {
        4 => IpAddr::from(<[u8; 4]>::try_from(&octets[..]).ok()?),
        _ => IpAddr::from(<[u8; 16]>::try_from(&octets[..]).ok()?),
    };
    Some(IpSpec::Net(IpNet::new(address, *length).ok()?))
}

fn pair(from: &InternedMember) -> Option<AddressPair> {
    Some(AddressPair { address: spec(from)?, mac: from.2?.into() })
}

fn member(from: &InternedMember) -> Option<Member> {
    Some(Member { address: spec(from)?, mac: from.2.map(MacAddr6::from) })
}

fn model_rule(from: &InternedRule, id: impl Fn(u32) -> Uuid) -> Rule {
    let direction = if from.flags & 1 == 1 { Direction::Ingress } else { Direction::Egress };
    let family = if from.flags & 2 == 2 { Family::V6 } else { Family::V4 };
    let mut rule = Rule::any(direction, family);
    rule.protocol = from.protocol.map(Protocol::from_number);
    rule.ports = PortRange { min: from.ports.map(|ports| ports.0), max: from.ports.map(|ports| ports.1) };
    rule.remote = from.remote.map(|at| Remote::Group(id(at)));
    rule.stateful = (from.flags & 12 > 0).then_some(from.flags & 4 == 4);
    let prefix = from.prefix.and_then(|(octets, length)| {
        let [a, b, c, d, ..] = octets;
        let address = if family == Family::V4 { IpAddr::from([a, b, c, d]) } else { octets.into() };
        IpNet::new(address, length).ok()
    });
    prefix.map_or(rule.clone(), |prefix| rule.with_remote_prefix(prefix))
}

/// [`Interned`] as protocol buffers have it: ids in one field, lists packed.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct ProstInterned {
    #[prost(bytes = "vec", tag = "1")]
    ids: Vec<u8>,
    #[prost(string, repeated, tag = "2")]
    owners: Vec<String>,
    #[prost(message, repeated, tag = "3")]
    devices: Vec<ProstDevice>,
    #[prost(message, repeated, tag = "4")]
    groups: Vec<ProstGroup>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct ProstDevice {
    #[prost(uint32, tag = "1")]
    id: u32,
    #[prost(bytes = "vec", tag = "2")]
    mac: Vec<u8>,
    #[prost(fixed32, repeated, tag = "3")]
    v4: Vec<u32>,
    #[prost(bytes = "vec", tag = "4")]
    v6: Vec<u8>,
    #[prost(uint32, repeated, tag = "5")]
    groups: Vec<u32>,
    #[prost(uint32, optional, tag = "6")]
    network: Option<u32>,
    #[prost(uint32, optional, tag = "7")]
    owner: Option<u32>,
    #[prost(bool, optional, tag = "8")]
    port_security: Option<bool>,
    #[prost(message, repeated, tag = "9")]
    pairs: Vec<PlainMember>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct ProstGroup {
    #[prost(uint32, tag = "1")]
    id: u32,
    #[prost(message, repeated, tag = "2")]
    rules: Vec<ProstRule>,
    #[prost(uint32, repeated, tag = "3")]
    v4: Vec<u32>,
    #[prost(bytes = "vec", tag = "4")]
    v6: Vec<u8>,
    #[prost(message, repeated, tag = "5")]
    others: Vec<PlainMember>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct ProstRule {
    #[prost(uint32, tag = "1")]
    flags: u32,
    #[prost(uint32, optional, tag = "2")]
    protocol: Option<u32>,
    #[prost(uint32, optional, tag = "3")]
    port_min: Option<u32>,
    #[prost(uint32, optional, tag = "4")]
    port_max: Option<u32>,
    #[prost(bytes = "vec", optional, tag = "5")]
    prefix: Option<Vec<u8>>,
    #[prost(uint32, tag = "6")]
    prefix_len: u32,
    #[prost(uint32, optional, tag = "7")]
    remote: Option<u32>,
}

impl From<&Interned> for ProstInterned {
    fn from(from: &Interned) -> Self {
        let plain = |(address, prefix_len, mac): &InternedMember| PlainMember {
            address: address.clone(),
            prefix_len: (*prefix_len).into(),
            mac: mac.map(|mac| mac_bits(mac.into())),
        };
        let devices = from.devices.iter().map(|device| ProstDevice {
            id: device.id,
            mac: device.mac.to_vec(),
            v4: device.v4.clone(),
            v6: device.v6.concat(),
            groups: device.groups.clone(),
            network: device.network,
            owner: device.owner,
            port_security: device.port_security,
            pairs: device.pairs.iter().map(plain).collect(),
        });
        let rule = |rule: &InternedRule| ProstRule {
            flags: rule.flags.into(),
            protocol: rule.protocol.map(u32::from),
            port_min: rule.ports.map(|ports| ports.0.into()),
            port_max: rule.ports.map(|ports| ports.1.into()),
            prefix: rule.prefix.map(|prefix| prefix.0.to_vec()),
            prefix_len: rule.prefix.map_or(0, |prefix| prefix.1.into()),
            remote: rule.remote,
        };
        let groups = from.groups.iter().map(|group| ProstGroup {
            id: group.id,
            rules: group.rules.iter().map(rule).collect(),
            v4: group.v4.clone(),
            v6: group.v6.concat(),
            others: group.others.iter().map(plain).collect(),
        });
        Self {
            ids: from.ids.concat(),
            owners: from.owners.clone(),
            devices: devices.collect(),
            groups: groups.collect(),
        }
    }
}

pub(crate) fn zstd3(bytes: &[u8]) -> Vec<u8> {
    zstd::bulk::compress(bytes, 3).unwrap()
}

/// Every peer's bytes by name.
pub(crate) fn encoded(info: &Info) -> Vec<(&'static str, Vec<u8>)> {
    let (plain, interned) = (Plain::from(info), Interned::from(info));
    vec![
        ("serde_json", serde_json::to_vec(&plain).unwrap()),
        ("rmp-serde", rmp_serde::to_vec(&plain).unwrap()),
        ("postcard", postcard::to_stdvec(&plain).unwrap()),
        ("bitcode", bitcode::encode(&plain)),
        ("prost", prost::Message::encode_to_vec(&plain)),
        ("rkyv", rkyv::to_bytes::<rkyv::rancor::Error>(&plain).unwrap().to_vec()),
        ("rmp-serde interned", rmp_serde::to_vec(&interned).unwrap()),
        ("postcard interned", postcard::to_stdvec(&interned).unwrap()),
        ("bitcode interned", bitcode::encode(&interned)),
        ("prost interned", prost::Message::encode_to_vec(&ProstInterned::from(&interned))),
    ]
}
