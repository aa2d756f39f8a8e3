//! The commands from the outside: files in, files out, exit codes.
#![allow(
    clippy::std_instead_of_core,
    clippy::std_instead_of_alloc,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says what is wrong by panicking"
)]

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use secgroup_rpc::{Limits, Message, read_json};

fn secgroup(args: &[&str], stdin: &[u8]) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_secgroup"))
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A command that fails early does not read its input.
    let _ = child.stdin.take().unwrap().write_all(stdin);
    child.wait_with_output().unwrap()
}

fn sample() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../secgroup-rpc/tests/messages/two-ports.compact.json")
}

fn message(text: &[u8]) -> Message {
    let mut message = read_json(text, &Limits::default()).unwrap();
    message.normalize();
    message
}

#[test]
fn a_message_survives_encode_and_decode() {
    let folder = tempfile::tempdir().unwrap();
    let (packed, again) = (folder.path().join("m.sg"), folder.path().join("m.json"));
    let text = fs::read(sample()).unwrap();
    for profile in ["lossless", "semantic"] {
        let encode =
            ["encode", sample().to_str().unwrap(), "-o", packed.to_str().unwrap(), "--profile", profile]
                .map(str::to_owned);
        assert!(secgroup(&encode.each_ref().map(|arg| arg.as_str()), b"").status.success());
        assert!(fs::metadata(&packed).unwrap().len() < text.len() as u64 / 5);
        let decode = ["decode", packed.to_str().unwrap(), "-o", again.to_str().unwrap()];
        assert!(secgroup(&decode, b"").status.success());
        let mut wanted = message(&text);
        if profile == "semantic" {
            wanted.strip();
        }
        assert_eq!(message(&fs::read(&again).unwrap()), wanted);
    }
}

#[test]
fn streams_stand_for_files() {
    let text = fs::read(sample()).unwrap();
    let packed = secgroup(&["encode", "-", "-o", "-"], &text).stdout;
    let again = secgroup(&["decode", "-", "-o", "-"], &packed).stdout;
    assert_eq!(message(&again), message(&text));
    let from_binary = secgroup(&["expand", "-", "-o", "-"], &packed).stdout;
    let from_json = secgroup(&["expand", "-", "-o", "-"], &text).stdout;
    assert_eq!(message(&from_binary), message(&from_json));
    let table = secgroup(&["inspect", "-"], &packed).stdout;
    assert!(String::from_utf8(table).unwrap().contains("2 devices, 2 of them filtered"));
}

#[test]
fn inspect_tells_bytes_per_section_that_add_up() {
    let done = secgroup(&["inspect", sample().to_str().unwrap(), "--json"], b"");
    let json: serde_json::Value = serde_json::from_slice(&done.stdout).unwrap();
    let sections: Vec<u64> =
        json["section_bytes"].as_object().unwrap().values().map(|bytes| bytes.as_u64().unwrap()).collect();
    assert_eq!(sections.len(), 6);
    assert_eq!(sections.iter().sum::<u64>(), json["lossless_bytes"].as_u64().unwrap());
}

#[test]
fn bad_input_is_exit_code_2_with_the_path_and_leaves_no_file() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let text = String::from_utf8(fs::read(sample()).unwrap()).unwrap();
    let cases = [
        (text.replace("\"IPv4\",", "\"IPv5\","), "ethertype: \"IPv5\" is not IPv4 or IPv6"),
        (text.replace("\"port_range_max\": 23", "\"port_range_max\": 2"), "port range 22..2 is reversed"),
        (text[..text.len() / 2].to_owned(), "line"),
        ("{\"a\": 1}".to_owned(), "neither a reply"),
        (String::new(), "EOF"),
        ("[".repeat(100_000), "nested deeper"),
        ("\u{7ff}".to_owned(), "format version"),
    ];
    for (input, complaint) in cases {
        for command in ["encode", "decode", "expand"] {
            let done = secgroup(&[command, "-", "-o", out.to_str().unwrap()], input.as_bytes());
            let errors = String::from_utf8(done.stderr).unwrap();
            assert_eq!(done.status.code(), Some(2), "{errors}");
            assert!(errors.contains(complaint), "{errors}");
            assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
        }
    }
}

#[test]
fn a_missing_file_is_exit_code_1() {
    assert_eq!(secgroup(&["decode", "/no/such/file", "-o", "-"], b"").status.code(), Some(1));
}

