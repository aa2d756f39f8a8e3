//! Golden frames of the whole family. R: from a real capture. C: assembled by hand from the
//! layouts in the datasheets (RTL8316BP r1.2, RTL8326 r3.1, RTL8305SB), the SDK header `rldp.h`
//! and the Linux tag drivers.

#![allow(dead_code)] // every test file uses its part

use macaddr::MacAddr6;
use rrcp::wire::{
    Access, AuthKey, BROADCAST, ChipId, Cookie, HelloReply, Op, RegisterAddress, Rep, Rldp, RldpRandom, Rrcp,
    Ttl, Vector, VectorId, VendorId,
};
use rrcp::{Message, Probe, Tag};

pub(crate) const STATION: MacAddr6 = MacAddr6::new(0x02, 0, 0, 0, 0, 1);
pub(crate) const SWITCH: MacAddr6 = MacAddr6::new(0x52, 0x54, 0x4C, 1, 2, 3);
const COOKIE: Cookie = Cookie([0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88]);
const REP_COOKIE: Cookie = Cookie([0xA1, 0xA2, 0xA3, 0xA4, 0xB1, 0xB2, 0xB3, 0xB4]);

/// A frame in hexadecimal, zero-padded to `len`, and its meaning.
pub(crate) struct Golden {
    pub(crate) id: &'static str,
    pub(crate) len: usize,
    pub(crate) hex: &'static str,
    pub(crate) dst: MacAddr6,
    pub(crate) src: MacAddr6,
    pub(crate) tags: Vec<Tag>,
    pub(crate) message: Message<'static>,
}

impl Golden {
    pub(crate) fn bytes(&self) -> Vec<u8> {
        padded(self.hex, self.len)
    }
}

/// Hexadecimal digits as bytes, zero-padded to `len`.
pub(crate) fn padded(hex: &str, len: usize) -> Vec<u8> {
    let digits: Vec<_> = hex.chars().filter(|c| !c.is_whitespace()).collect();
    assert_eq!(digits.len() % 2, 0, "{hex}");
    let mut bytes: Vec<u8> = digits
        .chunks(2)
        .map(|pair| u8::from_str_radix(&pair.iter().collect::<String>(), 16).unwrap())
        .collect();
    assert!(bytes.len() <= len, "{hex}");
    bytes.resize(len, 0);
    bytes
}

fn to_all(
    id: &'static str,
    hex: &'static str,
    src: MacAddr6,
    message: impl Into<Message<'static>>,
) -> Golden {
    Golden { id, len: 60, hex, dst: BROADCAST, src, tags: vec![], message: message.into() }
}

fn down(id: &'static str, hex: &'static str, message: impl Into<Message<'static>>) -> Golden {
    Golden { dst: SWITCH, ..to_all(id, hex, STATION, message) }
}

fn up(id: &'static str, hex: &'static str, message: impl Into<Message<'static>>) -> Golden {
    Golden { dst: STATION, ..to_all(id, hex, SWITCH, message) }
}

fn rrcp(op: Op) -> Rrcp {
    Rrcp { key: AuthKey::DEFAULT, op }
}

fn access(register: u16, data: u32, cookie: Cookie) -> Access {
    Access { register: RegisterAddress(register), data, cookie }
}

fn tagged(golden: Golden, tags: &[(u16, u16)]) -> Golden {
    let tags: Vec<_> = tags.iter().map(|&(tpid, tci)| Tag::from_tci(tpid.into(), tci)).collect();
    Golden { len: golden.len + 4 * tags.len(), tags, ..golden }
}

