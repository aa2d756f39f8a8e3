//! From a machine to the provider: the machine's MAC becomes a wire MAC wherever it stands.

use core::net::{Ipv4Addr, Ipv6Addr};

use vlan_table::PortId;
use vlan_table::frame::is_group;

use super::keys::{AddrKey, DhcpKey};
use super::stations::Role;
use super::{Checksums, MacNat, nanos, put};
use crate::checksum::{adjust, adjust_udp};
use crate::config::{ClientId, Treatment};
use crate::frame::{Arp, Body, Dhcp, Header, Ipv4, Ipv6, Mac, Nd, NdKind, Upper4, Upper6};
use crate::{DropReason, Side, Verdict};

const BROADCAST_FLAG: u8 = 0x80;

impl MacNat {
    #[inline]
    pub(super) fn egress(
        &mut self,
        now: u64,
        port: PortId,
        frame: &mut [u8],
        checksums: Checksums,
    ) -> Result<Verdict, DropReason> {
        let header = Header::new(frame)?;
        if self.ports.get(port).is_none() {
            return Err(DropReason::UnknownPort);
        }
        if is_group(header.src) {
            return Err(DropReason::GroupSource);
        }
        if header.is_group() {
            if header.is_link_local() {
                return Err(DropReason::LinkLocal);
            }
        } else if let Some(role) = self.role(header.dst).copied() {
            return self.stay_inside(now, port, &header, role, frame);
        }
        let wire = match Body::new(frame, &header)? {
            Body::Ipv4(ipv4) => self.egress_ipv4(now, port, &header, &ipv4, frame, checksums)?,
            Body::Ipv6(ipv6) => self.egress_ipv6(now, port, &header, &ipv6, frame, checksums)?,
            Body::Arp(arp) => self.egress_arp(now, port, &header, &arp, frame)?,
            Body::Rarp(arp) => self.egress_rarp(now, port, &header, &arp, frame)?,
            Body::WakeOnLan => self.nameless(now, port, header.src)?,
            Body::Other => return Err(DropReason::Protocol),
        };
        put(frame, Header::SRC, &wire);
        Ok(if header.is_group() { Verdict::Flood } else { Verdict::Forward(Side::Uplink) })
    }

    /// The destination is a MAC that we know: another machine, the host, or a mistake.
    fn stay_inside(
        &mut self,
        now: u64,
        port: PortId,
        header: &Header,
        role: Role,
        frame: &[u8],
    ) -> Result<Verdict, DropReason> {
        if let Some(to) = self.inside_station(now, header.dst) {
            self.admit_mac(port, header.src)?;
            return if to == port {
                Err(DropReason::SamePort)
            } else {
                Ok(Verdict::Forward(Side::Inside(to)))
            };
        }
        match role {
            Role::Host => {
                self.admit_mac(port, header.src)?;
                self.hear_answer(now, port, header, frame)?;
                Ok(Verdict::Forward(Side::Host))
            }
            Role::Wire { .. } => Err(DropReason::WireMacInside),
            // One that we have forgotten: nobody outside can have it.
            Role::Station(_) => Err(DropReason::Unknown),
        }
    }

    /// What is said to the host may be the answer to a question of ours.
    fn hear_answer(
        &mut self,
        now: u64,
        port: PortId,
        header: &Header,
        frame: &[u8],
    ) -> Result<(), DropReason> {
        match Body::new(frame, header) {
            Ok(Body::Arp(arp)) if arp.sha == header.src && !arp.spa.is_unspecified() => {
                self.claim_v4(now, port, header, arp.spa)?;
            }
            Ok(Body::Ipv6(Ipv6 { upper: Upper6::Nd(nd), .. })) => {
                if let (NdKind::NeighbourAdvertisement, Some(target)) = (nd.kind, nd.target) {
                    self.claim_v6(now, port, header, target)?;
                }
            }
            _ => {}
        }
        Ok(())
    }

