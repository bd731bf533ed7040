//! Files that are damaged or exchanged: each is refused, or gives the same result.

use std::collections::BTreeMap;
use std::io::{Cursor, Read, Write};
use std::path::{Path, PathBuf};

use fm_core::script::{Scorer, verify};
use fm_core::{Encoder, Features, Records, Schema};
use fm_data::DataConfig;
use fm_models::Run;
use serde::Deserialize;
use tch::Device;
use zip::{CompressionMethod, ZipArchive, ZipWriter, write::FileOptions};

use crate::data::Numbers;
use crate::scene::Scene;

/// Damaged copies of a file, each of another kind and at another place.
fn mutants(bytes: &[u8], count: usize, numbers: &mut Numbers) -> Vec<Vec<u8>> {
    let mut mutants = vec![];
    for kind in 0..count {
        let mut mutant = bytes.to_vec();
        let at = numbers.below(bytes.len());
        let block = (1 + numbers.below(64)).min(bytes.len() - at);
        match kind % 8 {
            0..4 => mutant[at] ^= 1 << numbers.below(8),
            4 => mutant.truncate(at),
            5 => {
                let end = bytes.len().min(at + 4096);
                mutant[at..end].fill(if kind % 16 == 5 { 0 } else { 0xff });
            }
            6 => {
                let other = numbers.below(bytes.len() - block + 1);
                let [a, b] = [at, other].map(|at| bytes[at..at + block].to_vec());
                mutant[at..at + block].copy_from_slice(&b);
                mutant[other..other + block].copy_from_slice(&a);
            }
            _ => drop(mutant.splice(at..at, bytes[at..at + block].iter().copied())),
        }
        if mutant != bytes {
            mutants.push(mutant);
        }
    }
    mutants
}

/// Rows of known, unknown and missing values.
fn rows(schema: &Schema) -> Features {
    let row = |at: usize| -> Vec<Option<&str>> {
        schema.fields().iter().map(|field| field.vocabulary.get(at).map(String::as_str).or(Some("7.5"))).collect()
    };
    Encoder::new(schema).features(&[row(0), row(3), vec![None; schema.num_fields()]]).unwrap()
}

fn bits(scores: impl IntoIterator<Item = f32>) -> Vec<u32> {
    scores.into_iter().map(f32::to_bits).collect()
}

/// What a run says: its scores, its results and its epochs.
type Told = (Vec<u32>, Option<serde_json::Value>, String);

fn told(run: &Path) -> fm_core::Result<Told> {
    let run = Run::open(run)?;
    let trained = run.load(Device::Cpu)?;
    let logits = tch::no_grad(|| trained.model.logits(&rows(run.schema()), false))?;
    Ok((bits(Vec::<f32>::try_from(logits)?), run.summary()?, format!("{:?}", run.files().epochs()?)))
}

const TRAIN: &str = "train --data books.csv --schema schema.toml --task binary --threshold 4 --model fm --epochs 3 --patience 0 --lr 0.3 -q";

/// The files that a trained run is read from.
fn files(run: &Path) -> Vec<PathBuf> {
    let checkpoints = ["checkpoints/best.safetensors", "checkpoints/last.safetensors"];
    let others = ["settings.toml", "schema.json", "rows.json", "summary.json", "metrics.jsonl"];
    others.iter().chain(&checkpoints).map(|name| run.join(name)).collect()
}

#[test]
fn a_file_of_a_run_that_is_damaged_or_exchanged_is_refused_or_changes_nothing() {
    let scene = Scene::new();
    scene.ok(&format!("{TRAIN} --run run"));
    scene.ok(&format!("{TRAIN} --run other --seed 2"));
    let (run, other) = (scene.path("run"), scene.path("other"));
    let expected = told(&run).unwrap();
    assert_ne!(told(&other).unwrap().0, expected.0);
    let (mut numbers, mut refused, mut harmless) = (Numbers(5), 0, 0);
    let all = files(&run);
    for file in &all {
        let whole = std::fs::read(file).unwrap();
        let mut copies = mutants(&whole, 48, &mut numbers);
        copies.push(vec![]);
        copies.push(std::fs::read(other.join(file.strip_prefix(&run).unwrap())).unwrap_or_default());
        copies.extend(
            all.iter().filter(|path| path.extension() == file.extension()).map(|path| std::fs::read(path).unwrap()),
        );
        for (number, mutant) in copies.iter().enumerate().filter(|(_, mutant)| **mutant != whole) {
            std::fs::write(file, mutant).unwrap();
            match told(&run) {
                Err(error) => {
                    refused += 1;
                    assert!(!error.to_string().contains('\n'), "{error}");
                }
                Ok(found) => {
                    harmless += 1;
                    assert_eq!(found, expected, "mutant {number} of {}", file.display());
                }
            }
        }
        std::fs::remove_file(file).unwrap();
        assert!(told(&run).is_ok_and(|found| found.0 == expected.0) || told(&run).is_err(), "{}", file.display());
        std::fs::write(file, whole).unwrap();
    }
    assert_eq!(told(&run).unwrap(), expected);
    eprintln!("{refused} mutants of a run were refused, {harmless} gave the same result");
    assert!(refused > harmless, "{refused} and {harmless}");
}

