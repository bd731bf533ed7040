//! How many files the system lets this process open. Every connection is one.

/// Files that are no connections: models that are loaded, logs, and what the runtime needs.
const RESERVE: usize = 64;

/// The number of connections that the system allows, if it says so.
pub(crate) fn most_connections() -> Option<usize> {
    let limits = std::fs::read_to_string("/proc/self/limits").ok()?;
    Some(open_files(&limits)?.saturating_sub(RESERVE).max(1))
}

/// The soft limit in the table of a process's limits.
fn open_files(limits: &str) -> Option<usize> {
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_soft_limit_counts() {
        let limits = "Limit           Soft Limit  Hard Limit  Units\n\
                      Max processes   95709       95709       processes\n\
                      Max open files  1024        524288      files\n";
        assert_eq!(open_files(limits), Some(1024));
        assert_eq!(open_files("Max open files  unlimited  unlimited  files"), None);
        assert_eq!(open_files(""), None);
    }
}
