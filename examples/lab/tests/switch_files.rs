//! Switch files: every mistake is shown where it stands, and every setting does what it says.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests may panic, helpers of tests too"
)]

use std::fs;
use std::time::Duration;

use lab::config::SwitchFile;
use lab::device::Device;
use tempfile::TempDir;

/// A file with a mistake, and words that its message must hold.
const MISTAKES: [(&str, &[&str]); 32] = [
    ("", &["sw.toml:1:1", "missing key `switch`", "model = \"rtl8305sc\""]),
    ("[switch]", &["sw.toml:1:", "missing key `switch.model`"]),
    ("[switch", &["sw.toml:1:8"]),
    ("[switch]\nmodel = \"rtl8305sx\"", &["sw.toml:2:9", "switch.model", "dot1q, rtl8305sb, rtl8305sc"]),
    ("[switch]\nmodel = 5", &["sw.toml:2:9", "switch.model"]),
    ("[switch]\nmodel = \"rtl8305sc\"\ncolour = 3", &["sw.toml:3:1", "colour", "unknown key", "tag_aware"]),
    ("[switch]\nmodel = \"rtl8305sc\"\ntag_aware = 1", &["sw.toml:3:13", "switch.tag_aware", "boolean"]),
    ("[switch]\nmodel = \"rtl8305sc\"\nageing = -1", &["sw.toml:3:10", "switch.ageing", "-1"]),
    ("[switch]\nmodel = \"rtl8305sc\"\nageing = \"soon\"", &["sw.toml:3:10", "switch.ageing", "soon"]),
    ("[switch]\nmodel = \"rtl8305sc\"\nageing = \"2 months\"", &["sw.toml:3:10", "1..=1000000"]),
    ("[switch]\nmodel = \"rtl8305sc\"\nfdb_size = 9", &["sw.toml:3:1", "fdb_size"]),
    ("[switch]\nmodel = \"rtl8305sc\"\nregisters = \"gone.txt\"", &["sw.toml:3:13", "gone.txt"]),
    (
        "[switch]\nmodel = \"rtl8305sc\"\nregisters = \"a\"\n[[vlan]]\nvid = 1\nmembers = []",
        &["sw.toml:3:13", "[[vlan]]"],
    ),
    (
        "[switch]\nmodel = \"rtl8305sc\"\n[[vlan]]\nvid = 4095\nmembers = [0]",
        &["sw.toml:4:7", "vlan[0].vid", "4095", "1..=4094"],
    ),
    ("[switch]\nmodel = \"rtl8305sc\"\n[[vlan]]\nvid = 0\nmembers = [0]", &["sw.toml:4:7", "vlan[0].vid"]),
    (
        "[switch]\nmodel = \"rtl8305sc\"\n[[vlan]]\nvid = 1\nmembers = [0, 5]",
        &["sw.toml:5:15", "no port 5", "0..=4"],
    ),
    (
        "[switch]\nmodel = \"rtl8305sc\"\n[[vlan]]\nvid = 1\nmembers = []\n[[vlan]]\nvid = 1\nmembers = []",
        &["sw.toml:6:1", "VLAN 1 is entry 0 already"],
    ),
    (
        "[switch]\nmodel = \"rtl8305sc\"\n[[port]]\nport = 2\n[[port]]\nport = 2",
        &["sw.toml:6:8", "port 2 is set up twice"],
    ),
    ("[switch]\nmodel = \"rtl8305sc\"\n[[port]]\nindex = 2", &["sw.toml:3:1", "which is which", "port = 0"]),
    (
        "[switch]\nmodel = \"rtl8305sc\"\n[[port]]\nport = 0\nindex = 16",
        &["sw.toml:5:9", "index 16", "of 16"],
    ),
    (
        "[switch]\nmodel = \"rtl8305sc\"\n[[port]]\nport = 0\ntag_op = \"ad\"",
        &["sw.toml:5:10", "port[0].tag_op", "`add`"],
    ),
    ("[switch]\nmodel = \"dot1q\"", &["the switch has no ports", "[[port]]"]),
    (
        "[switch]\nmodel = \"dot1q\"\nrules = \"linux\"\n[[port]]\nname = \"a\"",
        &["sw.toml:3:9", "switch.rules", "openvswitch"],
    ),
    (
        "[switch]\nmodel = \"dot1q\"\n[[port]]\nname = \"a\"\ntag = 1\n[[port]]\nname = \"a\"\ntag = 1",
        &["sw.toml:7:8", "a second port `a`"],
    ),
    ("[switch]\nmodel = \"dot1q\"\n[[port]]\nname = \"a/b\"\ntag = 1", &["sw.toml:4:8", "a/b", "file"]),
    (
        "[switch]\nmodel = \"dot1q\"\n[[port]]\nname = \"a\"\ntag = 4095",
        &["sw.toml:5:7", "port.tag", "4095", "1..=4094"],
    ),
    (
        "[switch]\nmodel = \"dot1q\"\n[[port]]\nname = \"a\"\ntrunks = [1, 4095]",
        &["sw.toml:5:14", "port.trunks", "4095"],
    ),
    (
        "[switch]\nmodel = \"dot1q\"\n[[port]]\nname = \"a\"\ntrunks = [\"9-\"]",
        &["sw.toml:5:11", "\"20-29\""],
    ),
    (
        "[switch]\nmodel = \"dot1q\"\n[[port]]\nname = \"a\"\nvlan_mode = \"acces\"",
        &["sw.toml:5:13", "port.vlan_mode", "access, trunk"],
    ),
    (
        "[switch]\nmodel = \"dot1q\"\n[[port]]\nname = \"a\"\nvlan_mode = \"access\"",
        &["sw.toml:3:1", "missing key `tag`"],
    ),
    (
        "[switch]\nmodel = \"dot1q\"\n[[port]]\nname = \"a\"\ntag = 1\ntrunks = [2]",
        &["sw.toml:6:10", "native-untagged"],
    ),
    (
        "[switch]\nmodel = \"dot1q\"\n[[port]]\nname = \"a\"\ntag = 1\npriority_tags = \"maybe\"",
        &["sw.toml:6:17", "port.priority_tags", "if-nonzero"],
    ),
];