/// Every frame that means something to us and whose meaning can be built as a value.
pub(crate) fn golden() -> Vec<Golden> {
    let tp_link = MacAddr6::new(0xD8, 0x0D, 0x17, 0xD6, 0x55, 0xAB);
    let above = MacAddr6::new(2, 0, 0, 0, 0, 0xAA);
    let rtl8305sb = MacAddr6::new(0x52, 0x54, 0x4C, 0x83, 0x05, 0xB0);
    let ttl = Ttl::new(15).unwrap();
    let hello_reply = HelloReply {
        downlink_port: 7,
        uplink_port: 0,
        uplink_mac: MacAddr6::nil(),
        chip: ChipId(0x000C),
        vendor: VendorId(0x4342_4140),
    };
    let uplinked = HelloReply {
        uplink_port: 16,
        uplink_mac: above,
        chip: ChipId(5),
        vendor: VendorId(0x11F6_7005),
        ..hello_reply
    };
    vec![
        // nDPI, teams.pcap, frame 4: a TP-Link switch
        to_all(
            "R1",
            "ffffffffffff d80d17d655ab 8899 25 80 0000 d80d17d655ab 0000 80 0000 d80d17d655ab 80 08",
            tp_link,
            Probe::Vector(Vector {
                root: VectorId::new(tp_link),
                cost: 0,
                bridge: VectorId::new(tp_link),
                port_priority: 0x80,
                port: 8,
            }),
        ),
        to_all("C1", "ffffffffffff 020000000001 8899 01 00 2379", STATION, rrcp(Op::Hello)),
        down("C2", "52544c010203 020000000001 8899 01 00 beef", Rrcp { key: AuthKey(0xBEEF), op: Op::Hello }),
        up(
            "C3",
            "020000000001 52544c010203 8899 01 80 2379 07 00 000000000000 0c00 40414243",
            rrcp(Op::HelloReply(hello_reply)),
        ),
        up(
            "C4",
            "020000000001 52544c010203 8899 01 80 2379 07 10 0200000000aa 0500 0570f611",
            rrcp(Op::HelloReply(uplinked)),
        ),
        down("C5", C5, rrcp(Op::Get(access(0x0206, 0, COOKIE)))),
        up(
            "C6",
            "020000000001 52544c010203 8899 01 81 2379 0602 0c000000 11223344 55667788",
            rrcp(Op::GetReply(access(0x0206, 0x0C, COOKIE))),
        ),
        down(
            "C7",
            "52544c010203 020000000001 8899 01 02 2379 0002 04000000",
            rrcp(Op::Set(access(0x0200, 4, Cookie::NONE))),
        ),
        up(
            "C8",
            "020000000001 52544c010203 8899 01 81 2379 0101 09000000",
            rrcp(Op::GetReply(access(0x0101, 9, Cookie::NONE))),
        ),
        to_all(
            "C9",
            "ffffffffffff 020000000001 8899 02 00 0000 0000 00000000 a1a2a3a4 b1b2b3b4",
            STATION,
            Rep { reply: false, cookie: REP_COOKIE },
        ),
        up(
            "C10",
            "020000000001 52544c010203 8899 02 80 0000 0000 00000000 a1a2a3a4 b1b2b3b4",
            Rep { reply: true, cookie: REP_COOKIE },
        ),
        // SID of RTL8305SB as it leaves the factory
        to_all("C11", "ffffffffffff 52544c8305b0 8899 03 00", rtl8305sb, Probe::Classic { ttl: Ttl::NONE }),
        to_all("C12", "ffffffffffff 52544c010203 8899 03 00 000f", SWITCH, Probe::Classic { ttl }),
        to_all("C13", "ffffffffffff 52544c010203 8899 23 00 000f", SWITCH, Probe::Short { ttl }),
        to_all(
            "C14",
            "ffffffffffff 52544c010203 8899 23 5e1c90ab3376 52544c010203 0d",
            SWITCH,
            Probe::Rldp(Rldp {
                random: RldpRandom::new([0x5E, 0x1C, 0x90, 0xAB, 0x33, 0x76]).unwrap(),
                magic: SWITCH.into_array(),
                port: 13,
            }),
        ),
        tagged(
            to_all(
                "C15",
                "ffffffffffff 52544c010203 8100 000a 8899 03 00",
                SWITCH,
                Probe::Classic { ttl: Ttl::NONE },
            ),
            &[(0x8100, 0x000A)],
        ),
        // VLAN 1, priority 7, drop eligible: how the GT873M ONU sends its requests
        tagged(
            down(
                "C16",
                "52544c010203 020000000001 8100 f001 8899 01 01 2379 0101",
                rrcp(Op::Get(access(0x0101, 0, Cookie::NONE))),
            ),
            &[(0x8100, 0xF001)],
        ),
        tagged(
            to_all(
                "C17",
                "ffffffffffff 52544c010203 88a8 0064 8100 000a 8899 03 00",
                SWITCH,
                Probe::Classic { ttl: Ttl::NONE },
            ),
            &[(0x88A8, 100), (0x8100, 10)],
        ),
    ]
}

/// A get of 0206 with cookie.
pub(crate) const C5: &str = "52544c010203 020000000001 8899 01 01 2379 0602 00000000 11223344 55667788";
/// Frames that are kept as they are: their meaning is a view of their bytes.
pub(crate) const C18: &str = "52544c010203 020000000001 8899 04 00 0020 0002 0800 4500";
pub(crate) const C19: &str = "52544c010203 020000000001 8899 a003 0800 4500";
pub(crate) const C20: &str = "52544c010203 020000000001 8899 9003 0800 4500";
pub(crate) const C21: &str = "ffffffffffff 52544c010203 8899 7f 00";
/// A classic probe without padding.
pub(crate) const C22: &str = "ffffffffffff 52544c010203 8899 03";
/// Cut before the protocol byte.
pub(crate) const C23: &str = "ffffffffffff 52544c010203 8899";
/// A hello reply that lacks its last byte.
pub(crate) const C24: &str = "020000000001 52544c010203 8899 01 80 2379 07 00 000000000000 0c00 404142";
/// Not ours: Cisco keepalive (packetlife `Ethernet_keepalives`).
pub(crate) const R2: &str = "001906eab885 001906eab885 9000 0000 0100 0000";
