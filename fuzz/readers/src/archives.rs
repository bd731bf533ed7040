//! Readers of archives: exported files, their pickles, and downloads.

use std::collections::BTreeMap;
use std::io::{Cursor, Write};

use fm_core::script::{Bundle, BundleOptions, verify};
use fm_core::tch::Device;
use fm_data::unpack::unpack;
use fm_models::run::ModelSettings;
use zip::write::FileOptions;
use zip::{CompressionMethod, ZipWriter};

use crate::declarations::schema;
use crate::file;

/// An archive of these records. Its bytes are the same at any time.
fn archive(records: &[(&str, &[u8])], method: CompressionMethod) -> Vec<u8> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    let options = FileOptions::default().compression_method(method).last_modified_time(zip::DateTime::default());
    for (name, content) in records {
        writer.start_file(*name, options).unwrap();
        writer.write_all(content).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

/// An exported file, as it is.
pub fn exported(bytes: &[u8]) -> bool {
    let Ok(verified) = verify(file("t.pt", bytes)) else { return false };
    assert!(verified.records > 0 && verified.bytes <= bytes.len() as u64 * 2000);
    true
}

pub fn exported_files() -> Vec<Vec<u8>> {
    let schema = schema();
    let options = [("embedding_dim".to_owned(), 1.into())].into_iter().collect();
    let built = ModelSettings { name: "fm".into(), options }.build(&schema, Device::Cpu).unwrap();
    let path = file("seed.pt", b"");
    let bundle = Bundle::new(built.model.as_ref(), &built.store, &schema, &BundleOptions::default()).unwrap();
    bundle.save(&path, &[("note.txt", "not trained")]).unwrap();
    vec![std::fs::read(path).unwrap(), listed(&pickles()[0])]
}

/// An exported file whose `data.pkl` and record `data/0` are in the bytes, with the right checksums everywhere. The
/// first byte is the length of the record.
fn listed(bytes: &[u8]) -> Vec<u8> {
    let (length, rest) = bytes.split_first().map_or((0, bytes), |(length, rest)| (usize::from(*length), rest));
    let (record, pickle) = rest.split_at(length.min(rest.len()));
    let schema = schema().to_json();
    let records: [(&str, &[u8]); 4] = [
        ("m/data.pkl", pickle),
        ("m/constants.pkl", b"\x80\x02)."),
        ("m/data/0", record),
        ("m/extra/schema.json", schema.as_bytes()),
    ];
    let list: BTreeMap<&str, (usize, u32)> =
        records.iter().map(|(name, content)| (&name[2..], (content.len(), crc32fast::hash(content)))).collect();
    let list = serde_json::to_vec(&list).unwrap();
    let records = [&records[..], &[("m/extra/records.json", &list[..])]].concat();
    archive(&records, CompressionMethod::Stored)
}

/// The pickle of an otherwise intact exported file.
pub fn pickle(bytes: &[u8]) -> bool {
    verify(file("t.pt", &listed(bytes))).is_ok()
}

pub fn pickles() -> Vec<Vec<u8>> {
    // A tensor of two numbers: as PyTorch writes it, and with each operation that it has for the parts.
    let storage = b"(X\x07\0\0\0storageq\x01ctorch\nFloatStorage\nq\x02X\x01\0\0\x000X\x03\0\0\0cpuK\x02tq\x03Q";
    let tensor =
        [&b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n("[..], storage, b"K\0K\x02\x85K\x01\x85\x89)tR."].concat();
    let others =
        b"\x80\x02}(X\x01\0\0\0aK\x01]q\x01(M\x02\x01J\xff\xff\xff\xffG?\xf0\0\0\0\0\0\0\x8a\x02\x01\x02\x88Neh\x01u.";
    let numbers: Vec<u8> = [1.5f32, -2.0].iter().flat_map(|x| x.to_le_bytes()).collect();
    vec![[&[8][..], &numbers, &tensor].concat(), [&[0][..], others].concat()]
}

/// A zip archive of a release.
pub fn zip(bytes: &[u8]) -> bool {
    const MOST: u64 = 1 << 16;
    let parent = tempfile::tempdir().unwrap();
    let (path, folder) = (parent.path().join("t.zip"), parent.path().join("inside").join("release"));
    std::fs::create_dir(parent.path().join("inside")).unwrap();
    std::fs::write(&path, bytes).unwrap();
    let is_unpacked = unpack(&path, &folder, MOST).is_ok();
    // Nothing is written elsewhere, and nothing half.
    let names = |folder: &std::path::Path| -> Vec<String> {
        let mut names: Vec<String> =
            std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    };
    assert_eq!(names(parent.path()), ["inside", "t.zip"]);
    assert_eq!(names(&parent.path().join("inside")), if is_unpacked { vec!["release"] } else { vec![] });
    is_unpacked
}

pub fn zip_files() -> Vec<Vec<u8>> {
    let records: [(&str, &[u8]); 3] = [("ml/README", b"read me, read me, read me"), ("ml/deep/x", b""), ("top", b"t")];
    [CompressionMethod::Stored, CompressionMethod::Deflated].map(|method| archive(&records, method)).into()
}
