//! A folder with data, and the program run in it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;
use tempfile::TempDir;

use crate::data;

/// A folder with a MovieLens release in `ml`, and a table in `books.csv` with its `schema.toml`.
pub struct Scene {
    folder: TempDir,
}

impl Scene {
    pub fn new() -> Scene {
        let scene = Scene { folder: tempfile::tempdir().unwrap() };
        data::write_movielens(&scene.path("ml"));
        scene.write("books.csv", data::table());
        scene.write("schema.toml", data::SCHEMA);
        scene
    }

    /// A path in the folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        std::fs::write(self.path(name), content).unwrap();
    }

    pub fn bytes(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    pub fn text(&self, name: &str) -> String {
        String::from_utf8(self.bytes(name)).unwrap()
    }

    pub fn json(&self, name: &str) -> Value {
        serde_json::from_str(&self.text(name)).unwrap()
    }

    /// `metrics.jsonl` of a run, an object an epoch.
    pub fn metrics(&self, run: &str) -> Vec<Value> {
        self.text(&format!("{run}/metrics.jsonl")).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// `summary.json` of a run without what measures time.
    pub fn summary(&self, run: &str) -> Value {
        let mut summary = self.json(&format!("{run}/summary.json"));
        assert!(summary.as_object_mut().unwrap().remove("seconds").unwrap().as_f64().unwrap() > 0.0);
        summary
    }

    /// The program, to be run in the folder, with nothing of this user's data or settings.
    pub fn command(&self, program: impl AsRef<Path>) -> Command {
        let mut command = Command::new(program.as_ref());
        command
            .current_dir(self.folder.path())
            .env("FM_DATA_DIR", self.path("data"))
            .env("HOME", self.path("home"))
            // Tests run beside each other.
            .env("OMP_NUM_THREADS", "1");
        command
    }

    /// `fm` with arguments that a space separates.
    pub fn fm(&self, line: &str) -> Command {
        let mut command = self.command(env!("CARGO_BIN_EXE_fm"));
        command.args(line.split_whitespace());
        command
    }

    /// Runs `fm`, which must succeed; its output.
    pub fn run(&self, line: &str) -> Output {
        let output = self.fm(line).output().unwrap();
        assert!(output.status.success(), "fm {line}: {}", String::from_utf8_lossy(&output.stderr));
        output
    }

    /// Runs `fm`, which must succeed; its standard output.
    pub fn ok(&self, line: &str) -> String {
        String::from_utf8(self.run(line).stdout).unwrap()
    }

    /// As [`Scene::ok`], parsed.
    pub fn ok_json(&self, line: &str) -> Value {
        serde_json::from_str(&self.ok(line)).unwrap()
    }

    /// Runs `fm`, which must fail as every failure must: one line on standard error, nothing on standard output, and no
    /// file made, changed or removed. The line without its `error: `.
    pub fn fails(&self, line: &str) -> String {
        self.command_fails(&mut self.fm(line))
    }

    /// As [`Scene::fails`], for any command.
    pub fn command_fails(&self, command: &mut Command) -> String {
        let before = self.files();
        let output = command.output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success(), "{command:?} did not fail");
        assert!(output.status.code().is_some(), "{command:?} was killed: {stderr}");
        assert_eq!(String::from_utf8_lossy(&output.stdout), "", "{command:?}");
        assert_eq!(stderr.lines().count(), 1, "{command:?} printed: {stderr}");
        let error = stderr.trim_end().strip_prefix("error: ").unwrap_or_else(|| panic!("{command:?}: {stderr}"));
        let after = self.files();
        let changed: Vec<_> = before.keys().chain(after.keys()).filter(|p| before.get(*p) != after.get(*p)).collect();
        assert!(changed.is_empty(), "{command:?} failed ({error}), but touched {changed:?}");
        error.to_owned()
    }

    /// Asserts that `fm` fails with an error that holds each of these words.
    #[track_caller]
    pub fn fails_with(&self, line: &str, words: &[&str]) {
        let error = self.fails(line);
        assert_holds(&error, words);
    }

    /// Every file and folder but the cache's entries, with the files' content.
    fn files(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        fn visit(folder: &Path, files: &mut BTreeMap<PathBuf, Vec<u8>>) {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    files.insert(path.clone(), vec![]);
                    visit(&path, files);
                } else {
                    let content = if path.is_file() { std::fs::read(&path).unwrap() } else { vec![] };
                    files.insert(path, content);
                }
            }
        }
        let mut files = BTreeMap::new();
        visit(self.folder.path(), &mut files);
        let (data, cache) = (self.path("data"), self.path("data/cache"));
        let is_partial = |path: &Path| path.to_string_lossy().contains(".partial");
        files.retain(|path, _| is_partial(path) || (*path != data && !path.starts_with(&cache)));
        files
    }

    /// The cells of a column of a CSV file.
    pub fn column(&self, file: &str, name: &str) -> Vec<String> {
        let text = self.text(file);
        let mut records = text.lines().map(cells);
        let header = records.next().unwrap();
        let position = header.iter().position(|cell| cell == name).unwrap_or_else(|| panic!("{name} in {header:?}"));
        records.map(|record| record[position].clone()).collect()
    }

    /// A copy of a CSV file without a column.
    pub fn without_column(&self, file: &str, name: &str, to: &str) {
        let text = self.text(file);
        let position = cells(text.lines().next().unwrap()).iter().position(|cell| cell == name).unwrap();
        let quoted = |cell: String| if cell.contains(',') { format!("\"{cell}\"") } else { cell };
        let line = |line: &str| {
            let mut cells = cells(line);
            cells.remove(position);
            cells.into_iter().map(quoted).collect::<Vec<_>>().join(",") + "\n"
        };
        self.write(to, text.lines().map(line).collect::<String>());
    }

    /// The scores of a CSV file.
    pub fn scores(&self, file: &str) -> Vec<f64> {
        self.column(file, "score").iter().map(|score| score.parse().unwrap()).collect()
    }
}

/// The Python that has torch, which `FM_PYTHON` names. Without one, a test that needs it is skipped, and says so.
pub fn python() -> Option<PathBuf> {
    let python = std::env::var_os("FM_PYTHON").filter(|python| !python.is_empty());
    if python.is_none() {
        eprintln!("skipped: FM_PYTHON does not name a Python that has torch");
    }
    python.map(PathBuf::from)
}

/// The cells of a line of a CSV file, none of which holds a quote.
fn cells(line: &str) -> Vec<String> {
    let mut cells = vec![String::new()];
    let mut quoted = false;
    for c in line.chars() {
        match c {
            '"' => quoted = !quoted,
            ',' if !quoted => cells.push(String::new()),
            c => cells.last_mut().unwrap().push(c),
        }
    }
    cells
}

#[track_caller]
pub fn assert_holds(text: &str, words: &[&str]) {
    for word in words {
        assert!(text.contains(word), "no `{word}` in: {text}");
    }
}

/// Asserts that two lists of scores are as long as each other and, row by row, the same within 1e-6.
#[track_caller]
pub fn assert_same_scores(a: &[f64], b: &[f64]) {
    assert_eq!(a.len(), b.len());
    for (row, (a, b)) in a.iter().zip(b).enumerate() {
        assert!((a - b).abs() <= 1e-6, "row {row}: {a} and {b}");
    }
}
