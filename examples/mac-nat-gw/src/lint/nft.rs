//! Reads what `nft -j list ruleset` prints: the bridge and netdev families.
//!
//! nft leaves out of a listing what a field implies (`arp saddr ip` is about ARP frames), so the
//! reader puts it back.

use serde_json::Value as Json;

use super::ebtables::mac_number;
use super::field::{ARP, Field, ICMPV6, IPV4, IPV6, Layer, Notation, RARP, UDP, interface, mask};
use super::model::{Among, Checksum, Element, End, Hook, Point, Program, Rule, Step, Test, Update, Value};

/// # Errors
/// What is wrong with the JSON as a whole.
pub(crate) fn read(text: &str) -> Result<Program, String> {
    // Before its output nft may warn.
    let start = text.find('{').unwrap_or(0);
    let json: Json = serde_json::from_str(text.get(start..).unwrap_or_default())
        .map_err(|error| format!("this is no JSON: {error}"))?;
    let Some(items) = json.get("nftables").and_then(Json::as_array) else {
        return Err("there is no list `nftables` in it; `nft -j list ruleset` prints one".into());
    };
    let mut program = Program::default();
    for (number, item) in (1..).zip(items) {
        let Some((kind, body)) = item.as_object().and_then(|item| item.iter().next()) else { continue };
        let family = text_of(body, "family");
        if !["bridge", "netdev"].contains(&family) {
            continue;
        }
        let mut reader =
            Reader { program: &mut program, number, scope: scope(body), shown: shown(kind, body) };
        match kind.as_str() {
            "set" | "map" => reader.set(body),
            "chain" => reader.chain(body, family),
            "rule" => reader.rule(body),
            _ => {}
        }
    }
    Ok(program)
}

fn text_of<'a>(json: &'a Json, key: &str) -> &'a str {
    json.get(key).and_then(Json::as_str).unwrap_or_default()
}

/// Names are unique in a table.
fn scope(body: &Json) -> String {
    format!("{} {} ", text_of(body, "family"), text_of(body, "table"))
}

fn shown(kind: &str, body: &Json) -> String {
    match body.get("expr") {
        Some(expr) if kind == "rule" => format!("{}: {expr}", text_of(body, "chain")),
        _ => format!("{kind} {}", text_of(body, "name")),
    }
}

struct Reader<'a> {
    program: &'a mut Program,
    number: usize,
    scope: String,
    shown: String,
}

