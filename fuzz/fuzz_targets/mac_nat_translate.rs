//! Any frames in any order from any side: no panic, lengths and checksums kept, nothing leaks.
#![no_main]

use std::net::IpAddr;
use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use mac_nat::{
    Binding, Config, Guard, HostAddress, MacNat, Miss, Mode, Port, PortId, Side, Treatment, Verdict, Vlans,
};

const E: [u8; 6] = [0x52, 0x54, 0, 0xAA, 0, 1];
const V: [u8; 6] = [0xFA, 0x16, 0x3E, 0, 0, 1];
const W: [u8; 6] = [0x02, 0, 0, 0xC5, 0x7A, 0x11];

fuzz_target!(|input: (u8, Vec<(u8, u16, Vec<u8>)>)| {
    let (options, steps) = input;
    let mut nat = MacNat::new(config(options)).expect("the configuration is sound");
    let guard = Guard::new(nat.wire_macs());
    let mut now = Duration::ZERO;
    let mut buffer = [0; 2048];
    for (side, time, mut frame) in steps {
        now += Duration::from_millis(u64::from(time));
        // Most of the interesting frames are between known addresses.
        if side & 0x10 != 0 && frame.len() >= 12 {
            let (dst, src) =
                if side & 3 < 2 { ([0, 7, 0xB4, 0, 0, 2], V) } else { (E, [0, 7, 0xB4, 0, 0, 2]) };
            frame[..6].copy_from_slice(&dst);
            frame[6..12].copy_from_slice(&src);
        }
        let from = match side & 3 {
            3 => Side::Host,
            2 => Side::Uplink,
            port => Side::Inside(PortId::new(u16::from(port)).expect("small")),
        };
        let before = frame.clone();
        let verdict = nat.translate(now, from, &mut frame);
        assert_eq!(frame.len(), before.len());
        match verdict {
            Verdict::Drop(_) | Verdict::Hold => assert_eq!(frame, before),
            Verdict::Forward(Side::Uplink) | Verdict::Flood if matches!(from, Side::Inside(_)) => {
                assert_eq!(guard.check(&frame), Ok(()));
            }
            _ => {}
        }
        if side & 0x20 != 0 {
            nat.handle_timeout(now);
            assert!(nat.poll_timeout().is_none_or(|next| next > now));
        }
        while nat.poll_transmit(&mut buffer).is_some() {}
        while nat.poll_event().is_some() {}
    }
    let counters = nat.counters();
    let passed = counters.to_uplink + counters.to_host + counters.to_inside + counters.flooded;
    assert_eq!(counters.frames, passed + counters.held + counters.dropped.total());
});

fn config(options: u8) -> Config {
    let mode = if options & 1 == 0 { Mode::Single } else { Mode::Vmac };
    let mut config = Config::new(mode, E.into());
    let wire = if mode == Mode::Single { E } else { W };
    config.ports = [0, 1].map(|id| Port::new(PortId::new(id).expect("small"))).into();
    config.ports[1].wire = Some(wire.into());
    let (v4, v6): (IpAddr, IpAddr) = ([203, 0, 113, 11].into(), [0x2001, 0xDB8, 1, 0, 0, 0, 0, 0x11].into());
    config.bindings = [v4, v6]
        .map(|addr| Binding::fixed(addr, PortId::new(0).expect("small"), V.into(), wire.into()))
        .into();
    config.host.addresses = vec![HostAddress { addr: [198, 51, 100, 10].into(), vlans: Vlans::UNTAGGED }];
    if options & 2 != 0 {
        config.policy.miss = Miss::Hold;
    }
    if options & 4 != 0 {
        config.policy.rarp = Treatment::Translate;
        config.policy.router_messages = Treatment::Translate;
        config.policy.dhcp_servers = Treatment::Translate;
    }
    config.limits.bindings = 8;
    config.limits.bindings_per_port = 3;
    config.limits.pending = 4;
    config.limits.asks = 2;
    config.limits.held_frames = 2;
    config.limits.transmit_queue = 4;
    config.limits.event_queue = 4;
    config
}
