//! Bytes of the model messages and of recorded ones: ours, the best general codec, the same behind
//! zstd. `cargo bench -p secgroup-rpc --bench sizes`
#![allow(
    clippy::std_instead_of_core,
    clippy::unwrap_used,
    clippy::unreachable,
    missing_docs,
    reason = "a bench"
)]

mod common;

use common::peers;
use secgroup_rpc::{Info, Message, to_json};

fn row(name: &str, info: &Info) {
    let encoded = peers::encoded(info);
    let (best, best_bytes) = encoded.iter().min_by_key(|(_, bytes)| bytes.len()).unwrap();
    let packed = encoded.iter().map(|(name, bytes)| (name, peers::zstd3(bytes).len()));
    let (best_packed, best_packed_len) = packed.min_by_key(|(_, len)| *len).unwrap();
    let json = to_json(&Message::Info(info.clone())).len();
    println!(
        "| {name} | {} | {} {best} | {best_packed_len} {best_packed} | {json} |",
        info.encode().len(),
        best_bytes.len(),
    );
}

/// Every codec's bytes for one message.
fn all(name: &str, info: &Info) {
    let each = peers::encoded(info).into_iter().map(|(name, bytes)| format!("{name} {}", bytes.len()));
    println!("{name}: ours {}, {}", info.encode().len(), each.collect::<Vec<_>>().join(", "));
}

fn main() {
    println!("| message | ours | best raw | best + zstd -3 | Neutron's JSON |\n|---|---|---|---|---|");
    for (name, info) in common::models() {
        row(&name, &info);
    }
    for name in [
        "one-port.compact.json",
        "ten-dual-stack.compact.json",
        "ten-dual-stack.shim.json",
        "features.compact.json",
        "features.shim.json",
        "three-tier.compact.json",
        "rule-heavy-300.compact.json.gz",
        "blog/blog-0100-host.compact.json.gz",
        "blog/blog-1000-host.compact.json.gz",
        "blog/blog-1000-all.compact.json.gz",
    ] {
        let Some(mut info) = common::recorded(name) else {
            println!("| {name} | not found | | | |");
            continue;
        };
        info.strip();
        row(name, &info);
    }
    println!();
    all("all 1000", &common::model(1, 1000, 1000, common::Addresses::Slash16));
    if let Some(mut info) = common::recorded("blog/blog-1000-host.compact.json.gz") {
        info.strip();
        all("blog-1000-host", &info);
    }
}
