//! What holds for every frame: generated ones of all kinds, tagged, odd, broken.

use mac_nat::{Checksums, Config, Guard, MacNat, Side, Verdict};
use proptest::prelude::*;

use crate::frames::*;
use crate::lab::{Lab, P1, P2, UPLINK, adds_up, single, vmac};

fn mac() -> impl Strategy<Value = Mac> {
    prop::sample::select(vec![V1, V2, V3, E, W1, W2, W3, R, X, BROADCAST, NIL, [0x33, 0x33, 0, 0, 0, 1]])
}

fn v4() -> impl Strategy<Value = std::net::Ipv4Addr> {
    prop::sample::select(vec![A, B, C, FREE, H, G, ANY, [255; 4].into(), [224, 0, 0, 1].into()])
}

fn v6() -> impl Strategy<Value = std::net::Ipv6Addr> {
    prop::sample::select(vec![A6, B6, R6, G6, LL1, LLE, ANY6, ALL_NODES, solicited_node(A6)])
}

fn tags() -> impl Strategy<Value = Vec<(u16, u16)>> {
    let tag = (
        prop::sample::select(vec![0x8100_u16, 0x88A8, 0x9100]),
        prop::sample::select(vec![0_u16, 10, 0x600A, 0xFFF]),
    );
    prop::collection::vec(tag, 0..4)
}

fn nd_options() -> impl Strategy<Value = Vec<u8>> {
    let option = prop_oneof![
        mac().prop_map(slla),
        mac().prop_map(tlla),
        Just(vec![14, 1, 9, 9, 9, 9, 9, 9]),
        Just(vec![12, 1, 0, 0, 0, 0, 0, 0]),
        Just(vec![1, 0, 0, 0, 0, 0, 0, 0]),
    ];
    prop::collection::vec(option, 0..4).prop_map(|options| options.concat())
}

fn ipv6_packet() -> impl Strategy<Value = Vec<u8>> {
    let body = (133_u8..=137, v6(), nd_options()).prop_map(|(kind, target, options)| {
        let body = match kind {
            133 => [&[0; 4][..], &options].concat(),
            134 => [&[0; 12][..], &options].concat(),
            137 => [&[0; 4][..], &target.octets(), &target.octets(), &options].concat(),
            _ => nd_body(0x60, target, &options),
        };
        (kind, body)
    });
    let message = prop_oneof![4 => body, 1 => Just((128, vec![7; 20])), 1 => Just((143, vec![0; 4]))];
    // None, hop-by-hop, a first, a later and an only fragment, an authentication header.
    let before = prop::sample::select(vec![
        (58_u8, vec![]),
        (58, vec![]),
        (0, vec![58, 0, 5, 2, 0, 0, 1, 0]),
        (44, vec![58, 0, 0, 1, 0, 0, 0, 9]),
        (44, vec![58, 0, 0, 8, 0, 0, 0, 9]),
        (44, vec![58, 0, 0, 0, 0, 0, 0, 9]),
        (51, vec![58, 1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1]),
    ]);
    (v6(), v6(), message, before, prop::sample::select(vec![255_u8, 255, 255, 64])).prop_map(
        |(src, dst, (kind, body), (next, header), hop_limit)| {
            let message = icmpv6(src, dst, kind, 0, &body);
            ipv6(src, dst, next, hop_limit, &[header, message].concat())
        },
    )
}

fn ipv4_packet() -> impl Strategy<Value = Vec<u8>> {
    let dhcp = (v4(), v4(), mac(), any::<u32>(), 1_u8..=2, any::<u16>(), v4()).prop_map(
        |(src, dst, chaddr, xid, op, flags, ciaddr)| {
            let ports = if op == 1 { (68, 67) } else { (67, 68) };
            let message = Dhcp { op, flags, ciaddr, ..Dhcp::discover(chaddr, xid % 4) };
            udp4(src, dst, ports, &message.bytes())
        },
    );
    let plain = (v4(), v4(), prop::collection::vec(any::<u8>(), 0..40), any::<u16>(), 0_u8..20).prop_map(
        |(src, dst, payload, fragment, protocol)| {
            ipv4_fragment(src, dst, protocol, &payload, fragment & 0x2003)
        },
    );
    let udp = (v4(), v4(), prop::collection::vec(any::<u8>(), 0..40))
        .prop_map(|(src, dst, payload)| udp4(src, dst, (1000, 53), &payload));
    prop_oneof![dhcp, plain, udp]
}

