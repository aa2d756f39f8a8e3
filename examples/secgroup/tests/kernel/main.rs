//! The rendered filter in the kernel: packets that must pass and must not, in a namespace of the
//! test's own, against what the model says of the same packets.
#![allow(
    clippy::std_instead_of_core,
    clippy::std_instead_of_alloc,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    missing_debug_implementations,
    reason = "a test says what is wrong by panicking"
)]

mod connections;
mod probes;
mod recorded;
mod world;

use std::{fs, path::Path};

use secgroup::{
    bench::generated,
    files,
    render::{Link, Style, Target, rendered},
};
use secgroup_rpc::{Direction, Info, Message};

use probes::probes;
use world::{World, filter_is_loadable, has_commands};

/// How the filter gets into the kernel.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Filter {
    Nft,
    /// Without what needs a kernel with nf_conntrack_bridge: enough for first packets.
    NftUntracked,
    Iptables,
    IptablesWithoutSets,
}

impl Filter {
    fn load(self, world: &World, info: &Info, style: &Style) {
        let style = &Style { no_ipset: self == Self::IptablesWithoutSets, ..style.clone() };
        let text = |target| rendered(info, target, style).unwrap();
        match self {
            Self::Nft => world.run("nft -f -", &text(Target::Nft)),
            Self::NftUntracked => {
                let is_tracking = |line: &&str| line.contains("ct state") || line.contains("notrack");
                let nft = text(Target::Nft);
                let lines: Vec<_> = nft.lines().filter(|line| !is_tracking(line)).collect();
                world.run("nft -f -", &(lines.join("\n") + "\n"));
            }
            Self::Iptables | Self::IptablesWithoutSets => {
                if self == Self::Iptables {
                    world.run("ipset restore -exist", &text(Target::Ipset));
                }
                world.run("iptables-restore", &text(Target::Iptables));
                world.run("ip6tables-restore", &text(Target::Ip6tables));
            }
        }
    }

    const fn commands(self) -> &'static [&'static str] {
        match self {
            Self::Nft | Self::NftUntracked => &["ip", "nft"],
            Self::Iptables => &["ip", "ipset", "iptables-restore", "ip6tables-restore"],
            Self::IptablesWithoutSets => &["ip", "iptables-restore", "ip6tables-restore"],
        }
    }
}

/// Sends every probe through a new world with this filter and compares with the model.
fn compare(name: &str, info: &Info, link: Link, filter: Filter) {
    if !has_commands(filter.commands()) {
        return;
    }
    let style = Style { link, ..Style::default() };
    let mut seen = [0; 2];
    // What one direction lets in, connection tracking would let out: a namespace for each.
    for direction in [Direction::Ingress, Direction::Egress] {
        let Some(mut world) = World::new(info, &style) else { return };
        filter.load(&world, info, &style);
        let probes = probes(info, direction, link);
        let passed = world.pass(&probes);
        let wrong: Vec<String> = probes
            .iter()
            .zip(&passed)
            .filter(|(probe, passed)| probe.expected != **passed)
            .map(|(probe, passed)| format!("{} {probe:?}", if *passed { "passed:" } else { "dropped:" }))
            .collect();
        assert!(
            wrong.is_empty(),
            "{name}, {filter:?}, {link:?}: {} of {} against the model:\n{}",
            wrong.len(),
            probes.len(),
            wrong[..wrong.len().min(12)].join("\n")
        );
        passed.iter().for_each(|passed| seen[usize::from(*passed)] += 1);
    }
    println!(
        "{name}, {filter:?}, {link:?}: {} packets passed, {} were dropped, as the model says",
        seen[1], seen[0]
    );
    assert!(seen.iter().all(|count| *count > 20), "{seen:?} packets do not show much");
}

/// Our own messages, and the recorded ones if they are there.
fn infos() -> Vec<(String, Info)> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut infos = vec![("generated".to_owned(), generated(60, 6).unwrap())];
    let own = here.join("../../secgroup-rpc/tests/messages/two-ports.compact.json");
    let shared = here.join("../../../shared/fixtures/neutron");
    let names = ["features", "three-tier", "ten-dual-stack"];
    let recorded = names.map(|name| shared.join(format!("{name}.compact.json")));
    for path in [own].iter().chain(recorded.iter().filter(|path| path.exists())) {
        let Message::Info(info) = files::parse(&fs::read(path).unwrap()).unwrap().message else {
            panic!("{} is no compact reply", path.display())
        };
        infos.push((path.file_name().unwrap().to_string_lossy().into_owned(), info));
    }
    infos
}

#[test]
fn nftables_decides_like_the_model_between_routed_ports() {
    for (name, info) in infos() {
        compare(&name, &info, Link::Routed, Filter::Nft);
    }
}

#[test]
fn nftables_decides_like_the_model_on_a_bridge() {
    let filter = if filter_is_loadable("bridge", "ct state established accept") {
        Filter::Nft
    } else {
        println!("skipped: this kernel has no nf_conntrack_bridge; first packets are tried without tracking");
        Filter::NftUntracked
    };
    for (name, info) in infos() {
        compare(&name, &info, Link::Bridged, filter);
    }
}

#[test]
fn iptables_with_ipset_decides_like_the_model_on_a_bridge() {
    for (name, info) in infos() {
        compare(&name, &info, Link::Bridged, Filter::Iptables);
    }
}

#[test]
fn iptables_without_sets_decides_like_the_model_between_routed_ports() {
    for (name, info) in infos() {
        compare(&name, &info, Link::Routed, Filter::IptablesWithoutSets);
    }
}
