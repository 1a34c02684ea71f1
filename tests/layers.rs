//! Holds the house in shape: floors, pure rooms, `unsafe` in `sys` alone, limits on files and functions.
//!
//! Reads the sources as text. What stands in comments and in `#[cfg(test)]` modules at the end of a file does not count.

use std::fs;
use std::path::{Path, PathBuf};

/// The rooms from the lowest floor up. A room imports from lower floors, and from itself.
const FLOORS: [&[&str]; 7] = [
    &["sys", "wire", "metrics"],
    &["zone"],
    &["answer"],
    &["serve"],
    &["config", "load", "admin"],
    &["daemon"],
    &["cli", "main"],
];
/// Rooms of one floor that import each other, in this direction only: `load` reads what `config` says.
const ASIDE: [(&str, &str); 1] = [("load", "config")];
/// Rooms that know no socket, clock, thread, log, file or `async`.
const PURE: [&str; 3] = ["wire", "zone", "answer"];
/// What a pure room must not name.
const IMPURE: [&str; 12] = [
    "std::net",
    "std::fs",
    "std::time",
    "std::thread",
    "std::process",
    "std::env",
    "tokio",
    "tracing",
    "async ",
    "println!",
    "socket2",
    "libc",
];
/// What stays behind in no file.
const LEFT_BEHIND: [&str; 5] = ["todo!", "unimplemented!", "dbg!", "TODO", "FIXME"];
const FILE_LINES_MAX: usize = 700;
const FUNCTION_LINES_MAX: usize = 70;

/// One source file.
struct Source {
    path: String,
    text: String,
}

/// The sources below a folder of the crate.
fn sources(folder: &str) -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    let mut folders = vec![root.join(folder)];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = fs::read_dir(&folder) else { continue };
        for path in entries.map(|entry| entry.expect("a readable folder").path()) {
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(source(root, &path));
            }
        }
    }
    found
}

fn source(root: &Path, path: &PathBuf) -> Source {
    let text = fs::read_to_string(path).expect("a readable file");
    Source { path: path.strip_prefix(root).expect("below the root").display().to_string(), text }
}

/// The room that a file below `src` belongs to; `None` for `lib.rs`.
fn room(path: &str) -> Option<&str> {
    let rest = path.strip_prefix("src/")?;
    let room = rest.split('/').next()?.trim_end_matches(".rs");
    (room != "lib").then_some(room)
}

fn floor(room: &str) -> Option<usize> {
    FLOORS.iter().position(|rooms| rooms.contains(&room))
}

/// The lines of code with their numbers: without comments, without the tests at the end.
fn code(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines()
        .enumerate()
        .take_while(|(_, line)| !line.starts_with("mod tests {"))
        .map(|(index, line)| (index + 1, line.split("//").next().unwrap_or("")))
}

/// The rooms that a line of code names: `crate::room`, or `fated::room` in `main.rs`.
fn named_rooms(line: &str) -> impl Iterator<Item = &str> {
    ["crate::", "fated::"].into_iter().flat_map(|prefix| line.split(prefix).skip(1)).map(|rest| {
        let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
        &rest[..end]
    })
}

/// What is wrong with the imports of a file.
fn import_faults(source: &Source) -> Vec<String> {
    let Some(mine) = room(&source.path) else { return Vec::new() };
    let Some(my_floor) = floor(mine) else { return vec![format!("{}: room `{mine}` has no floor", source.path)] };
    let is_allowed = |other: &str| {
        other == mine || ASIDE.contains(&(mine, other)) || floor(other).is_none_or(|floor| floor < my_floor)
    };
    code(&source.text)
        .flat_map(|(line, text)| named_rooms(text).map(move |other| (line, other)))
        .filter(|(_, other)| !is_allowed(other))
        .map(|(line, other)| format!("{}:{line}: `{mine}` must not import `{other}`", source.path))
        .collect()
}

/// What a pure room names and must not.
fn purity_faults(source: &Source) -> Vec<String> {
    if !room(&source.path).is_some_and(|room| PURE.contains(&room)) || source.path.ends_with("/tests.rs") {
        return Vec::new();
    }
    let named = |(line, text): (usize, &str)| {
        let word = IMPURE.into_iter().find(|word| text.contains(word))?;
        Some(format!("{}:{line}: a pure room names `{}`", source.path, word.trim()))
    };
    code(&source.text).filter_map(named).collect()
}

