//! Tables of text and what is read from it.

use std::collections::HashMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};

use proptest::prelude::*;

use super::*;
use crate::fault::FAULTS_MAX;
use crate::zonebuild::executor::Inline;

/// Files that live in memory.
#[derive(Default)]
struct Memory(HashMap<PathBuf, Vec<u8>>);

impl Files for Memory {
    fn read(&mut self, path: &Path) -> Result<Vec<u8>, FileError> {
        match path.to_str() {
            Some("z/dir") => Err(FileError::Directory),
            Some("z/secret") => Err(FileError::Denied),
            _ => self.0.get(path).cloned().ok_or(FileError::Missing),
        }
    }
}

/// Records as `owner ttl type hex line:column`, each one string.
#[derive(Default)]
struct Lines {
    records: Vec<String>,
    /// How many other sinks were joined.
    joined: usize,
}

impl Sink for Lines {
    fn take(&mut self, record: &Record<'_>) {
        let mut line = format!("{} {} {} ", record.owner, record.ttl, record.rtype);
        record.rdata.iter().for_each(|octet| write!(line, "{octet:02x}").expect("a string takes all"));
        let Position { file, line: number, column } = record.position.expect("it is written");
        write!(line, " {file}:{number}:{column}").expect("a string takes all");
        self.records.push(line);
    }

    fn fork(&self, _text_bytes: usize) -> Self {
        Self::default()
    }

    fn join(&mut self, later: Self) {
        self.records.extend(later.records);
        self.joined += 1;
    }
}

/// Reads `z/main` out of `files` with the origin `example.`: records as `owner ttl type hex`, faults as
/// `code file:line:column`.
fn read(files: &[(&str, &[u8])]) -> (Vec<String>, Vec<String>) {
    let mut memory = Memory(files.iter().map(|(path, octets)| (PathBuf::from(path), octets.to_vec())).collect());
    let (mut sources, mut faults, mut records) = (Sources::default(), Faults::default(), Lines::default());
    let origin: Name = "example.".parse().expect("a name");
    let path = Path::new("z/main");
    let master = MasterFile { path, origin: origin.as_ref(), limits: Limits::default() };
    read_zone(&mut memory, master, &Inline, &mut sources, &mut faults, &mut records);
    let faults = faults.iter().map(|fault| {
        let Position { file, line, column } = fault.position;
        format!("{} {file}:{line}:{column}", fault.kind.code())
    });
    let without_place = |line: &String| line.rsplit_once(' ').map_or("", |(record, _)| record).to_owned();
    (records.records.iter().map(without_place).collect(), faults.collect())
}

/// Records of one file without faults.
fn records(text: &[u8]) -> Vec<String> {
    let (records, faults) = read(&[("z/main", text)]);
    assert_eq!(faults, Vec::<String>::new(), "{}", String::from_utf8_lossy(text));
    records
}

/// Faults of one file behind a line that makes it a zone file, as `code line:column`, lines counted without that one.
fn faults(text: &[u8]) -> Vec<String> {
    let (_, faults) = read(&[("z/main", &[b"$ORIGIN example.\n", text].concat())]);
    let reported = |fault: &String| {
        let (code, position) = fault.split_once(" 0:").expect("a fault of the file");
        let (line, column) = position.split_once(':').expect("a position");
        format!("{code} {}:{column}", line.parse::<u32>().expect("a line") - 1)
    };
    faults.iter().map(reported).collect()
}

