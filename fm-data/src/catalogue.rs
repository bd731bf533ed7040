//! What a ranking needs beside the rows of its parts: all items, and which user and item each row is about.

use std::path::Path;

use fm_core::ranking::{Interactions, ItemSlots, NONE};
use fm_core::{Encoder, Field, FieldKind, Label, Rows, Schema, Side, Task};
use md5::{Digest, Md5};
use polars::prelude::*;
use tch::Device;

use crate::dataset::Dataset;
use crate::error::{Error, Result};
use crate::fit::{MissingColumns, encode, targets};
use crate::split::Parts;

/// The items of a catalogue as rows, and the user and the item of every row of each part.
///
/// Users and items are told apart by their texts, whatever their fields make of them: values that are rare, or share a bucket,
/// have one id and yet are several.
#[derive(Debug)]
pub struct Catalogue {
    /// A row for each item, of which the item's own fields are filled: encoded as the rows of the parts are.
    pub items: Dataset,
    /// The schema of `pairs`: a user and an item, whose vocabularies are all that there are.
    pairs_schema: Schema,
    /// User, item and target of each row that trains, validates, tests.
    pairs: [Dataset; 3],
}

/// A part of the rows.
const PARTS: [&str; 3] = ["train", "valid", "test"];

/// What a catalogue is made from.
pub(crate) struct CatalogueSource<'a> {
    /// All rows of all parts, with the columns `user` and `item`.
    pub rows: &'a DataFrame,
    pub user: &'a str,
    pub item: &'a str,
    pub users: Vec<String>,
    /// The items' ids, in the order of `items`.
    pub item_ids: Vec<String>,
    pub items: &'a DataFrame,
    pub labels: &'a [f32],
    pub parts: &'a Parts,
}

impl Catalogue {
    pub(crate) fn encode(source: &CatalogueSource<'_>, schema: &Schema) -> Result<Catalogue> {
        let CatalogueSource { rows, user, item, labels, parts, .. } = *source;
        if user == item {
            return Err(Error::Spec(format!(
                "`{user}` is declared as both the user and the item: a ranking needs two"
            )));
        }
        // Fields of user and context are not the item's.
        let items = encode(source.items, &Encoder::new(schema), None, MissingColumns::Unknown)?;
        let field =
            |name: &str, side, values: &[String]| Field::new(name, FieldKind::Categorical, side, values.to_vec());
        let fields = vec![field(user, Side::User, &source.users), field(item, Side::Item, &source.item_ids)];
        let pairs_schema = Schema::new(Label::fit("positive", Task::Regression, [0.0, 1.0]), fields)?;
        let encoder = Encoder::new(&pairs_schema);
        let pairs = |part: &[u32]| -> Result<Dataset> {
            let pairs = encode(rows, &encoder, Some(part), MissingColumns::Error)?;
            Ok(Dataset::new(&pairs_schema, pairs, targets(rows, schema, labels, part)?)?)
        };
        let pairs = [pairs(&parts.train)?, pairs(&parts.valid)?, pairs(&parts.test)?];
        Ok(Catalogue { items: Dataset::unlabelled(schema, items)?, pairs_schema, pairs })
    }

    pub(crate) fn open(folder: &Path, schema: &Schema) -> fm_core::Result<Catalogue> {
        let items = Dataset::open(folder.join("items.rows"), schema)?;
        let pairs_schema = Schema::load(folder.join("pairs.json"))?;
        let pairs = |part: &str| Dataset::open(folder.join(part).with_extension("pairs"), &pairs_schema);
        let pairs = [pairs(PARTS[0])?, pairs(PARTS[1])?, pairs(PARTS[2])?];
        Ok(Catalogue { items, pairs_schema, pairs })
    }

    pub(crate) fn save(&self, folder: &Path, schema: &Schema) -> fm_core::Result<()> {
        self.items.save(folder.join("items.rows"), schema)?;
        self.pairs_schema.save(folder.join("pairs.json"))?;
        for (part, pairs) in PARTS.iter().zip(&self.pairs) {
            pairs.save(folder.join(part).with_extension("pairs"), &self.pairs_schema)?;
        }
        Ok(())
    }

