//! nftables rules that its text cannot express: changes inside a packet whose checksum follows.
//!
//! The kernel corrects a checksum if the payload expression says where it is; `nft` never says so
//! for raw offsets, and loses what it does not print (a listing that is loaded again breaks IPv6).
//! These rules therefore go over netlink, as messages `NFT_MSG_NEWRULE` (`linux/netfilter/nf_tables.h`).
//!
//! [`batch`] encodes them. It is written here because the crates that know nf_tables are bound to
//! the C library libnftnl, or licensed more strictly than this one, and the few messages needed are
//! a hundred lines; this crate has no I/O, so sending them is the caller's.

use alloc::vec;
use alloc::vec::Vec;
use core::fmt;

use crate::{Binding, Mode};

/// Chains of the exported text that these rules go to.
pub(super) const DISCOVERY: &str = "nd";
pub(super) const DHCP_OUT: &str = "dhcp-out";
pub(super) const DHCP_IN: &str = "dhcp-in";

/// A rule for one chain of the exported table; it goes in front of the rules that are there.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Rule {
    chain: &'static str,
    expressions: Vec<Expression>,
}

/// One step of a rule.
#[derive(Clone, Debug, Eq, PartialEq)]
enum Expression {
    /// Goes on if these bytes are there.
    Matches { base: Base, offset: u32, bytes: Vec<u8> },
    /// Writes.
    Write { base: Base, offset: u32, bytes: Vec<u8>, checksum: Checksum },
    /// Ends the chain.
    Return,
}

/// Where offsets count from (`enum nft_payload_bases`).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Base {
    Link = 0,
    Network = 1,
    Transport = 2,
}

/// How the checksum follows.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Checksum {
    /// There is none.
    None,
    /// An Internet checksum at this offset of the same header (`NFT_PAYLOAD_CSUM_INET`).
    At(u32),
    /// That of the layer 4 protocol; a UDP checksum of 0 stays (`NFT_PAYLOAD_L4CSUM_PSEUDOHDR`).
    Layer4,
}

/// Messages with one option: type, offset of the option in the message, its type, length of the packet
/// behind the IPv6 header (RFC 4861, sections 4.1, 4.3, 4.4).
const ONE_OPTION: [(u8, u32, u8, u16); 3] = [(133, 8, 1, 16), (135, 24, 1, 32), (136, 24, 2, 32)];
const ICMPV6_CHECKSUM: u32 = 2;
/// From the UDP header: flags and client hardware address of a DHCP message (RFC 2131, section 2).
const DHCP_FLAGS: u32 = 8 + 10;
const DHCP_CHADDR: u32 = 8 + 28;
const BROADCAST: [u8; 2] = [0x80, 0];

/// `owners` has one binding for each inside MAC.
pub(super) fn rules(mode: Mode, owners: &[Binding]) -> Vec<Rule> {
    let mut rules = Vec::new();
    for owner in owners {
        let (inside, wire) = (owner.inside.into_array(), owner.wire.into_array());
        let from = Expression::Matches { base: Base::Link, offset: 6, bytes: inside.to_vec() };
        for (kind, option, option_type, len) in ONE_OPTION {
            let expressions = vec![
                from.clone(),
                matches(Base::Network, 4, &len.to_be_bytes()),
                // The message stands right behind the header: no length of options hides more.
                matches(Base::Network, 6, &[58]),
                matches(Base::Transport, 0, &[kind]),
                matches(Base::Transport, option, &[option_type, 1]),
                write(Base::Transport, option + 2, &wire, Checksum::At(ICMPV6_CHECKSUM)),
                Expression::Return,
            ];
            rules.push(Rule { chain: DISCOVERY, expressions });
        }
        if mode == Mode::Vmac {
            let outward =
                vec![from, write(Base::Transport, DHCP_CHADDR, &wire, Checksum::Layer4), Expression::Return];
            rules.push(Rule { chain: DHCP_OUT, expressions: outward });
            let inward = vec![
                matches(Base::Link, 0, &wire),
                write(Base::Transport, DHCP_CHADDR, &inside, Checksum::Layer4),
                write(Base::Link, 0, &inside, Checksum::None),
                Expression::Return,
            ];
            rules.push(Rule { chain: DHCP_IN, expressions: inward });
        }
    }
    if mode == Mode::Single {
        let flags = write(Base::Transport, DHCP_FLAGS, &BROADCAST, Checksum::Layer4);
        rules.push(Rule { chain: DHCP_OUT, expressions: vec![flags, Expression::Return] });
    }
    rules
}

