//! Stores the tables of a traced module in fewer bytes.

use std::ffi::{c_char, c_int, c_void};

use super::check;
use super::script::TracedModule;
use crate::error::{Error, Result};
use crate::script::Precision;

unsafe extern "C" {
    fn fm_store_tables(module: *mut c_void, kind: c_int) -> *mut c_char;
}

impl TracedModule {
    /// Stores the module's tables in `precision`. Traced methods then convert the rows that they look up.
    ///
    /// # Errors
    /// [`Error::Unsupported`] if a number of a table is outside the range of the precision. Do not use the module after
    /// an error.
    pub(crate) fn store_tables(&mut self, precision: Precision) -> Result<()> {
        // The numbers of `c10::ScalarType`, which tch does not expose.
        let kind = match precision {
            Precision::F32 => return Ok(()),
            Precision::F16 => 5,
            Precision::Bf16 => 15,
            Precision::Int8 => 1,
        };
        // SAFETY: the module is alive and not borrowed elsewhere.
        check(unsafe { fm_store_tables(self.0, kind) }).map_err(|error| match error {
            Error::Torch(text) => {
                Error::Unsupported(format!("tables cannot be stored as {precision}: {text}: choose another precision"))
            }
            other => other,
        })
    }
}
