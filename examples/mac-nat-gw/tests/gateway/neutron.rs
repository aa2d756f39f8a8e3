//! Bindings from the lists of the `openstack` client.

use mac_nat::{Binding, IpNet, PortId};
use mac_nat_gw::Settings;
use mac_nat_gw::neutron::{FloatingIp, Neutron, NeutronPort, bindings};

use crate::data;
use crate::frames::{A, B, E, Mac, V1, V2, W1, W2};

fn lists() -> (Vec<FloatingIp>, Vec<NeutronPort>) {
    let read = |name| std::fs::read_to_string(data(name)).unwrap();
    (
        serde_json::from_str(&read("floating-ips.json")).unwrap(),
        serde_json::from_str(&read("ports.json")).unwrap(),
    )
}

fn settings(mode: &str, rest: &str) -> Settings {
    let text = format!(
        "mode = \"{mode}\"\n[uplink]\ninterface = \"eth0\"\nmac = \"52:54:00:aa:00:01\"\n\
         [[port]]\nname = \"vm1\"\nmacs = [\"fa:16:3e:00:00:01\"]\n\
         [[port]]\nname = \"vm2\"\nmacs = [\"fa:16:3e:00:00:02\"]\n{rest}"
    );
    Settings::parse(&text, &data("gw.toml"), |_| None).unwrap()
}

fn bound(addr: std::net::Ipv4Addr, port: u16, inside: Mac, wire: Mac) -> Binding {
    Binding::fixed(
        IpNet::from(std::net::IpAddr::from(addr)),
        PortId::new(port).unwrap(),
        inside.into(),
        wire.into(),
    )
}

#[test]
fn a_floating_ip_binds_the_machine_to_the_mac_of_its_own_port() {
    let (floating, ports) = lists();
    let found = |mode| bindings(&settings(mode, "").engine, None, &floating, &ports).unwrap();
    assert_eq!(found("vmac"), [bound(A, 1, V1, W1), bound(B, 2, V2, W2)]);
    assert_eq!(found("single"), [bound(A, 1, V1, E), bound(B, 2, V2, E)]);
}

#[test]
fn a_router_stands_for_all_machines_behind_it() {
    let (floating, ports) = lists();
    let router: Mac = [0xFA, 0x16, 0x3E, 0xAA, 0, 1];
    let text = "mode = \"vmac\"\n[uplink]\ninterface = \"eth0\"\nmac = \"52:54:00:aa:00:01\"\n[[port]]\nname = \"qg\"\n";
    let settings = Settings::parse(text, &data("gw.toml"), |_| None).unwrap();
    let found = bindings(&settings.engine, Some(router.into()), &floating, &ports).unwrap();
    assert_eq!(found, [bound(A, 1, router, W1), bound(B, 1, router, W2)]);
}

#[test]
fn lists_that_do_not_fit_together_are_named() {
    let (floating, mut ports) = lists();
    let engine = settings("vmac", "").engine;
    ports.retain(|port| !port.addresses.contains(&A.into()));
    let error = bindings(&engine, None, &floating, &ports).unwrap_err().to_string();
    assert!(error.contains("203.0.113.11") && error.contains("its MAC is unknown"), "{error}");
    ports.retain(|port| port.mac != "fa:16:3e:00:00:01");
    let error = bindings(&engine, None, &floating, &ports).unwrap_err().to_string();
    assert!(error.contains("there is no port 11111111"), "{error}");
}

#[test]
fn files_are_read_again_when_they_change() {
    let directory = tempfile::tempdir().unwrap();
    for name in ["floating-ips.json", "ports.json"] {
        std::fs::copy(data(name), directory.path().join(name)).unwrap();
    }
    let rest = format!(
        "[neutron]\nfloating-ips = \"{0}/floating-ips.json\"\nports = [\"cat\", \"{0}/ports.json\"]\n",
        directory.path().display()
    );
    let mut neutron = Neutron::new(&settings("vmac", &rest)).unwrap();
    assert_eq!(neutron.look().unwrap().unwrap().len(), 2);
    assert_eq!(neutron.look().unwrap(), None, "nothing new");
    std::fs::write(directory.path().join("floating-ips.json"), "[]").unwrap();
    assert_eq!(neutron.look().unwrap(), Some(vec![]));
    std::fs::write(directory.path().join("floating-ips.json"), "[{]").unwrap();
    let error = neutron.look().unwrap_err().to_string();
    assert!(error.contains("floating-ips.json: line 1, column 3"), "{error}");
}