#[test]
fn records_are_read_however_they_are_written() {
    let a = |owner: &str, ttl: u32| vec![format!("{owner} {ttl} A c0000201")];
    for (text, expected) in [
        ("a 5 IN A 192.0.2.1", a("a.example.", 5)),
        ("a IN 5 A 192.0.2.1\n", a("a.example.", 5)),
        ("a 1h1m A 192.0.2.1\r\n", a("a.example.", 3660)),
        ("$TTL 7\na a 192.0.2.1", a("a.example.", 7)),
        ("$ttl 1W\n@\tin\tA\t192.0.2.1 ; c", a("example.", 604_800)),
        ("A. 5 class1 type1 192.0.2.1", a("A.", 5)),
        ("a 5 A \\# 4 c000 0201", a("a.example.", 5)),
        ("a (\n 5 ; c )\n IN\nA 192.0.2.1\n)", a("a.example.", 5)),
        ("\n\n ; nothing\n$ORIGIN b\na 5 A 192.0.2.1", a("a.b.example.", 5)),
        ("$ORIGIN .\n\\$x\\.y\\032 5 A 192.0.2.1", a("\\$x\\.y\\032.", 5)),
        ("\"a\" 2147483647 A 192.0.2.1", a("a.example.", 2_147_483_647)),
    ] {
        assert_eq!(records(text.as_bytes()), expected, "{text}");
    }
    assert_eq!(records(b"\xFF 5 TXT \"a;(\" \xFE"), ["\\255.example. 5 TXT 03613b2801fe"]);
    assert_eq!(records(b"\xEF\xBB\xBFa 5 A 192.0.2.1"), a("a.example.", 5));
    let https = ["a.example. 5 HTTPS 000100000100060268320268330003000201bb"];
    assert_eq!(records(b"a 5 HTTPS 1 . port=443 alpn=\"h2,h3\""), https);
    assert_eq!(records(b"a 5 TYPE65400 \\# 2 0AFF"), ["a.example. 5 TYPE65400 0aff"]);
}

#[test]
fn what_is_left_out_is_taken_from_before() {
    let text = b"a 5 A 192.0.2.1\n A 192.0.2.1\n$TTL 9\n\tA 192.0.2.1\n 6 A 192.0.2.1\nb A 192.0.2.1";
    let (records, faults) = read(&[("z/main", text)]);
    let heads: Vec<_> = records.iter().map(|line| line.replace(" A c0000201", "")).collect();
    assert_eq!(faults, ["no-ttl 0:2:2"]);
    assert_eq!(heads, ["a.example. 5", "a.example. 3600", "a.example. 9", "a.example. 6", "b.example. 9"]);
}

#[test]
fn without_a_ttl_directive_the_default_never_changes() {
    let soa = "SOA ns h 1 2 3 4 1200\n";
    let big = "x A 192.0.2.1\ny 60 A 192.0.2.1\n".repeat(20);
    for (main, included, expected) in [
        (format!("@ {soa}@ 60 A 192.0.2.1\nwww A 192.0.2.2\n A 192.0.2.3"), "", vec![3600, 60, 3600, 3600]),
        (format!("@ 300 {soa}@ A 192.0.2.1\n 60 A 192.0.2.1\n A 192.0.2.2"), "", vec![300, 3600, 60, 3600]),
        // A `$TTL` counts from where it stands, in an included file as well.
        (format!("@ {soa}a 60 A 192.0.2.1\nb A 192.0.2.1\n$TTL 7\nc A 192.0.2.1"), "", vec![3600, 60, 3600, 7]),
        (
            format!("@ 300 {soa}$INCLUDE b\nc A 192.0.2.1"),
            "x A 192.0.2.1\ny 60 A 192.0.2.1\nz A 192.0.2.1",
            vec![300, 3600, 60, 3600, 3600],
        ),
        (format!("@ 300 {soa}$INCLUDE b\nc A 192.0.2.1"), "x A 192.0.2.1\n$TTL 9\n", vec![300, 3600, 9]),
        (
            format!("@ 300 {soa}$GENERATE 1-2 g$ A 192.0.2.$\n$GENERATE 1-1 h$ 9 A 192.0.2.$\nc A 192.0.2.1"),
            "",
            vec![300, 3600, 3600, 9, 3600],
        ),
        (format!("@ 300 {soa}{big}"), "", [&[300][..], &[3600, 60].repeat(20)].concat()),
    ] {
        let files = [("z/main", main.as_bytes()), ("z/b", included.as_bytes())];
        for (executor, part_bytes_min) in [(&Inline as &dyn Executor, 1), (&ThreeThreads, 30)] {
            let (records, reported, _) = outcome(&files, executor, part_bytes_min);
            let ttls: Vec<u32> = records.iter().map(|l| l.split(' ').nth(1).unwrap().parse().unwrap()).collect();
            assert_eq!(ttls, expected, "{main}");
            assert_eq!(
                reported.iter().filter(|fault| fault.contains("NoTtl")).count(),
                1,
                "reported once: {reported:?}"
            );
        }
    }
    let help = FaultKind::NoTtl { used: FALLBACK_TTL }.help().expect("a way out");
    assert!(["$TTL 3600", "BIND", "Windows", "MINIMUM"].iter().all(|word| help.contains(word)), "{help}");
}

