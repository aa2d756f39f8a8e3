//! Words that Neutron's messages are made of. Their numbers are part of the binary format: append only.

/// Keys first, in the order in which Neutron writes them, then values.
#[rustfmt::skip]
pub(crate) const WORDS: [&str; 196] = [
    "devices", "id", "connectivity", "port_filter", "ovs_hybrid_plug", "ovs_create_tap", "datapath_type",
    "bound_drivers", "0", "IPv4", "IPv6", "filtered", "anti_spoof_ipv4", "anti_spoof_ipv6", "ingress",
    "ingress_iptables_v4", "ingress_iptables_v6", "egress", "egress_iptables_v4", "egress_iptables_v6",
    "call_version", "port_id", "host", "profile", "vif_type", "vif_details", "vnic_type", "level", "driver",
    "segment", "segment_id", "versioned_object.name", "versioned_object.namespace",
    "versioned_object.version", "versioned_object.data", "address", "address_group_id", "subnet_id",
    "versioned_object.changes", "oslo.version", "oslo.message", "result", "failure", "ending", "method",
    "args", "version", "_msg_id", "_reply_q", "_timeout", "_unique_id", "_context_user",
    "_context_project_id", "_context_system_scope", "_context_project", "_context_domain",
    "_context_user_domain", "_context_project_domain", "_context_is_admin", "_context_read_only",
    "_context_show_deleted", "_context_auth_token", "_context_request_id", "_context_global_request_id",
    "_context_resource_uuid", "_context_roles", "_context_user_identity", "_context_is_admin_project",
    "_context_user_id", "_context_timestamp", "_context_project_name", "_context_user_name",
    "_context_has_global_access", "_context_can_set_project_id", "event_type", "resource_list",
    "security_groups", "sg_member_ips", "name", "network_id", "project_id", "mac_address", "admin_state_up",
    "ip_address", "security_group_id", "network_type", "segmentation_id", "is_dynamic", "segment_index",
    "hosts", "shared", "addresses", "status", "device_id", "device_owner", "standard_attr_id", "fixed_ips",
    "allowed_address_pairs", "extra_dhcp_opts", "bindings", "data_plane_status", "dhcp_options",
    "distributed_bindings", "dns", "hints", "security", "security_group_ids", "pvlan_type",
    "pvlan_community", "qos_policy_id", "qos_network_policy_id", "binding_levels", "description",
    "binding:vnic_type", "binding:profile", "binding:host_id", "binding:vif_type", "binding:vif_details",
    "port_security_enabled", "revision_number", "created_at", "updated_at", "tags", "tenant_id",
    "security_group_rules", "security_group_source_groups", "security_group_remote_address_groups",
    "device", "direction", "ethertype", "protocol", "port_range_min", "port_range_max",
    "source_port_range_min", "source_port_range_max", "remote_address_group_id", "remote_group_id",
    "remote_ip_prefix", "normalized_cidr", "belongs_to_default_sg", "dest_ip_prefix", "stateful",
    "source_ip_prefix", "is_default", "rules",
    // values
    "compute:nova", "normal", "ovs", "l2", "system", "openvswitch", "DOWN", "ACTIVE", "BUILD", "updated",
    "deleted", "versionedobjects", "Port", "SecurityGroup", "SecurityGroupRule", "AddressGroup",
    "PortBinding", "PortSecurity", "IPAllocation", "AllowedAddressPair", "PortBindingLevel",
    "NetworkSegment", "1.0", "1.1", "1.2", "1.3", "1.6", "1.11", "2.0", "tcp", "udp", "icmp", "ipv6-icmp",
    "", "{}", "member", "admin", "reader", "- - - - -", "vxlan", "vlan", "security_group_info_for_devices",
    "security_group_rules_for_devices", "security_groups_member_updated", "security_groups_rule_updated",
    "push", "::/0", "0.0.0.0/0", "network:dhcp", "linuxbridge", "bridge",
];

/// The number of `word`, if it is one of [`WORDS`]. O(log n).
pub(crate) fn number(word: &str) -> Option<usize> {
    let at = SORTED.binary_search_by(|&at| WORDS.get(usize::from(at)).copied().unwrap_or_default().cmp(word));
    at.ok().and_then(|at| SORTED.get(at)).map(|&at| at.into())
}

/// Numbers of all words, sorted by word.
const SORTED: [u8; WORDS.len()] = sorted();

#[allow(clippy::indexing_slicing, reason = "runs at compile time, where a mistake is a build error")]
const fn sorted() -> [u8; WORDS.len()] {
    let mut order = [0; WORDS.len()];
    let mut count = 0;
    while count < order.len() {
        let mut at = count;
        while at > 0 && less(WORDS[count], WORDS[order[at - 1] as usize]) {
            order[at] = order[at - 1];
            at -= 1;
        }
        order[at] = count as u8;
        count += 1;
    }
    order
}

#[allow(clippy::indexing_slicing, reason = "runs at compile time, where a mistake is a build error")]
const fn less(a: &str, b: &str) -> bool {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    let mut at = 0;
    while at < a.len() && at < b.len() {
        if a[at] != b[at] {
            return a[at] < b[at];
        }
        at += 1;
    }
    a.len() < b.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_is_found_under_its_own_number() {
        for (at, word) in WORDS.iter().enumerate() {
            assert_eq!(number(word), Some(at), "{word}");
        }
        assert_eq!(number("no such word"), None);
    }
}
