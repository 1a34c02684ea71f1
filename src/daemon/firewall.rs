//! Which rule of the host's packet filter keeps probes from the workers, though it lets clients through: read from what
//! `nft list ruleset` prints.
//!
//! Reads the chains that see what comes in and what goes out, line by line. It knows the few forms by which filters are
//! written for people; what it does not know it does not judge, since only a running server knows for certain
//! (`fated status`).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::process::{Command, Stdio};

use ipnet::IpNet;

use crate::announce::kernel::RECEIVING_SUFFIX;
use crate::config::Anycast;
use crate::daemon::host::is_tun;

/// The most octets of rules that are read.
const RULES_BYTES_MAX: usize = 4 << 20;

/// One chain that is hung into the way of packets.
#[derive(Debug, Default)]
struct Chain<'r> {
    /// `inet filter`, or what else stands behind `table`.
    table: &'r str,
    name: &'r str,
    /// `input`, `prerouting`, `output` or `postrouting`; empty for a chain that is only jumped to.
    hook: &'r str,
    /// Whether it drops what no rule takes.
    drops: bool,
    rules: Vec<&'r str>,
}

/// Returns which rules keep probes away, each with what to do about it. Nothing where the rules can't be read: that
/// takes root.
#[must_use]
pub fn warnings(anycast: &Anycast) -> Vec<String> {
    let listed = Command::new("nft").args(["list", "ruleset"]).stdin(Stdio::null()).stderr(Stdio::null()).output();
    let Some(output) = listed.ok().filter(|output| output.status.success() && output.stdout.len() <= RULES_BYTES_MAX)
    else {
        return Vec::new();
    };
    judge(&String::from_utf8_lossy(&output.stdout), anycast)
}

/// Does the same for rules that were read.
fn judge(rules: &str, anycast: &Anycast) -> Vec<String> {
    let (device, sources) = match is_tun(&anycast.interface) {
        true => (format!("{}{RECEIVING_SUFFIX}", anycast.interface), anycast.health.sources.all()),
        false => ("lo".to_owned(), [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()]),
    };
    let has = |is_v4: bool| anycast.addresses.iter().any(|address| address.is_ipv4() == is_v4);
    let sources: Vec<IpAddr> = sources.into_iter().filter(|source| has(source.is_ipv4())).collect();
    chains(rules).iter().filter_map(|chain| chain.judge(&device, &sources)).collect()
}

/// The chains of a ruleset.
fn chains(rules: &str) -> Vec<Chain<'_>> {
    let (mut found, mut table) = (Vec::new(), "");
    let mut open: Option<Chain<'_>> = None;
    for line in rules.lines().map(str::trim) {
        if let Some(name) = line.strip_prefix("table ").and_then(|rest| rest.strip_suffix(" {")) {
            table = name;
        } else if let Some(name) = line.strip_prefix("chain ").and_then(|rest| rest.strip_suffix(" {")) {
            open = Some(Chain { table, name, ..Chain::default() });
        } else if line == "}" {
            found.extend(open.take());
        } else if let Some(chain) = &mut open {
            match line.strip_prefix("type ") {
                Some(kind) => {
                    let mut words = kind.split_whitespace();
                    chain.hook = words.by_ref().skip_while(|word| *word != "hook").nth(1).unwrap_or_default();
                    chain.drops = kind.contains("policy drop");
                }
                None if !line.is_empty() => chain.rules.push(line),
                None => {}
            }
        }
    }
    found
}

