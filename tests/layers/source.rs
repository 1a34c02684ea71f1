//! Rust source as text: code without comments and strings, its functions, and the paths that it names.

/// The code in front of the unit tests.
pub(crate) fn before_tests(code: &str) -> &str {
    let mut at = code.match_indices("#[cfg(test)]").map(|(at, _)| at);
    let is_of_tests = |at: &usize| {
        let item = code[*at..].lines().skip(1).find(|line| !line.starts_with("#["));
        item.is_some_and(|line| line.starts_with("mod tests"))
    };
    at.find(is_of_tests).map_or(code, |at| &code[..at])
}

/// Whether `word` stands in the line with no letter, digit or underscore at its sides.
pub(crate) fn has_word(line: &str, word: &str) -> bool {
    let is_part = |character: char| character.is_alphanumeric() || character == '_';
    line.match_indices(word).any(|(at, _)| {
        !line[..at].chars().next_back().is_some_and(is_part)
            && !line[at + word.len()..].chars().next().is_some_and(is_part)
    })
}

/// The identifier that a text begins with.
pub(crate) fn first_word(text: &str) -> String {
    text.chars().take_while(|character| character.is_alphanumeric() || *character == '_').collect()
}

/// The functions of formatted code: line, name and length from `fn` to the closing brace.
pub(crate) fn functions(code: &str) -> Vec<(usize, String, usize)> {
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
pub(crate) fn strip(text: &str) -> String {
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

/// A path as code names it, such as `super::raw::RawConfig`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct NamedPath {
    /// The line, from 1 on.
    pub(crate) line: usize,
    /// Its identifiers; the last is `*` for a glob.
    pub(crate) segments: Vec<String>,
    /// The name that a `use` gives to it; `None` where it stands in an expression, a type, or a `use … as _`.
    pub(crate) name: Option<String>,
    /// Whether it stands in a `use` with a visibility of its own: others may use it from here.
    pub(crate) is_reexport: bool,
}

/// The paths of several identifiers that code names, and all that stand in a `use`; `code` is stripped.
pub(crate) fn paths(code: &str) -> Vec<NamedPath> {
    let tokens = tokens(code);
    let (mut found, mut at) = (Vec::new(), 0);
    while at < tokens.len() {
        let (line, token) = tokens[at];
        let follows_path = at > 0 && tokens[at - 1].1 == "::";
        if token == "use" {
            let is_reexport = at > 0 && matches!(tokens[at - 1].1, "pub" | ")");
            let first = found.len();
            at = tree(&tokens, at + 1, &[], &mut found);
            found[first..].iter_mut().for_each(|path| path.is_reexport = is_reexport);
        } else if is_identifier(token) && !follows_path && tokens.get(at + 1).is_some_and(|(_, next)| *next == "::") {
            let mut path = NamedPath { line, segments: Vec::new(), name: None, is_reexport: false };
            while tokens.get(at).is_some_and(|(_, token)| is_identifier(token)) {
                path.segments.push(tokens[at].1.to_owned());
                let goes_on = tokens.get(at + 1).is_some_and(|(_, next)| *next == "::");
                at += if goes_on { 2 } else { 1 };
                if !goes_on {
                    break;
                }
            }
            found.push(path);
        } else {
            at += 1;
        }
    }
    found
}

/// Reads one tree of a `use` from token `at` on; returns where it ends.
fn tree(tokens: &[(usize, &str)], mut at: usize, outer: &[String], found: &mut Vec<NamedPath>) -> usize {
    let mut segments = outer.to_vec();
    while let Some((line, token)) = tokens.get(at).copied() {
        match token {
            "::" => at += 1,
            "{" => {
                at += 1;
                while tokens.get(at).is_some_and(|(_, token)| *token != "}") {
                    at = tree(tokens, at, &segments, found);
                    at += usize::from(tokens.get(at).is_some_and(|(_, token)| *token == ","));
                }
                return at + 1;
            }
            _ if token == "*" || is_identifier(token) => {
                if token != "self" || segments.is_empty() {
                    segments.push(token.to_owned());
                }
                at += 1;
                if tokens.get(at).is_some_and(|(_, next)| *next == "::") {
                    continue;
                }
                let alias = tokens.get(at).filter(|(_, next)| *next == "as").and_then(|_| tokens.get(at + 1));
                let name = alias.map_or_else(|| segments.last().cloned(), |(_, name)| Some((*name).to_owned()));
                at += if alias.is_some() { 2 } else { 0 };
                let name = name.filter(|name| name != "_");
                found.push(NamedPath { line, segments, name, is_reexport: false });
                return at;
            }
            _ => return at + 1,
        }
    }
    at
}

/// Identifiers, `::` and single characters, each with its line.
fn tokens(code: &str) -> Vec<(usize, &str)> {
    let (mut found, mut rest, mut line) = (Vec::new(), code, 1);
    while let Some(character) = rest.chars().next() {
        let length = match first_word(rest).len() {
            0 if rest.starts_with("::") => 2,
            0 => character.len_utf8(),
            length => length,
        };
        if !character.is_whitespace() {
            found.push((line, &rest[..length]));
        }
        line += usize::from(character == '\n');
        rest = &rest[length..];
    }
    found
}

/// Whether a token is a word that does not begin with a digit.
fn is_identifier(token: &str) -> bool {
    token.starts_with(|character: char| character.is_alphabetic() || character == '_')
}