    #[inline]
    fn egress_ipv4(
        &mut self,
        now: u64,
        port: PortId,
        header: &Header,
        ipv4: &Ipv4,
        frame: &mut [u8],
        checksums: Checksums,
    ) -> Result<Mac, DropReason> {
        let wire = if ipv4.src.is_unspecified() {
            match ipv4.upper {
                Upper4::Dhcp(Dhcp { request: true, .. }) | Upper4::Igmp => {}
                _ => return Err(DropReason::BadAddress),
            }
            self.nameless(now, port, header.src)?
        } else {
            self.claim_v4(now, port, header, ipv4.src)?
        };
        if let Upper4::Dhcp(dhcp) = ipv4.upper {
            self.egress_dhcp(now, port, header, &dhcp, frame, (wire, checksums))?;
        }
        Ok(wire)
    }

    #[cold]
    fn egress_dhcp(
        &mut self,
        now: u64,
        port: PortId,
        header: &Header,
        dhcp: &Dhcp,
        frame: &mut [u8],
        (wire, checksums): (Mac, Checksums),
    ) -> Result<(), DropReason> {
        if !dhcp.request {
            return match self.config.policy.dhcp_servers {
                Treatment::Drop => Err(DropReason::DhcpServer),
                Treatment::Translate => Ok(()),
            };
        }
        if dhcp.relayed || !dhcp.ethernet {
            return Ok(());
        }
        if self.is_single() {
            // The provider knows one MAC: only a broadcast finds its way to a client without an
            // address.
            if !dhcp.has_ciaddr {
                rewrite_udp(frame, dhcp, dhcp.udp + Dhcp::FLAGS, checksums, |[flags, rest]| {
                    [flags | BROADCAST_FLAG, rest]
                });
            }
            return Ok(());
        }
        if dhcp.chaddr != header.src {
            return Err(DropReason::DhcpClient);
        }
        let key = DhcpKey { xid: dhcp.xid, wire, vlans: header.vlans };
        let until = now.saturating_add(nanos(self.config.timers.dhcp));
        if self.leases.note(now, key, port, header.src, until).is_err() {
            self.counters.refused_pending += 1;
        }
        rewrite_udp(frame, dhcp, dhcp.udp + Dhcp::CHADDR, checksums, |_| wire);
        if self.config.policy.client_id == ClientId::Rewrite {
            rewrite_client_id(frame, dhcp, checksums, header.src, wire);
        }
        Ok(())
    }

    #[inline]
    fn egress_ipv6(
        &mut self,
        now: u64,
        port: PortId,
        header: &Header,
        ipv6: &Ipv6,
        frame: &mut [u8],
        checksums: Checksums,
    ) -> Result<Mac, DropReason> {
        let Upper6::Nd(nd) = ipv6.upper else {
            return match (ipv6.src.is_unspecified(), ipv6.upper) {
                (false, _) => self.claim_v6(now, port, header, ipv6.src),
                (true, Upper6::Mld) => self.nameless(now, port, header.src),
                (true, _) => Err(DropReason::BadAddress),
            };
        };
        let wire = self.egress_nd_source(now, port, header, ipv6, &nd)?;
        if nd.link_layer {
            if nd.signed {
                return Err(DropReason::SignedNd);
            }
            rewrite_nd(frame, &nd, wire, checksums);
        }
        Ok(wire)
    }