impl Chain<'_> {
    /// Says what is wrong with the chain: the first rule that drops probes, or that none lets them through.
    fn judge(&self, device: &str, sources: &[IpAddr]) -> Option<String> {
        let (word, port) = match self.hook {
            "input" | "prerouting" => ("iifname", "dport"),
            "output" | "postrouting" => ("oifname", "sport"),
            _ => return None,
        };
        let (table, name) = (self.table, self.name);
        let cure =
            format!("let probes through, in front of it: nft insert rule {table} {name} {word} \"{device}\" accept");
        for rule in &self.rules {
            let is_for_card = rule.contains("iif") || rule.contains("oif");
            let is_accepting = rule.ends_with("accept") || rule.contains(" accept ");
            if is_accepting && rule.contains(&format!("\"{device}\"")) {
                return None;
            }
            // What takes queries from anywhere takes probes.
            if is_accepting && !is_for_card && (*rule == "accept" || is_for_dns(rule, port) && !rule.contains("saddr"))
            {
                return None;
            }
            let is_dropping = rule.contains("drop") || rule.contains("reject");
            if let Some(source) = sources.iter().find(|source| is_dropping && !is_for_card && names(rule, **source)) {
                return Some(format!(
                    "the rule `{rule}` of chain `{name}` in table `{table}` drops probes, which come from {source};\n\
                     {cure}"
                ));
            }
            let is_for_device = rule.contains(&format!("{word} \"{device}\"")) && !rule.contains("addr");
            if is_dropping && is_for_device && (is_for_dns(rule, port) || !rule.contains(port)) {
                let chain = format!("chain `{name}` in table `{table}`");
                return Some(format!("the rule `{rule}` of {chain} drops probes, which come over {device};\n{cure}"));
            }
            let is_limit = rule.contains("limit rate") || rule.contains("meter ") || rule.contains("add @");
            if is_dropping && is_limit && is_for_dns(rule, port) && !is_for_card {
                return Some(format!(
                    "the rule `{rule}` of chain `{name}` in table `{table}` limits probes too, \
                     which all come from one address;\n{cure}"
                ));
            }
        }
        self.drops.then(|| {
            format!(
                "chain `{name}` in table `{table}` drops by default, \
                 and none of its rules lets through what probes need over {device};\n{cure}"
            )
        })
    }
}

/// Whether a rule names port 53, or a set of ports that has it.
fn is_for_dns(rule: &str, port: &str) -> bool {
    let Some((_, behind)) = rule.split_once(port) else { return false };
    let is_number = |word: &str| word == "53" || word == "domain";
    behind.split(|letter: char| !letter.is_ascii_alphanumeric()).take(PORTS_LOOKED_AT).any(is_number)
}

/// Whether a rule names a prefix that holds the address as the source of packets.
fn names(rule: &str, address: IpAddr) -> bool {
    let Some((_, behind)) = rule.split_once("saddr") else { return false };
    let is_part = |letter: char| letter.is_ascii_hexdigit() || matches!(letter, '.' | ':' | '/');
    behind.split(|letter| !is_part(letter)).any(|word| {
        let prefix = word.parse::<IpNet>().or_else(|_| word.parse::<IpAddr>().map(IpNet::from));
        prefix.is_ok_and(|prefix| prefix.contains(&address))
    })
}

