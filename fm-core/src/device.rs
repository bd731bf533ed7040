//! The device of tensors.

use std::fmt;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Once;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tch::Device;

use crate::bridge;
use crate::error::{Error, Result};

/// A device to compute on: `auto`, `cpu`, `cuda` or `cuda:1`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String")]
pub enum DeviceChoice {
    /// The first GPU, or the CPU if there is none.
    #[default]
    Auto,
    /// The CPU.
    Cpu,
    /// The GPU with this number.
    Cuda(usize),
}

impl DeviceChoice {
    /// The device, if it is available.
    ///
    /// # Errors
    /// [`Error::Device`] if there is no such GPU.
    pub fn resolve(self) -> Result<Device> {
        match self {
            DeviceChoice::Cpu => Ok(Device::Cpu),
            DeviceChoice::Auto => Ok(if cuda_devices() > 0 { Device::Cuda(0) } else { Device::Cpu }),
            DeviceChoice::Cuda(number) => match cuda_devices() {
                0 => Err(Error::Device("libtorch finds no CUDA device on this machine".into())),
                n if number as i64 >= n => {
                    Err(Error::Device(format!("there is no cuda:{number}: the last CUDA device is cuda:{}", n - 1)))
                }
                _ => Ok(Device::Cuda(number)),
            },
        }
    }
}

impl From<DeviceChoice> for String {
    fn from(choice: DeviceChoice) -> String {
        choice.to_string()
    }
}

impl TryFrom<String> for DeviceChoice {
    type Error = Error;

    fn try_from(text: String) -> Result<DeviceChoice> {
        text.parse()
    }
}

impl FromStr for DeviceChoice {
    type Err = Error;

    fn from_str(text: &str) -> Result<DeviceChoice> {
        match text.strip_prefix("cuda:").map(str::parse) {
            Some(Ok(number)) => Ok(DeviceChoice::Cuda(number)),
            None if text == "auto" => Ok(DeviceChoice::Auto),
            None if text == "cpu" => Ok(DeviceChoice::Cpu),
            None if text == "cuda" => Ok(DeviceChoice::Cuda(0)),
            _ => Err(Error::unknown("device", text, ["auto", "cpu", "cuda", "cuda:1"])),
        }
    }
}

impl fmt::Display for DeviceChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DeviceChoice::Auto => f.write_str("auto"),
            DeviceChoice::Cpu => f.write_str("cpu"),
            DeviceChoice::Cuda(number) => write!(f, "cuda:{number}"),
        }
    }
}

/// The number of CUDA devices that libtorch can use.
pub fn cuda_devices() -> i64 {
    static LOADED: Once = Once::new();
    LOADED.call_once(bridge::load_cuda_library);
    if tch::Cuda::is_available() { tch::Cuda::device_count() } else { 0 }
}

/// The version and the library folder of the libtorch that this library was compiled with.
pub fn compiled_libtorch() -> (&'static str, &'static str) {
    (env!("FM_LIBTORCH_VERSION"), env!("FM_LIBTORCH_LIB"))
}

/// The folder that libtorch was loaded from, if the system provides it.
pub fn loaded_libtorch() -> Option<PathBuf> {
    let maps = std::fs::read_to_string("/proc/self/maps").ok()?;
    let library =
        maps.lines().filter_map(|line| line.split_whitespace().last()).find(|path| path.contains("/libtorch_cpu."))?;
    Some(PathBuf::from(library).parent()?.to_owned())
}

/// The version of the libtorch in a folder of libraries, as its header states it; `None` without the header.
pub fn libtorch_version(folder: &Path) -> Option<String> {
    let header = folder.parent()?.join("include/torch/headeronly/version.h");
    let text = std::fs::read_to_string(header).ok()?;
    let part = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix("#define TORCH_VERSION_")?.strip_prefix(name))?;
        line.trim().parse::<u32>().ok()
    };
    Some(format!("{}.{}.{}", part("MAJOR")?, part("MINOR")?, part("PATCH")?))
}

/// Ends this process with an exit code, once what was written to standard output has left it. It skips libtorch's destructors,
/// which take about as long as a short command: call it where nothing remains to be done.
pub fn end_process(code: u8) -> ! {
    // If standard output is closed, nobody can be told.
    let _ = std::io::stdout().flush();
    bridge::end_process(code)
}

/// Runs `compute` in mixed precision: matrix products and convolutions use bfloat16, operations that would lose
/// accuracy use float32. Parameters and their gradients remain float32. Do not nest calls.
///
/// # Errors
/// [`Error::Torch`], and errors of `compute`.
pub fn in_mixed_precision<T>(device: Device, compute: impl FnOnce() -> Result<T>) -> Result<T> {
    bridge::mixed(device, compute)
}

/// Whether [`in_mixed_precision`] is active, so that tensors on the device can be bfloat16.
pub fn is_mixed_precision(device: Device) -> bool {
    bridge::is_mixed(device)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_choice_parses_from_its_text() {
        for choice in [DeviceChoice::Auto, DeviceChoice::Cpu, DeviceChoice::Cuda(3)] {
            assert_eq!(choice.to_string().parse::<DeviceChoice>().unwrap(), choice);
        }
        assert_eq!("cuda".parse::<DeviceChoice>().unwrap(), DeviceChoice::Cuda(0));
        assert!("gpu".parse::<DeviceChoice>().is_err());
        assert!("cuda:x".parse::<DeviceChoice>().is_err());
    }

    #[test]
    fn the_loaded_libtorch_has_the_version_of_the_headers() {
        let (version, folder) = compiled_libtorch();
        assert_eq!(libtorch_version(Path::new(folder)).as_deref(), Some(version));
        assert_eq!(libtorch_version(Path::new("/none/lib")), None);
    }

    #[test]
    fn an_unavailable_device_is_an_error() {
        assert!(DeviceChoice::Cuda(99).resolve().is_err());
        assert_eq!(DeviceChoice::Cpu.resolve().unwrap(), Device::Cpu);
    }
}
