//! The tables of all keys for `docs/running.md`.

use std::fmt::Write;

use super::rows::{ALL, REPEATED};

/// The keys as Markdown: a table for each section, in the order of the rows.
#[must_use]
pub fn reference() -> String {
    let (mut text, mut section) = (String::new(), "");
    for row in ALL {
        let (outer, key) = row.path().rsplit_once('.').unwrap_or_default();
        if outer != section {
            section = outer;
            let title = if REPEATED.contains(&section) { format!("`[[{section}]]`") } else { format!("`[{section}]`") };
            let _ = write!(text, "\n| {title} | values | default | |\n|---|---|---|---|\n");
        }
        let default = Some(row.values().default_shown()).filter(|default| !default.is_empty());
        let default = default.unwrap_or_else(|| "must be given".to_owned());
        let _ = writeln!(text, "| `{key}` | {} | {default} | {} |", row.values().shown(), row.help());
    }
    text
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::rows::{CATALOG, COMPANION, KEY, NEIGHBOR, TEMPLATE};
    use crate::config::{Config, Overrides, parse};

    /// What stands around the tables.
    const MARKS: [&str; 2] = ["<!-- keys: `FATED_WRITE_DOCS=1 cargo test --lib reference` -->\n", "\n<!-- /keys -->"];

    #[test]
    fn the_page_has_the_tables_of_the_rows() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/running.md");
        let page = std::fs::read_to_string(&path).expect("the page is there");
        let (before, rest) = page.split_once(MARKS[0]).expect("the tables have a beginning");
        let (tables, behind) = rest.split_once(MARKS[1]).expect("the tables have an end");
        if std::env::var_os("FATED_WRITE_DOCS").is_some() {
            std::fs::write(&path, [before, MARKS[0], &reference(), MARKS[1], behind].concat()).expect("can be written");
            return;
        }
        let same = tables.lines().zip(reference().lines().map(str::to_owned)).find(|(page, row)| *page != row.as_str());
        assert!(
            tables == reference(),
            "docs/running.md and the rows differ, first in {same:?}; see the mark in the page"
        );
    }

    /// The configuration of a text beside what each section needs.
    fn config(text: &str) -> Config {
        let overrides = Overrides { zones_dir: Some("zones".into()), workers: Some(4), ..Overrides::default() };
        let needed = "anycast.addresses = [\"192.0.2.53\"]\nanycast.lease = \"off\"\n";
        let needed = if text.contains("lease") { "anycast.addresses = [\"192.0.2.53\"]\n" } else { needed };
        parse(Path::new("f"), &format!("{needed}{text}\n"), &overrides)
            .unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    #[test]
    fn what_the_tables_call_the_default_is_what_nothing_written_means() {
        let literal = |default: &str| default.strip_prefix('`')?.strip_suffix('`').map(str::to_owned);
        let mut checked = 0;
        for row in ALL {
            let Some(default) = literal(&row.values().default_shown()) else { continue };
            let section = row.path().rsplit_once('.').expect("a section").0;
            let (with, without) = match row.path() {
                "anycast.lease" => (format!("anycast.lease = {default}"), "# lease".to_owned()),
                path if section == "anycast.kernel-route" => {
                    (format!("{path} = {default}"), "anycast.kernel-route = {}".to_owned())
                }
                path if section == KEY => {
                    let name = path.rsplit_once('.').expect("a section").1;
                    let without = "[[key]]\nname = \"k\"\nalgorithm = \"hmac-sha256\"\nsecret = \"c2VjcmV0\"\n";
                    (format!("{without}{name} = {default}"), without.to_owned())
                }
                path if section == CATALOG => {
                    let name = path.rsplit_once('.').expect("a section").1;
                    let without = "[[template]]\nname = \"m\"\nprimaries = [{ address = \"192.0.2.1\" }]\n\
                        [[catalog]]\nname = \"c\"\ntemplate = \"m\"\n";
                    (format!("{without}{name} = {default}"), without.to_owned())
                }
                path if section == COMPANION => {
                    let name = path.rsplit_once('.').expect("a section").1;
                    let probe = match name {
                        "query" => "dns",
                        "principal" => "kerberos",
                        _ => "http",
                    };
                    let realm = if probe == "kerberos" { "realm = \"R\"\n" } else { "" };
                    let head = "# lease\n[[companion]]\nname = \"c\"\naddresses = [\"192.0.2.80\"]\n";
                    let without = format!("{head}probe = \"{probe}\"\n{realm}");
                    (format!("{without}{name} = {default}"), without)
                }
                path if section == NEIGHBOR => {
                    let name = path.rsplit_once('.').expect("a section").1;
                    let without = "[bgp]\nlocal-as = 1\n[[bgp.neighbor]]\naddress = \"10.0.0.1\"\nremote-as = 2\n";
                    (format!("{without}{name} = {default}"), without.to_owned())
                }
                path if section == "bgp" => {
                    let more = "\n[[bgp.neighbor]]\naddress = \"10.0.0.1\"\nremote-as = 2\nlocal-as = 1";
                    (format!("{path} = {default}{more}"), more.to_owned())
                }
                path if section == TEMPLATE => {
                    let name = path.rsplit_once('.').expect("a section").1;
                    (format!("[[template]]\nname = \"default\"\n{name} = {default}"), String::new())
                }
                path => (format!("{path} = {default}"), String::new()),
            };
            assert_eq!(format!("{:?}", config(&with)), format!("{:?}", config(&without)), "{with}");
            checked += 1;
        }
        assert!(checked > 25, "only {checked} defaults were looked at");
    }
}
