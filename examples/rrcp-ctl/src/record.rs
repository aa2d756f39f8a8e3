//! A frame as one JSON object: the shape that `--json` prints, field names as in the `rrcp` crate.

use rrcp::wire::{Access, CpuTagFormat, HelloReply, Op, Rldp, Rrcp, Vector};
use rrcp::{MacAddr6, Message, ParseError, Probe, Tag};
use serde::Serialize;

/// One frame of the family.
#[derive(Debug, Serialize)]
pub struct Record {
    /// Number in the capture, from 1, as sniffers count.
    pub frame: u64,
    /// Seconds since the first frame of the capture, if it carries times.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time: Option<f64>,
    /// What the frame says; its field `kind` names which.
    #[serde(flatten)]
    pub body: Body,
    /// Source address.
    pub src: String,
    /// Destination address.
    pub dst: String,
    /// VLAN of the outermost tag, `null` if it names none.
    pub vlan: Option<u16>,
    /// All tags, outermost first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<TagRecord>,
}

/// A VLAN tag.
#[derive(Debug, Serialize)]
pub struct TagRecord {
    tpid: String,
    vid: u16,
    pcp: u8,
    dei: bool,
}

/// The fields of each kind. Ids, addresses and keys are hexadecimal strings, values are numbers.
#[derive(Debug, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
#[expect(missing_docs, reason = "the fields are those of `rrcp::wire`")]
pub enum Body {
    Hello {
        key: String,
    },
    HelloReply {
        key: String,
        downlink_port: u8,
        uplink_port: u8,
        /// `null` as long as no RRCP switch forwarded the reply.
        uplink_mac: Option<String>,
        chip: String,
        vendor: String,
    },
    Get {
        key: String,
        #[serde(flatten)]
        access: AccessRecord,
    },
    GetReply {
        key: String,
        #[serde(flatten)]
        access: AccessRecord,
    },
    Set {
        key: String,
        #[serde(flatten)]
        access: AccessRecord,
    },
    EchoRequest {
        cookie: String,
    },
    EchoReply {
        cookie: String,
    },
    ProbeClassic {
        ttl: u8,
    },
    ProbeShort {
        ttl: u8,
    },
    ProbeRldp {
        random: String,
        magic: String,
        port: u8,
    },
    ProbeVector {
        root: String,
        cost: u16,
        bridge: String,
        port_priority: u8,
        port: u8,
    },
    CpuTag {
        format: &'static str,
        ports: u16,
        ether_type: String,
    },
    Unknown {
        protocol: String,
        payload: String,
    },
    /// The frame ends before the last field of its kind.
    Malformed {
        error: String,
    },
}

/// A register and its value.
#[derive(Debug, Serialize)]
pub struct AccessRecord {
    register: String,
    data: u32,
    cookie: String,
}

impl Record {
    /// The record of frame number `frame`, of which `body` says what is behind the EtherType.
    pub fn new(frame: u64, time: Option<f64>, ethernet: &vlan_table::FrameView<'_>, body: Body) -> Self {
        Self {
            frame,
            time,
            body,
            src: mac(ethernet.src().into()),
            dst: mac(ethernet.dst().into()),
            vlan: ethernet.outer_tag().and_then(Tag::vlan).map(u16::from),
            tags: ethernet.tags().map(TagRecord::from).collect(),
        }
    }
}

impl From<Tag> for TagRecord {
    fn from(tag: Tag) -> Self {
        Self { tpid: tag.tpid.to_string(), vid: tag.vid.raw(), pcp: tag.pcp.get(), dei: tag.dei }
    }
}

impl From<Message<'_>> for Body {
    fn from(message: Message<'_>) -> Self {
        match message {
            Message::Rrcp(rrcp) => rrcp.into(),
            Message::Rep(rep) if rep.reply => Self::EchoReply { cookie: rep.cookie.to_string() },
            Message::Rep(rep) => Self::EchoRequest { cookie: rep.cookie.to_string() },
            Message::Probe(probe) => probe.into(),
            Message::CpuTag(tag) => Self::CpuTag {
                format: match tag.format() {
                    CpuTagFormat::Rtl8365 => "rtl8365",
                    CpuTagFormat::Rtl8306 => "rtl8306",
                    CpuTagFormat::Rtl8366 => "rtl8366",
                },
                ports: tag.ports_raw(),
                ether_type: tag.ether_type().to_string(),
            },
            Message::Unknown(unknown) => Self::Unknown {
                protocol: format!("{:#04x}", unknown.protocol()),
                payload: hex(unknown.payload()),
            },
        }
    }
}

impl From<ParseError> for Body {
    fn from(error: ParseError) -> Self {
        Self::Malformed { error: error.to_string() }
    }
}

impl From<Rrcp> for Body {
    fn from(Rrcp { key, op }: Rrcp) -> Self {
        let key = key.to_string();
        match op {
            Op::Hello => Self::Hello { key },
            Op::HelloReply(HelloReply { downlink_port, uplink_port, uplink_mac, chip, vendor }) => {
                Self::HelloReply {
                    key,
                    downlink_port,
                    uplink_port,
                    uplink_mac: (!uplink_mac.is_nil()).then(|| mac(uplink_mac)),
                    chip: chip.to_string(),
                    vendor: vendor.to_string(),
                }
            }
            Op::Get(access) => Self::Get { key, access: access.into() },
            Op::GetReply(access) => Self::GetReply { key, access: access.into() },
            Op::Set(access) => Self::Set { key, access: access.into() },
        }
    }
}

impl From<Access> for AccessRecord {
    fn from(Access { register, data, cookie }: Access) -> Self {
        Self { register: register.to_string(), data, cookie: cookie.to_string() }
    }
}

impl From<Probe> for Body {
    fn from(probe: Probe) -> Self {
        match probe {
            Probe::Classic { ttl } => Self::ProbeClassic { ttl: ttl.get() },
            Probe::Short { ttl } => Self::ProbeShort { ttl: ttl.get() },
            Probe::Rldp(Rldp { random, magic, port }) => {
                Self::ProbeRldp { random: hex(&random.get()), magic: hex(&magic), port }
            }
            Probe::Vector(Vector { root, cost, bridge, port_priority, port }) => {
                Self::ProbeVector { root: mac(root.mac), cost, bridge: mac(bridge.mac), port_priority, port }
            }
        }
    }
}

/// An address in lower case with colons.
pub fn mac(mac: MacAddr6) -> String {
    mac.to_string().to_lowercase()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
