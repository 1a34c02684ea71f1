//! What a session does in its states: says what is wanted, keeps it alive as long as it is proven, and ends.

use core::time::Duration;

use super::super::frames::Message;
use super::super::message::{Kind, write_message};
use super::super::refresh::{Refresh, read_refresh};
use super::super::update::read_update;
use super::connection::Connection;
use super::opening::{self, Refusal};
use super::outbound::Rules;
use super::{
    Action, BfdState, Cause, Notice, Notification, Phase, Ribs, Route, SEND_HOLDS, Session, SessionSettings, Step,
    Talk, UNPROVEN_TEXT, UNSENT_BYTES_MAX, Wait,
};

impl Session {
    /// Takes over what is wanted; only what differs is copied.
    pub(super) fn want(&mut self, routes: &[Route]) {
        self.wanted.truncate(routes.len());
        for (kept, route) in self.wanted.iter_mut().zip(routes) {
            if kept.prefix == route.prefix && kept.wanted == route.wanted {
                kept.proven = route.proven;
            } else {
                kept.clone_from(route);
            }
        }
        self.wanted.extend(routes.iter().skip(self.wanted.len()).cloned());
    }

    /// Whether proofs do not forbid a session: a wanted route is proven, or none is wanted.
    pub(super) fn is_worth_a_session(&self, now: Duration) -> bool {
        let age_max = self.settings.proof_age_max;
        let is_proven = |route: &Route| route.proven.is_some_and(|at| now < at.saturating_add(age_max));
        let mut wanted = self.wanted.iter().filter(|route| route.wanted.is_some()).peekable();
        wanted.peek().is_none() || wanted.any(is_proven)
    }

    /// Looks at the timers of a connection whose neighbour has still to take the OPEN, and sends the heartbeat that is
    /// due: it says nothing of routes yet.
    pub(super) fn wait_for_word(&mut self, now: Duration, mut talk: Box<Talk>, out: &mut Vec<Action>) -> Step {
        if let Some(step) = self.overdue(now, &talk, out) {
            return step;
        }
        self.beat(now, &mut talk, out);
        (Phase::OpenConfirm(talk), None)
    }

    /// Keeps up a session: ends it when a timer says so, withdraws what is not wanted or not proven, announces what is,
    /// and sends the heartbeat that is due. The order is the rule: whatever is still announced when the heartbeat
    /// leaves is proven.
    pub(super) fn uphold(
        &mut self,
        now: Duration,
        mut talk: Box<Talk>,
        mut ribs: Box<Ribs>,
        out: &mut Vec<Action>,
    ) -> Step {
        if core::mem::take(&mut ribs.has_news) {
            out.push(Action::RoutesReceived);
        }
        if let Some(step) = self.overdue(now, &talk, out) {
            return step;
        }
        let rules = Rules {
            link: talk.connection.link,
            agreed: talk.agreed,
            terms: opening::terms(&self.settings, &talk.agreed),
            proof_age_max: self.settings.proof_age_max,
            is_held_back: self.settings.is_bfd_strict && self.bfd != BfdState::Up,
        };
        let mut plan = ribs.outbound.plan(now, &self.wanted, &rules);
        out.extend(plan.notices.drain(..).map(Action::Noticed));
        if plan.is_left_unproven {
            self.tally.withheld += u64::from(talk.keepalive_at <= now);
        }
        if plan.withdraws() && talk.connection.unsent() > 0 {
            // A withdrawal would wait behind what the neighbour does not take; a RST does not.
            out.push(Action::Abort);
            let next = if plan.is_left_unproven { Phase::Active(Wait::Proof) } else { self.rest(now) };
            return (next, Some(Cause::Reset));
        }
        if plan.is_left_unproven {
            self.say_all(ribs.outbound.withdraw_all(), out);
            let notification = Notification::cease(Notification::CEASE_SHUTDOWN, UNPROVEN_TEXT);
            self.part(&notification, out);
            return (Phase::Active(Wait::Proof), Some(Cause::Ended(notification, String::new())));
        }
        let has_work = !plan.is_empty() || ribs.outbound.is_asked();
        if has_work && talk.connection.unsent() <= UNSENT_BYTES_MAX {
            if !plan.is_empty() {
                talk.keepalive_at = now.saturating_add(talk.agreed.keepalive); // An UPDATE is one as well.
            }
            for message in ribs.outbound.carry_out(plan, &rules) {
                self.send(&mut talk.connection, message, out);
            }
        }
        self.beat(now, &mut talk, out);
        (Phase::Established(talk, ribs), None)
    }

