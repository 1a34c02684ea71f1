//! Which file of `src` imports which: the paths that each names, followed through re-exports to the file that defines
//! what is meant. Files that import each other, over others too, are found, and what a comment says about them.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

use super::source::{NamedPath, before_tests, has_word, paths, strip};

/// What stands in front of the reason why two files import each other, in a comment above one of the imports.
const MARK: &str = "// mutual: ";
/// The most re-exports that are followed from one name to what it means.
const REEXPORTS_MAX: usize = 8;

/// One file of the crate.
struct File {
    /// Its path below the crate's folder.
    path: String,
    /// Its module path below `crate`.
    module: Vec<String>,
    /// Its code without comments, strings and tests.
    code: String,
    /// The paths that it names.
    paths: Vec<NamedPath>,
    /// The lines of the statements that stand under a [`MARK`], first and last.
    marked: Vec<(usize, usize)>,
}

/// All files, found by module path.
struct Crate {
    files: Vec<File>,
    by_module: HashMap<Vec<String>, usize>,
}

/// The module path of a file of `src` below `crate`, empty for `lib.rs`; `None` for other files.
pub(crate) fn module_of(path: &str) -> Option<Vec<String>> {
    let inner = path.strip_prefix("src/")?.trim_end_matches(".rs").trim_end_matches("/mod");
    Some(inner.split('/').filter(|segment| *segment != "lib").map(str::to_owned).collect())
}

/// A path in `module` from the root of the crate on; `None` where it does not begin with `crate`, `self` or `super`.
pub(crate) fn absolute(module: &[String], segments: &[String]) -> Option<Vec<String>> {
    let supers = segments.iter().skip_while(|segment| *segment == "self").take_while(|segment| *segment == "super");
    let supers = supers.count();
    let (base, rest) = match segments.first()?.as_str() {
        "crate" => (&[][..], &segments[1..]),
        "self" => (module, &segments[1 + supers..]),
        "super" => (module, &segments[supers..]),
        _ => return None,
    };
    let base = &base[..base.len().saturating_sub(supers)];
    Some([base, rest].concat())
}

/// Whether a file holds tests alone.
pub(crate) fn is_test(path: &str) -> bool {
    path.ends_with("/tests.rs") || path.ends_with("_tests.rs") || path.contains("/tests/")
}

/// The rings of files that import each other, over others too, without a comment that says why, and the comments that
/// are idle.
pub(crate) fn mutual_imports(sources: &[(String, String)]) -> Vec<String> {
    let all = Crate::new(sources);
    let imports: Vec<BTreeMap<usize, Vec<usize>>> = all.files.iter().map(|file| all.imports(file)).collect();
    let unmarked: Vec<BTreeMap<usize, Vec<usize>>> = imports.iter().zip(&all.files).map(File::unmarked).collect();
    let mut wrong = Vec::new();
    for ring in (0..all.files.len()).filter_map(|file| way(&unmarked, file, file)) {
        // Each of its files finds a ring; the first one reports it.
        if ring.iter().all(|file| ring[0] <= *file) {
            let next = |at: usize| ring.get(at + 1).unwrap_or(&ring[0]);
            let line = |at: usize| unmarked[ring[at]][next(at)][0];
            let sides = (0..ring.len()).map(|at| format!("{}:{}", all.files[ring[at]].path, line(at)));
            wrong.push(format!("{} import each other", sides.collect::<Vec<_>>().join(" and ")));
        }
    }
    for (index, file) in all.files.iter().enumerate() {
        let is_idle = |mark: &&(usize, usize)| {
            let under = imports[index].iter().filter(|(_, lines)| lines.iter().any(|line| is_under(**mark, *line)));
            !under.into_iter().any(|(target, _)| way(&imports, *target, index).is_some())
        };
        let idle = file.marked.iter().filter(is_idle);
        wrong.extend(idle.map(|mark| format!("{}:{}: `{MARK}` excuses nothing", file.path, mark.0)));
    }
    wrong
}