#[test]
fn check_names_the_rule_or_says_no() {
    let device = "6cad4a26-8d11-4ece-8738-f7d93d9c1724";
    let packed = secgroup(&["encode", sample().to_str().unwrap(), "-o", "-"], b"").stdout;
    let check = |device, packet| {
        let done = secgroup(&["check", "-", device, packet], &packed);
        (done.status.code(), String::from_utf8(done.stdout).unwrap())
    };
    let passes = |rule: &str| (Some(0), format!("passes: {rule}\n"));
    assert_eq!(
        check(device, "ingress tcp 203.0.113.200:4000 198.51.100.7:22"),
        passes("ingress IPv4 tcp port 22..23 from 203.0.113.5/24")
    );
    assert_eq!(
        check(device, "ingress icmp 198.51.100.9 198.51.100.7 8/0"),
        passes("ingress IPv4 from group 6513270e-269e-4d37-82a7-4de452e6b438")
    );
    let denied = (Some(3), "denied: no rule lets it pass\n".to_owned());
    assert_eq!(check(device, "ingress tcp 203.0.113.200:4000 198.51.100.7:24"), denied);
    assert_eq!(check(device, "egress udp [2001:db8::7]:1 [2001:db8::8]:2"), denied);
    assert_eq!(check("tap0", "ingress vrrp 198.51.100.9 198.51.100.7").0, Some(2));
    assert_eq!(check(device, "ingress tcp 198.51.100.9 198.51.100.7").0, Some(2));
}

#[test]
fn check_knows_what_a_port_may_send_at_all() {
    let device = "6cad4a26-8d11-4ece-8738-f7d93d9c1724";
    let check = |packet: &str, mac: &[&str]| {
        let sample = sample();
        let args = [&["check", sample.to_str().unwrap(), device, packet][..], mac].concat();
        let done = secgroup(&args, b"");
        (done.status.code(), String::from_utf8(done.stdout).unwrap())
    };
    let client = "egress udp 0.0.0.0:68 255.255.255.255:67";
    assert_eq!(check(client, &[]), (Some(0), "passes: a DHCP client may always ask\n".into()));
    let server = "egress udp 198.51.100.7:67 198.51.100.9:68";
    assert_eq!(check(server, &[]), (Some(3), "denied: only routers and DHCP servers send this\n".into()));
    let packet = "egress tcp 198.51.100.7:4000 203.0.113.1:80";
    assert_eq!(check(packet, &[]).0, Some(0));
    let spoofed = "egress tcp 198.51.100.8:4000 203.0.113.1:80";
    assert!(check(spoofed, &[]).1.contains("no source of this port"));
    assert_eq!(check(packet, &["--mac", "fa:16:3e:ff:ff:ff"]).0, Some(3));
}

#[test]
fn diff_tells_what_changed_in_any_form_and_by_exit_code() {
    let folder = tempfile::tempdir().unwrap();
    let packed = folder.path().join("a.sg");
    let before = sample();
    let encode = ["encode", before.to_str().unwrap(), "-o", packed.to_str().unwrap()];
    assert!(secgroup(&encode, b"").status.success());
    let text = fs::read_to_string(&before).unwrap();
    let diff = |later: &str, more: &[&str]| {
        let args = [&["diff", packed.to_str().unwrap(), "-"][..], more].concat();
        let done = secgroup(&args, later.as_bytes());
        (done.status.code(), String::from_utf8(done.stdout).unwrap(), String::from_utf8(done.stderr).unwrap())
    };
    let (code, out, _) = diff(&text, &[]);
    assert_eq!((code, out.lines().next()), (Some(0), Some("equal")));

    let changed = text
        .replace("198.51.100.9", "198.51.100.19")
        .replace("\"port_range_max\": 23", "\"port_range_max\": 24");
    let (code, out, _) = diff(&changed, &[]);
    assert_eq!(code, Some(1), "{out}");
    for line in [
        "- ingress IPv4 tcp port 22..23 from 203.0.113.5/24",
        "+ ingress IPv4 tcp port 22..24 from 203.0.113.5/24",
        "- 198.51.100.9",
        "+ 198.51.100.19",
        "bytes as a delta",
    ] {
        assert!(out.contains(line), "{line}: {out}");
    }
    let (code, out, _) = diff(&changed, &["--json"]);
    let json: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, &json["equal"]), (Some(1), &serde_json::Value::Bool(false)));
    assert!(json["delta_bytes"].as_u64().unwrap() > 0);

    let (code, _, errors) = diff("{\"a\": 1}", &[]);
    assert_eq!(code, Some(2), "{errors}");
    assert_eq!(secgroup(&["diff", "-", "-"], b"").status.code(), Some(2));
    assert_eq!(secgroup(&["diff", "/no/such/file", packed.to_str().unwrap()], b"").status.code(), Some(2));
}

