//! Where other servers part from us in what a zone file may hold, on purpose: each with its reason.
//!
//! An entry that is no longer true fails the test that reads it.

use crate::run::Peer;

/// One way in which one peer differs.
pub(crate) struct Difference {
    /// Who differs.
    pub(crate) peer: Peer,
    /// The files on which it shows.
    pub(crate) files: &'static [&'static str],
    /// Why, and which standard says so.
    pub(crate) because: &'static str,
}

/// Files that a peer refuses and we take, or the other way round.
#[rustfmt::skip] // One entry a difference reads best with the files on lines of their own.
pub(crate) const DIFFERENCES: &[Difference] = &[
    Difference {
        peer: Peer::Bind,
        because: "it does not verify ZONEMD (RFC 8976)",
        files: &[
            "bad/zonemd-of-another-serial.zone",
            "bad/zonemd-of-other-records.zone",
            "bad/zonemd-twice.zone",
        ],
    },
    Difference {
        peer: Peer::Knot,
        because: "it verifies ZONEMD only where that is asked for (`-z`)",
        files: &[
            "bad/zonemd-of-another-serial.zone",
            "bad/zonemd-of-other-records.zone",
            "bad/zonemd-twice.zone",
        ],
    },
    Difference {
        peer: Peer::Bind,
        because: "it takes the mark for an owner; editors write it, and no name starts with it",
        files: &[
            "good/byte-order-mark.zone",
        ],
    },
    Difference {
        peer: Peer::Bind,
        because: "it looks for an included file in the working folder, we in the folder of the file that includes (RFC \
            1035 §5.1 leaves it open; Knot does as we do)",
        files: &[
            "good/include-nested.zone",
        ],
    },
    Difference {
        peer: Peer::Knot,
        because: "it wants all four digits of each group; RFC 6742 §2.1.2 has the syntax of IPv6 addresses",
        files: &[
            "good/type-l64-short-groups.zone",
            "good/type-nid-short-groups.zone",
        ],
    },
    Difference {
        peer: Peer::Bind,
        because: "it still reads the text of WKS, which RFC 1123 §2.2 gave up",
        files: &[
            "bad/rdata-wks-in-text.zone",
        ],
    },
    Difference {
        peer: Peer::Bind,
        because: "it wants a key even for algorithm 0; RFC 4025 §2.4 says that none is there",
        files: &[
            "good/type-ipseckey-without-key.zone",
        ],
    },
    Difference {
        peer: Peer::Bind,
        because: "its release is older than the key (RFC 9540)",
        files: &[
            "good/type-svcb-later-keys.zone",
        ],
    },
    Difference {
        peer: Peer::Bind,
        because: "a zone without NS serves what it has, as NSD says too; RFC 1034 §4.2.1 asks for NS, hence a warning",
        files: &[
            "good/warned-no-apex-ns.zone",
        ],
    },
    Difference {
        peer: Peer::Bind,
        because: "it refuses NS at a wildcard; RFC 4592 §4.2 leaves it undefined, not forbidden: a warning",
        files: &[
            "good/warned-ns-at-a-wildcard.zone",
        ],
    },
    Difference {
        peer: Peer::Bind,
        because: "the zone is wrong (RFC 2181 §10.3, RFC 1912 §2.8), but what can be answered is right: a warning",
        files: &[
            "good/warned-ns-to-cname.zone",
            "good/warned-ns-without-address.zone",
        ],
    },
    Difference {
        peer: Peer::Bind,
        because: "it refuses a zone all of whose chains it does not know; \
            RFC 5155 §8.1 has servers ignore chains that they do not know: a warning",
        files: &[
            "good/warned-nsec3-algorithm.zone",
        ],
    },
    Difference {
        peer: Peer::Bind,
        because: "it serves the zone with the names hidden; RFC 6672 §2.4 forbids it, Knot and NSD refuse too",
        files: &[
            "bad/dname-at-the-apex-with-names-below.zone",
            "bad/dname-with-names-below.zone",
        ],
    },
    Difference {
        peer: Peer::Bind,
        because: "it warns of the iterations and loads the zone; RFC 5155 §10.3 never allowed so many",
        files: &[
            "bad/nsec3-too-many-iterations.zone",
        ],
    },
    Difference {
        peer: Peer::Bind,
        because: "it warns and makes the TTL 0; RFC 2181 §8 has 31 bits, and a larger number is a mistake of the file",
        files: &[
            "bad/ttl-too-large.zone",
            "bad/ttl-with-units-too-large.zone",
        ],
    },
    Difference {
        peer: Peer::Knot,
        because: "it has no $GENERATE",
        files: &[
            "good/generate-absolute.zone",
            "good/generate-bases.zone",
            "good/generate-escapes.zone",
            "good/generate-keeps-the-owner.zone",
            "good/generate-nibbles.zone",
            "good/generate-offset.zone",
            "good/generate-other-types.zone",
            "good/generate-plain.zone",
            "good/generate-several-uses.zone",
            "good/generate-step.zone",
            "good/generate-ttl-and-class.zone",
            "good/generate-width.zone",
            "good/generate-without-a-counter.zone",
            "good/many-records-of-one-set.zone",
            "good/reverse-ipv4.zone",
        ],
    },
    Difference {
        peer: Peer::Knot,
        because: "it takes the mark for an owner; editors write it, and no name starts with it",
        files: &[
            "good/byte-order-mark.zone",
        ],
    },
    Difference {
        peer: Peer::Knot,
        because: "it refuses CR LF, which RFC 1035 §5.1 does not rule out",
        files: &[
            "good/crlf.zone",
            "good/include-crlf.zone",
        ],
    },
    Difference {
        peer: Peer::Knot,
        because: "it wants octets above 126 escaped; RFC 2181 §11 allows every octet",
        files: &[
            "good/raw-octets-in-names.zone",
            "good/raw-octets-in-strings.zone",
        ],
    },
    Difference {
        peer: Peer::Knot,
        because: "it wants punctuation in names escaped, all but * - . _ and /; RFC 2181 §11 allows every octet",
        files: &[
            "good/names-of-every-printable.zone",
        ],
    },
    Difference {
        peer: Peer::Knot,
        because: "it does not know CLASS1 (RFC 3597 §5)",
        files: &[
            "good/class-by-number.zone",
        ],
    },
    Difference {
        peer: Peer::Knot,
        because: "it wants absolute names in directives; RFC 1035 §5.1 has relative ones completed by the origin",
        files: &[
            "good/include-with-a-relative-origin.zone",
            "good/origin-at.zone",
            "good/origin-relative.zone",
        ],
    },
    Difference {
        peer: Peer::Knot,
        because: "a line that begins with a blank before the first record is an error there, even if it holds nothing \
            or a comment only; RFC 1035 §5.1 allows such lines anywhere",
        files: &[
            "good/blank-lines.zone",
            "good/comments-anywhere.zone",
        ],
    },
    Difference {
        peer: Peer::Knot,
        because: "it wants blanks between strings; RFC 1035 §5.1 ends a string at its quote",
        files: &[
            "good/parentheses-without-blanks.zone",
            "good/quoted-side-by-side.zone",
        ],
    },
    Difference {
        peer: Peer::Knot,
        because: "it wants a key even where the flags say that there is none (RFC 2535 §3.1.2)",
        files: &[
            "good/type-key.zone",
        ],
    },
    Difference {
        peer: Peer::Knot,
        because: "it wants no quotes around names; BIND and NSD take them",
        files: &[
            "good/owner-in-quotes.zone",
        ],
    },
    Difference {
        peer: Peer::Knot,
        because: "it wants the digest in one word; RFC 4701 §3.2 allows white space",
        files: &[
            "good/type-dhcid.zone",
        ],
    },
    Difference {
        peer: Peer::Knot,
        because: "its release is older than the key (RFC 9461, RFC 9540)",
        files: &[
            "good/type-svcb-dohpath.zone",
            "good/type-svcb-later-keys.zone",
        ],
    },
    Difference {
        peer: Peer::Knot,
        because: "it does not know the type",
        files: &[
            "good/type-amtrelay.zone",
            "good/type-avc.zone",
            "good/type-doa.zone",
            "good/type-dsync.zone",
            "good/type-gpos-out-of-range.zone",
            "good/type-gpos.zone",
            "good/type-hip.zone",
            "good/type-isdn.zone",
            "good/type-md-mf.zone",
            "good/type-ninfo.zone",
            "good/type-nsap-ptr.zone",
            "good/type-nsap.zone",
            "good/type-nxt.zone",
            "good/type-px.zone",
            "good/type-resinfo.zone",
            "good/type-rkey-ta-dlv.zone",
            "good/type-sig.zone",
            "good/type-talink.zone",
            "good/type-wallet.zone",
            "good/type-wks.zone",
            "good/type-x25.zone",
        ],
    },
    Difference {
        peer: Peer::Knot,
        because: "all this it calls missing glue; the zone is wrong (RFC 1912 §2.8, RFC 2181 §10.3, RFC 9471 §2), but \
            what can be answered is right: a warning",
        files: &[
            "good/warned-glue-missing-at-the-cut.zone",
            "good/warned-glue-missing-of-one.zone",
            "good/warned-glue-missing.zone",
            "good/warned-ns-to-cname.zone",
            "good/warned-ns-without-address.zone",
        ],
    },
    Difference {
        peer: Peer::Knot,
        because: "a zone without NS serves what it has, as NSD says too; RFC 1034 §4.2.1 asks for NS, hence a warning",
        files: &[
            "good/warned-no-apex-ns.zone",
        ],
    },
    Difference {
        peer: Peer::Knot,
        because: "it refuses NS beside DNAME; RFC 6672 §2.3 forbids it below the apex, \
            but the cut alone is answered: a warning",
        files: &[
            "good/warned-ns-beside-dname.zone",
        ],
    },
    Difference {
        peer: Peer::Knot,
        because: "it lets RDATA of a wrong length through (RFC 3597 §5 forbids it)",
        files: &[
            "bad/generic-rdata-wrong-for-the-type.zone",
        ],
    },
    Difference {
        peer: Peer::Knot,
        because: "it takes the chain as it is; RFC 9276 §3.2 lets servers refuse",
        files: &[
            "bad/nsec3-too-many-iterations.zone",
        ],
    },
    Difference {
        peer: Peer::Knot,
        because: "it takes \\DDD over 255 modulo 256; RFC 1035 §5.1 means one octet",
        files: &[
            "bad/owner-with-a-bad-escape.zone",
        ],
    },
    Difference {
        peer: Peer::Knot,
        because: "it takes other octets in a tag; RFC 8659 §4.1 allows letters and digits only",
        files: &[
            "bad/rdata-caa-tag.zone",
        ],
    },
    Difference {
        peer: Peer::Knot,
        because: "it takes no-default-alpn alone; RFC 9460 §7.1.1 forbids it without alpn",
        files: &[
            "bad/rdata-svcb-no-default-alpn-alone.zone",
        ],
    },
    Difference {
        peer: Peer::Knot,
        because: "it takes a digest that is too short; RFC 8976 §2.2.4 gives the length",
        files: &[
            "bad/rdata-zonemd-digest-too-short.zone",
        ],
    },
    Difference {
        peer: Peer::Knot,
        because: "it leaves an SOA below the apex out without a word; RFC 1035 §5.2 has one SOA in a zone file",
        files: &[
            "bad/soa-below-the-apex.zone",
        ],
    },
    Difference {
        peer: Peer::Knot,
        because: "it keeps the first without a word; RFC 1035 §5.2 has one SOA in a zone file",
        files: &[
            "bad/soa-twice.zone",
        ],
    },
    Difference {
        peer: Peer::Knot,
        because: "it parts a longer string into several; RFC 1035 §3.3 ends one at 255 octets",
        files: &[
            "bad/string-too-long.zone",
        ],
    },
    Difference {
        peer: Peer::Knot,
        because: "it serves TTLs of 32 bits; RFC 2181 §8 has 31 bits",
        files: &[
            "bad/ttl-too-large.zone",
            "bad/ttl-with-units-too-large.zone",
        ],
    },
    Difference {
        peer: Peer::Knot,
        because: "it takes them as types that it does not know; RFC 6895 §3.1 keeps these numbers out of zones",
        files: &[
            "bad/type-tsig.zone",
            "bad/type-zero.zone",
        ],
    },
];

