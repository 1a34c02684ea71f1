//! A node: its namespace, its routing daemons, its server, and the faults that are on it.

use std::fs;
use std::path::{Path, PathBuf};

use super::fault::Wedge;
use super::namespace::{Daemon, Namespace};
use super::{NodeNumber, Plan, Routing, Subject};

/// A node of a site. The order of the fields is the order in which they end.
#[derive(Debug)]
pub(crate) struct Node {
    /// The thread that is held still, if any.
    pub(super) wedge: Option<Wedge>,
    /// Processes that burn CPU.
    pub(super) burners: Vec<Daemon>,
    /// The server, while it is meant to run.
    pub(super) server: Option<Daemon>,
    /// Who checks the server and announces for it, where that is not the server itself.
    pub(super) checker: Option<Daemon>,
    /// The routing daemons.
    daemons: Vec<Daemon>,
    /// Which node it is.
    pub(crate) number: NodeNumber,
    /// What serves.
    pub(super) subject: Subject,
    /// How routes get to the router.
    pub(super) routing: Routing,
    /// Whether there is a second, big zone.
    pub(super) has_bulk: bool,
    /// Its configurations, sockets and logs.
    pub(crate) folder: PathBuf,
    /// Its namespace.
    pub(crate) space: Namespace,
}

impl Node {
    /// Starts routing and server; does not wait until they are seen outside.
    pub(crate) fn start(number: NodeNumber, space: Namespace, plan: &Plan, folder: &Path) -> Self {
        fs::create_dir(folder).expect("the folder can be written to");
        let interface = plan.subject.interface();
        let daemons = match interface {
            Some(interface) => plan.routing.start_node(number, &space, folder, interface),
            None => Vec::new(),
        };
        let mut node = Self {
            wedge: None,
            burners: Vec::new(),
            server: None,
            checker: None,
            daemons,
            number,
            subject: plan.subject.clone(),
            routing: plan.routing,
            has_bulk: plan.bulk_names > 0,
            folder: folder.to_owned(),
            space,
        };
        node.subject.clone().prepare(&node);
        node.start_server();
        node.checker = node.subject.start_checker(&node);
        node
    }

    /// Starts the server, which must not run.
    pub(crate) fn start_server(&mut self) {
        assert!(self.server.is_none(), "{} has a server already", self.number);
        self.server = Some(self.subject.start(self));
    }

    /// The server.
    ///
    /// # Panics
    /// If it is not meant to run.
    pub(crate) fn server(&mut self) -> &mut Daemon {
        let number = self.number;
        self.server.as_mut().unwrap_or_else(|| panic!("{number} has no server now"))
    }

    /// Whether the server has ended.
    pub(crate) fn server_has_ended(&mut self) -> bool {
        self.server().ended().is_some()
    }

    /// Where the server's words go.
    pub(crate) fn log(&self) -> PathBuf {
        self.folder.join("server.log")
    }
}

/// The logs in the folders of a site.
pub(crate) fn logs(folder: &Path) -> Vec<PathBuf> {
    let files = |folder: &Path| fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut found: Vec<PathBuf> = files(folder).flat_map(|folder| files(&folder).collect::<Vec<_>>()).collect();
    found.retain(|path| path.extension().is_some_and(|extension| extension == "log"));
    found.sort();
    found
}
