//! The additional data of a ranking: all items, and the user and item of each row.

use std::path::Path;

use fm_core::ranking::{Interactions, ItemSlots, NONE};
use fm_core::{Encoder, Field, FieldKind, Label, Records, Rows, Schema, Side, Task};
use md5::{Digest, Md5};
use polars::prelude::*;
use tch::Device;

use crate::catalogue::Catalogue;
use crate::encode::{Labels, MissingColumns, encode, encode_labelled};
use crate::error::{Error, Result};
use crate::raw_data::RawData;
use crate::table::codes;

/// All items as encoded rows, and the user and item of every row of each part.
///
/// The text of a user or an item identifies it, not the id of its field: several rare values, or several values of one
/// hash bucket, share an id.
#[derive(Debug)]
pub struct RankingData {
    /// One row per item. Fields that do not describe items are missing.
    pub items: Records,
    /// The schema of `pairs`: a user and an item, with all users and items as vocabularies.
    pairs_schema: Schema,
    /// User, item and target of each training, validation and test row.
    pairs: [Records; 3],
}

/// The names of the parts in files.
const PARTS: [&str; 3] = ["train", "valid", "test"];

impl RawData {
    /// Encodes all items and the user and item of every row.
    ///
    /// # Errors
    /// [`Error::NoRole`] if the table declares no user or no item; [`Error::Spec`] if both are one column.
    pub fn ranking(&self, schema: &Schema) -> Result<RankingData> {
        let RawData { rows, labels, parts, .. } = self;
        if let Some(field) = schema.mixed_fields().next() {
            return Err(Error::Spec(format!(
                "field `{}` depends on the item and on the rest of the row, but a ranking exchanges the item alone: leave the field \
                 out",
                field.name
            )));
        }
        let (Some(user), Some(item)) = (&self.roles.user, &self.roles.item) else {
            return Err(Error::NoRole { purpose: "a ranking", user: true });
        };
        if user == item {
            return Err(Error::Spec(format!(
                "`{user}` is declared as both the user and the item: a ranking needs two fields"
            )));
        }
        let catalogue = Catalogue::of(self, item)?.into_items();
        let users = self.values(user)?;
        let users: Vec<String> = codes(&users).1.into_iter().map(str::to_owned).collect();
        // Fields of the user and the context are not the item's.
        let items = encode(&catalogue.frame, &Encoder::new(schema), None, MissingColumns::Unknown)?;
        let field = |name: &str, side, values: &[String]| {
            let exact = self.reading(name).is_exact();
            Field { exact, ..Field::new(name, FieldKind::Categorical, side, values.to_vec()) }
        };
        let fields = vec![field(user, Side::User, &users), field(item, Side::Item, &catalogue.ids)];
        let label = Label::fit("positive", Task::Regression, [0.0, 1.0]);
        let pairs_schema = Schema::new(label, fields)?.with_null_values(&self.spec.null_values)?;
        let targets: Vec<f32> = labels.iter().map(|&label| schema.label().target(label)).collect();
        let labels = Labels { labels: &targets, weights: None };
        let pairs = |part: &[u32]| encode_labelled(rows, &pairs_schema, labels, part);
        let pairs = [pairs(&parts.train)?, pairs(&parts.valid)?, pairs(&parts.test)?];
        Ok(RankingData { items, pairs_schema, pairs })
    }
}

impl RankingData {
    pub(crate) fn open(folder: &Path, schema: &Schema) -> fm_core::Result<RankingData> {
        let items = Records::open(folder.join("items.rows"), schema)?;
        let pairs_schema = Schema::load(folder.join("pairs.json"))?;
        let pairs = |part: &str| Records::open(folder.join(part).with_extension("pairs"), &pairs_schema);
        let pairs = [pairs(PARTS[0])?, pairs(PARTS[1])?, pairs(PARTS[2])?];
        Ok(RankingData { items, pairs_schema, pairs })
    }

    pub(crate) fn save(&self, folder: &Path, schema: &Schema) -> fm_core::Result<()> {
        self.items.save(folder.join("items.rows"), schema)?;
        self.pairs_schema.save(folder.join("pairs.json"))?;
        for (part, pairs) in PARTS.iter().zip(&self.pairs) {
            pairs.save(folder.join(part).with_extension("pairs"), &self.pairs_schema)?;
        }
        Ok(())
    }

    /// Whether the parts have these numbers of rows.
    pub(crate) fn is_of(&self, rows: [usize; 3]) -> bool {
        let items = self.pairs_schema.fields().get(1).map(|field| field.vocabulary.len());
        self.pairs.each_ref().map(|pairs| pairs.len()) == rows && items == Some(self.items.len())
    }

