//! The house keeps its order: who may import whom, what pure rooms must not touch, where `unsafe` may stand, and how
//! long files and functions may be. The checker is itself checked on planted violations.

use std::fs;
use std::path::{Path, PathBuf};

/// One room: the floor it is on, its name, and the rooms that it may import.
struct Room {
    floor: u8,
    name: &'static str,
    imports: &'static [&'static str],
    /// Whether it must know no socket, clock, thread, log, file or `async`.
    is_pure: bool,
}

/// The rooms from the ground up. Nothing imports upward.
const ROOMS: &[Room] = &[
    Room { floor: 1, name: "sys", imports: &[], is_pure: false },
    Room { floor: 1, name: "wire", imports: &[], is_pure: true },
    Room { floor: 1, name: "metrics", imports: &[], is_pure: false },
    Room { floor: 1, name: "policy", imports: &[], is_pure: true },
    Room { floor: 2, name: "zone", imports: &["wire"], is_pure: true },
    Room { floor: 3, name: "answer", imports: &["wire", "zone"], is_pure: true },
    Room { floor: 4, name: "serve", imports: &["sys", "wire", "metrics", "answer"], is_pure: false },
    Room { floor: 4, name: "health", imports: &["sys", "wire", "policy", "metrics", "answer"], is_pure: false },
    Room { floor: 4, name: "route", imports: &["sys", "policy", "metrics"], is_pure: false },
    Room {
        floor: 5,
        name: "config",
        imports: &["sys", "wire", "zone", "policy", "answer", "serve", "health", "route"],
        is_pure: false,
    },
    Room { floor: 5, name: "load", imports: &["wire", "zone", "config"], is_pure: false },
    Room { floor: 5, name: "admin", imports: &["sys", "wire", "metrics"], is_pure: false },
    Room {
        floor: 6,
        name: "daemon",
        imports: &[
            "sys", "metrics", "policy", "wire", "zone", "answer", "serve", "health", "route", "config", "load", "admin",
        ],
        is_pure: false,
    },
    Room { floor: 7, name: "cli", imports: &["wire", "zone", "config", "load", "admin", "daemon"], is_pure: false },
    Room { floor: 7, name: "main", imports: &[], is_pure: false },
];

/// What pure rooms must not name. Addresses as values are in `core::net`, which has no sockets.
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
    for (index, line) in text.lines().enumerate() {
        for left in LEFT_BEHIND.iter().filter(|left| line.contains(**left)) {
            say(index + 1, format!("`{left}` is left behind"));
        }
    }
    for (line, name, length) in functions(&code) {
        if length > FUNCTION_LINES_MAX {
            say(line, format!("`{name}` has {length} lines, more than {FUNCTION_LINES_MAX}"));
        }
    }
    let room = room_of(path);
    for (index, line) in code.lines().enumerate() {
        if room != Some("sys") && has_word(line, "unsafe") {
            say(index + 1, "`unsafe` outside src/sys".into());
        }
    }
    let Some(name) = room.filter(|name| *name != "lib") else { return wrong };
    let Some(room) = ROOMS.iter().find(|room| room.name == name) else {
        say(1, format!("the room `{name}` is on no floor"));
        return wrong;
    };
    let tested = if path.ends_with("/tests.rs") { "" } else { before_tests(&code) };
    for (line, import) in imports(tested) {
        if import != name && !room.imports.contains(&import.as_str()) {
            say(line, format!("`{name}` must not import `{import}`"));
        }
    }
    for (index, line) in tested.lines().enumerate().filter(|_| room.is_pure) {
        for word in IMPURE.iter().filter(|word| has_word(line, word)) {
            say(index + 1, format!("`{name}` is pure and must not know `{word}`"));
        }
    }
    wrong
}

/// The room of a file under `src/`; `None` for other files.
fn room_of(path: &str) -> Option<&str> {
    let inner = path.strip_prefix("src/")?;
    let first = inner.split('/').next().unwrap_or(inner);
    Some(first.strip_suffix(".rs").unwrap_or(first))
}

