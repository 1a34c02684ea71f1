//! Dependencies are what `deny.toml` and `rust-version` allow: their licences, their sources, no version twice, and
//! none that needs a newer compiler than this crate says it does. The checks are themselves checked on planted
//! violations.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use serde_json::Value;

/// The registry that crates may come from.
const REGISTRY: &str = "registry+https://github.com/rust-lang/crates.io-index";

/// One package of the graph.
#[derive(Clone)]
struct Package {
    name: String,
    version: String,
    license: String,
    /// `None` for the crate itself.
    source: Option<String>,
    rust_version: Option<String>,
}

/// What `deny.toml` allows.
struct Allowed {
    licenses: BTreeSet<String>,
    /// Versions that may stand beside another one, as `name@version`.
    twice: BTreeSet<String>,
}

/// Reads `deny.toml`.
fn allowed(text: &str) -> Allowed {
    let deny: toml::Table = text.parse().expect("deny.toml is TOML");
    let list = |section: &str, key: &str| deny[section][key].as_array().expect("a list").clone();
    let text = |value: &toml::Value| value.as_str().expect("a string").to_owned();
    Allowed {
        licenses: list("licenses", "allow").iter().map(text).collect(),
        twice: list("bans", "skip").iter().map(|skip| text(&skip["crate"])).collect(),
    }
}

/// Whether a licence expression can be met with the licences that are allowed (SPDX, appendix D; `/` is an older `OR`).
fn is_licensed(expression: &str, allowed: &BTreeSet<String>) -> bool {
    let spaced = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
    let tokens: Vec<&str> = spaced.split_whitespace().collect();
    let mut at = 0;
    let is_met = any(&tokens, &mut at, allowed);
    is_met && at == tokens.len()
}

/// Alternatives, of which one must be met.
fn any(tokens: &[&str], at: &mut usize, allowed: &BTreeSet<String>) -> bool {
    let mut is_met = all(tokens, at, allowed);
    while tokens.get(*at) == Some(&"OR") {
        *at += 1;
        is_met |= all(tokens, at, allowed);
    }
    is_met
}

/// Parts that must all be met: licences, perhaps with an exception, and expressions in parentheses.
fn all(tokens: &[&str], at: &mut usize, allowed: &BTreeSet<String>) -> bool {
    let mut is_met = true;
    loop {
        let token = tokens.get(*at).copied().unwrap_or_default();
        *at += 1;
        let part = if token == "(" { any(tokens, at, allowed) } else { allowed.contains(token) };
        *at += usize::from(token == "(");
        // An exception takes nothing away from what the licence allows.
        *at += if tokens.get(*at) == Some(&"WITH") { 2 } else { 0 };
        is_met &= part;
        if tokens.get(*at) != Some(&"AND") {
            return is_met;
        }
        *at += 1;
    }
}

