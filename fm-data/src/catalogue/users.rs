//! All users of a data set as rows.

use polars::prelude::*;

use super::Catalogue;
use crate::error::{Error, Result};
use crate::history::{Likes, latest_histories};
use crate::spec::{FieldOrigin, FieldSpec, SEPARATOR};
use crate::table::{NO_CODE, Present, TextColumns, codes};

/// Some users as rows that any item completes.
#[derive(Debug)]
pub struct Users {
    /// One row per user and one column per field, with the attributes and the context of the user's latest row, and with the
    /// current history; of a user that the data lacks, all other values are missing. The fields of items are missing.
    pub frame: DataFrame,
    /// The ids of the users.
    pub ids: Vec<String>,
    /// For each user, the items with a row of the user: their positions among [`Catalogue::items`], ascending.
    pub seen: Vec<Vec<u32>>,
    /// The number of users that the data lacks.
    pub unknown: usize,
}

impl Catalogue<'_> {
    /// The users with these ids, or all in the order of their first rows. Each has the row of [`Catalogue::unseen`], but all users
    /// together take one pass over the data.
    ///
    /// # Errors
    /// [`Error::NoRole`] if no selected field is the user; [`Error::Spec`] for a field that depends on both the user and the item.
    pub fn users(&self, ids: Option<&[String]>) -> Result<Users> {
        let data = self.data;
        let column = data.spec.user.as_ref().ok_or(Error::NoRole { purpose: "recommending", user: true })?;
        if let Some(field) = data.spec.fields.iter().find(|field| self.is_mixed(field)) {
            return Err(Error::Spec(format!(
                "field `{}` depends on the item and on the rest of the row: recommend for one user at a time",
                field.name
            )));
        }
        let values = data.values(column)?;
        let (of_rows, known) = codes(&values);
        // The latest row of each user, and the items.
        let mut latest: Vec<Option<usize>> = vec![None; known.len()];
        let mut items_of: Vec<Vec<u32>> = vec![vec![]; known.len()];
        let places: PlHashMap<&str, u32> = self.items.ids.iter().map(String::as_str).zip(0..).collect();
        let items = data.values(self.item)?;
        let time = |row: usize| data.timestamps.as_ref().map_or(0, |times| times[row]);
        for (row, &user) in of_rows.iter().enumerate().filter(|(_, user)| **user != NO_CODE) {
            let latest = &mut latest[user as usize];
            if latest.is_none_or(|before| time(row) >= time(before)) {
                *latest = Some(row);
            }
            items_of[user as usize].extend(items.get(row).and_then(|item| places.get(item)));
        }
        for items in &mut items_of {
            items.sort_unstable();
            items.dedup();
        }
        let chosen: Vec<(String, Option<usize>)> = match ids {
            None => known.iter().enumerate().map(|(code, id)| ((*id).to_owned(), Some(code))).collect(),
            Some(ids) => {
                let of_ids: PlHashMap<&str, usize> = known.iter().copied().zip(0..).collect();
                let user = |id: &String| {
                    let id = self.user(id);
                    (id.to_owned(), of_ids.get(id).copied())
                };
                ids.iter().map(user).collect()
            }
        };
        let columns = data.spec.fields.iter().map(|field| -> Result<Column> {
            let name = PlSmallStr::from_str(&field.name);
            if self.is_of_item(field) {
                return Ok(StringChunked::full_null(name, chosen.len()).into_column());
            }
            if field.name == *column {
                let ids = chosen.iter().map(|(id, _)| Some(id.as_str()));
                return Ok(StringChunked::from_iter_options(name, ids).into_column());
            }
            let column = if let FieldOrigin::LikedBefore { least } = field.origin {
                let separator = field.kind.list().map_or(SEPARATOR, |list| list.separator.as_str());
                let histories = self.histories(&of_rows, least, separator)?;
                let of_user = |(_, user): &(String, Option<usize>)| histories.get((*user)?)?.clone();
                StringChunked::from_iter_options(name, chosen.iter().map(of_user))
            } else {
                let texts = data.rows.column(&field.name)?;
                let of_user = |(_, user): &(String, Option<usize>)| texts.get(latest[(*user)?]?).map(str::to_owned);
                StringChunked::from_iter_options(name, chosen.iter().map(of_user))
            };
            Ok(column.into_column())
        });
        let mut frame = DataFrame::new(chosen.len(), columns.collect::<Result<_>>()?)?;
        self.cross(&mut frame)?;
        let unknown = chosen.iter().filter(|(_, user)| user.is_none()).count();
        let seen = chosen.iter().map(|(_, user)| user.map_or_else(Vec::new, |user| items_of[user].clone())).collect();
        Ok(Users { frame, ids: chosen.into_iter().map(|(id, _)| id).collect(), seen, unknown })
    }

    /// Whether a field depends on the item and on something else, as in
    /// [`Schema::mixed_fields`](fm_core::Schema::mixed_fields).
    fn is_mixed(&self, field: &FieldSpec) -> bool {
        let is_of_item = |name: &String| {
            let found = self.data.spec.fields.iter().find(|other| other.name == *name);
            name == self.item || found.is_some_and(|found| self.is_of_item(found))
        };
        let of_item = field.derived.cross.iter().filter(|name| is_of_item(name)).count();
        let is_mixed_cross = of_item > 0 && of_item < field.derived.cross.len();
        is_mixed_cross || (field.derived.until_column().is_some() && self.is_of_item(field))
    }

    /// What each user has liked so far, by code.
    fn histories(&self, users: &[u32], liked: f32, separator: &str) -> Result<Vec<Option<String>>> {
        let data = self.data;
        let Some(timestamps) = &data.timestamps else { return Ok(vec![]) };
        let items = Present::of(&data.rows, self.item, data.reading(self.item))?;
        let (labels, train) = (&data.labels, &data.parts.train);
        Ok(latest_histories(&Likes { users, items: &items, labels, timestamps, train, liked, separator }))
    }
}

