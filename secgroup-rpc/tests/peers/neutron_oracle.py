#!/usr/bin/env python3
"""What Neutron itself answers for random security groups.

    python3 neutron_oracle.py SEED...

For each seed: a network with ports, groups, rules and address groups made at random by Neutron's ML2 plugin
on an in-memory database; then both calls of SecurityGroupServerRpcCallback, and the rules that the iptables
driver of Neutron's agent makes of the compact reply. One line of JSON per seed.

Needs neutron (see requirements.txt beside this file) and nothing else: no server, no broker, no root.
"""
import collections
import json
import random
import sys
import tempfile
import uuid
import warnings

warnings.simplefilter("ignore")

from neutron_lib import constants, context, exceptions  # noqa: E402
from neutron_lib.db import api as db_api, model_base  # noqa: E402
from neutron_lib.plugins import directory  # noqa: E402
from oslo_config import cfg  # noqa: E402
from oslo_serialization import jsonutils  # noqa: E402

from neutron import manager  # noqa: E402
from neutron.agent.linux import iptables_firewall  # noqa: E402
from neutron.api.rpc.handlers import securitygroups_rpc  # noqa: E402
from neutron.common import config  # noqa: E402
from neutron.db.migration.models import head  # noqa: E402, F401  registers every table

SETTINGS = """
[DEFAULT]
core_plugin = ml2
service_plugins =
transport_url = fake:/
notify_nova_on_port_status_changes = false
notify_nova_on_port_data_changes = false
[database]
connection = sqlite://
[ml2]
mechanism_drivers =
extension_drivers = port_security
type_drivers = local
tenant_network_types = local
[quotas]
quota_security_group = -1
quota_security_group_rule = -1
quota_port = -1
quota_network = -1
quota_subnet = -1
"""

PROJECT = "3f0c6b1d5a7e4c0e9f3b2a1d4c5e6f70"
STRANGER = "ffffffff-ffff-4fff-bfff-ffffffffffff"
PORT_PROTOCOLS = ["tcp", "udp", "sctp", "dccp", "udplite", "6", "17"]
BARE_PROTOCOLS = ["vrrp", "112", "esp", "50", "ah", "gre", "igmp", "255", "ipip"]


def start():
    """The plugin and the handler of the calls."""
    with tempfile.NamedTemporaryFile("w", suffix=".conf") as settings:
        settings.write(SETTINGS)
        settings.flush()
        config.register_common_config_options()
        config.init([], default_config_files=[settings.name])
    model_base.BASEV2.metadata.create_all(db_api.CONTEXT_WRITER.get_engine())
    manager.init()
    return directory.get_plugin(), securitygroups_rpc.SecurityGroupServerRpcCallback()


