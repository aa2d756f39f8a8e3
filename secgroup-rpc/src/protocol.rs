//! IP protocols as the security-group API spells them.

use core::{fmt, str::FromStr};

/// An IP protocol of a rule, as the user wrote it: by name or by number.
///
/// Name and number are different values of this type, since a message gives back what the user
/// wrote; [`Protocol::number`] tells what a packet is compared with.
///
/// ```
/// use secgroup_rpc::Protocol;
///
/// assert_eq!("tcp".parse(), Ok(Protocol::TCP));
/// assert_ne!("6".parse(), Ok(Protocol::TCP));
/// assert_eq!("6".parse::<Protocol>().unwrap().number(), 6);
/// ```
#[derive(Clone, Copy, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Protocol(u16);

/// Text that names no protocol of the API.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("not a protocol name of the security-group API, nor a number in 0..=255")]
pub struct UnknownProtocol;

/// Names that neutron-lib accepts (`constants.IP_PROTOCOL_MAP`), with IANA's numbers. The position
/// is part of the binary format: append only.
const NAMES: [(&str, u8); 25] = [
    ("tcp", 6),
    ("udp", 17),
    ("icmp", 1),
    ("ipv6-icmp", 58),
    ("icmpv6", 58),
    ("vrrp", 112),
    ("sctp", 132),
    ("esp", 50),
    ("ah", 51),
    ("gre", 47),
    ("igmp", 2),
    ("ospf", 89),
    ("dccp", 33),
    ("egp", 8),
    ("hopopt", 0),
    ("ip", 0),
    ("ipip", 4),
    ("ipv6-encap", 41),
    ("ipv6-frag", 44),
    ("ipv6-nonxt", 59),
    ("ipv6-opts", 60),
    ("ipv6-route", 43),
    ("pgm", 113),
    ("rsvp", 46),
    ("udplite", 136),
];

impl Protocol {
    /// Transmission Control Protocol, by name.
    pub const TCP: Self = Self(256);
    /// User Datagram Protocol, by name.
    pub const UDP: Self = Self(257);
    /// ICMP, by name; on IPv6 it means ICMPv6.
    pub const ICMP: Self = Self(258);
    /// ICMPv6, by the name that Neutron stores.
    pub const IPV6_ICMP: Self = Self(259);
    /// How many codes there are: `code()` is below this.
    pub(crate) const CODES: u16 = 256 + NAMES.len() as u16;

    /// The protocol written as this number.
    pub const fn from_number(number: u8) -> Self {
        Self(number as u16)
    }

    /// The number in the IP header (IANA, "Assigned Internet Protocol Numbers").
    pub fn number(self) -> u8 {
        match name_of(self.0) {
            Some((_, number)) => number,
            None => self.0 as u8,
        }
    }

    /// True if rules of this protocol may name ports: dccp, sctp, tcp, udp, udplite.
    pub fn has_ports(self) -> bool {
        matches!(self.number(), 6 | 17 | 33 | 132 | 136)
    }

    /// True for ICMP and ICMPv6, where the port fields mean type and code.
    pub fn is_icmp(self) -> bool {
        matches!(self.number(), 1 | 58)
    }

    /// Numbers as themselves, then names from 256 on in the order of the format.
    pub(crate) const fn code(self) -> u16 {
        self.0
    }

    /// The protocol with this code.
    pub(crate) const fn from_code(code: u16) -> Option<Self> {
        if code < Self::CODES { Some(Self(code)) } else { None }
    }
}

fn name_of(code: u16) -> Option<(&'static str, u8)> {
    NAMES.get(usize::from(code.checked_sub(256)?)).copied()
}

impl FromStr for Protocol {
    type Err = UnknownProtocol;

    fn from_str(text: &str) -> Result<Self, UnknownProtocol> {
        if let Some(index) = NAMES.iter().position(|(name, _)| *name == text) {
            return Ok(Self(256 + index as u16));
        }
        // "06" and "+6" would not come back as written.
        let canonical = text == "0" || !text.starts_with(['0', '+']);
        text.parse().ok().filter(|_| canonical).map(Self::from_number).ok_or(UnknownProtocol)
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match name_of(self.0) {
            Some((name, _)) => f.write_str(name),
            None => write!(f, "{}", self.0),
        }
    }
}

impl fmt::Debug for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn every_code_has_one_spelling() {
        for code in 0..Protocol::CODES {
            let protocol = Protocol::from_code(code).unwrap();
            assert_eq!(protocol.to_string().parse(), Ok(protocol));
            assert_eq!(protocol.code(), code);
        }
        assert_eq!(Protocol::from_code(Protocol::CODES), None);
    }

    #[test]
    fn odd_spellings_are_refused() {
        for text in ["", "TCP", "06", "+6", "256", "-1", "tcp ", "ipv6-hop"] {
            assert_eq!(text.parse::<Protocol>(), Err(UnknownProtocol), "{text}");
        }
    }

    #[test]
    fn names_mean_their_assigned_numbers() {
        for (name, number) in [("tcp", 6), ("icmpv6", 58), ("vrrp", 112), ("udplite", 136), ("ah", 51)] {
            assert_eq!(name.parse::<Protocol>().unwrap().number(), number);
        }
    }
}
