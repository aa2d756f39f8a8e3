//! A test port: the whole recipe of a guest without a guest.
//!
//! A port on the integration bridge with the marks of a guest's, its device in a network
//! namespace of its own, address and all, so that `ping` shows whether the wiring works. The port
//! is plugged into the dead VLAN, as a hypervisor should: until the agent has bound it, it hears
//! nothing.

use std::fs::Permissions;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use ipnet::IpNet;

use crate::desired::MacText;
use crate::ovs::OpenVSwitch;

/// What the port shall be.
#[derive(Clone, Debug)]
pub struct TestPort {
    /// Name of port and device, at most 15 characters.
    pub name: String,
    /// The namespace that the device moves into.
    pub namespace: String,
    /// The desired port's UUID.
    pub port_id: String,
    /// The guest's MAC address.
    pub mac: MacText,
    /// Where the guest gets its address from.
    pub address: Address,
}

/// Where an address comes from.
#[derive(Clone, Debug)]
pub enum Address {
    /// It is given.
    Static(IpNet),
    /// A DHCP server on the network has it; `udhcpc` asks.
    Dhcp,
}

/// How long the switch may take to make the device.
const DEVICE: Duration = Duration::from_secs(5);

impl TestPort {
    /// Makes port, namespace and device. The address is set only when it is given: DHCP needs a
    /// bound port, see [`configure`](Self::configure). What exists already is kept, so that a
    /// second call mends what a first one left half-done, and what a restart of the switch left
    /// behind: a device that was moved into a namespace is lost then (seen with Open vSwitch 3.1.0).
    ///
    /// # Errors
    /// Names the step that failed; [`delete`](Self::delete) clears up.
    pub fn create(&self, switch: &mut OpenVSwitch, bridge: &str) -> anyhow::Result<()> {
        let marks = [
            ("iface-id", self.port_id.clone()),
            ("attached-mac", self.mac.0.to_string().to_lowercase()),
            ("iface-status", "active".to_owned()),
        ];
        switch
            .plug(bridge, &self.name, &marks)
            .with_context(|| format!("plugging {} into {bridge}", self.name))?;
        if !has_namespace(&self.namespace)? {
            ip(&["netns", "add", &self.namespace])?;
        }
        if self.is_in_namespace() && has_device(&self.name) {
            // A restarted switch has made a new device, and what is in the namespace leads nowhere.
            self.inside(&["link", "delete", &self.name])?;
        }
        if !self.is_in_namespace() {
            self.await_device()?;
            ip(&["link", "set", &self.name, "netns", &self.namespace])?;
        }
        let mac = self.mac.0.to_string();
        self.inside(&["link", "set", "lo", "up"])?;
        self.inside(&["link", "set", &self.name, "address", &mac])?;
        self.inside(&["link", "set", &self.name, "up"])
    }

    /// Gives the device its address. With DHCP the port must be up on the agent's word.
    ///
    /// # Errors
    /// Names the step; no answer from a DHCP server is one.
    pub fn configure(&self) -> anyhow::Result<()> {
        match &self.address {
            Address::Static(address) => {
                self.inside(&["addr", "replace", &address.to_string(), "dev", &self.name])
            }
            Address::Dhcp => {
                let script = lease_script().context("cannot write the script for udhcpc")?;
                let script = script.display().to_string();
                let client = ["netns", "exec", &self.namespace, "udhcpc", "-i", &self.name];
                ip(&[&client[..], &["-n", "-q", "-t", "5", "-s", &script]].concat())
                    .context("no lease; is a DHCP server on the network, and the port up?")
            }
        }
    }

    /// Sends echo requests from inside until one is answered.
    ///
    /// # Errors
    /// No answer within four seconds.
    pub fn ping(&self, target: &str) -> anyhow::Result<()> {
        ip(&["netns", "exec", &self.namespace, "ping", "-c", "1", "-w", "4", target])
            .with_context(|| format!("{target} does not answer {}", self.name))
    }

    /// Removes port and namespace; what is not there is no error.
    ///
    /// The port goes first: a namespace that is deleted with the device inside leaves the switch
    /// spinning on a dead descriptor (seen with Open vSwitch 3.1.0).
    ///
    /// # Errors
    /// Names the step that failed.
    pub fn delete(&self, switch: &mut OpenVSwitch, bridge: &str) -> anyhow::Result<()> {
        switch.unplug(bridge, &self.name).with_context(|| format!("removing {} from {bridge}", self.name))?;
        if has_namespace(&self.namespace)? {
            ip(&["netns", "del", &self.namespace])?;
        }
        Ok(())
    }

    fn is_in_namespace(&self) -> bool {
        self.inside(&["link", "show", &self.name]).is_ok()
    }

    fn await_device(&self) -> anyhow::Result<()> {
        let deadline = Instant::now() + DEVICE;
        while !has_device(&self.name) {
            if Instant::now() > deadline {
                bail!("the switch made no device {} within {DEVICE:?}; is ovs-vswitchd running?", self.name);
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }

    fn inside(&self, arguments: &[&str]) -> anyhow::Result<()> {
        ip(&[&["-n", &self.namespace], arguments].concat())
    }
}

/// What `udhcpc` does with a lease. Its own script would also write `/etc/resolv.conf`, and that is
/// the host's: a network namespace has no files of its own.
const LEASE: &str = "#!/bin/sh
case $1 in
    deconfig) ip address flush dev $interface ;;
    bound|renew)
        ip address replace $ip/$mask dev $interface
        for gateway in $router; do ip route replace default via $gateway dev $interface; done ;;
esac
";

/// Gone when dropped. Closed for writing, or it could not be executed.
fn lease_script() -> std::io::Result<tempfile::TempPath> {
    let mut file = tempfile::Builder::new().permissions(Permissions::from_mode(0o700)).tempfile()?;
    file.write_all(LEASE.as_bytes())?;
    Ok(file.into_temp_path())
}

/// In this namespace, where the switch makes its devices.
fn has_device(name: &str) -> bool {
    ip(&["link", "show", name]).is_ok()
}

fn has_namespace(name: &str) -> anyhow::Result<bool> {
    let output =
        Command::new("ip").args(["netns", "list"]).output().context("cannot run ip; install iproute2")?;
    let list = String::from_utf8_lossy(&output.stdout);
    Ok(list.lines().any(|line| line.split_whitespace().next() == Some(name)))
}

fn ip(arguments: &[&str]) -> anyhow::Result<()> {
    let output = Command::new("ip").args(arguments).output().context("cannot run ip; install iproute2")?;
    if !output.status.success() {
        bail!("ip {}: {}", arguments.join(" "), String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}
