//! Tables of a traced module in fewer bytes.

use std::ffi::{c_char, c_int, c_void};

use super::check;
use super::script::TracedModule;
use crate::error::{Error, Result};
use crate::script::Precision;

unsafe extern "C" {
    fn fm_store_tables(module: *mut c_void, kind: c_int) -> *mut c_char;
}

impl TracedModule {
    /// Stores the module's tables in `precision`, and has `forward` convert the rows that it looks up.
    ///
    /// # Errors
    /// [`Error::Setting`] for a table with a number out of the precision's range; the module is of no use then.
    pub(crate) fn store_tables(&mut self, precision: Precision) -> Result<()> {
        // The numbers of `c10::ScalarType`, which tch keeps to itself.
        let kind = match precision {
            Precision::F32 => return Ok(()),
            Precision::F16 => 5,
            Precision::Bf16 => 15,
            Precision::Int8 => 1,
        };
        // SAFETY: the module is alive and borrowed by nobody else.
        check(unsafe { fm_store_tables(self.0, kind) }).map_err(|error| match error {
            Error::Torch(text) => {
                Error::Unsupported(format!("tables cannot be stored as {precision}: {text}: choose another precision"))
            }
            other => other,
        })
    }
}
