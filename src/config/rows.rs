//! The table of keys: one row a key, with its bounds, its default, its unit and what it is for. The checks, the help
//! for an unknown key and the tables in `docs/running.md` are made from it.

use std::time::Duration;

use super::key::{Flag, Form, Key, Number, Own, Row, Time, Words};
use super::values::{LogFormat, LogLevel};
use crate::answer::UDP_PAYLOAD_BYTES_DEFAULT;
use crate::bgp::Role;
use crate::policy::{PolicySettings, Reaction};
use crate::serve::TcpLimits;
use crate::transfer::{TransferLimits, TransferSettings, VerifyCommand};
use crate::zonebuild::ZonemdRule;
use crate::zonefile::Limits;

/// Makes a constant of each row, and [`ALL`], which has them in order.
macro_rules! rows {
    ($($name:ident: $values:ty = $path:literal, $value:expr, $help:literal;)*) => {
        $(
            #[doc = concat!("`", $path, "`.")]
            pub(super) const $name: Row<$values> = Row { path: $path, values: $value, help: $help };
        )*
        /// All keys, section by section.
        pub(super) const ALL: &[&dyn Key] = &[$(&$name),*];
    };
}

rows! {
    LISTEN: Own = "server.listen", texts("1 to 256 addresses", "127.0.0.1 and ::1, port 5300; none beside `[anycast]`"),
        "Port 53 where none is named; link-local ones with their device: `\"[fe80::1%eth0]:53\"`. It may be empty \
         beside `[anycast]`, whose addresses are enough.";
    WORKERS: Number = "server.workers", number(0, 1024, 0, ""), "UDP workers; 0: one for each CPU.";
    IDENTITY: Own = "server.identity", text("0 to 255 octets", "the host's name"),
        "NSID, `id.server` and `hostname.bind`; `\"\"` hides them.";
    VERSION: Own = "server.version", text("0 to 255 octets", "fated and its version"),
        "`version.bind` and `version.server`; `\"\"` hides them.";
    ZONES_DIR: Own = "server.zones-dir", text("a folder", "none"), "Every `NAME.zone` in it is served.";
    INCLUDE_DIRS: Own = "server.include-dirs", texts("at most 256 folders", "`[]`"),
        "Folders from which `$INCLUDE` may read besides the zone file's own.";
    CONTROL: Own = "server.control", text("a path", "see [Control socket](#control-socket)"),
        "The control socket; `\"\"` for none.";
    STATE_DIR: Own = "server.state-dir", text("a folder", "none"),
        "Keeps a drain and hold-downs over restarts; locked against a second server.";
    CORE_DUMP: Flag = "server.core-dump", Flag { default: false },
        "Whether a crash may leave a core; while it is written, sockets stay open.";
    STRICT: Flag = "server.strict", Flag { default: false },
        "Whether to start only when each zone is good and each address is there.";
    RELOAD_LOSS_MAX: Own = "server.reload-loss-max",
        number_or_text("a number of zones, or a share up to `\"100%\"`", "`\"50%\"`"),
        "What one reload may take away; `\"100%\"` for all.";
    FOLLOW_ACROSS_ZONES: Flag = "server.follow-across-zones", Flag { default: false },
        "Whether an alias is followed into other zones served here; only where one owner has them all.";
    RESOLVER: Own = "server.resolver", texts("1 to 8 addresses", "those of `/etc/resolv.conf`"),
        "Who is asked for the DSYNC records of parents (`notify-dsync`), port 53 where none is named; tried in turn.";
    UDP_PAYLOAD_MAX: Number = "server.udp-payload-max", number(512, 4096, UDP_PAYLOAD_BYTES_DEFAULT as i64, "octets"),
        "The largest reply over UDP (RFC 6891 §6.2.3); above the upper bound fragments are certain.";

    TCP_CLIENTS_MAX: Number = "server.tcp.clients-max",
        number(1, TCP_CLIENTS_MAX_MAX, TcpLimits::DEFAULT.clients_max as i64, ""),
        "Connections of all clients; fewer where the limit of open files (`LimitNOFILE=`) has no room for them.";
    TCP_CLIENTS_PER_NETWORK_MAX: Number = "server.tcp.clients-per-network-max",
        number(1, TCP_CLIENTS_MAX_MAX, TcpLimits::DEFAULT.clients_per_network_max as i64, ""),
        "Connections of an IPv4 /24 or an IPv6 /48; at most `clients-max`, \
         and lowered with it where it is not written.";
    TCP_CLIENTS_PER_ADDRESS_MAX: Number = "server.tcp.clients-per-address-max",
        number(1, TCP_CLIENTS_MAX_MAX, TcpLimits::DEFAULT.clients_per_address_max as i64, ""),
        "Connections of one address, as which an IPv6 /64 counts; \
         at most `clients-per-network-max`, and lowered with it.";
    TCP_IDLE_TIMEOUT: Time = "server.tcp.idle-timeout", time(TCP_TIMEOUT, TcpLimits::DEFAULT.idle_timeout),
        "How long a connection may be silent.";
    TCP_IO_TIMEOUT: Time = "server.tcp.io-timeout", time(TCP_TIMEOUT, TcpLimits::DEFAULT.io_timeout),
        "How long one message may take to come, and replies to be taken.";
    TCP_MSS: Number = "server.tcp.mss", number(536, 32_767, TcpLimits::DEFAULT.mss as i64, "octets"),
        "Data in a segment, either way; the default passes every IPv6 path.";

    TLS_LISTEN: Own = "server.tls.listen", texts("at most 256 addresses", "`[]`"),
        "Where DNS over TLS is spoken, port 853 where none is named; service addresses may be among them. See \
         [DNS over TLS](#dns-over-tls).";
    TLS_CERTIFICATE: Own = "server.tls.certificate", text("a path", "none"),
        "The certificate in PEM, and behind it those that lead to its root; needed beside `listen`. Each reload reads \
         it anew.";
    TLS_KEY: Own = "server.tls.key", text("a path", "none"),
        "Its private key in PEM, in a file that its owner alone may read and write; needed beside `listen`.";

    ZONE_OCTETS_MAX: Number = "server.limits.zone-octets-max",
        number(1, ZONE_SIZE_MAX, Limits::DEFAULT.octets_max as i64, "octets"), "Of the files of one zone.";
    ZONE_RECORDS_MAX: Number = "server.limits.zone-records-max",
        number(1, ZONE_SIZE_MAX, Limits::DEFAULT.records_max as i64, ""), "Records of one zone.";
    GENERATE_STEPS_MAX: Number = "server.limits.generate-steps-max",
        number(0, 1 << 40, Limits::DEFAULT.generate_steps_max as i64, ""),
        "Records that `$GENERATE` makes in one zone; 0 forbids it.";

    LOG_LEVEL: Words<LogLevel> = "log.level", Words { words: LOG_LEVELS, default: LogLevel::Info },
        "The least level that is written.";
    LOG_FORMAT: Words<LogFormat> = "log.format", Words { words: LOG_FORMATS, default: LogFormat::Text },
        "For people, or one JSON object a line.";

    ADMIN_LISTEN: Own = "admin.listen", text("an address", "none"),
        "Metrics, health and pages over HTTP. Port 9153 where none is named; `\"\"` for none.";

    ADDRESSES: Own = "anycast.addresses", texts("1 to 64 addresses", ""),
        "Bound on port 53, answered and announced; alone, or as /32 and /128.";
    ANNOUNCE: Own = "anycast.announce", texts("prefixes of /8 (IPv4) or /16 (IPv6) and longer", "`[]`"),
        "Covering prefixes instead; each must hold an address, none another prefix.";
    INTERFACE: Own = "anycast.interface", text("a device's name", "`\"fated0\"`"),
        "A tun device to be made (`fated…`), or a device that exists, such as `\"lo\"`.";
    LEASE: Own = "anycast.lease", text("whole seconds, 1s to 1h, or `\"off\"`", "`\"1s\"`"),
        "How long the kernel keeps an address that nobody renews; `\"off\"` only with a tun device of our own.";
    DRAIN: Time = "anycast.drain", time((Duration::ZERO, Duration::from_secs(600)), Duration::from_secs(5)),
        "How long what still comes is answered after the withdrawal, before the sockets are closed.";
    DEGRADE_FIRST: Time = "anycast.degrade-first",
        time((Duration::ZERO, Duration::from_secs(600)), Duration::from_secs(1)),
        "How long the addresses are degraded before a drain or a stop withdraws them; only where there is `[bgp]`.";
    ZONES_WAIT: Time = "anycast.zones-wait", time((Duration::ZERO, Duration::from_secs(3600)), Duration::from_secs(60)),
        "How long the first announcement waits for zones that have never come from their primaries.";

    ROUTE_TABLE: Number = "anycast.kernel-route.table", number(1, ROUTE_NUMBER_MAX, TABLE_MAIN, ""),
        "The routing table, not 255. The section only goes with a tun device of our own and `lease = \"off\"`; \
         see anycast.md.";
    ROUTE_METRIC: Number = "anycast.kernel-route.metric", number(1, ROUTE_NUMBER_MAX, METRIC_DEFAULT, ""),
        "The metric of the route.";

    HEALTH_INTERVAL: Time = "anycast.health.interval", time(ROUND, PolicySettings::DEFAULT.interval),
        "From one round of probes to the next; with `timeout` less than the lease.";
    HEALTH_TIMEOUT: Time = "anycast.health.timeout", time(ROUND, PolicySettings::DEFAULT.timeout),
        "How long a reply may take.";
    HEALTH_FALL: Number = "anycast.health.fall", number(1, 100, PolicySettings::DEFAULT.fall as i64, ""),
        "Bad rounds in a row that withdraw.";
    HEALTH_RISE: Number = "anycast.health.rise", number(1, 10_000, PolicySettings::DEFAULT.rise as i64, ""),
        "Good rounds in a row that announce.";
    MIN_WORKERS: Own = "anycast.health.min-workers",
        number_or_text("a number up to that of the workers, or a share", "`\"50%\"`"),
        "Workers that must answer; a share is rounded up.";
    ON_OVERLOAD: Words<Reaction> = "anycast.health.on-overload", reaction(PolicySettings::DEFAULT.on_overload),
        "Where queries are dropped because there are too many.";
    ON_PATH_FAULT: Words<Reaction> = "anycast.health.on-path-fault", reaction(PolicySettings::DEFAULT.on_path),
        "Where probes don't come through and nothing shows that clients don't either; see anycast.md.";
    SOURCE_V4: Own = "anycast.health.source-v4", text("a unicast address", "`\"192.0.0.100\"`"),
        "Where probes come from over a tun device of our own: an address that no host has and no filter drops, and \
         that is routed to `fated0rx` on this host alone.";
    SOURCE_V6: Own = "anycast.health.source-v6", text("a unicast address", "`\"100::64\"`"), "The same for IPv6.";
    ON_SHARED_FAULT: Words<Reaction> = "anycast.health.on-shared-fault", reaction(PolicySettings::DEFAULT.on_shared),
        "Where other sites are likely to have the same fault.";
    LATE_ZONES: Own = "anycast.health.late-zones",
        number_or_text("a number of zones, or a share", "`\"50%\"`"),
        "Zones from primaries, of those that have come, that are late or have expired: from so many on \
         `on-shared-fault` holds.";

    LOCAL_AS: Own = "bgp.local-as", number_or_text(AS_NUMBERS, "none"),
        "Our AS, for each neighbour that has no `local-as` of its own.";
    ROUTER_ID: Own = "bgp.router-id", text("an IPv4 address", "that of the first session over IPv4"),
        "Our BGP identifier (RFC 6286): no other speaker of the AS has it. Must be given where no neighbour is reached \
         over IPv4.";
    REASON_COMMUNITY: Number = "bgp.reason-community", number(0, u32::MAX as i64, REASON_COMMUNITY_DEFAULT, ""),
        "The function under which a degraded route says why, as the large community `local-as:function:reason`; 0 for \
         none. See [anycast.md](anycast.md#bgp).";
    GUARD: Words<Option<bool>> = "bgp.guard", Words { words: GUARDS, default: Some(false) },
        "Before a withdrawal for a fault that other sites are likely to have too, the address is degraded, and \
         withdrawn once a router tells of another site's path that is not: where none does within `guard-wait`, it \
         stays, or is withdrawn all the same.";
    GUARD_WAIT: Time = "bgp.guard-wait", time((Duration::ZERO, Duration::from_secs(600)), Duration::from_secs(2)),
        "How long such a path is waited for, and must have been there.";

    NEIGHBOR_ADDRESS: Own = "bgp.neighbor.address", text("an address; a link-local one with its device", ""),
        "The router: `\"10.0.0.1\"`, `\"2001:db8::1\"`, `\"fe80::1%eth0\"`.";
    REMOTE_AS: Own = "bgp.neighbor.remote-as", number_or_text(AS_NUMBERS, ""), "Its AS; ours for iBGP.";
    NEIGHBOR_LOCAL_AS: Own = "bgp.neighbor.local-as", number_or_text(AS_NUMBERS, "that of `[bgp]`"),
        "Our AS there.";
    LOCAL_ADDRESS: Own = "bgp.neighbor.local-address", text("an address", "what the kernel takes"),
        "Our end of the session.";
    NEIGHBOR_PORT: Number = "bgp.neighbor.port", number(1, 65_535, BGP_PORT, ""), "The router's port.";
    LOCAL_PORT: Number = "bgp.neighbor.local-port", number(0, 65_535, 0, ""),
        "Our port, the same in each session, so that a router whose old session is dead takes the new one at once; 0: \
         one from 17900 on, by the neighbour's place in the file, and 179 where it is passive.";
    PASSIVE: Flag = "bgp.neighbor.passive", Flag { default: false }, "Whether the router connects, not we.";
    FAMILIES: Own = "bgp.neighbor.families", texts("`\"ipv4\"`, `\"ipv6\"`", "that of the session"),
        "What is announced there.";
    NEXT_HOP_V4: Own = "bgp.neighbor.next-hop-v4", text("an IPv4 address", "our end of the session"),
        "The next hop of IPv4; without it a session over IPv6 has an IPv6 one (RFC 8950).";
    NEXT_HOP_V6: Own = "bgp.neighbor.next-hop-v6", text("an IPv6 address", "our end of the session"),
        "The next hop of IPv6; must be given where it is announced over a session over IPv4.";
    HOLD_TIME: Time = "bgp.neighbor.hold-time",
        time((Duration::from_secs(3), Duration::from_secs(65_535)), HOLD_TIME_DEFAULT),
        "In whole seconds: after so long without a word from us the router gives the routes up. The lesser of both \
         sides' counts.";
    PASSWORD: Own = "bgp.neighbor.password", text("1 to 80 octets", "none"),
        "The key of TCP MD5 signatures (RFC 2385). It is never shown or logged.";
    PASSWORD_FILE: Own = "bgp.neighbor.password-file", text("a path", "none"),
        "A file that holds it, and that its owner alone may read and write.";
    TTL_SECURITY: Number = "bgp.neighbor.ttl-security", number(0, 254, 0, "hops"),
        "Takes only what comes from so near (GTSM, RFC 5082), 1 for a router on the same link; 0: from anywhere. What \
         we send suits a router that asks for it in any case.";
    ROLE: Words<Option<Role>> = "bgp.neighbor.role", Words { words: ROLES, default: Some(Role::Customer) },
        "Our role in an eBGP session (RFC 9234).";
    ROLE_STRICT: Flag = "bgp.neighbor.role-strict", Flag { default: false },
        "Whether a router that tells no role of its own is refused.";
    MED: Number = "bgp.neighbor.med", number(0, u32::MAX as i64, 0, ""), "MULTI_EXIT_DISC: less is preferred.";
    PREPEND: Number = "bgp.neighbor.prepend", number(0, PREPEND_MAX, 0, ""),
        "How often our AS stands in the path beyond once; eBGP only.";
    LOCAL_PREF: Number = "bgp.neighbor.local-pref", number(0, u32::MAX as i64, 100, ""),
        "LOCAL_PREF: more is preferred; iBGP only.";
    COMMUNITIES: Own = "bgp.neighbor.communities", texts(COMMUNITY_FORMS, "`[]`"), "What each route carries.";
    DEGRADED_MED: Number = "bgp.neighbor.degraded-med", number(0, u32::MAX as i64, DEGRADED_MED_DEFAULT, ""),
        "`med` while an address is degraded.";
    DEGRADED_PREPEND: Number = "bgp.neighbor.degraded-prepend", number(0, PREPEND_MAX, DEGRADED_PREPEND_DEFAULT, ""),
        "`prepend` while it is.";
    DEGRADED_LOCAL_PREF: Number = "bgp.neighbor.degraded-local-pref", number(0, u32::MAX as i64, 0, ""),
        "`local-pref` while it is.";
    DEGRADED_COMMUNITIES: Own = "bgp.neighbor.degraded-communities",
        texts(COMMUNITY_FORMS, "`[\"graceful-shutdown\"]`"),
        "What a route carries besides while its address is degraded (RFC 8326).";
    BFD: Flag = "bgp.neighbor.bfd", Flag { default: false },
        "Whether BFD (RFC 5880) runs beside the session once it is established.";
    BFD_INTERVAL: Time = "bgp.neighbor.bfd-interval",
        time((Duration::from_millis(10), Duration::from_secs(10)), Duration::from_millis(50)),
        "From one BFD packet to the next, both ways.";
    BFD_MULTIPLIER: Number = "bgp.neighbor.bfd-multiplier", number(2, 255, 3, ""),
        "So many packets that did not come end the session.";
    BFD_MULTIHOP: Flag = "bgp.neighbor.bfd-multihop", Flag { default: false },
        "Whether the router may be further away than one link (RFC 5883, port 4784).";
    BFD_STRICT: Flag = "bgp.neighbor.bfd-strict", Flag { default: false },
        "Whether nothing is announced before BFD is up.";

    COMPANION_NAME: Own = "companion.name", text("1 to 32 of a to z, 0 to 9 and `-`", ""),
        "What another service of this host is called; see [anycast.md](anycast.md#companions).";
    COMPANION_ADDRESSES: Own = "companion.addresses", texts("1 to 64 addresses", ""),
        "Its own service addresses, which it binds itself; announced while it lives.";
    COMPANION_INTERFACE: Own = "companion.interface",
        text("a device's name", "`\"fated1\"` for the first, `\"fated2\"` for the next, and so on"),
        "As `anycast.interface`; a tun device of its own.";
    COMPANION_LEASE: Own = "companion.lease", text("whole seconds, 1s to 1h, or `\"off\"`", "`\"1s\"`"),
        "As `anycast.lease`.";
    COMPANION_DRAIN: Time = "companion.drain",
        time((Duration::ZERO, Duration::from_secs(600)), Duration::from_secs(5)),
        "How long packets for it are taken after the withdrawal, before fated ends.";
    COMPANION_INTERVAL: Time = "companion.interval", time(ROUND, COMPANION_ROUND), "From one probe to the next.";
    COMPANION_TIMEOUT: Time = "companion.timeout", time(ROUND, COMPANION_ROUND), "How long an answer may take.";
    COMPANION_FALL: Number = "companion.fall", number(1, 100, PolicySettings::DEFAULT.fall as i64, ""),
        "Bad probes in a row that withdraw.";
    COMPANION_RISE: Number = "companion.rise", number(1, 10_000, 5, ""), "Good probes in a row that announce.";
    COMPANION_PROBE: Own = "companion.probe",
        text("`\"tcp\"`, `\"http\"`, `\"dns\"`, `\"kerberos\"`, `\"ldap\"` or `\"command\"`", ""),
        "What proves that it lives.";
    COMPANION_PORT: Number = "companion.port", number(0, 65_535, 0, ""),
        "Where it is asked; 0: 80, 53, 88 or 389, as the probe has it, and for `tcp` it must be given.";
    COMPANION_HOST: Own = "companion.host", text("a host's name", "the name of the companion"),
        "`http`: whose page is asked for.";
    COMPANION_PATH: Own = "companion.path", text("a path", "`\"/\"`"), "`http`: which page.";
    COMPANION_STATUS: Number = "companion.status", number(100, 599, 200, ""), "`http`: the status that is right.";
    COMPANION_TEXT: Own = "companion.text", text("1 to 1024 octets", "none"),
        "`http`: what stands in the first 256 KiB of the page.";
    COMPANION_QUERY: Own = "companion.query", text("a name and a type", "`\". NS\"`"),
        "`dns`: the question, which must be answered with records.";
    COMPANION_REALM: Own = "companion.realm", text("a realm", "none"), "`kerberos`: the realm; it must be given.";
    COMPANION_PRINCIPAL: Own = "companion.principal", text("a principal", "`\"fated\"`"),
        "`kerberos`: for whom a ticket is asked; it need not exist.";
    COMPANION_TLS: Own = "companion.tls", text("the name of a `[[tls]]`", "none"),
        "`ldap`: spoken with by StartTLS, and how its certificate is recognized.";
    COMPANION_COMMAND: Own = "companion.command", texts("a program and at most 63 arguments", "none"),
        "`command`: what ends with 0 while the service lives; it must be given.";

    KEY_NAME: Own = "key.name", text("a domain name", ""), "The name by which the other side knows the key.";
    KEY_ALGORITHM: Own = "key.algorithm", text("`\"hmac-sha256\"`, or with sha1, sha224, sha384, sha512, md5", ""),
        "RFC 8945 §6, without truncated MACs.";
    KEY_ALLOW_MD5: Flag = "key.allow-md5", Flag { default: false },
        "Whether hmac-md5 may be the algorithm; for a peer that knows no other.";
    KEY_SECRET: Own = "key.secret", text("base64, at most 4096 octets", "none"),
        "The secret; it or `secret-file` must be given. It is never shown or logged.";
    KEY_SECRET_FILE: Own = "key.secret-file", text("a path", "none"),
        "A file that holds the secret in base64, and that its owner alone may read and write. Each reload reads it \
         anew.";

    PEER_NAME: Own = "tls.name", text("1 to 255 octets, not `any`", ""),
        "The name that `primaries` and rules give; see [transfers.md](transfers.md#tls).";
    PEER_CA: Own = "tls.ca", text("a path", "none"),
        "Certificates of authorities in PEM, of which one must stand for that of the other side.";
    PEER_HOSTNAME: Own = "tls.hostname", text("a host name or an address", "none"),
        "The name that the other side's certificate must have, under `ca`.";
    PEER_PINS: Own = "tls.pins", texts("at most 16 pins", "none"),
        "SHA-256 of public keys (SubjectPublicKeyInfo) in base64; the other side must have one of them. `ca` or `pins` \
         must be given; where both are, both must hold.";
    PEER_CERTIFICATE: Own = "tls.certificate", text("a path", "none"),
        "Our certificate in PEM, shown to primaries that ask for one.";
    PEER_KEY: Own = "tls.key", text("a path", "none"), "Its private key, as `server.tls.key`.";

    TEMPLATE_NAME: Own = "template.name", text("1 to 255 octets", ""),
        "The name that zones give; `default` is for all that give none, those of `zones-dir` among them.";
    PRIMARIES: Own = "template.primaries", peers("none"), "Where the zone comes from, in the order in which they are \
         asked; see transfers.md for all lists.";
    ALLOW_NOTIFY: Own = "template.allow-notify", rules("the primaries"),
        "Who may say that the zone has changed.";
    ALLOW_TRANSFER: Own = "template.allow-transfer", rules("`[]`"), "Who may have the zone.";
    NOTIFY: Own = "template.notify", told("`[]`"), "Who is told that the zone has changed.";
    NOTIFY_DSYNC: Flag = "template.notify-dsync", Flag { default: false },
        "Whether the parent is told that CDS, CDNSKEY or CSYNC records have changed, where its DSYNC records ask for \
         that (RFC 9859).";
    NOTIFY_DSYNC_DELAY: Time = "template.notify-dsync-delay",
        time((Duration::ZERO, Duration::from_secs(86_400)), TransferSettings::NOTIFY_DSYNC_DELAY_DEFAULT),
        "How long after the change: all servers of the zone should have it then.";
    ZONEMD: Words<ZonemdRule> = "template.zonemd", Words { words: ZONEMD_RULES, default: ZonemdRule::Verify },
        "What is asked of the zone's ZONEMD records (RFC 8976): that one verifies where there are some, that one is \
         there and verifies, or nothing.";
    VERIFY: Own = "template.verify", texts("a program and at most 63 arguments", "`[]`"),
        "Run for each version that comes from a primary, which is served only if it exits with 0; see transfers.md.";
    VERIFY_TIMEOUT: Time = "template.verify-timeout", time(VERIFY_TIME, VerifyCommand::TIMEOUT_DEFAULT),
        "How long it may take.";
    TRANSFER_OCTETS_MAX: Number = "template.transfer-octets-max",
        number(1, ZONE_SIZE_MAX, TransferLimits::DEFAULT.octets_max as i64, "octets"),
        "Of the messages of one incoming transfer.";
    TRANSFER_RECORDS_MAX: Number = "template.transfer-records-max",
        number(1, ZONE_SIZE_MAX, TransferLimits::DEFAULT.records_max as i64, ""),
        "Records of the zone, and of one incoming transfer.";
    TRANSFER_TIME_MAX: Time = "template.transfer-time-max", time(TRANSFER_TIME, TransferLimits::DEFAULT.time_max),
        "How long one incoming transfer may take.";
    JOURNAL_OCTETS_MAX: Number = "template.journal-octets-max",
        number(0, ZONE_SIZE_MAX, TransferLimits::DEFAULT.journal_octets_max as i64, "octets"),
        "Of the differences between versions that are kept for incremental transfers.";
    REFRESH_MIN: Time = "template.refresh-min", time(SOA_TIME, TransferLimits::DEFAULT.refresh.0),
        "The least that the SOA's REFRESH counts.";
    REFRESH_MAX: Time = "template.refresh-max", time(SOA_TIME, TransferLimits::DEFAULT.refresh.1), "The most.";
    RETRY_MIN: Time = "template.retry-min", time(SOA_TIME, TransferLimits::DEFAULT.retry.0),
        "The same for its RETRY.";
    RETRY_MAX: Time = "template.retry-max", time(SOA_TIME, TransferLimits::DEFAULT.retry.1), "";
    EXPIRE_MIN: Time = "template.expire-min", time(SOA_TIME, TransferLimits::DEFAULT.expire.0),
        "The same for its EXPIRE.";
    EXPIRE_MAX: Time = "template.expire-max", time(SOA_TIME, TransferLimits::DEFAULT.expire.1), "";

    LISTED_IN: Own = "template.catalog", text("the name of a `[[catalog]]`", "none"),
        "The catalog, made here (`produce`), that lists the zone.";
    GROUP: Own = "template.group", text("1 to 255 octets", "none"), "The group that it gives the zone.";

    ZONE_NAME: Own = "zone.name", text("a domain name", ""), "The zone's name.";
    ZONE_FILE: Own = "zone.file", text("a path", "none"),
        "Its file; either it or `primaries` must be given, here or in the template.";
    ZONE_TEMPLATE: Own = "zone.template", text("the name of a `[[template]]`", "`\"default\"`, if there is one"),
        "The template that says what the zone does not say itself. Every key of `[[template]]` but its name may stand \
         in `[[zone]]` too.";

    CATALOG_NAME: Own = "catalog.name", text("a domain name", ""),
        "The name of a catalog zone (RFC 9432), whose members are served too; see transfers.md.";
    CATALOG_FILE: Own = "catalog.file", text("a path", "none"),
        "Its file; either it or `primaries` must be given, here or in the template.";
    PRODUCE: Flag = "catalog.produce", Flag { default: false },
        "Whether it is made here, of the zones whose `catalog` it is; then it has neither.";
    CATALOG_TEMPLATE: Own = "catalog.template", text("the name of a `[[template]]`", "`\"default\"`, if there is one"),
        "The template that says what the catalog does not say itself. Every key of `[[template]]` but its name may \
         stand in `[[catalog]]` too.";
    MEMBER_TEMPLATE: Own = "catalog.member-template",
        text("the name of a `[[template]]`", "what holds for the catalog"),
        "The template of its members, which must have `primaries`.";
    CATALOG_GROUPS: Own = "catalog.groups",
        Own { form: Form::Names, values: "`{ \"group\" = \"template\" }`", default: "`{}`" },
        "The templates of members that have these groups; of several the first in the order of their names.";
    CATALOG_LOSS_MAX: Own = "catalog.loss-max",
        number_or_text("a number of members, or a share up to `\"100%\"`", "`\"50%\"`"),
        "What one version of the catalog may take away; `\"100%\"` for all.";
}

