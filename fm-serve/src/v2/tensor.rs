//! Elements of tensors.

use crate::problem::Problem;

/// The type of the elements of a tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Datatype {
    Bool,
    /// An integer of this many bytes.
    Int(usize),
    /// An unsigned integer of this many bytes.
    Uint(usize),
    Fp32,
    Fp64,
    Bytes,
}

impl Datatype {
    /// The type of a name.
    ///
    /// # Errors
    /// 400 for an unknown name, and for 16-bit floats: no column holds them.
    pub fn parse(name: &str, input: &str) -> Result<Datatype, Problem> {
        Ok(match name {
            "BOOL" => Datatype::Bool,
            "INT8" => Datatype::Int(1),
            "INT16" => Datatype::Int(2),
            "INT32" => Datatype::Int(4),
            "INT64" => Datatype::Int(8),
            "UINT8" => Datatype::Uint(1),
            "UINT16" => Datatype::Uint(2),
            "UINT32" => Datatype::Uint(4),
            "UINT64" => Datatype::Uint(8),
            "FP32" => Datatype::Fp32,
            "FP64" => Datatype::Fp64,
            "BYTES" => Datatype::Bytes,
            _ => return Err(Problem::bad_request(format!("input `{input}`: unknown datatype `{name}`; send BYTES"))),
        })
    }

    /// The number of bytes of an element; `None` for texts.
    pub fn size(self) -> Option<usize> {
        match self {
            Datatype::Bool => Some(1),
            Datatype::Int(size) | Datatype::Uint(size) => Some(size),
            Datatype::Fp32 => Some(4),
            Datatype::Fp64 => Some(8),
            Datatype::Bytes => None,
        }
    }

    /// What an element is called in errors.
    pub fn what(self) -> &'static str {
        match self {
            Datatype::Bool => "true or false",
            Datatype::Int(_) | Datatype::Uint(_) => "an integer of its datatype",
            Datatype::Fp32 | Datatype::Fp64 => "a number of its datatype",
            Datatype::Bytes => "a string",
        }
    }

    /// Whether an integer is one of this type.
    pub fn holds(self, number: i128) -> bool {
        match self {
            Datatype::Int(size) => {
                let bits = 8 * size as u32 - 1;
                (-(1i128 << bits)..1 << bits).contains(&number)
            }
            Datatype::Uint(size) => (0..1i128 << (8 * size as u32)).contains(&number),
            _ => false,
        }
    }
}

/// An element.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Element<'a> {
    Bool(bool),
    Integer(i128),
    Number(f64),
    /// A number that is of 32 bits: its shortest text has fewer digits.
    Short(f32),
    Text(&'a str),
}

impl Element<'_> {
    /// Its text, as a table would have it. NaN is how tables of numbers write a missing value.
    pub fn with_text<R>(self, use_text: impl FnOnce(&str) -> R) -> R {
        match self {
            Element::Bool(value) => use_text(if value { "true" } else { "false" }),
            Element::Integer(number) => use_text(&number.to_string()),
            Element::Number(number) if number.is_nan() => use_text(""),
            Element::Short(number) if number.is_nan() => use_text(""),
            Element::Number(number) => use_text(&number.to_string()),
            Element::Short(number) => use_text(&number.to_string()),
            Element::Text(text) => use_text(text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_have_the_range_of_their_type() {
        for (datatype, low, high) in [
            (Datatype::Int(1), -128, 127),
            (Datatype::Uint(2), 0, 65_535),
            (Datatype::Int(8), i128::from(i64::MIN), i128::from(i64::MAX)),
            (Datatype::Uint(8), 0, i128::from(u64::MAX)),
        ] {
            assert!(datatype.holds(low) && datatype.holds(high), "{datatype:?}");
            assert!(!datatype.holds(low - 1) && !datatype.holds(high + 1), "{datatype:?}");
        }
    }

    #[test]
    fn elements_have_the_text_of_a_table() {
        let text = |element: Element<'_>| element.with_text(str::to_owned);
        assert_eq!(text(Element::Short(0.1)), "0.1");
        assert_eq!(text(Element::Number(4.0)), "4");
        assert_eq!(text(Element::Number(f64::NAN)), "");
        assert_eq!([Element::Bool(true), Element::Integer(-7)].map(text), ["true", "-7"]);
    }
}