#[test]
fn render_writes_what_each_tool_reads() {
    let sample = sample();
    let render = |args: &[&str]| {
        let args = [&["render"], args, &[sample.to_str().unwrap()]].concat();
        let done = secgroup(&args, b"");
        (done.status.code(), String::from_utf8(done.stdout).unwrap())
    };
    let (code, nft) = render(&["nft"]);
    assert_eq!(code, Some(0));
    for line in [
        "table bridge secgroup {",
        "elements = { 192.0.2.1, 198.51.100.7, 198.51.100.9, 198.51.100.64/26 }",
        "ip saddr @members4-6513270e-269e-4d37-82a7-4de452e6b438 accept",
        "ip saddr 203.0.113.0/24 tcp dport 22-23 accept",
        "\"tap6cad4a26-8d\" . ip : goto out4-tap6cad4a26-8d",
    ] {
        assert!(nft.contains(line), "{line}: {nft}");
    }
    assert!(
        render(&["nft", "--link", "routed", "--interface", "qvo"]).1.contains("\"qvo6cad4a26-8d\" . ip ")
    );
    assert!(render(&["ipset"]).1.contains("add NIPv46513270e-269e-4d37-82a7-- 198.51.100.9/32"));
    assert!(
        render(&["iptables"]).1.contains("-m set --match-set NIPv46513270e-269e-4d37-82a7- src -j RETURN")
    );
    assert!(render(&["iptables", "--no-ipset"]).1.contains("-s 198.51.100.9/32 -j RETURN"));
    assert!(
        render(&["ip6tables"])
            .1
            .contains("-s 2001:db8::7/128 -m mac --mac-source 02:00:00:00:00:07 -j RETURN")
    );
    assert_eq!(render(&["nft", "--interface", "; drop"]).0, Some(2));
}

#[test]
fn ports_that_would_share_an_interface_are_bad_input() {
    let text = fs::read_to_string(sample()).unwrap();
    let ids: Vec<&str> =
        text.match_indices("\"id\": \"").map(|(at, word)| &text[at + word.len()..][..36]).collect();
    assert_eq!(ids.len(), 2);
    let twin = format!("{}{}", &ids[0][..35], if ids[0].ends_with('0') { '1' } else { '0' });
    let done = secgroup(&["render", "nft", "-"], text.replace(ids[1], &twin).as_bytes());
    assert_eq!(done.status.code(), Some(2));
    assert!(String::from_utf8(done.stderr).unwrap().contains("two ports would be tap"));
}

#[test]
fn bench_writes_a_row_per_coding_and_draws_them() {
    let folder = tempfile::tempdir().unwrap();
    let plot = folder.path().join("growth.svg");
    let args = ["bench", "--ports", "1,30", "--request", "host", "--csv", "--plot", plot.to_str().unwrap()];
    let done = secgroup(&args, b"");
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    assert!(done.stderr.is_empty(), "no progress bar without a terminal");
    let csv = String::from_utf8(done.stdout).unwrap();
    assert_eq!(csv.lines().count(), 1 + 2 * 8, "{csv}");
    assert!(csv.contains("\n30,20,ours,semantic,"), "{csv}");
    let svg = fs::read_to_string(&plot).unwrap();
    // 8 curves in each of two graphs, with a circle per point and in the legend.
    assert!(svg.matches("<polyline").count() >= 2 * 8, "{svg}");
    for text in ["new call (info_for_devices), JSON", "secgroup-rpc, lossless", "ports in the group"] {
        assert!(svg.contains(text), "{text}");
    }
}

#[test]
fn bench_draws_png_with_the_fonts_of_the_system() {
    let folder = tempfile::tempdir().unwrap();
    let plot = folder.path().join("growth.png");
    let done = secgroup(&["bench", "--ports", "1", "--plot", plot.to_str().unwrap()], b"");
    let errors = String::from_utf8(done.stderr).unwrap();
    if errors.contains("font") {
        assert_eq!((done.status.code(), plot.exists()), (Some(2), false), "{errors}");
        println!("skipped: no font found");
        return;
    }
    assert!(done.status.success(), "{errors}");
    let png = fs::read(&plot).unwrap();
    assert!(png.starts_with(b"\x89PNG\r\n\x1a\n"));
    let size = |at: usize| u32::from_be_bytes(png[at..at + 4].try_into().unwrap());
    assert_eq!((size(16), size(20)), (2400, 1200));
}

#[test]
fn bench_refuses_what_it_cannot_draw_or_find() {
    let gif = secgroup(&["bench", "--ports", "1", "--plot", "growth.gif"], b"");
    assert_eq!(gif.status.code(), Some(2));
    assert!(String::from_utf8(gif.stderr).unwrap().contains("FILE.svg or FILE.png"));
    let folder = tempfile::tempdir().unwrap();
    let none = secgroup(&["bench", "--ports", "1", "--fixtures", folder.path().to_str().unwrap()], b"");
    assert_eq!(none.status.code(), Some(2));
    assert!(String::from_utf8(none.stderr).unwrap().contains("blog-NNNN-all.compact.json"));
}

#[test]
fn bench_reads_recorded_replies() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/fixtures/neutron");
    if !folder.exists() {
        println!("skipped: recorded messages not found");
        return;
    }
    let args =
        ["bench", "--request", "host", "--ports", "1000", "--json", "--fixtures", folder.to_str().unwrap()];
    let json: serde_json::Value = serde_json::from_slice(&secgroup(&args, b"").stdout).unwrap();
    let bytes = |call, coding| {
        let row = json.as_array().unwrap().iter().find(|row| row["call"] == call && row["coding"] == coding);
        row.unwrap()["bytes"].as_u64().unwrap()
    };
    assert_eq!(bytes("new", "json"), 59_179);
    assert!(bytes("ours", "semantic") < 900);
    assert!(bytes("ours", "lossless") < 1500);
}