    /// Sends the heartbeat if it is due.
    fn beat(&mut self, now: Duration, talk: &mut Talk, out: &mut Vec<Action>) {
        if talk.keepalive_at <= now {
            self.send(&mut talk.connection, write_message(Kind::Keepalive, &[]), out);
            talk.keepalive_at = now.saturating_add(talk.agreed.keepalive);
        }
    }

    /// Ends a session whose neighbour has said nothing, or taken nothing, for too long.
    fn overdue(&mut self, now: Duration, talk: &Talk, out: &mut Vec<Action>) -> Option<Step> {
        if talk.hold_until <= now {
            let notification = Notification::new(Notification::HOLD_TIMER, 0, &[]);
            let held = talk.agreed.hold_time.as_secs();
            return Some(self.end(now, notification, format!("the neighbour said nothing for {held} s"), out));
        }
        if self.send_hold_until(talk)? > now {
            return None;
        }
        let notification = Notification::new(Notification::SEND_HOLD_TIMER, 0, &[]);
        self.say(notification.write(), out);
        out.push(Action::Abort);
        let why = format!("the neighbour took nothing for {} s", self.send_hold(talk).as_secs());
        Some((self.rest(now), Some(Cause::Ended(notification, why))))
    }

    /// How long the neighbour may take nothing.
    fn send_hold(&self, talk: &Talk) -> Duration {
        self.settings.send_hold.max(talk.agreed.hold_time.saturating_mul(SEND_HOLDS))
    }

    /// When the neighbour has taken nothing for too long, if anything waits for it.
    pub(super) fn send_hold_until(&self, talk: &Talk) -> Option<Duration> {
        Some(talk.connection.stuck_since()?.saturating_add(self.send_hold(talk)))
    }

    /// Takes a message of a session that is up.
    ///
    /// # Errors
    /// The session must end.
    pub(super) fn learn(
        &mut self,
        talk: &Talk,
        ribs: &mut Ribs,
        message: &Message,
        out: &mut Vec<Action>,
    ) -> Result<(), Refusal> {
        let wordless = |notification| (notification, String::new());
        match message.kind {
            Kind::Keepalive | Kind::Open | Kind::Notification => {}
            Kind::RouteRefresh => match read_refresh(&message.body).map_err(wordless)? {
                Some((family, Refresh::Request)) if talk.agreed.families.has(family) => ribs.outbound.ask(family),
                // This side asks for nothing, so that nothing of what it has can be stale.
                Some((_, Refresh::Request | Refresh::Begin | Refresh::End)) | None => {}
            },
            Kind::Update => {
                let update = read_update(&message.body, &opening::terms(&self.settings, &talk.agreed));
                let update = update.map_err(wordless)?;
                let outcome = ribs.inbound.take(&update, &self.settings);
                ribs.has_news |= outcome.is_changed;
                if let Some(malformed) = update.malformed.filter(|_| !ribs.has_told_malformed) {
                    ribs.has_told_malformed = true;
                    let (fault, is_withdrawn) = (malformed.fault, malformed.is_withdrawn);
                    out.push(Action::Noticed(Notice::Malformed { fault, is_withdrawn }));
                }
                if outcome.is_cut && !core::mem::replace(&mut ribs.has_told_cut, true) {
                    out.push(Action::Noticed(Notice::RoutesCut));
                }
                if outcome.is_overrun {
                    let most = self.settings.received_max;
                    let why = format!("the neighbour sends more than {most} prefixes");
                    return Err((Notification::cease(Notification::CEASE_PREFIXES, ""), why));
                }
            }
        }
        Ok(())
    }