#[test]
fn every_mistake_names_file_line_and_key() {
    for (text, words) in MISTAKES {
        let message = read(text).unwrap_err();
        for word in words {
            assert!(message.contains(word), "{word:?} is not in the message for {text:?}:\n{message}");
        }
    }
}

#[test]
fn the_model_has_several_spellings() {
    for model in ["dot1q", "802.1q", "802.1Q", "ieee802.1q"] {
        let device = build(&format!("[switch]\nmodel = {model:?}\n[[port]]\nname = \"a\""));
        assert_eq!(device.names().collect::<Vec<_>>(), ["a"]);
    }
    for (model, ports) in [("rtl8305sb", 5), ("RTL8305SC", 5), ("rtl8306sd", 6), ("rtl8309sb", 9)] {
        assert_eq!(build(&format!("[switch]\nmodel = {model:?}")).names().count(), ports, "{model}");
    }
}

#[test]
fn a_chip_that_lists_vlans_puts_each_port_into_the_first_that_has_it() {
    let mut device = build(
        "[switch]\nmodel = \"rtl8305sc\"\n[[vlan]]\nvid = 10\nmembers = [0, 1, 4]\n[[vlan]]\nvid = 20\nmembers = [2, 3, 4]",
    );
    assert_eq!(leaves(&mut device, "0", None), ["1", "4"]);
    assert_eq!(leaves(&mut device, "3", None), ["2", "4"]);
    assert_eq!(leaves(&mut device, "4", None), ["0", "1"], "the uplink's own VLAN is the first");
    assert_eq!(leaves(&mut device, "4", Some(20)), ["2", "3"], "tags count as soon as VLANs are listed");
}

