//! Reads what `ebtables-save` prints, and the commands of a script (`ebtables -t nat -A ...`).

use std::net::{Ipv4Addr, Ipv6Addr};

use super::field::{ARP, Field, ICMPV6, IPV4, IPV6, RARP, UDP, interface};
use super::model::{Among, Checksum, Element, End, Hook, Point, Program, Rule, Step, Test, Unknown, Value};

/// Chains that the kernel knows: table, chain, place, priority (`linux/netfilter_bridge.h`).
const HOOKS: [(&str, &str, Point, i64); 6] = [
    ("nat", "PREROUTING", Point::Prerouting, -300),
    ("filter", "INPUT", Point::Input, -200),
    ("filter", "FORWARD", Point::Forward, -200),
    ("nat", "POSTROUTING", Point::Postrouting, 300),
    ("broute", "BROUTING", Point::Ingress, -400),
    ("nat", "INPUT", Point::Input, 100),
];

pub(crate) fn read(text: &str) -> Program {
    let mut program = Program::default();
    for (table, chain, at, priority) in HOOKS {
        let chain = format!("{table} {chain}");
        program.chains.entry(chain.clone()).or_default();
        program.hooks.push(Hook { at, device: None, priority, chain });
    }
    let mut table = "filter".to_owned();
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.trim();
        if let Some(name) = line.strip_prefix('*') {
            table = name.to_owned();
        } else if let Some(chain) = line.strip_prefix(':') {
            if let Some((name, policy)) = chain.split_once(' ') {
                program.chains.entry(format!("{table} {name}")).or_default().ends = end(policy);
            }
        } else if !line.is_empty() && !line.starts_with('#') {
            command(&mut program, number, line, &table);
        }
    }
    program
}

fn end(policy: &str) -> End {
    match policy.split_whitespace().next() {
        Some("ACCEPT") => End::Accept,
        Some("DROP") => End::Drop,
        _ => End::Return,
    }
}

/// One line: `-A CHAIN ...`, perhaps with the program and its table in front.
fn command(program: &mut Program, number: usize, line: &str, table: &str) {
    let mut words: Vec<&str> = line.split_whitespace().collect();
    if words.first().is_some_and(|word| word.rsplit('/').next().unwrap_or(word).starts_with("ebtables")) {
        words.remove(0);
    }
    let mut table = table.to_owned();
    if let [option, name, ..] = words.as_slice()
        && ["-t", "--table"].contains(option)
    {
        table = (*name).to_owned();
        words.drain(..2);
    } else if line.contains("ebtables") {
        table = "filter".into();
    }
    match words.as_slice() {
        ["-A" | "--append", chain, rest @ ..] => {
            let mut reader = Reader::new(program, number, line, &table);
            reader.options(rest);
            let steps = reader.steps();
            let rule = Rule { line: number, priority: 0, steps };
            program.push(&format!("{table} {chain}"), rule);
        }
        ["-N" | "--new-chain", chain, rest @ ..] => {
            let policy = rest.iter().skip_while(|word| **word != "-P").nth(1);
            // The commands make chains that accept, unlike what the listing calls RETURN.
            let ends = policy.map_or(End::Accept, |policy| end(policy));
            program.chains.entry(format!("{table} {chain}")).or_default().ends = ends;
        }
        ["-P" | "--policy", chain, policy] => {
            program.chains.entry(format!("{table} {chain}")).or_default().ends = end(policy);
        }
        ["-F" | "--flush" | "-X" | "--delete-chain" | "--init-table", ..] | ["set", ..] => {}
        _ => {
            program.doubt(number, line, "this command");
        }
    }
}

/// The options of one rule.
struct Reader<'a> {
    program: &'a mut Program,
    number: usize,
    line: &'a str,
    table: String,
    protocol: Option<u16>,
    tests: Vec<Step>,
    verdict: Vec<Step>,
    /// What follows a change of an address.
    target: Option<Step>,
}

impl<'a> Reader<'a> {
    fn new(program: &'a mut Program, number: usize, line: &'a str, table: &str) -> Self {
        let table = table.to_owned();
        Self { program, number, line, table, protocol: None, tests: vec![], verdict: vec![], target: None }
    }

    fn options(&mut self, words: &[&str]) {
        let mut words = words.iter().copied().peekable();
        while let Some(option) = words.next() {
            let mut negated = option == "!";
            let option = if negated { words.next().unwrap_or_default() } else { option };
            negated |= words.next_if(|word| *word == "!").is_some();
            let takes_value = !["--snat-arp", "--arp-gratuitous"].contains(&option);
            let value = if takes_value { words.next().unwrap_or_default() } else { "" };
            if self.test(option, value, negated).or_else(|| self.action(option, value)).is_none() {
                let step = self.program.doubt(self.number, self.line, format!("{option} {value}"));
                self.tests.push(step);
            }
        }
    }

