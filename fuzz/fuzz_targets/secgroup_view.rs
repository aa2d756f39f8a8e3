//! Any bytes: the view never panics, and on canonical messages it agrees with the owned model.
#![no_main]

use libfuzzer_sys::fuzz_target;
use secgroup_rpc::{Direction, Family, Info, Limits, Packet, View};

fuzz_target!(|bytes: &[u8]| {
    let limits = Limits { members: 1 << 10, rules: 1 << 10, values: 1 << 12, text: 1 << 16, ..Limits::default() };
    let Ok(view) = View::new(bytes, &limits) else { return };
    let packet = Packet {
        direction: Direction::Ingress,
        source: [10, 0, 0, 1].into(),
        destination: [10, 0, 0, 2].into(),
        protocol: 6,
        ports: Some((1024, 80)),
    };
    for device in view.devices().take(8) {
        let _ = (device.mac(), device.fixed_ips().count(), device.groups().count());
        let _ = view.check(device.id(), &packet);
    }
    let info = Info::decode(bytes, &limits).ok();
    for group in view.groups().take(8) {
        let _ = group.rules.count();
        for family in [Family::V4, Family::V6] {
            let mut members = Vec::new();
            view.for_each_member(group.id, family, |member| members.push(member));
            if let Some(info) = &info {
                members.sort();
                let mut wanted: Vec<_> =
                    info.member_set(group.id).into_iter().flat_map(|set| set.members(family)).collect();
                wanted.sort();
                assert_eq!(members, wanted);
            }
        }
    }
});