impl Reader<'_> {
    fn doubt(&mut self, what: impl Into<String>) -> Step {
        let shown = self.shown.clone();
        self.program.doubt(self.number, &shown, what)
    }

    fn name(&self, name: &str) -> String {
        format!("{}{}", self.scope, name.trim_start_matches('@'))
    }

    fn set(&mut self, body: &Json) {
        let mut elements = Vec::new();
        for json in body.get("elem").and_then(Json::as_array).into_iter().flatten() {
            // A map has pairs; an element with a timeout is an object around its value.
            let (key, data) = match json.as_array().map(Vec::as_slice) {
                Some([key, data]) => (key, Some(data)),
                _ => (json, None),
            };
            let element =
                key_of(key).map(|key| Element { key, data: data.and_then(|data| any(unwrap(data))) });
            match element {
                Some(element) if data.is_none() || element.data.is_some() => elements.push(element),
                _ => drop(self.doubt(format!("element {json}"))),
            }
        }
        let name = self.name(text_of(body, "name"));
        self.program.sets.insert(name, elements.into());
    }

    fn chain(&mut self, body: &Json, family: &str) {
        let name = self.name(text_of(body, "name"));
        let ends = if text_of(body, "policy") == "drop" { End::Drop } else { End::Return };
        self.program.chains.entry(name.clone()).or_default().ends = ends;
        let at = match (family, text_of(body, "hook")) {
            (_, "") => return,
            ("bridge", "prerouting") => Point::Prerouting,
            ("bridge", "input") => Point::Input,
            ("bridge", "forward") => Point::Forward,
            ("bridge", "postrouting") => Point::Postrouting,
            ("netdev", "ingress") => Point::Ingress,
            ("netdev", "egress") => Point::Egress,
            // What the host itself sends is none of our business.
            ("bridge", "output") => return,
            (_, hook) => return drop(self.doubt(format!("hook {hook}"))),
        };
        let priority = body.get("prio").and_then(Json::as_i64).unwrap_or_default();
        let devices = match body.get("dev") {
            Some(Json::String(device)) => vec![Some(device.clone())],
            Some(Json::Array(devices)) => {
                devices.iter().map(|device| device.as_str().map(str::to_owned)).collect()
            }
            _ => {
                if family == "netdev" {
                    self.doubt("nft does not say at which device this chain is; taken as at all of them");
                }
                vec![None]
            }
        };
        for device in devices {
            self.program.hooks.push(Hook { at, device, priority, chain: name.clone() });
        }
    }

    fn rule(&mut self, body: &Json) {
        let mut steps = Vec::new();
        for statement in body.get("expr").and_then(Json::as_array).into_iter().flatten() {
            if self.statement(statement, &mut steps).is_none() {
                let shown = statement.to_string();
                steps.push(self.doubt(shown));
            }
        }
        let chain = self.name(text_of(body, "chain"));
        let rule = Rule { line: self.number, priority: 0, steps };
        self.program.push(&chain, rule);
    }

    fn statement(&self, json: &Json, steps: &mut Vec<Step>) -> Option<()> {
        if let Some(text) = json.as_str() {
            return self.plain_update(text, steps);
        }
        let (kind, body) = json.as_object()?.iter().next()?;
        match kind.as_str() {
            "match" => self.test(body, steps)?,
            "mangle" => self.mangle(body, steps)?,
            "set" | "map" if body.get("op").is_some() => self.update(body, steps)?,
            "jump" => steps.push(Step::Call(self.name(body.get("target")?.as_str()?))),
            "goto" => steps.push(Step::Go(self.name(body.get("target")?.as_str()?))),
            "accept" => steps.push(Step::Accept),
            "drop" => steps.push(Step::Drop),
            "return" => steps.push(Step::Return),
            "counter" | "log" => {}
            _ => return None,
        }
        Some(())
    }

    fn test(&self, body: &Json, steps: &mut Vec<Step>) -> Option<()> {
        let op = body.get("op")?.as_str()?;
        let (fields, bits) = match body.get("left")?.get("&").and_then(Json::as_array).map(Vec::as_slice) {
            Some([left, bits]) => (fields(left, steps)?, Some(any(bits)?)),
            _ => (fields(body.get("left")?, steps)?, None),
        };
        let right = body.get("right")?;
        let negated = op == "!=";
        if let [field] = fields.as_slice()
            && let Some((limit, _)) = value(*field, right).filter(|_| op.starts_with(['<', '>']))
        {
            let range = match op {
                "<" if limit > 0 => Some((0, limit - 1)),
                "<=" => Some((0, limit)),
                ">" => Some((limit + 1, u128::MAX)),
                ">=" => Some((limit, u128::MAX)),
                _ => None,
            };
            if let Some(range) = range {
                steps.push(Test::within(*field, range));
                return bits.is_none().then_some(());
            }
        }
        if !["==", "!=", "in"].contains(&op) {
            return None;
        }
        let among = match right.as_str().filter(|name| name.starts_with('@')) {
            Some(name) => Among::Set(self.name(name)),
            None => self.literal(right, &fields)?,
        };
        steps.push(Step::Test(Test { fields, mask: bits, negated, among }));
        Some(())
    }

    /// Values that stand in the rule itself.
    fn literal(&self, json: &Json, fields: &[Field]) -> Option<Among> {
        let items = match json.get("set").and_then(Json::as_array) {
            Some(items) => items.as_slice(),
            None => core::slice::from_ref(json),
        };
        let element = |json: &Json| {
            let (key, data) = match json.as_array().map(Vec::as_slice) {
                Some([key, data]) => (key, Some(any(data)?)),
                _ => (json, None),
            };
            let key = match (key_of(key), fields) {
                // Names such as `request` or `arp` mean something to their field only.
                (_, [field]) if key.is_string() => vec![value(*field, key)?],
                (Some(key), _) => key,
                (None, _) => return None,
            };
            Some(Element { key, data })
        };
        items.iter().map(element).collect::<Option<Vec<_>>>().map(Among::These)
    }

    fn mangle(&self, body: &Json, steps: &mut Vec<Step>) -> Option<()> {
        let [field] = fields(body.get("key")?, steps)?[..] else { return None };
        let writable =
            matches!(field.notation(), Notation::Mac) || matches!(field, Field::Raw(..) | Field::UdpChecksum);
        let json = body.get("value")?;
        let new = match json.get("map") {
            Some(map) => {
                let key = fields(map.get("key")?, steps)?;
                let data = map.get("data")?;
                let among = match data.as_str() {
                    Some(name) => Among::Set(self.name(name)),
                    None => self.literal(data, &key)?,
                };
                Value::Map { key, among }
            }
            None => Value::Is(value(field, json)?.0),
        };
        steps.push(Step::Set { field, value: new, checksum: Checksum::Stays });
        writable.then_some(())
    }

    fn update(&self, body: &Json, steps: &mut Vec<Step>) -> Option<()> {
        let name = body.get("set").or(body.get("map"))?.as_str()?;
        let key = fields(unwrap(body.get("elem")?), steps)?;
        let data = match body.get("data") {
            Some(data) => Some(*fields(data, steps)?.first()?),
            None => None,
        };
        let kind = operation(body.get("op")?.as_str()?)?;
        steps.push(Step::Update { set: self.name(name), key, data, kind });
        Some(())
    }

    /// nft up to 1.0.9 has no JSON for changes of maps and prints them as it would elsewhere:
    /// `update @probe { arp daddr ip : arp saddr ether }`.
    fn plain_update(&self, text: &str, steps: &mut Vec<Step>) -> Option<()> {
        let (head, rest) = text.split_once('{')?;
        let (kind, set) = head.trim().split_once(' ')?;
        let body = rest.trim_end().strip_suffix('}')?;
        let (key, data) = body.split_once(" : ").map_or((body, None), |(key, data)| (key, Some(data)));
        let mut named = |name: &str| {
            // What follows the field's name is a timeout.
            let words: Vec<&str> = name.split_whitespace().take_while(|word| *word != "timeout").collect();
            let (protocol, field) = words.split_first()?;
            payload(protocol, &field.join(" "), steps)
        };
        let key = key.split(" . ").map(&mut named).collect::<Option<Vec<_>>>()?;
        let data = match data {
            Some(data) => Some(named(data)?),
            None => None,
        };
        steps.push(Step::Update { set: self.name(set.trim()), key, data, kind: operation(kind)? });
        Some(())
    }
}

