//! The simulated switch in virtual time, without interfaces.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test may panic")]

use std::time::Duration;

use rrcp::wire::{Access, AuthKey, Cookie, Op, RegisterAddress, Rrcp, Ttl};
use rrcp::{Frame, FrameView, MacAddr6, Message, PortId, Probe};
use rrcp_ctl::simulated::{Faults, Happening, Setup, Simulated};

const MAC: MacAddr6 = MacAddr6::new(0x52, 0x54, 0x4C, 1, 2, 3);
const STATION: MacAddr6 = MacAddr6::new(2, 0, 0, 0, 0, 1);
const NOW: Duration = Duration::from_secs(20);

fn port(raw: u16) -> PortId {
    PortId::new(raw).unwrap()
}

/// A switch with cables in the first three ports.
fn switch(faults: Faults) -> Simulated {
    let mut switch = Simulated::new(Duration::ZERO, &Setup { faults, ..Setup::new(MAC) });
    (0..3).for_each(|raw| switch.set_cable(Duration::ZERO, port(raw), true));
    switch
}

/// By which ports frames leave when `frame` comes in.
fn leaves_by(switch: &mut Simulated, ingress: u16, frame: &[u8]) -> Vec<u16> {
    let mut ports = Vec::new();
    switch.receive(NOW, port(ingress), &mut frame.to_vec(), |port, _| ports.push(port.get()));
    ports
}

fn emitted(dst: MacAddr6, src: MacAddr6, message: impl Into<Message<'static>>) -> [u8; 60] {
    let mut bytes = [0; 60];
    Frame { dst, src, message: message.into() }.emit(&[], &mut bytes).unwrap();
    bytes
}

fn asks(op: fn(Access) -> Op, register: u16, data: u32) -> [u8; 60] {
    let access = Access { register: RegisterAddress(register), data, cookie: Cookie(*b"a cookie") };
    emitted(MAC, STATION, Rrcp { key: AuthKey::DEFAULT, op: op(access) })
}

fn broadcast() -> [u8; 60] {
    let mut frame = [0; 60];
    frame[..6].fill(0xFF);
    frame[6..14].copy_from_slice(&[2, 0, 0, 0, 0, 9, 0x08, 0x00]);
    frame
}

/// What port 1 is told about a register.
fn register(switch: &mut Simulated, register: u16) -> u32 {
    let mut answer = Vec::new();
    let mut get = asks(Op::Get, register, 0);
    switch.receive(NOW, port(1), &mut get, |_, bytes| answer = bytes.to_vec());
    let Message::Rrcp(rrcp) = FrameView::new(&answer, 0).unwrap().message() else { panic!() };
    let Op::GetReply(access) = rrcp.op else { panic!("{rrcp}") };
    access.data
}

#[test]
fn the_storm_filter_lets_64_broadcasts_pass_until_it_is_switched_off() {
    let mut switch = switch(Faults::default());
    let passed =
        |switch: &mut Simulated| (0..100).filter(|_| leaves_by(switch, 0, &broadcast()) == [1, 2]).count();
    assert_eq!(passed(&mut switch), 64);
    assert_eq!(register(&mut switch, 0x0741), 36, "what is dropped is counted");
    // A probe of another switch is no part of the storm.
    let probe = emitted(rrcp::wire::BROADCAST, STATION, Probe::Classic { ttl: Ttl::NONE });
    assert_eq!(leaves_by(&mut switch, 0, &probe), [1, 2]);
    assert!(leaves_by(&mut switch, 0, &broadcast()).is_empty());

    let off = asks(Op::Set, 0x0607, 0x10);
    let happening = switch.receive(NOW, port(1), &mut off.to_vec(), |_, _| panic!("a set has no reply"));
    assert_eq!(happening, Some(Happening::Written { register: RegisterAddress(0x0607), data: 0x10 }));
    assert_eq!(passed(&mut switch), 100);
}

#[test]
fn rrcp_passes_a_port_that_is_off_and_nothing_else_does() {
    let mut switch = switch(Faults::default());
    assert!(leaves_by(&mut switch, 0, &asks(Op::Set, 0x0608, 0b010)).is_empty());
    assert!(leaves_by(&mut switch, 1, &broadcast()).is_empty());
    assert_eq!(leaves_by(&mut switch, 0, &broadcast()), [2]);
    assert_eq!(leaves_by(&mut switch, 1, &asks(Op::Get, 0x0608, 0)), [1]);
}

#[test]
fn faults_lose_and_double_answers_as_told() {
    let every = |n| std::num::NonZeroU32::new(n);
    let mut switch = switch(Faults { lose: every(3), double: every(2) });
    let get = asks(Op::Get, 0x0206, 0);
    let copies: Vec<_> = (0..6).map(|_| leaves_by(&mut switch, 0, &get).len()).collect();
    assert_eq!(copies, [1, 2, 0, 2, 1, 0]);
}

#[test]
fn probes_go_out_and_one_that_returns_sets_the_loop_bits() {
    let mut switch = switch(Faults::default());
    let (mut now, mut probe) = (Duration::ZERO, None);
    while probe.is_none() {
        now = switch.poll_timeout().unwrap();
        switch.handle_timeout(now, |from, bytes| {
            probe = probe.take().or_else(|| (from == port(1)).then(|| bytes.to_vec()));
        });
    }
    switch.receive(now, port(2), &mut probe.unwrap(), |_, _| panic!("an own probe ends here"));
    assert!(matches!(switch.poll_event(), Some(Happening::Loop(_))));
    let looped: Vec<_> = switch.looped().iter().map(u16::from).collect();
    assert!(looped == [1] || looped == [2], "{looped:?}");

    assert_eq!(register(&mut switch, 0x0101), 1 << looped[0]);
}
