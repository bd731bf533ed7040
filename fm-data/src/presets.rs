//! Declarations of public data sets, under names. A new one is a file in `presets/`, and a line in [`PRESETS`].

use std::fs::File;
use std::io::Read;
use std::path::Path;

use md5::{Digest, Md5};

use crate::error::{Error, Result};
use crate::spec::TableSpec;
use crate::table::{ChunkSize, TableReader};

/// The declaration of a public data set: a `schema.toml` whose first comments say what the data set is.
#[derive(Clone, Copy, Debug)]
pub struct Preset {
    /// Its name.
    pub name: &'static str,
    /// The text of the `schema.toml`.
    pub text: &'static str,
}

macro_rules! presets {
    ($($name:literal,)*) => {
        [$(Preset { name: $name, text: include_str!(concat!("../presets/", $name, ".toml")) },)*]
    };
}

/// All presets.
pub const PRESETS: [Preset; 7] =
    presets!["criteo_x4", "criteo_1tb", "avazu_x4", "frappe_x1", "movielens_tags_x1", "taobao_ad_x1", "adult",];

/// A file that is to be one of a preset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Checked {
    /// The published file, byte for byte.
    Published,
    /// It has the columns of the preset. Whether it is the published file is not known, for this reason.
    HasColumns(&'static str),
    /// It has the columns, but other bytes than the file of its name that was published.
    Differs,
}

/// The preset of a name.
///
/// # Errors
/// [`Error::Unknown`].
pub fn preset(name: &str) -> Result<Preset> {
    PRESETS.into_iter().find(|preset| preset.name == name).ok_or_else(|| {
        let known = PRESETS.map(|preset| preset.name.to_owned()).to_vec();
        Error::Unknown { what: "schema.toml or preset", name: name.to_owned(), known }
    })
}

/// The declaration in a `schema.toml`, or that of a preset if there is no such file; and the preset.
///
/// # Errors
/// Those of [`TableSpec::load`]; [`Error::Unknown`] for a name that is neither.
pub fn declaration(path: &Path) -> Result<(TableSpec, Option<Preset>)> {
    let name = path.to_str().filter(|name| !path.is_file() && !name.contains(['.', '/', '\\']));
    match name {
        None => Ok((TableSpec::load(path)?, None)),
        Some(name) => {
            let preset = preset(name)?;
            Ok((preset.spec()?, Some(preset)))
        }
    }
}

impl Preset {
    /// What the data set is, in a line.
    pub fn title(&self) -> &'static str {
        self.comments().next().unwrap_or_default()
    }

    /// What a comment such as `# rows: 48,842` says; `None` if there is no such comment.
    pub fn fact(&self, key: &str) -> Option<&'static str> {
        self.comments().find_map(|comment| comment.strip_prefix(key)?.strip_prefix(": "))
    }

    /// The MD5 digest of a published file, by its name.
    pub fn md5(&self, file: &str) -> Option<&'static str> {
        let mut files = self.fact("md5")?.split(", ").filter_map(|file| file.split_once(' '));
        files.find_map(|(name, md5)| (name == file).then_some(md5))
    }

    /// The declaration.
    ///
    /// # Errors
    /// [`Error::Spec`] for an invalid one.
    pub fn spec(&self) -> Result<TableSpec> {
        toml::from_str(self.text).map_err(|error| Error::Spec(format!("preset {}: {}", self.name, error.message())))
    }

    /// Checks that a file has the columns of the preset and, if that is known, the bytes that were published.
    ///
    /// # Errors
    /// [`Error::Data`] for a file without these columns, and the errors of [`TableReader::open`].
    pub fn check(&self, file: &Path) -> Result<Checked> {
        let size = ChunkSize { rows: 1, ..ChunkSize::default() };
        let names = TableReader::open(file, size)?.names().to_vec();
        let wrong = |error: Error| Error::data(file, None, format!("is no table of {}: {error}", self.name));
        let spec = self.spec()?.with_columns(&names).map_err(wrong)?;
        let needed = spec.read_options().columns.needed;
        if let Some(missing) = needed.iter().find(|needed| !names.contains(&needed.name)) {
            return Err(wrong(Error::MissingColumn { name: missing.name.clone(), there: names }));
        }
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        let Some(md5) = self.md5(&name) else {
            return Ok(Checked::HasColumns("no digest of a file of this name is known"));
        };
        Ok(if digest(file)? == md5 { Checked::Published } else { Checked::Differs })
    }

    /// The texts of the comments at the start.
    fn comments(&self) -> impl Iterator<Item = &'static str> {
        self.text.lines().map_while(|line| Some(line.strip_prefix('#')?.trim()))
    }
}

