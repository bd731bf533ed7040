//! A folder with data, and the program run in it.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::{Arc, Mutex, OnceLock};

use fm_data::{DataConfig, Prepared, TableSpec};
use serde_json::Value;
use tempfile::TempDir;

use crate::{data, every_kind, hashed};

/// A folder with a MovieLens release in `ml`; a table in `books.csv` with its `schema.toml`, and `hashed.toml`, which hashes two of
/// its fields; and a table with a field of every kind in `every.csv` with its `every.toml`.
pub struct Scene {
    folder: TempDir,
}

/// A run on the table, for [`Scene::after`].
pub const FM_ON_BOOKS: &str = "train --data books.csv --schema schema.toml --model fm --epochs 2 --run run";
/// A run on the MovieLens release.
pub const FM_ON_ML: &str = "train --data ml --model fm --epochs 2 --run run";

/// The cheapest run on the MovieLens release.
pub const LR_ON_ML: &str = "train --data ml --model lr --epochs 1 --run run";
/// Runs that PyTorch and Triton serve: of two tasks, of tables, and of hashed fields.
pub const SERVED: [&str; 4] = [
    "train --data ml --model deepfm --epochs 2 --run stars",
    "train --data ml --model fm --task binary --epochs 2 --run liked",
    "train --data books.csv --schema schema.toml --model deepfm --epochs 2 --run table",
    "train --data books.csv --schema hashed.toml --model nfm --epochs 2 --run hashed",
];

/// Scenes that tests share, by name.
static SHARED: Mutex<BTreeMap<String, Arc<OnceLock<Scene>>>> = Mutex::new(BTreeMap::new());

/// The end of the warning about the settings of a copied run.
pub const EDITED: &str = "settings.toml has been edited since the run was created";

impl Scene {
    pub fn new() -> Scene {
        Scene { folder: tempfile::tempdir().unwrap() }.with_data()
    }

    fn with_data(self) -> Scene {
        data::write_movielens(&self.path("ml"));
        self.write("books.csv", data::table());
        self.write("schema.toml", data::SCHEMA);
        self.write("every.csv", every_kind::table());
        self.write("every.toml", every_kind::SCHEMA);
        self.write("hashed.toml", hashed::schema(&[("reader", 50), ("tags", 1000)]));
        self
    }

    /// A scene that is made once in a process. Each call gets a copy of the files. To start `fm` and to train takes most of a test's
    /// time. An exported file still names the original data.
    pub fn shared(name: &str, make: impl FnOnce(&Scene)) -> Scene {
        let shared = Arc::clone(SHARED.lock().unwrap().entry(name.to_owned()).or_default());
        let original = shared.get_or_init(|| {
            let scene = Scene { folder: tempfile::tempdir_in(shared_folder()).unwrap() }.with_data();
            make(&scene);
            scene
        });
        let scene = Scene { folder: tempfile::tempdir().unwrap() };
        original.copy_to(&scene);
        scene
    }

    /// A shared scene in which `fm` has run these commands.
    pub fn after(commands: &[impl AsRef<str>]) -> Scene {
        let Some((last, earlier)) = commands.split_last() else { return Scene::new() };
        let name = commands.iter().map(AsRef::as_ref).collect::<Vec<_>>().join("\n");
        Scene::shared(&name, |scene| {
            if !earlier.is_empty() {
                Scene::after(earlier).copy_to(scene);
            }
            scene.ok(last.as_ref());
        })
    }

