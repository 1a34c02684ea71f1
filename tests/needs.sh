#!/usr/bin/env bash
# Installs what the tests compare with: NSD, Knot DNS, BIND, PowerDNS, unbound, dnsperf and their tools, and what routes
# anycast: BIRD, FRR, GoBGP, OpenBGPD, ExaBGP and the tools of the kernel's network, from Debian's packages.
# Does nothing where all is there. Services that a package would start are kept from starting.
set -euo pipefail

declare -A package_of=(
    [nsd]=nsd [knotd]=knot [kdig]=knot-dnsutils [kzonesign]=knot-dnssecutils [named]=bind9
    [named-checkzone]=bind9-utils [dig]=bind9-dnsutils [unbound]=unbound [dnsperf]=dnsperf [ldns-read-zone]=ldnsutils
    [bird]=bird2 [vtysh]=frr [gobgpd]=gobgpd [bgpctl]=openbgpd [exabgp]=exabgp [nft]=nftables [ip]=iproute2
    [krb5kdc]=krb5-kdc [kdb5_util]=krb5-kdc [slapd]=slapd [nginx]=nginx-light
    [valgrind]=valgrind [pdns_server]=pdns-server [sqlite3]=sqlite3
)
PATH=$PATH:/usr/sbin:/sbin:/usr/lib/frr

packages=()
for command in "${!package_of[@]}"; do
    command -v "$command" > /dev/null || packages+=("${package_of[$command]}")
done
compgen -G '/usr/lib/*/pdns/libbindbackend.so' > /dev/null || packages+=(pdns-backend-bind)
compgen -G '/usr/lib/*/pdns/libgsqlite3backend.so' > /dev/null || packages+=(pdns-backend-sqlite3)
if [ ${#packages[@]} -eq 0 ]; then
    exit 0
fi
if ! command -v apt-get > /dev/null; then
    echo "needs.sh: not a Debian system: install ${packages[*]} yourself; tests that need them skip loudly" >&2
    exit 0
fi
as_root=()
if [ "$(id -u)" -ne 0 ]; then
    command -v sudo > /dev/null || { echo "needs.sh: run as root, or install: ${packages[*]}" >&2; exit 1; }
    as_root=(sudo)
fi

# A policy that says no to every start; one that is there already is left alone.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
    printf '#!/bin/sh\nexit 101\n' | "${as_root[@]}" tee "$policy" > /dev/null
    "${as_root[@]}" chmod 755 "$policy"
    trap '"${as_root[@]}" rm -f "$policy"' EXIT
fi
"${as_root[@]}" apt-get update -qq
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${packages[@]}"
