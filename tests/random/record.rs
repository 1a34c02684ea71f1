//! The folder of a round: zones, what the servers logged, every question, every reply, every verdict.

use std::fmt::Write as _;
use std::fs;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use super::common::message::Query;
use super::questions::Ways;

/// A folder that is filled while a round goes on, so that it shows a round that does not end too.
#[derive(Debug)]
pub(crate) struct Record {
    folder: PathBuf,
    answers: BufWriter<fs::File>,
}

impl Record {
    /// Makes the folder of the round with this seed below `parent`, anew.
    pub(crate) fn new(parent: &Path, seed: u64) -> Self {
        let folder = parent.join(format!("seed-{seed}"));
        // Of an earlier run; a first one has none.
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
        let file = folder.join("answers.txt");
        let answers = fs::File::create(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        Self { folder, answers: BufWriter::new(answers) }
    }

    /// Writes a file.
    pub(crate) fn file(&self, name: &str, text: &str) -> PathBuf {
        let file = self.folder.join(name);
        fs::write(&file, text).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        file
    }

    /// Writes one question: the verdict, the query, and the reply of each server as it came, in hexadecimal.
    pub(crate) fn answer(&mut self, query: &Query, way: Ways, verdict: &str, replies: [(&str, &[u8]); 4]) {
        let transport = if way.is_tcp { "TCP" } else { "UDP" };
        let mut text = format!("{query} over {transport}: {verdict}\n  query {}\n", hex(&query.encode(0)));
        for (server, reply) in replies {
            writeln!(text, "  {server} {}", hex(reply)).expect("a String takes everything");
        }
        self.answers.write_all(text.as_bytes()).expect("the folder can be written to");
    }

    /// Brings to disk what is still in memory.
    pub(crate) fn flush(&mut self) {
        self.answers.flush().expect("the folder can be written to");
    }
}

/// Octets in hexadecimal.
fn hex(octets: &[u8]) -> String {
    octets.iter().fold(String::with_capacity(octets.len() * 2), |mut text, octet| {
        write!(text, "{octet:02x}").expect("a String takes everything");
        text
    })
}
