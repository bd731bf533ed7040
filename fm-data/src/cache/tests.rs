use std::cell::Cell;

use fm_core::{Side, Task};
use polars::prelude::*;

use super::*;
use crate::encode::{Labels, encode_labelled};
use crate::spec::{FieldSpec, FieldSpecKind, TableSpec};

const TASK: Task = Task::Regression;

struct Setup {
    folder: tempfile::TempDir,
    inputs: Vec<PathBuf>,
    spec: TableSpec,
    builds: Cell<u32>,
}

impl Setup {
    fn new() -> Setup {
        let folder = tempfile::tempdir().unwrap();
        let input = folder.path().join("t.csv");
        std::fs::write(&input, "a,y\nx,1\n").unwrap();
        let fields = vec![FieldSpec::new("a", FieldSpecKind::Categorical, Side::User)];
        let spec = TableSpec::new("y", fields);
        Setup { folder, inputs: vec![input], spec, builds: Cell::new(0) }
    }

    fn key(&self) -> CacheKey<'_, TableSpec> {
        CacheKey { inputs: &self.inputs, settings: &self.spec }
    }

    fn cache(&self) -> PathBuf {
        self.folder.path().join("cache")
    }

    fn build(&self) -> Result<Prepared> {
        self.builds.set(self.builds.get() + 1);
        built(&self.spec)
    }

    fn prepare(&self) -> Prepared {
        prepare(&self.key(), self.cache(), |_| self.build()).unwrap()
    }

    fn entries(&self) -> Vec<PathBuf> {
        std::fs::read_dir(self.cache()).unwrap().map(|entry| entry.unwrap().path()).collect()
    }
}

fn ids(rows: &Records) -> Vec<i32> {
    rows.ids_of(0).collect()
}

fn built(spec: &TableSpec) -> Result<Prepared> {
    let table = df!("a" => ["x", "y", "z"], "y" => [1f32, 2.0, 3.0]).unwrap();
    let labels = [1.0, 2.0, 3.0];
    let schema = crate::fit::fit(&table, spec, &labels, &[0], TASK)?;
    let part = |row| encode_labelled(&table, &schema, Labels { labels: &labels, weights: None }, &[row]);
    Ok(Prepared {
        train: part(0)?,
        valid: part(1)?,
        test: part(2)?,
        schema: schema.clone(),
        ranking: None,
        warnings: vec!["odd".into()],
        notes: vec!["decided".into()],
        lock: None,
    })
}

#[test]
fn an_entry_is_built_once() {
    let setup = Setup::new();
    for _ in 0..2 {
        let prepared = setup.prepare();
        assert_eq!(prepared.schema.fields()[0].vocabulary, ["x"]);
        assert_eq!((ids(&prepared.train), prepared.test.labels()), (vec![1], vec![3.0]));
        assert_eq!(prepared.warnings, ["odd"]);
    }
    assert_eq!(setup.builds.get(), 1);
}

#[test]
fn a_damaged_entry_is_rebuilt_without_leftovers() {
    let setup = Setup::new();
    setup.prepare();
    let damages = ["cut", "removed", "schema", "label", "exchanged", "entry", "key", "warnings"];
    for (build, damage) in (2..).zip(damages) {
        let entry = &setup.entries()[0];
        let bytes = |name: &str| std::fs::read(entry.join(name)).unwrap();
        match damage {
            // The first record, after a header of 64 bytes and the number of its slots.
            "label" => {
                let mut rows = bytes("train.rows");
                assert_eq!(rows[68..72], 1f32.to_le_bytes());
                rows[68..72].copy_from_slice(&5f32.to_le_bytes());
                std::fs::write(entry.join("train.rows"), rows).unwrap();
            }
            "exchanged" => std::fs::write(entry.join("valid.rows"), bytes("test.rows")).unwrap(),
            "entry" => std::fs::write(entry.join(ENTRY), b"{}").unwrap(),
            // The entry of other data.
            "key" => {
                let text = String::from_utf8(bytes(ENTRY)).unwrap();
                let key = entry.file_name().unwrap().to_str().unwrap();
                std::fs::write(entry.join(ENTRY), text.replace(key, &"0".repeat(32))).unwrap();
            }
            "warnings" => std::fs::write(entry.join(WARNINGS), b"[]").unwrap(),
            "cut" => std::fs::write(entry.join("valid.rows"), b"FMROWS").unwrap(),
            "removed" => std::fs::remove_file(entry.join("train.rows")).unwrap(),
            _ => std::fs::write(entry.join(fm_core::Schema::FILE), b"{}").unwrap(),
        }
        let prepared = setup.prepare();
        assert_eq!((prepared.train.labels(), prepared.valid.labels()), (vec![1.0], vec![2.0]), "{damage}");
        assert_eq!(prepared.warnings, ["odd"], "{damage}");
        assert_eq!((setup.builds.get(), setup.entries().len()), (build, 1), "{damage}");
    }
    setup.prepare();
    assert_eq!(setup.builds.get(), 1 + damages.len() as u32);
}

#[test]
fn a_cache_that_cannot_be_written_is_not_an_error() {
    let setup = Setup::new();
    std::fs::write(setup.cache(), b"a file is in its place").unwrap();
    assert_eq!(ids(&setup.prepare().train), [1]);
}

