//! Reads what `ovs-ofctl dump-flows` prints, and files for `ovs-ofctl add-flows`.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::ebtables::mac_number;
use super::field::{ARP, Field, ICMPV6, IPV4, IPV6, Notation, RARP, UDP, interface, mask};
use super::model::{Among, Checksum, Element, Learn, Outlet, Program, Rule, Step, Test, Value};
use super::world::World;

pub(crate) fn read(text: &str, world: &World) -> Program {
    let mut program = Program { openflow: true, ..Program::default() };
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.trim();
        let is_header =
            line.contains(" reply (") || line.starts_with("OFPST_FLOW") || line.starts_with("NXST_FLOW");
        if line.is_empty() || line.starts_with('#') || is_header {
            continue;
        }
        let mut reader = Reader { program: &mut program, world, number, line };
        let (table, rule) = reader.flow();
        program.push(&table, rule);
    }
    program.sort_by_priority();
    program
}

struct Reader<'a> {
    program: &'a mut Program,
    world: &'a World,
    number: usize,
    line: &'a str,
}

impl Reader<'_> {
    fn flow(&mut self) -> (String, Rule) {
        let (matches, actions) = self.line.split_once("actions=").unwrap_or((self.line, ""));
        let (mut table, mut priority, mut steps) = ("0".to_owned(), 32_768, Vec::new());
        for item in split(matches.trim()) {
            match item.split_once('=') {
                Some(("table", value)) => table = value.to_owned(),
                Some(("priority", value)) => priority = value.parse().unwrap_or(priority),
                Some((
                    "cookie" | "duration" | "n_packets" | "n_bytes" | "idle_age" | "hard_age"
                    | "idle_timeout" | "hard_timeout" | "importance",
                    _,
                )) => {}
                Some((key, value)) => match self.condition(key, value) {
                    Some(step) => steps.push(step),
                    None => steps.push(self.doubt(item)),
                },
                None => match protocol(item) {
                    Some(tests) => steps.extend(tests),
                    None if [
                        "send_flow_rem",
                        "reset_counts",
                        "check_overlap",
                        "no_packet_counts",
                        "no_byte_counts",
                    ]
                    .contains(&item) => {}
                    None => steps.push(self.doubt(item)),
                },
            }
        }
        if !self.line.contains("actions=") {
            steps.push(self.doubt("a flow without actions"));
        }
        for action in split(actions.trim()) {
            match self.action(action) {
                Some(step) => steps.push(step),
                None => steps.push(self.doubt(action)),
            }
        }
        (table, Rule { line: self.number, priority, steps })
    }

    fn doubt(&mut self, what: &str) -> Step {
        self.program.doubt(self.number, self.line, what)
    }

    fn condition(&self, key: &str, value: &str) -> Option<Step> {
        let one = |field, value| Some(Test::is(field, value));
        match key {
            "in_port" => one(Field::In, interface(self.world.openflow(value)?)),
            "dl_type" | "eth_type" => one(Field::Type, integer(value)?),
            "dl_vlan" => match integer(value)? {
                0xFFFF => one(Field::VlanTci, 0),
                vid => Some(masked(Field::VlanTci, 0x1000 | vid, 0x1FFF)),
            },
            "nw_frag" | "ip_frag" => match value {
                "no" => one(Field::Fragment, 0),
                "yes" => Some(Test::within(Field::Fragment, (1, 3))),
                "first" => one(Field::Fragment, 1),
                "later" => one(Field::Fragment, 3),
                "not_later" => Some(Test::within(Field::Fragment, (0, 1))),
                _ => None,
            },
            _ => {
                let field = field(key)?;
                let (value, mask) = match value.split_once('/') {
                    Some((value, mask)) => (number(field, value)?, Some(mask_of(field, mask)?)),
                    None => (number(field, value)?, None),
                };
                Some(masked(field, value, mask.unwrap_or(u128::MAX)))
            }
        }
    }

    fn action(&self, text: &str) -> Option<Step> {
        let set =
            |field, value| Some(Step::Set { field, value: Value::Is(value), checksum: Checksum::Follows });
        let output = |name: &str| Some(Step::Output(Outlet::Interface(self.world.openflow(name)?.into())));
        let (name, argument) = match text.find([':', '(']) {
            Some(at) => (text.get(..at)?, text.get(at + 1..)?.trim_end_matches(')')),
            None => (text, ""),
        };
        match name {
            "drop" => Some(Step::Drop),
            "NORMAL" | "normal" => Some(Step::Output(Outlet::Normal)),
            "FLOOD" | "flood" | "ALL" | "all" => Some(Step::Output(Outlet::Flood)),
            "IN_PORT" | "in_port" => Some(Step::Output(Outlet::Back)),
            "output" if argument == "in_port" || argument == "IN_PORT" => Some(Step::Output(Outlet::Back)),
            "output" => output(argument),
            "resubmit" => Some(Step::Call(argument.strip_prefix(',')?.to_owned())),
            "goto_table" => Some(Step::Call(argument.to_owned())),
            "set_field" => {
                let (value, name) = argument.split_once("->")?;
                let field = field(name)?;
                set(field, number(field, value)?)
            }
            "load" => {
                let (value, name) = argument.split_once("->")?;
                set(field(name)?, integer(value)?)
            }
            "move" => {
                let (from, to) = argument.split_once("->")?;
                let (value, field) = (Value::Of(field(from)?), field(to)?);
                Some(Step::Set { field, value, checksum: Checksum::Follows })
            }
            "mod_dl_src" => set(Field::EthSrc, mac_number(argument)?),
            "mod_dl_dst" => set(Field::EthDst, mac_number(argument)?),
            "learn" => self.learn(argument),
            "" => None,
            _ => output(text).filter(|_| argument.is_empty()),
        }
    }

    fn learn(&self, arguments: &str) -> Option<Step> {
        let mut learn =
            Learn { table: "0".into(), priority: 32_768, tests: vec![], loads: vec![], output: false };
        for item in split(arguments) {
            if item == "output:NXM_OF_IN_PORT[]" || item == "output:in_port" {
                learn.output = true;
            } else if let Some(load) = item.strip_prefix("load:") {
                let (from, to) = load.split_once("->")?;
                let value = match field(from) {
                    Some(field) => Value::Of(field),
                    None => Value::Is(integer(from)?),
                };
                learn.loads.push((field(to)?, value));
            } else if let Some((key, value)) = item.split_once('=') {
                match key {
                    "table" => learn.table = value.to_owned(),
                    "priority" => learn.priority = value.parse().ok()?,
                    "idle_timeout" | "hard_timeout" | "cookie" | "limit" | "fin_idle_timeout"
                    | "fin_hard_timeout" => {}
                    "in_port" => {
                        learn.tests.push((
                            Field::In,
                            Value::Is(interface(self.world.openflow(value)?)),
                            None,
                        ));
                    }
                    "eth_type" | "dl_type" => {
                        learn.tests.push((Field::Type, Value::Is(integer(value)?), None))
                    }
                    _ => {
                        let to = field(key)?;
                        let value = field(value)
                            .map_or_else(|| number(to, value).map(Value::Is), |from| Some(Value::Of(from)));
                        learn.tests.push((to, value?, part(key)));
                    }
                }
            } else {
                // The same field of the frame that taught it.
                let same = field(item)?;
                learn.tests.push((same, Value::Of(same), part(item)));
            }
        }
        Some(Step::Learn(Box::new(learn)))
    }
}