#[test]
fn a_big_text_that_leaves_ttls_out_is_read_in_parts_all_the_same() {
    let text = format!("@ SOA ns h 1 2 3 4 5\n{}", "x A 192.0.2.1\n".repeat(400));
    let (records, _, joined) = outcome(&[("z/main", text.as_bytes())], &ThreeThreads, 100);
    assert!(records.len() == 401 && joined > 12, "{joined} parts");
}

#[test]
fn faults_stand_where_they_are() {
    let long_label = [b"x".repeat(64).as_slice(), b" 5 A 192.0.2.1"].concat();
    let long_name = [b"abcdefg.".repeat(32).as_slice(), b" 5 A 192.0.2.1"].concat();
    for (text, expected) in [
        (long_label.as_slice(), &["bad-owner 1:1"][..]),
        (&long_name, &["bad-owner 1:1"]),
        (b"a..b 5 A 192.0.2.1\n 5 A 192.0.2.1\n A x\nb A y", &["bad-owner 1:1", "bad-rdata 3:4", "bad-rdata 4:5"]),
        (b" 5 A 192.0.2.1\n 5 A 192.0.2.1", &["no-owner 1:2"]),
        (b"$FOO x", &["unknown-directive 1:1"]),
        (b" $TTL 5", &["indented-directive 1:2"]),
        (b"$TTL", &["missing-field 1:5"]),
        (b"$TTL 5 6", &["surplus-field 1:8"]),
        (b"$TTL \"5\"", &["quoted-field 1:6"]),
        (b"$TTL x", &["bad-ttl 1:6"]),
        (b"$TTL 2147483648", &["ttl-too-large 1:6"]),
        (b"$ORIGIN", &["missing-field 1:8"]),
        (b"$ORIGIN a..b", &["bad-origin 1:9"]),
        (b"a 4294967295 A 192.0.2.1", &["ttl-too-large 1:3"]),
        (b"a 5x A 192.0.2.1", &["bad-ttl 1:3"]),
        (b"a 3551w A 192.0.2.1", &["ttl-too-large 1:3"]),
        (b"a 192.0.2.1", &["missing-field 1:3"]),
        (b"a 5 IN 2001:db8::1", &["missing-field 1:8"]),
        (b"a mail.example.net.", &["missing-field 1:3"]),
        (b"a 5 CH A 192.0.2.1", &["class-not-in 1:5"]),
        (b"a 5 CLASS9 A 192.0.2.1", &["class-not-in 1:5"]),
        (b"a 5 FLURB x", &["unknown-type 1:5"]),
        (b"a 5 IN IN A 192.0.2.1", &["unknown-type 1:8"]),
        (b"a 5 6 A 192.0.2.1", &["unknown-type 1:5"]),
        (b"a 5 \"A\" 192.0.2.1", &["quoted-field 1:5"]),
        (b"a 5 AXFR x", &["meta-type 1:5"]),
        (b"a", &["missing-field 1:2"]),
        (b"a 5 IN", &["missing-field 1:7"]),
        (b"a 5 A", &["missing-field 1:6"]),
        (b"a 5 MX 10", &["missing-field 1:10"]),
        (b"a 5 (\n MX\n 10 )", &["missing-field 3:4"]),
        (b"a 5 MX \"10\"", &["bad-rdata 1:8"]),
        (b"a 5 HINFO \"x y\"", &["missing-field 1:16"]),
        (b"a 5 A 192.0.2.1 192.0.2.2", &["surplus-field 1:17"]),
        (b"a 5 A 192.0.2.256\nb 5 A x\n", &["bad-rdata 1:7", "bad-rdata 2:7"]),
        (b"a 5 TXT \"x\nb 5 A x", &["quote-open 1:9", "bad-rdata 2:7"]),
        (b"a 5 TXT ( x\n y\nb 5 A x", &["parenthesis-open 1:9", "bad-rdata 3:7"]),
        (b"a 5 TXT x )\nb 5 A x", &["parenthesis-close 1:11", "bad-rdata 2:7"]),
        (b"a 5 A 192.0.2.1\nb\x00", &["file-binary 2:2"]),
    ] {
        let text_shown = String::from_utf8_lossy(text).into_owned();
        assert_eq!(faults(text), expected, "{text_shown}");
    }
    for text in [&b""[..], b" \n;x\n"] {
        assert_eq!(read(&[("z/main", text)]).1, ["file-empty 0:0:0"]);
    }
}

