//! Open vSwitch's port modes, in terms of IEEE 802.1Q.

use super::{AcceptableFrames, Bridge, ConfigError, Flush, Membership, PortConfig, TagType};
use crate::openvswitch::{self, VlanMode};
use crate::{PortId, TagVid, VidSet, VlanId};

impl<const VLANS: usize, const WORDS: usize> Bridge<VLANS, WORDS> {
    /// Gives a port the PVID, the memberships and the filters that a mode stands for. O(4094).
    ///
    /// | mode | PVID | member | acceptable frames | tag type |
    /// |---|---|---|---|---|
    /// | `access` | `tag` | `tag` untagged | untagged and priority-tagged | customer |
    /// | `trunk` | none | `trunks` tagged | tagged | customer |
    /// | `native-tagged` | `tag` | `tag` and `trunks` tagged | all | customer |
    /// | `native-untagged` | `tag` | `tag` untagged, `trunks` tagged | all | customer |
    /// | `dot1q-tunnel` | `tag` | `tag` untagged | untagged and priority-tagged | service |
    ///
    /// All filter ingress. Port state, default priority and learning stay as they were. A tunnel's outer
    /// tag is of the type of the port that it leaves by, so `qinq_ethtype` says nothing here: make the
    /// uplinks of a provider bridge [service](TagType::Service) ports with [`set_port`](Self::set_port).
    /// Where Open vSwitch itself decides otherwise, see [`openvswitch`](crate::openvswitch).
    ///
    /// # Errors
    /// [`ConfigError::NoSuchPort`], [`ConfigError::VidOutOfRange`], [`ConfigError::TableFull`],
    /// [`ConfigError::CustomerVlans`]; the bridge is unchanged then.
    pub fn set_mode(&mut self, port: PortId, mode: &openvswitch::PortConfig) -> Result<Flush, ConfigError> {
        let old = *self.port(port).ok_or(ConfigError::NoSuchPort { port })?;
        let config = config_for(port, mode, old)?;
        let trunks = match mode.vlan_mode {
            VlanMode::Access | VlanMode::Dot1qTunnel => Some(VidSet::EMPTY),
            VlanMode::Trunk | VlanMode::NativeTagged | VlanMode::NativeUntagged => mode.trunks.clone(),
        };
        let everywhere = trunks.is_none();
        let wanted = trunks.unwrap_or(VidSet::EMPTY);
        self.check_room(port, &wanted, config.pvid)?;
        _ = self.leave_all(port);
        if everywhere {
            self.join_all(port)?;
        }
        for vid in wanted.iter().filter_map(VlanId::new) {
            self.join(vid, port, Membership::Tagged)?;
        }
        if let Some(vid) = config.pvid {
            let tagged = mode.vlan_mode == VlanMode::NativeTagged;
            self.join(vid, port, if tagged { Membership::Tagged } else { Membership::Untagged })?;
        }
        _ = self.set_port(port, config)?;
        Ok(Flush::Port(port))
    }

    fn check_room(&self, port: PortId, vids: &VidSet, pvid: Option<VlanId>) -> Result<(), ConfigError> {
        let mut room = self.room();
        for raw in vids.iter().chain(pvid.map(VlanId::get).filter(|vid| !vids.contains(*vid))) {
            let vid = VlanId::new(raw).ok_or(ConfigError::VidOutOfRange { port, vid: raw })?;
            if !self.is_configured(vid) {
                room = room.checked_sub(1).ok_or(ConfigError::TableFull { vid, capacity: VLANS })?;
            }
        }
        Ok(())
    }
}

fn config_for(
    port: PortId,
    mode: &openvswitch::PortConfig,
    old: PortConfig,
) -> Result<PortConfig, ConfigError> {
    let acceptable = match mode.vlan_mode {
        VlanMode::Access | VlanMode::Dot1qTunnel => AcceptableFrames::OnlyUntaggedAndPriority,
        VlanMode::Trunk => AcceptableFrames::OnlyTagged,
        VlanMode::NativeTagged | VlanMode::NativeUntagged => AcceptableFrames::All,
    };
    let pvid = match mode.vlan_mode {
        VlanMode::Trunk => None,
        _ => match mode.tag {
            TagVid::Vlan(vid) => Some(vid),
            other => return Err(ConfigError::VidOutOfRange { port, vid: other.raw() }),
        },
    };
    // A customer's tags are payload where service tags are the tags.
    let tag_type = match mode.vlan_mode {
        VlanMode::Dot1qTunnel => TagType::Service,
        _ => TagType::Customer,
    };
    if mode.vlan_mode == VlanMode::Dot1qTunnel && mode.cvlans.is_some() {
        return Err(ConfigError::CustomerVlans { port });
    }
    Ok(PortConfig {
        pvid,
        acceptable,
        ingress_filter: true,
        tag_type,
        priority_tags: mode.priority_tags,
        isolated: mode.protected,
        ..old
    })
}
