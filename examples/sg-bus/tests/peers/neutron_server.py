"""A Neutron server for tests: the ML2 plugin on SQLite in memory, its RPC on a real broker.

    python3 neutron_server.py rabbit://guest:guest@127.0.0.1:5672//

Reads one JSON command per line and answers each with one line of JSON: {"ok": ...} or
{"error": ...}. The first line it writes is {"ok": "ready"}. It ends with its standard input.
Nothing of Neutron is replaced; only its REST layer is left out: commands call the plugin.
"""
import json
import sys
import tempfile
import threading
import warnings

warnings.simplefilter('ignore')                      # eventlet's farewell

from neutron_lib.agent import topics                             # noqa: E402
from neutron_lib.api import attributes                           # noqa: E402
from neutron_lib import context                                  # noqa: E402
from neutron_lib.db import api as db_api                         # noqa: E402
from neutron_lib.db import model_base                            # noqa: E402
from neutron_lib.plugins import directory                        # noqa: E402
from neutron_lib.plugins import utils                            # noqa: E402
from neutron_lib import rpc as n_rpc                             # noqa: E402
from oslo_config import cfg                                      # noqa: E402
from oslo_db import options as db_options                        # noqa: E402
from oslo_serialization import jsonutils                         # noqa: E402
from oslo_utils import timeutils                                 # noqa: E402

from neutron.api import extensions                               # noqa: E402
from neutron.api.rpc.handlers import securitygroups_rpc          # noqa: E402
from neutron.common import config as common_config               # noqa: E402
from neutron.conf.plugins.ml2 import config as ml2_config        # noqa: E402
from neutron.conf.plugins.ml2.drivers import driver_type         # noqa: E402
from neutron.db.migration.models import head                     # noqa: E402,F401
from neutron import manager                                      # noqa: E402
from neutron.plugins.ml2 import rpc as ml2_rpc                   # noqa: E402

PROJECT = '5f' * 16
HOST = 'compute-01'
# One SQLite connection serves all threads, so one thread at a time uses it.
DATABASE = threading.RLock()


class Callback(securitygroups_rpc.SecurityGroupServerRpcCallback):
    """Neutron's own, one call at a time; counts the calls."""

    calls = 0

    def security_group_info_for_devices(self, context, **kwargs):
        with DATABASE:
            Callback.calls += 1
            return super().security_group_info_for_devices(context, **kwargs)


class Details(ml2_rpc.RpcCallbacks):
    """Neutron's own, one call at a time; counts the calls."""

    calls = 0

    def get_devices_details_list_and_failed_devices(self, context, **kwargs):
        with DATABASE:
            Details.calls += 1
            return super().get_devices_details_list_and_failed_devices(context, **kwargs)

    def update_device_list(self, context, **kwargs):
        with DATABASE:
            return super().update_device_list(context, **kwargs)


