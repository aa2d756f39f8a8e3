//! The program as a user meets it: what it prints, how it ends, what it leaves behind.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests may panic, helpers of tests too"
)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

#[test]
fn without_a_command_the_bundled_scenario_runs_and_equal_seeds_are_equal_runs() {
    let first = lab(&[]);
    assert!(first.status.success());
    assert_eq!(stdout(&first), stdout(&lab(&["run"])));
    assert_ne!(stdout(&first), stdout(&lab(&["--seed", "2"])));
    let json: serde_json::Value = serde_json::from_str(&stdout(&lab(&["--json"]))).unwrap();
    assert_eq!(json["switches"]["west"]["model"], "RTL8305SC");
    assert_eq!(json["hosts"]["bob"]["answered"], 1);
}

#[test]
fn the_bundled_run_is_as_recorded() {
    golden("three-switches.txt", &stdout(&lab(&["--seed", "1"])));
}

#[test]
fn a_replay_writes_a_capture_per_port_and_the_summary_as_recorded() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("deep/out");
    let run = lab_in(
        &data(""),
        &["replay", "--switch", "chip-vlans.toml", "--in", "0=hello.pcapng", "--out", text(&out)],
    );
    assert!(run.status.success(), "{}", stderr(&run));
    let mut names: Vec<_> = fs::read_dir(&out).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["0.pcap", "1.pcap", "2.pcap", "3.pcap", "4.pcap", "summary.json"]);
    golden("summary.json", &fs::read_to_string(out.join("summary.json")).unwrap());
    // Files that no frame left by are captures too: a header and nothing else.
    assert_eq!(fs::read(out.join("2.pcap")).unwrap().len(), 24);
}

/// Each is a mistake, and words that its message must hold.
const MISTAKES: [(&[&str], &[&str]); 14] = [
    (&["replay"], &["nothing to replay", "--in 0=trace.pcap"]),
    (&["replay", "--in", "hello.pcap"], &["equals sign"]),
    (&["replay", "--in", "9=hello.pcap"], &["--in 9=hello.pcap", "no port 9", "0, 1, 2, 3, 4"]),
    (&["replay", "--in", "0=hello.pcap", "--in", "0=hello.pcapng"], &["port 0 is named twice", "mergecap"]),
    (&["replay", "--in", "0=nowhere.pcap"], &["nowhere.pcap", "No such file"]),
    (&["replay", "--in", "0=chip.toml"], &["chip.toml", "neither a pcap nor a pcapng"]),
    (&["replay", "--in", "0=hello.pcap", "--out", "chip.toml"], &["--out chip.toml", "is a file"]),
    (&["replay", "--switch", "nowhere.toml", "--in", "0=hello.pcap"], &["nowhere.toml", "No such file"]),
    (&["run", "nowhere.toml"], &["nowhere.toml", "lab list"]),
    (&["run", "hello.pcap"], &["hello.pcap"]),
    (&["live", "--port", "9=lo"], &["--port 9=lo", "no port 9"]),
    (&["live", "--port", "0=lo", "--port", "0=lo"], &["named twice"]),
    (&["live"], &["--port"]),
    (&["fly"], &["fly"]),
];

#[test]
fn every_mistake_on_the_command_line_is_exit_code_2_with_a_message_that_helps() {
    for (args, words) in MISTAKES {
        let run = lab_in(&data(""), args);
        let message = stderr(&run);
        assert_eq!(run.status.code(), Some(2), "{args:?}: {message}");
        for word in words {
            assert!(message.contains(word), "{args:?}: {word:?} is not in {message:?}");
        }
        assert_eq!(stdout(&run), "", "{args:?}");
    }
}

#[test]
fn a_capture_cut_anywhere_names_packet_and_offset_and_leaves_nothing_behind() {
    for name in ["hello.pcap", "hello.pcapng"] {
        let whole = fs::read(data(name)).unwrap();
        for len in (1..whole.len()).step_by(7) {
            let dir = tempfile::tempdir().unwrap();
            fs::write(dir.path().join("cut"), &whole[..len]).unwrap();
            let run = lab_in(dir.path(), &["replay", "--in", "0=cut", "--out", "out"]);
            let left = fs::read_dir(dir.path()).unwrap().count();
            if run.status.success() {
                continue; // cut between two packets: a shorter capture
            }
            let message = stderr(&run);
            assert_eq!(run.status.code(), Some(2), "{message}");
            assert!(message.contains("cut"), "{message}");
            assert!(["too early", "neither a pcap"].iter().any(|why| message.contains(why)), "{message}");
            assert_eq!(left, 1, "{name} cut at {len} left something behind");
        }
    }
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("cut"), &fs::read(data("hello.pcap")).unwrap()[..24 + 16 + 60 + 16 + 5])
        .unwrap();
    let message = stderr(&lab_in(dir.path(), &["replay", "--in", "0=cut"]));
    assert!(message.contains("cut: packet 2, offset 100: the file ends too early"), "{message}");
}

