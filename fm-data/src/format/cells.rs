//! Values of any type as text.

use std::borrow::Cow;
use std::fmt::Write;

use arrow::array::*;
use arrow::datatypes::{ArrowDataType, IntegerType, TimeUnit};
use arrow::offset::Offset;
use arrow::types::NativeType;

use fm_core::calendar::{Fraction, date, time_of_day};

use super::list::push_list;
use super::selection::ListText;

/// The form in which the values of a column are read.
pub(super) struct Form {
    /// The type of the column.
    pub kind: ArrowDataType,
    pub is_list: bool,
    /// Whether the bytes of a value are an identifier, as in `123e4567-e89b-12d3-a456-426614174000`.
    pub is_uuid: bool,
    /// Whether bytes that are not UTF-8 are an error. If not, characters take their place.
    pub is_strict: bool,
}

/// An error about a value: its row, if known, and the reason.
type Fault = (Option<usize>, String);

/// Appends the text of a value. `false` for a value that counts as missing, such as NaN.
type Writing<'a> = Box<dyn Fn(usize, &mut String) -> Result<bool, String> + 'a>;

/// The texts of an array. Lists are joined by the separator where that is unambiguous, and are JSON otherwise.
///
/// Numbers have their shortest digits: whole numbers no point (even in a float column: 5.0 is "5", since other programs
/// store ids as floats if some are missing), decimals as many digits as their type. NaN is null.
pub(super) fn texts(array: &dyn Array, form: &Form, list: Option<&ListText>) -> Result<Utf8ViewArray, Fault> {
    if let Some(texts) = array.as_any().downcast_ref::<Utf8ViewArray>() {
        return Ok(texts.clone());
    }
    let write = match form.is_list {
        true => list_writing(array, form, list),
        false => writing(array, form),
    };
    let write = write.ok_or_else(|| (None, format!("has the unknown type {:?}", array.dtype())))?;
    let (mut texts, mut text) = (MutablePlString::with_capacity(array.len()), String::new());
    for row in 0..array.len() {
        text.clear();
        match array.is_null(row) {
            false if write(row, &mut text).map_err(|reason| (Some(row), reason))? => texts.push_value(&text),
            _ => texts.push_null(),
        }
    }
    Ok(texts.freeze())
}