class Server:
    def __init__(self, url):
        configure(url)
        n_rpc.init(cfg.CONF)
        with db_api.CONTEXT_WRITER.using(self.context()) as session:
            engine = session.get_bind()
        model_base.BASEV2.metadata.create_all(engine)
        manager.init()
        extensions.PluginAwareExtensionManager.get_instance().extend_resources(
            '2.0', attributes.RESOURCES)
        self.plugin = directory.get_plugin()
        self.register_agent()
        self.callback = Callback()
        self.connection = n_rpc.Connection()
        details = Details(self.plugin.notifier, self.plugin.type_manager)
        self.connection.create_consumer(topics.PLUGIN, [self.callback, details])
        self.connection.consume_in_threads()

    @staticmethod
    def context():
        return context.get_admin_context()

    def register_agent(self):
        """Without an agent on the host a port is not bound, and its updates are not announced."""
        self.plugin.create_or_update_agent(self.context(), {
            'agent_type': 'Open vSwitch agent', 'binary': 'neutron-openvswitch-agent', 'host': HOST,
            'topic': 'N/A', 'start_flag': True, 'configurations': {
                'bridge_mappings': {'physnet1': 'br-ex', 'physnet2': 'br-eth1'}, 'tunnel_types': [], 'tunneling_ip': '192.0.2.1'}},
            timeutils.utcnow())

    # -- commands ----------------------------------------------------------
    def network(self, cidrs):
        network = utils.create_network(self.plugin, self.context(), {'network': {
            'name': 'net', 'tenant_id': PROJECT, 'admin_state_up': True, 'shared': False}},
            check_allow_post=False)['id']
        for cidr in cidrs:
            utils.create_subnet(self.plugin, self.context(), {'subnet': {
                'name': '', 'network_id': network, 'tenant_id': PROJECT, 'cidr': cidr,
                'ip_version': 6 if ':' in cidr else 4}}, check_allow_post=False)
        return network

    def provider_network(self, **provider):
        given = {'name': 'provider', 'tenant_id': PROJECT, 'admin_state_up': True, 'shared': False}
        given.update(('provider:' + key, value) for key, value in provider.items())
        return utils.create_network(self.plugin, self.context(), {'network': given},
                                    check_allow_post=False)['id']

    def change_network(self, network, **provider):
        given = {'provider:' + key: value for key, value in provider.items()}
        self.plugin.update_network(self.context(), network, {'network': given})

    def status(self, port):
        return self.plugin.get_port(self.context(), port)['status']

    def group(self, name):
        return self.plugin.create_security_group(self.context(), {'security_group': {
            'name': name, 'description': '', 'tenant_id': PROJECT, 'project_id': PROJECT,
            'stateful': True}})['id']

    def rule(self, group, **given):
        rule = {'security_group_id': group, 'direction': 'ingress', 'ethertype': 'IPv4',
                'protocol': None, 'port_range_min': None, 'port_range_max': None,
                'remote_ip_prefix': None, 'remote_group_id': None, 'remote_address_group_id': None,
                'description': '', 'tenant_id': PROJECT, 'project_id': PROJECT}
        rule.update(given)
        return self.plugin.create_security_group_rule(
            self.context(), {'security_group_rule': rule})['id']

    def drop_rule(self, rule):
        self.plugin.delete_security_group_rule(self.context(), rule)

    def port(self, network, groups, **given):
        port = {'name': '', 'network_id': network, 'tenant_id': PROJECT, 'admin_state_up': True,
                'device_owner': 'compute:nova', 'device_id': 'server', 'security_groups': groups,
                'binding:host_id': HOST}
        port.update(given)
        port = utils.create_port(self.plugin, self.context(), {'port': port}, check_allow_post=False)
        return {'id': port['id'], 'vif': port.get('binding:vif_type')}

    def change_port(self, port, **given):
        self.plugin.update_port(self.context(), port, {'port': given})

    def drop_port(self, port):
        self.plugin.delete_port(self.context(), port)

    def info(self, devices):
        """The reply as a client gets it, without the broker between."""
        info = self.callback.plugin.security_group_info_for_ports(
            self.context(), self.callback._get_devices_info(self.context(), devices))
        return jsonutils.loads(jsonutils.dumps(info))

    def calls(self):
        return Callback.calls

    def details_calls(self):
        return Details.calls


def configure(url):
    common_config.register_common_config_options()
    ml2_config.register_ml2_plugin_opts()
    driver_type.register_ml2_drivers_vxlan_opts()
    db_options.set_defaults(cfg.CONF, connection='sqlite://')
    with tempfile.NamedTemporaryFile('w', suffix='.conf') as file:
        file.write('\n'.join([
            '[DEFAULT]', 'core_plugin = ml2', 'service_plugins = revisions,timestamp',
            'notify_nova_on_port_status_changes = False', 'notify_nova_on_port_data_changes = False',
            'transport_url = ' + url, '[ml2]', 'mechanism_drivers = openvswitch',
            'extension_drivers = port_security', 'type_drivers = local,flat,vlan',
            'project_network_types = local', '[ml2_type_flat]', 'flat_networks = physnet2',
            '[ml2_type_vlan]', 'network_vlan_ranges = physnet1:100:299', '[QUOTAS]', 'quota_port = -1',
            'quota_security_group = -1', 'quota_security_group_rule = -1', '']))
        file.flush()
        cfg.CONF(['--config-file', file.name], project='neutron')


def main():
    out = sys.stdout
    sys.stdout = sys.stderr                          # whatever else prints

    def say(**answer):
        out.write(json.dumps(answer) + '\n')
        out.flush()

    server = Server(sys.argv[1])
    say(ok='ready')
    for line in sys.stdin:
        command = json.loads(line)
        try:
            with DATABASE:
                say(ok=getattr(server, command.pop('do'))(**command))
        except Exception as error:                   # noqa: B902
            say(error='%s: %s' % (type(error).__name__, error))
    sys.stderr.flush()
    import os
    os._exit(0)                                      # threads of the broker's client stay otherwise


if __name__ == '__main__':
    main()