/// At commas and blanks, but not inside brackets.
fn split(text: &str) -> Vec<&str> {
    let (mut items, mut depth, mut start) = (Vec::new(), 0_usize, 0);
    for (at, c) in text.char_indices() {
        match c {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            ',' | ' ' if depth == 0 => {
                items.push(text.get(start..at).unwrap_or_default());
                start = at + 1;
            }
            _ => {}
        }
    }
    items.push(text.get(start..).unwrap_or_default());
    items.retain(|item| !item.is_empty());
    items
}

/// What a protocol's name stands for.
fn protocol(name: &str) -> Option<Vec<Step>> {
    let kind = |kind: u16| Test::is(Field::Type, kind.into());
    let above = |of: u16, upper: u8| vec![kind(of), Test::is(Field::Upper, upper.into())];
    Some(match name {
        "ip" => vec![kind(IPV4)],
        "ipv6" => vec![kind(IPV6)],
        "arp" => vec![kind(ARP)],
        "rarp" => vec![kind(RARP)],
        "icmp" => above(IPV4, 1),
        "tcp" => above(IPV4, 6),
        "udp" => above(IPV4, UDP),
        "icmp6" => above(IPV6, ICMPV6),
        "tcp6" => above(IPV6, 6),
        "udp6" => above(IPV6, UDP),
        _ => return None,
    })
}

