//! Checkpoints that are damaged, or of other models or versions.

use super::*;

#[test]
fn a_checkpoint_that_does_not_match_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("best.safetensors");
    let store = VarStore::new(Device::Cpu);
    let trained = model(&store);
    let _ = tch::no_grad(|| trained.weight.shallow_clone().fill_(3.0));
    checkpoint::save(&file, &store, &TrainState::default()).unwrap();
    let load = |store: &VarStore| checkpoint::load(&file, store).unwrap_err().to_string();

    let other = VarStore::new(Device::Cpu);
    let weight = other.root().var("weight", &[7, 1], Init::Const(1.0));
    let _bias = other.root().var("bias", &[1], Init::Const(1.0));
    assert!(
        load(&other).contains("`model/weight` has the shape [41, 1], but by schema and settings it must be [7, 1]")
    );
    assert_eq!(weight.double_value(&[0, 0]), 1.0);

    let more = VarStore::new(Device::Cpu);
    let _model = model(&more);
    let _more = more.root().var("more", &[1], Init::Const(1.0));
    assert!(load(&more).contains("`model/more` is missing"));

    let fewer = VarStore::new(Device::Cpu);
    let _weight = fewer.root().var("weight", &[N + 1, 1], Init::Const(1.0));
    assert!(load(&fewer).contains("it contains `model/bias`, which the model does not have"));

    let fresh = VarStore::new(Device::Cpu);
    let model = model(&fresh);
    let optimizer = OptimizerConfig::Sgd { momentum: 0.0 };
    let mut trainer = Trainer::new(&model, &fresh, &label(), TrainConfig { optimizer, ..config(1, 0) }).unwrap();
    let error = trainer.load(&file).unwrap_err().to_string();
    assert!(error.contains("training cannot resume from it"), "{error}");
}

#[test]
fn a_checkpoint_truncated_anywhere_or_with_any_changed_bit_is_an_error_of_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("last.safetensors");
    let store = VarStore::new(Device::Cpu);
    let _model = model(&store);
    checkpoint::save(&file, &store, &TrainState::default()).unwrap();
    let whole = std::fs::read(&file).unwrap();
    let is_refused = |bytes: &[u8]| {
        std::fs::write(&file, bytes).unwrap();
        let error = checkpoint::load(&file, &store).unwrap_err().to_string();
        assert!(error.contains("damaged or truncated") && !error.contains('\n'), "{error}");
    };
    for length in (0..whole.len()).step_by(7) {
        is_refused(&whole[..length]);
    }
    is_refused(&[&whole[..], b"more"].concat());
    for byte in 0..whole.len() {
        let mut changed = whole.clone();
        changed[byte] ^= 1 << (byte % 8);
        is_refused(&changed);
    }
    std::fs::write(&file, &whole).unwrap();
    checkpoint::load(&file, &store).unwrap();
}

#[test]
fn the_hash_in_a_checkpoint_covers_the_file_with_zeros_in_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("last.safetensors");
    let store = VarStore::new(Device::Cpu);
    let _model = model(&store);
    checkpoint::save(&file, &store, &TrainState { epoch: 3, ..TrainState::default() }).unwrap();
    let mut bytes = std::fs::read(&file).unwrap();
    let header = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let json: serde_json::Value = serde_json::from_slice(&bytes[8..8 + header]).unwrap();
    let digits = json["__metadata__"]["xxh3"].as_str().unwrap().as_bytes();
    let place = bytes.windows(16).position(|window| window == digits).unwrap();
    bytes[place..place + 16].fill(b'0');
    assert_eq!(format!("{:016x}", xxhash_rust::xxh3::xxh3_64(&bytes)).as_bytes(), digits);
    let manifest: serde_json::Value = serde_json::from_str(json["__metadata__"]["fm"].as_str().unwrap()).unwrap();
    assert_eq!((manifest["train"]["epoch"].as_u64(), manifest["bytes"].as_u64()), (Some(3), Some(4 * (N as u64 + 2))));
}

#[test]
fn the_error_for_a_checkpoint_of_another_version_names_the_version() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("last.safetensors");
    let store = VarStore::new(Device::Cpu);
    let _model = model(&store);
    checkpoint::save(&file, &store, &TrainState::default()).unwrap();
    let mut bytes = std::fs::read(&file).unwrap();
    let find =
        |bytes: &[u8], text: &[u8]| bytes.windows(text.len()).position(|window| window == text).unwrap() + text.len();
    let format = find(&bytes, br#"{\"format\":"#);
    bytes[format] = b'9';
    let digits = find(&bytes, br#""xxh3":""#);
    bytes[digits..digits + 16].fill(b'0');
    let hash = format!("{:016x}", xxhash_rust::xxh3::xxh3_64(&bytes));
    bytes[digits..digits + 16].copy_from_slice(hash.as_bytes());
    std::fs::write(&file, &bytes).unwrap();
    let error = checkpoint::load(&file, &store).unwrap_err().to_string();
    assert!(error.ends_with("its format is 9, but this version reads only 5"), "{error}");
}
