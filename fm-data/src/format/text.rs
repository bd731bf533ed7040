//! Columns of any type as text.

use polars::prelude::*;

use crate::error::first_line;

/// A column as text, in one chunk. Whole numbers become their digits, even in a float column; NaN becomes null.
///
/// # Errors
/// The reason why the column cannot be text, for example a column of lists.
pub fn text_of(column: &Column) -> Result<StringChunked, String> {
    let name = column.name();
    let refused = |why: String| format!("column `{name}` {why}");
    let polars = |error: PolarsError| refused(format!("cannot be read as text: {}", first_line(&error)));
    let text = match column.dtype() {
        DataType::Null => StringChunked::full_null(name.clone(), column.len()),
        DataType::String => column.str().map_err(polars)?.clone(),
        DataType::Float32 | DataType::Float64 => {
            let wide = column.dtype() == &DataType::Float64;
            let floats = column.cast(&DataType::Float64).map_err(polars)?;
            // A 32-bit number has its own shortest digits: 0.1, not 0.10000000149.
            let digits = |x: f64| if wide { x.to_string() } else { (x as f32).to_string() };
            let cells = floats.f64().map_err(polars)?.iter().map(|x| x.filter(|x| !x.is_nan()).map(digits));
            StringChunked::from_iter_options(name.clone(), cells)
        }
        kind if kind.is_integer() || kind.is_bool() || kind.is_temporal() || kind.is_categorical() => {
            let text = column.cast(&DataType::String).map_err(polars)?;
            text.str().map_err(polars)?.clone()
        }
        kind => {
            return Err(refused(format!(
                "has type {kind}: a cell must be text or a number; join lists with a separator"
            )));
        }
    };
    Ok(text.rechunk().into_owned())
}
