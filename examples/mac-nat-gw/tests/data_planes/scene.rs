//! A lab with a data plane in it, and what an observer of the provider's wire says about a check.

use std::cell::RefCell;
use std::fmt;
use std::thread::sleep;
use std::time::{Duration, Instant};

use afpacket::Interface;

use crate::checks::Check;
use crate::frames::{IPV4, IPV6, R, V1, V2, carries, checksum_holds, src, word};
use crate::lab::{Capture, E, GATEWAY, HOST, IP, IP6, Lab, V, W};
use crate::plane::{Installed, Plane};

/// A second address of the first machine, and the provider's MAC for it.
pub(crate) const SECOND: &str = "203.0.113.13";
pub(crate) const SECOND_W: &str = "02:00:00:c5:7a:13";

/// What the data plane is told beforehand.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Setting {
    /// One wire MAC, every binding.
    Bound,
    /// One wire MAC, no binding.
    Unbound,
    /// A wire MAC for every address.
    Vmac,
}

impl Setting {
    pub(crate) const ALL: [Self; 3] = [Self::Bound, Self::Unbound, Self::Vmac];

    /// The MACs that the provider's switch knows.
    fn allowed(self) -> Vec<&'static str> {
        match self {
            Self::Vmac => vec![E, W[0], W[1], SECOND_W],
            _ => vec![E],
        }
    }

    fn config(self) -> String {
        let mode = if self == Self::Vmac { "vmac" } else { "single" };
        let mut text = format!(
            "mode = \"{mode}\"\ngateways = [\"{GATEWAY}\", \"fe80::1\"]\n[uplink]\ninterface = \"eth0\"\n\
             [host]\naddresses = [\"{HOST}\"]\n[policy]\nmiss = \"hold\"\nrouter-messages = \"translate\"\n"
        );
        if self == Self::Unbound {
            text += "[timers]\nlifetime = 4\n";
        }
        for i in 1..=2 {
            text += &format!("[[port]]\nname = \"vm{i}\"\ninterface = \"tap{i}\"\n");
        }
        let mut bind = |i: usize, address: &str, wire: &str, more: &str| {
            text += &format!("[[binding]]\naddress = \"{address}\"\nport = \"vm{}\"\n", i + 1);
            text += &format!("inside = \"{}\"\nwire = \"{wire}\"\n{more}\n", V[i]);
        };
        for (i, link_local) in ["fe80::f816:3eff:fe00:1", "fe80::f816:3eff:fe00:2"].into_iter().enumerate() {
            let wire = if self == Self::Vmac { W[i] } else { E };
            if self != Self::Unbound {
                bind(i, IP[i], wire, "");
                bind(i, IP6[i], wire, "");
                bind(i, link_local, wire, "");
            }
        }
        match self {
            Self::Bound => {
                bind(0, IP[0], E, "vlan = \"10\"");
                bind(0, IP[0], E, "vlan = \"13.10\"");
            }
            Self::Vmac => bind(0, SECOND, SECOND_W, ""),
            Self::Unbound => {}
        }
        text
    }
}

/// What became of a check.
#[derive(Clone, Debug)]
pub(crate) enum Outcome {
    Works,
    /// It does not, and why; nothing that must stay inside was seen outside.
    Fails(String),
    /// A frame on the provider's wire named an inside MAC.
    Leaks(String),
}

impl Outcome {
    pub(crate) const fn name(&self) -> &'static str {
        match self {
            Self::Works => "works",
            Self::Fails(_) => "fails",
            Self::Leaks(_) => "leaks",
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Works => f.write_str("works"),
            Self::Fails(why) => write!(f, "fails ({why})"),
            Self::Leaks(frame) => write!(f, "leaks ({frame})"),
        }
    }
}

/// Router, machines, and the data plane between them.
pub(crate) struct Scene {
    pub(crate) lab: Lab,
    plane: Plane,
    installed: Installed,
    wire: Capture,
    machine: Capture,
    /// Where in the two captures the check began.
    mark: RefCell<(usize, usize)>,
}

impl Scene {
    pub(crate) fn new(plane: Plane, setting: Setting) -> Self {
        let mut lab = Lab::new(&setting.allowed());
        let installed = plane.install(&mut lab, &setting.config());
        let (wire, machine) = (lab.capture_at("router", "r0"), lab.capture_at("vm1", "eth0"));
        if setting == Setting::Vmac {
            lab.run("vm1", &format!("ip addr add {SECOND}/32 dev eth0"));
            lab.run("router", &format!("ip route add {SECOND}/32 dev r0"));
        }
        Self { lab, plane, installed, wire, machine, mark: RefCell::default() }
    }