fn matches(base: Base, offset: u32, bytes: &[u8]) -> Expression {
    Expression::Matches { base, offset, bytes: bytes.to_vec() }
}

fn write(base: Base, offset: u32, bytes: &[u8], checksum: Checksum) -> Expression {
    Expression::Write { base, offset, bytes: bytes.to_vec(), checksum }
}

/// As `nft --debug=netlink list chain` prints it.
impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "bridge macnat {}", self.chain)?;
        self.expressions.iter().try_for_each(|expression| expression.fmt(f))
    }
}

impl fmt::Display for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Matches { base, offset, bytes } => {
                writeln!(f, "  [ payload load {}b @ {base} header + {offset} => reg 1 ]", bytes.len())?;
                writeln!(f, "  [ cmp eq reg 1{} ]", Words(bytes))
            }
            Self::Write { base, offset, bytes, checksum } => {
                writeln!(f, "  [ immediate reg 1{} ]", Words(bytes))?;
                let (kind, at, flags) = checksum.numbers();
                writeln!(
                    f,
                    "  [ payload write reg 1 => {}b @ {base} header + {offset} csum_type {kind} csum_off {at} csum_flags 0x{flags:x} ]",
                    bytes.len()
                )
            }
            Self::Return => writeln!(f, "  [ immediate reg 0 return ]"),
        }
    }
}

/// Registers are 32-bit words of the machine.
struct Words<'a>(&'a [u8]);

impl fmt::Display for Words<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for chunk in self.0.chunks(4) {
            let mut word = [0; 4];
            word.iter_mut().zip(chunk).for_each(|(to, from)| *to = *from);
            write!(f, " 0x{:08x}", u32::from_ne_bytes(word))?;
        }
        Ok(())
    }
}

impl fmt::Display for Base {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Link => "link",
            Self::Network => "network",
            Self::Transport => "transport",
        })
    }
}

impl Checksum {
    /// `NFTA_PAYLOAD_CSUM_TYPE`, `_OFFSET`, `_FLAGS`.
    const fn numbers(self) -> (u32, u32, u32) {
        match self {
            Self::None => (0, 0, 0),
            Self::At(offset) => (1, offset, 0),
            Self::Layer4 => (0, 0, 1),
        }
    }
}

/// The rules as one batch of netlink messages in the byte order of this machine: all of them are
/// added, or none. The kernel acknowledges each rule, so as many answers come back.
///
/// The table and its chains, which the text makes, must be there.
pub fn batch(rules: &[Rule]) -> Vec<u8> {
    let mut out = Vec::new();
    control(&mut out, BATCH_BEGIN, 0);
    for (sequence, rule) in (1..).zip(rules) {
        message(&mut out, NEW_RULE, NLM_F_REQUEST | NLM_F_CREATE | NLM_F_ACK, sequence, BRIDGE, 0, |out| {
            string(out, RULE_TABLE, "macnat");
            string(out, RULE_CHAIN, rule.chain);
            nested(out, RULE_EXPRESSIONS, |out| rule.expressions.iter().for_each(|step| step.encode(out)));
        });
    }
    control(&mut out, BATCH_END, u32::try_from(rules.len()).unwrap_or(u32::MAX).saturating_add(1));
    out
}

