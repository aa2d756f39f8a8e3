//! The composed switch: VLAN rules, forwarding database and loop guard in one sans-IO device.
