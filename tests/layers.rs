//! The sources keep their rules: which module imports which, what pure modules must not touch, where `unsafe` may
//! stand, how long files, functions and lines may be, that files import each other in no ring, and that ARCHITECTURE.md
//! says what each file is for. The checker is itself checked on planted violations.

#[path = "layers/graph.rs"]
mod graph;
#[path = "layers/source.rs"]
mod source;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use graph::{absolute, is_test, module_of, mutual_imports};
use source::{before_tests, functions, has_word, paths, strip};

/// One module at the top of the crate: the layer that it is in, its name, and the modules that it may import.
struct Module {
    layer: u8,
    name: &'static str,
    imports: &'static [&'static str],
    /// Whether it must know no socket, clock, thread, log, file or `async`.
    is_pure: bool,
}

/// The modules from the lowest layer up. Nothing imports upward.
const MODULES: &[Module] = &[
    Module { layer: 1, name: "sys", imports: &[], is_pure: false },
    Module { layer: 1, name: "wire", imports: &[], is_pure: true },
    Module { layer: 1, name: "metrics", imports: &[], is_pure: false },
    Module { layer: 1, name: "policy", imports: &[], is_pure: true },
    Module { layer: 1, name: "persistent", imports: &[], is_pure: true },
    Module { layer: 1, name: "tls", imports: &[], is_pure: true },
    Module { layer: 2, name: "zone", imports: &["wire", "persistent"], is_pure: true },
    Module { layer: 2, name: "bfd", imports: &["policy"], is_pure: true },
    Module { layer: 2, name: "bgp", imports: &["policy"], is_pure: true },
    Module { layer: 2, name: "fault", imports: &["wire"], is_pure: true },
    Module { layer: 3, name: "zonebuild", imports: &["wire", "zone", "fault"], is_pure: true },
    Module { layer: 3, name: "zonefile", imports: &["wire", "zone", "fault", "zonebuild"], is_pure: true },
    Module {
        layer: 3,
        name: "transfer",
        imports: &["persistent", "tls", "wire", "zone", "fault", "zonebuild"],
        is_pure: true,
    },
    Module { layer: 3, name: "catalog", imports: &["wire", "zone", "fault", "zonebuild", "transfer"], is_pure: true },
    Module { layer: 3, name: "answer", imports: &["tls", "wire", "zone", "transfer"], is_pure: true },
    Module { layer: 4, name: "serve", imports: &["sys", "tls", "wire", "metrics", "answer"], is_pure: false },
    Module { layer: 4, name: "health", imports: &["sys", "wire", "policy"], is_pure: false },
    Module { layer: 4, name: "companion", imports: &["policy", "tls"], is_pure: false },
    Module { layer: 4, name: "announce", imports: &["sys", "policy", "bgp", "bfd"], is_pure: false },
    Module {
        layer: 5,
        name: "config",
        imports: &[
            "bgp",
            "sys",
            "tls",
            "wire",
            "zonebuild",
            "zonefile",
            "transfer",
            "catalog",
            "policy",
            "answer",
            "serve",
            "health",
            "announce",
            "companion",
        ],
        is_pure: false,
    },
    Module {
        layer: 5,
        name: "load",
        imports: &["persistent", "wire", "zone", "fault", "zonebuild", "zonefile", "transfer", "catalog", "config"],
        is_pure: false,
    },
    Module { layer: 5, name: "store", imports: &["wire", "zone", "fault", "zonebuild", "transfer"], is_pure: false },
    Module { layer: 5, name: "admin", imports: &["sys", "wire", "metrics", "policy"], is_pure: false },
    Module {
        layer: 6,
        name: "daemon",
        imports: &[
            "bgp",
            "bfd",
            "sys",
            "metrics",
            "policy",
            "tls",
            "wire",
            "zone",
            "fault",
            "answer",
            "serve",
            "health",
            "announce",
            "companion",
            "config",
            "load",
            "store",
            "admin",
            "zonebuild",
            "transfer",
        ],
        is_pure: false,
    },
    Module { layer: 7, name: "cli", imports: &["wire", "fault", "config", "load", "admin", "daemon"], is_pure: false },
    Module { layer: 7, name: "main", imports: &[], is_pure: false },
];

