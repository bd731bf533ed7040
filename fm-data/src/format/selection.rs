//! Which columns of a file are read. Columns that nothing needs never make a file unreadable.

use std::collections::{HashMap, HashSet};

/// The columns to read. By default all, none of which is needed.
#[derive(Clone, Debug)]
pub struct Selection {
    /// The columns that are needed. Only they must have a name of their own and a type that has a text form.
    pub needed: Vec<Needed>,
    /// Whether the other columns are read, too, as far as they have a text form. The second column of a name `x` is
    /// then called `x_2`.
    pub others: bool,
}

impl Default for Selection {
    fn default() -> Selection {
        Selection { needed: vec![], others: true }
    }
}

/// A column that is needed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Needed {
    /// Its name.
    pub name: String,
    /// How a list is written as text; `None` if a cell is one value.
    pub list: Option<ListText>,
}

impl Needed {
    /// A column whose cells are single values.
    pub fn one(name: impl Into<String>) -> Needed {
        Needed { name: name.into(), list: None }
    }

    /// A column of any kind. Its lists become JSON.
    pub fn any(name: impl Into<String>) -> Needed {
        Needed { name: name.into(), list: Some(ListText { separator: String::new(), is_exact: false }) }
    }
}

/// The text of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListText {
    /// The text between two values. Without one, lists become JSON.
    pub separator: String,
    /// Whether the text cannot be a JSON list, because its bytes are compared. Values that contain the separator are
    /// then an error.
    pub is_exact: bool,
}

/// A column to read.
#[derive(Debug)]
pub(super) struct Chosen<'a> {
    /// Its position in the file.
    pub position: usize,
    /// Its name in the table.
    pub name: String,
    /// `None` for a column that nothing needs.
    pub needed: Option<&'a Needed>,
}

impl Selection {
    /// Whether the columns of this name are read.
    pub(super) fn has(&self, name: &str) -> bool {
        self.others || self.needed.iter().any(|needed| needed.name == name)
    }

    /// The columns to read of a file with these names: all in the order of the file, or the needed ones in the order in
    /// which they are needed. Needed columns that the file lacks are left out.
    ///
    /// The error says that the name of a needed column occurs twice.
    pub(super) fn choose(&self, names: &[String]) -> Result<Vec<Chosen<'_>>, String> {
        let mut positions = HashMap::<&str, Vec<usize>>::new();
        for (position, name) in names.iter().enumerate() {
            positions.entry(name).or_default().push(position);
        }
        let mut chosen = Vec::new();
        let mut seen = HashSet::new();
        for needed in self.needed.iter().filter(|needed| seen.insert(needed.name.as_str())) {
            match positions.get(needed.name.as_str()).map(Vec::as_slice) {
                None => {}
                Some(&[position]) => {
                    chosen.push(Chosen { position, name: needed.name.clone(), needed: Some(needed) });
                }
                Some(_) => return Err(format!("the column name `{}` occurs twice", needed.name)),
            }
        }
        if self.others {
            chosen.extend(self.other_columns(names));
            chosen.sort_by_key(|column| column.position);
        }
        Ok(chosen)
    }

    fn other_columns(&self, names: &[String]) -> Vec<Chosen<'_>> {
        let needed: HashSet<&str> = self.needed.iter().map(|needed| needed.name.as_str()).collect();
        let taken: HashSet<&str> = names.iter().map(String::as_str).collect();
        let mut counts = HashMap::<&str, usize>::new();
        let mut others = Vec::new();
        for (position, name) in names.iter().enumerate().filter(|(_, name)| !needed.contains(name.as_str())) {
            let count = counts.entry(name).or_default();
            let mut own = name.clone();
            *count += 1;
            while *count > 1 {
                own = format!("{name}_{count}");
                if !taken.contains(own.as_str()) {
                    break;
                }
                *count += 1;
            }
            others.push(Chosen { position, name: own, needed: None });
        }
        others
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(selection: &Selection, names: &[&str]) -> Result<Vec<(usize, String)>, String> {
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        Ok(selection.choose(&names)?.into_iter().map(|column| (column.position, column.name)).collect())
    }

    #[test]
    fn only_needed_columns_must_have_a_name_of_their_own() {
        let needed = vec![Needed::one("b"), Needed::one("a"), Needed::one("b"), Needed::one("none")];
        let some = Selection { needed: needed.clone(), others: false };
        let names = ["", "a", "x", "b", "x", "", "x_2"];
        assert_eq!(chosen(&some, &names), Ok(vec![(3, "b".into()), (1, "a".into())]));
        let all = Selection { needed, others: true };
        let own = ["", "a", "x", "b", "x_3", "_2", "x_2"];
        assert_eq!(chosen(&all, &names), Ok(own.iter().map(|&name| name.to_owned()).enumerate().collect()));
        assert_eq!(chosen(&all, &["a", "b", "a"]), Err("the column name `a` occurs twice".into()));
    }
}