class World:
    """Everything that one seed makes."""

    def __init__(self, plugin, seed):
        self.plugin = plugin
        self.random = random.Random(seed)
        self.seed = seed
        self.context = context.get_admin_context()
        self.make_network()
        self.groups = [self.group(at) for at in range(self.random.randint(1, 4))]
        self.address_groups = [self.address_group(at) for at in range(self.random.randint(0, 2))]
        for group in self.groups:
            for _ in range(self.random.randint(0, 6)):
                self.rule(group)
        self.ports = [self.port() for _ in range(self.random.randint(4, 12))]

    def make_network(self):
        self.network, self.bare = (self.plugin.create_network(self.context, {"network": {
            "name": name, "tenant_id": PROJECT, "admin_state_up": True, "shared": False,
            "router:external": False}})["id"] for name in ("net", "no subnets"))
        net = 10 + self.seed % 200
        self.cidrs = {4: f"10.{net}.0.0/22", 6: f"2001:db8:{net:x}::/64"}
        modes = {4: None, 6: self.random.choice([None, "slaac"])}
        self.subnets = {version: self.plugin.create_subnet(self.context, {"subnet": {
            "name": "", "tenant_id": PROJECT, "network_id": self.network, "ip_version": version,
            "cidr": cidr, "gateway_ip": constants.ATTR_NOT_SPECIFIED,
            "enable_dhcp": True, "allocation_pools": constants.ATTR_NOT_SPECIFIED,
            "dns_nameservers": constants.ATTR_NOT_SPECIFIED, "host_routes": constants.ATTR_NOT_SPECIFIED,
            "ipv6_ra_mode": modes[version] or constants.ATTR_NOT_SPECIFIED,
            "ipv6_address_mode": modes[version] or constants.ATTR_NOT_SPECIFIED}})["id"]
            for version, cidr in self.cidrs.items()}

    def group(self, at):
        return self.plugin.create_security_group(self.context, {"security_group": {
            "name": f"group {at}", "description": "", "tenant_id": PROJECT, "project_id": PROJECT,
            "stateful": self.random.random() < 0.8}})["id"]

    def address_group(self, at):
        some = ["198.51.100.0/24", "203.0.113.7/32", "2001:db8:ffff::/48", "0.0.0.0/0", "10.0.0.0/8",
                "2001:db8:1::7/128"]
        return self.plugin.create_address_group(self.context, {"address_group": {
            "name": f"addresses {at}", "description": "", "project_id": PROJECT, "shared": False,
            "addresses": self.random.sample(some, self.random.randint(0, 3))}})["id"]

    def rule(self, group):
        choose = self.random.choice
        version = choose([4, 4, 6])
        rule = {"security_group_id": group, "direction": choose(["ingress", "ingress", "egress"]),
                "ethertype": f"IPv{version}", "protocol": None, "port_range_min": None, "port_range_max": None,
                "remote_ip_prefix": None, "remote_group_id": None, "remote_address_group_id": None,
                "description": "", "tenant_id": PROJECT, "project_id": PROJECT}
        kind = choose(["any", "ports", "ports", "bare", "icmp"])
        if kind == "ports":
            low = self.random.randint(1, 65000)
            rule.update(protocol=choose(PORT_PROTOCOLS), port_range_min=low,
                        port_range_max=low + choose([0, 0, 1, 500]))
        elif kind == "bare":
            rule["protocol"] = choose(BARE_PROTOCOLS)
        elif kind == "icmp":
            rule["protocol"] = "icmp" if version == 4 else choose(["ipv6-icmp", "icmpv6", "58"])
            rule["port_range_min"] = choose([None, 0, 3, 8, 128, 255])
            if rule["port_range_min"] is not None:
                rule["port_range_max"] = choose([None, 0, 1, 255])
        far = choose(["any", "group", "group", "prefix", "addresses"])
        if far == "group":
            rule["remote_group_id"] = choose(self.groups)
        elif far == "prefix":
            prefixes = {4: ["10.1.2.3/24", "0.0.0.0/0", "192.0.2.1/32", "10.0.0.0/9"],
                        6: ["::/0", "2001:db8::5/64", "fe80::1/128"]}
            rule["remote_ip_prefix"] = choose(prefixes[version])
        elif far == "addresses" and self.address_groups:
            rule["remote_address_group_id"] = choose(self.address_groups)
        try:
            self.plugin.create_security_group_rule(self.context, {"security_group_rule": rule})
        except exceptions.NeutronException as refused:
            # The same rule twice, and the like: Neutron's word counts, the others remain.
            print(f"seed {self.seed}: {refused}", file=sys.stderr)

    def port(self):
        choose = self.random.choice
        addresses = choose([
            constants.ATTR_NOT_SPECIFIED, constants.ATTR_NOT_SPECIFIED, None,
            [{"subnet_id": self.subnets[4]}], [{"subnet_id": self.subnets[6]}],
            [{"subnet_id": self.subnets[4]}, {"subnet_id": self.subnets[4]}]])
        owner = choose(["compute:nova", "compute:nova", "compute:az1", "network:dhcp"])
        # Neutron trusts its own ports.
        filtered = self.random.random() < 0.85 and not owner.startswith("network:")
        port = {
            "name": "", "tenant_id": PROJECT, "admin_state_up": True,
            # Where there is no subnet, there is no address.
            "network_id": self.network if addresses else self.bare,
            "device_id": str(uuid.UUID(int=self.random.getrandbits(128))),
            "device_owner": owner,
            "mac_address": constants.ATTR_NOT_SPECIFIED, "fixed_ips": addresses or constants.ATTR_NOT_SPECIFIED,
            "port_security_enabled": filtered,
            "security_groups": self.some_groups() if filtered else constants.ATTR_NOT_SPECIFIED}
        if filtered and self.random.random() < 0.4:
            port["allowed_address_pairs"] = [self.pair() for _ in range(self.random.randint(1, 3))]
        return self.plugin.create_port(self.context, {"port": port})["id"]

    def some_groups(self):
        # Neutron lets no port mix stateful and stateless groups.
        stateful = {group: self.plugin.get_security_group(self.context, group)["stateful"]
                    for group in self.groups}
        kind = stateful[self.random.choice(self.groups)]
        alike = [group for group in self.groups if stateful[group] == kind]
        count = self.random.choice([0, 1, 1, 1, 2, 2, 3])
        return self.random.sample(alike, min(count, len(alike)))

    def pair(self):
        net4, net6 = (self.cidrs[version].split("/")[0] for version in (4, 6))
        low = self.random.randint(1, 250)
        pair = {"ip_address": self.random.choice([
            net4[:-1] + str(low), net4[:-1] + f"{low}/28", net6 + f"{low:x}", net6 + f"{low:x}00/120",
            "0.0.0.0/0", "2000::/3"])}
        if self.random.random() < 0.5:
            pair["mac_address"] = f"00:16:3e:00:00:{low:02x}"
        return pair

    def devices(self):
        """Names as an agent may ask by: ids, tap names, the start of an id, and one that is not there."""
        names = [self.random.choice([port, port, "tap" + port[:11], port[:11]]) for port in self.ports]
        return names + self.random.sample([STRANGER], self.random.randint(0, 1))


