//! What is wrong with the configuration, and how it is shown: file, line, column, the line itself, what would be right.

use std::fmt;
use std::io;
use std::ops::Range;
use std::path::Path;

use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};

use crate::wire::Shown;

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigFault {
    /// Where in the file, in octets; `None` where it is not the file's fault.
    pub span: Option<Range<usize>>,
    /// What: key and value.
    pub message: String,
    /// What would be right, in a few words beside the place.
    pub label: String,
    /// What to do.
    pub help: Option<String>,
}

/// Why there is no configuration: all faults, ready to be shown.
#[derive(Clone, Debug)]
pub struct ConfigError {
    /// The faults, in the order of the file.
    pub faults: Vec<ConfigFault>,
    /// How they are shown to people; ends without a line break.
    shown: String,
}

impl ConfigError {
    /// The file could not be read.
    pub(super) fn unreadable(path: &Path, cause: &io::Error) -> Self {
        let message = format!("the configuration file {} can't be read: {cause}", Shown::path(path));
        Self::outside(vec![ConfigFault { span: None, message, label: String::new(), help: None }])
    }

    /// Faults that no file has.
    pub(super) fn outside(faults: Vec<ConfigFault>) -> Self {
        Self { shown: show_all(&faults, None), faults }
    }

    /// Faults of a file.
    pub(super) fn in_file(path: &Path, text: &str, faults: Vec<ConfigFault>) -> Self {
        let (file, text) = (Shown::path(path).to_string(), without_secrets(text));
        Self { shown: show_all(&faults, Some((&file, &text))), faults }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

impl std::error::Error for ConfigError {}

/// Renders the first faults: each costs a look at the whole file, and one slip may make very many.
fn show_all(faults: &[ConfigFault], source: Option<(&str, &str)>) -> String {
    /// The most faults that are shown.
    const FAULTS_MAX: usize = 100;
    let mut shown: Vec<String> = faults.iter().take(FAULTS_MAX).map(|fault| show(fault, source)).collect();
    if let more @ 1.. = faults.len().saturating_sub(FAULTS_MAX) {
        shown.push(format!("faults besides these: {more}"));
    }
    shown.join("\n")
}

/// The text of a file with each value that may be a secret blotted out, every octet staying in its place. It need be no
/// TOML, and its keys may be misspelt.
///
/// Of `[[key]]`, only the lines of keys that hold no secret stay, and elsewhere all lines that know nothing of secrets.
fn without_secrets(text: &str) -> String {
    /// The keys of `[[key]]` that hold no secret.
    const PUBLIC: [&str; 4] = ["name", "algorithm", "allow-md5", "secret-file"];
    let mut shown = String::with_capacity(text.len());
    let (mut is_in_section, mut is_in_key) = (false, false);
    for line in text.split_inclusive('\n') {
        let first = line.trim_start();
        let is_header = first.starts_with('[');
        if is_header || !is_in_section {
            let starts_with_key = first.trim_start_matches(['[', '"', '\'', ' ', '\t']).starts_with("key");
            is_in_key = starts_with_key || !is_header && is_in_key;
            is_in_section |= is_header;
        }
        let is_public = line.matches('=').count() == 1
            && PUBLIC.iter().any(|key| first.strip_prefix(key).is_some_and(|rest| rest.trim_start().starts_with('=')));
        if is_header || is_public || !is_in_key && !line.to_ascii_lowercase().contains("secret") {
            shown.push_str(line);
            continue;
        }
        let (key, value) = line.split_at(line.find('=').filter(|at| is_key(&line[..*at])).unwrap_or(0));
        shown.push_str(key);
        for character in value.chars() {
            match character {
                ' ' | '\t' | '\r' | '\n' | '=' | '"' | '\'' | '{' | '}' | '[' | ']' => shown.push(character),
                _ => shown.extend(std::iter::repeat_n('*', character.len_utf8())),
            }
        }
    }
    shown
}

/// Whether a text looks like a key of ours, and not like base64.
fn is_key(text: &str) -> bool {
    /// Octets of the longest key of `[[key]]`, and room for slips.
    const BYTES_MAX: usize = 16;
    let text = text.trim().trim_matches(['"', '\'']);
    text.len() <= BYTES_MAX && text.bytes().all(|octet| octet.is_ascii_lowercase() || octet == b'-')
}

/// Renders one fault as compilers do.
fn show(fault: &ConfigFault, source: Option<(&str, &str)>) -> String {
    let mut report =
        Level::ERROR.primary_title(fault.message.as_str()).elements(Vec::<annotate_snippets::Message<'_>>::new());
    if let (Some(span), Some((file, text))) = (&fault.span, source) {
        let start = span.start.min(text.len());
        let end = span.end.clamp(start, text.len());
        let mut mark = AnnotationKind::Primary.span(start..end);
        if !fault.label.is_empty() {
            mark = mark.label(fault.label.as_str());
        }
        report = report.element(Snippet::source(text).path(file).annotation(mark));
    }
    if let Some(help) = &fault.help {
        report = report.element(Level::HELP.message(help.as_str()));
    }
    Renderer::plain().render(&[report])
}