    /// The address that a neighbour discovery message speaks for.
    fn egress_nd_source(
        &mut self,
        now: u64,
        port: PortId,
        header: &Header,
        ipv6: &Ipv6,
        nd: &Nd,
    ) -> Result<Mac, DropReason> {
        let routers_only = matches!(nd.kind, NdKind::RouterAdvertisement | NdKind::Redirect);
        if routers_only && self.config.policy.router_messages == Treatment::Drop {
            return Err(DropReason::RouterMessage);
        }
        if ipv6.src.is_unspecified() {
            // Duplicate address detection, or a solicitation before it: nobody owns anything yet.
            return match (nd.kind, nd.target, nd.link_layer) {
                (NdKind::NeighbourSolicitation, Some(target), false) => {
                    let key = AddrKey::v6(header.vlans, target);
                    self.nameless(now, port, header.src)?;
                    self.wire_for(now, port, header.src, key)
                }
                (NdKind::RouterSolicitation, _, false) => self.nameless(now, port, header.src),
                _ => Err(DropReason::BadNd),
            };
        }
        let wire = self.claim_v6(now, port, header, ipv6.src)?;
        match (nd.kind, nd.target) {
            (NdKind::NeighbourAdvertisement, Some(target)) if target != ipv6.src => {
                self.claim_v6(now, port, header, target)
            }
            _ => Ok(wire),
        }
    }

    fn egress_arp(
        &mut self,
        now: u64,
        port: PortId,
        header: &Header,
        arp: &Arp,
        frame: &mut [u8],
    ) -> Result<Mac, DropReason> {
        if arp.sha != header.src && !is_virtual_router(header.src) && !is_virtual_router(arp.sha) {
            return Err(DropReason::ArpSender);
        }
        if is_group(arp.sha) {
            return Err(DropReason::BadArp);
        }
        let sender = header.sent_by(arp.sha);
        let wire = if arp.spa.is_unspecified() {
            if arp.oper != Arp::REQUEST || arp.tpa.is_unspecified() {
                return Err(DropReason::BadArp);
            }
            self.note_probe(now, port, &sender, arp.tpa)?
        } else {
            self.claim_v4(now, port, &sender, arp.spa)?
        };
        self.rewrite_arp(frame, header, arp, wire);
        Ok(wire)
    }

    fn egress_rarp(
        &mut self,
        now: u64,
        port: PortId,
        header: &Header,
        arp: &Arp,
        frame: &mut [u8],
    ) -> Result<Mac, DropReason> {
        if self.config.policy.rarp == Treatment::Drop {
            return Err(DropReason::Rarp);
        }
        let wire = self.nameless(now, port, header.src)?;
        self.rewrite_arp(frame, header, arp, wire);
        Ok(wire)
    }

    /// The sender always, the target unless it plainly is the receiver or nobody: an announcement
    /// sent as a reply names its sender twice, and a machine that we have not met may be named too.
    fn rewrite_arp(&self, frame: &mut [u8], header: &Header, arp: &Arp, wire: Mac) {
        put(frame, arp.at + Arp::SHA, &wire);
        if ![[0; 6], [0xFF; 6], header.dst].contains(&arp.tha) {
            put(frame, arp.at + Arp::THA, &wire);
        }
    }

    /// An address probe (RFC 5227): owns nothing, but wants the answer.
    fn note_probe(
        &mut self,
        now: u64,
        port: PortId,
        header: &Header,
        tpa: Ipv4Addr,
    ) -> Result<Mac, DropReason> {
        let key = AddrKey::v4(header.vlans, tpa);
        self.nameless(now, port, header.src)?;
        let wire = self.wire_for(now, port, header.src, key)?;
        let until = now.saturating_add(nanos(self.config.timers.probe));
        if self.probes.note(now, key, port, header.src, until).is_err() {
            self.counters.refused_pending += 1;
        }
        Ok(wire)
    }

    /// The wire MAC that the machine would have with this address.
    fn wire_for(&self, now: u64, port: PortId, mac: Mac, key: AddrKey) -> Result<Mac, DropReason> {
        match self.resolve(now, key) {
            Some(source) if source.port == Some(port) && source.inside == mac => Ok(source.wire),
            _ => self.default_wire(port, mac),
        }
    }

    /// A machine that does not say its address.
    fn nameless(&mut self, now: u64, port: PortId, mac: Mac) -> Result<Mac, DropReason> {
        self.admit_mac(port, mac)?;
        self.see(now, port, mac);
        self.default_wire(port, mac)
    }

