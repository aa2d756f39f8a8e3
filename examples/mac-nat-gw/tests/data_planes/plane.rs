//! The data planes, and how each is put between the provider and the machines.

use std::fmt;
use std::process::Command;

use mac_nat::export::{Ability, DataPlane, Support};
use private_ovs::{Datapath, PrivateOvs};

use crate::lab::{E, HOST, Lab};

/// Who translates.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Plane {
    /// `mac-nat-gw run`.
    Engine,
    /// Rules that `mac-nat-gw export` wrote.
    Rules(DataPlane),
}

/// What has to live as long as the data plane is used.
pub(crate) struct Installed(Option<PrivateOvs>);

impl Installed {
    /// The learned flows of Open vSwitch.
    pub(crate) fn learned(&self) -> Option<String> {
        self.0.as_ref().map(|ovs| ovs.ofctl(&["dump-flows", "br0", "table=20"]))
    }
}

impl Plane {
    pub(crate) fn all() -> Vec<Self> {
        std::iter::once(Self::Engine).chain(DataPlane::ALL.map(Self::Rules)).collect()
    }

    pub(crate) fn support(self, ability: Ability) -> Support {
        match self {
            Self::Engine => Support::Yes,
            Self::Rules(plane) => plane.support(ability),
        }
    }

    /// Whether program and kernel can run it; says what is missing.
    pub(crate) fn is_here(self) -> bool {
        let (program, try_out): (_, &[&str]) = match self {
            Self::Engine => return true,
            Self::Rules(DataPlane::Ebtables) => ("ebtables", &["-t", "nat", "-L"]),
            Self::Rules(DataPlane::Nftables | DataPlane::NftNetlink) => ("nft", &["add table bridge macnat"]),
            Self::Rules(DataPlane::NftNetdev) => ("nft", &["add table netdev macnat"]),
            Self::Rules(_) => ("ovs-vswitchd", &["--version"]),
        };
        let command = [&["-n", program], try_out].concat();
        let tried = Command::new("unshare").args(command).output().unwrap();
        if !tried.status.success() {
            let said = String::from_utf8_lossy(&tried.stderr);
            println!("skipped: {self} not supported by this machine: {}", said.trim());
            assert_ne!(std::env::var("REQUIRE_PEERS").as_deref(), Ok("1"), "{self} cannot run");
        }
        tried.status.success()
    }

    /// Puts it between the uplink and the ports of the lab.
    pub(crate) fn install(self, lab: &mut Lab, config: &str) -> Installed {
        let Self::Rules(plane) = self else {
            lab.gateway(config);
            return Installed(None);
        };
        let directory = lab.directory.path().to_owned();
        let config_file = directory.join("gw.toml");
        std::fs::write(&config_file, config).unwrap();
        lab.run("hv", &format!("ip addr del {HOST}/24 dev eth0"));
        let ovs = match plane {
            DataPlane::OpenFlow | DataPlane::OpenFlowLearn => Some(lab.within("hv", open_vswitch)),
            _ => {
                lab.run("hv", "ip link add br0 type bridge mcast_snooping 0");
                for device in ["eth0", "tap1", "tap2"] {
                    lab.run("hv", &format!("ip link set {device} master br0"));
                }
                None
            }
        };
        lab.run("hv", "sysctl -qw net.ipv6.conf.br0.disable_ipv6=1");
        lab.run("hv", &format!("ip link set br0 address {E} up"));
        lab.run("hv", &format!("ip addr add {HOST}/24 dev br0"));
        lab.try_run("hv", "ethtool -K br0 tx off rx off tso off gso off gro off");
        let gw = env!("CARGO_BIN_EXE_mac-nat-gw");
        let place = ovs.as_ref().map(|ovs| ovs.socket().parent().unwrap().display().to_string());
        let (env, bridge) = match place {
            Some(directory) => (format!("env OVS_RUNDIR={directory} "), " --bridge br0"),
            None => (String::new(), ""),
        };
        let (name, config) = (plane.name(), config_file.display());
        lab.run("hv", &format!("{env}{gw} apply {name} --config {config}{bridge} --commit"));
        // Duplicate address detection of the machines takes a second or two.
        std::thread::sleep(std::time::Duration::from_secs(2));
        Installed(ovs)
    }
}

/// A switch of its own in this namespace, which forwards nothing yet.
fn open_vswitch() -> PrivateOvs {
    let ovs = PrivateOvs::start(Datapath::Userspace).unwrap();
    ovs.add_bridge("br0", &["fail_mode=secure", &format!("other_config:hwaddr=\"{E}\"")]);
    for device in ["eth0", "tap1", "tap2"] {
        ovs.vsctl(&["add-port", "br0", device]);
    }
    ovs
}

impl fmt::Display for Plane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Engine => "mac-nat-gw",
            Self::Rules(plane) => plane.name(),
        })
    }
}
