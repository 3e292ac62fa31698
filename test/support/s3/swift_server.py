# Runs a whole OpenStack Swift with its S3 API in one process, as Swift's own functional tests do, in the folder of the
# first argument. It says where on its first line of output, and ends when its standard input does: so it does not outlive
# the test that has started it, however that ends.
#
# The listening sockets come first, on ports that the kernel chooses; rings and configurations are made for those.

import json
import os
import sys
from time import monotonic

os.environ['EVENTLET_NO_GREENDNS'] = 'yes'

import eventlet
import eventlet.wsgi
from eventlet import hubs
from swift.common import utils

folder = sys.argv[1]
access_key, secret_key = sys.argv[2:4]
# other parts of Swift read it as they are loaded
utils.SWIFT_CONF_FILE = folder + '/swift.conf'


def write(name, text):
    with open(os.path.join(folder, name), 'w') as file:
        file.write(text)


write('swift.conf', '''
[swift-hash]
swift_hash_path_prefix = of
swift_hash_path_suffix = tests
[storage-policy:0]
name = one
default = yes
''')

from swift.common import wsgi
from swift.common.ring import RingBuilder

utils.eventlet_monkey_patch()
utils.disable_fallocate()

# A slow machine must not make an object server put its note to the container off: no updater would see to that here.
common = '''
[DEFAULT]
swift_dir = {folder}
devices = {folder}/devices
mount_check = false
fallocate_reserve = 0
log_level = ERROR
client_timeout = 300
node_timeout = 60
recoverable_node_timeout = 60
conn_timeout = 30
container_update_timeout = 60
recon_cache_path = {folder}
'''.format(folder=folder)

storage = common + '''
[pipeline:main]
pipeline = {name}-server
[app:{name}-server]
use = egg:swift#{name}
'''

proxy = common + '''
[pipeline:main]
pipeline = catch_errors gatekeeper listing_formats bulk s3api tempauth slo versioned_writes symlink proxy-server
[app:proxy-server]
use = egg:swift#proxy
account_autocreate = true
[filter:catch_errors]
use = egg:swift#catch_errors
[filter:gatekeeper]
use = egg:swift#gatekeeper
[filter:listing_formats]
use = egg:swift#listing_formats
[filter:bulk]
use = egg:swift#bulk
[filter:s3api]
use = egg:swift#s3api
location = us-east-1
[filter:tempauth]
use = egg:swift#tempauth
user_{user} = {secret} .admin
[filter:slo]
use = egg:swift#slo
[filter:versioned_writes]
use = egg:swift#versioned_writes
allow_object_versioning = true
[filter:symlink]
use = egg:swift#symlink
'''.format(user=access_key.replace(':', '_'), secret=secret_key)

os.makedirs(folder + '/devices/disk')
sockets = {name: eventlet.listen(('127.0.0.1', 0)) for name in ['account', 'container', 'object', 'proxy']}
ports = {name: socket.getsockname()[1] for name, socket in sockets.items()}

for name in ['account', 'container', 'object']:
    builder = RingBuilder(2, 1, 0)
    address = {'ip': '127.0.0.1', 'port': ports[name]}
    replication = {'replication_ip': '127.0.0.1', 'replication_port': ports[name]}
    builder.add_dev(dict(address, **replication, region=1, zone=1, device='disk', weight=1, meta=''))
    builder.rebalance()
    builder.get_ring().save('%s/%s.ring.gz' % (folder, name))
    write(name + '.conf', storage.format(name=name))
write('proxy.conf', proxy)


class Memory:
    """In place of memcached, which the proxy wants to ask what it has found out before."""

    def __init__(self):
        self.entries = {}

    def set(self, key, value, serialize=True, time=0, **others):
        self.entries[key] = (json.dumps(value), monotonic() + (time or float('inf')))

    def get(self, key, **others):
        value, until = self.entries.get(key, ('null', float('inf')))
        return json.loads(value) if monotonic() < until else None

    def delete(self, key, **others):
        self.entries.pop(key, None)


def remembering(app):
    memory = Memory()

    def call(env, start_response):
        env['swift.cache'] = memory
        return app(env, start_response)

    return call


def serve(name):
    app = wsgi.loadapp('%s/%s.conf' % (folder, name), global_conf={'log_name': name})
    options = {'protocol': wsgi.SwiftHttpProtocol, 'capitalize_response_headers': False, 'socket_timeout': 300}
    eventlet.wsgi.server(sockets[name], remembering(app), utils.NullLogger(), **options)


wsgi.validate_configuration()
servers = [eventlet.spawn(serve, name) for name in sockets]
for server in servers:
    # a server that fails takes the others with it, and says why
    server.link(lambda ended: (ended.wait(), os._exit(1)))
eventlet.sleep(0)
print(json.dumps({'port': ports['proxy']}), flush=True)

hubs.trampoline(0, read=True)
while os.read(0, 1024):
    hubs.trampoline(0, read=True)
os._exit(0)
