//! What to write in a guest whose gateway lies outside its prefix: an on-link gateway, in the
//! words of four systems.

use std::net::IpAddr;

use lab::error::BadInput;
use mac_nat::MacAddr6;

use crate::config::Settings;

/// A guest's network configuration.
#[derive(Clone, Debug)]
pub struct Guest {
    /// Its floating IP.
    pub address: IpAddr,
    /// The provider's router.
    pub gateway: IpAddr,
    /// Its interface.
    pub interface: String,
    /// The MAC of that interface, if it is known.
    pub mac: Option<MacAddr6>,
}

/// Who reads the configuration.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum System {
    /// Debian's `/etc/network/interfaces`.
    Ifupdown,
    /// Ubuntu.
    Netplan,
    /// systemd-networkd.
    Networkd,
    /// RHEL and its kin: `ifcfg` and route file.
    Rhel,
}

impl System {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Ifupdown, Self::Netplan, Self::Networkd, Self::Rhel];

    /// Where the text goes.
    pub fn file(self, interface: &str) -> String {
        match self {
            Self::Ifupdown => format!("/etc/network/interfaces.d/{interface}"),
            Self::Netplan => "/etc/netplan/50-floating-ip.yaml".into(),
            Self::Networkd => format!("/etc/systemd/network/10-{interface}.network"),
            Self::Rhel => format!("/etc/sysconfig/network-scripts/ifcfg-{interface} and route-{interface}"),
        }
    }
}

impl Guest {
    /// Takes from the settings what is not given: the first gateway of the address's family, and
    /// the MAC of the address's binding.
    ///
    /// # Errors
    /// [`BadInput`] if there is no gateway of this family.
    pub fn new(
        address: IpAddr,
        gateway: Option<IpAddr>,
        interface: String,
        settings: Option<&Settings>,
    ) -> Result<Self, BadInput> {
        let engine = settings.map(|settings| &settings.engine);
        let same_family = |gateway: &IpAddr| gateway.is_ipv4() == address.is_ipv4();
        let known = engine.and_then(|engine| engine.gateways.iter().copied().find(same_family));
        let gateway = gateway.or(known).filter(same_family).ok_or_else(|| {
            BadInput::new(format_args!("guest-config {address}"), "there is no gateway of this family")
                .help("name it with --gateway, or in `gateways` of the configuration")
        })?;
        let of_address = |binding: &&mac_nat::Binding| binding.net.contains(&address);
        let binding = engine.and_then(|engine| engine.bindings.iter().find(of_address));
        Ok(Self { address, gateway, interface, mac: binding.map(|binding| binding.inside) })
    }

    /// The file's text for this system.
    pub fn text(&self, system: System) -> String {
        match system {
            System::Ifupdown => self.ifupdown(),
            System::Netplan => self.netplan(),
            System::Networkd => self.networkd(),
            System::Rhel => self.rhel(),
        }
    }

    fn prefix(&self) -> u8 {
        if self.address.is_ipv4() { 32 } else { 128 }
    }

    fn mac(&self) -> Option<String> {
        self.mac.map(|mac| mac.to_string().to_lowercase())
    }

    /// ifupdown refuses a `gateway` outside of the prefix, so the routes are commands.
    fn ifupdown(&self) -> String {
        let Self { address, gateway, interface, .. } = self;
        let (family, ip, prefix) =
            if address.is_ipv4() { ("inet", "ip", 32) } else { ("inet6", "ip -6", 128) };
        format!(
            "auto {interface}\n\
             iface {interface} {family} static\n    \
                 address {address}/{prefix}\n    \
                 post-up {ip} route add {gateway} dev {interface}\n    \
                 post-up {ip} route add default via {gateway} dev {interface}\n    \
                 pre-down {ip} route del default via {gateway} dev {interface}\n"
        )
    }

    fn netplan(&self) -> String {
        let Self { address, gateway, interface, .. } = self;
        let matching = self.mac().map_or(String::new(), |mac| {
            format!("      match:\n        macaddress: \"{mac}\"\n      set-name: {interface}\n")
        });
        let default = if address.is_ipv4() { "0.0.0.0/0" } else { "::/0" };
        format!(
            "network:\n  version: 2\n  ethernets:\n    {interface}:\n{matching}      \
             addresses: [\"{address}/{}\"]\n      \
             routes:\n        - to: \"{default}\"\n          via: \"{gateway}\"\n          on-link: true\n",
            self.prefix()
        )
    }

    fn networkd(&self) -> String {
        let Self { address, gateway, interface, .. } = self;
        let matching = self.mac().map_or(format!("Name={interface}"), |mac| format!("MACAddress={mac}"));
        format!(
            "[Match]\n{matching}\n\n[Network]\nAddress={address}/{}\n\n\
             [Route]\nGateway={gateway}\nGatewayOnLink=yes\n",
            self.prefix()
        )
    }

    fn rhel(&self) -> String {
        let Self { address, gateway, interface, .. } = self;
        let hwaddr = self.mac().map_or(String::new(), |mac| format!("HWADDR={mac}\n"));
        if address.is_ipv4() {
            format!(
                "# ifcfg-{interface}\nDEVICE={interface}\n{hwaddr}ONBOOT=yes\nBOOTPROTO=none\n\
                 IPADDR={address}\nPREFIX=32\n\n\
                 # route-{interface}: first the way to the gateway, then the way through it\n\
                 {gateway} dev {interface}\ndefault via {gateway} dev {interface}\n"
            )
        } else {
            format!(
                "# ifcfg-{interface}\nDEVICE={interface}\n{hwaddr}ONBOOT=yes\nBOOTPROTO=none\n\
                 IPV6INIT=yes\nIPV6ADDR={address}/128\n\n\
                 # route6-{interface}\n{gateway} dev {interface}\ndefault via {gateway} dev {interface}\n"
            )
        }
    }
}
