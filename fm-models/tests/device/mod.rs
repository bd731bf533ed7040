//! The device that the tests run on.

use std::io::Write;

use fm_core::device::DeviceChoice;
use tch::Device;

/// `FM_TEST_DEVICE`, or the CPU. Where there is no such device, the tests of this program are skipped: it says so and ends.
pub fn under_test() -> Device {
    let name = std::env::var("FM_TEST_DEVICE").unwrap_or("cpu".into());
    match name.parse::<DeviceChoice>().and_then(DeviceChoice::resolve) {
        Ok(device) => device,
        Err(error) => {
            // Not with `eprintln!`, which the test runner keeps to itself.
            let _ = writeln!(std::io::stderr(), "skipped: FM_TEST_DEVICE={name}: {error}");
            std::process::exit(0);
        }
    }
}