// linux/netlink.h, linux/netfilter/nfnetlink.h, linux/netfilter/nf_tables.h
const NLM_F_REQUEST: u16 = 0x1;
const NLM_F_ACK: u16 = 0x4;
const NLM_F_CREATE: u16 = 0x400;
const NESTED: u16 = 0x8000;
const BATCH_BEGIN: u16 = 0x10;
const BATCH_END: u16 = 0x11;
const SUBSYSTEM: u16 = 10;
const NEW_RULE: u16 = SUBSYSTEM << 8 | 6;
const BRIDGE: u8 = 7;
const RULE_TABLE: u16 = 1;
const RULE_CHAIN: u16 = 2;
const RULE_EXPRESSIONS: u16 = 4;
const LIST_ELEMENT: u16 = 1;
const EXPRESSION_NAME: u16 = 1;
const EXPRESSION_DATA: u16 = 2;
const DATA_VALUE: u16 = 1;
const DATA_VERDICT: u16 = 2;
const VERDICT_CODE: u16 = 1;
const VERDICT_RETURN: u32 = (-5_i32) as u32;
const REGISTER_VERDICT: u32 = 0;
const REGISTER: u32 = 1;

impl Expression {
    fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Matches { base, offset, bytes } => {
                expression(out, "payload", |out| {
                    let at = [(1, REGISTER), (2, *base as u32), (3, *offset), (4, bytes.len() as u32)];
                    at.into_iter().for_each(|(kind, value)| number(out, kind, value));
                });
                expression(out, "cmp", |out| {
                    number(out, 1, REGISTER);
                    number(out, 2, 0);
                    nested(out, 3, |out| attribute(out, DATA_VALUE, bytes));
                });
            }
            Self::Write { base, offset, bytes, checksum } => {
                expression(out, "immediate", |out| {
                    number(out, 1, REGISTER);
                    nested(out, 2, |out| attribute(out, DATA_VALUE, bytes));
                });
                let (kind, at, flags) = checksum.numbers();
                expression(out, "payload", |out| {
                    let parts = [
                        (2, *base as u32),
                        (3, *offset),
                        (4, bytes.len() as u32),
                        (5, REGISTER),
                        (6, kind),
                        (7, at),
                        (8, flags),
                    ];
                    parts.into_iter().for_each(|(kind, value)| number(out, kind, value));
                });
            }
            Self::Return => expression(out, "immediate", |out| {
                number(out, 1, REGISTER_VERDICT);
                nested(out, 2, |out| {
                    nested(out, DATA_VERDICT, |out| number(out, VERDICT_CODE, VERDICT_RETURN))
                });
            }),
        }
    }
}

fn expression(out: &mut Vec<u8>, name: &str, data: impl FnOnce(&mut Vec<u8>)) {
    nested(out, LIST_ELEMENT, |out| {
        string(out, EXPRESSION_NAME, name);
        nested(out, EXPRESSION_DATA, data);
    });
}

/// The beginning or the end of a batch.
fn control(out: &mut Vec<u8>, kind: u16, sequence: u32) {
    message(out, kind, NLM_F_REQUEST, sequence, 0, SUBSYSTEM, |_| {});
}

/// `nlmsghdr` and `nfgenmsg`, then the attributes.
fn message(
    out: &mut Vec<u8>,
    kind: u16,
    flags: u16,
    sequence: u32,
    family: u8,
    resource: u16,
    body: impl FnOnce(&mut Vec<u8>),
) {
    let start = out.len();
    out.extend([0; 4]);
    out.extend(kind.to_ne_bytes());
    out.extend(flags.to_ne_bytes());
    out.extend(sequence.to_ne_bytes());
    out.extend([0; 4]);
    out.extend([family, 0]);
    out.extend(resource.to_be_bytes());
    body(out);
    let len = u32::try_from(out.len() - start).unwrap_or(u32::MAX);
    if let Some(field) = out.get_mut(start..start + 4) {
        field.copy_from_slice(&len.to_ne_bytes());
    }
}