    fn steps(self) -> Vec<Step> {
        let mut steps = self.tests;
        steps.extend(self.verdict);
        steps.extend(self.target);
        steps
    }

    /// A condition.
    fn test(&mut self, option: &str, value: &str, negated: bool) -> Option<()> {
        let (field, range) = match option {
            "-p" | "--proto" | "--protocol" => {
                let kind = ether_type(value)?;
                self.protocol = (!negated).then_some(kind);
                (Field::OuterType, exactly(kind))
            }
            "-s" | "--src" | "--source" => return self.mac(Field::EthSrc, value, negated),
            "-d" | "--dst" | "--destination" => return self.mac(Field::EthDst, value, negated),
            "-i" | "--in-interface" | "--in-if" => (Field::In, wildcard(value)),
            "-o" | "--out-interface" | "--out-if" => (Field::Out, wildcard(value)),
            "--ip-src" | "--ip-source" => (Field::Ip4Src, prefix4(value)?),
            "--ip-dst" | "--ip-destination" => (Field::Ip4Dst, prefix4(value)?),
            "--ip-proto" | "--ip-protocol" | "--ip6-proto" | "--ip6-protocol" => {
                (Field::Upper, exactly(upper(value)?))
            }
            "--ip-sport" | "--ip-source-port" | "--ip6-sport" | "--ip6-source-port" => {
                (Field::SrcPort, ports(value)?)
            }
            "--ip-dport" | "--ip-destination-port" | "--ip6-dport" | "--ip6-destination-port" => {
                (Field::DstPort, ports(value)?)
            }
            "--ip6-src" | "--ip6-source" => (Field::Ip6Src, prefix6(value)?),
            "--ip6-dst" | "--ip6-destination" => (Field::Ip6Dst, prefix6(value)?),
            "--arp-op" | "--arp-opcode" => (Field::ArpOp, exactly(operation(value)?)),
            "--arp-ip-src" => (Field::ArpSpa, prefix4(value)?),
            "--arp-ip-dst" => (Field::ArpTpa, prefix4(value)?),
            "--arp-mac-src" => return self.mac(Field::ArpSha, value, negated),
            "--arp-mac-dst" => return self.mac(Field::ArpTha, value, negated),
            _ => return None,
        };
        self.needs(option);
        let Step::Test(test) = Test::within(field, range) else { return None };
        self.tests.push(Step::Test(Test { negated, ..test }));
        Some(())
    }

    fn mac(&mut self, field: Field, value: &str, negated: bool) -> Option<()> {
        let value = match value {
            "Broadcast" => "ff:ff:ff:ff:ff:ff",
            "Multicast" => "01:00:00:00:00:00/01:00:00:00:00:00",
            "Unicast" => "00:00:00:00:00:00/01:00:00:00:00:00",
            value => value,
        };
        let (mac, mask) = match value.split_once('/') {
            Some((mac, mask)) => (mac_number(mac)?, Some(mac_number(mask)?)),
            None => (mac_number(value)?, None),
        };
        let masked = mac & mask.unwrap_or(u128::MAX);
        let among = Among::These(vec![Element { key: vec![(masked, masked)], data: None }]);
        self.tests.push(Step::Test(Test { fields: vec![field], mask, negated, among }));
        Some(())
    }

    /// The program refuses an option of a protocol that was not named before.
    fn needs(&mut self, option: &str) {
        let wanted = match option {
            option if option.starts_with("--ip6") => (&[IPV6][..], "-p IPv6"),
            option if option.starts_with("--ip") => (&[IPV4][..], "-p IPv4"),
            option if option.starts_with("--arp") => (&[ARP, RARP][..], "-p ARP"),
            _ => return,
        };
        if !self.protocol.is_some_and(|kind| wanted.0.contains(&kind)) {
            let what = format!("{option} needs {} before it; ebtables refuses the rule", wanted.1);
            self.program.refused.push(Unknown { line: self.number, rule: self.line.into(), what });
            // It is not there, so it does nothing.
            if let Step::Test(test) = Test::is(Field::EthSrc, u128::MAX) {
                self.tests.insert(0, Step::Test(test));
            }
        }
    }

