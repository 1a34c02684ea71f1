#!/usr/bin/env bash
# NSD 4.6.1: a zone with a DNAME is not served because another zone, its parent, has a name below that DNAME.
#
# `p.test` delegates `c.p.test` and has `x.d.c.p.test`, which is below its own cut and so never answered (RFC 1034 §4.2.1). `c.p.test` has a DNAME at
# `d.c.p.test`. Each zone is well, and nsd-checkzone says so of both. Served together, NSD answers SERVFAIL for all of `c.p.test`; seen: "While
# checking node x.d.c.p.test., DNAME at d.c.p.test. has data below it." BIND 9.18.49 and Knot DNS 3.2.6 serve both.
# It matters to whoever checks zones one by one before a reload: the check passes, the zone goes dark.
# Fails where that is not so any more. Takes Debian 12's packages, port 45731 of loopback, and three seconds.
set -euo pipefail
work=$(mktemp -d)
pids=()
trap 'kill "${pids[@]}" 2> /dev/null || true; wait; rm -rf "$work"' EXIT
cd "$work"
bind=1:9.18.49-1~deb12u3
apt-get -qq -o APT::Sandbox::User=root download nsd=4.6.1-1 libevent-2.1-7 "bind9-dnsutils=$bind" "bind9-libs=$bind" libuv1 libnghttp2-14 \
    libjson-c5 liblmdb0 libmaxminddb0 libfstrm0 libprotobuf-c1 libxml2 libicu72
for package in *.deb; do dpkg -x "$package" tree; done
export LD_LIBRARY_PATH="$work/tree/usr/lib/$(dpkg-architecture -qDEB_HOST_MULTIARCH 2> /dev/null || echo x86_64-linux-gnu)"
export PATH="$work/tree/usr/bin:$work/tree/usr/sbin:$PATH"

head='$TTL 60
@ SOA ns.other.test. admin.other.test. 1 1 1 1 1
@ NS  ns.other.test.'
printf '%s\nc NS ns.other.test.\nx.d.c TXT "below the cut"\n' "$head" > parent
printf '%s\nd DNAME elsewhere.test.\n' "$head" > child
cat > nsd.conf << END
server:
  ip-address: 127.0.0.1@45731
  server-count: 1
  username: ""
  database: ""
  zonesdir: "$work"
  pidfile: "$work/nsd.pid"
  xfrdfile: "$work/xfrd"
  zonelistfile: "$work/zone.list"
  xfrdir: "$work"
remote-control:
  control-enable: no
zone:
  name: p.test
  zonefile: parent
zone:
  name: c.p.test
  zonefile: child
END
nsd-checkzone p.test parent && nsd-checkzone c.p.test child
nsd -d -c nsd.conf > log 2>&1 & pids+=($!)
for _ in $(seq 50); do
    dig @127.0.0.1 -p 45731 +time=1 +tries=1 +norec p.test SOA > answer 2>&1 || true
    if grep -q "status: NOERROR" answer; then break; fi
    sleep 0.1
done
grep error log || true
dig @127.0.0.1 -p 45731 +norec c.p.test SOA | grep "status:" | tee answer
grep -q "status: SERVFAIL" answer || { echo "NSD serves the child now"; exit 1; }
echo "as found: both zones pass the check, and the child is not served"
