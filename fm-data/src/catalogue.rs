//! The users and items of a data set by their ids, for recommendations, explanations and exports.

mod users;

use fm_core::Side;
use fm_core::schema::Reading;
use polars::prelude::*;

use crate::error::{Error, Result};
use crate::history::{Likes, latest_histories};
use crate::raw_data::RawData;
use crate::spec::{FieldOrigin, FieldSpec, SEPARATOR, derived_texts};
use crate::table::{NO_CODE, Present, strings, take_rows, values};

pub use users::Users;

/// All items of a data set, and the values that its rows give for a user and an item.
#[derive(Debug)]
pub struct Catalogue<'a> {
    data: &'a RawData,
    /// The column that identifies the item.
    item: &'a str,
    items: Items,
}

/// Some items, one row each.
#[derive(Clone, Debug)]
pub struct Items {
    /// One column per field of the items; in [`Unseen`], one column per field.
    pub frame: DataFrame,
    /// The ids of the items.
    pub ids: Vec<String>,
    /// The titles of the items; the id if an item has no title.
    pub titles: Vec<String>,
}

/// The items without a row of the user, as rows to score.
#[derive(Debug)]
pub struct Unseen {
    /// The items, with one column per field.
    pub items: Items,
    /// Whether the data contains the user.
    pub known_user: bool,
}

/// A user and an item as a row to score.
#[derive(Debug)]
pub struct Pair {
    /// The row, with one column per field.
    pub frame: DataFrame,
    /// Whether the data contains the user.
    pub known_user: bool,
    /// Whether the item is in the catalogue.
    pub known_item: bool,
    /// The label of the row, if the data contains the row.
    pub rated: Option<Rated>,
}

/// The label that a user gave to an item.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rated {
    /// The label, before any threshold.
    pub label: f32,
    /// The part of the row: `train`, `valid` or `test`; `None` if the split leaves it out.
    pub part: Option<&'static str>,
}

impl RawData {
    /// The items by their ids, for recommending and explaining.
    ///
    /// # Errors
    /// [`Error::NoRole`] if no selected field is the item.
    pub fn catalogue(&self) -> Result<Catalogue<'_>> {
        let item = self.spec.item.as_deref().ok_or(Error::NoRole { purpose: "a catalogue", user: false })?;
        Catalogue::of(self, item)
    }
}