#[test]
fn a_file_without_anything_good_is_one_fault_and_repeats_none_of_its_words() {
    for text in ["hunter2", "a hunter2 b\nc hunter2 d", "$hunter2\n;x", "x TXT \"hunter2\ny A hunter2"] {
        let (main, good) = (format!("$INCLUDE b\n{}", "a A hunter2"), "x 5 A 192.0.2.1\n");
        for (files, expected) in [
            ([("z/main", text), ("z/b", good)], &["NotAZoneFile"][..]),
            ([("z/main", main.as_str()), ("z/b", text)], &["BadRdata", "NotAZoneFile"]),
        ] {
            let files = files.map(|(path, text)| (path, text.as_bytes()));
            let (_, reported, _) = outcome(&files, &Inline, 1);
            let kinds = reported.iter().filter(|reported| reported.starts_with("Fault "));
            let kinds: Vec<bool> = kinds.zip(expected).map(|(reported, kind)| reported.contains(kind)).collect();
            assert_eq!(kinds, vec![true; expected.len()], "{reported:?}");
            assert!(reported.iter().all(|reported| !reported.contains("hunter2")), "{reported:?}");
        }
    }
}

/// Codes and hints of the faults of a text behind a good line.
fn hints(text: &str) -> Vec<(String, String)> {
    let text = format!("$ORIGIN example.\n$TTL 5\n{text}\n");
    let mut memory = Memory([(PathBuf::from("z/main"), text.into_bytes())].into());
    let (mut sources, mut faults, mut records) = (Sources::default(), Faults::default(), Lines::default());
    let master = MasterFile { path: Path::new("z/main"), origin: NameRef::ROOT, limits: Limits::default() };
    read_zone(&mut memory, master, &Inline, &mut sources, &mut faults, &mut records);
    faults.iter().map(|f| (f.kind.code().to_owned(), f.kind.help().unwrap_or_default().into_owned())).collect()
}

#[test]
fn what_was_brought_from_elsewhere_is_named() {
    for (text, code, word) in [
        ("www\u{A0}A 192.0.2.1", "missing-field", "U+00A0"),
        ("www A\u{A0}192.0.2.1", "missing-field", "no-break space"),
        ("www A 192.0.2.1\u{A0}", "bad-rdata", "no-break space"),
        ("www A \u{200B}192.0.2.1", "bad-rdata", "U+200B"),
        ("w\u{FEFF}ww AAA 2001:db8::1", "unknown-type", "U+FEFF"),
        ("x TXT a\u{A0}b", "suspicious-text", "U+00A0"),
        ("x TXT \u{201C}v=spf1 -all\u{201D}", "suspicious-text", "U+201C"),
        ("x CAA 0 issue \u{201C}ca.test\u{201D}", "suspicious-text", "U+201C"),
        ("x HINFO \u{2018}a b c\u{2019}", "surplus-field", "U+2018"),
        ("# all hosts", "unknown-type", "not with `#`"),
        ("#www A 192.0.2.1", "suspicious-text", "not with `#`"),
        ("www A 192.0.2.1 # web", "surplus-field", "not with `#`"),
        ("www MX 10 mail #don't \"", "quote-open", "not with `#`"),
        ("// all hosts", "unknown-type", "not with `//`"),
        ("www A 192.0.2.1 // web", "surplus-field", "not with `//`"),
        ("//www A 192.0.2.1", "suspicious-text", "not with `//`"),
        ("@ ALIAS other.test.", "unknown-type", "`ALIAS`"),
        ("@ 300 IN aname other.test.", "unknown-type", "`ANAME`"),
        ("@ LUA A \"pickrandom({'192.0.2.1'})\"", "unknown-type", "PowerDNS"),
        ("@ WINS 192.0.2.1", "unknown-type", "WINS"),
        ("www URL http://x.test/", "unknown-type", "redirection"),
        ("@ 600 IN A Parked", "bad-rdata", "Parked"),
        ("@ A WebsiteBuilder Site", "bad-rdata", "provider"),
        ("@ AAAA www.other.test.", "bad-rdata", "CNAME"),
        ("www [AGE:3667392] 1200 A 192.0.2.1", "missing-field", "time stamp"),
    ] {
        let found = hints(text);
        assert_eq!(found.first().map(|(code, _)| code.as_str()), Some(code), "{text}: {found:?}");
        assert!(found[0].1.contains(word), "{text}: {found:?}");
    }
    for text in
        ["a/b A 192.0.2.1", "x TXT \"\u{201C}a\u{A0}b\u{201D}\"", "\u{FC} A 192.0.2.1", "x TXT # //", "\\# A 192.0.2.1"]
    {
        assert_eq!(hints(text), [], "{text}");
    }
}

