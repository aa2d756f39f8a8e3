//! The forms that people write, for types of others whose own serde form is numbers.

pub(crate) mod mac {
    use alloc::string::String;

    use macaddr::MacAddr6;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(crate) fn serialize<S: Serializer>(mac: &MacAddr6, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&crate::binding::LowerCase(*mac))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<MacAddr6, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(|_| D::Error::custom(format_args!("`{text}` is no MAC address")))
    }
}

pub(crate) mod port {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};
    use vlan_table::PortId;

    pub(crate) fn serialize<S: Serializer>(port: &PortId, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u16(port.get())
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<PortId, D::Error> {
        PortId::try_from(u16::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}