impl<'a> Catalogue<'a> {
    /// Lists the items of `data`, which the column `item` identifies.
    pub(crate) fn of(data: &'a RawData, item: &'a str) -> Result<Catalogue<'a>> {
        let frame = match &data.items {
            Some(items) => items.clone(),
            None => last_rows(data, item)?,
        };
        let owned = |name: &str| -> Result<Vec<String>> {
            Ok(strings(&frame, name)?.iter().map(|value| value.unwrap_or_default().to_owned()).collect())
        };
        let ids = values(&frame, item, data.reading(item))?;
        let ids: Vec<String> = ids.iter().map(|id| id.unwrap_or_default().to_owned()).collect();
        let mut titles = data.spec.title.as_ref().map_or_else(|| Ok(ids.clone()), |title| owned(title))?;
        for (title, id) in titles.iter_mut().zip(&ids).filter(|(title, _)| title.trim().is_empty()) {
            title.clone_from(id);
        }
        Ok(Catalogue { data, item, items: Items { frame, ids, titles } })
    }

    /// All items in the order of the data: from the source's own list or, without one, from the rows, each with the
    /// attributes of its latest row.
    pub fn items(&self) -> &Items {
        &self.items
    }

    /// Like [`Catalogue::items`].
    pub fn into_items(self) -> Items {
        self.items
    }

    /// Rows to score for a user: one for each item without a row of the user, with the attributes and the context of
    /// the user's latest row, and with the current history. For an unknown user, all values other than the item's are
    /// missing, so they get the out-of-vocabulary ids.
    ///
    /// # Errors
    /// [`Error::NoRole`] if no selected field is the user.
    pub fn unseen(&self, user: &str) -> Result<Unseen> {
        let user = self.user(user);
        let rows = self.rows_of(user, "recommending")?;
        let latest = self.data.latest(rows.iter().copied());
        let items = self.data.values(self.item)?;
        let seen: PlHashSet<&str> = rows.iter().filter_map(|&row| items.get(row)).collect();
        let keep: Vec<u32> = (0..self.items.ids.len() as u32)
            .filter(|&row| !seen.contains(self.items.ids[row as usize].as_str()))
            .collect();
        let own = take_rows(&self.items.frame, &keep)?;
        let columns = self.data.spec.fields.iter().map(|field| {
            let name = PlSmallStr::from_str(&field.name);
            if self.is_of_item(field) && field.derived.until_column().is_some() {
                let ages = keep.iter().map(|&row| self.age_of_item(field, row as usize, latest));
                return Ok(ages.collect::<Result<StringChunked>>()?.with_name(name).into_column());
            }
            if self.is_of_item(field) {
                return Ok(strings(&own, &field.name)?.with_name(name).into_column());
            }
            Ok(match &self.of_user(field, user, latest)? {
                Some(value) => StringChunked::full(name, value, keep.len()),
                None => StringChunked::full_null(name, keep.len()),
            }
            .into_column())
        });
        let mut frame = DataFrame::new(keep.len(), columns.collect::<Result<_>>()?)?;
        self.cross(&mut frame)?;
        let pick = |names: &[String]| keep.iter().map(|&row| names[row as usize].clone()).collect();
        let items = Items { frame, ids: pick(&self.items.ids), titles: pick(&self.items.titles) };
        Ok(Unseen { items, known_user: latest.is_some() })
    }

    /// The row of a user and an item. If the data has such rows, this is the latest one, with its context and its
    /// history. Otherwise the row is built as in [`Catalogue::unseen`]; the attributes of an unknown item are missing.
    ///
    /// # Errors
    /// [`Error::NoRole`] if no selected field is the user.
    pub fn pair(&self, user: &str, item: &str) -> Result<Pair> {
        let RawData { rows: table, spec, labels, .. } = self.data;
        let (user, item) = (self.user(user), self.data.reading(self.item).value(item).unwrap_or_default());
        let rows = self.rows_of(user, "explaining by user and item")?;
        let latest = self.data.latest(rows.iter().copied());
        let items = self.data.values(self.item)?;
        let both = self.data.latest(rows.into_iter().filter(|&row| items.get(row) == Some(item)));
        let known = self.items.ids.iter().position(|id| id == item);
        let columns = spec.fields.iter().map(|field| {
            let value = match (both, known) {
                (Some(row), _) => table.cell(&field.name, row)?.map(str::to_owned),
                (None, _) if field.name == self.item => Some(item.to_owned()),
                (None, Some(row)) if self.is_of_item(field) && field.derived.until_column().is_some() => {
                    self.age_of_item(field, row, latest)?
                }
                (None, Some(row)) if self.is_of_item(field) => {
                    strings(&self.items.frame, &field.name)?.get(row).map(str::to_owned)
                }
                (None, None) if self.is_of_item(field) => None,
                (None, _) => self.of_user(field, user, latest)?,
            };
            Ok(StringChunked::from_iter_options(field.name.as_str().into(), [value].into_iter()).into_column())
        });
        let mut frame = DataFrame::new(1, columns.collect::<Result<_>>()?)?;
        self.cross(&mut frame)?;
        let rated = both.map(|row| Rated { label: labels[row], part: self.part(row as u32) });
        Ok(Pair { frame, known_user: latest.is_some(), known_item: known.is_some(), rated })
    }

    /// The value in the text of a user.
    fn user<'t>(&self, text: &'t str) -> &'t str {
        let reading = self.data.spec.user.as_ref().map(|user| self.data.reading(user)).unwrap_or_default();
        reading.value(text).unwrap_or_default()
    }

    /// The rows of a user.
    fn rows_of(&self, user: &str, purpose: &'static str) -> Result<Vec<usize>> {
        let column = self.data.spec.user.as_ref().ok_or(Error::NoRole { purpose, user: true })?;
        let users = self.data.values(column)?;
        Ok((0..users.len()).filter(|&row| users.get(row) == Some(user)).collect())
    }

    /// Whether the field describes items.
    fn is_of_item(&self, field: &FieldSpec) -> bool {
        field.side == Side::Item || field.name == self.item
    }

    /// The value of a field that does not describe items, in a new row of a user whose latest row is `latest`.
    fn of_user(&self, field: &FieldSpec, user: &str, latest: Option<usize>) -> Result<Option<String>> {
        if self.data.spec.user.as_ref() == Some(&field.name) {
            return Ok(Some(user.to_owned()));
        }
        let Some(row) = latest else { return Ok(None) };
        match field.origin {
            FieldOrigin::LikedBefore { least } => self.history(field, user, least),
            FieldOrigin::Column | FieldOrigin::ItemsOfUser | FieldOrigin::UsersOfItem => {
                Ok(self.data.rows.cell(&field.name, row)?.map(str::to_owned))
            }
        }
    }

    /// The age of an item in a new row of a user: at the time of the user's latest row.
    fn age_of_item(&self, field: &FieldSpec, item: usize, latest: Option<usize>) -> Result<Option<String>> {
        let since = strings(&self.items.frame, field.column())?;
        let until = field.derived.until_column().zip(latest);
        let until = until.map(|(until, row)| self.data.rows.cell(until, row)).transpose()?;
        Ok(field.derived.of_time(Reading::new(false, &self.data.spec.null_values), since.get(item), until.flatten()))
    }

    /// Gives rows the crosses of their fields, which may be of the user and of the item.
    fn cross(&self, rows: &mut DataFrame) -> Result<()> {
        let spec = &self.data.spec;
        for field in spec.fields.iter().filter(|field| field.derived.is_cross()) {
            let of = (&field.derived, field.column());
            let text = derived_texts(of, &*rows, &*rows, &spec.null_values, |part| spec.reading(part))?;
            let texts: StringChunked = (0..rows.height()).map(text).collect();
            rows.with_column(texts.with_name(field.name.as_str().into()).into_column())?;
        }
        Ok(())
    }

    /// The items that a user has liked so far.
    fn history(&self, field: &FieldSpec, user: &str, liked: f32) -> Result<Option<String>> {
        let RawData { labels, timestamps, parts, spec, .. } = self.data;
        let (Some(column), Some(timestamps)) = (&spec.user, timestamps) else { return Ok(None) };
        let column_of = |name: &str| Present::of(&self.data.rows, name, self.data.reading(name));
        let (users, items) = (column_of(column)?, column_of(self.item)?);
        // One user is told from all others.
        let codes = (0..labels.len() as u32).map(|row| if users.value(row) == Some(user) { 0 } else { NO_CODE });
        let codes: Vec<u32> = codes.collect();
        let separator = field.kind.list().map_or(SEPARATOR, |list| list.separator.as_str());
        let likes = Likes { users: &codes, items: &items, labels, timestamps, train: &parts.train, liked, separator };
        Ok(latest_histories(&likes).into_iter().next().flatten())
    }

    fn part(&self, row: u32) -> Option<&'static str> {
        let parts = &self.data.parts;
        let parts = [("train", &parts.train), ("valid", &parts.valid), ("test", &parts.test)];
        parts.into_iter().find(|(_, rows)| rows.contains(&row)).map(|(name, _)| name)
    }
}

