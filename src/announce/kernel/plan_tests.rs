//! Tables: what is wanted × what the kernel has → what is done; and that doing it leads to rest.

use super::*;

/// Reads a prefix.
fn net(text: &str) -> IpNet {
    text.parse().expect("a prefix")
}

/// A layout for these addresses over tun devices.
fn layout(addresses: &[&str], announce: &[&str], kernel_route: Option<KernelRoute>) -> Layout {
    let all = |texts: &[&str]| texts.iter().map(|text| net(text)).collect::<Vec<_>>();
    Layout::new(&all(addresses), &all(announce), kernel_route, Some(&SOURCES))
}

/// A kernel in which only what is always there is there.
fn bare(layout: &Layout) -> Kernel {
    Kernel { announcing: Link::Up, receiving: Link::Up, addresses: Vec::new(), routes: layout.standing_routes.clone() }
}

/// Wanted with this stance, freshness, and whether a renewal is due.
fn want(stance: Stance, freshness: Freshness, is_renewal_due: bool) -> Wanted {
    Wanted { stance, freshness, is_renewal_due }
}

/// Does to the kernel what an action does.
fn perform(kernel: &mut Kernel, action: &Action) {
    match action {
        Action::Up(Device::Announcing) => kernel.announcing = Link::Up,
        Action::Up(Device::Receiving) => kernel.receiving = Link::Up,
        Action::PutRoute(route) => {
            assert!(!kernel.routes.contains(route), "{route:?}");
            kernel.routes.push(*route);
        }
        Action::RemoveRoute(route) => kernel.routes.retain(|other| other != route),
        Action::PutAddress { net, is_renewal, .. } => {
            assert_eq!(kernel.has(*net), *is_renewal, "{net}");
            if !is_renewal {
                kernel.addresses.push(*net);
            }
        }
        Action::RemoveAddress { net, .. } => kernel.addresses.retain(|other| other != net),
    }
}

/// Plans and performs until there is nothing left; returns all that was done.
fn settle(layout: &Layout, wanted: &[Wanted], kernel: &mut Kernel) -> Vec<Action> {
    let mut done = Vec::new();
    // Once renewed, nothing is due.
    let mut wanted = wanted.to_vec();
    for _ in 0..ROUNDS_MAX {
        let actions = layout.plan(&wanted, kernel);
        if actions.is_empty() {
            return done;
        }
        actions.iter().for_each(|action| perform(kernel, action));
        wanted.iter_mut().for_each(|want| want.is_renewal_due = false);
        done.extend(actions);
    }
    panic!("it does not come to rest: {done:?}");
}

#[test]
fn one_address_by_stance_proof_and_what_stands() {
    use Freshness::{Fresh, Lapsed, Stale};
    use Stance::{Announce, Degrade, Withdraw};
    let layout = layout(&["192.0.2.53/32"], &[], None);
    let net = net("192.0.2.53/32");
    let add = vec![Action::PutAddress { index: 0, net, is_renewal: false }];
    let renew = vec![Action::PutAddress { index: 0, net, is_renewal: true }];
    let remove = vec![Action::RemoveAddress { index: 0, net }];
    for (stance, freshness, is_due, stands, expected) in [
        (Announce, Fresh, false, false, &add),
        (Announce, Fresh, true, false, &add),
        (Announce, Fresh, false, true, &vec![]),
        (Announce, Fresh, true, true, &renew),
        (Announce, Stale, true, false, &vec![]),
        (Announce, Stale, true, true, &vec![]),
        (Announce, Lapsed, false, false, &vec![]),
        (Announce, Lapsed, true, true, &remove),
        (Degrade, Fresh, false, false, &add),
        (Degrade, Fresh, true, true, &renew),
        (Degrade, Stale, true, true, &vec![]),
        (Degrade, Lapsed, false, true, &remove),
        (Withdraw, Fresh, true, false, &vec![]),
        (Withdraw, Fresh, true, true, &remove),
        (Withdraw, Stale, false, true, &remove),
        (Withdraw, Lapsed, false, true, &remove),
        (Withdraw, Lapsed, false, false, &vec![]),
    ] {
        let mut kernel = bare(&layout);
        kernel.addresses.extend(stands.then_some(net));
        let actions = layout.plan(&[want(stance, freshness, is_due)], &kernel);
        assert_eq!(&actions, expected, "{stance:?} {freshness:?} due {is_due} stands {stands}");
    }
}