#[test]
fn what_may_belong_to_another_origin_or_ttl_is_no_second_fault() {
    for directive in ["$ORIGIN a..b", "$ORGIN sub", " $ORIGIN sub", "$ORIGIN \"sub", "$ORIGIN"] {
        let text = format!(
            "{directive}\na 5 A 192.0.2.1\n A 192.0.2.1\n$ORIGIN rel\n@ 5 A 192.0.2.1\n\
            $GENERATE 1-1 g$ 5 A 192.0.2.1\nb.example. 5 A 192.0.2.2\n$ORIGIN c.example.\nd 5 A 192.0.2.3"
        );
        let (records, faults) = read(&[("z/main", text.as_bytes())]);
        assert_eq!(faults.len(), 1, "{directive}: {faults:?}");
        assert_eq!(records, ["b.example. 5 A c0000202", "d.c.example. 5 A c0000203"], "{directive}");
    }
    assert_eq!(faults(b"$TTL x\na A 192.0.2.1"), ["bad-ttl 1:6"]);
}

#[test]
fn all_faults_are_reported_up_to_a_bound() {
    let text = b"a 5 A x\n".repeat(1_000);
    assert_eq!(faults(&text).len(), FAULTS_MAX);
}

#[test]
fn included_files_give_back_origin_and_owner() {
    let main = b"$TTL 300\nown A 192.0.2.1\n$INCLUDE sub/b.inc sub\n A 192.0.2.2\nrel A 192.0.2.3";
    let included = b" A 192.0.2.4\nx A 192.0.2.5\n$TTL 77\n$ORIGIN other\n$INCLUDE \"c\\ d\"\nz A 192.0.2.6";
    let (records, faults) = read(&[("z/main", main), ("z/sub/b.inc", included), ("z/sub/c d", b"deep A 192.0.2.7")]);
    assert_eq!(faults, Vec::<String>::new());
    // As named-checkzone has it: $TTL holds on behind the end of the included file.
    let expected = [
        "own.example. 300 A c0000201",
        "own.example. 300 A c0000204",
        "x.sub.example. 300 A c0000205",
        "deep.other.sub.example. 77 A c0000207",
        "z.other.sub.example. 77 A c0000206",
        "own.example. 77 A c0000202",
        "rel.example. 77 A c0000203",
    ];
    assert_eq!(records, expected);
}

#[test]
fn inclusions_end() {
    for (main, included, expected) in [
        (&b"a 5 A 192.0.2.1\n$INCLUDE main"[..], &b""[..], "include-loop 0:2:10"),
        (b"$INCLUDE b", b"$INCLUDE ./main", "include-loop 1:1:10"),
        (b"$INCLUDE none", b"", "file-missing 0:1:10"),
        (b"$INCLUDE dir", b"", "file-is-directory 0:1:10"),
        (b"$INCLUDE secret", b"", "file-unreadable 0:1:10"),
        (b"$INCLUDE", b"", "missing-field 0:1:9"),
        (b"$INCLUDE b c d", b"", "surplus-field 0:1:14"),
        (b"$INCLUDE b c..d", b"", "bad-origin 0:1:12"),
        (b"$INCLUDE b", b"\x00", "file-binary 1:1:1"),
        (b"$INCLUDE b", b"z 5 A 192.0.2.1\na 5 A x", "bad-rdata 1:2:7"),
        (b"$INCLUDE b", b"a 5 A x", "not-a-zone-file 1:1:7"),
    ] {
        let (_, faults) = read(&[("z/main", main), ("z/b", included)]);
        assert_eq!(faults, [expected], "{}", String::from_utf8_lossy(main));
    }
    let names: Vec<(String, Vec<u8>)> = (0..40)
        .map(|n| (if n == 0 { "z/main".into() } else { format!("z/{n}") }, format!("$INCLUDE {}", n + 1).into_bytes()))
        .collect();
    let files: Vec<(&str, &[u8])> = names.iter().map(|(name, text)| (name.as_str(), text.as_slice())).collect();
    let (_, faults) = read(&files);
    assert_eq!(faults, ["include-too-deep 32:1:1"]);
    // Each file includes the next one a hundred times: 10,001 inclusions are too many.
    let text = |next: &str| format!("$INCLUDE {next}\n").repeat(100).into_bytes();
    let (one, two, three) = (text("1"), text("2"), text("3"));
    let (_, faults) = read(&[("z/main", &one), ("z/1", &two), ("z/2", &three), ("z/3", b"a 5 A 192.0.2.1")]);
    assert!(!faults.is_empty() && faults.iter().all(|fault| fault.starts_with("too-many-includes")));
}

