//! MAC translation for floating IPs: data path, replay of captures, and help for the guests.
//!
//! `cargo run -p mac-nat-gw -- run --config gw.toml`

use std::io::{Read, Write};
use std::net::IpAddr;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{Parser, Subcommand, ValueEnum};
use mac_nat::export::{Ability, DataPlane, Interfaces, LeftOut, Support, netlink};
use mac_nat_gw::apply::{Plan, Target};
use mac_nat_gw::guest::{Guest, System};
use mac_nat_gw::status::Status;
use mac_nat_gw::{BadInput, EXIT_BAD_INPUT, Settings, lint, replay, run};

/// Puts machines with MACs of their own behind the MACs that a hoster accepts.
#[derive(Parser)]
#[command(version, after_help = "Exit codes: 0 done, 1 failed, 2 bad input.")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

const RUN_HELP: &str = r#"Needs CAP_NET_RAW. SIGUSR1 prints counters, SIGTERM or Ctrl-C stops.

Example:
  mac-nat-gw run --config gw.toml

A configuration:
  mode = "single"                  # the hoster knows one MAC; "vmac": one per address
  gateways = ["198.51.100.1", "fe80::1"]
  [uplink]
  interface = "eth0"
  [host]
  addresses = ["198.51.100.10"]    # nobody inside may claim them
  [[port]]
  name = "vm1"
  interface = "tap1"
  allow = ["203.0.113.11", "2001:db8:1::/64"]
  [[binding]]                      # others are learned
  address = "203.0.113.11"
  port = "vm1"
  inside = "fa:16:3e:00:00:01"
  [status]
  socket = "/run/mac-nat-gw.sock""#;

#[derive(Subcommand)]
enum Command {
    /// Translate between an uplink and inside interfaces until stopped
    #[command(after_help = RUN_HELP)]
    Run {
        /// What to translate
        #[arg(long)]
        config: PathBuf,
        /// Print no events
        #[arg(long)]
        quiet: bool,
    },
    /// Send captures through the gateway, in their own time
    #[command(
        after_help = "Sides are `uplink`, `host` and the ports of the configuration. DIR gets SIDE.pcap \
        for each and summary.json.\n\n\
        Example:\n  mac-nat-gw replay --config gw.toml --in uplink=wan.pcap --in vm1=vm1.pcapng --out out"
    )]
    Replay {
        /// What to translate; `[uplink] mac` must be set unless the interface is here
        #[arg(long)]
        config: PathBuf,
        /// A side and the capture of what arrives there
        #[arg(long = "in", value_name = "SIDE=CAPTURE", value_parser = side_and_capture, required = true)]
        inputs: Vec<(String, PathBuf)>,
        /// Where the results go; without, only the summary is printed
        #[arg(long, value_name = "DIR")]
        out: Option<PathBuf>,
        /// Print the summary for programs
        #[arg(long)]
        json: bool,
    },
    /// Print the configured bindings as rules for another data plane
    #[command(
        after_help = "What the data plane cannot carry is listed on standard error, and at the top of \
        the rules what it cannot do at all.\n\n\
        Example:\n  mac-nat-gw export openflow --config gw.toml | ovs-ofctl add-flows br-ovh -"
    )]
    Export {
        /// For which program
        plane: PlaneName,
        /// Only the rules for netlink, as the messages that the kernel takes (nft-netlink)
        #[arg(long)]
        batch: bool,
        /// What to export; only static bindings are known to it
        #[arg(long)]
        config: PathBuf,
    },
    /// Put the rules into a data plane of this machine, in place of older ones of ours
    #[command(
        after_help = "Without `--commit`, only says what would be done. Ours are the table `macnat`, chains \
        `macnat-*` and flows with our cookie; nothing else is touched. Applying the same rules again \
        changes nothing.\n\n\
        Example:\n  mac-nat-gw apply nft-netlink --config gw.toml --commit"
    )]
    Apply {
        /// Which program carries them
        plane: PlaneName,
        /// What to apply; only static bindings are known to it
        #[arg(long)]
        config: PathBuf,
        /// The bridge of Open vSwitch
        #[arg(long)]
        bridge: Option<String>,
        /// Do it
        #[arg(long, visible_alias = "yes")]
        commit: bool,
    },
    /// Take all our rules out of a data plane of this machine
    #[command(after_help = "Without `--commit`, only says what would be done.\n\n\
        Example:\n  mac-nat-gw remove openflow --bridge br0 --commit")]
    Remove {
        /// Which program carries them
        plane: PlaneName,
        /// The bridge of Open vSwitch
        #[arg(long)]
        bridge: Option<String>,
        /// Do it
        #[arg(long, visible_alias = "yes")]
        commit: bool,
    },
    /// Tell what an existing rule set would leak or break, with the frame that proves it
    #[command(
        after_help = "Rules are what `nft -j list ruleset`, `ebtables-save` or `ovs-ofctl --names dump-flows BR` \
        print; scripts of ebtables commands and files for `ovs-ofctl add-flows` are read as well. Frames of \
        all kinds, made from the bindings of the configuration, run through them and through the engine.\n\n\
        Exit codes: 0 nothing found, 1 something found, 2 bad input.\n\n\
        Example:\n  nft -j list ruleset | mac-nat-gw lint --config gw.toml -"
    )]
    Lint {
        /// What wrote the rules; guessed if not given
        #[arg(long)]
        format: Option<FormatName>,
        /// The bindings
        #[arg(long)]
        config: PathBuf,
        /// OpenFlow's number of an interface, where flows have numbers
        #[arg(long = "port", value_name = "INTERFACE=NUMBER", value_parser = interface_and_number)]
        ports: Vec<(String, String)>,
        /// For programs
        #[arg(long)]
        json: bool,
        /// The rules; `-` is standard input
        rules: PathBuf,
    },
    /// Ask a running gateway for its counters and bindings
    #[command(after_help = "Example:\n  mac-nat-gw status --socket /run/mac-nat-gw.sock --json")]
    Status {
        /// The socket of its configuration
        #[arg(long, default_value = "/run/mac-nat-gw.sock")]
        socket: PathBuf,
        /// For programs
        #[arg(long)]
        json: bool,
    },
    /// Print what to write in a guest whose gateway lies outside its prefix
    #[command(after_help = "Example:\n  \
        mac-nat-gw guest-config 203.0.113.11 --gateway 198.51.100.1 --system netplan")]
    GuestConfig {
        /// The guest's floating IP
        ip: IpAddr,
        /// The provider's router; taken from the configuration if one is given
        #[arg(long, required_unless_present = "config")]
        gateway: Option<IpAddr>,
        /// Gateway and MAC are looked up here
        #[arg(long)]
        config: Option<PathBuf>,
        /// The guest's interface
        #[arg(long, default_value = "eth0")]
        interface: String,
        /// Only for this system
        #[arg(long)]
        system: Option<SystemName>,
    },
}