#[cfg(test)]
mod tests {
    use crate::config::DataConfig;
    use crate::raw_data::RawData;
    use crate::table::strings;

    /// Rows of three users, with a field of each kind that a user has.
    fn data(folder: &std::path::Path, more: &str) -> RawData {
        let table = "user,item,mood,kind,label,when\n\
                     ann,a,calm,x,5,30\nbob,b,calm,y,2,40\nann,b,wild,y,4,10\n,c,calm,z,5,50\ncid,c,,z,5,60\nann,a,odd,x,1,20\n";
        std::fs::write(folder.join("t.csv"), table).unwrap();
        let schema = "label = \"label\"\nuser = \"user\"\nitem = \"item\"\ntimestamp = \"when\"\n\
                      [[field]]\nname = \"user\"\nkind = \"categorical\"\nside = \"user\"\n\
                      [[field]]\nname = \"item\"\nkind = \"categorical\"\nside = \"item\"\n\
                      [[field]]\nname = \"kind\"\nkind = \"categorical\"\nside = \"item\"\n\
                      [[field]]\nname = \"mood\"\nkind = \"categorical\"\nside = \"context\"\n\
                      [[field]]\nname = \"moods\"\ncross = [\"user\", \"mood\"]\n\
                      [[field]]\nname = \"liked\"\nkind = \"sequence\"\nhistory = true\nside = \"user\"\n";
        let schema = toml::from_str(&format!("{schema}{more}")).unwrap();
        let data = Some(folder.join("t.csv").to_string_lossy().into_owned());
        let config = DataConfig { data, schema: Some(schema), split: "random:0:0".into(), ..DataConfig::default() };
        RawData::open(&config, folder).unwrap()
    }

    #[test]
    fn all_users_together_are_the_rows_of_each_of_them() {
        let folder = tempfile::tempdir().unwrap();
        let data = data(folder.path(), "");
        let catalogue = data.catalogue().unwrap();
        let users = catalogue.users(None).unwrap();
        assert_eq!((users.ids.clone(), users.unknown), (vec!["ann".to_owned(), "bob".into(), "cid".into()], 0));
        let asked = ["cid", "nobody"].map(str::to_owned);
        let some = catalogue.users(Some(&asked)).unwrap();
        assert_eq!((some.seen.clone(), some.unknown), (vec![users.seen[2].clone(), vec![]], 1));
        for (users, at, id) in
            [(&users, 0, "ann"), (&users, 1, "bob"), (&users, 2, "cid"), (&some, 0, "cid"), (&some, 1, "nobody")]
        {
            let alone = catalogue.unseen(id).unwrap().items;
            for name in ["user", "mood", "moods", "liked"] {
                let text = |frame| strings(frame, name).unwrap();
                assert_eq!(text(&users.frame).get(at), text(&alone.frame).get(0), "{name} of {id}");
            }
            assert_eq!(strings(&users.frame, "kind").unwrap().get(at), None);
            let left: Vec<&String> = catalogue
                .items()
                .ids
                .iter()
                .enumerate()
                .filter(|(place, _)| !users.seen[at].contains(&(*place as u32)))
                .map(|(_, id)| id)
                .collect();
            assert!(left.into_iter().eq(&alone.ids), "{id}");
        }
    }
    #[test]
    fn a_field_of_the_user_and_the_item_is_an_error_and_one_of_the_item_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let cross = |of: &str| format!("[[field]]\nname = \"both\"\ncross = {of}\n");
        let users = |of: &str| {
            let data = data(folder.path(), &cross(of));
            data.catalogue().unwrap().users(None).map(|users| users.ids.len()).map_err(|error| error.to_string())
        };
        assert!(
            users("[\"mood\", \"kind\"]").unwrap_err().contains("field `both` depends on the item and on the rest")
        );
        assert_eq!((users("[\"item\", \"kind\"]"), users("[\"user\", \"mood\"]")), (Ok(3), Ok(3)));
    }
}