    /// Waits after a loss.
    pub(super) fn rest(&mut self, now: Duration) -> Phase {
        let until = self.retry.after_loss(now, &self.settings);
        Phase::Active(if self.settings.is_passive { Wait::Peer } else { Wait::Retry(until) })
    }

    /// Turns the neighbour away for a while.
    pub(super) fn shun(now: Duration) -> Phase {
        Phase::Active(Wait::Overrun(now.saturating_add(SessionSettings::OVERRUN_WAIT)))
    }

    /// Ends a connection with a word, and waits.
    pub(super) fn end(
        &mut self,
        now: Duration,
        notification: Notification,
        why: String,
        out: &mut Vec<Action>,
    ) -> Step {
        self.part(&notification, out);
        (self.rest(now), Some(Cause::Ended(notification, why)))
    }

    /// Ends a connection for the driver, and stays away.
    pub(super) fn stay_away(&mut self, subcode: u8, text: &str, out: &mut Vec<Action>) -> Step {
        let notification = Notification::cease(subcode, text);
        self.part(&notification, out);
        (Phase::Idle, Some(Cause::Ended(notification, String::new())))
    }

    /// Closes a connection since the neighbour says so.
    pub(super) fn part_on_word(&mut self, now: Duration, body: &[u8], out: &mut Vec<Action>) -> Step {
        out.push(Action::Disconnect);
        let notification = Notification::read(body).unwrap_or_else(|| Notification::new(0, 0, &[]));
        let hint = hint(&notification);
        (self.rest(now), Some(Cause::EndedByPeer(notification, hint)))
    }

    /// Sends the last word over a connection.
    pub(super) fn part(&mut self, notification: &Notification, out: &mut Vec<Action>) {
        self.say(notification.write(), out);
        out.push(Action::Disconnect);
    }

    /// Sends a message over a connection that stays.
    pub(super) fn send(&mut self, connection: &mut Connection, message: Vec<u8>, out: &mut Vec<Action>) {
        connection.note_sent(message.len());
        self.say(message, out);
    }

    /// Sends messages over a connection that ends.
    pub(super) fn say_all(&mut self, messages: Vec<Vec<u8>>, out: &mut Vec<Action>) {
        messages.into_iter().for_each(|message| self.say(message, out));
    }

    /// Counts and sends a message.
    fn say(&mut self, message: Vec<u8>, out: &mut Vec<Action>) {
        self.tally.sent.count(Kind::of(&message));
        out.push(Action::Send(message));
    }
}

/// What is likely behind an error that the neighbour tells.
fn hint(notification: &Notification) -> &'static str {
    match (notification.code, notification.subcode) {
        (Notification::OPEN, 2) => "it expects another AS number than this side's",
        (Notification::OPEN, 3) => "this side's router-id is also its own, or is nobody's",
        (Notification::OPEN, 6) => "it wants a longer hold time",
        (Notification::OPEN, 7) => "it does not have a family that this side offers, or misses one",
        (Notification::OPEN, 11) => "the roles do not fit, or it wants one",
        (Notification::HOLD_TIMER, _) => {
            "it heard nothing in time: packets were lost, or this process did not run; it may keep this side out for \
             about a minute"
        }
        (Notification::CEASE, Notification::CEASE_BFD_DOWN) => "it may keep this side out for about a minute",
        (Notification::CEASE, 5) => "it knows no neighbour of this address, or is not ready",
        (Notification::SEND_HOLD_TIMER, _) => "this side took nothing of what it sent",
        _ => "",
    }
}