fn operation(name: &str) -> Option<Update> {
    Some(match name {
        "add" => Update::Add,
        "update" => Update::Refresh,
        "delete" => Update::Delete,
        _ => return None,
    })
}

/// The fields that an expression reads, after the tests that they imply.
fn fields(json: &Json, steps: &mut Vec<Step>) -> Option<Vec<Field>> {
    if let Some(parts) = json.get("concat").and_then(Json::as_array) {
        return parts.iter().map(|part| fields(part, steps)?.first().copied()).collect();
    }
    if let Some(meta) = json.get("meta") {
        return Some(vec![match meta.get("key")?.as_str()? {
            "iifname" | "iif" => Field::In,
            "oifname" | "oif" => Field::Out,
            "protocol" => Field::Type,
            "l4proto" => Field::Upper,
            _ => return None,
        }]);
    }
    let body = json.get("payload")?;
    if let Some(base) = body.get("base") {
        let layer = match base.as_str()? {
            "ll" => Layer::Link,
            "nh" => Layer::Network,
            "th" => Layer::Transport,
            _ => return None,
        };
        let number = |key: &str| body.get(key)?.as_u64().and_then(|value| u32::try_from(value).ok());
        let bits = number("len").filter(|bits| (1..=128).contains(bits))?;
        let offset = number("offset").filter(|bit| *bit < 1 << 16)?;
        return Some(vec![Field::Raw(layer, offset, bits)]);
    }
    payload(body.get("protocol")?.as_str()?, body.get("field")?.as_str()?, steps).map(|field| vec![field])
}

/// A field by its protocol and name.
fn payload(protocol: &str, name: &str, steps: &mut Vec<Step>) -> Option<Field> {
    let is = |field, value: u16| Test::is(field, value.into());
    let (tests, field) = match (protocol, name) {
        ("ether", "daddr") => (vec![], Field::EthDst),
        ("ether", "saddr") => (vec![], Field::EthSrc),
        // It stands behind the addresses, so with a tag it is the tag's.
        ("ether", "type") => (vec![], Field::OuterType),
        ("arp", name) => {
            let field = match name {
                "operation" => Field::ArpOp,
                "saddr ether" => Field::ArpSha,
                "saddr ip" => Field::ArpSpa,
                "daddr ether" => Field::ArpTha,
                "daddr ip" => Field::ArpTpa,
                _ => return None,
            };
            (vec![is(Field::OuterType, ARP)], field)
        }
        ("ip", "saddr") => (vec![is(Field::Type, IPV4)], Field::Ip4Src),
        ("ip", "daddr") => (vec![is(Field::Type, IPV4)], Field::Ip4Dst),
        ("ip", "protocol") => (vec![is(Field::Type, IPV4)], Field::Upper),
        ("ip6", "saddr") => (vec![is(Field::Type, IPV6)], Field::Ip6Src),
        ("ip6", "daddr") => (vec![is(Field::Type, IPV6)], Field::Ip6Dst),
        ("ip6", "length") => (vec![is(Field::Type, IPV6)], Field::Raw(Layer::Network, 32, 16)),
        ("ip6", "nexthdr") => (vec![is(Field::Type, IPV6)], Field::Upper),
        ("udp", "sport") => (vec![is(Field::Upper, UDP.into())], Field::SrcPort),
        ("udp", "dport") => (vec![is(Field::Upper, UDP.into())], Field::DstPort),
        ("udp", "checksum") => (vec![is(Field::Upper, UDP.into())], Field::UdpChecksum),
        ("tcp", "sport") => (vec![is(Field::Upper, 6)], Field::SrcPort),
        ("tcp", "dport") => (vec![is(Field::Upper, 6)], Field::DstPort),
        ("icmpv6", "type") => (vec![is(Field::Upper, ICMPV6.into())], Field::IcmpType),
        ("icmpv6", "code") => (vec![is(Field::Upper, ICMPV6.into())], Field::IcmpCode),
        ("icmp", "type") => (vec![is(Field::Upper, 1)], Field::IcmpType),
        _ => return None,
    };
    steps.extend(tests);
    Some(field)
}