/// Files whose dump a peer reads otherwise than the file itself.
#[rustfmt::skip]
pub(crate) const DUMP_DIFFERENCES: &[Difference] = &[
    Difference {
        peer: Peer::Bind,
        because: "an offset in ${} counts for each plain $ behind it there; \
            its manual says that $ is the number itself",
        files: &["good/generate-other-types.zone"],
    },
    Difference {
        peer: Peer::Bind,
        because: "of two spellings of one name in RDATA it keeps the last, we the first (RFC 4343 §3 leaves it open)",
        files: &["good/warned-duplicates.zone"],
    },
    Difference {
        peer: Peer::Bind,
        because: "without any TTL it takes the SOA's MINIMUM, which RFC 2308 §4 made something else; we take 3600",
        files: &["good/warned-ttl-none-at-all.zone"],
    },
    Difference {
        peer: Peer::Bind,
        because: "without $TTL it takes the TTL of the record before (RFC 1035 §5.1); NSD and Knot take 3600, as we do",
        files: &["good/warned-ttl-not-of-the-last-record.zone"],
    },
    Difference {
        peer: Peer::Nsd,
        because: "it takes a backslash that is escaped at the end of a line for one that escapes the line's end",
        files: &["good/escapes-in-strings.zone"],
    },
    Difference {
        peer: Peer::Nsd,
        because: "its release does not know the names of later types, which our dump has",
        files: &["good/types-all-as-unknown.zone"],
    },
    Difference {
        peer: Peer::Nsd,
        because: "it prints each record with the TTL that was written; RFC 2181 §5.2 has one for all",
        files: &["good/warned-ttls-differ.zone"],
    },
];
