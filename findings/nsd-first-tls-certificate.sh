#!/usr/bin/env bash
# NSD 4.6.1: the first connection over TLS after a start shows no client certificate.
#
# `client-cert` and `client-key` of a `tls-auth` are what NSD shows to a primary that asks for a certificate (RFC 9103 §9.3.3). On the first
# connection of the process its Certificate message is empty; from the second on it holds the certificate. A primary that demands one breaks
# off or refuses, and the zone comes with the next attempt, some 20 seconds later, or after the next notification. It matters to whoever tests
# mutual TLS with NSD and finds the certificate wrong, and to a secondary that starts with nothing.
# Fails where that is not so any more. Takes Debian 12's packages, ports 45723 and 45724 of loopback, and half a minute.
set -euo pipefail
work=$(mktemp -d)
pids=()
trap 'kill "${pids[@]}" 2> /dev/null || true; wait; rm -rf "$work"' EXIT
cd "$work"
apt-get -qq -o APT::Sandbox::User=root download nsd=4.6.1-1 libevent-2.1-7 libfstrm0 libprotobuf-c1
for package in *.deb; do dpkg -x "$package" tree; done
export LD_LIBRARY_PATH="$work/tree/usr/lib/$(dpkg-architecture -qDEB_HOST_MULTIARCH 2> /dev/null || echo x86_64-linux-gnu)"
export PATH="$work/tree/usr/bin:$work/tree/usr/sbin:$PATH"

openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=primary.test -addext subjectAltName=DNS:primary.test \
    -keyout key -out pem 2> /dev/null
cat > nsd.conf << END
server:
  ip-address: 127.0.0.1@45723
  server-count: 1
  username: ""
  chroot: ""
  database: ""
  zonesdir: "$work"
  pidfile: "$work/pid"
  xfrdfile: "$work/xfrd"
  zonelistfile: "$work/zones"
  xfrdir: "$work"
  tls-cert-bundle: "$work/pem"
remote-control:
  control-enable: no
tls-auth:
  name: primary
  auth-domain-name: primary.test
  client-cert: "$work/pem"
  client-key: "$work/key"
zone:
  name: a.test
  zonefile: "a.zone"
  request-xfr: 127.0.0.1@45724 NOKEY primary
  allow-notify: 127.0.0.1 NOKEY
END
# Waits for the client's Certificate message and writes down its length.
primary() {
    openssl s_server -accept 127.0.0.1:45724 -cert pem -key key -tls1_3 -alpn dot -verify 1 -CAfile pem -msg < /dev/zero > "$1" 2>&1 & server=$!
    pids+=("$server")
    for _ in $(seq 40); do grep -aqs ACCEPT "$1" && break; sleep 0.1; done
    "${@:2}"
    for _ in $(seq 600); do grep -aqs '<<< TLS 1.3, Handshake \[length [0-9a-f]*\], Certificate$' "$1" && break; sleep 0.1; done
    kill "$server"
    grep -ao '<<< TLS 1.3, Handshake \[length [0-9a-f]*\], Certificate$' "$1" | sed 's/.*length \([0-9a-f]*\).*/\1/'
}
start() { nsd -d -c nsd.conf > log 2>&1 & pids+=($!); }
primary first start > first.length
primary second true > second.length
first=$((16#$(cat first.length))) second=$((16#$(cat second.length)))
echo "octets of the client's Certificate message: $first, then $second"
[ "$first" -le 8 ] || { echo "the first connection shows a certificate"; exit 1; }
[ "$second" -gt 100 ] || { echo "the second connection shows none either"; exit 1; }
echo "as found: none at first, then the certificate"