/// So many words behind `dport` may be ports.
const PORTS_LOOKED_AT: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Overrides, parse};

    /// What is said of an input chain with these rules.
    fn advice(policy: &str, rules: &str) -> Vec<String> {
        advice_on("fated0", policy, rules)
    }

    /// The same where the addresses stand on another device.
    fn advice_on(interface: &str, policy: &str, rules: &str) -> Vec<String> {
        let text = format!(
            "[server]\nzones-dir = \"z\"\n[anycast]\naddresses = [\"192.0.2.53\", \"2001:db8::53\"]\n\
             interface = \"{interface}\""
        );
        let anycast = parse(std::path::Path::new("f"), &text, &Overrides::default()).expect("good").anycast;
        let ruleset = format!(
            "table inet filter {{\n\tset office {{\n\t\ttype ipv4_addr\n\t}}\n\n\tchain input {{\n\
             \t\ttype filter hook input priority filter; policy {policy};\n\t\t{rules}\n\t}}\n\n\
             \tchain jumped {{\n\t\tip saddr 192.0.0.0/8 drop\n\t}}\n}}\n"
        );
        judge(&ruleset, &anycast.expect("there is one"))
    }

    #[test]
    fn the_rule_that_keeps_probes_away_is_named() {
        let cure = "nft insert rule inet filter input iifname \"fated0rx\" accept";
        for (policy, rules, named) in [
            (
                "drop",
                "iifname \"lo\" accept\n\t\tiifname \"eth0\" udp dport 53 accept",
                "`input` in table `inet filter` drops by default",
            ),
            ("drop", "ct state established,related accept", "drops by default"),
            ("accept", "ip saddr { 10.0.0.0/8, 192.0.0.0/24 } drop", "`ip saddr { 10.0.0.0/8, 192.0.0.0/24 } drop`"),
            ("accept", "ip6 saddr 100::/64 counter packets 0 bytes 0 drop", "which come from 100::64"),
            (
                "accept",
                "udp dport { 53, 853 } add @office { ip saddr limit rate over 20/second } drop",
                "limits probes too",
            ),
        ] {
            let advice = advice(policy, rules);
            assert_eq!(advice.len(), 1, "{rules}: {advice:?}");
            assert!(advice[0].contains(named) && advice[0].ends_with(cure), "{}", advice[0]);
        }
    }

    #[test]
    fn over_loopback_it_is_loopback_that_must_be_open() {
        let by_port = "iifname \"lo\" meta l4proto { tcp, udp } th dport 53 drop";
        for (policy, rules, named) in [
            ("drop", "iifname \"eth0\" accept", "drops by default"),
            ("accept", by_port, "which come over lo"),
            ("accept", "iifname \"lo\" counter packets 7 bytes 8 drop", "which come over lo"),
            ("accept", "ip saddr 127.0.0.0/8 udp dport 53 drop", "which come from 127.0.0.1"),
        ] {
            let advice = advice_on("lo", policy, rules);
            assert_eq!(advice.len(), 1, "{rules}: {advice:?}");
            let cure = "nft insert rule inet filter input iifname \"lo\" accept";
            assert!(advice[0].contains(named) && advice[0].ends_with(cure), "{}", advice[0]);
        }
        for (policy, rules) in [
            ("drop", "iifname \"lo\" accept"),
            ("accept", "iifname != \"lo\" ip daddr 127.0.0.0/8 drop"),
            ("accept", "iifname \"lo\" ip saddr != 127.0.0.0/8 drop"),
            ("accept", "iifname \"lo\" tcp dport 8080 drop"),
            ("accept", "ip saddr 192.0.0.0/24 drop"),
        ] {
            assert_eq!(advice_on("lo", policy, rules), Vec::<String>::new(), "{rules}");
        }
        assert_eq!(advice("accept", by_port), Vec::<String>::new(), "nobody probes there");
    }

    #[test]
    fn rules_that_let_probes_through_are_none_of_our_business() {
        for (policy, rules) in [
            ("accept", ""),
            ("drop", "iifname \"fated0rx\" accept"),
            ("drop", "iifname { \"lo\", \"fated0rx\" } accept"),
            ("drop", "udp dport 53 accept\n\t\ttcp dport 53 accept"),
            ("drop", "meta l4proto { tcp, udp } th dport { 53, 80 } counter packets 1 bytes 2 accept"),
            ("drop", "accept"),
            ("accept", "iifname \"eth0\" ip saddr 192.0.0.0/24 drop"),
            ("accept", "iifname \"fated0rx\" accept\n\t\tip saddr 192.0.0.0/24 drop"),
            ("accept", "ip saddr 198.51.100.0/24 drop\n\t\ttcp dport 22 limit rate over 3/minute drop"),
        ] {
            assert_eq!(advice(policy, rules), Vec::<String>::new(), "{rules}");
        }
        assert_eq!(advice("drop\n# nonsense {", "}").len(), 1, "what is no ruleset is read as far as it goes");
    }
}
