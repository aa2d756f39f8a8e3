//! The command line.

use std::num::NonZeroU32;

use clap::{Args, Parser, Subcommand};
use rrcp::wire::{AuthKey, RegisterAddress};
use rrcp::{MacAddr6, PortId, PortMask, VlanId};

use crate::commands::vlan::Mode;

/// Talk to RRCP switches: scan, read, set, watch for loops, decode captures.
#[derive(Debug, Parser)]
#[command(
    version,
    after_help = "Exit codes: 0 done; 1 no answer, refused, or a loop was found; 2 bad input; \
                  3 the interface cannot be used (raw frames need CAP_NET_RAW).

Examples:
  rrcp-ctl --iface eth0 scan
  rrcp-ctl --iface eth0 get 52:54:4c:01:02:03 0x0200
  rrcp-ctl --iface eth0 --vlan 10 loops 52:54:4c:01:02:03
  rrcp-ctl decode trace.pcapng"
)]
pub struct Cli {
    /// Print JSON: one object per line.
    #[arg(long, global = true)]
    pub json: bool,
    /// The interface that the switches are behind.
    #[arg(long, global = true, value_name = "NAME")]
    pub iface: Option<String>,
    /// The authentication key of the switches, hexadecimal.
    #[arg(long, global = true, value_name = "HEX", default_value = "2379", value_parser = key)]
    pub key: AuthKey,
    /// Ask in this VLAN, with a tag.
    #[arg(long, global = true, value_name = "VID", value_parser = vlan)]
    pub vlan: Option<VlanId>,
    /// How often a question without answer is repeated.
    #[arg(long, global = true, value_name = "N", default_value_t = 10)]
    pub retries: u16,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[expect(missing_docs, reason = "a flattened field brings its own help")]
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Find all switches, and how they hang together.
    #[command(after_help = "Examples:
  rrcp-ctl --iface eth0 scan
  rrcp-ctl --iface eth0 --vlan 10 --json scan")]
    Scan,
    /// Ask a switch for echoes; it answers even if RRCP is off.
    #[command(after_help = "Example: rrcp-ctl --iface eth0 ping 52:54:4c:01:02:03 --count 5")]
    Ping {
        #[command(flatten)]
        target: Target,
        /// How many.
        #[arg(long, short, default_value_t = 3)]
        count: u32,
    },
    /// Read registers.
    #[command(after_help = "Example: rrcp-ctl --iface eth0 get 52:54:4c:01:02:03 0x0101 0x0203-0x0205")]
    Get {
        #[command(flatten)]
        target: Target,
        /// Addresses or ranges, hexadecimal.
        #[arg(required = true, value_name = "REGISTER", value_parser = registers)]
        registers: Vec<Registers>,
    },
    /// Write a register and read it back.
    #[command(after_help = "Example, the storm filter off: rrcp-ctl --iface eth0 set 52:54:4c:01:02:03 \
                            0x0607 0x10 --mask 0x10")]
    Set {
        #[command(flatten)]
        target: Target,
        /// Address, hexadecimal.
        #[arg(value_parser = register)]
        register: RegisterAddress,
        /// Value, hexadecimal.
        #[arg(value_parser = number)]
        data: u32,
        /// Change these bits only, hexadecimal.
        #[arg(long, value_parser = number)]
        mask: Option<u32>,
        #[command(flatten)]
        consent: Dangerous,
    },
    /// Read all registers that are known.
    #[command(after_help = "Example: rrcp-ctl --iface eth0 --json dump 52:54:4c:01:02:03 > registers.json")]
    Dump {
        #[command(flatten)]
        target: Target,
    },
    /// Show or change VLANs.
    #[command(
        subcommand,
        after_help = "Examples:
  rrcp-ctl --iface eth0 vlan show 52:54:4c:01:02:03
  rrcp-ctl --iface eth0 vlan set 52:54:4c:01:02:03 1 --vid 10 --members 0-3"
    )]
    Vlan(VlanCommand),
    /// Show the state of each port.
    #[command(after_help = "Example: rrcp-ctl --iface eth0 ports 52:54:4c:01:02:03 --ports 16")]
    Ports {
        #[command(flatten)]
        target: Target,
        #[command(flatten)]
        ports: PortCount,
    },
    /// Show the counters of each port, in bytes (dropped frames in whatever the chip counts).
    #[command(after_help = "Example: rrcp-ctl --iface eth0 mib 52:54:4c:01:02:03 --ports 16")]
    Mib {
        #[command(flatten)]
        target: Target,
        #[command(flatten)]
        ports: PortCount,
    },
    /// Show on which ports the switch sees a loop; exit code 1 if there is one.
    #[command(
        after_help = "Example: rrcp-ctl --iface eth0 loops 52:54:4c:01:02:03 || echo 'pull that cable'"
    )]
    Loops {
        #[command(flatten)]
        target: Target,
    },
    /// Watch switches and print when a loop appears or goes, and when one falls silent.
    #[command(after_help = "Examples:
  rrcp-ctl --iface eth0 watch
  rrcp-ctl --iface eth0 --json watch 52:54:4c:01:02:03 --interval 5 >> loops.jsonl")]
    Watch {
        /// The switches; all that a scan finds if none is named.
        #[arg(value_name = "MAC", value_parser = mac)]
        targets: Vec<MacAddr6>,
        /// Seconds between two looks.
        #[arg(long, default_value_t = 1.0, value_name = "SECONDS", value_parser = seconds)]
        interval: f64,
        /// Stop after so many looks.
        #[arg(long)]
        count: Option<u64>,
    },
    /// Print the 0x8899 frames of a capture file, or of one frame in hexadecimal.
    #[command(after_help = "Examples:
  rrcp-ctl decode trace.pcapng
  rrcp-ctl --json decode 'ffffffffffff 52544c010203 8899 03 00'")]
    Decode {
        /// A pcap or pcapng file, or the frame's bytes as hexadecimal digits.
        #[arg(value_name = "FILE|HEX")]
        input: String,
    },
    /// Be a switch: forwards frames between interfaces, breaks loops, answers RRCP.
    #[command(after_help = "Example, two ports: rrcp-ctl serve eth1 eth2")]
    Serve(Serve),
}