fn config(scene: &Scene, run: &str) -> DataConfig {
    #[derive(Deserialize)]
    struct Settings {
        data: DataConfig,
    }
    let mut data = toml::from_str::<Settings>(&scene.text(&format!("{run}/settings.toml"))).unwrap().data;
    data.data = Some(scene.path("books.csv").display().to_string());
    data
}

#[test]
fn a_file_of_the_cache_that_is_damaged_or_exchanged_is_built_again_or_changes_nothing() {
    let scene = Scene::new();
    scene
        .write("books.csv", crate::data::table().lines().take(400).map(|line| format!("{line}\n")).collect::<String>());
    let ranking = "train --data books.csv --schema schema.toml --task ranking --threshold 4 --model fm --epochs 1 -q --run ranked";
    scene.ok(&format!("{TRAIN} --run run"));
    scene.ok(ranking);
    for run in ["run", "ranked"] {
        let cache = scene.path(&format!("cache-{run}"));
        let config = config(&scene, run);
        let content = || {
            let data = config.prepare(&scene.path("data"), &cache).unwrap();
            let rows = [&data.train, &data.valid, &data.test].map(Records::digest);
            (data.schema.to_json(), rows, data.ranking.map(|ranking| ranking.digest()))
        };
        let expected = content();
        let entries = || std::fs::read_dir(&cache).unwrap().map(|entry| entry.unwrap().path()).collect::<Vec<_>>();
        let entry = &entries()[0];
        let mut files: Vec<PathBuf> = std::fs::read_dir(entry).unwrap().map(|file| file.unwrap().path()).collect();
        files.sort();
        assert_eq!(files.len(), if run == "run" { 6 } else { 11 }, "{files:?}");
        let wholes: BTreeMap<&PathBuf, Vec<u8>> =
            files.iter().map(|path| (path, std::fs::read(path).unwrap())).collect();
        let mut numbers = Numbers(7);
        for file in &files {
            let mut copies = mutants(&wholes[file], 12, &mut numbers);
            copies.extend(wholes.values().filter(|bytes| **bytes != wholes[file]).cloned());
            for (number, mutant) in copies.iter().enumerate() {
                std::fs::write(file, mutant).unwrap();
                assert!(content() == expected, "mutant {number} of {}", file.display());
            }
            std::fs::write(file, &wholes[file]).unwrap();
        }
        assert_eq!(entries().len(), 1);
    }
}

fn exported(scene: &Scene) -> Vec<u8> {
    scene.ok(&format!("{TRAIN} --run run"));
    scene.ok("export run -o model.pt --with-catalogue -q");
    scene.bytes("model.pt")
}

fn scores(path: &Path) -> fm_core::Result<Vec<u32>> {
    let scorer = Scorer::load(path, Device::Cpu)?;
    let scores = scorer.predict(&rows(scorer.schema()))?;
    Ok(bits(scores))
}

