//! Exported files of untrained models, and servers of them.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;
use std::time::Duration;

use fm_core::script::{Bundle, BundleOptions, Catalogue, Scorer};
use fm_core::tch::{Device, nn::VarStore};
use fm_core::{Encoder, Field, FieldKind, Label, List, Schema, Side, Task, Weighting};
use fm_serve::{ModelFile, Options, Server};
use tempfile::TempDir;

use crate::client::{Answer, Client};

/// The items, with their titles.
pub const ITEMS: [&str; 3] = ["a", "b", "c"];

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|&word| word.to_owned()).collect()
}

/// A user, an item, a list of tags of the item, and an age.
pub fn schema(task: Task) -> Schema {
    let fields = vec![
        Field::new("user", FieldKind::Categorical, Side::User, words(&["ann", "bob", "7"])),
        Field::new("item", FieldKind::Categorical, Side::Item, words(&ITEMS)),
        Field::new(
            "tags",
            FieldKind::MultiValued(List::new("|", 3, Weighting::Mean)),
            Side::Item,
            words(&["x", "y", "1"]),
        ),
        Field::new("age", FieldKind::Numeric { mean: 30.0, std: 10.0 }, Side::User, vec![]),
    ];
    let schema = Schema::new(Label::fit("rating", task, [-5.0, 5.0]), fields).unwrap();
    schema.with_roles(Some("user".into()), Some("item".into())).unwrap()
}

/// Writes an exported file.
pub fn export(path: &Path, task: Task, with_catalogue: bool) {
    export_schema(path, &schema(task), with_catalogue, |item| vec![None, Some(item), Some("x"), None]);
}

/// Writes an exported file whose columns have the names of parameters of `GET /recommend`.
pub fn export_odd_names(path: &Path) {
    let field = |name: &str, side, values: &[&str]| Field::new(name, FieldKind::Categorical, side, words(values));
    let mut fields = vec![field("id", Side::User, &["ann"]), field("item", Side::Item, &ITEMS)];
    fields.extend([("model", "m"), ("user", "u"), ("k", "2")].map(|(name, value)| field(name, Side::User, &[value])));
    fields.push(field("exclude", Side::Context, &["e"]));
    let schema = Schema::new(Label::fit("rating", Task::Regression, [-5.0, 5.0]), fields).unwrap();
    let schema = schema.with_roles(Some("id".into()), Some("item".into())).unwrap();
    export_schema(path, &schema, true, |item| vec![None, Some(item), None, None, None, None]);
}

/// `row` is the row of an item.
fn export_schema(
    path: &Path,
    schema: &Schema,
    with_catalogue: bool,
    row: impl Fn(&'static str) -> Vec<Option<&'static str>>,
) {
    let store = VarStore::new(Device::Cpu);
    let model = fm_models::find("fm").unwrap().build(&Default::default(), &store.root(), schema).unwrap();
    let features = Encoder::new(schema).features(&ITEMS.map(row)).unwrap();
    let catalogue = Catalogue { items: words(&ITEMS), features };
    let options = BundleOptions { catalogue: with_catalogue.then_some(&catalogue), ..Default::default() };
    let titles = r#"{"a": "Alpha", "b": "Beta\u001b[2J"}"#;
    let bundle = Bundle::new(model.as_ref(), &store, schema, &options).unwrap();
    bundle.save(path, &[("titles.json", titles)]).unwrap();
}

/// The bytes of `stars.pt` and `likes.pt`, which are made once.
fn exported() -> &'static [Vec<u8>; 2] {
    static FILES: OnceLock<[Vec<u8>; 2]> = OnceLock::new();
    FILES.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        [(Task::Regression, true), (Task::Binary { threshold: 4.0 }, false)].map(|(task, with_catalogue)| {
            let path = folder.path().join("model.pt");
            export(&path, task, with_catalogue);
            std::fs::read(path).unwrap()
        })
    })
}

/// A folder with `stars.pt`, a regression with a catalogue, and `likes.pt`, a binary model without one; and a server of
/// them.
pub struct Scene {
    /// The shared scene needs its files no longer.
    folder: Option<TempDir>,
    scorers: [OnceLock<Scorer>; 2],
    pub client: Client,
    stop: Arc<AtomicBool>,
    running: Option<JoinHandle<fm_serve::Result<()>>>,
}

impl Scene {
    pub fn new() -> Scene {
        Scene::with(|_, _| {})
    }

    /// A server that tests share, which leave it as it is. To load models takes most of a test's time.
    pub fn shared() -> &'static Scene {
        static SHARED: OnceLock<Scene> = OnceLock::new();
        SHARED.get_or_init(|| {
            let mut scene = Scene::with(|options, _| options.reload_every = Duration::ZERO);
            for name in ["stars", "likes"] {
                scene.scorer(name);
            }
            // Rust does not drop statics.
            scene.folder = None;
            scene
        })
    }

    /// A server with other options. `change` also gets the folder.
    pub fn with(change: impl FnOnce(&mut Options, &Path)) -> Scene {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let files = ["stars.pt", "likes.pt"].map(|name| ModelFile::parse(path(name).to_str().unwrap()).unwrap());
        files.iter().zip(exported()).for_each(|(file, bytes)| std::fs::write(&file.path, bytes).unwrap());
        let mut options = Options { port: 0, workers: 2, ..Options::new(files.to_vec()) };
        change(&mut options, folder.path());
        let server = Server::open(options).unwrap();
        let (client, stop) = (Client(server.address()), Arc::new(AtomicBool::new(false)));
        let until = Arc::clone(&stop);
        let running = Some(std::thread::spawn(move || server.run(&until)));
        Scene { folder: Some(folder), scorers: Default::default(), client, stop, running }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.as_ref().unwrap().path().join(name)
    }

    /// The model of the first file with a name, without the server.
    pub fn scorer(&self, name: &str) -> &Scorer {
        let load = || Scorer::load(self.path(&format!("{name}.pt")), Device::Cpu).unwrap();
        self.scorers[usize::from(name == "likes")].get_or_init(load)
    }

    pub fn get(&self, path: &str) -> Answer {
        self.client.get(path)
    }

    pub fn post(&self, path: &str, body: impl AsRef<[u8]>) -> Answer {
        self.client.post(path, body)
    }

    /// Asserts that the server answers a problem with this status, in a line that contains these words.
    #[track_caller]
    pub fn refuses(&self, path: &str, body: impl AsRef<[u8]>, status: u16, words: &str) {
        let answer = self.post(path, body);
        assert_eq!(answer.status, status, "{}", answer.text());
        assert!(answer.error().contains(words), "no `{words}` in {}", answer.error());
    }

    /// Asserts that the server scores a row.
    #[track_caller]
    pub fn lives(&self) {
        let answer = self.post("/score", r#"[{"user": "ann"}]"#);
        assert_eq!((answer.status, answer.predictions().len()), (200, 1));
    }

    /// The value of a metric.
    pub fn metric(&self, name: &str) -> f64 {
        let page = self.get("/metrics").text();
        let line = page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("no {name} in {page}")).parse().unwrap()
    }

    /// Asks the server to stop, without waiting.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    /// Stops the server, and waits until it has.
    pub fn end(&mut self) -> fm_serve::Result<()> {
        self.stop();
        self.running.take().unwrap().join().unwrap()
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        self.stop();
        if let Some(running) = self.running.take() {
            let result = running.join();
            if !std::thread::panicking() {
                result.unwrap().unwrap();
            }
        }
    }
}
