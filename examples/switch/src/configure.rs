//! Changing a switch while it runs.

use core::time::Duration;

use fdb::{FlushScope, Refused};
use vlan_table::{PortId, PortOutOfRange, chip, dot1q, openvswitch};

use crate::{Guard, Rules, Switch};

/// A change that a switch cannot make; nothing has changed then.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The switch has no such port.
    #[error(transparent)]
    Port(#[from] PortOutOfRange),
    /// The 802.1Q bridge cannot be like this.
    #[error(transparent)]
    Dot1q(#[from] dot1q::ConfigError),
    /// No chip of this model can be like this.
    #[error(transparent)]
    Chip(#[from] chip::ConfigError),
    /// The forwarding database does not take the entry.
    #[error(transparent)]
    Database(#[from] Refused),
    /// The switch works by other rules.
    #[error("the switch works by other rules than those of {wanted}")]
    OtherRules {
        /// What the change is for.
        wanted: &'static str,
    },
}

impl<G: Guard> Switch<G> {
    /// Gives a port one of Open vSwitch's VLAN modes and forgets the stations behind it. An 802.1Q
    /// bridge takes it as [`dot1q::Bridge::set_mode`] says.
    ///
    /// # Errors
    /// [`ConfigError::Port`], [`ConfigError::Dot1q`]; [`ConfigError::OtherRules`] for a chip, which has
    /// no such modes.
    pub fn set_vlan_mode(
        &mut self,
        now: Duration,
        port: PortId,
        config: &openvswitch::PortConfig,
    ) -> Result<(), ConfigError> {
        match &mut self.rules {
            Rules::Dot1q(bridge) => {
                let flush = bridge.set_mode(port, config)?;
                self.flush(now, flush);
            }
            Rules::OpenVSwitch(bridge) => {
                bridge.set_port(port, config.clone())?;
                self.flush(now, dot1q::Flush::Port(port));
            }
            Rules::Chip(_) => return Err(ConfigError::OtherRules { wanted: "Open vSwitch" }),
        }
        Ok(())
    }

    /// The 802.1Q bridge, to be changed; `None` if the switch works by other rules. Hand the
    /// [`dot1q::Flush`] that a change returns to [`flush`](Self::flush).
    pub fn dot1q_mut(&mut self) -> Option<&mut dot1q::Bridge> {
        match &mut self.rules {
            Rules::Dot1q(bridge) => Some(bridge),
            _ => None,
        }
    }

    /// Open vSwitch's rules, to be changed; `None` if the switch works by others.
    pub fn openvswitch_mut(&mut self) -> Option<&mut openvswitch::Bridge> {
        match &mut self.rules {
            Rules::OpenVSwitch(bridge) => Some(bridge),
            _ => None,
        }
    }

    /// The settings of a chip; `None` if the switch is none.
    pub fn chip_config(&self) -> Option<&chip::Config> {
        match &self.rules {
            Rules::Chip(table) => Some(table.config()),
            _ => None,
        }
    }

    /// Writes the registers of a chip. Like the chip, it forgets no station: its address table knows
    /// no VLANs.
    ///
    /// # Errors
    /// [`ConfigError::Chip`]; [`ConfigError::OtherRules`] if the switch is no chip or one with another
    /// number of ports.
    pub fn set_chip_config(&mut self, config: chip::Config) -> Result<(), ConfigError> {
        match &mut self.rules {
            Rules::Chip(table) if table.config().model.ports == config.model.ports => {
                **table = chip::Table::new(config)?;
                self.set_reserved(config.reserved_addresses());
                Ok(())
            }
            _ => Err(ConfigError::OtherRules { wanted: config.model.name }),
        }
    }

    /// Forgets the stations that a change of the 802.1Q bridge has made wrong. O(1).
    pub fn flush(&mut self, now: Duration, what: dot1q::Flush) {
        let scope = match what {
            dot1q::Flush::Nothing => return,
            dot1q::Flush::Port(port) => FlushScope::port(port),
            dot1q::Flush::Fid(fid) => FlushScope::fid(fid),
            dot1q::Flush::PortAndFid(port, fid) => FlushScope::port(port).and_fid(fid),
        };
        self.database.flush(now, scope);
    }
}
