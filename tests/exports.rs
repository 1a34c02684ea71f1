//! What other tools export, as `docs/exports.md` shows it: each sample is checked as it came, with the words that it
//! gets, and once more with the repair on the page.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// One export.
struct Export {
    /// The file in `tests/exports`.
    file: &'static str,
    /// What `fated check` must say of it as it came; with nothing, no fault is found.
    says: &'static [&'static str],
    /// What stands there, and what has to; empty where it is served as it came.
    repair: &'static [(&'static str, &'static str)],
}

/// All of them.
const EXPORTS: [Export; 14] = [
    as_it_came("bind.zone"),
    as_it_came("knot.zone"),
    as_it_came("nsd.zone"),
    as_it_came("powerdns.zone"),
    as_it_came("cpanel.zone"),
    as_it_came("plesk.zone"),
    // Without a `$TTL`, Windows means the last number of the SOA, here 1200.
    Export {
        file: "windows.zone",
        says: &["warning[no-ttl]", "$TTL"],
        repair: &[(";\r\n;  Database", "$TTL 1200\r\n;  Database")],
    },
    Export {
        file: "windows-aged.zone",
        says: &["error[missing-field]", "[AGE:3711234]"],
        repair: &[(";\r\n;  Database", "$TTL 1200\r\n;  Database"), ("[AGE:3711234]", "")],
    },
    Export {
        file: "cloudflare.zone",
        says: &["error[soa-not-at-apex]", "a final dot that is missing"],
        repair: &[
            ("example.org\t3600\tIN\tSOA", "example.org.\t3600\tIN\tSOA"),
            ("example.org.\t1\tIN\tCNAME\twww.example.org.", "example.org.\t300\tIN\tA\t192.0.2.80"),
        ],
    },
    Export {
        file: "route53.zone",
        says: &["error[unknown-type]", "`AWS`"],
        repair: &[("@\t86400\tAWS\tALIAS\tA www Z0123456789 false", "@\t60\tIN\tA\t192.0.2.80")],
    },
    Export {
        file: "azure.zone",
        says: &[],
        repair: &[("azuredns-hostmaster.microsoft.com (", "azuredns-hostmaster.microsoft.com. (")],
    },
    Export {
        file: "powerdns-alias.zone",
        says: &["error[unknown-type]", "`ALIAS`", "`LUA`"],
        repair: &[
            ("IN\tALIAS\tlb.example.net.", "IN\tA\t192.0.2.80"),
            ("IN\tLUA\tA \"ifportup(443, {'192.0.2.80'})\"", "IN\tA\t192.0.2.80"),
        ],
    },
    Export {
        file: "axfr.zone",
        says: &["warning[duplicate]", "SOA"],
        repair: &[(
            "example.org.\t\t3600\tIN\tSOA\tns1.example.org. hostmaster.example.org. 2026010101 \
             10800 3600 604800 3600\n;; XFR",
            ";; XFR",
        )],
    },
    // The data of tinydns is no zone file; the page says how to get one.
    Export { file: "tinydns.data", says: &["error[not-a-zone-file]"], repair: &[] },
];

/// An export in which nothing is found.
const fn as_it_came(file: &'static str) -> Export {
    Export { file, says: &[], repair: &[] }
}

/// The folder of the samples.
fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/exports")
}

/// Checks a file as `example.org`: the exit code, and all that was said.
fn check(file: &Path) -> (Option<i32>, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_fated"))
        .args(["check", "--zone"])
        .arg(format!("example.org={}", file.display()))
        .output()
        .expect("the program of this crate can be started");
    let text = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8_lossy(&text).into_owned())
}

#[test]
fn each_export_gets_the_words_of_the_page() {
    for export in &EXPORTS {
        let (code, text) = check(&folder().join(export.file));
        for words in export.says {
            assert!(text.contains(words), "{}: no {words:?} in\n{text}", export.file);
        }
        let has_errors = export.says.iter().any(|words| words.starts_with("error"));
        assert_eq!(code, Some(i32::from(has_errors)), "{}:\n{text}", export.file);
        assert_eq!(export.says.is_empty(), text.contains("no faults"), "{}:\n{text}", export.file);
    }
}

#[test]
fn each_export_is_served_with_the_repair_of_the_page() {
    let work = tempfile::tempdir().expect("a temporary folder can be made");
    for export in EXPORTS.iter().filter(|export| !export.repair.is_empty()) {
        let mut text = fs::read_to_string(folder().join(export.file)).expect("the sample can be read");
        for (from, to) in export.repair {
            assert!(text.contains(from), "{}: no {from:?}", export.file);
            text = text.replace(from, to);
        }
        let file = work.path().join(export.file);
        fs::write(&file, text).expect("the folder can be written to");
        let (code, said) = check(&file);
        assert_eq!((code, said.contains("no faults")), (Some(0), true), "{}:\n{said}", export.file);
    }
}

#[test]
fn the_page_names_every_sample() {
    let page = include_str!("../docs/exports.md");
    for entry in fs::read_dir(folder()).expect("the folder is there").flatten() {
        let name = entry.file_name().into_string().expect("the names are UTF-8");
        assert!(page.contains(&format!("`{name}`")), "docs/exports.md does not name {name}");
        assert!(EXPORTS.iter().any(|export| export.file == name), "no test for {name}");
    }
}