def expanded(info):
    """What the agent's driver makes of a compact reply, without sets of its own."""
    driver = iptables_firewall.IptablesFirewallDriver.__new__(iptables_firewall.IptablesFirewallDriver)
    driver.enable_ipset = False
    driver.sg_rules = {}
    driver.sg_members = collections.defaultdict(lambda: collections.defaultdict(list))
    for group, rules in info["security_groups"].items():
        driver.update_security_group_rules(group, rules)
    for group, members in info["sg_member_ips"].items():
        driver.update_security_group_members(group, members)
    return {port: device(driver, found) for port, found in info["devices"].items()}


def device(driver, port):
    ipv4, ipv6 = [], []
    for pair in port.get("allowed_address_pairs") or []:
        driver._build_ipv4v6_mac_ip_list(pair["mac_address"], pair["ip_address"], ipv4, ipv6)
    for address in port["fixed_ips"]:
        driver._build_ipv4v6_mac_ip_list(port["mac_address"], address, ipv4, ipv6)
    if not port["fixed_ips"]:
        ipv4.append((port["mac_address"], None))
        ipv6.append((port["mac_address"], None))
    rules = {direction: driver._select_sgr_by_direction(port, direction)
             + driver._select_sg_rules_for_port(port, direction) for direction in ("ingress", "egress")}
    return {"filtered": port.get("port_security_enabled", True), "anti_spoof_ipv4": ipv4,
            "anti_spoof_ipv6": ipv6, **rules}


def answers(plugin, calls, seed):
    world = World(plugin, seed)
    devices = world.devices()

    def ask(call, **arguments):
        # Each call has a session of its own, and its answer goes through JSON.
        answer = call(context.get_admin_context(), devices=list(devices), **arguments)
        return jsonutils.loads(jsonutils.dumps(answer))

    compact = ask(calls.security_group_info_for_devices, call_version="1.3")
    return {
        "seed": seed,
        "compact": compact,
        "compact-v1.2": ask(calls.security_group_info_for_devices),
        "legacy": ask(calls.security_group_rules_for_devices),
        "expanded": expanded(jsonutils.loads(jsonutils.dumps(compact))),
    }


def main():
    plugin, calls = start()
    for seed in map(int, sys.argv[1:]):
        print(json.dumps(answers(plugin, calls, seed)), flush=True)


if __name__ == "__main__":
    main()
