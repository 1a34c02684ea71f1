//! What the neighbour announces: kept for some prefixes, and only known by prefix for all others.

use std::collections::{BTreeMap, BTreeSet};

use ipnet::IpNet;

use super::super::update::{Reach, Update};
use super::super::{AsNumber, ReceivedRoute, SessionSettings};

/// The most routes that are kept; what lies in the kept prefixes beyond that is only counted.
const ROUTES_KEPT_MAX: usize = 1024;

/// What the neighbour announces in a session that is up.
#[derive(Debug, Default)]
pub(super) struct Inbound {
    /// Routes that are kept.
    routes: BTreeMap<IpNet, ReceivedRoute>,
    /// All other prefixes. The set is bounded by [`SessionSettings::received_max`].
    others: BTreeSet<IpNet>,
}

/// What an UPDATE did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Outcome {
    /// Whether kept routes are others than before.
    pub(super) is_changed: bool,
    /// Whether a route that should be kept is not, since there are too many.
    pub(super) is_cut: bool,
    /// Whether there are more prefixes than the neighbour may send.
    pub(super) is_overrun: bool,
}

impl Inbound {
    /// Returns the routes that are kept.
    pub(super) fn routes(&self) -> impl Iterator<Item = &ReceivedRoute> {
        self.routes.values()
    }

    /// Returns how many other prefixes there are.
    pub(super) fn others(&self) -> usize {
        self.others.len()
    }

    /// Takes what an UPDATE says: first what goes, then what comes (RFC 4271 §3.1 lets a prefix be in both).
    pub(super) fn take(&mut self, update: &Update, settings: &SessionSettings) -> Outcome {
        let mut outcome = Outcome::default();
        for prefix in &update.withdrawn {
            outcome.is_changed |= self.routes.remove(prefix).is_some();
            self.others.remove(prefix);
        }
        for reach in &update.announced {
            for prefix in &reach.prefixes {
                self.announce(*prefix, reach, update, settings, &mut outcome);
            }
        }
        outcome
    }

    /// Takes one prefix that is announced.
    fn announce(
        &mut self,
        prefix: IpNet,
        reach: &Reach,
        update: &Update,
        settings: &SessionSettings,
        outcome: &mut Outcome,
    ) {
        if self.routes.len() + self.others.len() > settings.received_max {
            outcome.is_overrun = true;
            return;
        }
        let is_near = |kept: &IpNet| kept.contains(&prefix) || prefix.contains(kept);
        let is_kept = settings.kept.iter().any(is_near);
        let has_room = self.routes.len() < ROUTES_KEPT_MAX || self.routes.contains_key(&prefix);
        if is_kept && has_room {
            let route = received(prefix, reach, update);
            self.others.remove(&prefix);
            let is_same = self.routes.get(&prefix) == Some(&route);
            self.routes.insert(prefix, route);
            outcome.is_changed |= !is_same;
        } else {
            outcome.is_cut |= is_kept;
            self.others.insert(prefix);
        }
        outcome.is_overrun |= self.routes.len() + self.others.len() > settings.received_max;
    }
}

/// Makes a route that is kept.
fn received(prefix: IpNet, reach: &Reach, update: &Update) -> ReceivedRoute {
    let path = &update.path;
    let most = ReceivedRoute::COMMUNITIES_KEPT_MAX;
    ReceivedRoute {
        prefix,
        next_hop: reach.next_hop,
        as_path: cut_path(&path.as_path),
        med: path.med,
        local_pref: path.local_pref,
        communities: path.communities.iter().take(most).copied().collect(),
        large: path.large.iter().take(most).copied().collect(),
    }
}

/// Returns a path, its middle left out where it is too long: the nearest systems and the origin are what matters.
fn cut_path(path: &[AsNumber]) -> Vec<AsNumber> {
    let most = ReceivedRoute::AS_PATH_KEPT_MAX;
    match path.last() {
        Some(origin) if path.len() > most => path.iter().take(most - 1).chain([origin]).copied().collect(),
        _ => path.to_vec(),
    }
}