    /// A digest that reveals changed items or pairs.
    pub fn digest(&self) -> String {
        let digests: Vec<String> = std::iter::once(&self.items).chain(&self.pairs).map(Records::digest).collect();
        Md5::digest(digests.concat()).iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// The slots of each item in a row, on the CPU.
    ///
    /// # Errors
    /// Like [`ItemSlots::new`].
    pub fn item_slots(&self, schema: &Schema) -> fm_core::Result<ItemSlots> {
        let all: Vec<usize> = (0..self.items.len()).collect();
        ItemSlots::new(schema, &self.items.batch(&all, Device::Cpu)?.features)
    }

    /// The user and item of each training, validation and test row.
    ///
    /// # Errors
    /// Like [`Interactions::new`].
    pub fn interactions(&self) -> fm_core::Result<[Interactions; 3]> {
        let of = |pairs: &Records| {
            let numbers = |field: usize| {
                let unknown = self.pairs_schema.ids(field).start as i32;
                let number = move |id: i32| if id == unknown { NONE } else { (id - unknown - 1) as u32 };
                pairs.ids_of(field).map(number).collect()
            };
            Interactions::new(self.items.len(), numbers(0), numbers(1), &pairs.labels())
        };
        let [train, valid, test] = &self.pairs;
        Ok([of(train)?, of(valid)?, of(test)?])
    }

    /// The fields that are not declared as fields of the item, but have the same value in all rows of an item and other
    /// values in other rows. In a query, their value reveals the item to be ranked.
    pub fn fields_that_tell_the_item(&self, schema: &Schema, train: &Records) -> Vec<String> {
        /// Minimum number of rows that agree with an earlier row of their item. Fewer may agree by chance.
        const ENOUGH: usize = 20;
        let unknown = self.pairs_schema.ids(1).start as i32;
        let items: Vec<i32> = self.pairs[0].ids_of(1).collect();
        let tells = |field: usize| {
            let same = |a: usize, b: usize| train.row(a).field(field).is_equal(train.row(b).field(field));
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
    use crate::Prepared;
    use crate::config::{DataConfig, TaskName};
    use crate::spec::TableSpec;

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

    /// Prepares a table. The second call reads the cache.
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

    /// Three rows of ann with the same time, one of bob, one without a user, and one without a user and an item.
    const ROWS: &str = "ann,x,war,1,mo,7,5\nbob,y,fun,2,mo,7,3\nann,y,fun,3,tu,7,2\n,x,war,5,we,8,5\nann,z,fun,,mo,7,4\n\
                        bob,,fun,9,tu,9,5\n";

    #[test]
    fn users_and_items_are_identified_by_their_texts_not_by_the_ids_of_their_fields() {
        for times in [1, 2] {
            let Prepared { schema, train, valid, test, ranking, .. } = prepare(SCHEMA, ROWS, times).unwrap();
            let ranking = ranking.unwrap();
            assert_eq!((train.len(), valid.len(), test.len()), (4, 1, 1));
            // In the order of their last rows: y, x, z. The last of several rows with the same time is the test row.
            let [train, valid, test] = ranking.interactions().unwrap();
            assert_eq!((train.users(), train.items()), (&[0, 1, NONE, 1][..], &[1, 0, 1, NONE][..]));
            assert_eq!(train.positives().collect::<Vec<_>>(), [0, 1, 2]);
            assert_eq!((valid.users(), valid.items(), valid.positives().count()), (&[0][..], &[0][..], 0));
            assert_eq!((test.users(), test.items(), test.positives().count()), (&[0][..], &[2][..], 1));
            assert_eq!((ranking.items.len(), train.num_items()), (3, 3));
            // The fields of an item come from its last row; all others are missing.
            let price = schema.slots(3).start;
            let items = ranking.items.batch(&[0, 1, 2], Device::Cpu).unwrap().features.padded().unwrap();
            let mean = (1.0 + 2.0 + 5.0 + 9.0) / 4.0;
            let prices = Vec::<f32>::try_from(items.values.select(1, price as i64)).unwrap();
            assert!(prices[0] < 0.0 && prices[1] > 0.0 && mean > 3.0, "{prices:?}");
            assert_eq!(Vec::<i64>::try_from(items.ids.select(1, 2)).unwrap(), [schema.ids(2).start; 3]);
            assert_eq!(ranking.item_slots(&schema).unwrap().len(), 3);
        }
    }

    #[test]
    fn a_table_without_a_user_or_an_item_or_with_one_column_for_both_is_an_error() {
        let error = prepare(&SCHEMA.replace("item = \"item\"", ""), ROWS, 1).unwrap_err();
        assert!(matches!(error, Error::NoRole { user: true, .. }), "{error}");
        // Without a user, the split cannot leave out a user's last row either.
        let error = prepare(&SCHEMA.replace("user = \"user\"", ""), ROWS, 1).unwrap_err();
        assert!(matches!(error, Error::Split { .. }), "{error}");
        let error = prepare(&SCHEMA.replace("item = \"item\"", "item = \"user\""), ROWS, 1).unwrap_err().to_string();
        assert_eq!(error, "`user` is declared as both the user and the item: a ranking needs two fields");
    }

    #[test]
    fn a_field_of_the_context_that_reveals_the_item_is_found() {
        // Ten items in turn. The genre of an item is always the same; its price and the weekday vary.
        let row = |n: usize| format!("u{},i{},g{},{n},d{},{n},5\n", n / 10, n % 10, n % 10 % 3, n % 7);
        let rows: String = (0..100).map(row).collect();
        let found = |schema: &str| {
            let prepared = prepare(schema, &rows, 1).unwrap();
            prepared.ranking.unwrap().fields_that_tell_the_item(&prepared.schema, &prepared.train)
        };
        assert_eq!(found(SCHEMA), ["genre"]);
        let declared = SCHEMA.replace("name = \"genre\"\n", "name = \"genre\"\nside = \"item\"\n");
        assert_eq!(found(&declared), [""; 0]);
    }
}
