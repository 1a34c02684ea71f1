//! Random small zones, as a model and as text, and random names near what is in them.

use std::collections::BTreeSet;
use std::fmt::Write;

use proptest::collection::vec;
use proptest::prelude::*;

use crate::model::{Content, Labels, Model, is_at_or_below};

/// The zone's name.
pub(crate) const APEX: &str = "test.";
/// The name of another zone that is served beside it.
pub(crate) const NEIGHBOUR: &str = "elsewhere.";
/// The TTL of every record.
const TTL: u32 = 300;
/// The SOA's MINIMUM.
const MINIMUM: u32 = 60;

/// What one name is to be.
#[derive(Clone, Debug)]
enum Kind {
    Plain(Vec<Content>),
    Alias(Labels),
    Redirection(Labels),
    Cut(Vec<Labels>),
}

/// The labels of a name.
pub(crate) fn labels(text: &str) -> Labels {
    text.trim_end_matches('.').split('.').map(str::to_owned).collect()
}

/// A name in the zone of up to four labels above the apex, out of few labels, so that names meet.
pub(crate) fn name_inside() -> impl Strategy<Value = Labels> {
    let label = prop_oneof![3 => Just("a"), 3 => Just("b"), 1 => Just("c"), 2 => Just("*")];
    vec(label, 0..=4).prop_map(|front| front.into_iter().map(str::to_owned).chain([labels(APEX).remove(0)]).collect())
}

/// A name that may also be outside, or too long for what a DNAME makes of it.
pub(crate) fn name_anywhere() -> impl Strategy<Value = Labels> {
    prop_oneof![
        12 => name_inside(),
        1 => Just(labels("a.elsewhere.")),
        1 => (name_inside(), 1_usize..3).prop_map(|(name, count)| {
            std::iter::repeat_n("x".repeat(63), count).chain(name).collect()
        }),
    ]
}

fn content() -> impl Strategy<Value = Content> {
    prop_oneof![
        any::<u8>().prop_map(Content::A),
        any::<u8>().prop_map(Content::Aaaa),
        name_anywhere().prop_map(Content::Mx),
    ]
}

fn kind() -> impl Strategy<Value = Kind> {
    prop_oneof![
        4 => vec(content(), 1..4).prop_map(Kind::Plain),
        2 => name_anywhere().prop_map(Kind::Alias),
        1 => name_anywhere().prop_map(Kind::Redirection),
        2 => vec(name_anywhere(), 1..3).prop_map(Kind::Cut),
    ]
}

/// A zone that has no errors: only one kind of thing at a name, nothing below a DNAME, no cut or DNAME at an asterisk.
pub(crate) fn zone() -> impl Strategy<Value = Model> {
    vec((name_inside(), kind()), 0..14).prop_map(|names| {
        let apex = labels(APEX);
        let mut model = Model { apex: apex.clone(), ttl: TTL, negative_ttl: MINIMUM, records: Default::default() };
        model.records.insert(apex.clone(), BTreeSet::from([Content::Soa, Content::Ns(labels("ns.elsewhere."))]));
        let mut redirections: Vec<Labels> = Vec::new();
        for (name, kind) in names {
            let is_taken = model.records.contains_key(&name);
            let is_special = matches!(kind, Kind::Redirection(_) | Kind::Cut(_));
            let is_below = redirections.iter().any(|owner| name != *owner && is_at_or_below(&name, owner));
            let is_above = model.records.keys().any(|owner| *owner != name && is_at_or_below(owner, &name));
            if is_below || (is_special && name[0] == "*") || (is_above && matches!(kind, Kind::Redirection(_))) {
                continue;
            }
            let contents = match kind {
                Kind::Plain(contents) if !is_taken || name == apex => contents,
                _ if is_taken => continue,
                Kind::Plain(contents) => contents,
                Kind::Alias(target) => vec![Content::Cname(target)],
                Kind::Cut(targets) => targets.into_iter().map(Content::Ns).collect(),
                Kind::Redirection(target) => {
                    redirections.push(name.clone());
                    vec![Content::Dname(target)]
                }
            };
            model.records.entry(name).or_default().extend(contents);
        }
        model
    })
}

/// The zone as a file.
pub(crate) fn text(model: &Model) -> String {
    let mut text = format!("$TTL {TTL}\n");
    for (owner, contents) in &model.records {
        for content in contents {
            let rdata = match content {
                Content::A(octet) => format!("A 192.0.2.{octet}"),
                Content::Ns(target) => format!("NS {}", absolute(target)),
                Content::Cname(target) => format!("CNAME {}", absolute(target)),
                Content::Soa => format!("SOA ns.elsewhere. admin.elsewhere. 1 3600 600 86400 {MINIMUM}"),
                Content::Mx(target) => format!("MX 10 {}", absolute(target)),
                Content::Aaaa(octet) => format!("AAAA 2001:db8::{octet:x}"),
                Content::Dname(target) => format!("DNAME {}", absolute(target)),
            };
            writeln!(text, "{} IN {rdata}", absolute(owner)).expect("a String takes everything");
        }
    }
    text
}

/// The other zone as a file: it has an answer for every name.
pub(crate) fn neighbour() -> String {
    format!(
        "$TTL {TTL}\n@ SOA ns admin 1 3600 600 86400 {MINIMUM}\n@ NS ns\n\
         ns A 192.0.2.1\n* A 192.0.2.2\n* AAAA 2001:db8::2\n"
    )
}

/// A name as text.
pub(crate) fn absolute(name: &Labels) -> String {
    format!("{}.", name.join("."))
}
