//! From the provider to a machine: the wire MAC becomes the machine's own, chosen by the address.

use vlan_table::frame::is_group;

use super::claim::Claimant;
use super::egress::{rewrite_client_id, rewrite_udp};
use super::keys::{AddrKey, DhcpKey};
use super::stations::Role;
use super::{Checksums, MacNat, put};
use crate::config::{ClientId, OutsideClaim};
use crate::frame::{Arp, Body, Dhcp, Header, Ipv4, Ipv6, Mac, Nd, NdKind, Upper4, Upper6};
use crate::{DropReason, Event, Side, Verdict};

const BROADCAST: Mac = [0xFF; 6];

impl MacNat {
    #[inline]
    pub(super) fn ingress(
        &mut self,
        now: u64,
        frame: &mut [u8],
        checksums: Checksums,
    ) -> Result<Verdict, DropReason> {
        let header = Header::new(frame)?;
        if is_group(header.src) {
            return Err(DropReason::GroupSource);
        }
        if self.is_wire(header.src) {
            return Err(DropReason::Reflected);
        }
        if header.is_group() {
            return self.ingress_group(now, &header, frame, checksums);
        }
        let role = match self.role(header.dst) {
            Some(role @ (Role::Host | Role::Wire { .. })) => *role,
            _ => return Err(DropReason::NotForUs),
        };
        match Body::new(frame, &header)? {
            Body::Ipv4(ipv4) => self.ingress_ipv4(now, &header, role, &ipv4, frame, checksums),
            Body::Ipv6(ipv6) => {
                self.notice_advertisement(now, &header, &ipv6);
                self.ingress_ipv6(now, &header, role, &ipv6, frame)
            }
            Body::Arp(arp) => self.ingress_arp(now, &header, role, &arp, frame),
            Body::Rarp(_) | Body::WakeOnLan | Body::Other => match role {
                Role::Host => Ok(Verdict::Forward(Side::Host)),
                _ => Err(DropReason::Protocol),
            },
        }
    }

    #[inline]
    fn ingress_ipv4(
        &mut self,
        now: u64,
        header: &Header,
        role: Role,
        ipv4: &Ipv4,
        frame: &mut [u8],
        checksums: Checksums,
    ) -> Result<Verdict, DropReason> {
        if let Upper4::Dhcp(dhcp) = ipv4.upper
            && let Some(verdict) = self.dhcp_reply(now, header, &dhcp, frame, checksums)
        {
            return Ok(verdict);
        }
        // Servers send broadcasts to the MAC that they saw.
        if ipv4.dst.is_broadcast() || self.config.broadcasts.contains(&ipv4.dst) {
            put(frame, Header::DST, &BROADCAST);
            return Ok(Verdict::Flood);
        }
        if ipv4.dst.is_multicast() || ipv4.dst.is_unspecified() {
            return Err(DropReason::BadAddress);
        }
        self.deliver(now, role, AddrKey::v4(header.vlans, ipv4.dst), frame)
    }

    fn ingress_ipv6(
        &mut self,
        now: u64,
        header: &Header,
        role: Role,
        ipv6: &Ipv6,
        frame: &mut [u8],
    ) -> Result<Verdict, DropReason> {
        if ipv6.dst.is_multicast() || ipv6.dst.is_unspecified() {
            return Err(DropReason::BadAddress);
        }
        self.deliver(now, role, AddrKey::v6(header.vlans, ipv6.dst), frame)
    }

    /// To the owner of the address, or of the wire MAC, or to nobody yet.
    #[inline]
    fn deliver(
        &mut self,
        now: u64,
        role: Role,
        key: AddrKey,
        frame: &mut [u8],
    ) -> Result<Verdict, DropReason> {
        match self.receiver(now, role, key) {
            Receiver::Inside(owner) => {
                put(frame, Header::DST, &owner.mac);
                Ok(Verdict::Forward(Side::Inside(owner.port)))
            }
            Receiver::Host => Ok(Verdict::Forward(Side::Host)),
            Receiver::Nobody => self.miss(now, key, frame),
        }
    }

    #[inline]
    fn receiver(&self, now: u64, role: Role, key: AddrKey) -> Receiver {
        match self.resolve(now, key) {
            Some(source) => source.claimant().map_or(Receiver::Host, Receiver::Inside),
            None => self.receiver_by_mac(role, key),
        }
    }

    #[cold]
    fn receiver_by_mac(&self, role: Role, key: AddrKey) -> Receiver {
        match role {
            _ if self.is_wire_link_local(key) => Receiver::Host,
            Role::Wire { owner: Some(owner), .. } => Receiver::Inside(owner),
            Role::Host if !self.is_single() => Receiver::Host,
            _ => Receiver::Nobody,
        }
    }

