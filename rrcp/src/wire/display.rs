//! One line per frame, as a sniffer would print it.

use core::fmt;

use macaddr::MacAddr6;

use super::{Access, CpuTagFormat, Frame, FrameView, HelloReply, Message, Op, Probe, Rldp, Rrcp, Vector};

impl fmt::Display for FrameView<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} > {}, ", Mac(self.src()), Mac(self.dst()))?;
        self.tags().try_for_each(|tag| write!(f, "[{tag}] "))?;
        self.message().fmt(f)
    }
}

impl fmt::Display for Frame<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} > {}, {}", Mac(self.src), Mac(self.dst), self.message)
    }
}

impl fmt::Display for Message<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rrcp(rrcp) => rrcp.fmt(f),
            Self::Rep(rep) => {
                let name = if rep.reply { "reply" } else { "request" };
                write!(f, "echo {name}, cookie {}", rep.cookie)
            }
            Self::Probe(probe) => probe.fmt(f),
            Self::CpuTag(tag) => {
                let name = match tag.format() {
                    CpuTagFormat::Rtl8365 => "8-byte CPU tag",
                    CpuTagFormat::Rtl8306 => "RTL8306 CPU tag",
                    CpuTagFormat::Rtl8366 => "RTL8366 CPU tag",
                };
                write!(f, "{name}, ports {:#06x}, EtherType {}", tag.ports_raw(), tag.ether_type())
            }
            Self::Unknown(unknown) => {
                let len = unknown.payload().len();
                write!(f, "unknown protocol {:#04x}, {len} bytes", unknown.protocol())
            }
        }
    }
}

impl fmt::Display for Rrcp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.op {
            Op::Hello => f.write_str("hello")?,
            Op::HelloReply(reply) => write!(f, "hello reply, {reply}")?,
            Op::Get(Access { register, cookie, .. }) => write!(f, "get {register}, cookie {cookie}")?,
            Op::GetReply(access) => write!(f, "get reply {access}")?,
            Op::Set(access) => write!(f, "set {access}")?,
        }
        write!(f, ", key {}", self.key)
    }
}

impl fmt::Display for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} = {:#010x}, cookie {}", self.register, self.data, self.cookie)
    }
}

impl fmt::Display for HelloReply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "downlink port {}, ", self.downlink_port)?;
        match self.uplink() {
            Some((mac, port)) => write!(f, "uplink {} port {port}, ", Mac(mac))?,
            None => f.write_str("no uplink, ")?,
        }
        write!(f, "chip {}, vendor {}", self.chip, self.vendor)
    }
}

impl fmt::Display for Probe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Classic { ttl } => write!(f, "loop probe, classic, ttl {}", ttl.get()),
            Self::Short { ttl } => write!(f, "loop probe, RLDP short, ttl {}", ttl.get()),
            Self::Rldp(Rldp { random, magic, port }) => {
                write!(
                    f,
                    "loop probe, RLDP, random {}, magic {}, ",
                    Mac(random.get().into()),
                    Mac((*magic).into())
                )?;
                write!(f, "port {port}")
            }
            Self::Vector(Vector { root, cost, bridge, port_priority, port }) => {
                write!(f, "loop prevention, root {}, cost {cost}, ", Mac(root.mac))?;
                write!(f, "bridge {}, port {port_priority:02x}.{port}", Mac(bridge.mac))
            }
        }
    }
}

/// Lower case, as the other tools of the field print addresses.
struct Mac(MacAddr6);

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0.into_array();
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}
