//! How much memory this process may use.

use std::fs::read_to_string;

/// The number of bytes of the machine's memory or of the container's limit, whichever is smaller; `None` if the system does not
/// say.
pub fn limit() -> Option<u64> {
    let machine = read_to_string("/proc/meminfo").ok().and_then(|text| total(&text));
    // Version 2 and version 1 of control groups. In a container, its limit is that of the root.
    let groups = ["/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"];
    let groups = groups.iter().filter_map(|path| read_to_string(path).ok()?.trim().parse().ok());
    machine.into_iter().chain(groups).min()
}

/// The total in `/proc/meminfo`.
fn total(text: &str) -> Option<u64> {
    let kilobytes = text.lines().find_map(|line| line.strip_prefix("MemTotal:")?.trim().strip_suffix(" kB"))?;
    kilobytes.parse::<u64>().ok()?.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_total_is_read_in_bytes() {
        assert_eq!(total("MemTotal:       16384 kB\nMemFree:  12 kB\n"), Some(16 << 20));
        assert_eq!(total("MemFree:  12 kB\n"), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_machine_has_memory() {
        assert!(limit().is_some_and(|bytes| bytes > 1 << 20));
    }
}