/// LLDP, EAPOL, PPPoE, Wake-on-LAN, PAUSE, an 802.3 length; and kinds whose payload is nonsense.
fn other_protocol() -> impl Strategy<Value = u16> {
    prop::sample::select(vec![0x88CC, 0x888E, 0x8863, 0x8864, 0x0842, 0x8808, 38, ARP, RARP, IPV4, IPV6])
}

/// The link-layer addresses of an untagged neighbour discovery message without other headers, found
/// in another way than the engine's.
fn nd_macs(frame: &[u8]) -> Vec<Mac> {
    let is_nd = word(frame, 12) == Some(IPV6) && frame.get(20) == Some(&58);
    let header = match frame.get(ICMPV6) {
        Some(133) => 8,
        Some(134) => 16,
        Some(135 | 136) => 24,
        Some(137) => 40,
        _ => return vec![],
    };
    let end = 54 + usize::from(word(frame, 18).unwrap_or_default());
    let mut rest = frame.get(ICMPV6 + header..end).filter(|_| is_nd).unwrap_or_default();
    let mut macs = Vec::new();
    while let [kind, len @ 1..=255, ..] = *rest {
        if matches!(kind, 1 | 2) && rest.len() >= 8 {
            macs.push(mac_at(rest, 2));
        }
        rest = rest.get(8 * usize::from(len)..).unwrap_or_default();
    }
    macs
}

/// Addresses, tags, a protocol; then perhaps cut, lengthened or damaged.
fn frame() -> impl Strategy<Value = Vec<u8>> {
    let arp = (mac(), v4(), mac(), v4(), 0_u16..6).prop_map(|(sha, spa, tha, tpa, oper)| {
        (if oper > 2 { RARP } else { ARP }, arp(oper, sha, spa, tha, tpa))
    });
    let body = prop_oneof![
        3 => arp,
        3 => ipv4_packet().prop_map(|packet| (IPV4, packet)),
        3 => ipv6_packet().prop_map(|packet| (IPV6, packet)),
        1 => (any::<u16>(), prop::collection::vec(any::<u8>(), 0..60)),
        1 => (other_protocol(), prop::collection::vec(any::<u8>(), 0..60)),
    ];
    let header = (mac(), mac(), tags(), body);
    let damage = (any::<u8>(), prop::option::weighted(0.2, (any::<prop::sample::Index>(), any::<u8>())));
    (header, damage, prop::option::weighted(0.2, any::<prop::sample::Index>())).prop_map(
        |((dst, mut src, tags, (ether_type, payload)), (honest, damage), cut)| {
            // Most frames have the sender that their ARP header names.
            if let (ARP, true, Some(sha)) = (ether_type, honest > 30, payload.get(8..14)) {
                src.copy_from_slice(sha);
            }
            let mut frame = eth(dst, src, &tags, ether_type, &payload);
            if let Some((at, value)) = damage {
                let at = at.index(frame.len());
                frame[at] = value;
            }
            if let Some(cut) = cut {
                frame.truncate(cut.index(frame.len()));
            }
            frame
        },
    )
}

/// What nearly every frame is, and what nearly is such a frame.
fn plain_frame() -> impl Strategy<Value = (Side, Vec<u8>)> {
    let mapped = A.to_ipv6_mapped();
    let inside = prop::sample::select(vec![V1, V1, V2, V3]);
    let outside =
        prop::sample::select(vec![R, R, X, E, W1, V2, BROADCAST, group_mac(solicited_node(R6)), [0x33; 6]]);
    let v4 = || prop::sample::select(vec![A, A, B, C, FREE, H, [127, 0, 0, 1].into(), [255; 4].into(), ANY]);
    let v6 = move || prop::sample::select(vec![A6, A6, B6, LL1, R6, ALL_NODES, mapped, ANY6, 1.into()]);
    let ports = prop::sample::select(vec![(4000, 4001), (68, 67), (67, 68), (53, 68)]);
    let payload = prop::collection::vec(any::<u8>(), 0..40);
    let protocol = prop::sample::select(vec![0_u8, 1, 2, 6, 17, 43, 44, 58]);
    let packet = prop_oneof![
        3 => (v4(), v4(), ports, payload.clone()).prop_map(|(src, dst, ports, data)| (IPV4, udp4(src, dst, ports, &data))),
        1 => (v4(), v4(), protocol.clone(), payload.clone(), prop::sample::select(vec![0_u16, 0x4000, 0x2000, 7]))
            .prop_map(|(src, dst, next, data, fragment)| (IPV4, ipv4_fragment(src, dst, next, &data, fragment))),
        2 => (v6(), v6(), protocol, payload).prop_map(|(src, dst, next, data)| (IPV6, ipv6(src, dst, next, 64, &data))),
    ];
    let option = (prop::sample::select(vec![1_u8, 1, 2, 14]), prop::sample::select(vec![V1, V1, V2, X]));
    let discovery = (v6(), v6(), v6(), 133_u8..=136, option, 0_usize..2).prop_map(
        |(src, dst, target, kind, (option, mac), more)| {
            let options = [&[option, 1][..], &mac, &slla(V1).repeat(more)].concat();
            let target = if dst == A6 { src } else { target };
            (IPV6, ipv6(src, dst, 58, 255, &icmpv6(src, dst, kind, 0, &nd_body(0, target, &options))))
        },
    );
    let packet = prop_oneof![3 => packet, 2 => discovery];
    let damage = prop::option::weighted(0.1, (14_usize..34, any::<u8>()));
    (inside, outside, packet, any::<bool>(), prop::sample::select(vec![P1, P1, P2]), damage).prop_map(
        |(inside, outside, (ether_type, packet), out, port, damage)| {
            let (side, dst, src) =
                if out { (Side::Inside(port), outside, inside) } else { (Side::Uplink, outside, R) };
            let mut frame = eth(dst, src, &[], ether_type, &packet);
            if let Some((at, value)) = damage {
                frame[at] = value;
            }
            (side, frame)
        },
    )
}