/// The sections that may stand several times.
pub(super) const REPEATED: [&str; 7] = [NEIGHBOR, COMPANION, KEY, TLS, TEMPLATE, ZONE, CATALOG];
/// `[[bgp.neighbor]]`.
pub(super) const NEIGHBOR: &str = "bgp.neighbor";
/// `[[companion]]`.
pub(super) const COMPANION: &str = "companion";
/// `[[key]]`.
pub(super) const KEY: &str = "key";
/// `[[tls]]`.
pub(super) const TLS: &str = "tls";
/// `[[template]]`.
pub(super) const TEMPLATE: &str = "template";
/// `[[zone]]`, in which all keys of a template but its name may stand too.
pub(super) const ZONE: &str = "zone";
/// `[[catalog]]`, in which they may stand as well.
pub(super) const CATALOG: &str = "catalog";

/// The kernel's tables (Linux `rtnetlink.h`): the one that everybody looks into, and that of the host's own addresses.
const TABLE_MAIN: i64 = 254;
/// The metric that the kernel gives to an IPv6 route without one (Linux: `IP6_RT_PRIO_USER`).
const METRIC_DEFAULT: i64 = 1024;
/// The most that the kernel takes for a table or a metric: 32 bits.
const ROUTE_NUMBER_MAX: i64 = u32::MAX as i64;
/// The most connections that may be allowed.
const TCP_CLIENTS_MAX_MAX: i64 = 1_000_000;
/// The most octets or records that a zone may be allowed: more than any machine holds.
const ZONE_SIZE_MAX: i64 = 1 << 50;
/// Bounds of the TCP timeouts; the upper one fits RFC 7828 §3.1, which counts 100 ms in 16 bits.
const TCP_TIMEOUT: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(3600));
/// Bounds of interval and timeout of a round.
const ROUND: (Duration, Duration) = (Duration::from_millis(10), Duration::from_secs(10));
/// From one probe of a companion to the next, and how long its answer may take.
const COMPANION_ROUND: Duration = Duration::from_millis(200);
/// Bounds of the time that one incoming transfer may take.
const TRANSFER_TIME: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(7 * 86_400));
/// Bounds of the time that `verify` may take.
const VERIFY_TIME: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(86_400));
/// Bounds of what bounds the times of an SOA.
const SOA_TIME: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(3650 * 86_400));
/// How an AS is written.
const AS_NUMBERS: &str = "1 to 4294967295, or as text `\"1.10\"`";
/// The port of BGP (RFC 4271 §8.2.1.1).
const BGP_PORT: i64 = 179;
/// A hold time that a busy machine keeps, and that a router's loss of us does not take long.
const HOLD_TIME_DEFAULT: Duration = Duration::from_secs(9);
/// The function of the large community that says why.
const REASON_COMMUNITY_DEFAULT: i64 = 84;
/// The most prepends: longer paths are dropped by some.
const PREPEND_MAX: i64 = 10;
/// What a degraded route has by default.
const DEGRADED_MED_DEFAULT: i64 = 1000;
/// The same for its path.
const DEGRADED_PREPEND_DEFAULT: i64 = 3;
/// How communities are written.
const COMMUNITY_FORMS: &str = "at most 32 of `\"65000:1\"`, `\"65000:1:2\"` (large), `\"rt:65000:1\"`, \
                               `\"ro:65000:1\"` (extended), `\"no-export\"`, `\"graceful-shutdown\"` and the like";
