//! What a process and its family cost, from /proc.

/// User and system time of a process, its living descendants, and those it has waited for.
pub fn cpu_seconds(pid: u32) -> f64 {
    let mut ticks = 0.0;
    for pid in family(pid) {
        if let Some(fields) = stat(pid) {
            // utime, stime, cutime, cstime (proc(5)).
            ticks += [11, 12, 13, 14].iter().filter_map(|i| fields.get(*i)?.parse::<f64>().ok()).sum::<f64>();
        }
    }
    ticks / 100.0
}

/// Proportional memory (PSS) of the process and its family.
pub fn memory_mb(pid: u32) -> f64 {
    let proportional = |pid: u32| {
        let text = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
        text.lines().find(|line| line.starts_with("Pss:"))?.split_whitespace().nth(1)?.parse::<f64>().ok()
    };
    family(pid).into_iter().filter_map(proportional).sum::<f64>() / 1024.0
}

fn stat(pid: u32) -> Option<Vec<String>> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    Some(text.rsplit_once(')')?.1.split_whitespace().map(str::to_owned).collect())
}

fn family(root: u32) -> Vec<u32> {
    let mut parents: Vec<(u32, u32)> = Vec::new();
    for entry in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
        if let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok())
            && let Some(parent) = stat(pid).and_then(|fields| fields.get(1)?.parse().ok())
        {
            parents.push((pid, parent));
        }
    }
    let mut all = vec![root];
    let mut at = 0;
    while let Some(pid) = all.get(at).copied() {
        all.extend(parents.iter().filter(|(_, parent)| *parent == pid).map(|(child, _)| *child));
        at += 1;
    }
    all
}

/// User and system time of this process.
pub fn cpu_of_self() -> f64 {
    let Some(fields) = stat(std::process::id()) else { return 0.0 };
    [11, 12].iter().filter_map(|i| fields.get(*i)?.parse::<f64>().ok()).sum::<f64>() / 100.0
}
