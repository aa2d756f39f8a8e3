//! Any text as rules of every kind: reading and running them ends, without a panic.
#![no_main]

use std::path::Path;
use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;
use mac_nat_gw::Settings;
use mac_nat_gw::lint::{Format, lint};

const CONFIG: &str = include_str!("../../examples/mac-nat-gw/tests/data/single.toml");

fuzz_target!(|input: &[u8]| {
    static SETTINGS: OnceLock<Settings> = OnceLock::new();
    let settings = SETTINGS.get_or_init(|| {
        let mut settings = Settings::parse(CONFIG, Path::new("gw.toml"), |_| None).expect("our own file");
        // One address of each family is enough, and an engine is made for every probe.
        settings.engine.bindings.truncate(2);
        settings.engine.limits.bindings = 8;
        settings.engine.limits.pending = 8;
        settings
    });
    let Some((kind, text)) = input.split_first() else { return };
    let Ok(text) = std::str::from_utf8(text) else { return };
    let format = [Format::NftJson, Format::EbtablesSave, Format::OvsFlows][usize::from(kind % 3)];
    if let Ok(report) = lint(text, format, settings, &[]) {
        let _ = report.to_string();
    }
});