    /// Copies all files to another scene.
    pub fn copy_to(&self, other: &Scene) {
        copy(self.folder.path(), other.folder.path());
        // A run names its data by their absolute path. `fm` warns that the settings have been edited.
        let [from, to] = [self, other].map(|scene| scene.folder.path().to_str().unwrap());
        for (file, content) in other.files().iter().filter(|(file, _)| file.ends_with("settings.toml")) {
            std::fs::write(file, str::from_utf8(content).unwrap().replace(from, to)).unwrap();
        }
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

    /// `metrics.jsonl` of a run: one object per epoch.
    pub fn metrics(&self, run: &str) -> Vec<Value> {
        self.text(&format!("{run}/metrics.jsonl")).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// The AUC of a run over its test rows.
    pub fn test_auc(&self, run: &str) -> f64 {
        self.summary(run)["test"]["auc"].as_f64().unwrap()
    }

    /// `summary.json` of a run without its time.
    pub fn summary(&self, run: &str) -> Value {
        let mut summary = self.json(&format!("{run}/summary.json"));
        assert!(summary.as_object_mut().unwrap().remove("seconds").unwrap().as_f64().unwrap() > 0.0);
        summary
    }

    /// A program in the folder of the scene, without this user's data and settings.
    pub fn command(&self, program: impl AsRef<Path>) -> Command {
        let mut command = Command::new(program.as_ref());
        command
            .current_dir(self.folder.path())
            .env("FM_DATA_DIR", self.path("data"))
            .env("HOME", self.path("home"))
            // Tests run in parallel.
            .env("OMP_NUM_THREADS", "1");
        command
    }

    /// `fm` with arguments separated by spaces.
    pub fn fm(&self, line: &str) -> Command {
        let mut command = self.command(env!("CARGO_BIN_EXE_fm"));
        command.args(line.split_whitespace());
        command
    }

    /// Runs `fm`, which must succeed, and returns its output.
    pub fn run(&self, line: &str) -> Output {
        let output = self.fm(line).output().unwrap();
        assert!(output.status.success(), "fm {line}: {}", String::from_utf8_lossy(&output.stderr));
        output
    }

    /// Runs `fm`, which must succeed, and returns the lines of standard error that warn.
    pub fn warnings(&self, line: &str) -> Vec<String> {
        let stderr = String::from_utf8(self.run(line).stderr).unwrap();
        stderr.lines().filter(|line| line.contains("WARN")).map(str::to_owned).collect()
    }

    /// Like [`Scene::warnings`], without the one about the settings of a copied run.
    pub fn warnings_of_copy(&self, line: &str) -> Vec<String> {
        let mut warnings = self.warnings(line);
        warnings.retain(|warning| !warning.ends_with(EDITED));
        warnings
    }

    /// Runs `fm`, which must succeed, and returns its standard output.
    pub fn ok(&self, line: &str) -> String {
        String::from_utf8(self.run(line).stdout).unwrap()
    }

    /// Like [`Scene::ok`], parsed as JSON.
    pub fn ok_json(&self, line: &str) -> Value {
        serde_json::from_str(&self.ok(line)).unwrap()
    }

    /// Runs `fm`, which must fail with one line on standard error, nothing on standard output, and all files unchanged.
    /// Returns the line without `error: `.
    pub fn fails(&self, line: &str) -> String {
        self.command_fails(&mut self.fm(line))
    }

    /// Like [`Scene::fails`], for any command.
    pub fn command_fails(&self, command: &mut Command) -> String {
        let before = self.files();
        let output = command.output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success(), "{command:?} did not fail");
        assert!(output.status.code().is_some(), "{command:?} was killed: {stderr}");
        assert_eq!(String::from_utf8_lossy(&output.stdout), "", "{command:?}");
        let lines: Vec<&str> = stderr.lines().filter(|line| !line.ends_with(EDITED)).collect();
        let &[error] = &lines[..] else { panic!("{command:?} printed: {stderr}") };
        let error = error.strip_prefix("error: ").unwrap_or_else(|| panic!("{command:?}: {stderr}"));
        let after = self.files();
        let changed: Vec<_> = before.keys().chain(after.keys()).filter(|p| before.get(*p) != after.get(*p)).collect();
        assert!(changed.is_empty(), "{command:?} failed ({error}), but touched {changed:?}");
        error.to_owned()
    }

    /// Asserts that `fm` fails with an error that contains each of these words.
    #[track_caller]
    pub fn fails_with(&self, line: &str, words: &[&str]) {
        let error = self.fails(line);
        assert_holds(&error, words);
    }

    /// What `fm train` does first: reads and encodes a data set, by the declaration in `schema` if it is a table. To start `fm` takes
    /// longer.
    pub fn prepare(&self, data: &str, schema: Option<&str>) -> fm_data::Result<Prepared> {
        let schema = schema.map(|schema| TableSpec::load(self.path(schema))).transpose()?;
        let data = Some(self.path(data).to_str().unwrap().to_owned());
        let config = DataConfig { data, schema, ..DataConfig::default() };
        config.prepare(&self.path("data"), &self.path("data/cache"))
    }

    /// Asserts that [`Scene::prepare`] fails, with an error of one line that holds each of these words.
    #[track_caller]
    pub fn refuses(&self, data: &str, schema: Option<&str>, words: &[&str]) {
        let error = self.prepare(data, schema).map(|_| ()).unwrap_err().to_string();
        assert_eq!(error.lines().count(), 1, "{error}");
        assert_holds(&error, words);
    }

    /// All files and folders except the entries of the cache, with the content of the files.
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

    /// Copies a CSV file without a column.
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

/// Copies the files and folders in a folder.
pub fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let (from, to) = (entry.as_ref().unwrap().path(), to.join(entry.unwrap().file_name()));
        if from.is_dir() { copy(&from, &to) } else { std::fs::copy(from, to).map(|_| ()).unwrap() }
    }
}

/// The folder of the scenes that tests share. Rust does not drop statics, so the next process deletes it.
fn shared_folder() -> &'static Path {
    static FOLDER: OnceLock<(PathBuf, File)> = OnceLock::new();
    let (folder, _lock) = FOLDER.get_or_init(|| {
        let folders = Path::new(env!("CARGO_TARGET_TMPDIR")).join("scenes");
        std::fs::create_dir_all(&folders).unwrap();
        for folder in std::fs::read_dir(&folders).unwrap().map(|entry| entry.unwrap().path()) {
            // As long as a process runs, it holds its lock.
            if File::open(folder.join("lock")).is_ok_and(|lock| lock.try_lock().is_ok()) {
                std::fs::remove_dir_all(folder).unwrap();
            }
        }
        let folder = tempfile::tempdir_in(folders).unwrap().keep();
        let lock = File::create(folder.join("lock")).unwrap();
        lock.lock().unwrap();
        (folder, lock)
    });
    folder
}

/// The Python with torch that `FM_PYTHON` names. A test that needs one is skipped without it.
pub fn python() -> Option<PathBuf> {
    let python = std::env::var_os("FM_PYTHON").filter(|python| !python.is_empty());
    if python.is_none() {
        eprintln!("skipped: FM_PYTHON does not name a Python that has torch");
    }
    python.map(PathBuf::from)
}

/// The cells of a line of a CSV file without quotes inside cells.
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

/// Asserts that two lists of scores have the same length and differ by at most 1e-6.
#[track_caller]
pub fn assert_same_scores(a: &[f64], b: &[f64]) {
    assert_eq!(a.len(), b.len());
    for (row, (a, b)) in a.iter().zip(b).enumerate() {
        assert!((a - b).abs() <= 1e-6, "row {row}: {a} and {b}");
    }
}
