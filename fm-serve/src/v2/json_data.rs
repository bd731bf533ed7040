//! Tensors in JSON: flat or nested arrays in row-major order.

use serde::de::{DeserializeSeed, Deserializer, Error, SeqAccess, Visitor};

use super::tensor::{Datatype, Element};
use crate::problem::Problem;

/// Calls `take` with the place and the value of each of `count` elements. Nothing is kept, and it stops at the first
/// element too many.
///
/// # Errors
/// 400 unless there are exactly these elements, and errors of `take`.
pub(super) fn read(
    json: &str,
    input: &str,
    datatype: Datatype,
    count: usize,
    mut take: impl FnMut(usize, Element<'_>) -> Result<(), Problem>,
) -> Result<(), Problem> {
    let mut elements = Elements { datatype, count, found: 0, problem: None, take: &mut take };
    let mut json = serde_json::Deserializer::from_str(json);
    let result = Item(&mut elements).deserialize(&mut json);
    if let Some(problem) = elements.problem {
        return Err(problem);
    }
    result.map_err(|error| Problem::bad_request(format!("input `{input}`: {error}")))?;
    match elements.found {
        found if found == count => Ok(()),
        found => {
            Err(Problem::bad_request(format!("input `{input}` has {found} elements, but its shape needs {count}")))
        }
    }
}

/// The elements so far.
struct Elements<'e> {
    datatype: Datatype,
    count: usize,
    found: usize,
    problem: Option<Problem>,
    take: &'e mut dyn FnMut(usize, Element<'_>) -> Result<(), Problem>,
}

impl Elements<'_> {
    fn push<E: Error>(&mut self, element: Element<'_>) -> Result<(), E> {
        let (at, datatype) = (self.found, self.datatype);
        let is_right = match (element, datatype) {
            (Element::Bool(_), Datatype::Bool) | (Element::Text(_), Datatype::Bytes) => true,
            (Element::Integer(number), Datatype::Int(_) | Datatype::Uint(_)) => datatype.holds(number),
            (Element::Integer(_), Datatype::Fp32 | Datatype::Fp64) => true,
            (Element::Number(number), Datatype::Fp32) => (number as f32).is_finite(),
            (Element::Number(_), Datatype::Fp64) => true,
            _ => false,
        };
        if !is_right {
            return Err(E::custom(format!("element {at} is not {}", datatype.what())));
        }
        if at == self.count {
            return Err(E::custom(format!("it has more elements than the {at} of its shape")));
        }
        self.found += 1;
        (self.take)(at, element).map_err(|problem| {
            self.problem = Some(problem);
            E::custom("")
        })
    }
}

/// An array, or an element of one. serde_json limits how deep they are.
struct Item<'i, 'e>(&'i mut Elements<'e>);

impl<'de> DeserializeSeed<'de> for Item<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Item<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}, or an array", self.0.datatype.what())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut array: A) -> Result<(), A::Error> {
        while array.next_element_seed(Item(&mut *self.0))?.is_some() {}
        Ok(())
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        self.0.push(Element::Text(text))
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<(), E> {
        self.0.push(Element::Bool(value))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<(), E> {
        self.0.push(Element::Integer(i128::from(number)))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<(), E> {
        self.0.push(Element::Integer(i128::from(number)))
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<(), E> {
        self.0.push(Element::Number(number))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(json: &str, datatype: Datatype, count: usize) -> Result<Vec<String>, String> {
        let mut found = vec![];
        let take = |_: usize, element: Element<'_>| {
            element.with_text(|text| found.push(text.to_owned()));
            Ok(())
        };
        read(json, "x", datatype, count, take).map_err(|problem| problem.message().to_owned())?;
        Ok(found)
    }

    #[test]
    fn arrays_are_flat_or_nested() {
        assert_eq!(all(r#"["a", "é\n"]"#, Datatype::Bytes, 2).unwrap(), ["a", "é\n"]);
        assert_eq!(all("[[1], [-2]]", Datatype::Int(8), 2).unwrap(), ["1", "-2"]);
        assert_eq!(all("[0.1, 3]", Datatype::Fp32, 2).unwrap(), ["0.1", "3"]);
        assert_eq!(all("[]", Datatype::Bytes, 0).unwrap(), [""; 0]);
    }

    #[test]
    fn what_is_not_the_tensor_is_an_error_of_one_line() {
        for (json, datatype, count, what) in [
            ("[1]", Datatype::Bytes, 1, "element 0 is not a string"),
            ("[300]", Datatype::Int(1), 1, "integer of its datatype"),
            ("[1.5]", Datatype::Int(8), 1, "integer of its datatype"),
            ("[1e39]", Datatype::Fp32, 1, "number of its datatype"),
            ("[null]", Datatype::Bytes, 1, "null"),
            ("[{}]", Datatype::Bytes, 1, "map"),
            ("[\"a\"]", Datatype::Bytes, 2, "has 1 elements, but its shape needs 2"),
            ("[\"a\", \"b\"]", Datatype::Bytes, 1, "more elements than the 1"),
            ("[\"a\"", Datatype::Bytes, 1, "EOF"),
        ] {
            let error = all(json, datatype, count).unwrap_err();
            assert!(error.contains(what) && !error.contains('\n'), "{json}: {error}");
        }
        let deep = "[".repeat(100_000);
        assert!(all(&deep, Datatype::Bytes, 1).unwrap_err().contains("recursion limit"));
    }
}