/// A field by any of its names, perhaps with a range of bits.
fn field(name: &str) -> Option<Field> {
    let bare = name.split_once('[').map_or(name, |(bare, _)| bare);
    // Parts of a field are understood where they say how much of a tag counts, and nowhere else.
    if bare.len() < name.len() && !name.ends_with("[]") && !bare.eq_ignore_ascii_case("NXM_OF_VLAN_TCI") {
        return None;
    }
    Some(match bare.to_ascii_lowercase().as_str() {
        "dl_src" | "eth_src" | "nxm_of_eth_src" => Field::EthSrc,
        "dl_dst" | "eth_dst" | "nxm_of_eth_dst" => Field::EthDst,
        "vlan_tci" | "nxm_of_vlan_tci" => Field::VlanTci,
        "eth_type" | "nxm_of_eth_type" => Field::Type,
        "in_port" | "nxm_of_in_port" => Field::In,
        "arp_op" | "nxm_of_arp_op" => Field::ArpOp,
        "arp_sha" | "nxm_nx_arp_sha" => Field::ArpSha,
        "arp_tha" | "nxm_nx_arp_tha" => Field::ArpTha,
        "arp_spa" | "nxm_of_arp_spa" => Field::ArpSpa,
        "arp_tpa" | "nxm_of_arp_tpa" => Field::ArpTpa,
        "nw_src" | "ip_src" | "nxm_of_ip_src" => Field::Ip4Src,
        "nw_dst" | "ip_dst" | "nxm_of_ip_dst" => Field::Ip4Dst,
        "ipv6_src" | "nxm_nx_ipv6_src" => Field::Ip6Src,
        "ipv6_dst" | "nxm_nx_ipv6_dst" => Field::Ip6Dst,
        "nw_proto" | "ip_proto" | "nxm_of_ip_proto" => Field::Upper,
        "tp_src" | "udp_src" | "tcp_src" | "nxm_of_udp_src" | "nxm_of_tcp_src" => Field::SrcPort,
        "tp_dst" | "udp_dst" | "tcp_dst" | "nxm_of_udp_dst" | "nxm_of_tcp_dst" => Field::DstPort,
        "icmp_type" | "icmpv6_type" | "nxm_of_icmp_type" | "nxm_nx_icmpv6_type" => Field::IcmpType,
        "icmp_code" | "icmpv6_code" | "nxm_of_icmp_code" | "nxm_nx_icmpv6_code" => Field::IcmpCode,
        "nd_target" | "nxm_nx_nd_target" => Field::NdTarget,
        "nd_sll" | "nxm_nx_nd_sll" => Field::NdSource,
        "nd_tll" | "nxm_nx_nd_tll" => Field::NdTargetLink,
        _ => return None,
    })
}

/// The bits that a range such as `[0..12]` leaves.
fn part(name: &str) -> Option<u128> {
    let (low, high) = name.split_once('[')?.1.strip_suffix(']')?.split_once("..")?;
    let (low, high) = (low.parse::<usize>().ok()?, high.parse::<usize>().ok()?);
    (low <= high && high < 128).then(|| mask(high + 1) & !mask(low))
}

fn masked(field: Field, value: u128, mask: u128) -> Step {
    let value = value & mask;
    let among = Among::These(vec![Element { key: vec![(value, value)], data: None }]);
    let mask = (mask != u128::MAX).then_some(mask);
    Step::Test(Test { fields: vec![field], mask, negated: false, among })
}

/// A value in the notation of its field.
fn number(field: Field, text: &str) -> Option<u128> {
    match field.notation() {
        Notation::Mac => mac_number(text).or_else(|| integer(text)),
        Notation::Ip4 => text.parse::<Ipv4Addr>().ok().map(|addr| u32::from(addr).into()),
        Notation::Ip6 => text.parse::<Ipv6Addr>().ok().map(u128::from),
        Notation::Number | Notation::Interface => integer(text),
    }
}

/// A mask, or the length of a prefix.
fn mask_of(field: Field, text: &str) -> Option<u128> {
    let bits = match field.notation() {
        Notation::Ip4 => 32_u32,
        Notation::Ip6 => 128,
        _ => return number(field, text),
    };
    match text.parse::<u32>() {
        Ok(len) if len <= bits => Some(mask(bits as usize) & !mask((bits - len) as usize)),
        Ok(_) => None,
        Err(_) => number(field, text),
    }
}

fn integer(text: &str) -> Option<u128> {
    match text.strip_prefix("0x") {
        Some(hex) => u128::from_str_radix(hex, 16).ok(),
        None => text.parse().ok(),
    }
}
