//! The memory of this process.

/// Bytes in memory; `None` where the system does not tell.
pub(super) fn resident_bytes() -> Option<u64> {
    // The page size is not in /proc; VmRSS is in kB.
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kilobytes| kilobytes * 1024)
}