/// What is done where no other site is seen: whether the address is withdrawn.
const GUARDS: &[(&str, Option<bool>)] = &[("stay", Some(false)), ("withdraw", Some(true)), ("off", None)];
/// Roles (RFC 9234 §4.1).
const ROLES: &[(&str, Option<Role>)] = &[
    ("customer", Some(Role::Customer)),
    ("peer", Some(Role::Peer)),
    ("provider", Some(Role::Provider)),
    ("rs", Some(Role::RouteServer)),
    ("rs-client", Some(Role::RouteServerClient)),
    ("none", None),
];
/// The levels of the log.
const LOG_LEVELS: &[(&str, LogLevel)] =
    &[("error", LogLevel::Error), ("warn", LogLevel::Warn), ("info", LogLevel::Info), ("debug", LogLevel::Debug)];
/// The forms of its lines.
const LOG_FORMATS: &[(&str, LogFormat)] = &[("text", LogFormat::Text), ("json", LogFormat::Json)];
/// What may be done about a condition that is not clearly this node's own fault.
const REACTIONS: &[(&str, Reaction)] =
    &[("absorb", Reaction::Absorb), ("degrade", Reaction::Degrade), ("withdraw", Reaction::Withdraw)];

/// What may be asked of ZONEMD records.
const ZONEMD_RULES: &[(&str, ZonemdRule)] =
    &[("verify", ZonemdRule::Verify), ("require", ZonemdRule::Require), ("ignore", ZonemdRule::Ignore)];