fn config() -> impl Strategy<Value = Config> {
    prop::sample::select(vec![single(), vmac()])
}

fn side() -> impl Strategy<Value = Side> {
    prop::sample::select(vec![Side::Inside(P1), Side::Inside(P2), Side::Uplink, Side::Host])
}

/// Bytes that translation may write: the Ethernet addresses, and what the kind of frame allows.
fn may_change(frame: &[u8]) -> Vec<std::ops::Range<usize>> {
    let mut at = 12;
    while matches!(word(frame, at), Some(0x8100 | 0x88A8 | 0x9100)) {
        at += 4;
    }
    let body = at + 2;
    let mut ranges: Vec<_> = std::iter::once(0..12).collect();
    match word(frame, at) {
        Some(ARP | RARP) => ranges.extend([body + 8..body + 14, body + 18..body + 24]),
        Some(IPV4) if frame.get(body + 9) == Some(&17) => {
            let udp = body + usize::from(frame[body] & 15) * 4;
            ranges.extend([udp + 6..udp + 8, udp + 18..udp + 20, udp + 36..udp + 42]);
        }
        Some(IPV6) => {
            // The checksum, and six bytes behind each option header of type 1 or 2.
            for at in body + 40..frame.len() {
                if matches!(frame[at..], [1 | 2, 1, ..]) {
                    ranges.push(at + 2..at + 8);
                }
            }
            ranges.push(body + 42..body + 44);
            ranges.push(body + 50..body + 52);
        }
        _ => {}
    }
    ranges
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    /// 1, 2, 3, 5 and 6 of what every frame must satisfy, with a state that grows.
    #[test]
    fn every_frame_is_translated_rightly_or_dropped(
        config in config(),
        steps in prop::collection::vec((side(), frame()), 1..12),
    ) {
        let mut nat = MacNat::new(config).unwrap();
        let guard = Guard::new(nat.wire_macs());
        for (i, (from, frame)) in steps.into_iter().enumerate() {
            let mut out = frame.clone();
            let verdict = nat.translate(std::time::Duration::from_secs(i as u64), from, &mut out);
            prop_assert_eq!(out.len(), frame.len());
            prop_assert!(adds_up(nat.counters()));

            let outward = verdict == UPLINK || from != Side::Uplink && verdict == Verdict::Flood;
            if outward && from != Side::Host {
                prop_assert_eq!(guard.check(&out), Ok(()));
                prop_assert!(![V1, V2].contains(&dst(&out)), "known machines are inside");
                // A MAC that nobody has met may be the receiver, and is then named as such.
                for inside in [V1, V2, V3].into_iter().filter(|inside| *inside != dst(&out)) {
                    prop_assert_ne!(src(&out), inside);
                    prop_assert!(!nd_macs(&out).contains(&inside));
                    prop_assert!(word(&out, 12) != Some(ARP) || !carries(&out[..42], inside));
                }
            }
            if from == Side::Host || matches!((from, verdict), (Side::Inside(_), Verdict::Forward(Side::Host | Side::Inside(_)))) {
                prop_assert_eq!(&out, &frame, "host and inside frames are untouched");
            }
            if matches!(verdict, Verdict::Drop(_) | Verdict::Hold) {
                prop_assert_eq!(&out, &frame);
            }
            prop_assert_eq!(checksum_holds(&out), checksum_holds(&frame), "right stays right, wrong stays wrong");
            let allowed = may_change(&frame);
            for at in (0..frame.len()).filter(|at| out[*at] != frame[*at]) {
                prop_assert!(allowed.iter().any(|range| range.contains(&at)), "byte {} of {:x?}", at, frame);
            }
        }
    }

    /// Plain frames take a short cut; where checksums are left to the NIC, which changes nothing for
    /// them, they do not.
    #[test]
    fn the_short_way_ends_where_the_long_way_does(
        config in config(),
        steps in prop::collection::vec((plain_frame(), 0_u64..700), 1..40),
    ) {
        let mut engines = [MacNat::new(config.clone()).unwrap(), MacNat::new(config).unwrap()];
        let mut now = std::time::Duration::ZERO;
        for ((from, frame), seconds) in steps {
            now += std::time::Duration::from_secs(seconds);
            let [short, long] = &mut engines;
            let (mut by_short, mut by_long) = (frame.clone(), frame.clone());
            let verdict = short.translate(now, from, &mut by_short);
            prop_assert_eq!(verdict, long.translate_with(now, from, &mut by_long, Checksums::Partial), "{:x?}", frame);
            // Who computes the checksum of a DHCP message or of neighbour discovery is the difference.
            prop_assert_eq!(checksum_holds(&by_short), checksum_holds(&frame));
            for frame in [&mut by_short, &mut by_long] {
                frame[40..42].fill(0);
                frame[56..58].fill(0);
            }
            prop_assert_eq!(by_short, by_long);
            prop_assert_eq!(short.counters(), long.counters());
            prop_assert_eq!(short.poll_timeout(), long.poll_timeout());
        }
        let bindings = engines.map(|nat| {
            let mut bindings: Vec<_> = nat.bindings(now).map(|binding| format!("{binding:?}")).collect();
            bindings.sort();
            bindings
        });
        prop_assert_eq!(&bindings[0], &bindings[1]);
    }

    /// 4: the answer to a translated request finds its way back to the MAC that asked.
    #[test]
    fn the_mirrored_answer_restores_the_inside_macs(config in config(), tags in prop::collection::vec((Just(0x8100_u16), 1_u16..4000), 0..2)) {
        let mut lab = Lab::new(config);
        let shift = 4 * tags.len();
        if !tags.is_empty() {
            // Bindings of the fixture are untagged: a learned one must do, where a wire MAC is known.
            lab.egress(P1, &eth(R, V1, &tags, IPV4, &ipv4(A, G, 1, b"hello")));
        }
        let (verdict, out) = lab.egress(P1, &eth(BROADCAST, V1, &tags, ARP, &arp(1, V1, A, NIL, G)));
        prop_assert_eq!(verdict, Verdict::Flood);
        let wire = src(&out);
        let (verdict, back) = lab.ingress(&eth(wire, R, &tags, ARP, &arp(2, R, G, wire, A)));
        prop_assert_eq!(verdict, crate::lab::to(P1));
        prop_assert_eq!((dst(&back), mac_at(&back, 32 + shift)), (V1, V1));
        // Once translated, a frame has nothing left to translate.
        let mut again = out.clone();
        again[6..12].copy_from_slice(&V1);
        again[22 + shift..28 + shift].copy_from_slice(&V1);
        prop_assert_eq!(lab.egress(P1, &again).1, out);
    }

    /// 7: nothing that comes from the uplink creates or moves a binding.
    #[test]
    fn the_uplink_changes_no_binding(config in config(), frames in prop::collection::vec(frame(), 1..20)) {
        let mut nat = MacNat::new(config).unwrap();
        let bindings = |nat: &MacNat| {
            let mut bindings: Vec<_> = nat.bindings(Default::default()).collect();
            bindings.sort_by_key(|binding| binding.net);
            bindings
        };
        let before = bindings(&nat);
        for mut frame in frames {
            let _ = nat.translate(Default::default(), Side::Uplink, &mut frame);
            prop_assert_eq!(bindings(&nat), before.clone());
        }
    }

    #[test]
    fn any_bytes_have_a_verdict(config in config(), side in side(), mut bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let mut nat = MacNat::new(config).unwrap();
        let _ = nat.translate(Default::default(), side, &mut bytes);
        prop_assert!(adds_up(nat.counters()));
    }
}
