//! Two machines behind one NIC, and a clock that tests turn.

use std::net::IpAddr;
use std::time::Duration;

use mac_nat::{
    Binding, Config, Counters, DropReason, Event, Guard, HostAddress, MacNat, Mode, Port, PortId, Recipients,
    Side, Verdict, Vlans,
};

use crate::frames::{A, A6, B, B6, C, E, G, G6, H, Mac, V1, V2, W1, W2, W3};

pub(crate) const P1: PortId = PortId::new(1).unwrap();
pub(crate) const P2: PortId = PortId::new(2).unwrap();
pub(crate) const P3: PortId = PortId::new(3).unwrap();
pub(crate) const UPLINK: Verdict = Verdict::Forward(Side::Uplink);
pub(crate) const HOST: Verdict = Verdict::Forward(Side::Host);

pub(crate) fn to(port: PortId) -> Verdict {
    Verdict::Forward(Side::Inside(port))
}

pub(crate) fn dropped(reason: DropReason) -> Verdict {
    Verdict::Drop(reason)
}

/// Host, gateways and three ports; no bindings.
pub(crate) fn empty(mode: Mode) -> Config {
    let mut config = Config::new(mode, E.into());
    config.host.addresses = vec![HostAddress { addr: H.into(), vlans: Vlans::UNTAGGED }];
    config.gateways = vec![G.into(), G6.into()];
    config.ports = [P1, P2, P3].map(Port::new).into();
    config
}

/// Mode *single*: A and A6 are at V1 on port 1, B and B6 at V2 on port 2.
pub(crate) fn single() -> Config {
    let mut config = empty(Mode::Single);
    for (addr, port, inside) in
        [(IpAddr::from(A), P1, V1), (A6.into(), P1, V1), (B.into(), P2, V2), (B6.into(), P2, V2)]
    {
        config.bindings.push(Binding::fixed(addr, port, inside.into(), E.into()));
    }
    config
}

/// Mode *vmac*: A (W1) and C (W3) are at V1 on port 1, B (W2) at V2 on port 2; so are A6 and B6.
pub(crate) fn vmac() -> Config {
    let mut config = empty(Mode::Vmac);
    for (addr, port, inside, wire) in [
        (IpAddr::from(A), P1, V1, W1),
        (A6.into(), P1, V1, W1),
        (C.into(), P1, V1, W3),
        (B.into(), P2, V2, W2),
        (B6.into(), P2, V2, W2),
    ] {
        config.bindings.push(Binding::fixed(addr, port, inside.into(), wire.into()));
    }
    config
}

/// An engine and its clock. Checks after every frame what must hold after every frame.
pub(crate) struct Lab {
    pub(crate) nat: MacNat,
    pub(crate) now: Duration,
    guard: Guard,
}

impl Lab {
    pub(crate) fn new(config: Config) -> Self {
        let nat = MacNat::new(config).unwrap();
        let guard = Guard::new(nat.wire_macs());
        Self { nat, now: Duration::ZERO, guard }
    }

    /// Gives a frame to the engine; the frame as it left.
    pub(crate) fn pass(&mut self, from: Side, frame: &[u8]) -> (Verdict, Vec<u8>) {
        let mut out = frame.to_vec();
        let verdict = self.nat.translate(self.now, from, &mut out);
        assert_eq!(out.len(), frame.len(), "length");
        let outward = verdict == UPLINK || verdict == Verdict::Flood && from != Side::Uplink;
        if outward {
            assert_eq!(self.guard.check(&out), Ok(()));
        }
        if matches!(verdict, Verdict::Drop(_) | Verdict::Hold) {
            assert_eq!(out, frame, "a frame that goes nowhere keeps its bytes");
        }
        assert!(adds_up(self.nat.counters()));
        (verdict, out)
    }

    pub(crate) fn egress(&mut self, port: PortId, frame: &[u8]) -> (Verdict, Vec<u8>) {
        self.pass(Side::Inside(port), frame)
    }

    pub(crate) fn ingress(&mut self, frame: &[u8]) -> (Verdict, Vec<u8>) {
        self.pass(Side::Uplink, frame)
    }

    /// Lets time pass, doing what is due when it is due; the frames that the engine sent.
    pub(crate) fn wait(&mut self, time: Duration) -> Vec<(Duration, Recipients, Vec<u8>)> {
        let until = self.now + time;
        let mut sent = Vec::new();
        while let Some(at) = self.nat.poll_timeout().filter(|at| *at <= until) {
            self.now = self.now.max(at);
            self.nat.handle_timeout(self.now);
            let next = self.nat.poll_timeout();
            assert!(next.is_none_or(|next| next > self.now), "a handled deadline must move on");
            sent.extend(self.sent());
        }
        self.now = until;
        sent
    }

    /// The frames that the engine wants to send now.
    pub(crate) fn sent(&mut self) -> Vec<(Duration, Recipients, Vec<u8>)> {
        let mut buffer = [0; 2048];
        let mut sent = Vec::new();
        while let Some(transmit) = self.nat.poll_transmit(&mut buffer) {
            let frame = buffer[..transmit.len].to_vec();
            if transmit.to == Recipients::One(Side::Uplink) {
                assert_eq!(self.guard.check(&frame), Ok(()));
            }
            assert_ne!(crate::frames::checksum_holds(&frame), Some(false));
            sent.push((self.now, transmit.to, frame));
        }
        sent
    }

    pub(crate) fn events(&mut self) -> Vec<Event> {
        std::iter::from_fn(|| self.nat.poll_event()).collect()
    }

    /// Port and MAC of the owner of an untagged address.
    pub(crate) fn owner(&self, addr: impl Into<IpAddr>) -> Option<(PortId, Mac)> {
        let addr = addr.into();
        let mut bindings = self.nat.bindings(self.now);
        let binding = bindings.find(|binding| binding.is_host() && binding.net.addr() == addr)?;
        Some((binding.port, binding.inside.into_array()))
    }
}

/// Every frame has one verdict.
pub(crate) fn adds_up(counters: &Counters) -> bool {
    let passed = counters.to_uplink + counters.to_host + counters.to_inside + counters.flooded;
    counters.frames == passed + counters.held + counters.dropped.total()
}

pub(crate) fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}