#[test]
fn a_failed_replay_leaves_earlier_results_as_they_were() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out");
    let good = data("hello.pcap");
    let args = |capture: &Path| format!("0={}", text(capture));
    assert!(lab(&["replay", "--in", &args(&good), "--out", text(&out)]).status.success());
    let before = fs::read(out.join("1.pcap")).unwrap();
    let cut = dir.path().join("cut.pcap");
    fs::write(&cut, &fs::read(&good).unwrap()[..150]).unwrap();
    assert_eq!(lab(&["replay", "--in", &args(&cut), "--out", text(&out)]).status.code(), Some(2));
    assert_eq!(fs::read(out.join("1.pcap")).unwrap(), before);
    assert_eq!(fs::read_dir(&out).unwrap().count(), 6);
}

#[test]
fn a_replay_never_writes_over_what_it_reads() {
    let dir = tempfile::tempdir().unwrap();
    let capture = dir.path().join("1.pcap");
    fs::copy(data("hello.pcap"), &capture).unwrap();
    let run = lab_in(dir.path(), &["replay", "--in", "0=1.pcap", "--out", "."]);
    assert_eq!(run.status.code(), Some(2));
    assert!(stderr(&run).contains("would write over"), "{}", stderr(&run));
    assert_eq!(fs::read(&capture).unwrap(), fs::read(data("hello.pcap")).unwrap());
}

#[test]
fn other_tools_read_what_a_replay_writes() {
    let dir = tempfile::tempdir().unwrap();
    let run = lab_in(
        &data(""),
        &["replay", "--switch", "chip-vlans.toml", "--in", "0=hello.pcapng", "--out", text(dir.path())],
    );
    assert!(run.status.success(), "{}", stderr(&run));
    let up = dir.path().join("4.pcap");
    if let Some(lines) = peer(
        "tshark",
        &[
            "-r",
            text(&up),
            "-t",
            "e",
            "-T",
            "fields",
            "-e",
            "frame.time_epoch",
            "-e",
            "vlan.id",
            "-e",
            "eth.dst",
        ],
    ) {
        let lines: Vec<_> = lines.lines().map(|line| line.split('\t').collect::<Vec<_>>()).collect();
        assert_eq!(lines.len(), 3, "two broadcasts and one for a station nobody knows: {lines:?}");
        assert!(lines.iter().all(|line| line[1] == "10"), "the uplink is tagged: {lines:?}");
        assert!(lines[1][0].contains("0.000500000"), "nanoseconds as they came: {lines:?}");
        assert_eq!(lines[2][2], "02:00:00:00:00:0b");
    }
    if let Some(lines) = peer("tcpdump", &["-n", "-e", "-r", text(&up)]) {
        assert_eq!(lines.matches("vlan 10").count(), 3, "{lines}");
        assert!(lines.contains("who-has 10.0.0.2 tell 10.0.0.1"), "{lines}");
    }
}

#[test]
fn help_shows_examples() {
    for args in [&["--help"][..], &["replay", "--help"], &["live", "--help"]] {
        let run = lab(args);
        assert!(run.status.success() && stdout(&run).contains("Examples:"), "{args:?}");
    }
}

fn lab(args: &[&str]) -> Output {
    lab_in(Path::new("."), args)
}

fn lab_in(dir: &Path, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_lab")).current_dir(dir).args(args).output().unwrap()
}

/// What another program prints; `None` if it is not there.
fn peer(name: &str, args: &[&str]) -> Option<String> {
    match Command::new(name).args(args).output() {
        Ok(run) => Some(stdout(&run)),
        Err(_) => {
            assert!(std::env::var_os("REQUIRE_PEERS").is_none_or(|on| on != "1"), "{name} not found");
            println!("skipped: {name} not found");
            None
        }
    }
}

/// Compares with a file of `tests/golden`; `UPDATE_GOLDEN=1` writes it.
fn golden(name: &str, actual: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(&path, actual).unwrap();
    }
    let expected = fs::read_to_string(&path).unwrap();
    assert!(expected == actual, "{name} differs; see with UPDATE_GOLDEN=1 and git diff\n{actual}");
}

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name)
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn stdout(run: &Output) -> String {
    String::from_utf8_lossy(&run.stdout).into_owned()
}

fn stderr(run: &Output) -> String {
    String::from_utf8_lossy(&run.stderr).into_owned()
}
