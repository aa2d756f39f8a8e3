//! `mac-nat-gw run` between real network stacks: a provider that accepts only its own MACs, and
//! machines that know nothing of it.
#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::panic,
    reason = "tests may panic, helpers too"
)]

#[allow(dead_code, reason = "`data_planes` uses it too")]
mod lab;

use lab::*;

const PEERS: [&str; 6] = ["ip", "nft", "ping", "arping", "tcpdump", "ethtool"];

/// Uplink, host and two ports; what is added are bindings and policies.
fn config(mode: &str, more: &str) -> String {
    let wires = if mode == "vmac" { W.map(|mac| format!("wire = \"{mac}\"")) } else { Default::default() };
    let [wire1, wire2] = wires;
    format!(
        "mode = \"{mode}\"\ngateways = [\"{GATEWAY}\", \"fe80::1\"]\n[uplink]\ninterface = \"eth0\"\n\
         [host]\naddresses = [\"{HOST}\"]\n\
         [[port]]\nname = \"vm1\"\ninterface = \"tap1\"\n{wire1}\n\
         [[port]]\nname = \"vm2\"\ninterface = \"tap2\"\n{wire2}\n{more}"
    )
}

fn bindings() -> String {
    let binding = |i: usize, ip: &str| {
        format!("[[binding]]\naddress = \"{ip}\"\nport = \"vm{}\"\ninside = \"{}\"\n", i + 1, V[i])
    };
    (0..2).flat_map(|i| [binding(i, IP[i]), binding(i, IP6[i])]).collect()
}

#[test]
fn provider_and_machines_reach_each_other_and_no_inside_mac_is_on_the_wire() {
    if !available(&PEERS) {
        return;
    }
    for (mode, allowed) in [("single", vec![E]), ("vmac", vec![E, W[0], W[1]])] {
        let mut lab = Lab::new(&allowed);
        let capture = lab.capture();
        lab.gateway(&config(mode, &bindings()));
        check_list(&lab);
        let frames = capture.frames();
        assert!(frames.len() > 50, "{mode}: only {} frames recorded", frames.len());
        for mac in V {
            assert_eq!(carrying(&frames, mac), 0, "{mode}: {mac} was on the provider's wire");
        }
        assert_eq!(lab.refused(), 0, "{mode}: the provider refused frames");
        let status = lab.status().unwrap();
        assert_eq!(status["counters"]["stopped_by_guard"], 0, "{mode}");
    }
}

/// What a floating IP must be able to do.
fn check_list(lab: &Lab) {
    for (i, name) in ["vm1", "vm2"].into_iter().enumerate() {
        lab.ping(name, GATEWAY);
        lab.forget_neighbours();
        lab.ping("router", IP[i]);
        lab.ping(name, ROUTER6);
        lab.forget_neighbours();
        lab.ping("router", IP6[i]);
        lab.run("router", &format!("ping -c 1 -s 4000 -W 2 {}", IP[i]));
        lab.run(name, &format!("ping -c 1 -s 4000 -W 2 {GATEWAY}"));
        lab.run(name, &format!("ping -c 1 -s 4000 -W 2 {ROUTER6}"));
    }
    lab.ping("vm1", IP[1]);
    lab.ping("hv", GATEWAY);
    lab.ping("router", "fe80::f816:3eff:fe00:1%r0");
    // Announcements as request and as reply, then a probe.
    for flag in ["-U", "-A"] {
        lab.try_run("vm1", &format!("arping -q -c 1 -w 1 {flag} -I eth0 {}", IP[0]));
    }
    lab.try_run("vm1", "arping -q -c 1 -w 1 -D -I eth0 203.0.113.99");
    lab.ping("router", IP[0]);
}

#[test]
fn machines_are_found_without_any_binding() {
    if !available(&PEERS) {
        return;
    }
    let mut lab = Lab::new(&[E]);
    lab.gateway(&config("single", "[policy]\nmiss = \"hold\"\n"));
    // A hoster that routes does not ask: the first packet meets an empty table.
    lab.run("router", &format!("ip neigh replace {} lladdr {E} dev r0 nud permanent", IP[1]));
    let capture = lab.capture();
    lab.run("router", &format!("ping -c 1 -W 2 {}", IP[1]));
    assert_eq!(carrying(&capture.frames(), V[1]), 0);
    let status = lab.status().unwrap();
    assert_eq!(status["counters"]["released"], 1, "{}", lab.log());
}

#[test]
fn a_machine_notices_that_an_address_is_taken_outside() {
    if !available(&PEERS) {
        return;
    }
    for (mode, allowed) in [("single", vec![E]), ("vmac", vec![E, W[0], W[1]])] {
        let mut lab = Lab::new(&allowed);
        lab.gateway(&config(mode, ""));
        // The router has this one, and answers the probe.
        let taken = lab.try_run("vm1", &format!("arping -c 2 -w 3 -D -I eth0 {GATEWAY}"));
        assert_eq!(taken.status.code(), Some(1), "{mode}: {taken:?}");
        let free = lab.try_run("vm1", "arping -c 1 -w 1 -D -I eth0 198.51.100.77");
        assert_eq!(free.status.code(), Some(0), "{mode}: {free:?}");
    }
}