/// A command about VLANs.
#[expect(missing_docs, reason = "a flattened field brings its own help")]
#[derive(Debug, Subcommand)]
pub enum VlanCommand {
    /// Show the VLAN table.
    #[command(after_help = "Example: rrcp-ctl --iface eth0 vlan show 52:54:4c:01:02:03 --ports 16")]
    Show {
        #[command(flatten)]
        target: Target,
        #[command(flatten)]
        ports: PortCount,
    },
    /// Change an entry of the table, and what ports do with it.
    #[command(after_help = "Example, VLAN 10 on ports 0-3, tagged on port 7:
  rrcp-ctl --iface eth0 vlan set 52:54:4c:01:02:03 1 --vid 10 --members 0-3,7 --pvid 0-3 \\
      --strip 0-3 --leave 7 --mode tagged")]
    Set {
        #[command(flatten)]
        target: Target,
        /// Entry, 0 to 31.
        index: u8,
        /// Its VLAN id.
        #[arg(long, value_parser = vlan)]
        vid: Option<VlanId>,
        /// Its member ports.
        #[arg(long, value_parser = ports)]
        members: Option<PortMask>,
        /// Ports whose untagged frames belong to it.
        #[arg(long, value_parser = ports, value_name = "PORTS")]
        pvid: Option<PortMask>,
        /// Ports that remove tags.
        #[arg(long, value_parser = ports, value_name = "PORTS")]
        strip: Option<PortMask>,
        /// Ports that leave frames as they came.
        #[arg(long, value_parser = ports, value_name = "PORTS")]
        leave: Option<PortMask>,
        /// What VLANs go by, from then on.
        #[arg(long)]
        mode: Option<Mode>,
        #[command(flatten)]
        consent: Dangerous,
    },
}

/// Which switch.
#[derive(Debug, Args)]
pub struct Target {
    /// Address of the switch.
    #[arg(value_name = "MAC", value_parser = mac)]
    pub mac: MacAddr6,
}

/// How many ports.
#[derive(Debug, Args)]
pub struct PortCount {
    /// How many ports the switch has.
    #[arg(long, default_value_t = 26, value_parser = clap::value_parser!(u16).range(1..=26))]
    pub ports: u16,
}

/// Whether the operator means it.
#[derive(Debug, Args)]
pub struct Dangerous {
    /// Set it even if the switch may be out of reach afterwards.
    #[arg(long)]
    pub dangerous: bool,
}