/// The code in front of the unit tests.
fn before_tests(code: &str) -> &str {
    code.split("#[cfg(test)]").next().unwrap_or(code)
}

/// Whether `word` stands in the line with no letter, digit or underscore at its sides.
fn has_word(line: &str, word: &str) -> bool {
    let is_part = |character: char| character.is_alphanumeric() || character == '_';
    line.match_indices(word).any(|(at, _)| {
        !line[..at].chars().next_back().is_some_and(is_part)
            && !line[at + word.len()..].chars().next().is_some_and(is_part)
    })
}

/// The rooms that are named as `crate::room` or `crate::{room, …}`, with the lines.
fn imports(code: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for (at, key) in code.match_indices("crate::") {
        let line = code[..at].matches('\n').count() + 1;
        let rest = &code[at + key.len()..];
        match rest.strip_prefix('{') {
            None => found.push((line, first_word(rest))),
            Some(list) => found.extend(top_level(list).into_iter().map(|item| (line, first_word(item.trim_start())))),
        }
    }
    found
}

/// The identifier that a text begins with.
fn first_word(text: &str) -> String {
    text.chars().take_while(|character| character.is_alphanumeric() || *character == '_').collect()
}

/// The parts of a brace list that ends at its own closing brace, inner lists kept whole.
fn top_level(list: &str) -> Vec<&str> {
    let (mut depth, mut start, mut parts) = (0, 0, Vec::new());
    for (at, character) in list.char_indices() {
        match character {
            '{' => depth += 1,
            '}' if depth == 0 => {
                parts.push(&list[start..at]);
                break;
            }
            '}' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(&list[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.retain(|part| !part.trim().is_empty());
    parts
}

/// The functions of formatted code: line, name and length from `fn` to the closing brace.
fn functions(code: &str) -> Vec<(usize, String, usize)> {
    let lines: Vec<&str> = code.lines().collect();
    let mut found = Vec::new();
    for (index, line) in lines.iter().enumerate() {
        let trimmed = line.trim_start();
        let Some(at) = trimmed.find("fn ").filter(|at| is_prefix_of_fn(&trimmed[..*at])) else { continue };
        let indent = &line[..line.len() - trimmed.len()];
        let (closing, declared) = (format!("{indent}}}"), format!("{indent})"));
        // A declaration in a trait has no body: its last line begins as its first one does and ends with `;`.
        let is_end = |line: &&str| **line == closing || (line.starts_with(&declared) && line.ends_with(';'));
        let end = lines[index..].iter().position(is_end);
        let is_one_line = line.ends_with('}') || line.ends_with(';');
        let length = if is_one_line { 1 } else { end.map_or(lines.len() - index, |end| end + 1) };
        found.push((index + 1, first_word(&trimmed[at + 3..]), length));
    }
    found
}

/// Whether what stands in front of `fn` are only qualifiers.
fn is_prefix_of_fn(text: &str) -> bool {
    let is_qualifier = |word: &str| matches!(word, "const" | "async" | "unsafe" | "extern") || word.starts_with("pub");
    text.split_whitespace().all(|word| is_qualifier(word) || word.starts_with('"') || word.ends_with(')'))
}

/// Blanks comments and the insides of strings and characters, and keeps every line break.
fn strip(text: &str) -> String {
    let characters: Vec<char> = text.chars().collect();
    let mut code = String::with_capacity(text.len());
    let mut at = 0;
    while at < characters.len() {
        let rest = &characters[at..];
        let before_is_word = at > 0 && (characters[at - 1].is_alphanumeric() || characters[at - 1] == '_');
        let length = match rest {
            ['/', '/', ..] => rest.iter().position(|character| *character == '\n').unwrap_or(rest.len()),
            ['/', '*', ..] => block_comment_length(rest),
            ['"', ..] => string_length(rest),
            ['r', '"' | '#', ..] if !before_is_word => raw_string_length(rest).unwrap_or(0),
            ['b', 'r', '"' | '#', ..] if !before_is_word => {
                raw_string_length(&rest[1..]).map_or(0, |length| length + 1)
            }
            ['\'', '\\', _, ..] => rest[3..].iter().position(|character| *character == '\'').map_or(0, |end| end + 4),
            ['\'', _, '\'', ..] => 3,
            _ => 0,
        };
        if length == 0 {
            code.push(characters[at]);
            at += 1;
        } else {
            code.extend(rest[..length].iter().filter(|character| **character == '\n'));
            at += length;
        }
    }
    code
}

/// Octets of a block comment, which may hold others.
fn block_comment_length(text: &[char]) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at < text.len() {
        match text[at..] {
            ['/', '*', ..] => (depth, at) = (depth + 1, at + 2),
            ['*', '/', ..] => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            break;
        }
    }
    at
}

/// Characters of a string with its quotes.
fn string_length(text: &[char]) -> usize {
    let mut at = 1;
    while at < text.len() {
        match text[at] {
            '\\' => at += 2,
            '"' => return at + 1,
            _ => at += 1,
        }
    }
    text.len()
}

/// Characters of a raw string with its `r`; `None` where it is none, such as `r#type`.
fn raw_string_length(text: &[char]) -> Option<usize> {
    let hashes = text[1..].iter().take_while(|character| **character == '#').count();
    if text.get(1 + hashes) != Some(&'"') {
        return None;
    }
    let end: Vec<char> = std::iter::once('"').chain(std::iter::repeat_n('#', hashes)).collect();
    let body = &text[2 + hashes..];
    let length = body.windows(end.len()).position(|window| window == end).unwrap_or(body.len());
    Some((2 + hashes + length + end.len()).min(text.len()))
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
fn the_house_is_in_order() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    for folder in ["src", "tests", "benches", "fuzz/fuzz_targets"] {
        rust_files(&root.join(folder), &mut files);
    }
    assert!(files.len() > 10, "the files were not found");
    let mut wrong: Vec<String> = Vec::new();
    for file in files {
        let path = file.strip_prefix(root).expect("inside").to_str().expect("UTF-8").to_owned();
        wrong.extend(check(&path, &fs::read_to_string(&file).expect("reads")));
    }
    wrong.sort();
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn no_room_may_import_upward_or_in_a_ring() {
    let floor = |name: &str| ROOMS.iter().position(|room| room.name == name).map(|at| (ROOMS[at].floor, at));
    for (index, room) in ROOMS.iter().enumerate() {
        for import in room.imports {
            let (floor, at) = floor(import).expect("a known room");
            assert!(floor <= room.floor && at < index, "{} imports {import} upward", room.name);
        }
    }
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
        ("src/serve/a.rs", "//! A.\nfn a() {\n    unsafe { b() }\n}\n", "src/serve/a.rs:3: `unsafe` outside src/sys"),
        ("tests/a.rs", "use std::fs;\n", "does not open with `//!`"),
        ("src/attic/a.rs", "//! A.\n", "the room `attic` is on no floor"),
        ("src/sys/a.rs", &long_function, "src/sys/a.rs:4: `long` has 71 lines"),
        ("src/sys/a.rs", &long_file, "more than 699 lines"),
        ("src/sys/a.rs", &left, "is left behind"),
    ] {
        let wrong = check(path, text);
        assert!(wrong.iter().any(|wrong| wrong.contains(expected)), "{expected:?} was not found in {wrong:?}");
    }
}

#[test]
fn what_is_in_order_is_left_alone() {
    let longest = format!("//! A.\n\nfn long() {{\n{}}}\n", "    x();\n".repeat(FUNCTION_LINES_MAX - 2));
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
    ] {
        assert_eq!(check(path, text), Vec::<String>::new(), "{text}");
    }
}
