//! The vocabulary as data, readable by people: numbers as numbers, sets as lists, EtherTypes and VID
//! lists as they are written on paper.

use core::fmt;

use serde::de::{Deserialize, Deserializer, Error, SeqAccess, Unexpected, Visitor};
use serde::ser::{Serialize, SerializeStruct, Serializer};

use crate::openvswitch::{PriorityTags, VlanMode};
use crate::{EtherType, Fid, Pcp, PortId, PortMask, TagVid, VidSet, VlanId};

/// A type that is a number with a range.
macro_rules! number {
    ($type:ty, $raw:ty, $expected:literal, $new:expr, $get:expr) => {
        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                let get: fn($type) -> $raw = $get;
                get(*self).serialize(serializer)
            }
        }

        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let raw = <$raw>::deserialize(deserializer)?;
                let new: fn($raw) -> Option<$type> = $new;
                new(raw).ok_or_else(|| D::Error::invalid_value(Unexpected::Unsigned(raw.into()), &$expected))
            }
        }
    };
}

number!(VlanId, u16, "a VLAN id 1..=4094", VlanId::new, VlanId::get);
number!(PortId, u16, "a port number below 4096", PortId::new, PortId::get);
number!(Fid, u16, "a filtering identifier 0..=4095", Fid::new, Fid::get);
number!(Pcp, u8, "a priority 0..=7", Pcp::new, Pcp::get);
number!(TagVid, u16, "a VID 0..=4095", |raw| (raw < 4096).then(|| TagVid::from_raw(raw)), TagVid::raw);

/// A type that is written as [`Display`](fmt::Display) does and read as a function says.
macro_rules! text {
    ($type:ty, $expected:literal, $parse:expr) => {
        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Text;

                impl Visitor<'_> for Text {
                    type Value = $type;

                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str($expected)
                    }

                    fn visit_str<E: Error>(self, text: &str) -> Result<$type, E> {
                        let parse: fn(&str) -> Option<$type> = $parse;
                        parse(text).ok_or_else(|| E::invalid_value(Unexpected::Str(text), &self))
                    }
                }

                deserializer.deserialize_str(Text)
            }
        }
    };
}

text!(EtherType, "an EtherType such as \"0x8100\"", |text| {
    u16::from_str_radix(text.strip_prefix("0x")?, 16).ok().map(EtherType)
});
text!(VidSet, "a list of VIDs such as \"10,20-29\"", |text| text.parse().ok());
text!(VlanMode, "access, trunk, native-tagged, native-untagged or dot1q-tunnel", |text| text.parse().ok());
text!(PriorityTags, "no, if-nonzero or always", |text| text.parse().ok());

impl<const WORDS: usize> Serialize for PortMask<WORDS> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter())
    }
}

impl<'de, const WORDS: usize> Deserialize<'de> for PortMask<WORDS> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct List<const WORDS: usize>;

        impl<'de, const WORDS: usize> Visitor<'de> for List<WORDS> {
            type Value = PortMask<WORDS>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "a list of port numbers below {}", PortMask::<WORDS>::CAPACITY)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
                let mut ports = PortMask::EMPTY;
                while let Some(port) = seq.next_element()? {
                    ports.insert(port).map_err(A::Error::custom)?;
                }
                Ok(ports)
            }
        }

        deserializer.deserialize_seq(List)
    }
}

impl Serialize for crate::Tag {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut tag = serializer.serialize_struct("Tag", 4)?;
        tag.serialize_field("tpid", &self.tpid)?;
        tag.serialize_field("pcp", &self.pcp)?;
        tag.serialize_field("dei", &self.dei)?;
        tag.serialize_field("vid", &self.vid)?;
        tag.end()
    }
}

impl Serialize for crate::DropReason {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use serde_json::{from_str, json, to_value};

    use super::*;
    use crate::{DropReason, Tag};

    #[test]
    fn the_vocabulary_is_readable() {
        let ports: PortMask = [0, 4].map(|raw| PortId::new(raw).unwrap()).into_iter().collect();
        let tag = to_value(Tag::from_tci(EtherType::VLAN, 0xB00A)).unwrap();
        assert_eq!(tag, json!({"tpid": "0x8100", "pcp": 5, "dei": true, "vid": 10}));
        assert_eq!(to_value(ports).unwrap(), json!([0, 4]));
        assert_eq!(to_value("1,10-12".parse::<VidSet>().unwrap()).unwrap(), json!("1,10-12"));
        assert_eq!(to_value(VlanMode::NativeTagged).unwrap(), json!("native-tagged"));
        assert_eq!(to_value(DropReason::NotMember).unwrap(), json!("not-member"));
    }

    #[test]
    fn what_is_written_can_be_read() {
        assert_eq!(from_str("4094").ok(), VlanId::new(4094));
        assert_eq!(from_str("\"0x88a8\"").ok(), Some(EtherType::SERVICE_VLAN));
        assert_eq!(from_str("\"1,10-12\"").ok(), "1,10-12".parse::<VidSet>().ok());
        assert_eq!(from_str("\"if-nonzero\"").ok(), Some(PriorityTags::IfNonzero));
        assert_eq!(from_str::<PortMask>("[0, 4]").unwrap().bits(), 0b10001);
    }

    #[test]
    fn what_is_out_of_range_says_so() {
        let error = |text| from_str::<VlanId>(text).unwrap_err().to_string();
        assert!(error("4095").starts_with("invalid value: integer `4095`, expected a VLAN id 1..=4094"));
        assert!(error("0").contains("`0`"));
        let error = from_str::<PortMask>("[1, 64]").unwrap_err().to_string();
        assert!(error.starts_with("port 64 is not in 0..64"), "{error}");
        assert!(from_str::<EtherType>("\"8100\"").is_err() && from_str::<TagVid>("4096").is_err());
    }
}
