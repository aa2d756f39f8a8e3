//! Which physical network is reached through which bridge, and how the ports between are named.
//!
//! Strings, errors and names are Neutron's (`neutron_lib/utils/helpers.py` `parse_mappings`,
//! `neutron_lib/plugins/utils.py` `get_interface_name`, `ovs_neutron_agent.py`
//! `get_tunnel_name`): a node that was wired by its agent is taken over without a new port.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::str::FromStr;

use blake2::digest::{Update, VariableOutput};
use serde::Deserialize;
use sha1::{Digest, Sha1};

/// Longest name of a network interface (`IFNAMSIZ` less the closing zero).
const MAX_NAME: usize = 15;
/// Hex digits of the hash in a name that had to be cut.
const HASH_DIGITS: usize = 6;

/// Physical network to bridge; each side occurs once.
///
/// Written `physnet1:br-ex,physnet2:br-eth1`. Blanks around items and sides do not count, empty
/// items are skipped.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(try_from = "String")]
pub struct BridgeMappings(BTreeMap<String, String>);

impl BridgeMappings {
    /// The bridge of `physical_network`.
    pub fn bridge(&self, physical_network: &str) -> Option<&str> {
        self.0.get(physical_network).map(String::as_str)
    }

    /// All bridges, in the order of their physical networks' names.
    pub fn bridges(&self) -> impl Iterator<Item = &str> {
        self.0.values().map(String::as_str)
    }
}

/// What is wrong with a list of bridge mappings; the messages are Neutron's.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum MappingError {
    /// Not exactly one colon.
    #[error("Invalid mapping: '{0}'")]
    Invalid(String),
    /// Nothing before the colon.
    #[error("Missing key in mapping: '{0}'")]
    MissingKey(String),
    /// Nothing behind the colon.
    #[error("Missing value in mapping: '{0}'")]
    MissingValue(String),
    /// The physical network has a bridge already.
    #[error("Key {key} in mapping: '{mapping}' not unique")]
    DuplicateKey {
        /// The physical network.
        key: String,
        /// The item.
        mapping: String,
    },
    /// The bridge belongs to another physical network already.
    #[error("Value {value} in mapping: '{mapping}' not unique")]
    DuplicateValue {
        /// The bridge.
        value: String,
        /// The item.
        mapping: String,
    },
}

impl FromStr for BridgeMappings {
    type Err = MappingError;

    fn from_str(list: &str) -> Result<Self, MappingError> {
        let mut mappings = BTreeMap::new();
        for mapping in list.split(',').map(str::trim).filter(|item| !item.is_empty()) {
            let whole = || mapping.to_owned();
            let (key, value) = match mapping.split_once(':') {
                Some((key, value)) if !value.contains(':') => {
                    (key.trim().to_owned(), value.trim().to_owned())
                }
                _ => return Err(MappingError::Invalid(whole())),
            };
            if key.is_empty() {
                return Err(MappingError::MissingKey(whole()));
            }
            if value.is_empty() {
                return Err(MappingError::MissingValue(whole()));
            }
            if mappings.contains_key(&key) {
                return Err(MappingError::DuplicateKey { key, mapping: whole() });
            }
            if mappings.values().any(|bridge| *bridge == value) {
                return Err(MappingError::DuplicateValue { value, mapping: whole() });
            }
            mappings.insert(key, value);
        }
        Ok(Self(mappings))
    }
}

impl TryFrom<String> for BridgeMappings {
    type Error = MappingError;

    fn try_from(list: String) -> Result<Self, MappingError> {
        list.parse()
    }
}

/// The patch port on the integration bridge that leads to `bridge`.
pub fn integration_patch(bridge: &str) -> String {
    patch_name("int-", bridge)
}

/// The patch port on `bridge` that leads to the integration bridge.
pub fn physical_patch(bridge: &str) -> String {
    patch_name("phy-", bridge)
}

fn patch_name(prefix: &str, bridge: &str) -> String {
    let whole = format!("{prefix}{bridge}");
    if whole.len() <= MAX_NAME {
        return whole;
    }
    let kept: String = bridge.chars().take(MAX_NAME - HASH_DIGITS - prefix.len()).collect();
    let hash = data_encoding::HEXLOWER.encode(&Sha1::digest(bridge));
    format!("{prefix}{kept}{}", hash.get(..HASH_DIGITS).unwrap_or_default())
}

/// The tunnel port towards `remote`, such as `vxlan-0a000002`.
pub fn tunnel_port(kind: &str, remote: IpAddr) -> String {
    match remote {
        IpAddr::V4(remote) => format!("{kind}-{:08x}", remote.to_bits()),
        IpAddr::V6(remote) => {
            let mut digest = [0; 20];
            // Twenty bytes are within what BLAKE2b can give, so neither call can fail.
            if let Ok(mut hasher) = blake2::Blake2bVar::new(digest.len()) {
                hasher.update(remote.to_string().as_bytes());
                let _ = hasher.finalize_variable(&mut digest);
            }
            let text = data_encoding::BASE32.encode(&digest).to_lowercase();
            format!("{kind}-{}", text.get(..MAX_NAME - 1 - kind.len()).unwrap_or_default())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_read_as_neutron_reads_them() {
        let mappings: BridgeMappings = " physnet1 : br-ex ,, physnet2:br-eth1,".parse().unwrap();
        assert_eq!(mappings.bridge("physnet1"), Some("br-ex"));
        assert_eq!(mappings.bridges().collect::<Vec<_>>(), ["br-ex", "br-eth1"]);
        assert_eq!("".parse(), Ok(BridgeMappings::default()));
    }

    #[test]
    fn errors_carry_neutrons_words() {
        let cases = [
            ("X", "Invalid mapping: 'X'"),
            ("a:b:c", "Invalid mapping: 'a:b:c'"),
            (":br-ex", "Missing key in mapping: ':br-ex'"),
            ("physnet1:", "Missing value in mapping: 'physnet1:'"),
            ("physnet1:br-ex,physnet1:br-eth1", "Key physnet1 in mapping: 'physnet1:br-eth1' not unique"),
            ("physnet1:br-ex,physnet2:br-ex", "Value br-ex in mapping: 'physnet2:br-ex' not unique"),
        ];
        for (list, message) in cases {
            assert_eq!(list.parse::<BridgeMappings>().unwrap_err().to_string(), message);
        }
    }

    /// Names as produced by neutron-lib 3.19.0.
    #[test]
    fn long_bridge_names_are_cut_and_hashed() {
        assert_eq!(integration_patch("br-ex"), "int-br-ex");
        assert_eq!(integration_patch("br-ex-12345"), "int-br-ex-12345");
        assert_eq!(integration_patch("br-ex-123456"), "int-br-ex4c55cd");
        assert_eq!(integration_patch("br-provider-physnet1"), "int-br-pref5def");
        assert_eq!(physical_patch("br-provider-physnet1"), "phy-br-pref5def");
    }

    #[test]
    fn tunnel_ports_are_named_after_the_remote() {
        assert_eq!(tunnel_port("vxlan", "10.0.0.2".parse().unwrap()), "vxlan-0a000002");
        assert_eq!(tunnel_port("vxlan", "fd00::2".parse().unwrap()), "vxlan-jahnh55sd");
    }
}