#[test]
fn index_moves_a_port_to_another_entry_and_ports_may_have_names() {
    let mut device = build(
        "[switch]\nmodel = \"rtl8305sc\"\n[[vlan]]\nvid = 10\nmembers = [0, 1, 4]\n[[vlan]]\nvid = 20\nmembers = [2, 3, 4]\n\
         [[port]]\nport = 4\nname = \"up\"\nindex = 1\ntag_op = \"add\"",
    );
    assert_eq!(leaves(&mut device, "up", None), ["2", "3"]);
    assert_eq!(tags(&mut device, "0"), [("1".into(), None), ("up".into(), Some(10))]);
}

#[test]
fn all_ports_may_be_listed_in_order_without_numbers() {
    let ports = "[[port]]\nindex = 0\n".repeat(4) + "[[port]]\nindex = 1\n";
    let mut device = build(&format!(
        "[switch]\nmodel = \"rtl8305sc\"\n[[vlan]]\nvid = 10\nmembers = [0, 1, 2, 3]\n[[vlan]]\nvid = 20\nmembers = [3, 4]\n{ports}"
    ));
    assert_eq!(leaves(&mut device, "3", None), ["0", "1", "2"]);
    assert_eq!(leaves(&mut device, "4", None), ["3"]);
}

#[test]
fn a_register_dump_sets_up_the_chip() {
    let dir = tempfile::tempdir().unwrap();
    // VLANs in force, all else as after reset: ports 0 to 3 reach port 4 only.
    fs::write(dir.path().join("dump.txt"), "0.18 = 0x1c04\n").unwrap();
    let mut device = built_in(&dir, "[switch]\nmodel = \"rtl8305sc\"\nregisters = \"dump.txt\"").unwrap();
    assert_eq!(leaves(&mut device, "0", None), ["4"]);
    assert_eq!(leaves(&mut device, "4", None), ["0", "1", "2", "3"]);

    fs::write(dir.path().join("dump.txt"), "0.18 = 0x1c04\n\n0.99 = 1\n").unwrap();
    let message = built_in(&dir, "[switch]\nmodel = \"rtl8305sc\"\nregisters = \"dump.txt\"").unwrap_err();
    assert!(message.contains("dump.txt:3:1") && message.contains("0.99"), "{message}");
}

#[test]
fn ports_of_the_bridge_have_open_vswitchs_modes() {
    let file = "[[port]]\nname = \"a\"\ntag = 10\n[[port]]\nname = \"b\"\ntag = 20\n\
        [[port]]\nname = \"t\"\nvlan_mode = \"trunk\"\n\
        [[port]]\nname = \"n\"\nvlan_mode = \"native-untagged\"\ntag = 10\ntrunks = [\"20-29\"]\n\
        [[port]]\nname = \"m\"\nvlan_mode = \"native-tagged\"\ntag = 10\ntrunks = [30]\n";
    for rules in ["802.1q", "openvswitch"] {
        let mut device = build(&format!("[switch]\nmodel = \"dot1q\"\nrules = {rules:?}\n{file}"));
        let expected =
            [("t", Some(10)), ("n", None), ("m", Some(10))].map(|(port, tag)| (port.to_owned(), tag));
        assert_eq!(tags(&mut device, "a"), expected, "{rules}");
        assert_eq!(leaves(&mut device, "t", Some(20)), ["b", "n"], "{rules}");
        assert_eq!(leaves(&mut device, "t", Some(30)), ["m"], "{rules}");
    }
}

#[test]
fn protected_ports_do_not_reach_each_other() {
    let mut device = build(
        "[switch]\nmodel = \"dot1q\"\n[[port]]\nname = \"a\"\ntag = 1\nprotected = true\n\
         [[port]]\nname = \"b\"\ntag = 1\nprotected = true\n[[port]]\nname = \"c\"\ntag = 1",
    );
    assert_eq!(leaves(&mut device, "a", None), ["c"]);
    assert_eq!(leaves(&mut device, "c", None), ["a", "b"]);
}