#[test]
fn the_routes_that_are_always_there_are_there_whatever_the_stance() {
    let layout = layout(&["192.0.2.53/32", "2001:db8::53/128"], &[], None);
    let texts: Vec<String> = layout.standing_routes.iter().map(|route| route.prefix.to_string()).collect();
    assert_eq!(texts, ["192.0.2.53/32", "2001:db8::53/128", "192.0.0.100/32", "100::64/128"]);
    for stance in [Stance::Announce, Stance::Degrade, Stance::Withdraw] {
        let wanted = [want(stance, Freshness::Fresh, false); 2];
        for gone in &layout.standing_routes {
            let mut kernel = bare(&layout);
            settle(&layout, &wanted, &mut kernel);
            kernel.routes.retain(|route| route != gone);
            let actions = layout.plan(&wanted, &kernel);
            assert_eq!(actions, [Action::PutRoute(*gone)], "{stance:?}");
        }
    }
}

#[test]
fn probes_need_a_way_back_only_for_the_families_there_are_and_only_with_a_tun() {
    let count = |addresses: &[&str], is_tun: bool| {
        let addresses: Vec<IpNet> = addresses.iter().map(|text| net(text)).collect();
        let all = Layout::new(&addresses, &[], None, is_tun.then_some(&SOURCES[..])).standing_routes;
        all.iter().filter(|route| route.kind == Kind::Unicast).count()
    };
    assert_eq!(count(&["192.0.2.53/32"], true), 1);
    assert_eq!(count(&["2001:db8::1/128", "2001:db8::2/128"], true), 1);
    assert_eq!(count(&["192.0.2.53/32", "2001:db8::1/128"], true), 2);
    assert_eq!(count(&["192.0.2.53/32", "2001:db8::1/128"], false), 0);
}

#[test]
fn only_our_own_devices_are_set_up() {
    let mut layout = layout(&["192.0.2.53/32"], &[], None);
    let wanted = [want(Stance::Withdraw, Freshness::Fresh, false)];
    let mut kernel = bare(&layout);
    (kernel.announcing, kernel.receiving) = (Link::Down, Link::Down);
    assert_eq!(layout.plan(&wanted, &kernel), [Action::Up(Device::Announcing), Action::Up(Device::Receiving)]);
    layout.is_tun = false;
    assert_eq!(layout.plan(&wanted, &kernel), []);
}

#[test]
fn a_service_address_with_another_length_goes_and_strangers_stay() {
    let layout = layout(&["192.0.2.53/32"], &[], None);
    let (index, other) = (0, net("192.0.2.53/24"));
    for stance in [Stance::Announce, Stance::Withdraw] {
        let mut kernel = bare(&layout);
        kernel.addresses.extend([net("198.51.100.1/24"), other]);
        let done = settle(&layout, &[want(stance, Freshness::Fresh, false)], &mut kernel);
        assert!(done.contains(&Action::RemoveAddress { index, net: other }), "{done:?}");
        assert!(kernel.has(net("198.51.100.1/24")) && !kernel.has(other));
        assert_eq!(kernel.has(net("192.0.2.53/32")), stance == Stance::Announce);
    }
}

#[test]
fn the_longest_covering_prefix_of_the_family_lends_its_length() {
    let announce = [net("192.0.2.0/24"), net("192.0.0.0/16"), net("::/0")];
    for (address, expected) in [
        ("192.0.2.53/32", "192.0.2.53/24"),
        ("192.0.3.53/32", "192.0.3.53/16"),
        ("198.51.100.1/32", "198.51.100.1/32"),
        ("2001:db8::53/128", "2001:db8::53/0"),
    ] {
        assert_eq!(stands_as(net(address), &announce), net(expected));
    }
}