    /// Runs a check with an eye on the wire.
    pub(crate) fn observe(&self, check: &Check) -> Outcome {
        *self.mark.borrow_mut() = (self.wire.so_far().len(), self.machine.so_far().len());
        let result = (check.run)(self);
        // What was sent last has to get into the capture.
        sleep(Duration::from_millis(150));
        let outside = self.outside();
        if let Some(leak) = outside.iter().find(|frame| leaks(frame)) {
            return Outcome::Leaks(hex(leak));
        }
        match outside.iter().find(|frame| checksum_holds(frame) == Some(false)) {
            Some(wrong) => Outcome::Fails(format!("wrong checksum: {}", hex(wrong))),
            None => result.map_or_else(Outcome::Fails, |()| Outcome::Works),
        }
    }

    /// What the data plane has sent to the provider during this check.
    fn outside(&self) -> Vec<Vec<u8>> {
        let frames = self.wire.so_far().split_off(self.mark.borrow().0);
        frames.into_iter().filter(|frame| src(frame) != R).collect()
    }

    /// A frame for the provider that is as wanted, within a second.
    pub(crate) fn sees_outside(&self, wanted: impl Fn(&[u8]) -> bool) -> Result<(), String> {
        wait_for(|| self.outside().iter().any(|frame| wanted(frame)), "nothing of the kind left")
    }

    /// A frame at the first machine that is as wanted, within a second.
    pub(crate) fn sees_inside(&self, wanted: impl Fn(&[u8]) -> bool) -> Result<(), String> {
        let received = || self.machine.so_far().split_off(self.mark.borrow().1);
        wait_for(|| received().iter().any(|frame| wanted(frame)), "nothing of the kind arrived")
    }

    /// Whether all that left now is of kinds that can be translated.
    pub(crate) fn sees_only_ip_outside(&self) -> Result<(), String> {
        sleep(Duration::from_millis(300));
        let foreign = |frame: &Vec<u8>| !matches!(word(frame, 12), Some(0x0806 | IPV4 | IPV6));
        match self.outside().iter().find(|frame| foreign(frame)) {
            Some(frame) => Err(hex(frame)),
            None => Ok(()),
        }
    }

    /// Runs a command that should succeed.
    pub(crate) fn run(&self, namespace: &str, command: &str) -> Result<(), String> {
        let output = self.lab.try_run(namespace, command);
        let status = output.status;
        if status.success() { Ok(()) } else { Err(format!("{command}: {status}")) }
    }

    /// Until the first answer, for two seconds: Open vSwitch takes up to half a second until its cache
    /// agrees with what it has learned.
    pub(crate) fn ping(&self, from: &str, to: &str) -> Result<(), String> {
        self.run(from, &format!("ping -c 1 -w 2 -i 0.25 {to}"))
    }

    /// Sends a frame as it is.
    pub(crate) fn send(&self, namespace: &str, frame: &[u8]) {
        let interface = if namespace == "router" { "r0" } else { "eth0" };
        self.lab.within(namespace, || Interface::open(interface).unwrap().send(frame).unwrap());
    }

    /// Whether the data plane still has a way back that it learned.
    pub(crate) fn knows(&self, address: &str) -> bool {
        match self.plane {
            Plane::Engine => self.lab.status().unwrap()["bindings"].to_string().contains(address),
            Plane::Rules(_) => self.installed.learned().is_some_and(|flows| flows.contains(address)),
        }
    }
}

/// Whether a frame names a machine. A DHCP message may: to a server, its client's MAC is a name. So
/// may a later fragment, which says nothing to anybody without its first.
fn leaks(frame: &[u8]) -> bool {
    let dhcp = word(frame, 12) == Some(IPV4) && matches!(word(frame, 36), Some(67 | 68)) && frame[23] == 17;
    let later_fragment =
        word(frame, 12) == Some(IPV6) && frame[20] == 44 && word(frame, 56).is_some_and(|offset| offset > 7);
    let visible = if dhcp || later_fragment { &frame[..14] } else { frame };
    [V1, V2].iter().any(|mac| carries(visible, *mac))
}

fn wait_for(condition: impl Fn() -> bool, otherwise: &str) -> Result<(), String> {
    let deadline = Instant::now() + Duration::from_secs(1);
    while !condition() {
        if Instant::now() > deadline {
            return Err(otherwise.to_owned());
        }
        sleep(Duration::from_millis(50));
    }
    Ok(())
}

fn hex(frame: &[u8]) -> String {
    frame.iter().take(96).map(|byte| format!("{byte:02x}")).collect()
}
