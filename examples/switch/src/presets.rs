//! The usual switches.

use fdb::Config;
use vlan_table::{ReservedAddresses, chip, dot1q, openvswitch};

use crate::{Database, Rules, Switch};

impl Switch {
    /// An RTL8305SC after reset: five ports, VLANs off, 1024 stations and 16 more.
    pub fn rtl8305sc() -> Self {
        Self::after_reset(chip::Model::RTL8305SC)
    }

    /// An RTL8306SD after reset: six ports, VLANs off, 2048 stations in sets of four.
    pub fn rtl8306sd() -> Self {
        Self::after_reset(chip::Model::RTL8306SD)
    }

    fn after_reset(model: chip::Model) -> Self {
        // `Config::new` of a model in the list is valid; a test goes through them.
        let table = chip::Table::new(chip::Config::new(model));
        Self::chip(table.unwrap_or_else(|error| unreachable!("{}: {error}", model.name)))
    }

    /// A chip with these settings, and the address table of its model.
    pub fn chip(table: chip::Table) -> Self {
        let database = match table.config().model {
            chip::Model::RTL8306SD => Database::set_assoc(Config::REALTEK),
            _ => Database::direct_cam(Config::REALTEK),
        };
        let reserved = table.config().reserved_addresses();
        Self::new(Rules::Chip(Box::new(table)), database, reserved)
    }

    /// An 802.1Q bridge.
    pub fn dot1q(bridge: dot1q::Bridge, database: Database) -> Self {
        Self::new(Rules::Dot1q(Box::new(bridge)), database, ReservedAddresses::CustomerBridge)
    }

    /// A switch that does as Open vSwitch does.
    pub fn openvswitch(bridge: openvswitch::Bridge, database: Database) -> Self {
        Self::new(Rules::OpenVSwitch(Box::new(bridge)), database, ReservedAddresses::OpenVSwitch)
    }
}
