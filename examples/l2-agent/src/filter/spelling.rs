//! Matches in the spelling, and the order of fields, in which Open vSwitch prints them back
//! (`lib/match.c`, `match_format`).

use std::fmt;

use ipnet::IpNet;
use macaddr::MacAddr6;
use secgroup_rpc::PortRange;

/// The fields that the filter's rules match; absent ones match everything.
#[derive(Clone, Debug, Default)]
pub(super) struct Match {
    /// Flags of `ct_state`.
    pub(super) state: &'static str,
    /// `ip`, `tcp6`, `arp` ...
    pub(super) protocol: &'static str,
    /// Register 5: the OpenFlow number of the guest's port.
    pub(super) to: Option<u16>,
    pub(super) in_port: Option<u16>,
    pub(super) dl_src: Option<MacAddr6>,
    pub(super) source: Option<IpNet>,
    pub(super) destination: Option<IpNet>,
    /// `arp_spa` and `arp_op`, in this order.
    pub(super) arp: Option<(Option<IpNet>, Option<u8>)>,
    pub(super) nw_proto: Option<u8>,
    pub(super) icmp: TypeAndCode,
    pub(super) tp_src: Option<Block>,
    pub(super) tp_dst: Option<Block>,
    pub(super) nd_target: Option<IpNet>,
}

/// Of ICMP, each if it matters.
pub(super) type TypeAndCode = (Option<u8>, Option<u8>);

/// Port numbers that agree in the bits of a mask.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Block {
    value: u16,
    mask: u16,
}

impl Block {
    /// Exactly this number.
    pub(super) const fn single(value: u16) -> Self {
        Self { value, mask: u16::MAX }
    }

    /// The fewest blocks that make up a range: at most 30. A range without ends is `None`, since
    /// it needs no match; one that ends before it begins is no block at all.
    pub(super) fn cover(range: PortRange) -> Vec<Option<Self>> {
        let (first, last) = (range.min.unwrap_or(0), range.max.unwrap_or(u16::MAX));
        if (first, last) == (0, u16::MAX) {
            return vec![None];
        }
        let (mut next, end) = (u32::from(first), u32::from(last) + 1);
        let mut blocks = Vec::new();
        while next < end {
            let aligned = next.trailing_zeros().min(16);
            let size = 1 << aligned.min((end - next).ilog2());
            let mask = u16::MAX << u32::ilog2(size).min(15);
            blocks.push(Some(Self { value: next as u16, mask }));
            next += size;
        }
        blocks
    }
}

impl fmt::Display for Block {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.mask {
            u16::MAX => write!(f, "{}", self.value),
            mask => write!(f, "{:#x}/{mask:#x}", self.value),
        }
    }
}

impl fmt::Display for Match {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut list = List { f, any: false };
        if !self.state.is_empty() {
            list.put(format_args!("ct_state={}", self.state))?;
        }
        if !self.protocol.is_empty() {
            list.put(format_args!("{}", self.protocol))?;
        }
        if let Some(port) = self.to {
            list.put(format_args!("reg5={port:#x}"))?;
        }
        list.field("in_port", self.in_port)?;
        if let Some(mac) = self.dl_src {
            list.put(format_args!("dl_src={}", lower(mac)))?;
        }
        list.prefix("src", self.source)?;
        list.prefix("dst", self.destination)?;
        if let Some((sender, operation)) = self.arp {
            if let Some(sender) = sender.filter(|net| net.prefix_len() > 0) {
                list.put(format_args!("arp_spa={}", prefix(sender)))?;
            }
            list.field("arp_op", operation)?;
            if let Some(mac) = self.dl_src {
                list.put(format_args!("arp_sha={}", lower(mac)))?;
            }
        }
        list.field("nw_proto", self.nw_proto)?;
        list.field("icmp_type", self.icmp.0)?;
        list.field("icmp_code", self.icmp.1)?;
        list.field("tp_src", self.tp_src)?;
        list.field("tp_dst", self.tp_dst)?;
        if let Some(target) = self.nd_target.filter(|net| net.prefix_len() > 0) {
            list.put(format_args!("nd_target={}", prefix(target)))?;
        }
        Ok(())
    }
}

struct List<'a, 'b> {
    f: &'a mut fmt::Formatter<'b>,
    any: bool,
}

impl List<'_, '_> {
    fn put(&mut self, item: fmt::Arguments<'_>) -> fmt::Result {
        if std::mem::replace(&mut self.any, true) {
            self.f.write_str(",")?;
        }
        self.f.write_fmt(item)
    }

    fn field(&mut self, name: &str, value: Option<impl fmt::Display>) -> fmt::Result {
        value.map_or(Ok(()), |value| self.put(format_args!("{name}={value}")))
    }

    /// The field is named after the family; a prefix of no bits matches everything.
    fn prefix(&mut self, end: &str, net: Option<IpNet>) -> fmt::Result {
        let Some(net) = net.filter(|net| net.prefix_len() > 0) else { return Ok(()) };
        let family = if matches!(net, IpNet::V4(_)) { "nw" } else { "ipv6" };
        self.put(format_args!("{family}_{end}={}", prefix(net)))
    }
}

/// A whole address is written without its length.
fn prefix(net: IpNet) -> String {
    let net = net.trunc();
    if net.prefix_len() == net.max_prefix_len() { net.addr().to_string() } else { net.to_string() }
}

fn lower(mac: MacAddr6) -> String {
    mac.to_string().to_lowercase()
}

pub(super) fn goto(table: u8) -> String {
    format!("goto_table:{table}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(min: u16, max: u16) -> PortRange {
        PortRange { min: Some(min), max: Some(max) }
    }

    #[test]
    fn blocks_cover_a_range_exactly_and_once() {
        let ends = [0, 1, 2, 3, 7, 8, 22, 80, 90, 1023, 1024, 32767, 32768, 49152, 65534, 65535];
        for (first, last) in ends.iter().flat_map(|a| ends.iter().map(move |b| (*a, *b))) {
            if (first, last) == (0, u16::MAX) {
                continue;
            }
            let blocks = Block::cover(range(first, last));
            assert!(blocks.len() <= 30);
            for port in 0..=u16::MAX {
                let covers = |block: &&Option<Block>| block.is_some_and(|b| port & b.mask == b.value);
                let count = blocks.iter().filter(covers).count();
                assert_eq!(count, usize::from(first <= port && port <= last), "{first}..={last} {port}");
            }
        }
    }

    #[test]
    fn a_range_without_ends_needs_no_match() {
        assert_eq!(Block::cover(PortRange::ANY), [None]);
        assert_eq!(Block::cover(range(0, u16::MAX)), [None]);
    }

    #[test]
    fn blocks_are_written_as_open_vswitch_prints_them() {
        let text = |first, last| {
            Block::cover(range(first, last)).iter().flatten().map(Block::to_string).collect::<Vec<_>>()
        };
        assert_eq!(text(22, 22), ["22"]);
        assert_eq!(text(80, 89), ["0x50/0xfff8", "0x58/0xfffe"]);
        assert_eq!(text(32768, 65535), ["0x8000/0x8000"]);
    }
}
