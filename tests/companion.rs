//! Companions against the real ones in a network namespace: nginx, OpenLDAP by StartTLS, MIT's KDC over UDP, unbound;
//! each killed, frozen and muted. Its address goes, those of the others stay.
//!
//! Needs root.

#[allow(dead_code)] // It is for more than is tested here.
#[path = "tls/authority.rs"]
mod authority;
mod common;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use authority::Authority;
use common::site::clock::{now, wait_until};
use common::site::is_root;
use common::site::namespace::{Daemon, Folder, Namespace, guard};
use common::site::routing::start_bird;
use common::{must_skip, skip_loudly};
use nix::sys::signal::Signal;

/// How long all may take until they are announced, on a machine that others use too.
const START_PATIENCE: Duration = Duration::from_secs(30);
/// How long an address may stand after its service has fallen silent: two rounds of 200 ms and the one under way, and
/// what a busy machine adds.
const GONE_PATIENCE: Duration = Duration::from_secs(3);

/// A service with its address, the device that it is announced on, and its ports as a packet filter has them.
struct Service {
    name: &'static str,
    address: &'static str,
    port: &'static str,
    start: fn(&Namespace, &Path) -> Daemon,
}

/// All of them, in the order of the configuration: the device of the first is `fated1`.
const SERVICES: [Service; 4] = [
    Service { name: "mirror", address: "192.0.2.80", port: "tcp dport 80", start: start_nginx },
    Service { name: "directory", address: "192.0.2.89", port: "tcp dport 389", start: start_slapd },
    Service { name: "kdc", address: "192.0.2.88", port: "udp dport 88", start: start_kdc },
    Service { name: "resolver", address: "192.0.2.54", port: "udp dport 53", start: start_unbound },
];

/// What `fated` is told.
const CONFIG: &str = r#"
[server]
listen = ["127.0.0.1:5300"]
zones-dir = "zones"
control = "control.sock"
[[tls]]
name = "directory"
pins = ["PIN"]
[[companion]]
name = "mirror"
addresses = ["192.0.2.80", "2001:db8::80"]
probe = "http"
host = "mirror.example"
text = "of the test"
[[companion]]
name = "directory"
addresses = ["192.0.2.89"]
probe = "ldap"
tls = "directory"
[[companion]]
name = "kdc"
addresses = ["192.0.2.88"]
probe = "kerberos"
realm = "EXAMPLE.COM"
[[companion]]
name = "resolver"
addresses = ["192.0.2.54"]
probe = "dns"
query = "probe.test. A"
"#;

/// A zone to be served besides.
const ZONE: &str = "@ 60 SOA ns hostmaster 1 60 60 60 60\n@ 60 NS ns\nns 60 A 192.0.2.1\n";

