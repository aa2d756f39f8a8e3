//! Model messages, and the same messages as other codecs want them.
#![allow(dead_code, reason = "each bench uses its part")]

pub(crate) mod peers;

use std::{
    fs,
    io::Read,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    path::Path,
};

use secgroup_rpc::{
    Device, Direction, Family, Group, Info, Limits, MemberSet, Members, Message, Remote, Rule, Uuid,
    link_local, macaddr::MacAddr6, read_json,
};

/// A small generator (Knuth's MMIX constants): the same messages on every run.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        // The low bits of such a generator are poor.
        let x = self.0;
        (x ^ (x >> 29)).wrapping_mul(0xBF58_476D_1CE4_E5B9) >> 16
    }

    fn uuid(&mut self) -> Uuid {
        let bits = u128::from(self.next()) << 90 ^ u128::from(self.next()) << 45 ^ u128::from(self.next());
        Uuid::from_bits(bits & !(0xF << 76 | 3 << 62) | 4 << 76 | 2 << 62)
    }

    fn mac(&mut self) -> MacAddr6 {
        let low = self.next();
        MacAddr6::new(0xFA, 0x16, 0x3E, (low >> 16) as u8, (low >> 8) as u8, low as u8)
    }
}

/// Where the addresses of a model message come from.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Addresses {
    /// IPv4 at random in one /16.
    Slash16,
    /// IPv4 in /24s of which 200 of 250 addresses are taken.
    Dense,
    /// IPv6 made from the MAC.
    Eui64,
}

/// `groups` groups that admit themselves, of `ports` ports each, `local` of them in the message.
pub(crate) fn model(groups: usize, ports: usize, local: usize, addresses: Addresses) -> Info {
    let mut random = Random(0x5EC6_0001);
    let mut hosts: Vec<u32> = (0..65_534).collect();
    let mut info = Info::default();
    for _ in 0..groups {
        let id = random.uuid();
        let from_group =
            |family| Rule { remote: Some(Remote::Group(id)), ..Rule::any(Direction::Ingress, family) };
        let rules = vec![
            Rule::any(Direction::Egress, Family::V4),
            Rule::any(Direction::Egress, Family::V6),
            from_group(Family::V4),
            from_group(Family::V6),
        ];
        let mut set =
            MemberSet { v4: Some(Members::default()), v6: Some(Members::default()), ..MemberSet::new(id) };
        for at in 0..ports {
            let mac = random.mac();
            let address = match addresses {
                Addresses::Slash16 => {
                    let pick = random.next() as usize % hosts.len();
                    IpAddr::V4(Ipv4Addr::from_bits(0x0A14_0001 + hosts.swap_remove(pick)))
                }
                Addresses::Dense => {
                    let (net, host) = (at as u32 / 200, at as u32 % 200);
                    IpAddr::V4(Ipv4Addr::from_bits(0x0A14_0002 + (net << 8) + host * 5 / 4))
                }
                Addresses::Eui64 => {
                    let suffix = link_local(mac).to_bits() & u128::from(u64::MAX);
                    IpAddr::V6(Ipv6Addr::from_bits(0x2001_0DB8_u128 << 96 | suffix))
                }
            };
            match address {
                IpAddr::V4(address) => set.v4.as_mut().unwrap().addresses.push(address),
                IpAddr::V6(address) => set.v6.as_mut().unwrap().addresses.push(address),
            }
            if at < local {
                let mut device = Device::new(random.uuid(), mac);
                device.fixed_ips.push(address);
                device.groups.push(id);
                info.devices.push(device);
            }
        }
        info.groups.push(Group { id, rules });
        info.members.push(set);
    }
    info.normalize();
    info
}

/// The model messages by name.
pub(crate) fn models() -> Vec<(String, Info)> {
    let mut models = Vec::new();
    for n in [1, 10, 100, 1000, 10_000] {
        models.push((format!("all {n}"), model(1, n, n, Addresses::Slash16)));
    }
    models.push(("dense /24s 1000".into(), model(1, 1000, 1000, Addresses::Dense)));
    models.push(("IPv6 EUI-64 1000".into(), model(1, 1000, 1000, Addresses::Eui64)));
    for n in [1000, 10_000] {
        models.push((format!("host20 {n}"), model(1, n, 20, Addresses::Slash16)));
    }
    models.push(("host20 EUI-64 1000".into(), model(1, 1000, 20, Addresses::Eui64)));
    models.push(("50 groups x 20".into(), model(50, 20, 20, Addresses::Slash16)));
    models
}

/// A recorded message of the shared folder; `None` if it is not there.
pub(crate) fn recorded(name: &str) -> Option<Info> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/fixtures/neutron");
    let bytes = fs::read(folder.join(name)).ok()?;
    let mut text = Vec::new();
    if name.ends_with(".gz") {
        flate2::read::GzDecoder::new(&bytes[..]).read_to_end(&mut text).ok()?;
    } else {
        text = bytes;
    }
    match read_json(&text, &Limits::default()).ok()? {
        Message::Info(info) => Some(info),
        _ => None,
    }
}
