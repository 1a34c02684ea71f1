#!/usr/bin/env bash
# BIND 9.18.49: a second named of the same user on the same address and port starts without an error and takes a part of the queries.
#
# named shares its sockets (SO_REUSEPORT) over UDP and TCP. The second one logs "all zones loaded" and "running"; from then on the
# kernel gives each client's port to one of the two. Seen: of 40 queries, each from a port of its own, about half were answered from each
# process, with the serial of its own zone file. It also joins the UDP port of any other server of its user that shares it (Knot
# DNS does), and then goes on without TCP. NSD and Knot DNS refuse to start on a port that is taken.
# It matters after a restart that left an old process behind: half of the clients see old data for ever, and each client
# always the same half. It is also how a test can get answers that *all* differ: one client socket, one other server.
# Fails where that is not so any more. Takes Debian 12's packages, port 45721 of loopback, and five seconds.
set -euo pipefail
work=$(mktemp -d)
pids=()
trap 'kill "${pids[@]}" 2> /dev/null || true; wait; rm -rf "$work"' EXIT
cd "$work"
bind=1:9.18.49-1~deb12u3
apt-get -qq -o APT::Sandbox::User=root download "bind9=$bind" "bind9-libs=$bind" "bind9-dnsutils=$bind" libuv1 libnghttp2-14 libjson-c5 \
    liblmdb0 libmaxminddb0 libfstrm0 libprotobuf-c1 libxml2 libicu72 libcap2
for package in *.deb; do dpkg -x "$package" tree; done
export LD_LIBRARY_PATH="$work/tree/usr/lib/$(dpkg-architecture -qDEB_HOST_MULTIARCH 2> /dev/null || echo x86_64-linux-gnu)"
export PATH="$work/tree/usr/bin:$work/tree/usr/sbin:$PATH"

for serial in 1 2; do
    mkdir "$serial"
    printf '@ 60 SOA ns.other.test. admin.other.test. %s 1 1 1 1\n@ 60 NS ns.other.test.\n' "$serial" > "$serial/zone"
    cat > "$serial/named.conf" << END
options { directory "$work/$serial"; listen-on port 45721 { 127.0.0.1; }; listen-on-v6 { none; }; recursion no; notify no;
          pid-file "$work/$serial/pid"; session-keyfile "$work/$serial/key"; dnssec-validation no; };
controls { };
zone "shared.test" { type primary; file "zone"; };
END
    named -g -n 1 -c "$serial/named.conf" > "$serial/log" 2>&1 & pids+=($!)
    for _ in $(seq 50); do grep -qs " running$" "$serial/log" && break; sleep 0.1; done
done
grep -qs " running$" 2/log || { cat 2/log; echo "the second named does not start any more"; exit 1; }
for transport in +notcp +tcp; do
    serials=$(for _ in $(seq 40); do dig @127.0.0.1 -p 45721 $transport +short +norec shared.test SOA | cut -d' ' -f3; done | sort | uniq -c)
    echo "$transport"; echo "$serials"
    [ "$(echo "$serials" | wc -l)" = 2 ] || { echo "one of the two answers all"; exit 1; }
done
echo "as found: both run, each answers a part"
