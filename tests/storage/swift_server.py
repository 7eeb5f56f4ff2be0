"""OpenStack Swift with its S3 interface in one process, for one test run. Started by the Python of tests/host/s3.py.

    python swift_server.py FOLDER ACCESS_KEY SECRET_KEY BUCKET SECONDS

FOLDER takes the configuration and the data. BUCKET is made. The server's clock runs SECONDS ahead. Prints one line with
its port when it answers, and ends when its standard input does. Access keys are account:user, as Swift's tempauth has
them.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

folder, (access_key, secret_key, bucket) = Path(sys.argv[1]), sys.argv[2:5]
true_time, ahead = time.time, float(sys.argv[5])
time.time = lambda: true_time() + ahead  # before Swift imports the name

import eventlet  # noqa: E402

eventlet.monkey_patch()

from eventlet import listen, wsgi  # noqa: E402
from swift.common import storage_policy, utils  # noqa: E402
from swift.common.ring import RingBuilder  # noqa: E402
from swift.common.wsgi import loadapp, make_pre_authed_request  # noqa: E402

SWIFT_CONF = """
[swift-hash]
swift_hash_path_suffix = test
[storage-policy:0]
name = default
default = yes
"""

BACKEND = """
[DEFAULT]
swift_dir = {folder}
devices = {folder}/devices
mount_check = false
disable_fallocate = true
fallocate_reserve = 0
log_level = ERROR
log_address = /nowhere
[pipeline:main]
pipeline = {kind}
[app:{kind}]
use = egg:swift#{app}
"""

PROXY = """
[DEFAULT]
swift_dir = {folder}
log_level = ERROR
log_address = /nowhere
[pipeline:main]
pipeline = catch_errors proxy-logging cache listing_formats s3api tempauth slo dlo proxy-logging proxy-server
[app:proxy-server]
use = egg:swift#proxy
account_autocreate = true
[filter:catch_errors]
use = egg:swift#catch_errors
[filter:proxy-logging]
use = egg:swift#proxy_logging
[filter:cache]
use = egg:swift#memcache
memcache_servers = 127.0.0.1:9
[filter:listing_formats]
use = egg:swift#listing_formats
[filter:s3api]
use = egg:swift#s3api
location = us-east-1
[filter:tempauth]
use = egg:swift#tempauth
user_{account}_{user} = {secret} .admin
[filter:slo]
use = egg:swift#slo
[filter:dlo]
use = egg:swift#dlo
"""


def main() -> None:
    (folder / "devices" / "disk").mkdir(parents=True, exist_ok=True)
    (folder / "swift.conf").write_text(SWIFT_CONF)
    utils.SWIFT_CONF_FILE = storage_policy.SWIFT_CONF_FILE = str(folder / "swift.conf")
    utils.validate_hash_conf()
    sockets = {kind: listen(("127.0.0.1", 0)) for kind in ("account", "container", "object", "proxy")}
    for kind in ("account", "container", "object"):
        write_ring(kind, sockets[kind].getsockname()[1])
    for kind, socket in sockets.items():
        app = load(kind)
        eventlet.spawn(wsgi.server, socket, app, log_output=False, debug=False)
    make_bucket(app)
    print(sockets["proxy"].getsockname()[1], flush=True)
    eventlet.tpool.execute(sys.stdin.read)
    os._exit(0)


def make_bucket(app: object) -> None:
    """Create the bucket without a signature. The storage never creates one, so this needs no test."""
    path = f"/v1/AUTH_{access_key.partition(':')[0]}/{bucket}"
    made = make_pre_authed_request({"SERVER_NAME": "test"}, "PUT", path).get_response(app)
    assert made.status_int == 201, made.status


def write_ring(kind: str, port: int) -> None:
    builder = RingBuilder(part_power=0, replicas=1, min_part_hours=0)
    place = {"ip": "127.0.0.1", "port": port, "replication_ip": "127.0.0.1", "replication_port": port}
    builder.add_dev({"id": 0, "region": 1, "zone": 1, "weight": 1.0, "device": "disk", "meta": "", **place})
    builder.rebalance()
    builder.get_ring().save(str(folder / f"{kind}.ring.gz"))


def load(kind: str) -> object:
    account, _, user = access_key.partition(":")
    # Without user xattrs, as on some tmpfs, the objects stay in memory.
    app = "mem_object" if kind == "object" and not has_xattrs() else kind
    template = PROXY if kind == "proxy" else BACKEND
    path = folder / f"{kind}.conf"
    path.write_text(template.format(folder=folder, kind=kind, app=app, account=account, user=user, secret=secret_key))
    return loadapp(str(path))


def has_xattrs() -> bool:
    try:
        os.setxattr(folder, "user.test", b"1")
    except OSError:
        return False
    return True


main()