#[test]
fn a_real_dhcp_client_gets_a_lease_from_a_real_server() {
    if !available(&[&PEERS[..], &["dnsmasq", "udhcpc"]].concat()) {
        return;
    }
    for (mode, allowed) in [("single", vec![E]), ("vmac", vec![E, W[0], W[1]])] {
        let mut lab = Lab::new(&allowed);
        let directory = lab.directory.path().display().to_string();
        lab.gateway(&config(mode, ""));
        lab.start(
            "router",
            &format!(
                "dnsmasq --keep-in-foreground --port=0 --interface=r0 --bind-interfaces --user=root \
                 --dhcp-range=198.51.100.100,198.51.100.110,600 --dhcp-leasefile={directory}/leases --pid-file="
            ),
        );
        std::thread::sleep(std::time::Duration::from_secs(1));
        let capture = lab.capture();
        lab.run("vm1", "udhcpc -i eth0 -n -q -f -t 5 -T 1 -s /bin/true");
        let frames = capture.frames();
        let lease = std::fs::read_to_string(format!("{directory}/leases")).unwrap();
        let known_as = if mode == "single" { V[0] } else { W[0] };
        assert!(lease.contains(known_as), "{mode}: {lease}");
        if mode == "vmac" {
            let ethernet: Vec<Vec<u8>> = frames.iter().map(|frame| frame[..14].to_vec()).collect();
            assert_eq!(carrying(&ethernet, V[0]), 0);
        }
    }
}

#[test]
fn an_interface_that_goes_down_and_up_ends_nothing() {
    if !available(&PEERS) {
        return;
    }
    let mut lab = Lab::new(&[E]);
    lab.gateway(&config("single", "[policy]\nmiss = \"hold\"\n"));
    lab.ping("vm1", GATEWAY);
    for interface in ["tap1", "eth0"] {
        lab.run("hv", &format!("ip link set {interface} down"));
        std::thread::sleep(std::time::Duration::from_millis(300));
        assert!(lab.status().is_some(), "{interface}: {}", lab.log());
        lab.run("hv", &format!("ip link set {interface} up"));
        lab.forget_neighbours();
        lab.ping("vm1", GATEWAY);
        lab.ping("router", IP[0]);
    }
    lab.signal_gateway("USR1");
    std::thread::sleep(std::time::Duration::from_millis(800));
    let log = lab.log();
    assert!(log.contains("\nto_uplink ") && log.contains(&format!("{}/32 at port 1", IP[0])), "{log}");
    lab.stop_gateway();
}

#[test]
fn learned_bindings_survive_a_restart() {
    if !available(&PEERS) {
        return;
    }
    let mut lab = Lab::new(&[E]);
    let file = lab.directory.path().join("bindings.json");
    let more = format!("[policy]\nmiss = \"drop\"\n[state]\nfile = \"{}\"\n", file.display());
    lab.gateway(&config("single", &more));
    assert!(lab.log().contains("0 bindings restored, 0 refused"), "{}", lab.log());
    lab.ping("vm1", GATEWAY);
    lab.stop_gateway();
    // The machine is silent from here on, and the router need not ask.
    lab.run("router", &format!("ip neigh replace {} lladdr {E} dev r0 nud permanent", IP[0]));
    lab.gateway(&config("single", &more));
    assert!(!lab.log().contains(" 0 bindings restored"), "{}", lab.log());
    let bindings = lab.status().unwrap()["bindings"].to_string();
    assert!(bindings.contains(IP[0]), "{bindings}");
    lab.ping("router", IP[0]);
    // A file that somebody else wrote is no reason not to run.
    lab.stop_gateway();
    std::fs::write(&file, "hello").unwrap();
    lab.gateway(&config("single", &more));
    assert!(lab.log().contains("nothing restored"), "{}", lab.log());
}

#[test]
fn a_machine_behind_a_tap_device_is_like_any_other() {
    if !available(&PEERS) {
        return;
    }
    const INSIDE: &str = "fa:16:3e:00:00:03";
    let mut lab = Lab::new(&[E]);
    let port = "[[port]]\nname = \"vm3\"\ninterface = \"tap3\"\ntap = true\n";
    lab.gateway(&config("single", port));
    let capture = lab.capture();
    // The second machine changes its network card.
    let vm2 = lab.namespace("vm2");
    lab.run("vm2", "ip link del eth0");
    lab.run("hv", &format!("ip link set tap3 netns {vm2}"));
    lab.run("vm2", &format!("ip link set tap3 name eth0 address {INSIDE} up"));
    lab.run("vm2", &format!("ip addr add {}/32 dev eth0", IP[1]));
    lab.run("vm2", &format!("ip route add {GATEWAY} dev eth0"));
    lab.run("vm2", &format!("ip route add default via {GATEWAY} src {}", IP[1]));
    lab.ping("vm2", GATEWAY);
    lab.ping("router", IP[1]);
    lab.ping("vm1", IP[1]);
    lab.run("router", &format!("ping -c 1 -s 4000 -W 2 {}", IP[1]));
    assert_eq!(carrying(&capture.frames(), INSIDE), 0);
    assert_eq!(lab.refused(), 0);
}