#[derive(Clone, Copy, ValueEnum)]
enum PlaneName {
    /// `nft -f`, bridge family
    Nft,
    /// `nft -f`, netdev family: hooks at the devices
    NftNetdev,
    /// `nft -f`, bridge family, and rules with checksums that go over netlink: `apply` sends both
    NftNetlink,
    /// A shell script of ebtables commands
    Ebtables,
    /// `ovs-ofctl add-flows`, a flow for each address
    Openflow,
    /// `ovs-ofctl add-flows`, where outgoing frames teach the way back
    OpenflowLearn,
}

#[derive(Clone, Copy, ValueEnum)]
enum FormatName {
    /// `nft -j list ruleset`
    NftJson,
    /// `ebtables-save`
    EbtablesSave,
    /// `ovs-ofctl dump-flows`
    OvsFlows,
}

#[derive(Clone, Copy, ValueEnum)]
enum SystemName {
    Ifupdown,
    Netplan,
    Networkd,
    Rhel,
}

fn main() -> ExitCode {
    match execute(Cli::parse().command) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            let bad_input = error.downcast_ref::<BadInput>().is_some();
            if bad_input { ExitCode::from(EXIT_BAD_INPUT) } else { ExitCode::FAILURE }
        }
    }
}

fn execute(command: Command) -> Result<ExitCode> {
    match command {
        Command::Lint { format, config, ports, json, rules } => {
            let report = lint_rules(format, &Settings::read(&config, own_mac)?, &ports, &rules)?;
            print(&if json { serde_json::to_string_pretty(&report)? + "\n" } else { report.to_string() })?;
            return Ok(if report.is_clean() { ExitCode::SUCCESS } else { ExitCode::FAILURE });
        }
        Command::Run { config, quiet } => {
            let status = run::run(&Settings::read(&config, own_mac)?, quiet)?;
            eprint!("{status}");
            Ok(())
        }
        Command::Replay { config, inputs, out, json } => {
            let summary = replay::replay(&Settings::read(&config, own_mac)?, &inputs, out.as_deref())?;
            print(&if json { serde_json::to_string_pretty(&summary)? + "\n" } else { summary.to_string() })
        }
        Command::Export { plane, batch, config } => {
            export(plane.into(), batch, &Settings::read(&config, own_mac)?)
        }
        Command::Apply { plane, config, bridge, commit } => {
            let target = Target { plane: plane.into(), bridge: bridge.as_deref() };
            carry_out(&Plan::apply(target, &Settings::read(&config, own_mac)?)?, target.plane, commit)
        }
        Command::Remove { plane, bridge, commit } => {
            let target = Target { plane: plane.into(), bridge: bridge.as_deref() };
            carry_out(&Plan::remove(target)?, target.plane, commit)
        }
        Command::Status { socket, json } => {
            let status = status(&socket)?;
            print(&if json { serde_json::to_string_pretty(&status)? + "\n" } else { status.to_string() })
        }
        Command::GuestConfig { ip, gateway, config, interface, system } => {
            let settings = config.map(|config| Settings::read(&config, own_mac)).transpose()?;
            let guest = Guest::new(ip, gateway, interface, settings.as_ref())?;
            print(&guest_config(&guest, system))
        }
    }
    .map(|()| ExitCode::SUCCESS)
}