    #[inline]
    fn claim_v4(
        &mut self,
        now: u64,
        port: PortId,
        header: &Header,
        addr: Ipv4Addr,
    ) -> Result<Mac, DropReason> {
        let [first, ..] = addr.octets();
        if first == 0 || addr.is_loopback() || addr.is_multicast() || addr.is_broadcast() {
            return Err(DropReason::BadAddress);
        }
        self.claim(now, port, header.src, AddrKey::v4(header.vlans, addr))
    }

    #[inline]
    fn claim_v6(
        &mut self,
        now: u64,
        port: PortId,
        header: &Header,
        addr: Ipv6Addr,
    ) -> Result<Mac, DropReason> {
        if addr.is_multicast() || addr.is_loopback() || addr.is_unspecified() {
            return Err(DropReason::BadAddress);
        }
        self.claim(now, port, header.src, AddrKey::v6(header.vlans, addr))
    }
}

/// VRRP and CARP, versions for IPv4 and IPv6: the frame may come from the router's own MAC while
/// ARP names the virtual one (RFC 9568, 7.3).
const fn is_virtual_router(mac: Mac) -> bool {
    matches!(mac, [0, 0, 0x5E, 0, 1 | 2, _])
}

fn rewrite_nd(frame: &mut [u8], nd: &Nd, wire: Mac, checksums: Checksums) {
    let Some([mut high, mut low]) = read(frame, nd.at + Nd::CHECKSUM) else { return };
    let mut next = nd.options;
    while let Some(at) = nd.next_address(frame, &mut next) {
        let Some(old) = read::<6>(frame, at) else { return };
        put(frame, at, &wire);
        if checksums == Checksums::Complete {
            [high, low] = adjust(u16::from_be_bytes([high, low]), at - nd.at, &old, &wire).to_be_bytes();
        }
    }
    put(frame, nd.at + Nd::CHECKSUM, &[high, low]);
}

/// Replaces a field of a DHCP message and corrects the UDP checksum.
pub(super) fn rewrite_udp<const N: usize>(
    frame: &mut [u8],
    dhcp: &Dhcp,
    at: usize,
    checksums: Checksums,
    new: impl FnOnce([u8; N]) -> [u8; N],
) {
    let (Some(old), Some(checksum)) = (read::<N>(frame, at), read(frame, dhcp.udp + Dhcp::CHECKSUM)) else {
        return;
    };
    let new = new(old);
    put(frame, at, &new);
    if checksums == Checksums::Complete {
        let checksum = adjust_udp(u16::from_be_bytes(checksum), at - dhcp.udp, &old, &new);
        put(frame, dhcp.udp + Dhcp::CHECKSUM, &checksum.to_be_bytes());
    }
}

/// Option 61 if it holds exactly hardware type 1 and `from` (RFC 2132, 9.14).
pub(super) fn rewrite_client_id(frame: &mut [u8], dhcp: &Dhcp, checksums: Checksums, from: Mac, to: Mac) {
    const PAD: u8 = 0;
    const CLIENT_ID: u8 = 61;
    const END: u8 = 255;
    let mut at = dhcp.udp + Dhcp::OPTIONS;
    while at + 2 <= dhcp.end {
        let Some([code, len]) = read(frame, at) else { return };
        match code {
            PAD => {
                at += 1;
                continue;
            }
            END => return,
            CLIENT_ID if len == 7 && at + 9 <= dhcp.end && read(frame, at + 2) == Some([1]) => {
                if read(frame, at + 3) == Some(from) {
                    rewrite_udp(frame, dhcp, at + 3, checksums, |_| to);
                }
                return;
            }
            _ => at += 2 + usize::from(len),
        }
    }
}

fn read<const N: usize>(frame: &[u8], at: usize) -> Option<[u8; N]> {
    frame.get(at..)?.first_chunk().copied()
}