/// The MD5 digest of a file.
fn digest(path: &Path) -> Result<String> {
    let mut file = File::open(path).map_err(Error::io("read", path))?;
    let (mut md5, mut block) = (Md5::new(), vec![0; 1 << 20]);
    loop {
        match file.read(&mut block).map_err(Error::io("read", path))? {
            0 => return Ok(md5.finalize().iter().map(|byte| format!("{byte:02x}")).collect()),
            read => md5.update(&block[..read]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The names of the columns of a data set.
    fn columns(preset: &Preset) -> Vec<String> {
        let numbered = |name: &str, numbers: std::ops::RangeInclusive<u32>| -> Vec<String> {
            numbers.map(|number| format!("{name}{number}")).collect()
        };
        let names = |names: &str| names.split(' ').map(str::to_owned).collect();
        match preset.name {
            "criteo_x4" => [vec!["Label".into()], numbered("I", 1..=13), numbered("C", 1..=26)].concat(),
            "criteo_1tb" => [vec!["label".into()], numbered("I", 1..=13), numbered("C", 1..=26)].concat(),
            "avazu_x4" => {
                let first: Vec<String> = names(
                    "id click hour C1 banner_pos site_id site_domain site_category app_id app_domain app_category device_id \
                     device_ip device_model device_type device_conn_type",
                );
                [first, numbered("C", 14..=21)].concat()
            }
            _ => {
                let spec = preset.spec().unwrap();
                std::iter::once(spec.label).chain(spec.fields.into_iter().map(|field| field.name)).collect()
            }
        }
    }

    #[test]
    fn every_preset_says_what_it_is_and_declares_its_columns() {
        for preset in &PRESETS {
            assert!(preset.title().contains(": "), "{}", preset.name);
            for key in ["rows", "fields", "files", "from", "source", "licence", "task"] {
                assert!(preset.fact(key).is_some_and(|fact| !fact.is_empty()), "{}: {key}", preset.name);
            }
            for file in ["train.csv", "valid.csv", "test.csv"] {
                let is_digest = |md5: &str| md5.len() == 32 && md5.bytes().all(|byte| byte.is_ascii_hexdigit());
                assert!(preset.md5(file).is_none_or(is_digest), "{}", preset.name);
            }
            assert_eq!(preset.md5("other.csv"), None);
            let fields = preset.spec().unwrap().with_columns(&columns(preset)).unwrap().fields.len();
            assert_eq!(preset.fact("fields"), Some(fields.to_string().as_str()), "{}", preset.name);
        }
        assert!(preset("criteo_x5").unwrap_err().to_string().contains("did you mean `criteo_x4`?"));
    }

    #[test]
    fn a_file_is_checked_by_its_columns_and_its_bytes() {
        let folder = tempfile::tempdir().unwrap();
        let of = |name: &str, file: &str, text: &str| {
            let path = folder.path().join(file);
            std::fs::write(&path, text).unwrap();
            preset(name).unwrap().check(&path).map_err(|error| error.to_string())
        };
        assert_eq!(
            of("movielens_tags_x1", "train.csv", "label,user_id,item_id,tag_id\n1,2,3,4\n"),
            Ok(Checked::Differs)
        );
        let unknown = of("movielens_tags_x1", "a.csv", "tag_id,label,user_id,item_id\n1,2,3,4\n").unwrap();
        assert!(matches!(unknown, Checked::HasColumns(_)));
        let error = of("movielens_tags_x1", "b.csv", "label,user_id,item_id\n1,2,3\n").unwrap_err();
        assert!(error.contains("b.csv: is no table of movielens_tags_x1: there is no column `tag_id`"), "{error}");
        let error = of("criteo_x4", "c.csv", "Label,a\n1,2\n").unwrap_err();
        assert!(error.contains("is no table of criteo_x4: field `I*` stands for no column"), "{error}");
        let published = Preset {
            name: "test",
            text: "# T: t\n#\n# md5: d.csv a76a4c7cc4b5ad0b9d3bd2ff9a8aae64\nlabel = \"a\"\n[[field]]\nname = \"b\"\nkind = \"numeric\"\n",
        };
        let path = folder.path().join("d.csv");
        std::fs::write(&path, "a,b\n1,2\n").unwrap();
        let md5 = digest(&path).unwrap();
        let text: &'static str =
            Box::leak(published.text.replace("a76a4c7cc4b5ad0b9d3bd2ff9a8aae64", &md5).into_boxed_str());
        assert_eq!(Preset { text, ..published }.check(&path).unwrap(), Checked::Published);
    }
}
