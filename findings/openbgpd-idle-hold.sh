#!/usr/bin/env bash
# OpenBGPD portable 7.7: a peer that ends its sessions in order is kept out, longer each time.
#
# After a session that its peer ended with a Cease (administrative shutdown), OpenBGPD is Idle for a time that doubles with each session that ends
# soon after it began: the first return is taken at once, the third is turned away for a minute. BIRD, FRR and GoBGP make no difference between
# the first return and the third. It matters to whoever restarts or drains an announcing node several times within a few minutes, as an upgrade
# that goes wrong does: the node is well and announced nowhere behind such a router, and only `bgpctl neighbor X clear` or patience helps.
# Fails where that is not so any more. Takes root, Debian 12's package, a network namespace of its own, and two minutes at most.
set -euo pipefail
if [ -z "${FOLDER:-}" ]; then
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
    (cd "$work" && apt-get -qq -o APT::Sandbox::User=root download openbgpd=7.7-2 libevent-2.1-7 libmnl0)
    FOLDER=$work unshare --mount --net --pid --fork --kill-child "$0"
    exit
fi
work=$FOLDER
cd "$work"
for package in *.deb; do dpkg -x "$package" tree; done
export LD_LIBRARY_PATH="$work/tree/usr/lib/$(dpkg-architecture -qDEB_HOST_MULTIARCH 2> /dev/null || echo x86_64-linux-gnu)"

# Its user, and the folder where that is locked in: here alone.
mkdir home
{ grep -v '^_openbgpd:' /etc/passwd; echo "_openbgpd:x:60179:60179::$work/home:/bin/false"; } > passwd
{ grep -v '^_openbgpd:' /etc/group; echo "_openbgpd:x:60179:"; } > group
mount --bind passwd /etc/passwd
mount --bind group /etc/group
ip link set lo up
chmod 755 "$work"
cat > bgpd.conf << END
AS 65000
router-id 127.0.0.1
fib-update no
socket "$work/socket"
listen on 127.0.0.1
neighbor 127.0.0.2 {
  remote-as 65001
  passive
  announce IPv4 unicast
}
allow from any
END
chmod 600 bgpd.conf
tree/usr/sbin/bgpd -d -f bgpd.conf > log 2>&1 &
cat > peer.py << 'END'
import socket, struct, sys, time

MARKER = b"\xff" * 16

def message(kind, body=b""):
    return MARKER + struct.pack("!HB", 19 + len(body), kind) + body

capability = bytes([1, 4, 0, 1, 0, 1])
OPEN = message(1, struct.pack("!BHH4sB", 4, 65001, 90, bytes([127, 0, 0, 2]), 2 + len(capability)) + bytes([2, len(capability)]) + capability)

def read(stream, kind):
    while True:
        head = stream.recv(19, socket.MSG_WAITALL)
        if len(head) < 19:
            raise ConnectionError
        stream.recv(struct.unpack("!H", head[16:18])[0] - 19, socket.MSG_WAITALL)
        if head[18] == kind:
            return

def session():
    with socket.socket() as stream:
        stream.settimeout(2)
        stream.bind(("127.0.0.2", 0))
        stream.connect(("127.0.0.1", 179))
        stream.sendall(OPEN)
        read(stream, 1)
        stream.sendall(message(4))
        read(stream, 4)
        taken = time.monotonic()
        time.sleep(0.5)
        # Cease, administrative shutdown.
        stream.sendall(message(3, bytes([6, 2])))
        return taken

waits, ended = [], time.monotonic()
for _ in range(4):
    while True:
        try:
            taken = session()
            break
        except OSError:
            if time.monotonic() - ended > 75:
                taken = float("inf")
                break
            time.sleep(0.1)
    waits.append(taken - ended)
    ended = time.monotonic()
    if waits[-1] > 20:
        break
print(" ".join("never" if wait == float("inf") else f"{wait:.1f}" for wait in waits))
sys.exit(0 if len(waits) > 2 and max(waits[:2]) < 5 and waits[-1] > 20 else 1)
END
if python3 peer.py > waits; then
    echo "OpenBGPD 7.7: seconds until each session was taken, after the end of the one before: $(cat waits)"
else
    echo "changed: seconds until each session was taken: $(cat waits)"; tail -5 log; exit 1
fi