    fn ingress_arp(
        &mut self,
        now: u64,
        header: &Header,
        role: Role,
        arp: &Arp,
        frame: &mut [u8],
    ) -> Result<Verdict, DropReason> {
        let claimed = self.notice_arp_claim(now, header, arp)?;
        let (spa, tpa) = (AddrKey::v4(header.vlans, arp.spa), AddrKey::v4(header.vlans, arp.tpa));
        let receiver =
            if arp.tpa.is_unspecified() { Receiver::Nobody } else { self.receiver(now, role, tpa) };
        let bound = self.resolve(now, tpa).is_some();
        // Whoever probes has no address to be found by, only its question.
        let prober = self.probes.asker(now, &spa).filter(|_| !bound);
        let to = match (prober, receiver) {
            (Some(prober), _) => Claimant { port: prober.port, mac: prober.mac },
            (None, Receiver::Inside(owner)) => owner,
            (None, Receiver::Host) => return Ok(Verdict::Forward(Side::Host)),
            (None, Receiver::Nobody) if arp.tpa.is_unspecified() => {
                return match role {
                    Role::Host => Ok(Verdict::Forward(Side::Host)),
                    _ => Err(DropReason::Unknown),
                };
            }
            (None, Receiver::Nobody) => return self.miss(now, tpa, frame),
        };
        if let Some(owner) = claimed.filter(|owner| *owner != to) {
            self.copy_conflict(owner, arp, frame);
        }
        put(frame, Header::DST, &to.mac);
        if arp.oper == Arp::REPLY || prober.is_some() {
            put(frame, arp.at + Arp::THA, &to.mac);
        }
        Ok(Verdict::Forward(Side::Inside(to.port)))
    }

    fn ingress_group(
        &mut self,
        now: u64,
        header: &Header,
        frame: &mut [u8],
        checksums: Checksums,
    ) -> Result<Verdict, DropReason> {
        if header.is_link_local() {
            return Ok(Verdict::Forward(Side::Host));
        }
        match Body::new(frame, header)? {
            Body::Arp(arp) => {
                self.notice_arp_claim(now, header, &arp)?;
            }
            Body::Ipv4(Ipv4 { upper: Upper4::Dhcp(dhcp), .. }) => {
                if let Some(verdict) = self.dhcp_reply(now, header, &dhcp, frame, checksums) {
                    return Ok(verdict);
                }
            }
            Body::Ipv6(ipv6) => self.notice_advertisement(now, header, &ipv6),
            Body::Ipv4(_) => {}
            Body::Rarp(_) | Body::WakeOnLan | Body::Other => return Ok(Verdict::Forward(Side::Host)),
        }
        Ok(Verdict::Flood)
    }

    /// In mode *vmac* the server knows the client by the wire MAC; the client wants its own back.
    #[cold]
    fn dhcp_reply(
        &mut self,
        now: u64,
        header: &Header,
        dhcp: &Dhcp,
        frame: &mut [u8],
        checksums: Checksums,
    ) -> Option<Verdict> {
        if self.is_single() || dhcp.request || !dhcp.ethernet {
            return None;
        }
        let key = DhcpKey { xid: dhcp.xid, wire: dhcp.chaddr, vlans: header.vlans };
        let client = self.leases.asker(now, &key)?;
        if !header.is_group() {
            put(frame, Header::DST, &client.mac);
        }
        rewrite_udp(frame, dhcp, dhcp.udp + Dhcp::CHADDR, checksums, |_| client.mac);
        if self.config.policy.client_id == ClientId::Rewrite {
            rewrite_client_id(frame, dhcp, checksums, dhcp.chaddr, client.mac);
        }
        Some(Verdict::Forward(Side::Inside(client.port)))
    }

    /// Somebody outside says to have an address of ours. Gives our owner, who shall hear of it.
    fn notice_arp_claim(
        &mut self,
        now: u64,
        header: &Header,
        arp: &Arp,
    ) -> Result<Option<Claimant>, DropReason> {
        if arp.spa.is_unspecified() {
            return Ok(None);
        }
        let owner = self.notice_claim(now, header, AddrKey::v4(header.vlans, arp.spa));
        match (owner, self.config.policy.outside_claim) {
            (Some(_), OutsideClaim::Drop) => Err(DropReason::Conflict),
            (owner, _) => Ok(owner),
        }
    }

    fn notice_advertisement(&mut self, now: u64, header: &Header, ipv6: &Ipv6) {
        if let Upper6::Nd(Nd { kind: NdKind::NeighbourAdvertisement, target: Some(target), .. }) = ipv6.upper
        {
            self.notice_claim(now, header, AddrKey::v6(header.vlans, target));
        }
    }

    fn notice_claim(&mut self, now: u64, header: &Header, key: AddrKey) -> Option<Claimant> {
        let owner = self.bindings.lookup(&key).filter(|source| now < source.expires)?.claimant()?;
        let (addr, vlans, by) = (key.addr(), key.vlans(), header.src.into());
        self.event(Event::ClaimedOutside { addr, vlans, owner: owner.into(), by });
        Some(owner)
    }
}

enum Receiver {
    Inside(Claimant),
    Host,
    Nobody,
}
