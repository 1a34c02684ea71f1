//! What is announced to the neighbour, and what has to leave for it to be what is wanted and proven.

use core::net::IpAddr;
use core::time::Duration;
use std::collections::BTreeMap;

use ipnet::IpNet;

use super::super::announcement::{SentNextHop, fits, write_announcements, write_withdrawals};
use super::super::refresh::{Refresh, write_refresh};
use super::super::terms::Terms;
use super::super::{Agreed, Attributes, Families, Family, Link, NextHop, Notice, Obstacle, Route};

/// What is announced in a session that is up.
#[derive(Debug, Default)]
pub(super) struct Outbound {
    /// Each prefix that is announced, with the attributes that it was last sent with.
    announced: BTreeMap<IpNet, Attributes>,
    /// Families that the neighbour asked for once more.
    asked: Families,
    /// When the first proof of those that are announced gets too old.
    lapse_at: Option<Duration>,
    /// What was said of routes that are not announced, so that it is said once.
    told: Vec<(Family, Obstacle)>,
}

/// What decides how routes are announced in a session.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rules {
    /// The addresses of the connection.
    pub(super) link: Link,
    /// What both sides agreed on.
    pub(super) agreed: Agreed,
    /// What the octets depend on.
    pub(super) terms: Terms,
    /// How old a proof may be.
    pub(super) proof_age_max: Duration,
    /// Whether nothing is to be announced, whatever is wanted.
    pub(super) is_held_back: bool,
}

/// What has to be sent.
#[derive(Debug, Default)]
pub(super) struct Plan {
    /// Prefixes that are withdrawn.
    withdrawn: Vec<IpNet>,
    /// Announcements, those with the same attributes together.
    groups: Vec<Group>,
    /// What an operator wants to know.
    pub(super) notices: Vec<Notice>,
    /// Whether routes are withdrawn for want of a proof, and none is left to announce.
    pub(super) is_left_unproven: bool,
}

/// Prefixes of one family that are announced with the same attributes.
#[derive(Debug)]
struct Group {
    /// Their next hop.
    next_hop: SentNextHop,
    /// Their attributes.
    attributes: Attributes,
    /// At least one.
    prefixes: Vec<IpNet>,
}

/// How a route is announced.
enum Way<'a> {
    /// It is not to be.
    Unwanted,
    /// It can't be.
    Barred(Obstacle),
    /// With a next hop and attributes.
    Open(SentNextHop, &'a Attributes),
}

impl Plan {
    /// Whether nothing has to be sent.
    pub(super) fn is_empty(&self) -> bool {
        self.withdrawn.is_empty() && self.groups.is_empty()
    }

    /// Whether anything is withdrawn.
    pub(super) fn withdraws(&self) -> bool {
        !self.withdrawn.is_empty()
    }

    /// Adds a prefix to those with the same attributes.
    fn announce(&mut self, prefix: IpNet, next_hop: SentNextHop, attributes: &Attributes) {
        let is_like = |group: &&mut Group| {
            let family = group.prefixes.first().map(Family::of);
            family == Some(Family::of(&prefix)) && group.next_hop == next_hop && group.attributes == *attributes
        };
        match self.groups.iter_mut().find(is_like) {
            Some(group) => group.prefixes.push(prefix),
            None => {
                self.groups.push(Group { next_hop, attributes: attributes.clone(), prefixes: vec![prefix] });
            }
        }
    }
}

impl Outbound {
    /// Whether a prefix is announced.
    pub(super) fn has(&self, prefix: &IpNet) -> bool {
        self.announced.contains_key(prefix)
    }

    /// Returns how many prefixes are announced.
    pub(super) fn count(&self) -> usize {
        self.announced.len()
    }

    /// Returns when the first proof gets too old, as of the last plan.
    pub(super) fn lapse_at(&self) -> Option<Duration> {
        self.lapse_at
    }

    /// Takes note that the neighbour asks for a family once more.
    pub(super) fn ask(&mut self, family: Family) {
        self.asked.insert(family);
    }

    /// Compares what is announced with what is wanted and proven. Prefixes that are wanted are each there once.
    pub(super) fn plan(&mut self, now: Duration, wanted: &[Route], rules: &Rules) -> Plan {
        let mut plan = Plan::default();
        let (mut known, mut has_lapsed, mut has_proven) = (0, false, false);
        self.lapse_at = None;
        for route in wanted {
            let sent = self.announced.get(&route.prefix);
            known += usize::from(sent.is_some());
            let proven_until =
                route.proven.map(|at| at.saturating_add(rules.proof_age_max)).filter(|until| now < *until);
            match (sent, rules.way(route, sent), proven_until) {
                (None, Way::Unwanted, _) | (None, Way::Open(..), None) => {}
                (Some(_), Way::Unwanted, _) => plan.withdrawn.push(route.prefix),
                (sent, Way::Barred(obstacle), _) => {
                    plan.withdrawn.extend(sent.map(|_| route.prefix));
                    let told = (Family::of(&route.prefix), obstacle);
                    if !self.told.contains(&told) {
                        self.told.push(told);
                        plan.notices.push(Notice::NotAnnounced { family: told.0, obstacle });
                    }
                }
                (Some(_), Way::Open(..), None) => {
                    has_lapsed = true;
                    plan.withdrawn.push(route.prefix);
                    plan.notices.push(Notice::Unproven { prefix: route.prefix });
                }
                (sent, Way::Open(next_hop, attributes), Some(until)) => {
                    has_proven = true;
                    self.lapse_at = Some(self.lapse_at.map_or(until, |earliest| earliest.min(until)));
                    if sent != Some(attributes) || self.asked.has(Family::of(&route.prefix)) {
                        plan.announce(route.prefix, next_hop, attributes);
                    }
                }
            }
        }
        if known < self.announced.len() {
            let is_gone = |prefix: &&IpNet| !wanted.iter().any(|route| route.prefix == **prefix);
            plan.withdrawn.extend(self.announced.keys().filter(is_gone));
        }
        plan.is_left_unproven = has_lapsed && !has_proven;
        plan
    }

