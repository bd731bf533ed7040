//! The row of one user and one item.

use polars::prelude::*;

use super::Source;
use crate::error::{Error, Result};
use crate::table::strings;

/// A user and an item as a row.
#[derive(Debug)]
pub struct Pair {
    /// The row: a column for each field.
    pub frame: DataFrame,
    /// Whether the user has any row in the data.
    pub known_user: bool,
    /// Whether the item is in the catalogue.
    pub known_item: bool,
    /// The label that the row has in the data, if it is there.
    pub rated: Option<Rated>,
}

/// What the data says of a user and an item.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rated {
    /// The label, before any threshold.
    pub label: f32,
    /// Where the row was split to: `train`, `valid` or `test`; nowhere for one that the split leaves out.
    pub part: Option<&'static str>,
}

impl Source {
    /// The row of a user and an item. If there is one in the data, it is that one, the latest of several, with the context and
    /// the history that it had. Otherwise it is made as [`Source::candidates`] makes it: the user's latest attributes and
    /// context, and the item's of the catalogue; what is not known of either is missing.
    ///
    /// # Errors
    /// [`Error::Spec`] if the table declares no user or no item.
    pub fn pair(&self, user: &str, item: &str) -> Result<Pair> {
        let (user_field, item_field) = self.roles("explaining by user and item")?;
        let (users, items) = (strings(&self.frame, user_field)?, strings(&self.frame, item_field)?);
        let rows = || (0..users.len()).filter(|&row| users.get(row) == Some(user));
        let latest = self.latest(rows());
        let both = self.latest(rows().filter(|&row| items.get(row) == Some(item)));
        let catalogue = self.item_rows(item_field, &items)?;
        let known = strings(&catalogue, item_field)?.iter().position(|id| id == Some(item));

        let mut columns = Vec::with_capacity(self.spec.fields.len());
        for field in &self.spec.fields {
            let value = match (both, known) {
                (Some(row), _) => strings(&self.frame, &field.name)?.get(row).map(str::to_owned),
                (None, _) if field.name == item_field => Some(item.to_owned()),
                (None, Some(row)) if self.is_of_item(field) => {
                    strings(&catalogue, &field.name)?.get(row).map(str::to_owned)
                }
                (None, None) if self.is_of_item(field) => None,
                (None, _) => self.of_user(&field.name, user, latest)?,
            };
            columns
                .push(StringChunked::from_iter_options(field.name.as_str().into(), [value].into_iter()).into_column());
        }
        let frame = DataFrame::new(1, columns).map_err(|error| Error::Spec(error.to_string()))?;
        let rated = both.map(|row| Rated { label: self.labels[row], part: self.part(row as u32) });
        Ok(Pair { frame, known_user: latest.is_some(), known_item: known.is_some(), rated })
    }

    fn part(&self, row: u32) -> Option<&'static str> {
        let parts = [("train", &self.parts.train), ("valid", &self.parts.valid), ("test", &self.parts.test)];
        parts.into_iter().find(|(_, rows)| rows.contains(&row)).map(|(name, _)| name)
    }

    /// The fields whose values are items' ids: the item's own, and MovieLens' history and `rated`.
    pub fn fields_of_items(&self) -> Vec<&str> {
        let fields = self.spec.fields.iter().map(|field| field.name.as_str()).filter(|_| self.movies.is_some());
        self.spec.item.as_deref().into_iter().chain(fields.filter(|name| ["history", "rated"].contains(name))).collect()
    }
}

#[cfg(test)]
mod tests {
    use fm_core::Side;

    use super::*;
    use crate::source::DataConfig;
    use crate::spec::{FieldSpec, FieldSpecKind, TableSpec};

    const TABLE: &str = "user,item,mood,price,label,when\n\
                         ann,a,calm,1,5,30\n\
                         ann,b,wild,2,4,10\n\
                         ann,a,wild,3,3,20\n\
                         bob,b,calm,4,2,40\n";

    fn source(spec: impl FnOnce(&mut TableSpec)) -> Source {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("table.csv");
        std::fs::write(&path, TABLE).unwrap();
        let field = |name, side| FieldSpec::new(name, FieldSpecKind::Categorical, side);
        let mut schema = TableSpec {
            label: "label".into(),
            user: Some("user".into()),
            item: Some("item".into()),
            title: None,
            timestamp: Some("when".into()),
            weight: None,
            fields: vec![
                field("user", Side::User),
                field("item", Side::Item),
                field("mood", Side::Context),
                field("price", Side::Item),
            ],
        };
        spec(&mut schema);
        let config = DataConfig {
            data: Some(path.to_string_lossy().into_owned()),
            schema: Some(schema),
            split: "time:0.25:0.25".into(),
            ..DataConfig::default()
        };
        Source::open(&config, folder.path()).unwrap()
    }

    fn texts(pair: &Pair) -> Vec<Option<String>> {
        let names = ["user", "item", "mood", "price"];
        names.iter().map(|name| strings(&pair.frame, name).unwrap().get(0).map(str::to_owned)).collect()
    }

    /// Texts, of which `-` is none.
    fn row<const N: usize>(texts: [&str; N]) -> Vec<Option<String>> {
        texts.iter().map(|text| Some((*text).to_owned()).filter(|text| text != "-")).collect()
    }

    #[test]
    fn of_rows_that_are_there_it_is_the_latest_with_its_label_and_part() {
        let source = source(|_| {});
        let pair = source.pair("ann", "a").unwrap();
        assert_eq!(texts(&pair), row(["ann", "a", "calm", "1"]));
        assert_eq!(pair.rated, Some(Rated { label: 5.0, part: Some("valid") }));
        assert_eq!(source.pair("bob", "b").unwrap().rated, Some(Rated { label: 2.0, part: Some("test") }));
        assert_eq!(source.pair("ann", "b").unwrap().rated, Some(Rated { label: 4.0, part: Some("train") }));
    }

    #[test]
    fn what_is_not_there_has_the_users_latest_context_and_the_items_own_values() {
        let source = source(|_| {});
        let pair = source.pair("bob", "a").unwrap();
        // Of an item, the catalogue has the last row of the table.
        assert_eq!((texts(&pair), pair.rated), (row(["bob", "a", "calm", "3"]), None));
        assert!(pair.known_user && pair.known_item);
        let stranger = source.pair("carl", "b").unwrap();
        assert_eq!(texts(&stranger), row(["carl", "b", "-", "4"]));
        assert!(!stranger.known_user && stranger.known_item);
        let nothing = source.pair("ann", "z").unwrap();
        assert_eq!(texts(&nothing), row(["ann", "z", "calm", "-"]));
        assert!(nothing.known_user && !nothing.known_item);
        assert_eq!(source.fields_of_items(), ["item"]);
    }

    #[test]
    fn without_a_user_or_an_item_there_is_no_pair() {
        let error = source(|spec| spec.user = None).pair("ann", "a").unwrap_err().to_string();
        assert!(error.contains("explaining by user and item needs to know who the user and the item are"), "{error}");
    }
}
