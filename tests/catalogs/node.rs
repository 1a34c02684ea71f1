//! fated with a configuration of the test's own.

use std::cell::RefCell;
use std::fs;
use std::net::SocketAddr;
use std::time::Instant;

use serde_json::Value;

use super::PATIENCE;
use super::command::{self, Said, Server, Site};
use super::common::message::{Edns, Message, Query};
use super::common::{ask, name};
use super::peer::{is_refused, is_served};

/// One that runs, or did.
pub(crate) struct Node {
    pub(crate) site: Site,
    pub(crate) address: SocketAddr,
    server: Option<Server>,
    /// The lines of its log so far.
    seen: RefCell<Vec<String>>,
}

impl Node {
    /// Starts one at `address`, with `server.state-dir` and `server.zones-dir`.
    pub(crate) fn start(address: SocketAddr, config: &str) -> Self {
        let site = Site::new();
        let mut node = Self { site, address, server: None, seen: RefCell::default() };
        fs::create_dir(node.site.path("state")).expect("the folder is ours");
        node.site.write("zones/own.test.zone", command::zone(1));
        node.configure(config);
        node.run();
        node
    }

    /// Writes its configuration.
    pub(crate) fn configure(&self, config: &str) {
        let server = "[server]\nstate-dir = \"state\"\nzones-dir = \"zones\"\n";
        self.site.write("fated.toml", format!("{server}{config}"));
    }

    /// Runs it again.
    pub(crate) fn run(&mut self) {
        let (control, address) = (self.site.control(), self.address.to_string());
        let control = control.to_str().expect("UTF-8");
        let arguments = ["--config", "fated.toml", "--listen", &address, "--workers", "1", "--control", control];
        let server = Server::start(self.site.command(&[&["serve"][..], &arguments].concat()));
        self.seen.borrow_mut().extend(server.seen.iter().cloned());
        self.server = Some(server);
    }

    /// Ends it.
    pub(crate) fn stop(&mut self) {
        let server = self.server.take().expect("it runs");
        server.signal("-TERM");
        server.wait();
    }

    /// Asks it for something on its command line.
    pub(crate) fn ask(&self, arguments: &[&str]) -> Said {
        self.site.ask(arguments)
    }

    /// What `status` says of a zone.
    pub(crate) fn zone(&self, origin: &str) -> Option<Value> {
        let zones = self.site.status()["zones"].as_array().expect("zones").clone();
        zones.into_iter().find(|zone| zone["name"] == origin)
    }

    /// The lines of its log so far that hold `part`.
    pub(crate) fn log(&self, part: &str) -> Vec<String> {
        let mut seen = self.seen.borrow_mut();
        seen.extend(self.server.iter().flat_map(|server| server.lines.try_iter()));
        seen.iter().filter(|line| line.contains(part)).cloned().collect()
    }

    /// Waits for a line of its log that holds `part`, so many of them.
    pub(crate) fn wait_for_lines(&self, part: &str, count: usize) {
        let end = Instant::now() + PATIENCE;
        while self.log(part).len() < count {
            let server = self.server.as_ref().expect("it runs");
            let line = server.lines.recv_timeout(end.saturating_duration_since(Instant::now()));
            let line = line.unwrap_or_else(|_| panic!("no line with {part:?} in:\n{}", self.log("").join("\n")));
            self.seen.borrow_mut().push(line);
        }
    }

    /// Waits until a reply about a zone's SOA is as it should be.
    pub(crate) fn wait(&self, origin: &str, is_it: impl Fn(&Message) -> bool) {
        let query = Query::new(&name::name(origin), 6).with_edns(Edns::new(1232, false));
        let is_there = ask::ask_until(self.address, &query, PATIENCE, is_it);
        assert!(is_there, "{origin}:\n{}", self.log("").join("\n"));
    }

    /// Waits until these zones are served.
    pub(crate) fn wait_for(&self, origins: &[&str]) {
        origins.iter().for_each(|origin| self.wait(origin, is_served));
    }

    /// Waits until nothing is known of these zones.
    pub(crate) fn wait_for_end_of(&self, origins: &[&str]) {
        origins.iter().for_each(|origin| self.wait(origin, is_refused));
    }
}
