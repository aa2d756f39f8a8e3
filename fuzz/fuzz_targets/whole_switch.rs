//! Any bytes on any ports of any switch, with time and links that change: no panic, every frame in
//! exactly one counter, every port that is to get a copy gets one.
#![no_main]

use std::time::Duration;

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use switch::vlan_table::openvswitch::{self, PortConfig, PriorityTags, VlanMode};
use switch::vlan_table::{FrameMut, PortId, PortMask, TagVid, chip, dot1q};
use switch::{Database, NoGuard, Outcome, Switch};

const PORTS: u16 = 5;

#[derive(Arbitrary, Debug)]
struct Input {
    kind: u8,
    registers: [u16; 8],
    operations: Vec<Operation>,
}

#[derive(Arbitrary, Debug)]
enum Operation {
    Frame { port: u8, bytes: Vec<u8> },
    /// A frame between few stations, so that they are learned and meet again.
    Talk { port: u8, dst: u8, src: u8, tag: Option<(bool, u16)> },
    Wait { millis: u32 },
    Link { port: u8, up: bool },
    Mode { port: u8, mode: u8, vid: u16, flags: u8 },
}

fuzz_target!(|input: Input| {
    let mut switch = make(&input);
    let mut now = Duration::ZERO;
    for operation in input.operations {
        match operation {
            Operation::Frame { port, bytes } => receive(&mut switch, now, port, &bytes),
            Operation::Talk { port, dst, src, tag } => {
                let dst = if dst % 8 == 0 { [0xFF; 6] } else { [2, 0, 0, 0, 0, dst % 8] };
                let mut bytes = [dst, [2, 0, 0, 0, 0, src % 8]].concat();
                if let Some((service, tci)) = tag {
                    bytes.extend(if service { [0x88, 0xA8] } else { [0x81, 0x00] });
                    bytes.extend((tci & 0xF00F).to_be_bytes());
                }
                bytes.extend([0x08, 0x00, 0, 0]);
                receive(&mut switch, now, port, &bytes);
            }
            Operation::Wait { millis } => {
                now += Duration::from_millis(millis.into());
                if switch.poll_timeout().is_some_and(|due| due <= now) {
                    switch.handle_timeout(now);
                    assert!(switch.poll_timeout().is_none_or(|due| due > now), "a handled deadline moves on");
                }
            }
            Operation::Link { port, up } => _ = switch.set_link(now, self::port(port), up),
            Operation::Mode { port, mode, vid, flags } => {
                _ = switch.set_vlan_mode(now, self::port(port), &config(mode, vid, flags));
            }
        }
    }
    let total = switch.counters().total();
    assert_eq!(total.received, total.forwarded + total.filtered + total.dropped);
    assert_eq!(total.filtered, switch.counters().filtered().map(|(_, frames)| frames).sum::<u64>());
    assert_eq!(total.dropped, switch.counters().dropped().map(|(_, frames)| frames).sum::<u64>());
});

fn make(input: &Input) -> Switch<NoGuard> {
    let database = Database::hashed(16, [5, 6], fdb::Config { when_full: fdb::WhenFull::Fair, ..fdb::Config::DEFAULT });
    match input.kind % 4 {
        0 => Switch::openvswitch(openvswitch::Bridge::new(PORTS, 1 + usize::from(input.kind) / 128), database),
        1 => Switch::dot1q(dot1q::Bridge::new(PortMask::first(PORTS)), database),
        kind => {
            let model = if kind == 2 { chip::Model::RTL8305SC } else { chip::Model::RTL8306SD };
            let mut config = chip::Config::new(model);
            let [switches, ops, words @ ..] = input.registers;
            let bit = |n: u32| switches >> n & 1 == 1;
            (config.vlan_enabled, config.tag_aware, config.ingress_filter) = (bit(0), bit(1), bit(2));
            (config.tagged_only, config.unicast_leak, config.arp_leak) = (bit(3), bit(4), bit(5));
            for (n, port) in (0..).zip(&mut config.ports) {
                port.tag_op = chip::TagOp::from_code(ops >> (2 * (n % 8)));
                port.null_vid_replacement = bit(6);
                port.discard_non_pvid = bit(7);
            }
            for (entry, word) in config.entries.iter_mut().zip(words) {
                entry.vid = word & 0x0FFF;
                entry.members = model.port_mask().intersection(PortMask::from_bits(u64::from(word >> 12)));
            }
            Switch::chip(chip::Table::new(config).expect("within the model"))
        }
    }
}

fn config(mode: u8, vid: u16, flags: u8) -> PortConfig {
    let modes = [
        VlanMode::Access,
        VlanMode::Trunk,
        VlanMode::NativeTagged,
        VlanMode::NativeUntagged,
        VlanMode::Dot1qTunnel,
    ];
    let priority_tags = [PriorityTags::Never, PriorityTags::IfNonzero, PriorityTags::Always];
    PortConfig {
        protected: flags & 1 == 1,
        priority_tags: priority_tags[usize::from(flags / 2 % 3)],
        ..PortConfig::new(modes[usize::from(mode) % modes.len()], TagVid::from_raw(vid & 0xF))
    }
}

fn port(raw: u8) -> PortId {
    PortId::new(u16::from(raw % 8)).expect("a port")
}

fn receive(switch: &mut Switch<NoGuard>, now: Duration, port: u8, frame: &[u8]) {
    let port = self::port(port);
    let decision = switch.receive(now, port, frame);
    assert_eq!(decision.outcome == Outcome::Forwarded, !decision.ports.is_empty());
    assert!(!decision.ports.contains(port), "no frame goes back");
    let mut left = PortMask::EMPTY;
    for copy in switch.copies(&decision) {
        assert!(left.intersection(copy.ports).is_empty());
        left = left.union(copy.ports);
        let mut buffer = [&[0; 8], frame, &[0; 60]].concat();
        let mut in_place = FrameMut::with_tailroom(&mut buffer, 8, frame.len()).expect("it was forwarded");
        copy.apply(&mut in_place).expect("there is room");
        let mut written = vec![0; frame.len() + 60];
        let len = copy.write(frame, &mut written).expect("there is room");
        assert_eq!(in_place.as_bytes(), &written[..len]);
    }
    assert_eq!(left, decision.ports);
}
