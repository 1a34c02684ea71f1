//! Tables in fake time: what is published, what counts as somebody else's doing, and when a withdrawal is overdue.

use super::*;
use crate::announce::kernel::plan::SOURCES;

/// Milliseconds since the origin.
fn at(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// A record of one address, its layout, and a kernel that has what is always there.
struct Case {
    layout: Layout,
    record: RouteRecord,
    kernel: Kernel,
    net: IpNet,
}

impl Case {
    /// Opens one with this lease.
    fn new(lease: Option<Duration>) -> Self {
        let net: IpNet = "192.0.2.53/32".parse().expect("an address");
        let layout = Layout::new(&[net], &[], None, Some(&SOURCES));
        let times = Times { lease, proof_age_max: at(350), renew_every: at(200), withdrawn_within: at(1000) };
        let record = RouteRecord::new(&[net], &layout, times, false);
        let routes = layout.standing_routes.clone();
        let kernel = Kernel { announcing: Link::Up, receiving: Link::Up, addresses: Vec::new(), routes };
        Self { layout, record, kernel, net }
    }

    /// One that announced at 100 ms what was wanted at 0.
    fn announced(lease: Option<Duration>) -> Self {
        let mut case = Self::new(lease);
        case.record.want(&[(Stance::Announce, at(0))]);
        case.observe(50);
        case.put(90, false);
        case.kernel.addresses.push(case.net);
        assert_eq!(case.observe(100), []);
        case
    }

    /// Reads the kernel.
    fn observe(&mut self, now: u64) -> Vec<Interference> {
        self.record.observe(at(now), &self.kernel)
    }

    /// The address was put, well.
    fn put(&mut self, now: u64, is_renewal: bool) {
        self.record.done(at(now), &Action::PutAddress { index: 0, net: self.net, is_renewal }, None);
    }

    /// The address was removed, or not.
    fn remove(&mut self, now: u64, failure: Option<&str>) {
        self.record.done(at(now), &Action::RemoveAddress { index: 0, net: self.net }, failure.map(str::to_owned));
    }

    /// What is published.
    fn seen(&self) -> Seen {
        self.record.seen(true, 0)
    }
}

#[test]
fn announcing_and_withdrawing_are_timed_from_the_wish_to_the_reading() {
    let mut case = Case::announced(Some(at(1000)));
    let seen = case.seen().addresses.remove(0);
    assert_eq!((seen.is_announced, seen.since, seen.announce_took), (true, at(100), Some(at(100))));
    assert_eq!(seen.lease, LeaseState::Held(at(90)));
    case.record.want(&[(Stance::Withdraw, at(500))]);
    case.remove(501, None);
    case.kernel.addresses.clear();
    assert_eq!(case.observe(507), [], "it was ours");
    let seen = case.seen().addresses.remove(0);
    assert_eq!((seen.is_announced, seen.since, seen.withdraw_took), (false, at(507), Some(at(7))));
    assert_eq!(seen.lease, LeaseState::Absent);
    // Degrading an announced address is no new announcement.
    let mut case = Case::announced(Some(at(1000)));
    case.record.want(&[(Stance::Degrade, at(800))]);
    case.observe(900);
    assert_eq!(case.seen().addresses[0].announce_took, Some(at(100)));
}

#[test]
fn what_is_missing_was_removed_by_us_by_the_lease_or_by_somebody() {
    for (lease, renewed, missing, expected) in [
        (Some(at(1000)), 600, 900, "removed"),
        (Some(at(1000)), 600, 1599, "removed"),
        (Some(at(1000)), 600, 1600, "lapsed"),
        (None, 600, 9000, "removed"),
    ] {
        let mut case = Case::announced(lease);
        case.put(renewed, true);
        case.kernel.addresses.clear();
        let found = case.observe(missing);
        let counters = case.seen().counters;
        let (interference, counts) = match expected {
            "lapsed" => (Interference::Lapsed(case.net), (0, 1)),
            _ => (Interference::AddressRemoved(case.net), (1, 0)),
        };
        assert_eq!(found, [interference], "{lease:?} {renewed} {missing}");
        assert_eq!((counters.addresses_removed, counters.leases_lapsed), counts);
        assert_eq!(case.seen().addresses[0].lapses, counts.1);
        assert_eq!(case.observe(missing + 1), [], "it is reported once");
    }
}

#[test]
fn a_removal_that_failed_is_not_taken_for_ours() {
    let mut case = Case::announced(Some(at(1000)));
    case.record.want(&[(Stance::Withdraw, at(200))]);
    case.remove(210, Some("refused"));
    assert_eq!(case.seen().addresses[0].error, Some((at(210), "refused".into())));
    assert_eq!(case.seen().counters.requests_failed, 1);
    case.kernel.addresses.clear();
    assert_eq!(case.observe(300), [Interference::AddressRemoved(case.net)]);
}

#[test]
fn a_withdrawal_is_overdue_after_its_time_and_enough_attempts() {
    for (attempts, now, is_overdue) in
        [(0, 5000, false), (1, 5000, false), (2, 1199, false), (2, 1200, false), (2, 1201, true), (9, 1150, false)]
    {
        let mut case = Case::announced(Some(at(1000)));
        case.record.want(&[(Stance::Withdraw, at(200))]);
        (0..attempts).for_each(|_| case.remove(210, Some("refused")));
        assert_eq!(case.record.overdue(at(now)), is_overdue.then_some(case.net), "{attempts} {now}");
        case.kernel.addresses.clear();
        case.observe(now);
        assert_eq!(case.record.overdue(at(9999)), None, "it is done");
        assert!(case.record.is_withdrawn());
    }
}

#[test]
fn a_kernel_that_cannot_be_read_makes_a_withdrawal_overdue_too() {
    let mut case = Case::announced(Some(at(1000)));
    case.record.unread(at(150), "no reply".into());
    case.record.unread(at(160), "no reply".into());
    assert_eq!(case.record.overdue(at(9999)), None, "nothing is to be withdrawn");
    case.record.want(&[(Stance::Withdraw, at(200))]);
    case.record.unread(at(210), "no reply".into());
    assert_eq!(case.record.overdue(at(1300)), None);
    case.record.unread(at(1300), "no reply".into());
    assert_eq!(case.record.overdue(at(1300)), Some(case.net));
    assert_eq!(case.seen().error, Some((at(1300), "no reply".into())));
}

#[test]
fn a_wish_that_changes_its_mind_is_not_overdue() {
    let mut case = Case::announced(Some(at(1000)));
    case.record.want(&[(Stance::Withdraw, at(200))]);
    (0..2).for_each(|_| case.remove(210, Some("refused")));
    case.record.want(&[(Stance::Announce, at(300))]);
    assert_eq!(case.record.overdue(at(9999)), None);
    case.record.want(&[(Stance::Withdraw, at(9000))]);
    (0..2).for_each(|_| case.remove(9010, Some("refused")));
    assert_eq!(case.record.overdue(at(9999)), None, "the second wish has its own second");
    assert_eq!(case.record.overdue(at(10001)), Some(case.net));
}

#[test]
fn renewals_are_due_by_time_and_refused_once_each() {
    let mut case = Case::announced(Some(at(1000)));
    let mut due = |now, proof: Option<u64>| {
        let wanted = case.record.wanted(at(now), std::iter::once(proof.map(at)));
        (wanted[0].is_renewal_due, wanted[0].freshness, case.seen().counters.renewals_refused)
    };
    assert_eq!(due(289, Some(280)), (false, Freshness::Fresh, 0));
    assert_eq!(due(290, Some(280)), (true, Freshness::Fresh, 0));
    assert_eq!(due(700, Some(280)), (true, Freshness::Stale, 1));
    assert_eq!(due(710, Some(280)), (true, Freshness::Stale, 1));
    assert_eq!(
        due(720, Some(725)),
        (true, Freshness::Fresh, 1),
        "a proof may be younger than the reading of the clock"
    );
    assert_eq!(case.seen().addresses[0].lease, LeaseState::Unproven(at(90)));
    case.put(730, true);
    assert_eq!(case.seen().addresses[0].lease, LeaseState::Held(at(730)));
    assert_eq!(case.seen().counters.renewals, 1);
    let mut off = Case::announced(None);
    let wanted = off.record.wanted(at(9000), std::iter::once(Some(at(9000))));
    assert!(!wanted[0].is_renewal_due);
    assert_eq!(off.seen().addresses[0].lease, LeaseState::Off);
}

#[test]
fn routes_and_links_that_somebody_took_are_counted_once() {
    let mut case = Case::announced(Some(at(1000)));
    let gone = case.kernel.routes.remove(0);
    assert_eq!(case.observe(110), [Interference::RouteRemoved(gone.prefix)]);
    assert_eq!(case.observe(120), []);
    case.kernel.routes.push(gone);
    case.observe(130);
    case.record.done(at(140), &Action::RemoveRoute(gone), None);
    case.kernel.routes.retain(|route| *route != gone);
    assert_eq!(case.observe(150), [], "it was ours");
    case.kernel.receiving = Link::Down;
    assert_eq!(case.observe(160), [Interference::LinkDown(Device::Receiving)]);
    assert_eq!(case.observe(170), []);
    let counters = case.seen().counters;
    assert_eq!((counters.routes_removed, counters.links_downed), (1, 1));
    assert_eq!(case.layout.stands, [case.net]);
}

#[test]
fn a_kernel_route_that_outlives_its_address_still_announces() {
    let mut case = Case::announced(Some(at(1000)));
    let route = Route { prefix: case.net, kind: Kind::Unicast, device: Device::Announcing, ..case.kernel.routes[0] };
    case.kernel.routes.push(route);
    case.observe(110);
    case.record.want(&[(Stance::Withdraw, at(200))]);
    case.remove(201, None);
    case.kernel.addresses.clear();
    case.observe(210);
    assert!(case.seen().addresses[0].is_announced && !case.record.is_withdrawn());
    case.kernel.routes.retain(|other| *other != route);
    case.observe(220);
    assert!(!case.seen().addresses[0].is_announced && case.record.is_withdrawn());
}