/// Writes a file into a folder and returns its path.
fn write(folder: &Path, name: &str, text: &str) -> PathBuf {
    let path = folder.join(name);
    fs::write(&path, text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    path
}

/// Starts a program of the host, looked up as a shell would.
fn start(space: &Namespace, folder: &Path, program: &str, set: impl FnOnce(&mut Command)) -> Daemon {
    let mut command = Command::new(common::program(program).expect("looked for before"));
    command.current_dir(folder);
    set(&mut command);
    space.start(&mut command, &folder.join(format!("{program}.log")))
}

/// A mirror: one page.
fn start_nginx(space: &Namespace, folder: &Path) -> Daemon {
    let text = "daemon off; master_process off; user root; pid nginx.pid; error_log stderr; events {}\n\
                http { access_log off; client_body_temp_path t; proxy_temp_path t; fastcgi_temp_path t;\n\
                uwsgi_temp_path t; scgi_temp_path t;\n\
                server { listen 80; listen [::]:80; location / { return 200 'the page of the test'; } } }\n";
    let config = write(folder, "nginx.conf", text);
    start(space, folder, "nginx", |command| {
        command.arg("-p").arg(folder).arg("-c").arg(config).args(["-e", "stderr"]);
    })
}

/// A directory that holds nothing.
fn start_slapd(space: &Namespace, folder: &Path) -> Daemon {
    let _ = fs::create_dir(folder.join("directory"));
    let text = format!(
        "include /etc/ldap/schema/core.schema\npidfile {0}/slapd.pid\nTLSCertificateFile {0}/directory.pem\n\
         TLSCertificateKeyFile {0}/directory.key\ndatabase ldif\nsuffix \"dc=example\"\ndirectory {0}/directory\n",
        folder.display()
    );
    let config = write(folder, "slapd.conf", &text);
    start(space, folder, "slapd", |command| {
        command.arg("-f").arg(config).args(["-h", "ldap://0.0.0.0:389", "-d", "0"]);
    })
}

/// A KDC with a realm and no principal of anybody.
fn start_kdc(space: &Namespace, folder: &Path) -> Daemon {
    let database = folder.join("principal");
    let text = format!(
        "[kdcdefaults]\n kdc_listen = 88\n kdc_tcp_listen = \"\"\n[realms]\n EXAMPLE.COM = {{\n  database_name = \
         {0}/principal\n  key_stash_file = {0}/stash\n }}\n[logging]\n kdc = FILE:{0}/kdc.log\n",
        folder.display()
    );
    let profile = write(folder, "kdc.conf", &text);
    let config = write(folder, "krb5.conf", "[libdefaults]\n default_realm = EXAMPLE.COM\n");
    let set = |command: &mut Command| {
        command.env("KRB5_KDC_PROFILE", &profile).env("KRB5_CONFIG", &config);
    };
    if !database.exists() {
        let mut create = Command::new(common::program("kdb5_util").expect("looked for before"));
        set(&mut create);
        create.args(["-r", "EXAMPLE.COM", "-P", "secret", "create", "-s"]);
        space.output(&mut create);
    }
    start(space, folder, "krb5kdc", |command| {
        set(command);
        command.args(["-n", "-r", "EXAMPLE.COM", "-P"]).arg(folder.join("kdc.pid"));
    })
}

/// A resolver that knows one name.
fn start_unbound(space: &Namespace, folder: &Path) -> Daemon {
    let text = format!(
        "server:\n do-daemonize: no\n username: \"\"\n chroot: \"\"\n directory: \"{0}\"\n pidfile: \
         \"{0}/unbound.pid\"\n use-syslog: no\n interface: 192.0.2.54\n ip-freebind: yes\n access-control: 0.0.0.0/0 \
         allow\n local-data: \"probe.test. A 192.0.2.1\"\n module-config: \"iterator\"\nremote-control:\n \
         control-enable: no\n",
        folder.display()
    );
    let config = write(folder, "unbound.conf", &text);
    start(space, folder, "unbound", |command| {
        command.arg("-d").arg("-c").arg(config);
    })
}

/// The namespace with `fated` and the services.
struct Host {
    fated: Daemon,
    daemons: Vec<Daemon>,
    space: Namespace,
    folder: Folder,
}

impl Host {
    /// Starts all, and waits until all are announced.
    fn start() -> Self {
        guard();
        let (folder, space) = (Folder::new(0), Namespace::new(0, "node"));
        let authority = Authority::new();
        let issued = authority.issue("directory.example");
        for (from, to) in [(&issued.certificate, "directory.pem"), (&issued.key, "directory.key")] {
            fs::copy(from, folder.path().join(to)).expect("the folder can be written to");
        }
        let daemons = SERVICES.iter().map(|service| (service.start)(&space, folder.path())).collect();
        fs::create_dir(folder.path().join("zones")).expect("the folder can be written to");
        write(folder.path(), "zones/example.com.zone", ZONE);
        let config = write(folder.path(), "fated.toml", &CONFIG.replace("PIN", &issued.pin));
        let mut command = Command::new(env!("CARGO_BIN_EXE_fated"));
        command.arg("serve").arg("--config").arg(config).current_dir(folder.path());
        let fated = space.start(&mut command, &folder.path().join("fated.log"));
        let host = Self { fated, daemons, space, folder };
        let is_up = wait_until(START_PATIENCE, || host.announced() == [true; 4]);
        assert!(is_up, "{:?} are announced: {}", host.announced(), host.logs());
        host
    }

    /// Which services are announced.
    fn announced(&self) -> [bool; 4] {
        let text = self.space.output(Command::new("ip").args(["-o", "-4", "addr"]));
        SERVICES.each_ref().map(|service| text.contains(&format!(" {}/32 ", service.address)))
    }

    /// Waits until one address is gone and says how long it took; the others must stay for all that time.
    fn goes(&self, index: usize, fault: &str) -> Duration {
        let (start, name) = (now(), SERVICES[index].name);
        let is_gone = wait_until(GONE_PATIENCE, || {
            let announced = self.announced();
            let others = announced.iter().enumerate().all(|(other, stands)| other == index || *stands);
            assert!(others, "{name} {fault}: {announced:?}: {}", self.logs());
            !announced[index]
        });
        assert!(is_gone, "{name} {fault}, and its address stays: {}", self.logs());
        now() - start
    }

    /// Ends the hold-down, and waits until all are announced.
    fn comes_back(&self, what: &str) {
        self.control("resume");
        let is_back = wait_until(START_PATIENCE, || self.announced() == [true; 4]);
        assert!(is_back, "{what}: {:?} are announced: {}", self.announced(), self.logs());
    }

    /// Asks `fated` for something, and returns what it says.
    fn control(&self, verb: &str) -> String {
        let mut command = Command::new(env!("CARGO_BIN_EXE_fated"));
        command.arg(verb).arg("--control").arg(self.folder.path().join("control.sock"));
        self.space.output(&mut command)
    }

    /// What went wrong may stand here.
    fn logs(&self) -> String {
        let entries = fs::read_dir(self.folder.path()).into_iter().flatten().flatten().map(|entry| entry.path());
        let logs = entries.filter(|path| path.extension().is_some_and(|extension| extension == "log"));
        logs.map(|path| format!("--- {}\n{}", path.display(), fs::read_to_string(&path).unwrap_or_default())).collect()
    }
}

#[test]
fn each_service_goes_with_its_own_fault_and_the_others_stay() {
    const TEST: &str = "each_service_goes_with_its_own_fault_and_the_others_stay";
    if !is_root() {
        return skip_loudly(TEST, "network namespaces need root");
    }
    if must_skip(TEST, &["ip", "nft", "nginx", "slapd", "krb5kdc", "kdb5_util", "unbound"]) {
        return;
    }
    let mut host = Host::start();
    host.space.output(Command::new("nft").args(["add", "table", "inet", "mute"]));
    let chain = "add chain inet mute input { type filter hook input priority 0; }";
    host.space.output(Command::new("nft").args(chain.split(' ')));
    for (index, service) in SERVICES.iter().enumerate() {
        host.daemons[index].signal(Signal::SIGSTOP);
        let frozen = host.goes(index, "frozen");
        host.daemons[index].signal(Signal::SIGCONT);
        host.comes_back("thawed");

        let rule = format!("add rule inet mute input ip daddr {} {} drop", service.address, service.port);
        host.space.output(Command::new("nft").args(rule.split(' ')));
        let muted = host.goes(index, "muted");
        host.space.output(Command::new("nft").args(["flush", "chain", "inet", "mute", "input"]));
        host.comes_back("heard again");

        host.daemons[index].signal(Signal::SIGKILL);
        let killed = host.goes(index, "killed");
        assert!(wait_until(START_PATIENCE, || host.daemons[index].ended().is_some()), "it ends");
        host.daemons[index] = (service.start)(&host.space, host.folder.path());
        host.comes_back("started again");
        println!("{}: frozen {frozen:?}, muted {muted:?}, killed {killed:?}", service.name);
    }
    let status = host.control("status");
    for service in &SERVICES {
        assert!(status.contains(&format!("companion {} on ", service.name)), "{status}");
    }
    host.fated.signal(Signal::SIGTERM);
    assert!(wait_until(START_PATIENCE, || host.announced() == [false; 4]), "{}", host.logs());
}

/// The router: whatever the node announces is taken.
const ROUTER: &str = r#"
router id 10.99.1.1;
protocol device { }
protocol bgp node {
    local 10.99.1.1 as 65001;
    neighbor 10.99.1.2 as 65002;
    ipv4 { import all; export none; };
}
"#;

/// What `fated` is told where it speaks BGP itself.
const SPOKEN: &str = r#"
[server]
zones-dir = "zones"
control = "control.sock"
[anycast]
addresses = ["192.0.2.53"]
[bgp]
local-as = 65002
[[bgp.neighbor]]
address = "10.99.1.1"
remote-as = 65001
[[companion]]
name = "mirror"
addresses = ["192.0.2.80"]
probe = "http"
host = "mirror.example"
"#;

#[test]
fn our_own_speaker_announces_a_companion_and_takes_it_back_alone() {
    const TEST: &str = "our_own_speaker_announces_a_companion_and_takes_it_back_alone";
    if !is_root() {
        return skip_loudly(TEST, "network namespaces need root");
    }
    if must_skip(TEST, &["ip", "bird", "birdc", "nginx"]) {
        return;
    }
    guard();
    let (folder, router, node) = (Folder::new(1), Namespace::new(1, "router"), Namespace::new(1, "node"));
    router.ip(&format!("link add name node type veth peer name eth0 netns {}", node.name()));
    router.ip("addr add 10.99.1.1/24 dev node");
    node.ip("addr add 10.99.1.2/24 dev eth0");
    router.ip("link set node up");
    node.ip("link set eth0 up");
    let _bird = start_bird(&router, folder.path(), ROUTER);
    let mut mirror = start_nginx(&node, folder.path());
    fs::create_dir(folder.path().join("zones")).expect("the folder can be written to");
    write(folder.path(), "zones/example.com.zone", ZONE);
    let config = write(folder.path(), "fated.toml", SPOKEN);
    let mut command = Command::new(env!("CARGO_BIN_EXE_fated"));
    command.arg("serve").arg("--config").arg(config).current_dir(folder.path());
    let _fated = node.start(&mut command, &folder.path().join("fated.log"));
    let log = || fs::read_to_string(folder.path().join("fated.log")).unwrap_or_default();
    let routes = || {
        let mut ask = Command::new(common::program("birdc").expect("looked for before"));
        ask.arg("-s").arg(folder.path().join("bird.ctl")).args(["show", "route"]);
        let text = router.output(&mut ask);
        ["192.0.2.53/32", "192.0.2.80/32"].map(|prefix| text.contains(prefix))
    };
    assert!(wait_until(START_PATIENCE, || routes() == [true; 2]), "{:?}: {}", routes(), log());
    mirror.signal(Signal::SIGSTOP);
    let start = now();
    let is_gone = wait_until(GONE_PATIENCE, || {
        let routes = routes();
        assert!(routes[0], "the server's own route stays: {}", log());
        !routes[1]
    });
    assert!(is_gone, "{}", log());
    println!("frozen: gone from the router after {:?}", now() - start);
    mirror.signal(Signal::SIGCONT);
    assert!(wait_until(START_PATIENCE, || routes() == [true; 2]), "{:?}: {}", routes(), log());
    assert!(mirror.ended().is_none());
}