/// What pure modules must not name. Addresses as values are in `core::net`, which has no sockets.
const IMPURE: &[&str] = &[
    "std::net",
    "std::fs",
    "std::thread",
    "std::time",
    "std::process",
    "std::env",
    "Instant",
    "SystemTime",
    "tokio",
    "async",
    "await",
    "tracing",
    "socket2",
    "libc",
    "println",
    "eprintln",
    "getrandom",
];

/// The most columns of a line. Rows of data inside a string have nowhere to be broken, and may be longer.
const COLUMNS_MAX: usize = 120;
/// The most lines of a file.
const FILE_LINES_MAX: usize = 699;
/// The most lines of a function.
const FUNCTION_LINES_MAX: usize = 69;
/// What must not be left behind. Written in halves, since this file is looked at too.
const LEFT_BEHIND: &[&str] = &[concat!("TO", "DO"), concat!("FIX", "ME"), concat!("db", "g!("), concat!("to", "do!(")];

/// Looks at one file of the crate; `path` is relative to the crate's folder. Returns what is wrong, each with its line.
fn check(path: &str, text: &str) -> Vec<String> {
    let code = strip(text);
    let mut wrong = Vec::new();
    let mut say = |line: usize, what: String| wrong.push(format!("{path}:{line}: {what}"));
    if !text.starts_with("//!") {
        say(1, "the file does not open with `//!`".into());
    }
    if text.lines().count() > FILE_LINES_MAX {
        say(FILE_LINES_MAX + 1, format!("the file has more than {FILE_LINES_MAX} lines"));
    }
    for (index, (line, code)) in text.lines().zip(code.lines()).enumerate() {
        let is_data = code.is_empty() && !line.trim_start().starts_with("//") && !line.ends_with('\\');
        if line.chars().count() > COLUMNS_MAX && !is_data {
            say(index + 1, format!("the line has more than {COLUMNS_MAX} columns"));
        }
        for left in LEFT_BEHIND.iter().filter(|left| line.contains(**left)) {
            say(index + 1, format!("`{left}` is left behind"));
        }
    }
    for (line, name, length) in functions(&code) {
        if length > FUNCTION_LINES_MAX {
            say(line, format!("`{name}` has {length} lines, more than {FUNCTION_LINES_MAX}"));
        }
    }
    let module = module_of(path);
    let name = module.as_ref().map(|module| module.first().map_or("lib", String::as_str));
    for (index, line) in code.lines().enumerate() {
        if name != Some("sys") && has_word(line, "unsafe") {
            say(index + 1, "`unsafe` outside src/sys".into());
        }
    }
    let Some(name) = name.filter(|name| *name != "lib") else { return wrong };
    let Some(module) = MODULES.iter().find(|module| module.name == name) else {
        say(1, format!("the module `{name}` is in no layer"));
        return wrong;
    };
    let product = if is_test(path) { "" } else { before_tests(&code) };
    for (line, import) in imports(path, product) {
        if import != name && !module.imports.contains(&import.as_str()) {
            say(line, format!("`{name}` must not import `{import}`"));
        }
    }
    for (index, line) in product.lines().enumerate().filter(|_| module.is_pure) {
        for word in IMPURE.iter().filter(|word| has_word(line, word)) {
            say(index + 1, format!("`{name}` is pure and must not know `{word}`"));
        }
    }
    wrong
}

/// The modules at the top of the crate that a file names, each with its line; `code` is stripped.
fn imports(path: &str, code: &str) -> Vec<(usize, String)> {
    let Some(module) = module_of(path) else { return Vec::new() };
    let named = paths(code).into_iter();
    named.filter_map(|path| Some((path.line, absolute(&module, &path.segments)?.into_iter().next()?))).collect()
}