#[test]
fn a_zone_file_that_cannot_be_read_is_one_fault() {
    assert_eq!(read(&[]).1, ["file-missing 0:0:0"]);
}

#[test]
fn generated_records_are_those_of_bind() {
    let text = b"$TTL 300\nown A 192.0.2.9\n$GENERATE 1-9/4 s${10,3} A 192.0.2.$\n$generate 1-2 c$ 77 IN NS x$.y.\n\
        $GENERATE 1-1 d$ IN 78 MX \"10 mail$\" ; c\n$GENERATE 300-300 ${0,1,n}.r NS a$$b\\$c$\n\
        $GENERATE 1-1 t$ TXT \"\\\"hello $\\\" $$\"\n$GENERATE (1-1 @\n TYPE65000 \"\\# 1 0$\")\n A 192.0.2.8";
    let expected = [
        "own.example. 300 A c0000209",
        "s011.example. 300 A c0000201",
        "s015.example. 300 A c0000205",
        "s019.example. 300 A c0000209",
        "c1.example. 77 NS 0278310179 00",
        "c2.example. 77 NS 0278320179 00",
        "d1.example. 78 MX 000a 056d61696c31 076578616d706c6500",
        "c.2.1.r.example. 300 NS 08612462246333303 0076578616d706c6500",
        "t1.example. 300 TXT 0768656c6c6f2031 0124",
        "example. 300 TYPE65000 01",
        "own.example. 300 A c0000208",
    ];
    let joined = |line: &str| {
        let mut words = line.splitn(4, ' ');
        let head: Vec<_> = words.by_ref().take(3).collect();
        format!("{} {}", head.join(" "), words.next().unwrap_or_default().replace(' ', ""))
    };
    assert_eq!(records(text), expected.map(joined));
}

#[test]
fn faults_of_generate_stand_at_the_directive() {
    for (text, expected) in [
        (&b"$GENERATE"[..], "missing-field 1:10"),
        (b"$GENERATE 1-2", "missing-field 1:14"),
        (b"$GENERATE 1-2 x$", "missing-field 1:17"),
        (b"$GENERATE 1-2 x$ 5 A", "missing-field 1:21"),
        (b"$GENERATE 1-2 x$ 5 MX 10 y", "surplus-field 1:26"),
        (b"$GENERATE 2-1 x$ 5 A 192.0.2.1", "bad-generate 1:11"),
        (b"$GENERATE 1-2/0 x$ 5 A 192.0.2.1", "bad-generate 1:15"),
        (b"$GENERATE 1-2 x${q} 5 A 192.0.2.1", "bad-generate 1:16"),
        (b"$GENERATE 1-2 x$ 5 CH A 192.0.2.1", "class-not-in 1:20"),
        (b"$GENERATE 1-2 x$ 5 FLURB 192.0.2.1", "unknown-type 1:20"),
        (b"$GENERATE 255-300 x$ 5 A 192.0.2.$", "bad-rdata 1:26"),
        (b"$GENERATE 1-9 x..$ 5 A 192.0.2.$", "bad-owner 1:15"),
        (b"$GENERATE 1-9 x$ 5 TXT \"( $\"", "parenthesis-open 1:24"),
        (b"$GENERATE 0-2000000 x$ 5 A 192.0.2.1", "zone-too-large 1:11"),
    ] {
        assert_eq!(faults(text), [expected], "{}", String::from_utf8_lossy(text));
    }
    assert_eq!(records(b"$GENERATE 1-1 x$ 5 A 192.0.2.1").len(), 1);
}