/// The writing of single values; `None` for another type.
fn writing<'a>(array: &'a dyn Array, form: &'a Form) -> Option<Writing<'a>> {
    use ArrowDataType as A;
    Some(match array.dtype().to_storage() {
        A::Null => Box::new(|_, _| Ok(false)),
        A::Boolean => {
            let values = array.as_any().downcast_ref::<BooleanArray>()?;
            Box::new(|row, text| written(text, values.value(row)))
        }
        A::Int8 => integer::<i8>(array)?,
        A::Int16 => integer::<i16>(array)?,
        A::Int32 => integer::<i32>(array)?,
        A::Int64 => integer::<i64>(array)?,
        A::UInt8 => integer::<u8>(array)?,
        A::UInt16 => integer::<u16>(array)?,
        A::UInt32 => integer::<u32>(array)?,
        A::UInt64 => integer::<u64>(array)?,
        A::Float16 => {
            let values = array.as_any().downcast_ref::<Float16Array>()?;
            Box::new(|row, text| float(text, half(values.value(row), values.value(row).0.to_f32())))
        }
        A::Float32 => {
            let values = primitive::<f32>(array)?;
            Box::new(|row, text| float(text, values.value(row)))
        }
        A::Float64 => {
            let values = primitive::<f64>(array)?;
            Box::new(|row, text| float(text, values.value(row)))
        }
        &A::Decimal(_, scale) => {
            let values = primitive::<i128>(array)?;
            Box::new(move |row, text| decimal(text, &values.value(row).to_string(), scale))
        }
        &A::Decimal32(_, scale) => {
            let values = primitive::<i32>(array)?;
            Box::new(move |row, text| decimal(text, &values.value(row).to_string(), scale))
        }
        &A::Decimal64(_, scale) => {
            let values = primitive::<i64>(array)?;
            Box::new(move |row, text| decimal(text, &values.value(row).to_string(), scale))
        }
        &A::Decimal256(_, scale) => {
            let values = array.as_any().downcast_ref::<Int256Array>()?;
            Box::new(move |row, text| decimal(text, &values.value(row).0.to_string(), scale))
        }
        A::Date32 => {
            let values = primitive::<i32>(array)?;
            Box::new(|row, text| written(text, date(i64::from(values.value(row)))))
        }
        A::Date64 => {
            let values = primitive::<i64>(array)?;
            Box::new(|row, text| written(text, date(values.value(row).div_euclid(86_400_000))))
        }
        A::Timestamp(unit, zone) => {
            let (values, per_second) = (primitive::<i64>(array)?, per_second(*unit));
            // Times with a zone are stored in UTC.
            let zone = if zone.is_some() { "+00:00" } else { "" };
            Box::new(move |row, text| {
                let (seconds, fraction) = divided(values.value(row), per_second);
                let (day, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
                written(text, format_args!("{} {}{fraction}{zone}", date(day), time_of_day(second)))
            })
        }
        A::Time32(unit) => {
            let (values, per_second) = (primitive::<i32>(array)?, per_second(*unit));
            Box::new(move |row, text| time(text, i64::from(values.value(row)), per_second))
        }
        A::Time64(unit) => {
            let (values, per_second) = (primitive::<i64>(array)?, per_second(*unit));
            Box::new(move |row, text| time(text, values.value(row), per_second))
        }
        A::Duration(unit) => {
            let (values, per_second) = (primitive::<i64>(array)?, per_second(*unit));
            Box::new(move |row, text| {
                let value = i128::from(values.value(row));
                let sign = if value < 0 { "-" } else { "" };
                let (seconds, rest) = (value.abs() / i128::from(per_second), value.abs() % i128::from(per_second));
                let fraction = Fraction { numerator: rest as i64, denominator: per_second };
                written(text, format_args!("{sign}{seconds}{fraction}"))
            })
        }
        A::Binary => bytes::<i32>(array, form)?,
        A::LargeBinary => bytes::<i64>(array, form)?,
        A::BinaryView => {
            let values = array.as_any().downcast_ref::<BinaryViewArray>()?;
            Box::new(|row, text| utf8(text, values.value(row), form))
        }
        A::FixedSizeBinary(_) => {
            let values = array.as_any().downcast_ref::<FixedSizeBinaryArray>()?;
            match form.is_uuid {
                true => Box::new(|row, text| uuid(text, values.value(row))),
                false => Box::new(|row, text| utf8(text, values.value(row), form)),
            }
        }
        A::Utf8 => text_of::<i32>(array)?,
        A::LargeUtf8 => text_of::<i64>(array)?,
        A::Utf8View => {
            let values = array.as_any().downcast_ref::<Utf8ViewArray>()?;
            Box::new(|row, text| written(text, values.value(row)))
        }
        A::Dictionary(key, ..) => match key {
            IntegerType::Int8 => dictionary::<i8>(array, form)?,
            IntegerType::Int16 => dictionary::<i16>(array, form)?,
            IntegerType::Int32 => dictionary::<i32>(array, form)?,
            IntegerType::Int64 => dictionary::<i64>(array, form)?,
            IntegerType::UInt8 => dictionary::<u8>(array, form)?,
            IntegerType::UInt16 => dictionary::<u16>(array, form)?,
            IntegerType::UInt32 => dictionary::<u32>(array, form)?,
            IntegerType::UInt64 => dictionary::<u64>(array, form)?,
            IntegerType::Int128 | IntegerType::UInt128 => return None,
        },
        _ => return None,
    })
}

fn text_of<O: Offset>(array: &dyn Array) -> Option<Writing<'_>> {
    let values = array.as_any().downcast_ref::<Utf8Array<O>>()?;
    Some(Box::new(|row, text| written(text, values.value(row))))
}

fn bytes<'a, O: Offset>(array: &'a dyn Array, form: &'a Form) -> Option<Writing<'a>> {
    let values = array.as_any().downcast_ref::<BinaryArray<O>>()?;
    Some(Box::new(|row, text| utf8(text, values.value(row), form)))
}

/// The writing of values that are stored once, by their numbers.
fn dictionary<'a, K: DictionaryKey>(array: &'a dyn Array, form: &'a Form) -> Option<Writing<'a>> {
    let array = array.as_any().downcast_ref::<DictionaryArray<K>>()?;
    let values = array.values().as_ref();
    let write = writing(values, form)?;
    Some(Box::new(move |row, text| {
        let at = array.key_value(row);
        if values.is_null(at) { Ok(false) } else { write(at, text) }
    }))
}

/// Where the values of a row start and end.
type Bounds<'a> = Box<dyn Fn(usize) -> (usize, usize) + 'a>;

