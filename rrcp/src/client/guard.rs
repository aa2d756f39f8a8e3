//! Sets after which a switch may be out of reach.

use core::fmt;

use super::Write;
use crate::registers::{PortHalves, ProtocolControl};
use crate::wire::RegisterAddress;

/// Whether the caller knows that a set may cut the switch off.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Consent {
    /// Refuse dangerous sets.
    #[default]
    Safe,
    /// The caller means it.
    Dangerous,
}

/// What a set may do to our reach of the switch, or to the network behind it.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Danger {
    /// 0000: the switch restarts, and what is not in its EEPROM is gone.
    Restart,
    /// 0200: RRCP is off, and only a restart brings it back.
    RrcpOff,
    /// 0201-2: the port that faces us, or may face us, does not listen to RRCP any more.
    PortIgnored,
    /// 0203-5: the switch answers to another address.
    AddressChange,
    /// 0209: the switch answers to another key only, and to no broadcast hello any more.
    KeyChange,
    /// 0217: the EEPROM is written, and a mistake outlives a restart.
    EepromWrite,
    /// 0608-9: the port that faces us, or may face us, is off.
    PortOff,
}

impl Danger {
    /// The danger of a set; `port` is the switch's port that faces us, as its hello reply says.
    /// Without it, any port may be the one.
    pub fn of(write: &Write, port: Option<u8>) -> Option<Self> {
        let data = write.data as u16;
        let hits_our_port = |first: RegisterAddress| {
            let halves = match write.register.0.wrapping_sub(first.0) {
                0 => PortHalves { low: data, high: 0 },
                _ => PortHalves { low: 0, high: data },
            };
            let our_port = |hit: u16| port.is_none_or(|port| u16::from(port) == hit);
            halves.ports().iter().any(|hit| our_port(hit.get()))
        };
        match write.register.0 {
            0x0000 => Some(Self::Restart),
            0x0200 => (!ProtocolControl(data).rrcp()).then_some(Self::RrcpOff),
            0x0201..=0x0202 => hits_our_port(RegisterAddress::RRCP_IGNORED).then_some(Self::PortIgnored),
            0x0203..=0x0205 => Some(Self::AddressChange),
            0x0209 => Some(Self::KeyChange),
            0x0217 => (!crate::registers::EepromCommand(data).is_read()).then_some(Self::EepromWrite),
            0x0608..=0x0609 => hits_our_port(RegisterAddress::PORTS_OFF).then_some(Self::PortOff),
            _ => None,
        }
    }
}

impl fmt::Display for Danger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Restart => "the switch restarts",
            Self::RrcpOff => "the switch stops answering",
            Self::PortIgnored => "the switch stops answering on a port that may be ours",
            Self::AddressChange => "the switch gets another address",
            Self::KeyChange => "the switch answers to the new key only",
            Self::EepromWrite => "the change outlives a restart",
            Self::PortOff => "a port that may be ours goes off",
        })
    }
}