    /// Returns the messages of a plan, and takes them for sent. Withdrawals are first.
    pub(super) fn carry_out(&mut self, plan: Plan, rules: &Rules) -> Vec<Vec<u8>> {
        let mut messages = self.withdraw(&plan.withdrawn);
        let asked = core::mem::take(&mut self.asked);
        for family in Family::ALL {
            let is_marked = asked.has(family) && rules.agreed.families.has(family) && rules.agreed.is_enhanced_refresh;
            if is_marked {
                messages.push(write_refresh(family, Refresh::Begin));
            }
            for group in plan.groups.iter().filter(|group| group.prefixes.first().map(Family::of) == Some(family)) {
                let Group { next_hop, attributes, prefixes } = group;
                messages.extend(write_announcements(prefixes, *next_hop, attributes, &rules.terms));
                self.announced.extend(prefixes.iter().map(|prefix| (*prefix, attributes.clone())));
            }
            if is_marked {
                messages.push(write_refresh(family, Refresh::End));
            }
        }
        messages
    }

    /// Whether a refresh that was asked for waits, be it one of nothing.
    pub(super) fn is_asked(&self) -> bool {
        self.asked != Families::NONE
    }

    /// Returns the messages that withdraw all that is announced, and takes them for sent.
    pub(super) fn withdraw_all(&mut self) -> Vec<Vec<u8>> {
        let all: Vec<IpNet> = self.announced.keys().copied().collect();
        self.lapse_at = None;
        self.withdraw(&all)
    }

    /// Returns the messages that withdraw prefixes, and takes them for sent.
    fn withdraw(&mut self, prefixes: &[IpNet]) -> Vec<Vec<u8>> {
        prefixes.iter().for_each(|prefix| drop(self.announced.remove(prefix)));
        let (ipv4, ipv6): (Vec<IpNet>, Vec<IpNet>) =
            prefixes.iter().partition(|prefix| Family::of(prefix) == Family::Ipv4);
        [write_withdrawals(&ipv4), write_withdrawals(&ipv6)].concat()
    }
}

impl Rules {
    /// How a route is announced that was last sent with the attributes of `sent`, if it was.
    fn way<'a>(&self, route: &'a Route, sent: Option<&Attributes>) -> Way<'a> {
        let Some(attributes) = route.wanted.as_ref().filter(|_| !self.is_held_back) else { return Way::Unwanted };
        match self.next_hop(Family::of(&route.prefix), attributes) {
            Err(obstacle) => Way::Barred(obstacle),
            // What was sent has been found to fit.
            Ok(_) if sent != Some(attributes) && !fits(attributes, &self.terms) => Way::Barred(Obstacle::TooLong),
            Ok(next_hop) => Way::Open(next_hop, attributes),
        }
    }

    /// Returns the next hop of a route of a family with attributes.
    fn next_hop(&self, family: Family, attributes: &Attributes) -> Result<SentNextHop, Obstacle> {
        if !self.agreed.families.has(family) {
            return Err(Obstacle::Family);
        }
        let link = &self.link;
        let address = match (attributes.next_hop, family, link.local) {
            (NextHop::Session, Family::Ipv6, IpAddr::V4(_)) => {
                link.global.or(link.link_local).map(IpAddr::from).ok_or(Obstacle::NoNextHop)?
            }
            (NextHop::Session, Family::Ipv4 | Family::Ipv6, local) => local,
            (NextHop::Address(address), Family::Ipv4 | Family::Ipv6, _) => address,
        };
        match (family, address) {
            (Family::Ipv4, IpAddr::V4(_)) => Ok(SentNextHop { address, link_local: None }),
            (Family::Ipv4, IpAddr::V6(_)) if !self.agreed.is_extended_next_hop => Err(Obstacle::ExtendedNextHop),
            (Family::Ipv6, IpAddr::V4(_)) => Err(Obstacle::NoNextHop),
            (Family::Ipv4 | Family::Ipv6, IpAddr::V6(address)) => {
                let is_link_local = |local: IpAddr| matches!(local, IpAddr::V6(v6) if v6.is_unicast_link_local());
                let has_both = is_link_local(link.local) && link.global == Some(address);
                let link_local = link.link_local.filter(|_| has_both);
                Ok(SentNextHop { address: address.into(), link_local })
            }
        }
    }
}