fn lint_rules(
    format: Option<FormatName>,
    settings: &Settings,
    ports: &[(String, String)],
    rules: &Path,
) -> Result<lint::Report> {
    let text = match rules == Path::new("-") {
        true => std::io::read_to_string(std::io::stdin()),
        false => std::fs::read_to_string(rules),
    };
    let text = text.map_err(|error| BadInput::new(rules.display(), error))?;
    let format = match format {
        Some(FormatName::NftJson) => lint::Format::NftJson,
        Some(FormatName::EbtablesSave) => lint::Format::EbtablesSave,
        Some(FormatName::OvsFlows) => lint::Format::OvsFlows,
        None => lint::Format::guess(&text).ok_or_else(|| {
            BadInput::new(rules.display(), "this looks like no rules that we know")
                .help("say which with `--format`")
        })?,
    };
    Ok(lint::lint(&text, format, settings, ports)?)
}

/// Shows what is to be done, or does it.
fn carry_out(plan: &Plan, plane: DataPlane, commit: bool) -> Result<()> {
    tell_left_out(&plan.left_out, plane);
    if plan.is_empty() {
        return print("nothing to do\n");
    }
    if commit {
        plan.execute()?;
        return print("done\n");
    }
    print(&plan.to_string())?;
    eprintln!("nothing was done yet: `--commit` does it");
    Ok(())
}

fn tell_left_out(left_out: &[LeftOut], plane: DataPlane) {
    for left_out in left_out {
        eprintln!("left out: {} ({} cannot: {})", left_out.binding, plane.name(), left_out.lacks);
    }
}

impl From<PlaneName> for DataPlane {
    fn from(name: PlaneName) -> Self {
        match name {
            PlaneName::Nft => Self::Nftables,
            PlaneName::NftNetdev => Self::NftNetdev,
            PlaneName::NftNetlink => Self::NftNetlink,
            PlaneName::Ebtables => Self::Ebtables,
            PlaneName::Openflow => Self::OpenFlow,
            PlaneName::OpenflowLearn => Self::OpenFlowLearn,
        }
    }
}

fn export(plane: DataPlane, batch: bool, settings: &Settings) -> Result<()> {
    let ports = settings.ports.iter().map(|port| (port.id, port.interface.as_str()));
    let rules = plane.export(&settings.engine, &Interfaces::new(&settings.uplink, ports))?;
    tell_left_out(&rules.left_out, plane);
    if batch {
        if rules.netlink.is_empty() {
            return Err(BadInput::new("--batch", "only nft-netlink has rules for netlink").into());
        }
        return Ok(std::io::stdout().write_all(&netlink::batch(&rules.netlink))?);
    }
    let mut text = String::new();
    for ability in Ability::ALL {
        match plane.support(ability) {
            Support::Yes => {}
            Support::Limited(how) => text += &format!("# {ability:?}: {how}\n"),
            Support::No => text += &format!("# {ability:?}: no\n"),
            Support::Leaks(how) => text += &format!("# {ability:?}: no, inside MACs get out: {how}\n"),
        }
    }
    text += &rules.text;
    if !rules.netlink.is_empty() {
        text += "# In front of their chains belong, over netlink (`mac-nat-gw apply` sends them):\n";
    }
    for rule in &rules.netlink {
        rule.to_string().lines().for_each(|line| text += &format!("# {line}\n"));
    }
    print(&text)
}

fn status(socket: &std::path::Path) -> Result<Status> {
    let at = || format!("{}: is `mac-nat-gw run` up, with this `[status] socket`?", socket.display());
    let mut stream = UnixStream::connect(socket).with_context(at)?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    Ok(serde_json::from_str(&text)?)
}

fn guest_config(guest: &Guest, system: Option<SystemName>) -> String {
    let wanted = system.map(|system| match system {
        SystemName::Ifupdown => System::Ifupdown,
        SystemName::Netplan => System::Netplan,
        SystemName::Networkd => System::Networkd,
        SystemName::Rhel => System::Rhel,
    });
    let systems = System::ALL.into_iter().filter(|system| wanted.is_none_or(|wanted| wanted == *system));
    systems.map(|system| format!("# {}\n{}\n", system.file(&guest.interface), guest.text(system))).collect()
}

/// A reader that has gone away is no failure.
fn print(text: &str) -> Result<()> {
    match std::io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        result => Ok(result?),
    }
}

fn side_and_capture(text: &str) -> Result<(String, PathBuf), String> {
    let (side, capture) = text.split_once('=').ok_or("wanted is SIDE=CAPTURE, such as uplink=wan.pcap")?;
    Ok((side.to_owned(), capture.into()))
}

fn interface_and_number(text: &str) -> Result<(String, String), String> {
    let (name, number) = text.split_once('=').ok_or("wanted is INTERFACE=NUMBER, such as eth0=1")?;
    Ok((name.to_owned(), number.to_owned()))
}

/// The MAC of an interface of this machine.
fn own_mac(interface: &str) -> Option<mac_nat::MacAddr6> {
    let text = std::fs::read_to_string(format!("/sys/class/net/{interface}/address")).ok()?;
    text.trim().parse().ok()
}