/// The shortest way over imports from one file to another, or back to itself: the files on it but for the last.
fn way(imports: &[BTreeMap<usize, Vec<usize>>], from: usize, to: usize) -> Option<Vec<usize>> {
    let (mut ways, mut seen) = (VecDeque::from([vec![from]]), BTreeSet::new());
    while let Some(way) = ways.pop_front() {
        for next in imports[*way.last()?].keys().copied() {
            if next == to {
                return Some(way);
            }
            if seen.insert(next) {
                ways.push_back([&way[..], &[next]].concat());
            }
        }
    }
    None
}

/// Whether a line is in the statement of a mark.
fn is_under(mark: (usize, usize), line: usize) -> bool {
    (mark.0..=mark.1).contains(&line)
}

impl Crate {
    /// Takes path and text of each file of `src`; tests are left out.
    fn new(sources: &[(String, String)]) -> Self {
        let product = sources.iter().filter(|(path, _)| !is_test(path));
        let files: Vec<File> = product.map(|(path, text)| File::new(path, text)).collect();
        let by_module = files.iter().enumerate().map(|(index, file)| (file.module.clone(), index)).collect();
        Self { files, by_module }
    }

    /// The files that one imports, each with the lines. A re-export counts where the file uses the name itself.
    fn imports(&self, file: &File) -> BTreeMap<usize, Vec<usize>> {
        let mut found: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for path in &file.paths {
            let name = path.name.as_deref().unwrap_or_default();
            let is_facade = path.is_reexport && file.code.lines().filter(|line| has_word(line, name)).count() <= 1;
            let Some(target) = self.resolve(file, &path.segments, REEXPORTS_MAX).filter(|_| !is_facade) else {
                continue;
            };
            if self.files[target].path != file.path {
                found.entry(target).or_default().push(path.line);
            }
        }
        found
    }

    /// The file that defines what a path means in `file`; `None` for what is not of this crate.
    fn resolve(&self, file: &File, segments: &[String], reexports_max: usize) -> Option<usize> {
        let child = || {
            let child = [&file.module[..], &segments[..1]].concat();
            self.by_module.contains_key(&child).then(|| [&file.module[..], segments].concat())
        };
        let whole = absolute(&file.module, segments).or_else(child)?;
        let length = (0..=whole.len()).rev().find(|length| self.by_module.contains_key(&whole[..*length]))?;
        let (module, rest) = whole.split_at(length);
        let holder = *self.by_module.get(module)?;
        let holder_file = &self.files[holder];
        let named =
            rest.first().and_then(|name| holder_file.paths.iter().find(|path| path.name.as_ref() == Some(name)));
        match named.filter(|_| reexports_max > 0) {
            Some(path) => {
                let whole = [&path.segments[..], &rest[1..]].concat();
                Some(self.resolve(holder_file, &whole, reexports_max - 1).unwrap_or(holder))
            }
            None => Some(holder),
        }
    }
}

impl File {
    /// The imports of a file without those that stand under a [`MARK`].
    fn unmarked((imports, file): (&BTreeMap<usize, Vec<usize>>, &Self)) -> BTreeMap<usize, Vec<usize>> {
        let is_marked = |line: &usize| file.marked.iter().any(|mark| is_under(*mark, *line));
        let rest = imports.iter().filter(|(_, lines)| !lines.iter().any(is_marked));
        rest.map(|(target, lines)| (*target, lines.clone())).collect()
    }

    /// Reads one file.
    fn new(path: &str, text: &str) -> Self {
        let stripped = strip(text);
        let code = before_tests(&stripped).to_owned();
        let module = module_of(path).expect("a file of src");
        Self { path: path.to_owned(), module, paths: paths(&code), marked: marked(text, &stripped), code }
    }
}

/// The statements under a [`MARK`]: from its line to the first line behind it that ends with `;`, `{` or `}`.
fn marked(text: &str, code: &str) -> Vec<(usize, usize)> {
    let lines: Vec<&str> = code.lines().collect();
    let marks = text.lines().enumerate().filter(|(_, line)| line.trim_start().starts_with(MARK));
    marks
        .map(|(index, _)| {
            let is_end = |line: &&str| line.ends_with([';', '}']);
            let length = lines[index..].iter().position(is_end).unwrap_or(0);
            (index + 1, index + 1 + length)
        })
        .collect()
}