/// Reads a zone of the root from one text, with the usual bounds.
fn read_in_one(octets: Vec<u8>) -> (Faults, Lines) {
    let mut files = Memory([(PathBuf::from("z/main"), octets)].into());
    let (mut sources, mut faults, mut records) = (Sources::default(), Faults::default(), Lines::default());
    let path = Path::new("z/main");
    read_zone(
        &mut files,
        MasterFile { path, origin: NameRef::ROOT, limits: Limits::default() },
        &Inline,
        &mut sources,
        &mut faults,
        &mut records,
    );
    (faults, records)
}

#[test]
fn a_hundred_thousand_records_stream_through() {
    let mut text = String::from("$TTL 300\n$ORIGIN big.example.\n");
    for number in 0..100_000 {
        writeln!(text, "host{number} 300 IN A 192.0.2.{}", number % 256).expect("a string takes all");
    }
    let (faults, records) = read_in_one(text.into_bytes());
    assert!(records.records.iter().all(|line| line.contains(" A c00002")));
    assert_eq!((records.records.len(), faults.error_count(), faults.warning_count()), (100_000, 0, 0));
}

#[test]
fn the_real_root_zones_have_no_faults() {
    let Some(folder) = std::env::var_os("FATED_ROOT_ZONES") else {
        eprintln!("SKIPPED: the_real_root_zones_have_no_faults: FATED_ROOT_ZONES names no folder");
        return;
    };
    for name in ["root-2017-signed.zone", "root-2026.zone"] {
        let octets = std::fs::read(Path::new(&folder).join(name)).expect("the zone is there");
        let line_count = octets.split(|octet| *octet == b'\n').filter(|l| !l.is_empty() && l[0] != b';').count();
        let (faults, records) = read_in_one(octets);
        let found: Vec<_> = faults.iter().take(3).collect();
        assert!(found.is_empty(), "{name}: {found:?}");
        assert_eq!(records.records.len(), line_count, "{name}: one record a line");
    }
}

/// Does work in parts in the odd order of somebody who has three parallelism.
struct ThreeThreads;

impl Executor for ThreeThreads {
    fn parallelism(&self) -> usize {
        3
    }

    fn run(&self, count: usize, work: &(dyn Fn(usize) + Sync)) {
        (0..count).rev().for_each(work);
    }
}

/// All that comes of reading: records with their positions, faults as they are kept, their numbers, files, and how many
/// parts were taken as they were read.
fn outcome(
    files: &[(&str, &[u8])],
    executor: &dyn Executor,
    part_bytes_min: usize,
) -> (Vec<String>, Vec<String>, usize) {
    outcome_within(files, executor, part_bytes_min, Limits::default())
}

/// The same within limits.
fn outcome_within(
    files: &[(&str, &[u8])],
    executor: &dyn Executor,
    part_bytes_min: usize,
    limits: Limits,
) -> (Vec<String>, Vec<String>, usize) {
    let mut memory = Memory(files.iter().map(|(path, octets)| (PathBuf::from(path), octets.to_vec())).collect());
    let (mut sources, mut faults, mut records) = (Sources::default(), Faults::default(), Lines::default());
    let state = State::new("example.".parse().expect("a name"));
    let mut reader =
        Reader::new(&mut memory, executor, &mut sources, &mut faults, &mut records, state, Budget::new(limits));
    reader.part_bytes_min = part_bytes_min;
    reader.read(Path::new("z/main"));
    let mut reported: Vec<String> = faults.iter().map(|fault| format!("{fault:?}")).collect();
    reported.push(format!("{} errors, {} warnings", faults.error_count(), faults.warning_count()));
    reported.extend(sources.paths().map(|path| path.display().to_string()));
    (records.records, reported, records.joined)
}