    /// What the rule does.
    fn action(&mut self, option: &str, value: &str) -> Option<()> {
        let set = |field, value: &str| {
            Some(Step::Set { field, value: Value::Is(mac_number(value)?), checksum: Checksum::Stays })
        };
        match option {
            "-j" | "--jump" => match value {
                // Their options say the rest; what comes after the change is ACCEPT.
                "snat" | "dnat" => self.target = Some(Step::Accept),
                "redirect" | "arpreply" | "mark" | "log" | "nflog" | "ulog" => return None,
                chain => {
                    self.target =
                        verdict(chain).unwrap_or_else(|| Some(Step::Call(format!("{} {chain}", self.table))))
                }
            },
            "--to-src" | "--to-source" => {
                self.verdict.push(set(Field::EthSrc, value)?);
            }
            "--to-dst" | "--to-destination" => self.verdict.push(set(Field::EthDst, value)?),
            "--snat-arp" => {
                let sources = self.verdict.iter().find_map(|step| match step {
                    Step::Set { field: Field::EthSrc, value: Value::Is(mac), .. } => Some(*mac),
                    _ => None,
                });
                self.verdict.push(Step::SetArpSender(sources?));
            }
            "--snat-target" | "--dnat-target" => self.target = verdict(value)?,
            // Counters (`-c packets bytes`) of `ebtables-save --counters`.
            "-c" | "--set-counters" => {}
            _ => return None,
        }
        Some(())
    }
}

/// The step of a verdict; inside, nothing for "go on".
fn verdict(name: &str) -> Option<Option<Step>> {
    match name {
        "ACCEPT" => Some(Some(Step::Accept)),
        "DROP" => Some(Some(Step::Drop)),
        "RETURN" => Some(Some(Step::Return)),
        "CONTINUE" => Some(None),
        _ => None,
    }
}

fn exactly(value: impl Into<u128>) -> (u128, u128) {
    let value = value.into();
    (value, value)
}

/// `tap+` is every name that begins so.
fn wildcard(name: &str) -> (u128, u128) {
    match name.strip_suffix('+') {
        Some(start) => {
            (interface(start), interface(start) | u128::MAX.checked_shr(start.len() as u32 * 8).unwrap_or(0))
        }
        None => exactly(interface(name)),
    }
}

fn ether_type(name: &str) -> Option<u16> {
    match name.to_ascii_lowercase().as_str() {
        "ipv4" | "ip" => Some(IPV4),
        "ipv6" => Some(IPV6),
        "arp" => Some(ARP),
        "rarp" => Some(RARP),
        "802_1q" | "8021q" => Some(0x8100),
        number => u16::from_str_radix(number.strip_prefix("0x")?, 16).ok(),
    }
}

fn upper(name: &str) -> Option<u8> {
    match name.to_ascii_lowercase().as_str() {
        "udp" => Some(UDP),
        "tcp" => Some(6),
        "icmp" => Some(1),
        "ipv6-icmp" | "icmpv6" => Some(ICMPV6),
        number => number.parse().ok(),
    }
}

fn operation(name: &str) -> Option<u16> {
    match name.to_ascii_lowercase().as_str() {
        "request" => Some(1),
        "reply" => Some(2),
        "request_reverse" => Some(3),
        "reply_reverse" => Some(4),
        number => number.parse().ok(),
    }
}

fn ports(text: &str) -> Option<(u128, u128)> {
    let port = |text: &str| text.parse::<u16>().ok().map(u128::from);
    match text.split_once(':') {
        Some((low, high)) => Some((port(low)?, port(high)?)),
        None => port(text).map(exactly),
    }
}

fn prefix4(text: &str) -> Option<(u128, u128)> {
    let (addr, mask) = match text.split_once('/') {
        None => return text.parse::<Ipv4Addr>().ok().map(|addr| exactly(u32::from(addr))),
        Some(parts) => parts,
    };
    let len = match mask.parse::<Ipv4Addr>() {
        Ok(mask) if u32::from(mask).leading_ones() + u32::from(mask).trailing_zeros() >= 32 => {
            u32::from(mask).leading_ones()
        }
        Ok(_) => return None,
        Err(_) => mask.parse().ok().filter(|len| *len <= 32)?,
    };
    let rest = u32::MAX.checked_shr(len).unwrap_or(0);
    let low = u32::from(addr.parse::<Ipv4Addr>().ok()?) & !rest;
    Some((low.into(), (low | rest).into()))
}

fn prefix6(text: &str) -> Option<(u128, u128)> {
    let (addr, len) = text.split_once('/').unwrap_or((text, "128"));
    let len = match len.parse::<Ipv6Addr>() {
        Ok(mask) => u128::from(mask).leading_ones(),
        Err(_) => len.parse().ok().filter(|len| *len <= 128)?,
    };
    let rest = u128::MAX.checked_shr(len).unwrap_or(0);
    let low = u128::from(addr.parse::<Ipv6Addr>().ok()?) & !rest;
    Some((low, low | rest))
}

pub(crate) fn mac_number(text: &str) -> Option<u128> {
    let mut bytes = text.split(':');
    let mut mac = 0;
    for _ in 0..6 {
        let byte = bytes.next().filter(|byte| matches!(byte.len(), 1 | 2))?;
        mac = mac << 8 | u128::from(u8::from_str_radix(byte, 16).ok()?);
    }
    bytes.next().is_none().then_some(mac)
}
