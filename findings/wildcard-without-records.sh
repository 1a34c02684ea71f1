#!/usr/bin/env bash
# BIND 9.18.49 and Knot DNS 3.2.6: a wildcard that has no records itself, only names below it, makes answers that validators refuse.
#
# `a.*.w TXT` makes `*.w` an empty name (RFC 4592 §2.2.2), which covers `foo.w`: NOERROR without data. That takes two NSEC, one that
# covers `foo.w`, one that shows that `*.w` has no such type (RFC 4035 §3.1.3.4). Both servers send the first alone. Seen with
# delv, BIND's own validator, of its own server: "broken trust chain"; NSD 4.6.1 sends both: "negative response, fully validated".
# It matters to whoever signs a zone with names below an asterisk: resolvers answer SERVFAIL for all that the wildcard covers.
# Fails where that is not so any more. Takes Debian 12's packages, ports 45711 to 45713 of loopback, and ten seconds.
set -euo pipefail
work=$(mktemp -d)
pids=()
trap 'kill "${pids[@]}" 2> /dev/null || true; wait; rm -rf "$work"' EXIT
cd "$work"
bind=1:9.18.49-1~deb12u3
apt-get -qq -o APT::Sandbox::User=root download "bind9=$bind" "bind9-libs=$bind" "bind9-utils=$bind" "bind9-dnsutils=$bind" knot=3.2.6-1 \
    libknot13=3.2.6-1 libzscanner4=3.2.6-1 libdnssec9=3.2.6-1 nsd=4.6.1-1 libuv1 libnghttp2-14 libjson-c5 liblmdb0 libmaxminddb0 \
    libfstrm0 libprotobuf-c1 libxml2 libicu72 libcap2 liburcu8 libgnutls30 libevent-2.1-7 libbpf1 libcap-ng0 libxdp1 libedit2
for package in *.deb; do dpkg -x "$package" tree; done
export LD_LIBRARY_PATH="$work/tree/usr/lib/$(dpkg-architecture -qDEB_HOST_MULTIARCH 2> /dev/null || echo x86_64-linux-gnu)"
export PATH="$work/tree/usr/bin:$work/tree/usr/sbin:$PATH"

cat > zone << 'ZONE'
$ORIGIN ent.test.
$TTL 300
@     SOA ns.other.test. admin.other.test. 1 3600 600 86400 300
@     NS  ns.other.test.
a.*.w TXT "below an asterisk that has no records"
ZONE
ksk=$(dnssec-keygen -q -a ECDSAP256SHA256 -f KSK ent.test)
dnssec-keygen -q -a ECDSAP256SHA256 ent.test > /dev/null
dnssec-signzone -q -P -S -o ent.test -f signed zone > /dev/null
awk '/ DNSKEY /{ printf "trust-anchors { \"ent.test.\" static-key %s %s %s \"", $4, $5, $6; for (i = 7; i <= NF; i++) printf "%s", $i; print "\"; };" }' \
    "$ksk.key" > anchor

cat > named.conf << END
options { directory "$work"; listen-on port 45711 { 127.0.0.1; }; listen-on-v6 { none; }; recursion no; notify no;
          pid-file "$work/named.pid"; session-keyfile "$work/key"; dnssec-validation no; };
controls { };
zone "ent.test" { type primary; file "$work/signed"; };
END
cat > knot.conf << END
server:
  listen: 127.0.0.1@45712
  rundir: "$work"
control:
  listen: "$work/knot.sock"
database:
  storage: "$work"
zone:
- domain: ent.test
  file: "$work/signed"
  journal-content: none
  zonefile-sync: -1
END
cat > nsd.conf << END
server:
  ip-address: 127.0.0.1@45713
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
  name: ent.test
  zonefile: signed
END
named -g -n 1 -c named.conf > named.log 2>&1 & pids+=($!)
knotd -c knot.conf > knot.log 2>&1 & pids+=($!)
nsd -d -c nsd.conf > nsd.log 2>&1 & pids+=($!)

# Whether delv says so of `foo.w.ent.test A`, asked of a port.
says() {
    for _ in $(seq 50); do
        dig @127.0.0.1 -p "$1" +time=1 +tries=1 +norec ent.test SOA > answer 2>&1 || true
        if grep -q "status: NOERROR" answer; then break; fi
        sleep 0.1
    done
    delv @127.0.0.1 -p "$1" -a anchor +root=ent.test foo.w.ent.test A > said 2>&1 || true
    cat said
    grep -q "$2" said
}
says 45711 "broken trust chain" || { echo "not BIND's answer any more"; exit 1; }
says 45712 "broken trust chain" || { echo "not Knot's answer any more"; exit 1; }
says 45713 "fully validated" || { echo "not NSD's answer any more"; exit 1; }
echo "as found: refused from BIND and Knot DNS, valid from NSD"
