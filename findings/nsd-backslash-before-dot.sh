#!/usr/bin/env bash
# NSD 4.6.1: the dot behind an escaped backslash is taken for a part of the label.
#
# `x\\.back.test.` is the label `x\` below `back.test.`: `\\` is a backslash without a meaning (RFC 1035 §5.1), and the dot ends the label. NSD
# reads `\` and an escaped dot. Seen: "out of zone data: x\\\.back.test. is outside the zone for fqdn back.test."; BIND 9.18.49 and Knot DNS
# 3.2.6 load the zone. It matters to whoever hands one zone file to several servers: dnssec-signzone and transfers write such names so.
# Fails where that is not so any more. Takes Debian 12's packages and a second.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
bind=1:9.18.49-1~deb12u3
apt-get -qq -o APT::Sandbox::User=root download nsd=4.6.1-1 libevent-2.1-7 "bind9-utils=$bind" "bind9-libs=$bind" libuv1 libnghttp2-14 \
    libjson-c5 liblmdb0 libmaxminddb0 libfstrm0 libprotobuf-c1 libxml2 libicu72
for package in *.deb; do dpkg -x "$package" tree; done
export LD_LIBRARY_PATH="$work/tree/usr/lib/$(dpkg-architecture -qDEB_HOST_MULTIARCH 2> /dev/null || echo x86_64-linux-gnu)"
export PATH="$work/tree/usr/bin:$work/tree/usr/sbin:$PATH"

cat > zone << 'ZONE'
$ORIGIN back.test.
$TTL 60
@ SOA ns.other.test. admin.other.test. 1 1 1 1 1
@ NS  ns.other.test.
x\\.back.test. TXT "a label that ends with a backslash"
ZONE
named-checkzone -k ignore -D back.test zone 2> /dev/null | grep -F 'x\\.back.test.' || { echo "BIND does not load it any more"; exit 1; }
if said=$(nsd-checkzone back.test zone 2>&1); then echo "NSD loads it now"; exit 1; fi
echo "$said"
grep -qF 'out of zone data' <<< "$said" || { echo "NSD refuses it for another reason"; exit 1; }
echo "as found: BIND loads it, NSD refuses it"
