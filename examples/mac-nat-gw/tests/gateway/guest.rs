//! Guests whose gateway lies outside their prefix.

use mac_nat_gw::guest::{Guest, System};

use crate::settings;

fn guest(address: &str, gateway: &str) -> Guest {
    Guest::new(address.parse().unwrap(), Some(gateway.parse().unwrap()), "eth0".into(), None).unwrap()
}

#[test]
fn every_system_gets_the_gateway_on_link() {
    for (address, gateway, prefix) in
        [("203.0.113.11", "198.51.100.1", 32), ("2001:db8:1::11", "fe80::1", 128)]
    {
        let guest = guest(address, gateway);
        for system in System::ALL {
            let text = guest.text(system);
            let on_link = ["on-link: true", "GatewayOnLink=yes", &format!("{gateway} dev eth0")];
            assert!(on_link.iter().any(|words| text.contains(words)), "{text}");
            let length = [format!("{address}/{prefix}"), format!("PREFIX={prefix}")];
            assert!(length.iter().any(|words| text.contains(words)), "{text}");
        }
    }
}

#[test]
fn ifupdown_has_no_gateway_line_since_it_would_be_refused() {
    assert_eq!(
        guest("203.0.113.11", "198.51.100.1").text(System::Ifupdown),
        "auto eth0\n\
         iface eth0 inet static\n    \
             address 203.0.113.11/32\n    \
             post-up ip route add 198.51.100.1 dev eth0\n    \
             post-up ip route add default via 198.51.100.1 dev eth0\n    \
             pre-down ip route del default via 198.51.100.1 dev eth0\n"
    );
}

#[test]
fn the_configuration_knows_gateway_and_mac() {
    let guest =
        Guest::new("2001:db8:1::12".parse().unwrap(), None, "ens3".into(), Some(&settings("single.toml")));
    let text = guest.unwrap().text(System::Networkd);
    assert!(text.contains("MACAddress=fa:16:3e:00:00:02") && text.contains("Gateway=fe80::1"), "{text}");
}

#[test]
fn a_gateway_of_the_other_family_is_none() {
    let settings = settings("vmac.toml");
    let guest = Guest::new("2001:db8:1::12".parse().unwrap(), None, "eth0".into(), Some(&settings));
    assert!(guest.unwrap_err().to_string().contains("no gateway of this family"));
}
