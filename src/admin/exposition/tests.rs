//! The list of families, and the page in `docs/` that is held to it.

use super::*;

/// The rows of the tables of `docs/metrics.md`: name, type, labels, meaning.
fn documented() -> Vec<[String; 4]> {
    let page = include_str!("../../../docs/metrics.md");
    let rows = page.lines().filter(|line| line.starts_with("| `fated_"));
    rows.map(|row| {
        let cells: Vec<String> = row.trim_matches('|').split('|').map(|cell| cell.trim().replace('`', "")).collect();
        <[String; 4]>::try_from(cells).unwrap_or_else(|cells| panic!("not four cells: {cells:?}"))
    })
    .collect()
}

#[test]
fn the_page_in_docs_has_every_family_with_type_labels_and_meaning() {
    let described: Vec<[String; 4]> = FAMILIES
        .iter()
        .map(|family| {
            let (name, kind) = (family.name.to_owned(), family.kind.word().to_owned());
            [name, kind, family.labels.join(", "), family.help.to_owned()]
        })
        .collect();
    for (documented, described) in documented().iter().zip(&described) {
        assert_eq!(documented, described);
    }
    assert_eq!(documented().len(), described.len());
}

#[test]
fn what_is_not_described_is_printed_still() {
    let reading = |name, value| Reading { name, labels: vec![], value };
    let text = encode(vec![
        reading("fated_new_total", Value::Whole(u64::MAX)),
        reading("fated_uptime_seconds", Value::Whole(3)),
        reading("fated_other", Value::Real(0.5)),
    ]);
    let expected = "# HELP fated_uptime_seconds How long the server has been serving.\n\
                    # TYPE fated_uptime_seconds gauge\nfated_uptime_seconds 3\n\
                    # HELP fated_new Not described.\n# TYPE fated_new counter\nfated_new_total 18446744073709551615\n\
                    # HELP fated_other Not described.\n# TYPE fated_other gauge\nfated_other 0.5\n# EOF\n";
    let order = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(order(&text), order(expected));
}