#[test]
fn parts_are_taken_as_they_were_read_unless_they_are_spoilt() {
    let mut text = String::from("$TTL 300\n");
    (0..200).for_each(|number| writeln!(text, "h{number} TXT (\n x )\n A 192.0.2.1").expect("a string takes all"));
    let whole = |text: &str| outcome(&[("z/main", text.as_bytes())], &Inline, 1);
    let parts = |text: &str| outcome(&[("z/main", text.as_bytes())], &ThreeThreads, 100);
    let (records, reported, joined) = parts(&text);
    assert!(records.len() == 400 && joined > 12, "{joined} parts");
    assert_eq!((records, reported), (whole(&text).0, whole(&text).1));
    let moved = text.replace("h100 ", "$ORIGIN Other.example.\nh100 ");
    let (records, reported, rejoined) = parts(&moved);
    assert!(rejoined > joined, "a second round begins with the other origin");
    assert_eq!((records, reported), (whole(&moved).0, whole(&moved).1));
    let faulty = text.replace("h100 ", "h100 5 A x\nh100 ");
    assert_eq!(parts(&faulty).2, joined - 1, "the part with the fault is read again");
}

proptest! {
    #[test]
    fn any_octets_are_read_without_panic(octets in proptest::collection::vec(any::<u8>(), 0..400)) {
        read(&[("z/main", &octets), ("z/b", b"x 5 A 192.0.2.1")]);
    }

    #[test]
    fn any_mix_of_zone_text_is_read_without_panic(
        words in proptest::collection::vec(
            proptest::sample::select(vec![
                "a", "@", " ", "\t", "\n", "\r\n", "(", ")", "\"", "\\", ";", "$", "5", "1h", "IN", "CH", "A", "MX",
                "TXT", "SVCB", "alpn=", "192.0.2.1", "$TTL ", "$ORIGIN ", "$INCLUDE b", "$GENERATE 1-3 ", "${0,3,n}",
                "\\#", "ff", "\\000", ".", "..", "$GENERATE 0-9 x$ 5 TXT \"", "\n", " ", "\u{FF}",
            ]),
            0..60,
        )
    ) {
        read(&[("z/main", words.concat().as_bytes()), ("z/b", b"x 5 A 192.0.2.1")]);
    }

    #[test]
    fn a_text_in_parts_is_read_as_one(
        lines in proptest::collection::vec(
            prop_oneof![
                20 => proptest::sample::select(vec![
                    "a 5 A 192.0.2.1", "b A 192.0.2.2", "C.d TXT \"x ; ( y\"", "e 7 TXT (x\n y ; z )\n\n z )",
                    "f MX 10 (", "x )", " A 192.0.2.3", " 9 A 192.0.2.4", "@ 5 NS ns", "", "; c ( \"", "   ",
                    "g.example. 1h IN AAAA 2001:db8::1", "i A 192.0.2.9", "h 5 TXT (\ni 5 A 192.0.2.5 )",
                    "\\( 5 TXT a\\",
                ]),
                2 => proptest::sample::select(vec![
                    "$ORIGIN sub", "$ORIGIN example.", "$ORIGIN EXAMPLE.", "$TTL 8", "$TTL 9", "$INCLUDE b",
                    "$INCLUDE b other", "$GENERATE 1-3 g$ A 192.0.2.$", "$INCLUDE main",
                ]),
                1 => proptest::sample::select(vec![
                    "a 5 A x", "b 5 TXT \"open", "c 5 TXT (", "d 5 TXT x )",
                    "$ORIGIN a..b", "$TTL x", "$FOO", " $TTL 5",
                    "a..b 5 A 192.0.2.1", "$GENERATE 1-3 g$ A 192.0.2.x", "\0",
                ]),
            ],
            0..80,
        ),
        newline in proptest::sample::select(vec!["\n", "\r\n"]),
        begins_with_mark in any::<bool>(),
        part_bytes_min in 1_usize..60,
        records_max in prop_oneof![1_u64..100, Just(1_000)],
    ) {
        let mark = if begins_with_mark { "\u{FEFF}" } else { "" };
        let main = format!("{mark}{}", lines.join("\n").replace('\n', newline));
        let included = "x A 192.0.2.6\n$TTL 77\n$ORIGIN other\nz 5 A 192.0.2.7\ny A 192.0.2.8\n".repeat(4);
        let files = [("z/main", main.as_bytes()), ("z/b", included.as_bytes())];
        let limits = Limits { records_max, ..Limits::default() };
        let (records, reported, _) = outcome_within(&files, &ThreeThreads, part_bytes_min, limits);
        let (all_records, all_reported, _) = outcome_within(&files, &Inline, part_bytes_min, limits);
        prop_assert_eq!(records, all_records);
        prop_assert_eq!(reported, all_reported);
    }
}