/// A number from `least` to `most`.
const fn number(least: i64, most: i64, default: i64, unit: &'static str) -> Number {
    Number { bounds: (least, most), default, unit }
}

/// A time within bounds.
const fn time(bounds: (Duration, Duration), default: Duration) -> Time {
    Time { bounds, default }
}

/// One of [`REACTIONS`].
const fn reaction(default: Reaction) -> Words<Reaction> {
    Words { words: REACTIONS, default }
}

/// A string that is checked by itself.
const fn text(values: &'static str, default: &'static str) -> Own {
    Own { form: Form::Text, values, default }
}

/// A list of strings that is checked by itself.
const fn texts(values: &'static str, default: &'static str) -> Own {
    Own { form: Form::Texts, values, default }
}

/// A list of servers.
const fn peers(default: &'static str) -> Own {
    Own {
        form: Form::Peers,
        values: "at most 64 of `{ address = \"192.0.2.1\", key = \"name\", tls = \"name\" }`",
        default,
    }
}

/// A list of servers that are told something.
const fn told(default: &'static str) -> Own {
    Own { form: Form::Peers, values: "at most 64 of `{ address = \"192.0.2.1\", key = \"name\" }`", default }
}

/// An access list.
const fn rules(default: &'static str) -> Own {
    Own {
        form: Form::Rules,
        values: "at most 64 of `{ prefix = \"10.0.0.0/8\", key = \"name\", tls = \"name\" }`",
        default,
    }
}

/// A number or a string that is checked by itself.
const fn number_or_text(values: &'static str, default: &'static str) -> Own {
    Own { form: Form::NumberOrText, values, default }
}