/// The key of an element: a value, a range, a prefix, or several of them.
fn key_of(json: &Json) -> Option<Vec<(u128, u128)>> {
    let json = unwrap(json);
    match json.get("concat").and_then(Json::as_array) {
        Some(parts) => parts.iter().map(range).collect(),
        None => range(json).map(|range| vec![range]),
    }
}

/// An element with a timeout or a comment is an object around its value.
fn unwrap(json: &Json) -> &Json {
    json.get("elem").and_then(|elem| elem.get("val")).unwrap_or(json)
}

fn range(json: &Json) -> Option<(u128, u128)> {
    if let Some([low, high]) = json.get("range").and_then(Json::as_array).map(Vec::as_slice) {
        return Some((any(low)?, any(high)?));
    }
    if let Some(prefix) = json.get("prefix") {
        let addr = prefix.get("addr")?.as_str()?;
        let bits = if addr.contains(':') { 128 } else { 32 };
        let len = prefix.get("len")?.as_u64().filter(|len| *len <= bits)?;
        let rest = mask((bits - len) as usize);
        let low = any(prefix.get("addr")?)? & !rest;
        return Some((low, low | rest));
    }
    any(json).map(|value| (value, value))
}

/// A value by its looks.
fn any(json: &Json) -> Option<u128> {
    if let Some(number) = json.as_u64() {
        return Some(number.into());
    }
    let text = json.as_str()?;
    let ip4 = || text.parse::<std::net::Ipv4Addr>().ok().map(|addr| u32::from(addr).into());
    let ip6 = || text.parse::<std::net::Ipv6Addr>().ok().map(u128::from);
    let hex = || u128::from_str_radix(text.strip_prefix("0x")?, 16).ok();
    let name =
        || (!text.is_empty() && text.len() < 16 && !text.contains(['*', ':'])).then(|| interface(text));
    mac_number(text).or_else(ip4).or_else(ip6).or_else(hex).or_else(name)
}

/// A value of this field.
fn value(field: Field, json: &Json) -> Option<(u128, u128)> {
    let Some(text) = json.as_str() else { return range(json) };
    let named = match (field, text) {
        (Field::In | Field::Out, text) => {
            return Some(match text.strip_suffix('*') {
                Some(start) => {
                    let low = interface(start);
                    (low, low | u128::MAX.checked_shr(start.len() as u32 * 8).unwrap_or(0))
                }
                None => (interface(text), interface(text)),
            });
        }
        (Field::OuterType | Field::Type, "ip") => IPV4.into(),
        (Field::OuterType | Field::Type, "ip6") => IPV6.into(),
        (Field::OuterType | Field::Type, "arp") => ARP.into(),
        (Field::OuterType | Field::Type, "vlan" | "8021q") => 0x8100,
        (Field::OuterType | Field::Type, "8021ad") => 0x88A8,
        (Field::OuterType | Field::Type, "rarp") => RARP.into(),
        (Field::ArpOp, "request") => 1,
        (Field::ArpOp, "reply") => 2,
        (Field::ArpOp, "rrequest") => 3,
        (Field::ArpOp, "rreply") => 4,
        (Field::Upper, "udp") => UDP.into(),
        (Field::Upper, "tcp") => 6,
        (Field::Upper, "icmp") => 1,
        (Field::Upper, "ipv6-icmp" | "icmpv6") => ICMPV6.into(),
        (Field::IcmpType, "nd-router-solicit") => 133,
        (Field::IcmpType, "nd-router-advert") => 134,
        (Field::IcmpType, "nd-neighbor-solicit") => 135,
        (Field::IcmpType, "nd-neighbor-advert") => 136,
        (Field::IcmpType, "nd-redirect") => 137,
        (field, _) if field.notation() == Notation::Number => {
            u128::from_str_radix(text.strip_prefix("0x")?, 16).ok()?
        }
        _ => return range(json),
    };
    Some((named, named))
}