#[test]
fn an_ageing_time_of_zero_is_never() {
    let hours = Duration::from_secs(36_000);
    for (ageing, left) in [("0", 1), ("60", 0), ("\"20h\"", 1)] {
        let mut device = build(&format!(
            "[switch]\nmodel = \"dot1q\"\nageing = {ageing}\n[[port]]\nname = \"a\"\ntag = 1"
        ));
        _ = leaves(&mut device, "a", None);
        device.handle_timeout(hours);
        assert_eq!(device.stations(hours).len(), left, "{ageing}");
    }
}

#[test]
fn storm_control_is_off_unless_it_is_asked_for_and_a_storm_is_told_once() {
    let second = Duration::from_secs(1);
    for (file, passed) in [
        ("[switch]\nmodel = \"rtl8305sc\"", 3000),
        ("[switch]\nmodel = \"rtl8305sc\"\nstorm_filter = true", 64),
        (
            "[switch]\nmodel = \"dot1q\"\n[storm]\nbroadcast = 100\n[[port]]\nname = \"0\"\ntag = 1\n[[port]]\nname = \"1\"\ntag = 1",
            10,
        ),
    ] {
        let mut device = build(file);
        for _ in 0..3000 {
            _ = leaves(&mut device, "0", None);
        }
        let report = device.report(second);
        assert_eq!((report.forwarded, report.dropped), (passed, 3000 - passed), "{file}");
        let told: Vec<_> =
            report.storms.iter().map(|storm| (&*storm.port, storm.class, storm.dropped)).collect();
        match report.dropped {
            0 => assert_eq!(told, []),
            dropped => assert_eq!(told, [("0", "broadcast-storm", dropped)], "{file}"),
        }
    }
}

/// The ports that a broadcast from `port` leaves by.
fn leaves(device: &mut Device, port: &str, tag: Option<u16>) -> Vec<String> {
    sent(device, port, tag).into_iter().map(|(port, _)| port).collect()
}

/// The same with the tag that each copy carries.
fn tags(device: &mut Device, port: &str) -> Vec<(String, Option<u16>)> {
    sent(device, port, None)
}

fn sent(device: &mut Device, port: &str, tag: Option<u16>) -> Vec<(String, Option<u16>)> {
    let from = device.port(port).unwrap();
    let tag =
        tag.map_or(Vec::new(), |vid| [0x8100_u16, vid].into_iter().flat_map(u16::to_be_bytes).collect());
    let frame = [&[0xFF; 6][..], &[2, 0, 0, 0, 0, 1], &tag, &[0x88, 0xB5], &[0; 46]].concat();
    let mut sent = Vec::new();
    _ = device.receive(Duration::ZERO, from, &frame, |port, copy| {
        let vid = (copy[12..14] == [0x81, 0]).then(|| u16::from_be_bytes([copy[14], copy[15]]));
        sent.push((port, vid));
    });
    sent.sort_by_key(|(port, _)| *port);
    sent.into_iter().map(|(port, vid)| (device.name(port).to_owned(), vid)).collect()
}

fn build(text: &str) -> Device {
    read(text).unwrap_or_else(|message| panic!("{message}"))
}

fn read(text: &str) -> Result<Device, String> {
    built_in(&tempfile::tempdir().unwrap(), text)
}

fn built_in(dir: &TempDir, text: &str) -> Result<Device, String> {
    let path = dir.path().join("sw.toml");
    fs::write(&path, text).unwrap();
    SwitchFile::read(&path).map(|file| file.build()).map_err(|e| e.to_string())
}

#[test]
fn the_files_in_the_readme_are_valid() {
    let readme = include_str!("../README.md");
    let blocks: Vec<_> =
        readme.split("```toml\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    assert_eq!(blocks.len(), 3);
    for block in blocks {
        if block.starts_with("[switch]") {
            _ = build(block);
        } else {
            let dir = tempfile::tempdir().unwrap();
            fs::write(dir.path().join("s.toml"), block).unwrap();
            let scenario = lab::scenario::Scenario::read(&dir.path().join("s.toml")).unwrap();
            assert!(scenario.run(1).unwrap().cut_off, "a loop is a storm");
        }
    }
}
