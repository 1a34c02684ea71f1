//! `docs/zone-files.md` against the code: fault codes, types and bounds are those that there are.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use fated::fault::FAULTS_MAX;
use fated::load::files::UNSIZED_BYTES_MAX;
use fated::wire::Type;
use fated::wire::message::MESSAGE_BYTES_MAX;
use fated::wire::name::{LABEL_BYTES_MAX, NAME_BYTES_MAX};
use fated::wire::rdata::{RDATA_BYTES_MAX, TextCause, parse};
use fated::zone::nsec3::ITERATIONS_MAX;
use fated::zonebuild::TYPES_MAX;
use fated::zonefile::{FALLBACK_TTL, INCLUDE_DEPTH_MAX, INCLUDES_MAX, Limits, REPEATED_OCTETS_MAX};

#[test]
fn the_page_lists_every_code_with_its_severity() {
    let source = [
        text("src/fault/code.rs"),
        text("src/fault/dnssec.rs"),
        text("src/fault/zonemd.rs"),
        text("src/fault/peer.rs"),
    ]
    .concat();
    let mut codes = BTreeMap::new();
    for (start, severity) in [("(Error, \"", "error"), ("(Warning, \"", "warning")] {
        for rest in source.split(start).skip(1) {
            let code = rest.split('"').next().unwrap_or_default();
            assert!(codes.insert(code.to_owned(), severity.to_owned()).is_none(), "{code} has two rows");
        }
    }
    for code in text("src/fault/cause.rs").split("=> \"").skip(1).filter_map(|rest| rest.split_once("\",\n")) {
        if !code.0.contains(' ') && code.0.contains('-') && !code.0.ends_with("-max") {
            assert!(codes.insert(code.0.to_owned(), "error".to_owned()).is_none(), "{} has two rows", code.0);
        }
    }
    let mut listed = BTreeMap::new();
    for row in rows(&section("### All codes")) {
        let code = row[0].trim_matches('`').to_owned();
        assert!(!row[2].is_empty(), "{code} has no meaning");
        assert!(listed.insert(code.clone(), row[1].clone()).is_none(), "{code} is listed twice");
    }
    assert!(codes.len() > 50, "the rows of the code were found");
    assert_eq!(listed, codes);
}

#[test]
fn the_page_lists_every_type_with_a_text_form() {
    let has_text_form = |rtype: &Type| {
        !rtype.is_meta()
            && rtype.mnemonic().is_some()
            && !matches!(parse(*rtype, &[], None, &mut Vec::new()), Err(error) if error.cause == TextCause::NoTextForm)
    };
    let known: BTreeSet<String> =
        (0..=u16::MAX).map(Type).filter(has_text_form).map(|rtype| rtype.to_string()).collect();
    let section = section("### Types");
    let (_, list) = section.split_once("With a text form:").expect("the list begins");
    let (list, _) = list.split_once('.').expect("the list ends");
    assert_eq!(list.split_whitespace().map(str::to_owned).collect::<BTreeSet<_>>(), known);
}

#[test]
fn the_bounds_of_the_page_are_those_of_the_code() {
    let Limits { octets_max, records_max, generate_steps_max } = Limits::default();
    let known = [
        ("`zone-octets-max`", octets_max.to_string()),
        ("`zone-records-max`", records_max.to_string()),
        ("`generate-steps-max`", generate_steps_max.to_string()),
        ("`UNSIZED_BYTES_MAX`", UNSIZED_BYTES_MAX.to_string()),
        ("`REPEATED_OCTETS_MAX`", REPEATED_OCTETS_MAX.to_string()),
        ("`INCLUDE_DEPTH_MAX`", INCLUDE_DEPTH_MAX.to_string()),
        ("`INCLUDES_MAX`", INCLUDES_MAX.to_string()),
        ("`WIDTH_MAX`", private("src/zonefile/generate.rs", "WIDTH_MAX")),
        ("`TEXT_BYTES_MAX`", private("src/zonefile/generate.rs", "TEXT_BYTES_MAX")),
        ("`ENTRY_WORDS_MAX`", private("src/zonefile/scan.rs", "ENTRY_WORDS_MAX")),
        ("`NAME_BYTES_MAX`, `LABEL_BYTES_MAX`", format!("{NAME_BYTES_MAX}, {LABEL_BYTES_MAX}")),
        ("`RDATA_BYTES_MAX`", RDATA_BYTES_MAX.to_string()),
        ("`MESSAGE_BYTES_MAX`", MESSAGE_BYTES_MAX.to_string()),
        ("`TYPES_MAX`", TYPES_MAX.to_string()),
        ("`ITERATIONS_MAX`", ITERATIONS_MAX.to_string()),
        ("`FAULTS_MAX`", FAULTS_MAX.to_string()),
        ("`FALLBACK_TTL`", FALLBACK_TTL.to_string()),
    ];
    let listed: Vec<(String, String)> =
        rows(&section("## Bounds")).into_iter().map(|row| (row[1].clone(), row[2].clone())).collect();
    assert_eq!(listed, known.map(|(name, value)| (name.to_owned(), value)));
}

/// A file of the project.
fn text(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).expect("the file is there")
}

/// The value of a constant that only its own file sees.
fn private(path: &str, name: &str) -> String {
    let source = text(path);
    let (_, behind) = source.split_once(&format!("const {name}: usize = ")).expect("the constant is there");
    behind.split(';').next().unwrap_or_default().replace('_', "")
}

/// What stands under a heading of the page.
fn section(heading: &str) -> String {
    let page = text("docs/zone-files.md");
    let (_, behind) = page.split_once(&format!("\n{heading}\n")).expect("the heading is there");
    behind.split("\n#").next().unwrap_or_default().to_owned()
}

/// The cells of a table's rows, heads left out.
fn rows(section: &str) -> Vec<Vec<String>> {
    let lines = section.lines().filter(|line| line.starts_with('|')).skip(2);
    lines.map(|line| line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect()).collect()
}