/// The imports that the table allows to a module and that no file of it makes, tests aside.
fn unused_permissions(table: &[Module], sources: &[(String, String)]) -> Vec<String> {
    let product = sources.iter().filter(|(path, _)| !is_test(path));
    let made: BTreeSet<(String, String)> = product
        .flat_map(|(path, text)| {
            let module = module_of(path).and_then(|module| module.into_iter().next()).unwrap_or_default();
            let found = imports(path, before_tests(&strip(text)));
            found.into_iter().map(move |(_, import)| (module.clone(), import))
        })
        .collect();
    let allowed = table.iter().flat_map(|module| module.imports.iter().map(|import| (module.name, *import)));
    let unused = allowed.filter(|(name, import)| !made.contains(&((*name).to_owned(), (*import).to_owned())));
    unused
        .map(|(name, import)| format!("`{name}` may import `{import}` and does not: take it from the table"))
        .collect()
}

/// What is wrong with the list of files in ARCHITECTURE.md, whose lines are "- `src/a/b.rs`: what it is for".
fn check_purposes(architecture: &str, sources: &[(String, String)]) -> Vec<String> {
    let lines = architecture.lines().filter_map(|line| line.strip_prefix("- `src/")?.split_once(".rs`"));
    let listed: Vec<(String, &str)> = lines.map(|(path, rest)| (format!("src/{path}.rs"), rest)).collect();
    let product: BTreeSet<&str> = sources.iter().map(|(path, _)| path.as_str()).filter(|path| !is_test(path)).collect();
    let mut wrong = Vec::new();
    let mut seen = BTreeSet::new();
    for (path, rest) in &listed {
        if !product.contains(path.as_str()) {
            wrong.push(format!("ARCHITECTURE.md lists `{path}`, which is not there"));
        }
        if !seen.insert(path.as_str()) {
            wrong.push(format!("ARCHITECTURE.md lists `{path}` twice"));
        }
        if rest.strip_prefix(": ").is_none_or(|purpose| purpose.trim().is_empty()) {
            wrong.push(format!("ARCHITECTURE.md: the line of `{path}` has no purpose"));
        }
    }
    let missing = product.difference(&seen);
    wrong.extend(missing.map(|path| format!("ARCHITECTURE.md has no line \"- `{path}`: what it is for\"")));
    wrong
}

/// Path, relative to the crate's folder, and text of every Rust file in some of its folders.
fn read_sources(folders: &[&str]) -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    for folder in folders {
        rust_files(&root.join(folder), &mut files);
    }
    files.sort();
    assert!(files.len() > 10, "the files were not found");
    let path = |file: &Path| file.strip_prefix(root).expect("inside").to_str().expect("UTF-8").to_owned();
    files.iter().map(|file| (path(file), fs::read_to_string(file).expect("reads"))).collect()
}