/// What switch to be.
#[derive(Debug, Args)]
pub struct Serve {
    /// Interfaces that are ports 0, 1, ...
    #[arg(required = true, value_name = "INTERFACE")]
    pub interfaces: Vec<String>,
    /// Address of the switch.
    #[arg(long, default_value = "52:54:4c:01:02:03", value_parser = mac)]
    pub mac: MacAddr6,
    /// How many ports it has; those without interface have no cable.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=26))]
    pub ports: u16,
    /// Stop after so many seconds.
    #[arg(long = "for", value_name = "SECONDS", value_parser = seconds)]
    pub time: Option<f64>,
    /// Lose one of so many answers.
    #[arg(long, value_name = "N")]
    pub lose: Option<NonZeroU32>,
    /// Send one of so many answers twice.
    #[arg(long, value_name = "N")]
    pub double: Option<NonZeroU32>,
}

/// A row of registers.
#[derive(Clone, Copy, Debug)]
pub struct Registers {
    /// The first.
    pub first: RegisterAddress,
    /// The last.
    pub last: RegisterAddress,
}

impl Registers {
    /// The registers in ascending order.
    pub fn iter(self) -> impl Iterator<Item = RegisterAddress> {
        (self.first.0..=self.last.0).map(RegisterAddress)
    }
}

fn mac(text: &str) -> Result<MacAddr6, String> {
    text.parse().map_err(|_| "an address looks like 52:54:4c:01:02:03".to_owned())
}

fn number(text: &str) -> Result<u32, String> {
    let digits = text.strip_prefix("0x").unwrap_or(text);
    u32::from_str_radix(digits, 16).map_err(|error| format!("not a hexadecimal number: {error}"))
}

fn word(text: &str) -> Result<u16, String> {
    u16::try_from(number(text)?).map_err(|_| "more than 16 bits".to_owned())
}

fn key(text: &str) -> Result<AuthKey, String> {
    word(text).map(AuthKey)
}

fn register(text: &str) -> Result<RegisterAddress, String> {
    word(text).map(RegisterAddress)
}

fn registers(text: &str) -> Result<Registers, String> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last) = (register(first)?, register(last)?);
    if last < first {
        Err("the range ends before it begins".to_owned())
    } else {
        Ok(Registers { first, last })
    }
}

fn vlan(text: &str) -> Result<VlanId, String> {
    let raw: u16 = text.parse().map_err(|_| "not a number".to_owned())?;
    VlanId::try_from(raw).map_err(|error| error.to_string())
}

/// `0-3,7`, or `-` for none.
fn ports(text: &str) -> Result<PortMask, String> {
    let mut mask = PortMask::EMPTY;
    for range in text.split(',').filter(|range| *range != "-") {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let port = |text: &str| text.parse::<u16>().map_err(|_| format!("`{text}` is no port number"));
        let (first, last) = (port(first)?, port(last)?);
        if last < first || last >= rrcp::registers::MAX_PORTS {
            return Err(format!("`{range}` is not within 0-{}", rrcp::registers::MAX_PORTS - 1));
        }
        mask = (first..=last).filter_map(PortId::new).fold(mask, PortMask::with);
    }
    Ok(mask)
}

fn seconds(text: &str) -> Result<f64, String> {
    let seconds: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    // A day is long enough, and whatever is below a millisecond is a busy loop.
    if (0.001..=86_400.0).contains(&seconds) { Ok(seconds) } else { Err("not within 0.001-86400".to_owned()) }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_help_of_every_command_shows_an_example() {
        fn check(command: &clap::Command) {
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(help.contains("Example") && help.contains("rrcp-ctl "), "{}", command.get_name());
            command.get_subcommands().for_each(check);
        }
        check(&Cli::command());
    }

    #[test]
    fn port_lists_are_read_as_they_are_written() {
        let mask = |raw: &[u16]| raw.iter().filter_map(|raw| PortId::new(*raw)).collect::<PortMask>();
        assert_eq!(ports("0-3,7"), Ok(mask(&[0, 1, 2, 3, 7])));
        assert_eq!(ports("-"), Ok(PortMask::EMPTY));
        assert_eq!(ports("25"), Ok(mask(&[25])));
        for bad in ["26", "3-1", "x", "1-", ""] {
            assert!(ports(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn registers_are_hexadecimal_with_or_without_prefix() {
        let all = |text| registers(text).unwrap().iter().map(|register| register.0).collect::<Vec<_>>();
        assert_eq!(all("0x0203-0205"), [0x203, 0x204, 0x205]);
        assert_eq!(all("101"), [0x101]);
        assert!(registers("0x10000").is_err() && registers("5-4").is_err());
    }
}