#[test]
fn proofs_age() {
    let (age_max, millis) = (Duration::from_millis(350), Duration::from_millis);
    for (age, expected) in [
        (None, Freshness::Lapsed),
        (Some(millis(0)), Freshness::Fresh),
        (Some(millis(350)), Freshness::Fresh),
        (Some(millis(351)), Freshness::Stale),
        (Some(millis(1000)), Freshness::Stale),
        (Some(millis(1001)), Freshness::Lapsed),
    ] {
        assert_eq!(freshness(age, age_max, PROOF_LAPSES), expected, "{age:?}");
    }
}

/// The kernel routes that stand: prefix and metric.
fn kernel_routes(kernel: &Kernel) -> Vec<(String, u32)> {
    let ours = kernel.routes.iter().filter(|route| route.device == Device::Announcing);
    let mut all: Vec<_> = ours.map(|route| (route.prefix.to_string(), route.metric)).collect();
    all.sort();
    all
}

#[test]
fn a_kernel_route_stands_while_an_address_of_its_prefix_does() {
    use Stance::{Announce, Degrade, Withdraw};
    let asked = KernelRoute { table: 254, metric: 10 };
    let addresses = ["192.0.2.1/32", "192.0.2.2/32", "2001:db8::1/128"];
    let layout = layout(&addresses, &["192.0.2.0/24"], Some(asked));
    let four = |metric| ("192.0.2.0/24".to_owned(), metric);
    let six = |metric| ("2001:db8::1/128".to_owned(), metric);
    let mut kernel = bare(&layout);
    // Each row follows the one before in the same kernel.
    for (stances, expected) in [
        ([Withdraw, Withdraw, Withdraw], vec![]),
        ([Announce, Withdraw, Announce], vec![four(10), six(10)]),
        ([Announce, Announce, Degrade], vec![four(10), six(1010)]),
        ([Withdraw, Announce, Announce], vec![four(10), six(10)]),
        ([Degrade, Announce, Withdraw], vec![four(10)]),
        ([Degrade, Degrade, Withdraw], vec![four(1010)]),
        ([Withdraw, Withdraw, Announce], vec![six(10)]),
        ([Withdraw, Withdraw, Withdraw], vec![]),
    ] {
        let wanted = stances.map(|stance| want(stance, Freshness::Fresh, false));
        settle(&layout, &wanted, &mut kernel);
        assert_eq!(kernel_routes(&kernel), expected, "{stances:?}");
    }
}

#[test]
fn a_kernel_route_goes_before_the_last_address_and_takes_its_new_shape_before_the_old_one_goes() {
    let layout = layout(&["192.0.2.1/32"], &[], Some(KernelRoute { table: 254, metric: 1 }));
    let mut kernel = bare(&layout);
    settle(&layout, &[want(Stance::Announce, Freshness::Fresh, false)], &mut kernel);
    let actions = layout.plan(&[want(Stance::Degrade, Freshness::Fresh, false)], &kernel);
    let is_changed =
        matches!(actions[..], [Action::PutRoute(new), Action::RemoveRoute(old)] if new.metric > old.metric);
    assert!(is_changed, "{actions:?}");
    let actions = layout.plan(&[want(Stance::Withdraw, Freshness::Fresh, false)], &kernel);
    let is_gone = matches!(actions[..], [Action::RemoveRoute(_), Action::RemoveAddress { index: 0, .. }]);
    assert!(is_gone, "{actions:?}");
}

#[test]
fn what_carries_our_number_and_is_not_wanted_goes_from_our_own_devices() {
    let mut layout = layout(&["192.0.2.1/32"], &[], None);
    let mut kernel = bare(&layout);
    let stray = Route { prefix: net("192.0.2.9/32"), ..layout.standing_routes[0] };
    kernel.routes.push(stray);
    let actions = layout.plan(&[want(Stance::Withdraw, Freshness::Lapsed, false)], &kernel);
    assert_eq!(actions, [Action::RemoveRoute(stray)]);
    layout.is_tun = false;
    assert_eq!(
        layout.plan(&[want(Stance::Withdraw, Freshness::Lapsed, false)], &kernel),
        [],
        "another process's, on `lo`"
    );
}

/// More rounds than any table needs.
const ROUNDS_MAX: usize = 6;
