//! A set of zones against a plain model: names in a map, and the longest that matches.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use proptest::prelude::*;

use super::*;
use crate::wire::Name;
use crate::zone::tests::zone_of;

/// Names of zones: some below others, and as many beside each other as take the table over several branches.
static NAMES: LazyLock<Vec<Name>> = LazyLock::new(|| {
    let nested = [".", "a.", "b.a.", "c.b.a.", "f.e.d.c.b.a.", "x.a.", "B.", "a.b.", "z.y.x.b."].map(str::to_owned);
    let beside = (0..600).map(|number| format!("z{number}.many."));
    nested.into_iter().chain(beside).map(|text| text.parse().expect("a name")).collect()
});

/// Two zones of each name.
static ZONES: LazyLock<Vec<[Arc<Zone>; 2]>> = LazyLock::new(|| {
    let zone = |name: &Name, text: &str| Arc::new(zone_of(&name.to_string(), text));
    NAMES.iter().map(|name| [zone(name, ""), zone(name, "www A 192.0.2.1\n")]).collect()
});

/// What a model knows of a name: which of the two zones is served, or that none can be.
type Model = BTreeMap<usize, Option<usize>>;

/// Checks a set against its model.
fn assert_same(set: &ZoneSet, model: &Model) {
    let served: Vec<usize> = model.iter().filter_map(|(at, state)| state.map(|_| *at)).collect();
    assert_eq!((set.len(), set.is_empty()), (served.len(), served.is_empty()));
    assert_eq!(set.broken_count(), model.len() - served.len());
    let zones = || model.iter().filter_map(|(at, state)| Some(&ZONES[*at][(*state)?]));
    assert_eq!(set.name_count(), zones().map(|zone| zone.name_count()).sum::<usize>());
    let mut sorted: Vec<_> = zones().collect();
    sorted.sort_by_key(|zone| zone.apex());
    assert!(set.iter().zip(&sorted).all(|(kept, expected)| Arc::ptr_eq(kept, expected)), "in canonical order");
    assert_eq!(set.only().is_some(), (model.len(), served.len()) == (1, 1));
    let turns: Vec<_> = (0..model.len()).filter_map(|turn| Some(set.at_or_behind(turn)?.apex())).collect();
    assert!(served.is_empty() || sorted.iter().all(|zone| turns.contains(&zone.apex())), "each has its turn");
    let asked = ["w.", "w.w."].iter().flat_map(|prefix| NAMES.iter().step_by(7).map(move |name| (*prefix, name)));
    let asked = asked.map(|(prefix, name)| format!("{prefix}{name}").replace("..", "."));
    let asked = asked.map(|text| text.parse().expect("a name")).chain(NAMES.iter().copied());
    let mut last = None;
    for name in asked {
        let covers = |at: &&usize| name == NAMES[**at] || name.as_ref().is_below(NAMES[**at].as_ref());
        let deepest = model.keys().filter(covers).max_by_key(|at| NAMES[**at].as_ref().label_count());
        let lookup = LookupName::new(name.as_ref());
        let found = set.search(&lookup, usize::MAX);
        assert_eq!(found.map(|apex| apex.name()), deepest.map(|at| NAMES[*at].as_ref()), "{name}");
        let expected = deepest.and_then(|at| Some(&ZONES[*at][model[at]?]));
        assert!(found.and_then(Apex::zone).map(Arc::as_ptr) == expected.map(Arc::as_ptr), "{name}");
        // Whatever was found before: that shows whether each apex knows if another is below it.
        last = set.locate(&lookup, last);
        assert_eq!(last.map(Apex::name), found.map(Apex::name), "{name}");
        if let Some(apex) = found {
            assert!(set.slots(&lookup).count() > 0, "what is found is read ahead");
            let is_above = |at: &usize| NAMES[*at].as_ref().is_below(apex.name());
            assert_eq!(apex.is_above, model.keys().any(is_above), "{}", apex.name());
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn a_set_finds_what_a_plain_map_does_through_any_changes_and_older_versions_stay(
        steps in proptest::collection::vec((0_u8..6, any::<prop::sample::Index>(), any::<bool>()), 1..1500),
    ) {
        let (mut set, mut model) = (ZoneSet::with_seed(ZONES[0][0].seed()), Model::new());
        let mut versions = Vec::new();
        let count = steps.len();
        for (number, (step, index, is_nested)) in steps.into_iter().enumerate() {
            // The nested names often, since what is below what matters most.
            let at = index.index(if is_nested { 9 } else { NAMES.len() });
            match step {
                0 => {
                    set.remove(NAMES[at].as_ref());
                    model.remove(&at);
                }
                1 => {
                    set.put_broken(NAMES[at].as_ref().into());
                    model.insert(at, None);
                }
                version => {
                    let version = usize::from(version % 2);
                    set.put(Arc::clone(&ZONES[at][version]));
                    model.insert(at, Some(version));
                }
            }
            if number * 4 % count < 4 {
                versions.push((set.clone(), model.clone()));
            }
        }
        versions.push((set, model));
        versions.iter().for_each(|(set, model)| assert_same(set, model));
    }
}

#[test]
fn many_zones_come_and_go_and_leave_nothing_behind() {
    let seed = ZONES[0][0].seed();
    let mut set = ZoneSet::with_seed(seed);
    let mut model = Model::new();
    for at in 0..NAMES.len() {
        set.put(Arc::clone(&ZONES[at][0]));
        model.insert(at, Some(0));
    }
    assert_same(&set, &model);
    for name in NAMES.iter() {
        set.remove(name.as_ref());
        set.remove(name.as_ref());
    }
    assert_same(&set, &Model::new());
    assert_eq!(set.depths, 0);
}
