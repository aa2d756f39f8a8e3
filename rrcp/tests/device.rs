//! The rules of the switch side, one test each.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use std::collections::BTreeMap;

use common::{C5, C18, C20, STATION, SWITCH, padded};
use macaddr::MacAddr6;
use rrcp::device::{DEVICE_FRAME_LEN, Device, DropReason, Identity, RegisterSpace, Verdict};
use rrcp::wire::{
    Access, AuthKey, BROADCAST, ChipId, Cookie, HelloReply, Op, RegisterAddress, Rep, Rrcp, Ttl, VendorId,
};
use rrcp::{EtherType, Frame, FrameView, Message, PortId, PortMask, Probe, Tag};

#[derive(Default)]
struct Registers(BTreeMap<u16, u32>);

impl RegisterSpace for Registers {
    fn read(&mut self, register: RegisterAddress) -> Option<u32> {
        self.0.get(&register.0).copied()
    }

    fn write(&mut self, register: RegisterAddress, data: u32) {
        self.0.insert(register.0, data);
    }
}

struct Bench {
    device: Device,
    registers: Registers,
}

/// A verdict whose answer was parsed.
#[derive(Debug, PartialEq)]
enum Said {
    Relay,
    Answer(Message<'static>),
    AnswerAndRelay(Message<'static>),
    Written(u16, u32),
    Drop(DropReason),
}

impl Bench {
    fn new() -> Self {
        let identity = Identity::new(SWITCH, ChipId(0x0C), VendorId(0x11F6_7005));
        Self { device: Device::new(identity), registers: Registers::default() }
    }

    fn hears_bytes(&mut self, ingress: u16, bytes: &[u8]) -> Said {
        let mut out = [0; DEVICE_FRAME_LEN];
        let port = PortId::new(ingress).unwrap();
        let known = |answer: &[u8]| {
            let view = FrameView::new(answer, 2).unwrap();
            assert_eq!((view.dst(), view.src()), (STATION, SWITCH));
            match view.message() {
                Message::Rrcp(rrcp) => Message::Rrcp(rrcp),
                Message::Rep(rep) => Message::Rep(rep),
                other => panic!("{other}"),
            }
        };
        match self.device.handle_frame(port, bytes, &mut self.registers, &mut out) {
            Verdict::Relay => Said::Relay,
            Verdict::Answer(answer) => Said::Answer(known(answer)),
            Verdict::AnswerAndRelay(answer) => Said::AnswerAndRelay(known(answer)),
            Verdict::Written { register, data } => Said::Written(register.0, data),
            Verdict::Drop(reason) => Said::Drop(reason),
        }
    }

    fn hears(&mut self, ingress: u16, dst: MacAddr6, message: impl Into<Message<'static>>) -> Said {
        let mut bytes = [0; 60];
        Frame { dst, src: STATION, message: message.into() }.emit(&[], &mut bytes).unwrap();
        self.hears_bytes(ingress, &bytes)
    }

    fn set(&mut self, register: u16, data: u32) {
        let key = self.device.identity().key;
        let said = self.hears(0, SWITCH, Rrcp { key, op: Op::Set(access(register, data)) });
        assert_eq!(said, Said::Written(register, data));
    }

    fn get(&mut self, register: u16) -> u32 {
        let key = self.device.identity().key;
        let mac = self.device.identity().mac;
        let mut bytes = [0; 60];
        let request = Rrcp { key, op: Op::Get(access(register, 0)) };
        Frame { dst: mac, src: STATION, message: request.into() }.emit(&[], &mut bytes).unwrap();
        let mut out = [0; DEVICE_FRAME_LEN];
        let port = PortId::new(0).unwrap();
        match self.device.handle_frame(port, &bytes, &mut self.registers, &mut out) {
            Verdict::Answer(answer) => match FrameView::new(answer, 0).unwrap().message() {
                Message::Rrcp(Rrcp { op: Op::GetReply(Access { data, .. }), .. }) => data,
                other => panic!("{other}"),
            },
            other => panic!("{other:?}"),
        }
    }
}

const COOKIE: Cookie = Cookie(*b"cookies!");

fn access(register: u16, data: u32) -> Access {
    Access { register: RegisterAddress(register), data, cookie: COOKIE }
}

fn with_key(key: u16, op: Op) -> Rrcp {
    Rrcp { key: AuthKey(key), op }
}

fn asked(op: Op) -> Rrcp {
    with_key(0x2379, op)
}

fn hello_reply(port: u8) -> Message<'static> {
    let reply = HelloReply {
        downlink_port: port,
        uplink_port: 0,
        uplink_mac: MacAddr6::nil(),
        chip: ChipId(0x0C),
        vendor: VendorId(0x11F6_7005),
    };
    asked(Op::HelloReply(reply)).into()
}

#[test]
fn a_broadcast_hello_is_answered_whatever_its_key_and_relayed() {
    let mut bench = Bench::new();
    for key in [0x2379, 0xBEEF] {
        let said = bench.hears(7, BROADCAST, with_key(key, Op::Hello));
        assert_eq!(said, Said::AnswerAndRelay(hello_reply(7)));
    }
}

#[test]
fn a_unicast_hello_needs_the_key() {
    let mut bench = Bench::new();
    assert_eq!(bench.hears(3, SWITCH, asked(Op::Hello)), Said::Answer(hello_reply(3)));
    assert_eq!(bench.hears(3, SWITCH, with_key(0x7923, Op::Hello)), Said::Drop(DropReason::WrongKey));
}

#[test]
fn after_a_change_of_the_key_broadcast_hellos_get_no_answer() {
    let mut bench = Bench::new();
    bench.set(0x0209, 0xBEEF);
    assert_eq!(bench.get(0x0209), 0xBEEF);
    for key in [0x2379, 0xBEEF] {
        assert_eq!(bench.hears(0, BROADCAST, with_key(key, Op::Hello)), Said::Relay);
    }
    assert!(matches!(bench.hears(0, SWITCH, with_key(0xBEEF, Op::Hello)), Said::Answer(_)));
    // A hard reset loads the key of the EEPROM again; a soft one does not.
    bench.set(0x0000, 1);
    assert_eq!(bench.device.identity().key, AuthKey(0xBEEF));
    bench.set(0x0000, 2);
    assert!(matches!(bench.hears(0, BROADCAST, asked(Op::Hello)), Said::AnswerAndRelay(_)));
}

#[test]
fn a_get_is_answered_with_its_cookie() {
    let mut bench = Bench::new();
    bench.registers.write(RegisterAddress(0x0101), 0x0200_0009);
    for (register, data) in [(0x0206, 0x0C), (0x0101, 0x0200_0009), (0x0203, 0x5452), (0x0208, 0x11F6)] {
        let said = bench.hears(0, SWITCH, asked(Op::Get(access(register, 0))));
        assert_eq!(said, Said::Answer(asked(Op::GetReply(access(register, data))).into()));
    }
    assert_eq!(bench.device.counters().unknown_registers, 0);
    assert_eq!(bench.get(0x0BAD), 0, "a register that is not there");
    assert_eq!(bench.device.counters().unknown_registers, 1);
}

#[test]
fn a_set_has_no_reply_and_keeps_16_bits_of_a_narrow_register() {
    let mut bench = Bench::new();
    let set = |register| asked(Op::Set(access(register, 0xFFFF_1234)));
    assert_eq!(bench.hears(0, SWITCH, set(0x0300)), Said::Written(0x0300, 0x1234));
    assert_eq!(bench.hears(0, SWITCH, set(0x070D)), Said::Written(0x070D, 0xFFFF_1234));
    assert_eq!((bench.get(0x0300), bench.get(0x070D)), (0x1234, 0xFFFF_1234));
}

#[test]
fn get_and_set_to_all_or_to_others_are_relayed() {
    let mut bench = Bench::new();
    let other = MacAddr6::new(2, 0, 0, 0, 0, 9);
    let multicast = MacAddr6::new(1, 0, 0x5E, 0, 0, 1);
    for dst in [BROADCAST, other, multicast] {
        for op in [Op::Get(access(0x0206, 0)), Op::Set(access(0x0300, 1))] {
            assert_eq!(bench.hears(0, dst, asked(op)), Said::Relay);
            assert_eq!(bench.hears(0, dst, with_key(0, op)), Said::Relay);
        }
    }
    assert!(bench.registers.0.is_empty());
}

#[test]
fn a_wrong_key_to_us_is_dropped_without_a_word() {
    let mut bench = Bench::new();
    for op in [Op::Get(access(0x0206, 0)), Op::Set(access(0x0300, 1))] {
        assert_eq!(bench.hears(0, SWITCH, with_key(0x7923, op)), Said::Drop(DropReason::WrongKey));
    }
    assert!(bench.registers.0.is_empty());
    assert_eq!(bench.device.counters().dropped(DropReason::WrongKey), 2);
}

#[test]
fn a_port_that_ignores_rrcp_does_not_answer_and_relays_what_is_for_all() {
    let mut bench = Bench::new();
    bench.set(0x0202, 0x0001);
    assert_eq!(bench.device.identity().ignored_ports, PortMask::EMPTY.with(PortId::new(16).unwrap()));
    assert_eq!(bench.hears(16, BROADCAST, asked(Op::Hello)), Said::Relay);
    let get = asked(Op::Get(access(0x0206, 0)));
    assert_eq!(bench.hears(16, SWITCH, get), Said::Drop(DropReason::PortIgnored));
    assert!(matches!(bench.hears(15, SWITCH, get), Said::Answer(_)));
}

#[test]
fn protocols_are_switched_off_one_by_one() {
    let mut bench = Bench::new();
    let (get, echo) = (asked(Op::Get(access(0x0200, 0))), Rep { reply: false, cookie: COOKIE });
    bench.set(0x0200, 0b010); // REP off
    assert_eq!(bench.hears(0, BROADCAST, echo), Said::Relay);
    assert_eq!(bench.hears(0, SWITCH, echo), Said::Drop(DropReason::Off));
    assert!(matches!(bench.hears(0, SWITCH, get), Said::Answer(_)));
    bench.set(0x0200, 0b001); // RRCP off, as in silicon that has REP only
    assert!(matches!(bench.hears(0, BROADCAST, echo), Said::AnswerAndRelay(_)));
    assert_eq!(bench.hears(0, SWITCH, get), Said::Drop(DropReason::Off));
    assert_eq!(bench.hears(0, BROADCAST, asked(Op::Hello)), Said::Relay);
}

/// Corner case 17: two responders must not play ping-pong.
#[test]
fn an_echo_is_answered_with_the_flag_and_an_answer_is_never_answered() {
    let mut bench = Bench::new();
    let (request, reply) = (Rep { reply: false, cookie: COOKIE }, Rep { reply: true, cookie: COOKIE });
    assert_eq!(bench.hears(0, BROADCAST, request), Said::AnswerAndRelay(reply.into()));
    assert_eq!(bench.hears(0, SWITCH, request), Said::Answer(reply.into()));
    assert_eq!(bench.hears(0, SWITCH, reply), Said::Drop(DropReason::NotAsked));
    assert_eq!(bench.hears(0, BROADCAST, reply), Said::Relay);
}

/// Corner case 9 and 20: what is not RRCP or REP goes its way.
#[test]
fn probes_of_others_are_relayed_and_kinds_that_nobody_asks_are_not_answered() {
    let mut bench = Bench::new();
    assert_eq!(bench.hears(0, BROADCAST, Probe::Classic { ttl: Ttl::NONE }), Said::Relay);
    for (hex, said) in [(C18, Said::Drop(DropReason::NotAsked)), (C20, Said::Drop(DropReason::NotAsked))] {
        assert_eq!(bench.hears_bytes(0, &padded(hex, 60)), said);
    }
    assert_eq!(bench.hears(0, SWITCH, hello_reply(3)), Said::Drop(DropReason::NotAsked));
    assert_eq!(bench.hears(0, STATION, hello_reply(3)), Said::Relay);
}

/// Corner cases 1 and 2.
#[test]
fn a_cut_frame_for_us_is_dropped_and_for_others_relayed() {
    let mut bench = Bench::new();
    let whole = padded(C5, 60);
    for len in 0..24 {
        let said = bench.hears_bytes(0, &whole[..len]);
        assert_eq!(said, if len < 6 { Said::Relay } else { Said::Drop(DropReason::Malformed) }, "{len}");
    }
    assert!(matches!(bench.hears_bytes(0, &whole[..24]), Said::Answer(_)));
    let mut to_all = whole;
    to_all[..6].fill(0xFF);
    assert_eq!(bench.hears_bytes(0, &to_all[..20]), Said::Relay);
}

#[test]
fn another_protocol_is_relayed_even_if_it_is_for_us() {
    let mut bytes = padded(common::R2, 60);
    bytes[..6].copy_from_slice(SWITCH.as_ref());
    assert_eq!(Bench::new().hears_bytes(0, &bytes), Said::Relay);
}

/// Corner case 10.
#[test]
fn nobody_answers_to_a_group_address_or_to_zero() {
    let mut bench = Bench::new();
    for src in [BROADCAST, MacAddr6::nil(), MacAddr6::new(1, 0, 0x5E, 0, 0, 1)] {
        let mut bytes = padded(C5, 60);
        bytes[6..12].copy_from_slice(src.as_ref());
        assert_eq!(bench.hears_bytes(0, &bytes), Said::Drop(DropReason::Malformed));
        bytes[..6].fill(0xFF);
        [bytes[14], bytes[15]] = [0x01, 0x00];
        assert_eq!(bench.hears_bytes(0, &bytes), Said::Relay);
    }
}

/// Corner case 4: as the GT873M asks, and QinQ.
#[test]
fn an_answer_goes_behind_the_tags_of_the_question() {
    let mut bench = Bench::new();
    let get = Frame { dst: SWITCH, src: STATION, message: asked(Op::Get(access(0x0206, 0))).into() };
    let tags = [Tag::from_tci(EtherType::SERVICE_VLAN, 100), Tag::from_tci(EtherType::VLAN, 0xF001)];
    for tags in [&tags[..0], &tags[1..], &tags] {
        let (mut bytes, mut out) = ([0; 80], [0; DEVICE_FRAME_LEN]);
        let len = get.emit(tags, &mut bytes).unwrap();
        let port = PortId::new(0).unwrap();
        match bench.device.handle_frame(port, &bytes[..len], &mut bench.registers, &mut out) {
            Verdict::Answer(answer) => {
                assert!(FrameView::new(answer, 2).unwrap().tags().eq(tags.iter().copied()));
                assert_eq!(answer.len(), 60 + 4 * tags.len());
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_hello_reply_in_transit_is_marked_once() {
    let bench = Bench::new();
    let mut frame = [0; 64];
    let below = MacAddr6::new(2, 0, 0, 0, 0, 9);
    let tag = [Tag::from_tci(EtherType::VLAN, 1)];
    Frame { dst: STATION, src: below, message: hello_reply(5) }.emit(&tag, &mut frame).unwrap();
    let port = |raw| PortId::new(raw).unwrap();
    assert!(bench.device.mark_uplink(port(16), &mut frame));
    assert!(!bench.device.mark_uplink(port(3), &mut frame), "the next switch leaves it alone");
    match FrameView::new(&frame, 1).unwrap().message() {
        Message::Rrcp(Rrcp { op: Op::HelloReply(reply), .. }) => {
            assert_eq!((reply.downlink_port, reply.uplink()), (5, Some((SWITCH, 16))));
        }
        other => panic!("{other}"),
    }
    let mut probe = padded("ffffffffffff 52544c010203 8899 03 00", 60);
    let before = probe.clone();
    assert!(!bench.device.mark_uplink(port(3), &mut probe));
    assert_eq!(probe, before);
}

#[test]
fn every_frame_is_in_one_counter() {
    let mut bench = Bench::new();
    for first in 0..=u8::MAX {
        for second in [0x00, 0x80, 0x01, 0x81, 0x02, 0x55] {
            for dst in [SWITCH, BROADCAST, STATION] {
                let mut bytes = padded(C5, 60);
                bytes[..6].copy_from_slice(dst.as_ref());
                [bytes[14], bytes[15]] = [first, second];
                bench.hears_bytes(0, &bytes);
            }
        }
    }
    let counters = bench.device.counters();
    let dropped: u64 = [
        DropReason::Malformed,
        DropReason::WrongKey,
        DropReason::PortIgnored,
        DropReason::Off,
        DropReason::NotAsked,
    ]
    .map(|reason| counters.dropped(reason))
    .iter()
    .sum();
    assert_eq!(counters.answered + counters.written + counters.relayed + dropped, 256 * 6 * 3);
}