fn nested(out: &mut Vec<u8>, kind: u16, body: impl FnOnce(&mut Vec<u8>)) {
    let mut inner = Vec::new();
    body(&mut inner);
    attribute(out, kind | NESTED, &inner);
}

fn string(out: &mut Vec<u8>, kind: u16, text: &str) {
    attribute(out, kind, &[text.as_bytes(), &[0]].concat());
}

/// Numbers of nf_tables are big-endian.
fn number(out: &mut Vec<u8>, kind: u16, value: u32) {
    attribute(out, kind, &value.to_be_bytes());
}

/// Length and type, the data, padding to four bytes.
fn attribute(out: &mut Vec<u8>, kind: u16, data: &[u8]) {
    let len = u16::try_from(data.len() + 4).unwrap_or(u16::MAX);
    out.extend(len.to_ne_bytes());
    out.extend(kind.to_ne_bytes());
    out.extend(data);
    out.resize(out.len().next_multiple_of(4), 0);
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]
mod tests {
    use alloc::string::ToString;

    use super::*;
    use crate::PortId;

    fn owner() -> Binding {
        let addr: core::net::IpAddr = "2001:db8:1::11".parse().unwrap();
        let (inside, wire) = ([0xFA, 0x16, 0x3E, 0, 0, 1], [0x52, 0x54, 0, 0xAA, 0, 1]);
        Binding::fixed(addr, PortId::new(1).unwrap(), inside.into(), wire.into())
    }

    #[test]
    fn a_batch_is_whole_messages_from_its_beginning_to_its_end() {
        for mode in [Mode::Single, Mode::Vmac] {
            let rules = rules(mode, &[owner(), owner()]);
            let (batch, mut kinds) = (batch(&rules), Vec::new());
            let mut rest = &batch[..];
            while let Some(header) = rest.first_chunk::<16>() {
                kinds.push(u16::from_ne_bytes([header[4], header[5]]));
                let len = u32::from_ne_bytes(*header.first_chunk().unwrap()) as usize;
                assert!(len.is_multiple_of(4), "{len}");
                rest = &rest[len..];
            }
            assert!(rest.is_empty());
            let mut expected = vec![NEW_RULE; rules.len()];
            expected.insert(0, BATCH_BEGIN);
            expected.push(BATCH_END);
            assert_eq!(kinds, expected);
        }
    }

    /// As `nft --debug=netlink list chain` of nftables 1.0.6 shows it on a little-endian machine.
    #[test]
    #[cfg(target_endian = "little")]
    fn a_rule_reads_as_nft_shows_it() {
        let rules = rules(Mode::Single, &[owner()]);
        let solicitation =
            rules.iter().map(Rule::to_string).find(|rule| rule.contains("0x00000087")).unwrap();
        let expected = "bridge macnat nd
  [ payload load 6b @ link header + 6 => reg 1 ]
  [ cmp eq reg 1 0x003e16fa 0x00000100 ]
  [ payload load 2b @ network header + 4 => reg 1 ]
  [ cmp eq reg 1 0x00002000 ]
  [ payload load 1b @ network header + 6 => reg 1 ]
  [ cmp eq reg 1 0x0000003a ]
  [ payload load 1b @ transport header + 0 => reg 1 ]
  [ cmp eq reg 1 0x00000087 ]
  [ payload load 2b @ transport header + 24 => reg 1 ]
  [ cmp eq reg 1 0x00000101 ]
  [ immediate reg 1 0xaa005452 0x00000100 ]
  [ payload write reg 1 => 6b @ transport header + 26 csum_type 1 csum_off 2 csum_flags 0x0 ]
  [ immediate reg 0 return ]
";
        assert_eq!(solicitation, expected);
    }
}