/// The latest row of each item, with the columns of the fields of items.
fn last_rows(data: &RawData, item: &str) -> Result<DataFrame> {
    let RawData { rows: table, spec, timestamps, .. } = data;
    let items = data.values(item)?;
    let time = |row: u32| timestamps.as_ref().map_or(0, |times| times[row as usize]);
    // The last row of the table, which decides the order of the items, and the latest one, which describes them.
    let mut ends: PlHashMap<&str, (u32, u32)> = PlHashMap::new();
    for (item, row) in items.iter().zip(0..) {
        if let Some(item) = item {
            let (last, latest) = ends.entry(item).or_insert((row, row));
            *last = row;
            if time(row) >= time(*latest) {
                *latest = row;
            }
        }
    }
    let mut ends: Vec<(u32, u32)> = ends.into_values().collect();
    ends.sort_unstable();
    let rows: Vec<u32> = ends.into_iter().map(|(_, latest)| latest).collect();
    let own = spec.fields.iter().filter(|field| field.side == Side::Item).map(|field| field.name.as_str());
    // Ages at the time of another row need the column itself.
    let ages = spec.fields.iter().filter(|field| field.side == Side::Item && field.derived.until_column().is_some());
    let names = own.chain([item]).chain(spec.title.as_deref()).chain(ages.map(FieldSpec::column));
    let names: PlHashSet<&str> = names.collect();
    table.take(&rows, &names.into_iter().collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::DataConfig;
    use crate::spec::{FieldSpec, FieldSpecKind, TableSpec};

    const TABLE: &str = "user,item,mood,price,label,when\n\
                         ann,a,calm,1,5,30\n\
                         ann,b,wild,2,4,10\n\
                         ann,a,wild,3,3,20\n\
                         bob,b,calm,4,2,40\n";

    fn data(spec: impl FnOnce(&mut TableSpec)) -> RawData {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("table.csv");
        std::fs::write(&path, TABLE).unwrap();
        let field = |name, side| FieldSpec::new(name, FieldSpecKind::Categorical, side);
        let fields = vec![
            field("user", Side::User),
            field("item", Side::Item),
            field("mood", Side::Context),
            field("price", Side::Item),
        ];
        let mut schema = TableSpec {
            user: Some("user".into()),
            item: Some("item".into()),
            timestamp: Some("when".into()),
            ..TableSpec::new("label", fields)
        };
        spec(&mut schema);
        let config = DataConfig {
            data: Some(path.to_string_lossy().into_owned()),
            schema: Some(schema),
            split: "time:0.25:0.25".into(),
            ..DataConfig::default()
        };
        RawData::open(&config, folder.path()).unwrap()
    }

    fn texts(pair: &Pair) -> Vec<Option<String>> {
        let names = ["user", "item", "mood", "price"];
        names.iter().map(|name| strings(&pair.frame, name).unwrap().get(0).map(str::to_owned)).collect()
    }

    /// Converts texts; `-` stands for a missing value.
    fn row<const N: usize>(texts: [&str; N]) -> Vec<Option<String>> {
        texts.iter().map(|text| Some((*text).to_owned()).filter(|text| text != "-")).collect()
    }

    #[test]
    fn a_pair_that_the_data_has_is_its_latest_row_with_label_and_part() {
        let data = data(|_| {});
        let catalogue = data.catalogue().unwrap();
        let pair = catalogue.pair("ann", "a").unwrap();
        assert_eq!(texts(&pair), row(["ann", "a", "calm", "1"]));
        assert_eq!(pair.rated, Some(Rated { label: 5.0, part: Some("valid") }));
        assert_eq!(catalogue.pair("bob", "b").unwrap().rated, Some(Rated { label: 2.0, part: Some("test") }));
        assert_eq!(catalogue.pair("ann", "b").unwrap().rated, Some(Rated { label: 4.0, part: Some("train") }));
    }

    #[test]
    fn a_new_pair_has_the_users_latest_context_and_the_items_own_values() {
        let data = data(|_| {});
        let catalogue = data.catalogue().unwrap();
        let pair = catalogue.pair("bob", "a").unwrap();
        // The latest row of an item describes it, wherever it is in the table.
        assert_eq!((texts(&pair), pair.rated), (row(["bob", "a", "calm", "1"]), None));
        assert!(pair.known_user && pair.known_item);
        let stranger = catalogue.pair("carl", "b").unwrap();
        assert_eq!(texts(&stranger), row(["carl", "b", "-", "4"]));
        assert!(!stranger.known_user && stranger.known_item);
        let nothing = catalogue.pair("ann", "z").unwrap();
        assert_eq!(texts(&nothing), row(["ann", "z", "calm", "-"]));
        assert!(nothing.known_user && !nothing.known_item);
        assert_eq!(data.spec.fields_of_items(), ["item"]);
    }

    #[test]
    fn unseen_items_have_their_own_values_and_the_users_latest_context() {
        let data = data(|_| {});
        let catalogue = data.catalogue().unwrap();
        let cells = |unseen: &Unseen, name: &str| strings(&unseen.items.frame, name).unwrap().get(0).map(str::to_owned);
        let Unseen { items, known_user } = &catalogue.unseen("bob").unwrap();
        assert_eq!(
            (items.ids.as_slice(), items.titles.as_slice(), *known_user),
            (&["a".to_owned()][..], &["a".to_owned()][..], true)
        );
        let unseen = catalogue.unseen("bob").unwrap();
        let names = ["user", "item", "mood", "price"];
        assert_eq!(names.map(|name| cells(&unseen, name)).to_vec(), row(["bob", "a", "calm", "1"]));
        assert!(catalogue.unseen("ann").unwrap().items.ids.is_empty());
        let stranger = catalogue.unseen("carl").unwrap();
        assert_eq!((stranger.items.ids.len(), stranger.known_user, cells(&stranger, "mood")), (2, false, None));
    }

    #[test]
    fn without_a_user_there_are_items_but_no_pairs() {
        let data = data(|spec| spec.user = None);
        let catalogue = data.catalogue().unwrap();
        assert_eq!(catalogue.items().ids, ["a", "b"]);
        let error = catalogue.pair("ann", "a").unwrap_err();
        assert!(matches!(error, Error::NoRole { user: true, .. }), "{error}");
        assert!(
            error.to_string().starts_with("explaining by user and item needs to know who the user and the item are"),
            "{error}"
        );
        assert!(matches!(catalogue.unseen("ann").unwrap_err(), Error::NoRole { user: true, .. }));
    }

    #[test]
    fn without_an_item_there_is_no_catalogue() {
        let error = data(|spec| spec.item = None).catalogue().unwrap_err();
        assert!(matches!(error, Error::NoRole { user: false, .. }), "{error}");
    }
}
