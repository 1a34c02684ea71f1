//! Catalogs: what is taken, what is refused, and where that is said to stand.

use std::path::Path;

use super::*;
use crate::config::values::LossMax;
use crate::config::{Config, ConfigError, Overrides, parse};

/// Templates that catalogs name: with primaries and without.
const TEMPLATES: &str = "[[template]]\nname = \"fleet\"\nprimaries = [{ address = \"192.0.2.1\" }]\n\
    [[template]]\nname = \"open\"\n";
/// How many lines that are.
const TEMPLATE_LINES: usize = 5;

/// Reads a file that has, behind the templates, a catalog with these lines below its name.
fn config(lines: &str) -> Result<Config, ConfigError> {
    let text = format!("{TEMPLATES}[[catalog]]\nname = \"cat.test\"\n{lines}\n");
    parse(Path::new("etc/fated.toml"), &text, &Overrides::default())
}

#[test]
fn members_come_from_the_template_of_their_group() {
    let config = config(
        "template = \"fleet\"\nmember-template = \"fleet\"\ngroups = { \"a\" = \"fleet\" }\nloss-max = 3\n[[catalog]]\n\
         name = \"made.test\"\nproduce = true\nloss-max = \"10%\"",
    );
    let zones = config.expect("a good file").zones;
    let [catalog] = &zones.catalogs[..] else { panic!("{:?}", zones.catalogs) };
    assert_eq!((catalog.name.to_string().as_str(), catalog.loss_max), ("cat.test.", LossMax::Zones(3)));
    assert_eq!(catalog.members.primaries.len(), 1);
    assert!(catalog.knows(b"a") && !catalog.knows(b"b"));
    assert_eq!((zones.produced.len(), zones.produced[0].loss_max), (1, LossMax::Percent(10)));
}

#[test]
fn what_is_wrong_with_a_catalog_is_shown_where_it_stands() {
    let many: Vec<String> = (0..=GROUPS_MAX).map(|number| format!("\"g{number}\" = \"fleet\"")).collect();
    let many = format!("template = \"fleet\"\ngroups = {{ {} }}", many.join(", "));
    // Lines below the name, what is said, and where: the line among them (0 is the name's), and the column.
    for (lines, message, (line, column)) in [
        ("file = \"f\"", "nothing says where the members of the catalog cat.test. come from", (0, 8)),
        ("template = \"fleet\"\nfile = \"f\"", "the zone cat.test. has both `file` and `primaries`", (2, 8)),
        ("template = \"no\"", "`catalog.template` is \"no\", which no [[template]] is called", (1, 12)),
        (
            "template = \"fleet\"\nmember-template = \"no\"",
            "`catalog.member-template` is \"no\", which no [[template]] is called",
            (2, 19),
        ),
        (
            "template = \"fleet\"\nmember-template = \"open\"",
            "`catalog.member-template` is \"open\", a template without `primaries`",
            (2, 19),
        ),
        (
            "template = \"fleet\"\ngroups = { \"g\" = \"open\" }",
            "`catalog.groups` is \"open\", a template without `primaries`",
            (2, 18),
        ),
        ("template = \"fleet\"\ngroups = [\"g\"]", "`catalog.groups`: invalid type", (2, 10)),
        (&many, "`catalog.groups` is 1001 groups, but it must be at most 1000 groups", (2, 10)),
        ("template = \"fleet\"\nloss-max = \"101%\"", "`catalog.loss-max` is \"101%\"", (2, 12)),
        ("produce = \"yes\"", "`catalog.produce`: invalid type", (1, 11)),
        (
            "produce = true\nfile = \"f\"",
            "the catalog cat.test. is made here, and yet it or its members come from elsewhere",
            (0, 8),
        ),
        ("produce = true\ntemplate = \"fleet\"", "come from elsewhere", (0, 8)),
        ("produce = true\ncatalog = \"cat.test\"", "can't be listed in the catalog cat.test.", (0, 8)),
        (
            "produce = true\n[[zone]]\nname = \"z\"\nfile = \"f\"\ncatalog = \"other.test\"",
            "`zone.catalog` is \"other.test\", which no [[catalog]] with `produce = true` is called",
            (5, 11),
        ),
        (
            "produce = true\n[[zone]]\nname = \"z\"\nfile = \"f\"\ngroup = \"g\"",
            "`zone.group` stands without a `catalog`",
            (5, 9),
        ),
        (
            "produce = true\n[[catalog]]\nname = \"cat.test\"\nproduce = true",
            "the catalog cat.test. is named twice",
            (3, 8),
        ),
        ("template = \"fleet\"\nlossmax = 1", "unknown key `catalog.lossmax`", (2, 1)),
    ] {
        let shown = config(lines).expect_err(lines).to_string();
        let place = format!("etc/fated.toml:{}:{column}", TEMPLATE_LINES + 2 + line);
        assert!(shown.contains(message) && shown.contains(&place), "{lines}: {place}: {shown}");
    }
}
