//! The filter of a reply as rules that Linux loads: nftables, or iptables with ipset.
//!
//! Both are given the same plan (`plan`), and what a rule matches is worked out once (`matches`). A
//! rule that the kernel's language cannot say is left out, since rules only allow, and named in a
//! comment.

mod iptables;
mod matches;
mod nft;
mod plan;

use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::{Args, ValueEnum};
use secgroup_rpc::Info;

use crate::{
    files::{self, BadInput},
    reply::info_of,
};

/// What to write, and how the ports are attached.
#[derive(Args, Clone, Debug)]
pub struct Options {
    /// What loads the output.
    #[arg(value_enum)]
    pub target: Target,
    /// Message to read: a reply of either call, enveloped or not.
    #[arg(value_name = "IN")]
    pub input: PathBuf,
    /// File to write.
    #[arg(short, long, value_name = "OUT", default_value = "-")]
    pub output: PathBuf,
    /// How the filter is to be done.
    #[command(flatten)]
    pub style: Style,
}

/// How ports are attached, named and filtered.
#[derive(Args, Clone, Debug)]
pub struct Style {
    /// How packets get from port to port.
    #[arg(long, value_enum, default_value_t = Link::Bridged)]
    pub link: Link,
    /// A port's interface is this and the first 11 characters of the port's id.
    #[arg(long, value_name = "PREFIX", default_value = "tap", value_parser = prefix)]
    pub interface: String,
    /// A network's bridge is this and the first 11 characters of the network's id; iptables gives
    /// each its own conntrack zone.
    #[arg(long, value_name = "PREFIX", default_value = "brq", value_parser = prefix)]
    pub bridge: String,
    /// iptables: a rule per member instead of sets, for kernels without ipset.
    #[arg(long)]
    pub no_ipset: bool,
}

impl Default for Style {
    fn default() -> Self {
        Self { link: Link::Bridged, interface: "tap".into(), bridge: "brq".into(), no_ipset: false }
    }
}

/// What loads the output.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum Target {
    /// `nft -f OUT`: one table, replaced as a whole.
    Nft,
    /// `iptables-restore OUT`, after `ipset`.
    Iptables,
    /// `ip6tables-restore OUT`, after `ipset`.
    Ip6tables,
    /// `ipset restore -exist -f OUT`: the sets that `iptables` and `ip6tables` name.
    Ipset,
}

/// How packets get from port to port.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum Link {
    /// Ports are ports of Linux bridges, as on a Neutron host. nft needs the kernel's
    /// nf_conntrack_bridge, iptables its br_netfilter.
    Bridged,
    /// Ports are routed by the host itself.
    Routed,
}

/// Interface names have at most 15 characters: 4 and 11.
fn prefix(text: &str) -> Result<String, String> {
    let is_plain = text.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c));
    if is_plain && (1..=4).contains(&text.len()) {
        return Ok(text.to_owned());
    }
    Err(format!("{text:?} is not 1 to 4 letters or digits such as tap, qvo or brq"))
}

/// Writes the filter.
pub fn render(options: &Options) -> Result<()> {
    let message = files::read(&options.input)?.message;
    let text = rendered(&*info_of(&message, "render")?, options.target, &options.style)?;
    files::write(Path::new(&options.output), text.as_bytes())
}

/// The filter as text for `target`.
///
/// # Errors
/// [`BadInput`] if two ports would share an interface name.
pub fn rendered(info: &Info, target: Target, style: &Style) -> Result<String> {
    let plan = plan::Plan::new(info, style).map_err(BadInput)?;
    Ok(match target {
        Target::Nft => nft::table(&plan, style),
        Target::Iptables => iptables::tables(&plan, style, secgroup_rpc::Family::V4),
        Target::Ip6tables => iptables::tables(&plan, style, secgroup_rpc::Family::V6),
        Target::Ipset => iptables::sets(&plan),
    })
}
