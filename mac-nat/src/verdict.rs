//! The answers of the engine: where a frame goes, or why it goes nowhere; and the sums of both.

use core::fmt;

use vlan_table::PortId;

/// A side of the translator.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Side {
    /// The provider.
    Uplink,
    /// The machine that translates: it has the NIC's own address.
    Host,
    /// A port to virtual machines.
    Inside(PortId),
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Uplink => f.write_str("uplink"),
            Self::Host => f.write_str("host"),
            Self::Inside(port) => write!(f, "port {port}"),
        }
    }
}

/// What shall happen with the frame, which now has the addresses of the side that it goes to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[must_use]
pub enum Verdict {
    /// Send it to one side.
    Forward(Side),
    /// Send it to every side but the one that it came from.
    ///
    /// What came from an inside port goes to the uplink translated and to the others **as it
    /// was**: machines on one bridge see each other's real addresses. The caller keeps a copy of
    /// group frames for that; [`MacNat::translate`](crate::MacNat::translate) shows how.
    Flood,
    /// The engine kept a copy until it knows the owner of the address.
    Hold,
    /// Send it nowhere; its bytes are as they came.
    Drop(DropReason),
}

macro_rules! drop_reasons {
    ($($(#[doc = $doc:literal])+ $name:ident = $text:literal,)+) => {
        /// Why a frame goes nowhere.
        #[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
        #[non_exhaustive]
        pub enum DropReason {
            $($(#[doc = $doc])+ $name,)+
        }

        impl DropReason {
            /// Every reason, in the order of [`Counters::dropped`].
            pub const ALL: &[Self] = &[$(Self::$name),+];

            /// A short name for counters and logs, such as `"bad_arp"`.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$name => $text,)+ }
            }
        }
    };
}

drop_reasons! {
    /// The frame ends inside its Ethernet header or a tag.
    Truncated = "truncated",
    /// More than two VLAN tags.
    TooManyTags = "too_many_tags",
    /// A tag with VID 4095.
    ReservedVlan = "reserved_vlan",
    /// The source is a group address.
    GroupSource = "group_source",
    /// A frame between neighbours, to `01:80:c2:00:00:0x`: STP, LACP, LLDP, EAPOL, PAUSE.
    LinkLocal = "link_local",
    /// A protocol whose addresses we do not know: not ARP, IPv4 or IPv6.
    Protocol = "protocol",
    /// Not ARP for Ethernet and IPv4, cut short, or an operation that is not ours.
    BadArp = "bad_arp",
    /// The ARP sender is not the sender of the frame.
    ArpSender = "arp_sender",
    /// RARP, which names no address to choose a wire MAC by.
    Rarp = "rarp",
    /// A broken IPv4 header.
    BadIpv4 = "bad_ipv4",
    /// A broken IPv6 header or chain of extension headers.
    BadIpv6 = "bad_ipv6",
    /// A broken neighbour discovery message.
    BadNd = "bad_nd",
    /// Neighbour discovery in fragments (RFC 6980).
    FragmentedNd = "fragmented_nd",
    /// A signed message that would have to change (RFC 3971, RFC 4302).
    SignedNd = "signed_nd",
    /// A router advertisement or redirect from an inside port.
    RouterMessage = "router_message",
    /// A broken DHCP message.
    BadDhcp = "bad_dhcp",
    /// DHCP in fragments.
    FragmentedDhcp = "fragmented_dhcp",
    /// A DHCP server's message from an inside port.
    DhcpServer = "dhcp_server",
    /// A DHCP client that names another hardware address than its own.
    DhcpClient = "dhcp_client",
    /// An address that no frame may carry here, such as a loopback source.
    BadAddress = "bad_address",
    /// The source MAC is not on the port's list.
    ForeignMac = "foreign_mac",
    /// The source IP is not on the port's list.
    ForeignIp = "foreign_ip",
    /// The address belongs to the host, a gateway or a static binding elsewhere.
    Spoof = "spoof",
    /// The address has an owner who keeps it.
    Conflict = "conflict",
    /// The address has an owner who is being asked.
    Verifying = "verifying",
    /// Nothing is learned, and no static binding has this source.
    Unbound = "unbound",
    /// No wire MAC is set for this address or port.
    NoWireMac = "no_wire_mac",
    /// An inside frame with one of our wire MACs as source or destination.
    WireMacInside = "wire_mac_inside",
    /// An inside frame for the port that it came from.
    SamePort = "same_port",
    /// The port is not configured.
    UnknownPort = "unknown_port",
    /// An uplink frame with one of our MACs as source: our own, come back.
    Reflected = "reflected",
    /// An uplink frame for somebody else's MAC.
    NotForUs = "not_for_us",
    /// Nobody is known to have the destination.
    Unknown = "unknown",
    /// The guard stopped it: see [`Violation`](crate::Violation).
    Guard = "guard",
}

impl fmt::Display for DropReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Sums since the start. Every frame is in exactly one of `to_uplink`, `to_host`, `to_inside`,
/// `flooded`, `held` and `dropped`: they add up to `frames`.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct Counters {
    /// Frames given to [`MacNat::translate`](crate::MacNat::translate).
    pub frames: u64,
    /// [`Verdict::Forward`] to the uplink.
    pub to_uplink: u64,
    /// [`Verdict::Forward`] to the host.
    pub to_host: u64,
    /// [`Verdict::Forward`] to an inside port.
    pub to_inside: u64,
    /// [`Verdict::Flood`].
    pub flooded: u64,
    /// [`Verdict::Hold`].
    pub held: u64,
    /// [`Verdict::Drop`], by [`DropReason`].
    pub dropped: Dropped,
    /// Bindings learned.
    pub learned: u64,
    /// Bindings that changed their owner.
    pub moved: u64,
    /// Bindings that died of silence.
    pub expired: u64,
    /// Bindings refused because the port has its share.
    pub refused_by_port: u64,
    /// Bindings refused because the table is full.
    pub refused_by_table: u64,
    /// Pending probes and DHCP transactions that found no room.
    pub refused_pending: u64,
    /// Questions sent inside after a miss.
    pub asked: u64,
    /// Misses that got no question: asked too recently, or too many questions at once.
    pub ask_suppressed: u64,
    /// Questions sent inside before a binding would have expired, or to check its owner.
    pub refreshes: u64,
    /// Announcements sent to the uplink.
    pub announced: u64,
    /// ARP frames copied to an inside owner whose address is claimed outside.
    pub conflict_copies: u64,
    /// Held frames that went out.
    pub released: u64,
    /// Held frames whose owner never answered.
    pub hold_lost: u64,
    /// Frames of our own that found the transmit queue full.
    pub transmit_lost: u64,
    /// Events that found the event queue full.
    pub events_lost: u64,
}

impl Counters {
    /// Every counter by name, the sum of [`dropped`](Self::dropped) among them.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> {
        // Taken apart by name, so that a new counter cannot be forgotten here.
        let Self {
            frames,
            to_uplink,
            to_host,
            to_inside,
            flooded,
            held,
            ref dropped,
            learned,
            moved,
            expired,
            refused_by_port,
            refused_by_table,
            refused_pending,
            asked,
            ask_suppressed,
            refreshes,
            announced,
            conflict_copies,
            released,
            hold_lost,
            transmit_lost,
            events_lost,
        } = *self;
        [
            ("frames", frames),
            ("to_uplink", to_uplink),
            ("to_host", to_host),
            ("to_inside", to_inside),
            ("flooded", flooded),
            ("held", held),
            ("dropped", dropped.total()),
            ("learned", learned),
            ("moved", moved),
            ("expired", expired),
            ("refused_by_port", refused_by_port),
            ("refused_by_table", refused_by_table),
            ("refused_pending", refused_pending),
            ("asked", asked),
            ("ask_suppressed", ask_suppressed),
            ("refreshes", refreshes),
            ("announced", announced),
            ("conflict_copies", conflict_copies),
            ("released", released),
            ("hold_lost", hold_lost),
            ("transmit_lost", transmit_lost),
            ("events_lost", events_lost),
        ]
        .into_iter()
    }

    pub(crate) fn count(&mut self, verdict: Verdict) {
        self.frames += 1;
        match verdict {
            Verdict::Forward(Side::Uplink) => self.to_uplink += 1,
            Verdict::Forward(Side::Host) => self.to_host += 1,
            Verdict::Forward(Side::Inside(_)) => self.to_inside += 1,
            Verdict::Flood => self.flooded += 1,
            Verdict::Hold => self.held += 1,
            Verdict::Drop(reason) => self.dropped.count(reason),
        }
    }
}

/// Frames dropped, by reason.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Dropped([u64; DropReason::ALL.len()]);

impl Dropped {
    /// How many frames were dropped for this reason.
    pub fn get(&self, reason: DropReason) -> u64 {
        self.0.get(reason as usize).copied().unwrap_or_default()
    }

    /// How many frames were dropped in all.
    pub fn total(&self) -> u64 {
        self.0.iter().sum()
    }

    /// The reasons that occurred, with their counts.
    pub fn iter(&self) -> impl Iterator<Item = (DropReason, u64)> {
        DropReason::ALL.iter().copied().zip(self.0).filter(|(_, count)| *count > 0)
    }

    fn count(&mut self, reason: DropReason) {
        if let Some(count) = self.0.get_mut(reason as usize) {
            *count += 1;
        }
    }
}

impl Default for Dropped {
    fn default() -> Self {
        Self([0; DropReason::ALL.len()])
    }
}