    /// Whether these are the pairs of parts with so many rows.
    pub(crate) fn is_of(&self, rows: [usize; 3]) -> bool {
        let items = self.pairs_schema.fields().get(1).map(|field| field.vocabulary.len());
        self.pairs.each_ref().map(|pairs| pairs.len()) == rows && items == Some(self.items.len())
    }

    /// A digest of the items and of all pairs, which tells whether they are still the same.
    pub fn digest(&self) -> String {
        let digests: Vec<String> = std::iter::once(&self.items).chain(&self.pairs).map(Dataset::digest).collect();
        Md5::digest(digests.concat()).iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// What each item fills into a row, on the CPU.
    ///
    /// # Errors
    /// As [`ItemSlots::new`].
    pub fn item_slots(&self, schema: &Schema) -> fm_core::Result<ItemSlots> {
        let all: Vec<usize> = (0..self.items.len()).collect();
        ItemSlots::new(schema, &self.items.batch(&all, Device::Cpu)?.features)
    }

    /// Who had to do with what in the training, the validation and the test rows.
    ///
    /// # Errors
    /// As [`Interactions::new`].
    pub fn interactions(&self) -> fm_core::Result<[Interactions; 3]> {
        let of = |pairs: &Dataset| {
            let numbers = |field: usize| {
                let unknown = self.pairs_schema.ids(field).start as i32;
                let number = move |id: i32| if id == unknown { NONE } else { (id - unknown - 1) as u32 };
                pairs.ids_of_slot(field).map(number).collect()
            };
            Interactions::new(self.items.len(), numbers(0), numbers(1), pairs.targets())
        };
        let [train, valid, test] = &self.pairs;
        Ok([of(train)?, of(valid)?, of(test)?])
    }

    /// The fields that are not declared as the item's, and yet have one value in all rows of an item, though not in all rows:
    /// what they say of a row to be ranked, they say of the item that is looked for.
    pub fn fields_that_tell_the_item(&self, schema: &Schema, train: &Dataset) -> Vec<String> {
        /// So many rows of an item that has others must agree: fewer may do so by chance.
        const ENOUGH: usize = 20;
        let unknown = self.pairs_schema.ids(1).start as i32;
        let items: Vec<i32> = self.pairs[0].ids_of_slot(1).collect();
        let tells = |field: usize| {
            let same = |a: usize, b: usize| train.are_slots_equal(a, b, schema.slots(field));
            let mut first: PlHashMap<i32, usize> = PlHashMap::new();
            let (mut agreeing, mut varies) = (0, false);
            for (row, &item) in items.iter().enumerate().filter(|(_, item)| **item != unknown) {
                let earlier = *first.entry(item).or_insert(row);
                if !same(earlier, row) {
                    return false;
                }
                agreeing += usize::from(earlier != row);
                varies |= !same(0, row);
            }
            varies && agreeing >= ENOUGH
        };
        let of_item: Vec<usize> = schema.item_slots().collect();
        let fields = (0..schema.num_fields()).filter(|&field| !of_item.contains(&schema.slots(field).start));
        fields.filter(|&field| tells(field)).map(|field| schema.fields()[field].name.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use crate::source::{DataConfig, TaskName};
    use crate::spec::TableSpec;
    use crate::{Prepared, Result};

    use super::*;

    const SCHEMA: &str = r#"
label = "stars"
user = "user"
item = "item"
timestamp = "when"

[[field]]
name = "user"
kind = "categorical"
side = "user"
min_count = 100

[[field]]
name = "item"
kind = "categorical"
side = "item"
hash_buckets = 2

[[field]]
name = "genre"
kind = "categorical"

[[field]]
name = "price"
kind = "numeric"
side = "item"

[[field]]
name = "weekday"
kind = "categorical"
"#;

    /// Prepares a table: the second time, out of the cache.
    fn prepare(schema: &str, rows: &str, times: usize) -> Result<Prepared> {
        let folder = tempfile::tempdir().unwrap();
        let table = folder.path().join("rows.csv");
        std::fs::write(&table, format!("user,item,genre,price,weekday,when,stars\n{rows}")).unwrap();
        let declaration = folder.path().join("schema.toml");
        std::fs::write(&declaration, schema).unwrap();
        let config = DataConfig {
            data: Some(table.display().to_string()),
            schema: Some(TableSpec::load(declaration)?),
            task: TaskName::Ranking,
            threshold: Some(3.0),
            split: "leave-last-out".into(),
            ..DataConfig::default()
        };
        let cache = folder.path().join("cache");
        let mut prepared = config.prepare(folder.path(), &cache);
        for _ in 1..times {
            prepared = config.prepare(folder.path(), &cache);
        }
        prepared
    }

    /// Three rows of ann, all at one time; one of bob; one of nobody; one of nothing.
    const ROWS: &str = "ann,x,war,1,mo,7,5\nbob,y,fun,2,mo,7,3\nann,y,fun,3,tu,7,2\n,x,war,5,we,8,5\nann,z,fun,,mo,7,4\n\
                        bob,,fun,9,tu,9,5\n";

    #[test]
    fn users_and_items_are_told_apart_by_their_texts_whatever_their_fields_make_of_them() {
        for times in [1, 2] {
            let Prepared { schema, train, valid, test, catalogue } = prepare(SCHEMA, ROWS, times).unwrap();
            let catalogue = catalogue.unwrap();
            assert_eq!((train.len(), valid.len(), test.len()), (4, 1, 1));
            // In the order of their last rows: y, x, z. Of equal times, the last row tests.
            let [train, valid, test] = catalogue.interactions().unwrap();
            assert_eq!((train.users(), train.items()), (&[0, 1, NONE, 1][..], &[1, 0, 1, NONE][..]));
            assert_eq!(train.positives().collect::<Vec<_>>(), [0, 1, 2]);
            assert_eq!((valid.users(), valid.items(), valid.positives().count()), (&[0][..], &[0][..], 0));
            assert_eq!((test.users(), test.items(), test.positives().count()), (&[0][..], &[2][..], 1));
            assert_eq!((catalogue.items.len(), train.num_items()), (3, 3));
            // An item's own fields are those of its last row; the others say nothing.
            let price = schema.slots(3).start;
            let items = catalogue.items.batch(&[0, 1, 2], Device::Cpu).unwrap().features.padded().unwrap();
            let mean = (1.0 + 2.0 + 5.0 + 9.0) / 4.0;
            let prices = Vec::<f32>::try_from(items.values.select(1, price as i64)).unwrap();
            assert!(prices[0] < 0.0 && prices[1] > 0.0 && mean > 3.0, "{prices:?}");
            assert_eq!(Vec::<i64>::try_from(items.ids.select(1, 2)).unwrap(), [schema.ids(2).start; 3]);
            assert_eq!(catalogue.item_slots(&schema).unwrap().len(), 3);
        }
    }

    #[test]
    fn a_table_that_names_no_user_or_no_item_or_one_column_for_both_is_refused() {
        for (removed, words) in
            [("user = \"user\"", "declare `user` and `item`"), ("item = \"item\"", "declare `user`")]
        {
            let error = prepare(&SCHEMA.replace(removed, ""), ROWS, 1).unwrap_err().to_string();
            // Without a user, the split cannot leave a user's last row out either.
            assert!(error.contains(words) || error.contains("no user column"), "{error}");
        }
        let error = prepare(&SCHEMA.replace("item = \"item\"", "item = \"user\""), ROWS, 1).unwrap_err().to_string();
        assert_eq!(error, "`user` is declared as both the user and the item: a ranking needs two");
    }

    #[test]
    fn a_field_of_the_moment_that_only_the_item_decides_is_found() {
        // Ten items in turn, the genre of each always the same, its price and the weekday not.
        let row = |n: usize| format!("u{},i{},g{},{n},d{},{n},5\n", n / 10, n % 10, n % 10 % 3, n % 7);
        let rows: String = (0..100).map(row).collect();
        let found = |schema: &str| {
            let prepared = prepare(schema, &rows, 1).unwrap();
            prepared.catalogue.unwrap().fields_that_tell_the_item(&prepared.schema, &prepared.train)
        };
        assert_eq!(found(SCHEMA), ["genre"]);
        let declared = SCHEMA.replace("name = \"genre\"\n", "name = \"genre\"\nside = \"item\"\n");
        assert_eq!(found(&declared), [""; 0]);
    }
}
