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
        let shown = faults.iter().map(|fault| show(fault, None)).collect::<Vec<_>>().join("\n");
        Self { faults, shown }
    }

    /// Faults of a file.
    pub(super) fn in_file(path: &Path, text: &str, faults: Vec<ConfigFault>) -> Self {
        let file = Shown::path(path).to_string();
        let shown = faults.iter().map(|fault| show(fault, Some((&file, text)))).collect::<Vec<_>>().join("\n");
        Self { faults, shown }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

impl std::error::Error for ConfigError {}

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