#[cfg(unix)]
#[test]
fn what_a_killed_process_left_is_removed_but_not_what_another_one_writes() {
    let cache = tempfile::tempdir().unwrap();
    let [left, written] = ["a", "b"].map(|name| cache.path().join(name).with_extension("partial"));
    let minute_ago = std::time::SystemTime::now() - Duration::from_secs(60);
    for folder in [&left, &written] {
        std::fs::create_dir(folder).unwrap();
        std::fs::write(folder.join("train.rows"), "half").unwrap();
        File::open(folder).unwrap().set_modified(minute_ago).unwrap();
    }
    let lock = lock(&written).unwrap();
    prune(cache.path());
    assert!(!left.exists() && written.exists());
    drop(lock);
    prune(cache.path());
    assert!(!written.exists());
}

#[test]
fn old_entries_are_removed_but_not_the_newest_or_foreign_folders() {
    let setup = Setup::new();
    setup.prepare();
    let big = setup.cache().join("0".repeat(32));
    for folder in [&big, &setup.cache().join("mine")] {
        std::fs::create_dir(folder).unwrap();
        // A sparse file takes no space on the disk.
        std::fs::File::create(folder.join("train.rows")).unwrap().set_len(KEPT_BYTES + 1).unwrap();
    }
    let (dead, busy) = (setup.cache().join("a.1.0.partial"), setup.cache().join("b.2.0.partial"));
    for folder in [&dead, &busy] {
        std::fs::create_dir(folder).unwrap();
    }
    for old in [&big, &dead] {
        std::fs::File::open(old).unwrap().set_modified(UNIX_EPOCH).unwrap();
    }
    prune(&setup.cache());
    assert!(!big.exists() && !dead.exists() && busy.exists() && setup.cache().join("mine").exists());
    assert_eq!(setup.entries().len(), 3);
}

#[test]
fn a_failed_build_leaves_no_entry() {
    let setup = Setup::new();
    let failed = prepare(&setup.key(), setup.cache(), |_| Err(Error::Spec("no".into())));
    assert_eq!(failed.unwrap_err().to_string(), "no");
    assert!(setup.entries().is_empty());
}

#[test]
fn the_key_contains_everything_that_decides_the_data() {
    let setup = Setup::new();
    let key = setup.key();
    let same = key.digest().unwrap();
    assert_eq!(setup.key().digest().unwrap(), same);
    let with = |change: fn(&mut FieldSpec)| {
        let mut spec = setup.spec.clone();
        change(&mut spec.fields[0]);
        CacheKey { settings: &spec, ..key }.digest().unwrap()
    };
    let others = [
        with(|field| field.min_count = 2),
        with(|field| field.hash_buckets = Some(10)),
        with(|field| field.hash_buckets = Some(11)),
        CacheKey { inputs: &[], ..key }.digest().unwrap(),
    ];
    for (i, other) in others.iter().enumerate() {
        assert!(*other != same && !others[..i].contains(other), "{i}");
    }
    std::fs::write(&setup.inputs[0], "a,y\nx,1\ny,2\n").unwrap();
    assert_ne!(setup.key().digest().unwrap(), same);
}

#[cfg(unix)]
#[test]
fn a_file_that_has_changed_at_equal_length_and_time_has_another_key() {
    let setup = Setup::new();
    let input = &setup.inputs[0];
    let time = std::fs::metadata(input).unwrap().modified().unwrap();
    let set_time = || std::fs::File::options().write(true).open(input).unwrap().set_modified(time).unwrap();
    let before = setup.key().digest().unwrap();
    // Another file takes its place, as `mv` and `rsync -t` do it.
    let other = input.with_extension("new");
    std::fs::write(&other, "a,y\nx,9\n").unwrap();
    std::fs::rename(&other, input).unwrap();
    set_time();
    let renamed = setup.key().digest().unwrap();
    assert_ne!(renamed, before);
    // Its content is overwritten; clocks of file systems tick some hundred times a second.
    std::thread::sleep(Duration::from_millis(20));
    std::fs::write(input, "a,y\nx,8\n").unwrap();
    set_time();
    assert_ne!(setup.key().digest().unwrap(), renamed);
}

#[test]
fn data_that_changes_while_it_is_read_is_not_kept() {
    let setup = Setup::new();
    let prepared = prepare(&setup.key(), setup.cache(), |_| {
        std::fs::write(&setup.inputs[0], "a,y\nx,1\ny,2\n").unwrap();
        setup.build()
    });
    assert_eq!(prepared.unwrap().train.len(), 1);
    assert!(setup.entries().is_empty());
}

#[test]
fn concurrent_calls_all_get_complete_data() {
    let setup = Setup::new();
    let (cache, spec, key) = (setup.cache(), &setup.spec, setup.key());
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let prepared = prepare(&key, &cache, |_| built(spec)).unwrap();
                assert_eq!(ids(&prepared.train), [1]);
            });
        }
    });
    assert_eq!(setup.entries().len(), 1);
    assert_eq!(setup.prepare().train.len(), 1);
    assert_eq!(setup.builds.get(), 0);
}