/// `unsafe` outside `sys`, what was left behind, missing headings, files that are too long.
fn form_faults(source: &Source) -> Vec<String> {
    let mut faults = Vec::new();
    let path = &source.path;
    if !source.text.starts_with("//!") && !source.text.starts_with("#!") {
        faults.push(format!("{path}: does not open with `//!`"));
    }
    let count = source.text.lines().count();
    if count >= FILE_LINES_MAX {
        faults.push(format!("{path}: {count} lines"));
    }
    let may_be_unsafe = room(path) == Some("sys");
    for (line, text) in code(&source.text) {
        let is_block = ["unsafe {", "unsafe fn", "unsafe impl", "unsafe extern"].iter().any(|word| text.contains(word));
        if is_block && !may_be_unsafe && path.starts_with("src/") {
            faults.push(format!("{path}:{line}: `unsafe` outside of `sys`"));
        }
    }
    // This file names them itself.
    if path != "tests/layers.rs" {
        for (index, text) in source.text.lines().enumerate() {
            if let Some(word) = LEFT_BEHIND.iter().find(|word| text.contains(**word)) {
                faults.push(format!("{path}:{}: `{word}`", index + 1));
            }
        }
    }
    faults
}

/// Functions that are too long. Reads formatted code: a function ends at a brace as deep as its first line.
fn length_faults(source: &Source) -> Vec<String> {
    let mut faults = Vec::new();
    let mut open: Vec<(usize, usize, String)> = Vec::new();
    for (index, line) in source.text.lines().enumerate() {
        let depth = line.len() - line.trim_start().len();
        let text = line.trim_start();
        if text.starts_with('}')
            && let Some((start, _, name)) = open.pop_if(|(_, known, _)| *known == depth)
        {
            let count = index - start + 1;
            if count >= FUNCTION_LINES_MAX {
                faults.push(format!("{}:{}: `{name}` has {count} lines", source.path, start + 1));
            }
        }
        let head = text.split('(').next().unwrap_or("");
        let is_function = head.split(' ').any(|word| word == "fn") && !text.starts_with("//");
        if is_function && !text.ends_with('}') && !text.ends_with(';') {
            let name = head.split("fn ").nth(1).unwrap_or("").to_owned();
            open.push((index, depth, name));
        }
    }
    faults
}

/// Checks all sources with one rule.
fn check(folders: &[&str], rule: impl Fn(&Source) -> Vec<String>) {
    let all: Vec<Source> = folders.iter().flat_map(|folder| sources(folder)).collect();
    assert!(!all.is_empty(), "no sources found");
    let faults: Vec<String> = all.iter().flat_map(rule).collect();
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

#[test]
fn nothing_imports_upward() {
    check(&["src"], import_faults);
}

#[test]
fn pure_rooms_know_no_world() {
    check(&["src"], purity_faults);
}

#[test]
fn files_are_in_form() {
    check(&["src", "tests", "benches", "fuzz"], form_faults);
}

#[test]
fn functions_are_short() {
    check(&["src", "tests", "benches", "fuzz"], length_faults);
}

#[test]
fn each_rule_finds_what_it_is_for() {
    let planted = |path: &str, text: &str| Source { path: path.to_owned(), text: text.to_owned() };
    let upward = planted("src/zone/x.rs", "//! x\nuse crate::serve::bind;\nuse crate::wire::Name; // crate::daemon\n");
    assert_eq!(import_faults(&upward), ["src/zone/x.rs:2: `zone` must not import `serve`"]);
    assert_eq!(import_faults(&planted("src/nowhere/x.rs", "//! x\n")).len(), 1);
    assert!(import_faults(&planted("src/load/x.rs", "//! x\nuse crate::config::Config;\n")).is_empty());
    assert_eq!(import_faults(&planted("src/config/x.rs", "//! x\nuse crate::load::Files;\n")).len(), 1);
    assert_eq!(purity_faults(&planted("src/answer/x.rs", "//! x\nuse std::time::Instant;\n")).len(), 1);
    assert!(purity_faults(&planted("src/serve/x.rs", "//! x\nuse std::time::Instant;\n")).is_empty());
    assert_eq!(form_faults(&planted("src/zone/x.rs", "use x;\nfn f() { unsafe { x() } }\n")).len(), 2);
    assert!(form_faults(&planted("src/sys/x.rs", "//! x\nfn f() { unsafe { x() } }\n")).is_empty());
    assert_eq!(form_faults(&planted("src/zone/x.rs", &format!("//! x\n// TO{}\n", "DO"))).len(), 1);
    assert_eq!(form_faults(&planted("src/zone/x.rs", &format!("//! x\n{}", "\n".repeat(FILE_LINES_MAX)))).len(), 1);
    let long = format!("//! x\n    fn long(\n    ) {{\n{}    }}\n", "        x();\n".repeat(FUNCTION_LINES_MAX));
    assert_eq!(length_faults(&planted("src/zone/x.rs", &long)).len(), 1);
    assert!(length_faults(&planted("src/zone/x.rs", "//! x\nfn short() {\n    x();\n}\n")).is_empty());
}