#[test]
fn an_exported_file_that_is_damaged_is_refused_or_changes_nothing() {
    let scene = Scene::new();
    let whole = exported(&scene);
    let path = scene.path("model.pt");
    let expected = scores(&path).unwrap();
    let (mut refused, mut harmless) = (0, 0);
    for (number, mutant) in mutants(&whole, 400, &mut Numbers(11)).iter().enumerate() {
        std::fs::write(&path, mutant).unwrap();
        // Loading takes longer, and nothing that is loaded may have been refused.
        match verify(&path) {
            Err(error) => {
                refused += 1;
                assert!(!error.to_string().contains('\n'), "{error}");
                assert!(number % 10 != 0 || Scorer::load(&path, Device::Cpu).is_err(), "mutant {number}");
            }
            Ok(_) => {
                harmless += 1;
                assert_eq!(scores(&path).unwrap(), expected, "mutant {number}");
            }
        }
    }
    eprintln!("{refused} mutants of an exported file were refused, {harmless} gave the same result");
    assert!(refused > harmless, "{refused} and {harmless}");
}

/// An archive with a record changed: its checksums fit, and if asked for, so does the list of records.
fn with_record(archive: &[u8], record: &str, change: impl Fn(Vec<u8>) -> Vec<u8>, lists_it: bool) -> Vec<u8> {
    let mut archive = ZipArchive::new(Cursor::new(archive)).unwrap();
    let mut records: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    for at in 0..archive.len() {
        let mut file = archive.by_index(at).unwrap();
        let mut content = vec![];
        file.read_to_end(&mut content).unwrap();
        let is_changed = file.name().split_once('/').unwrap().1 == record;
        records.insert(file.name().to_owned(), if is_changed { change(content) } else { content });
    }
    let write = |records: &BTreeMap<String, Vec<u8>>| {
        let mut zip = ZipWriter::new(Cursor::new(vec![]));
        for (name, content) in records {
            zip.start_file(name, FileOptions::default().compression_method(CompressionMethod::Stored)).unwrap();
            zip.write_all(content).unwrap();
        }
        zip.finish().unwrap().into_inner()
    };
    let changed = write(&records);
    if !lists_it {
        return changed;
    }
    let mut archive = ZipArchive::new(Cursor::new(&changed)).unwrap();
    let mut list: BTreeMap<String, (u64, u32)> = BTreeMap::new();
    for at in 0..archive.len() {
        let file = archive.by_index(at).unwrap();
        let name = file.name().split_once('/').unwrap().1.to_owned();
        if ![".data/serialization_id", "extra/records.json"].contains(&name.as_str()) {
            list.insert(name, (file.size(), file.crc32()));
        }
    }
    let place = records.keys().find(|name| name.ends_with("/extra/records.json")).unwrap().clone();
    records.insert(place, serde_json::to_vec(&list).unwrap());
    write(&records)
}

/// The largest record of tensors.
fn table(archive: &[u8]) -> String {
    let mut archive = ZipArchive::new(Cursor::new(archive)).unwrap();
    let sizes = (0..archive.len()).map(|at| {
        let file = archive.by_index(at).unwrap();
        (file.size(), file.name().split_once('/').unwrap().1.to_owned())
    });
    sizes.filter(|(_, name)| name.starts_with("data/")).max().unwrap().1
}

#[test]
fn a_record_shorter_than_its_tensors_and_numbers_that_are_not_finite_never_reach_libtorch() {
    let scene = Scene::new();
    let whole = exported(&scene);
    let record = table(&whole);
    let path = scene.path("model.pt");
    let expected = scores(&path).unwrap();
    std::fs::write(&path, with_record(&whole, &record, |bytes| bytes, true)).unwrap();
    assert_eq!(scores(&path).unwrap(), expected, "an archive may be written by another program");

    let refused = |change: fn(Vec<u8>) -> Vec<u8>, lists_it: bool| {
        std::fs::write(&path, with_record(&whole, &record, change, lists_it)).unwrap();
        Scorer::load(&path, Device::Cpu).unwrap_err().to_string()
    };
    let short = |bytes: Vec<u8>| bytes[..bytes.len() - 256].to_vec();
    let nan = |mut bytes: Vec<u8>| {
        bytes[64..68].copy_from_slice(&f32::NAN.to_le_bytes());
        bytes
    };
    let error = refused(short, true);
    assert!(error.contains(&format!("its record {record} has")) && error.contains(" bytes instead of "), "{error}");
    let error = refused(nan, true);
    assert!(error.ends_with(&format!("its record {record} holds numbers that are infinite or NaN")), "{error}");
    for change in [short as fn(Vec<u8>) -> Vec<u8>, nan] {
        let error = refused(change, false);
        assert!(error.ends_with(&format!("its record {record} is not the one that was written")), "{error}");
    }
}
