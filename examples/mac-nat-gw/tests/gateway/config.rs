//! What a configuration means, and what is said about one that means nothing.

use std::path::Path;
use std::time::Duration;

use mac_nat::{Binding, IpNet, Miss, Mode, PortId, Takeover};
use mac_nat_gw::Settings;

use crate::frames::{E, V1, V2, W1, W2, W3};
use crate::{data, settings};

#[test]
fn a_file_becomes_what_the_engine_reads() {
    let settings = settings("single.toml");
    let engine = &settings.engine;
    assert_eq!((engine.mode, engine.host.mac), (Mode::Single, E.into()));
    assert_eq!((engine.policy.takeover, engine.policy.miss), (Takeover::Accept, Miss::Hold));
    assert_eq!(engine.timers.lifetime, Duration::from_secs(1200));
    assert_eq!(engine.ports[0].allowed.len(), 2);
    assert_eq!(engine.ports[0].macs, [V1.into()]);
    assert_eq!(engine.ports[1].quota, Some(8));
    let net: IpNet = "203.0.113.11/32".parse().unwrap();
    assert_eq!(engine.bindings[0], Binding::fixed(net, PortId::new(1).unwrap(), V1.into(), E.into()));
    let names: Vec<_> =
        settings.ports.iter().map(|port| (port.name.as_str(), port.interface.as_str())).collect();
    assert_eq!(names, [("vm1", "tap1"), ("vm2", "tap2")]);
}

#[test]
fn the_wire_mac_of_a_port_serves_its_bindings() {
    let wires: Vec<_> = settings("vmac.toml").engine.bindings.iter().map(|binding| binding.wire).collect();
    assert_eq!(wires, [W1, W3, W2].map(Into::into));
    assert_eq!(settings("vmac.toml").engine.bindings[2].inside, V2.into());
}

#[test]
fn a_mistake_is_shown_with_file_line_and_key() {
    let text = std::fs::read_to_string(data("single.toml")).unwrap();
    for (old, new, place, words) in [
        (
            "mac = \"52:54:00:aa:00:01\"",
            "mac = \"52:54\"",
            "gw.toml:8:7: uplink.mac",
            "`52:54` is no MAC address",
        ),
        ("mode = \"single\"", "mode = \"triple\"", "gw.toml:2:8: mode", "triple"),
        ("quota = 8", "quota = \"many\"", "gw.toml:22:9: port.quota", "expected usize"),
        ("interface = \"tap1\"", "interfaces = \"tap1\"", "gw.toml:15:1: port.interfaces", "unknown field"),
        ("\"2001:db8:1::11\"]", "\"2001:db8:1::x\"]", "gw.toml:17:26: port.allow", "no prefix"),
        ("name = \"vm2\"", "name = \"vm1\"", "gw.toml:20:8: port.name", "`vm1` is taken"),
        (
            "address = \"203.0.113.12\"",
            "address = \"203.0.113.11\"",
            "gw.toml:35:11: binding.address",
            "bound twice",
        ),
        (
            "address = \"203.0.113.12\"",
            "address = \"198.51.100.1\"",
            "gw.toml:35:11: binding.address",
            "gateway",
        ),
        ("port = \"vm2\"", "port = \"vm3\"", "gw.toml:36:8: binding.port", "only vm1, vm2"),
        ("takeover = \"accept\"", "takeover = \"maybe\"", "gw.toml:45:12: policy.takeover", "maybe"),
        ("[policy]", "[polices]", "gw.toml:44:2: polices", "unknown field"),
        ("lifetime = 1200", "lifetime = -1", "gw.toml", "-1 seconds"),
        ("gateways = [", "gateways = ", "gw.toml:3:", ""),
    ] {
        assert!(text.contains(old), "{old}");
        let broken = text.replacen(old, new, 1);
        let error = Settings::parse(&broken, Path::new("gw.toml"), |_| None).unwrap_err().to_string();
        assert!(error.starts_with(place) && error.contains(words), "wanted {place} ... {words}, got {error}");
    }
}

#[test]
fn without_an_interface_here_the_mac_must_be_written() {
    let text = "mode = \"single\"\n[uplink]\ninterface = \"eth7\"\n";
    let parse = |mac: Option<[u8; 6]>| Settings::parse(text, Path::new("gw.toml"), |_| mac.map(Into::into));
    assert!(parse(Some(E)).is_ok());
    let error = parse(None).unwrap_err().to_string();
    assert!(error.starts_with("gw.toml:3:13: uplink.interface") && error.contains("write `mac"), "{error}");
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let error = Settings::read(Path::new("/nowhere/gw.toml"), |_| None).unwrap_err().to_string();
    assert!(error.starts_with("/nowhere/gw.toml: "), "{error}");
}