/// Major and minor number of a version of the compiler.
fn release(version: &str) -> (u32, u32) {
    let mut numbers = version.split('.').map(|number| number.parse().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
}

/// What is wrong with the packages; the first is the crate itself.
fn check(packages: &[Package], allowed: &Allowed) -> Vec<String> {
    let (mut wrong, mut versions) = (Vec::new(), BTreeMap::<&str, Vec<&str>>::new());
    let declared = packages[0].rust_version.as_deref().map(release).expect("rust-version is declared");
    for Package { name, version, license, source, rust_version } in packages {
        if !is_licensed(license, &allowed.licenses) {
            wrong.push(format!("{name} {version}: its licence is {license:?}, which deny.toml does not allow"));
        }
        if source.as_ref().is_some_and(|source| source != REGISTRY) {
            wrong.push(format!("{name} {version} comes from {source:?}"));
        }
        if rust_version.as_deref().map(release).is_some_and(|needed| needed > declared) {
            wrong.push(format!("{name} {version} needs Rust {rust_version:?}, more than our rust-version"));
        }
        versions.entry(name).or_default().push(version);
    }
    let mut excused = BTreeSet::new();
    for (name, versions) in versions.iter().filter(|(_, versions)| versions.len() > 1) {
        let is_excused = |version: &&&str| allowed.twice.contains(&format!("{name}@{version}"));
        excused.extend(versions.iter().filter(is_excused).map(|version| format!("{name}@{version}")));
        if versions.iter().filter(|version| !is_excused(version)).count() > 1 {
            wrong.push(format!("{name} is there in several versions: {}", versions.join(", ")));
        }
    }
    wrong.extend(
        allowed.twice.difference(&excused).map(|idle| format!("deny.toml skips {idle}, which is not there twice")),
    );
    wrong
}

/// The packages that are built on Linux, tests and benches included, this crate first.
fn packages() -> Vec<Package> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut metadata = Command::new(cargo);
    metadata.args(["metadata", "--locked", "--format-version", "1", "--filter-platform", "x86_64-unknown-linux-gnu"]);
    let output = metadata.current_dir(env!("CARGO_MANIFEST_DIR")).output().expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("cargo writes JSON");
    let nodes = metadata["resolve"]["nodes"].as_array().expect("a graph");
    let used: BTreeSet<&str> = nodes.iter().filter_map(|node| node["id"].as_str()).collect();
    let listed = metadata["packages"].as_array().expect("packages");
    let is_used = |package: &&Value| package["id"].as_str().is_some_and(|id| used.contains(id));
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let package = |package: &Value| Package {
        name: text(&package["name"]).expect("a name"),
        version: text(&package["version"]).expect("a version"),
        license: text(&package["license"]).unwrap_or_default(),
        source: text(&package["source"]),
        rust_version: text(&package["rust_version"]),
    };
    let mut packages: Vec<Package> = listed.iter().filter(is_used).map(package).collect();
    packages.sort_by_key(|package| package.source.is_some());
    packages
}

/// The text of `deny.toml`.
fn deny() -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("deny.toml")).expect("deny.toml is there")
}

#[test]
fn dependencies_are_what_is_allowed() {
    let packages = packages();
    assert!(packages.len() > 50 && packages[0].name == env!("CARGO_PKG_NAME"), "the graph was not found");
    let wrong = check(&packages, &allowed(&deny()));
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn planted_violations_are_found() {
    let package = |name: &str, version: &str, license: &str| Package {
        name: name.to_owned(),
        version: version.to_owned(),
        license: license.to_owned(),
        source: (name != "own").then(|| REGISTRY.to_owned()),
        rust_version: Some("1.88".to_owned()),
    };
    let allowed =
        Allowed { licenses: ["MIT", "ISC"].map(str::to_owned).into(), twice: ["old@1.0.0".to_owned()].into() };
    let good = [
        package("own", "0.1.0", "MIT OR Apache-2.0"),
        package("old", "1.0.0", "Unlicense/MIT"),
        package("old", "2.0.0", "(GPL-3.0 OR MIT) AND ISC"),
        package("more", "1.0.0", "MIT WITH LLVM-exception OR GPL-3.0"),
    ];
    assert_eq!(check(&good, &allowed), [""; 0]);
    let git = Package { source: Some("git+https://example.org/a".to_owned()), ..package("git", "1.0.0", "MIT") };
    let newer = Package { rust_version: Some("1.89.1".to_owned()), ..package("newer", "1.0.0", "MIT") };
    for (planted, expected) in [
        (package("gpl", "1.0.0", "GPL-3.0"), "gpl 1.0.0: its licence is \"GPL-3.0\""),
        (package("both", "1.0.0", "MIT AND GPL-3.0"), "both 1.0.0: its licence is"),
        (package("none", "1.0.0", ""), "none 1.0.0: its licence is \"\""),
        (package("more", "2.0.0", "MIT"), "more is there in several versions: 1.0.0, 2.0.0"),
        (package("old", "3.0.0", "MIT"), "old is there in several versions"),
        (git, "git 1.0.0 comes from"),
        (newer, "newer 1.0.0 needs Rust"),
    ] {
        let wrong = check(&[&good[..], &[planted]].concat(), &allowed);
        assert!(wrong.len() == 1 && wrong[0].contains(expected), "{expected:?} was not found in {wrong:?}");
    }
    let idle = check(&good[..2], &allowed);
    assert!(idle.len() == 1 && idle[0].contains("skips old@1.0.0, which is not there twice"), "{idle:?}");
}