/// The writing of lists.
fn list_writing<'a>(array: &'a dyn Array, form: &'a Form, list: Option<&'a ListText>) -> Option<Writing<'a>> {
    let any = array.as_any();
    let (items, bounds): (_, Bounds<'a>) = if let Some(lists) = any.downcast_ref::<ListArray<i64>>() {
        (lists.values(), Box::new(|row| lists.offsets().start_end(row)))
    } else if let Some(lists) = any.downcast_ref::<ListArray<i32>>() {
        (lists.values(), Box::new(|row| lists.offsets().start_end(row)))
    } else {
        let lists = any.downcast_ref::<FixedSizeListArray>()?;
        (lists.values(), Box::new(|row| (row * lists.size(), (row + 1) * lists.size())))
    };
    let write = writing(items.as_ref(), form)?;
    Some(Box::new(move |row, text| {
        let (start, end) = bounds(row);
        let mut values = Vec::with_capacity(end - start);
        for at in (start..end).filter(|&at| !items.is_null(at)) {
            let mut value = String::new();
            if write(at, &mut value)? {
                values.push(value);
            }
        }
        push_list(text, &values, list)?;
        Ok(true)
    }))
}

fn primitive<T: NativeType>(array: &dyn Array) -> Option<&PrimitiveArray<T>> {
    array.as_any().downcast_ref()
}

fn integer<T: NativeType + itoa::Integer>(array: &dyn Array) -> Option<Writing<'_>> {
    let values = primitive::<T>(array)?;
    Some(Box::new(|row, text| {
        text.push_str(itoa::Buffer::new().format(values.value(row)));
        Ok(true)
    }))
}

fn written(text: &mut String, value: impl std::fmt::Display) -> Result<bool, String> {
    write!(text, "{value}").map_err(|error| error.to_string())?;
    Ok(true)
}

fn float(text: &mut String, value: impl Into<f64> + Copy + std::fmt::Display) -> Result<bool, String> {
    if value.into().is_nan() { Ok(false) } else { written(text, value) }
}

/// The float32 with the shortest digits of a half float: 0.1, not 0.099975586. A whole number stays what it is.
fn half<T: Copy + PartialEq + From<f32>>(value: T, wide: f32) -> f32 {
    if wide.fract() == 0.0 {
        return wide;
    }
    let shortened = (0..6).filter_map(|digits| format!("{wide:.digits$e}").parse::<f32>().ok());
    shortened.into_iter().find(|&short| T::from(short) == value).unwrap_or(wide)
}

/// The digits of a decimal, with a point before the last `scale`.
fn decimal(text: &mut String, digits: &str, scale: usize) -> Result<bool, String> {
    let (sign, digits) = digits.strip_prefix('-').map_or(("", digits), |digits| ("-", digits));
    if scale == 0 {
        return written(text, format_args!("{sign}{digits}"));
    }
    let padded = format!("{digits:0>width$}", width = scale + 1);
    let (whole, fraction) = padded.split_at(padded.len() - scale);
    written(text, format_args!("{sign}{whole}.{fraction}"))
}

fn time(text: &mut String, value: i64, per_second: i64) -> Result<bool, String> {
    let (seconds, fraction) = divided(value, per_second);
    written(text, format_args!("{}{fraction}", time_of_day(seconds)))
}

fn divided(value: i64, per_second: i64) -> (i64, Fraction) {
    let fraction = Fraction { numerator: value.rem_euclid(per_second), denominator: per_second };
    (value.div_euclid(per_second), fraction)
}

fn per_second(unit: TimeUnit) -> i64 {
    match unit {
        TimeUnit::Second => 1,
        TimeUnit::Millisecond => 1_000,
        TimeUnit::Microsecond => 1_000_000,
        TimeUnit::Nanosecond => 1_000_000_000,
    }
}

fn utf8(text: &mut String, bytes: &[u8], form: &Form) -> Result<bool, String> {
    match String::from_utf8_lossy(bytes) {
        Cow::Owned(_) if form.is_strict => Err("holds bytes that are not UTF-8: store it as text".into()),
        bytes => written(text, bytes),
    }
}

fn uuid(text: &mut String, bytes: &[u8]) -> Result<bool, String> {
    for (at, byte) in bytes.iter().enumerate() {
        let hyphen = if [4, 6, 8, 10].contains(&at) { "-" } else { "" };
        written(text, format_args!("{hyphen}{byte:02x}"))?;
    }
    Ok(true)
}