/// Every Rust file under `folder`.
fn rust_files(folder: &Path, found: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            rust_files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

#[test]
fn every_file_keeps_the_rules() {
    let sources = read_sources(&["src", "tests", "benches", "fuzz"]);
    let wrong: Vec<String> = sources.iter().flat_map(|(path, text)| check(path, text)).collect();
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn no_module_may_import_upward_or_in_a_ring() {
    let layer = |name: &str| MODULES.iter().position(|module| module.name == name).map(|at| (MODULES[at].layer, at));
    for (index, module) in MODULES.iter().enumerate() {
        for import in module.imports {
            let (layer, at) = layer(import).expect("a known module");
            assert!(layer <= module.layer && at < index, "{} imports {import} upward", module.name);
        }
    }
}

#[test]
fn every_permission_is_used() {
    assert_eq!(unused_permissions(MODULES, &read_sources(&["src"])), [""; 0]);
}

#[test]
fn every_file_has_a_purpose_in_the_architecture() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("ARCHITECTURE.md");
    let wrong = check_purposes(&fs::read_to_string(path).expect("reads"), &read_sources(&["src"]));
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn no_files_import_each_other_but_for_a_reason() {
    let wrong = mutual_imports(&read_sources(&["src"]));
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

/// The files that Cargo wants to see, whatever it builds: what Cargo.toml names by itself.
fn named_targets(manifest: &str) -> Vec<String> {
    let manifest: toml::Table = manifest.parse().expect("Cargo.toml is TOML");
    let mut files = vec!["Cargo.lock".to_owned(), "src/lib.rs".to_owned(), "src/main.rs".to_owned()];
    for (kind, folder) in [("bench", "benches"), ("test", "tests"), ("example", "examples")] {
        for target in manifest.get(kind).and_then(|list| list.as_array()).into_iter().flatten() {
            let name = target["name"].as_str().expect("a target has a name");
            files.push(format!("{folder}/{name}.rs"));
        }
    }
    files
}

/// What is wrong with the way into the container: a target that is not copied, a copied file that is ignored.
fn check_container(manifest: &str, dockerfile: &str, ignored: &str) -> Vec<String> {
    let from_here =
        dockerfile.lines().filter_map(|line| line.strip_prefix("COPY ")).filter(|rest| !rest.contains("--from"));
    let copied: Vec<&str> = from_here.flat_map(|rest| rest.split(' ').rev().skip(1)).collect();
    let is_copied = |file: &str| copied.iter().any(|copy| file == *copy || file.starts_with(&format!("{copy}/")));
    let targets = named_targets(manifest).into_iter().filter(|file| !is_copied(file));
    let mut wrong: Vec<String> = targets.map(|file| format!("Dockerfile: {file} is not copied")).collect();
    let unseen = copied.iter().filter(|copy| !ignored.lines().any(|line| line.strip_prefix('!') == Some(copy)));
    wrong.extend(unseen.map(|copy| format!(".dockerignore: {copy} is copied, but ignored")));
    wrong
}

#[test]
fn the_container_gets_all_that_cargo_wants_to_see() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let [manifest, dockerfile, ignored] = ["Cargo.toml", "Dockerfile", ".dockerignore"]
        .map(|file| fs::read_to_string(root.join(file)).unwrap_or_else(|error| panic!("{file}: {error}")));
    assert_eq!(check_container(&manifest, &dockerfile, &ignored), [""; 0]);
    let without_benches = dockerfile.replace("COPY benches benches", "");
    assert!(!check_container(&manifest, &without_benches, &ignored).is_empty());
    assert!(!check_container(&manifest, &dockerfile, &ignored.replace("!src", "")).is_empty());
}

#[test]
fn planted_violations_are_found() {
    let long_function =
        format!("//! A.\n\nimpl A {{\n    fn long() {{\n{}    }}\n}}\n", "        x();\n".repeat(FUNCTION_LINES_MAX));
    let long_file = format!("//! A.\n{}", "// A.\n".repeat(FILE_LINES_MAX));
    let left = format!("//! A.\n// {}: later\n", LEFT_BEHIND[0]);
    let wide = "a".repeat(COLUMNS_MAX - 2);
    let (comment, text) =
        (format!("//! A.\n// {wide}\n"), format!("//! A.\nconst A: &str = \"\\\n    {wide}\\\n\";\n"));
    for (path, text, expected) in [
        ("src/wire/a.rs", "//! A.\nuse crate::zone::Zone;\n", "src/wire/a.rs:2: `wire` must not import `zone`"),
        (
            "src/zone/a.rs",
            "//! A.\nuse crate::{\n    wire::Name,\n    answer::{Settings, x},\n};\n",
            "`zone` must not import `answer`",
        ),
        (
            "src/serve/a.rs",
            "//! A.\nfn a() {\n    crate::daemon::run();\n}\n",
            "src/serve/a.rs:3: `serve` must not import `daemon`",
        ),
        ("src/answer/a.rs", "//! A.\nuse std::time::Instant;\n", "`answer` is pure and must not know `Instant`"),
        ("src/wire/a.rs", "//! A.\nasync fn a() {}\n", "`wire` is pure and must not know `async`"),
        ("src/zone/a.rs", "//! A.\nfn a() {\n    tracing::info!(\"x\");\n}\n", "must not know `tracing`"),
        (
            "src/zone/a.rs",
            "//! A.\nfn a() {\n    super::super::answer::respond();\n}\n",
            "src/zone/a.rs:3: `zone` must not import `answer`",
        ),
        ("tests/a.rs", "use std::fs;\n", "does not open with `//!`"),
        ("src/attic/a.rs", "//! A.\n", "the module `attic` is in no layer"),
        ("src/sys/a.rs", &long_function, "src/sys/a.rs:4: `long` has 71 lines"),
        ("src/sys/a.rs", &long_file, "more than 699 lines"),
        ("src/sys/a.rs", &left, "is left behind"),
        ("src/sys/a.rs", &comment, "src/sys/a.rs:2: the line has more than 120 columns"),
        ("src/sys/a.rs", &text, "src/sys/a.rs:3: the line has more than 120 columns"),
    ] {
        let wrong = check(path, text);
        assert!(wrong.iter().any(|wrong| wrong.contains(expected)), "{expected:?} was not found in {wrong:?}");
    }
}

/// Paths and texts of a crate made up for a test.
fn planted(files: &[(&str, &str)]) -> Vec<(String, String)> {
    files.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect()
}

#[test]
fn planted_permissions_that_nothing_uses_are_found() {
    let row = |imports| Module { layer: 2, name: "zone", imports, is_pure: true };
    let files = planted(&[
        (
            "src/zone/a.rs",
            "//! A.\nuse crate::{wire::Name, sys};\n// crate::policy\n#[cfg(test)]\n\
             mod tests {\n    use crate::metrics;\n}\n",
        ),
        ("src/zone/b/tests.rs", "//! B.\nuse crate::load::Files;\n"),
    ]);
    assert_eq!(unused_permissions(&[row(&["wire", "sys"])], &files), [""; 0]);
    for unused in ["policy", "metrics", "load", "health"] {
        let table = [row(Box::leak(Box::new(["wire", unused])))];
        let wrong = unused_permissions(&table, &files);
        assert!(wrong.len() == 1 && wrong[0].contains(&format!("`zone` may import `{unused}`")), "{wrong:?}");
    }
}

#[test]
fn planted_gaps_in_the_list_of_files_are_found() {
    let files = planted(&[("src/a.rs", "//! A.\n"), ("src/a/b.rs", "//! B.\n"), ("src/a/tests.rs", "//! C.\n")]);
    let good = "- `src/a.rs`: the letter A\n- `src/a/b.rs`: the letter B\n";
    assert_eq!(check_purposes(good, &files), [""; 0]);
    for (list, expected) in [
        (good.replace("- `src/a.rs`", "`src/a.rs`"), "no line \"- `src/a.rs`:"),
        (good.replace("the letter B", ""), "the line of `src/a/b.rs` has no purpose"),
        (good.replace("a/b", "a/c"), "lists `src/a/c.rs`, which is not there"),
        (format!("{good}{good}"), "lists `src/a.rs` twice"),
    ] {
        let wrong = check_purposes(&list, &files);
        assert!(wrong.iter().any(|wrong| wrong.contains(expected)), "{expected:?} was not found in {wrong:?}");
    }
}

#[test]
fn planted_files_that_import_each_other_are_found() {
    let both = |parent: &str, child: &str| {
        let (parent, child) = (format!("//! A.\n{parent}\n"), format!("//! B.\n{child}\n"));
        mutual_imports(&planted(&[
            ("src/a/b.rs", &child),
            ("src/a/mod.rs", &parent),
            ("src/a/c.rs", "//! C.\nuse super::b::B;\npub struct C;\n"),
            ("src/d.rs", "//! D.\nuse crate::a::A;\n"),
            ("src/e.rs", "//! E.\npub struct E;\n"),
        ]))
    };
    for (parent, child) in [
        ("mod b;\nuse b::B;\npub struct A;", "use super::A;"),
        ("mod b;\nfn a() -> b::B {\n    A\n}", "fn b() {\n    super::a();\n}"),
        ("mod b;\nfn a() -> b::B {\n    A\n}", "fn b() {\n    crate::a::a();\n}"),
        ("use self::b::{B as X};\npub struct A;", "use super::*;"),
        ("pub use b::B;\npub struct A(B);", "use crate::{a::A, d};"),
    ] {
        let wrong = both(parent, child);
        let is_found = wrong.len() == 1 && wrong[0].starts_with("src/a/b.rs:") && wrong[0].contains("src/a/mod.rs:");
        assert!(is_found, "{parent} {child}: {wrong:?}");
    }
    // Over a third file, too.
    let wrong = mutual_imports(&planted(&[
        ("src/a.rs", "//! A.\nuse crate::b::B;\n"),
        ("src/b.rs", "//! B.\nuse crate::c::C;\nuse crate::d::D;\n"),
        ("src/c.rs", "//! C.\nuse crate::a::A;\n"),
        ("src/d.rs", "//! D.\n// mutual: it is well known.\nuse crate::a::A;\n"),
    ]));
    assert_eq!(wrong, ["src/a.rs:2 and src/b.rs:2 and src/c.rs:2 import each other"]);
    // Over a re-export it is the file behind it that is imported.
    let wrong = both("mod b;\nmod c;\nuse c::C;", "use super::C;");
    assert!(wrong.len() == 1 && wrong[0].contains("src/a/b.rs:2 and src/a/c.rs:2"), "{wrong:?}");
    for (parent, child) in [
        ("mod b;\npub use b::B;\npub struct A;", "use super::A;"),
        ("mod b;\nuse b::B;", "use crate::e::E;"),
        ("mod b;\nuse b::B;\npub struct A;", "#[cfg(test)]\nmod tests {\n    use super::super::A;\n}"),
        ("mod b;\nuse b::B;\npub struct A;", "// mutual: each holds the other.\nuse super::{\n    A,\n};"),
    ] {
        assert_eq!(both(parent, child), [""; 0], "{parent} {child}");
    }
    let idle = both("mod b;", "// mutual: it was once.\nuse super::A;");
    assert!(idle.len() == 1 && idle[0].contains("src/a/b.rs:2: `// mutual: ` excuses nothing"), "{idle:?}");
}

#[test]
fn what_is_in_order_is_left_alone() {
    let longest = format!("//! A.\n\nfn long() {{\n{}}}\n", "    x();\n".repeat(FUNCTION_LINES_MAX - 2));
    let row = format!("//! A.\nconst A: &str = r#\"\n{}\n\"#;\n", "a".repeat(COLUMNS_MAX + 1));
    for (path, text) in [
        (
            "src/zone/a.rs",
            "//! A.\nuse crate::wire::Name;\n// No unsafe, no tokio.\nconst A: &str = \"unsafe async\";\n",
        ),
        ("src/zone/a.rs", "//! A.\n#[cfg(test)]\nmod tests {\n    use std::time::Instant;\n}\n"),
        (
            "src/zone/a.rs",
            "//! A.\nconst A: &str = r#\"tokio \" unsafe\"#;\nconst B: char = '\"';\nconst C: char = '\\'';\n",
        ),
        (
            "src/zone/a.rs",
            "//! A.\nfn r#await<'a>(x: &'a str) {}\n/* unsafe /* tokio */ libc */\nfn instantly() {}\n"
                .replace("r#await", "waits")
                .leak(),
        ),
        ("src/zone/a/tests.rs", "//! A.\nuse std::fs;\n"),
        ("src/sys/a.rs", "//! A.\nfn a() {\n    unsafe { b() }\n}\n"),
        ("src/sys/a.rs", longest.as_str()),
        ("src/sys/a.rs", row.as_str()),
    ] {
        assert_eq!(check(path, text), Vec::<String>::new(), "{text}");
    }
}
